//! When a registrar announces itself.

use core::time::Duration;

use rserpool_engine::Timestamp;

use super::ANNOUNCE_PERIOD;

/// When announces are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// Every T6, an eighth of it more or less, as rsplib does: its pool
    /// elements know within a second that a registrar is back.
    #[default]
    Steady,
    /// Every (N + 1) * T6, N being the other registrars that were heard
    /// (RFC 5352, 3.6): about one announce a second in all.
    Shared,
}

impl Schedule {
    /// When the next announce is due after one at `now`. `random` is any
    /// number, drawn anew each time.
    #[must_use]
    pub fn next(self, now: Timestamp, others: usize, random: u32) -> Timestamp {
        match self {
            Self::Steady => {
                let spread = ANNOUNCE_PERIOD / 4;
                let part = u64::try_from(spread.as_micros()).unwrap_or(0) * u64::from(random);
                now.after(ANNOUNCE_PERIOD - spread / 2 + Duration::from_micros(part >> 32))
            }
            Self::Shared => {
                let registrars = u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
                now.after(ANNOUNCE_PERIOD.saturating_mul(registrars))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(schedule: Schedule, others: usize, random: u32) -> Duration {
        let now = Timestamp::from_micros(5);
        schedule.next(now, others, random).since(now)
    }

    #[test]
    fn a_steady_registrar_announces_about_once_a_second() {
        assert_eq!(wait(Schedule::Steady, 9, 0), Duration::from_millis(875));
        assert_eq!(wait(Schedule::Steady, 0, 1 << 31), Duration::from_secs(1));
        let longest = wait(Schedule::Steady, 0, u32::MAX);
        assert!(longest > Duration::from_millis(1124) && longest <= Duration::from_millis(1125));
    }

    #[test]
    fn registrars_that_share_announce_once_a_second_in_all() {
        assert_eq!(wait(Schedule::Shared, 0, 7), Duration::from_secs(1));
        assert_eq!(wait(Schedule::Shared, 9, 7), Duration::from_secs(10));
    }
}
