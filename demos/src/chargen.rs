//! Chargen: the service sends characters for as long as somebody reads them,
//! in the pattern of RFC 864.

use std::io;

use rserpool_client::session::{Event, ServerSession, Session};

use crate::Error;

/// The usual pool handle.
pub const POOL: &str = "CharGenPool";

const PPID: u32 = 0;
/// The printable characters of ASCII, which the lines rotate through.
const FIRST: u8 = b' ';
const COUNT: usize = 95;
const COLUMNS: usize = 72;
/// Whole lines, and no more than fits into a packet.
const LINES_A_MESSAGE: usize = 14;

/// Serves one session. What the client says is not listened to.
///
/// # Errors
/// The association failed: the client ended it.
pub async fn serve(mut session: ServerSession) -> io::Result<()> {
    let mut line = 0;
    loop {
        let message: Vec<u8> = (line..line + LINES_A_MESSAGE).flat_map(pattern).collect();
        line = (line + LINES_A_MESSAGE) % COUNT;
        session.send(PPID, &message).await?;
        // Sending alone may never let another task have its turn.
        tokio::task::yield_now().await;
    }
}

/// One line of the pattern.
fn pattern(number: usize) -> impl Iterator<Item = u8> {
    let characters = (FIRST..).take(COUNT).cycle();
    characters.skip(number % COUNT).take(COLUMNS).chain(*b"\r\n")
}

/// Receives this many bytes, or a few more, in order from each element it is
/// served by; gives how many.
///
/// # Errors
/// The session failed.
pub async fn read(mut session: Session, bytes: u64) -> Result<u64, Error> {
    let mut received = 0;
    while received < bytes {
        if let Event::Message { data, .. } = session.receive().await? {
            received += data.len() as u64;
        }
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_rotate_through_the_printable_characters() {
        let line = |number| String::from_utf8(pattern(number).collect()).unwrap();
        assert!(line(0).starts_with(" !\"#"));
        assert!(line(1).starts_with("!\"#$"));
        assert!(line(94).starts_with("~ !\""));
        assert_eq!(line(95), line(0));
        assert!((0..COUNT).all(|number| line(number).len() == COLUMNS + 2));
    }
}
