//! Daytime: the service tells the time, and ends the session.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rserpool_client::session::{Event, ServerSession, Session};

use crate::Error;

/// The usual pool handle.
pub const POOL: &str = "DaytimePool";

const PPID: u32 = 0;
const SECONDS_A_DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [(&str, u64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

/// Serves one session.
///
/// # Errors
/// The association failed.
pub async fn serve(mut session: ServerSession) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    session.send(PPID, text(now).as_bytes()).await?;
    session.close().await;
    Ok(())
}

/// Waits for the time, whichever element tells it.
///
/// # Errors
/// The session failed, or what came is no text.
pub async fn ask(mut session: Session) -> Result<String, Error> {
    loop {
        if let Event::Message { data, .. } = session.receive().await? {
            let text = String::from_utf8(data)
                .map_err(|_| Error::Service("the time is no text".to_owned()))?;
            return Ok(text.trim_end().to_owned());
        }
    }
}

/// A time since 1970 as UTC, to the microsecond.
fn text(since: Duration) -> String {
    let (days, second) = (since.as_secs() / SECONDS_A_DAY, since.as_secs() % SECONDS_A_DAY);
    let weekday = WEEKDAYS[usize::try_from(days % 7).unwrap_or_default()];
    let (mut year, mut day) = (1970, days);
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let mut name = "";
    for (month, length) in MONTHS {
        name = month;
        let length = length + u64::from(month == "February" && is_leap(year));
        if day < length {
            break;
        }
        day -= length;
    }
    format!(
        "{weekday}, {:02}-{name}-{year} {:02}:{:02}:{:02}.{:06}\n",
        day + 1,
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros(),
    )
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_of_the_calendar() {
        let of = |seconds| text(Duration::new(seconds, 7_000));
        assert_eq!(of(0), "Thursday, 01-January-1970 00:00:00.000007\n");
        assert_eq!(of(951_827_696), "Tuesday, 29-February-2000 12:34:56.000007\n");
        assert_eq!(of(1_795_905_065), "Saturday, 28-November-2026 22:31:05.000007\n");
        assert_eq!(of(4_107_542_399), "Sunday, 28-February-2100 23:59:59.000007\n");
        assert_eq!(of(4_107_542_400), "Monday, 01-March-2100 00:00:00.000007\n");
    }
}
