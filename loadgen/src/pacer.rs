//! When requests are due: a pure function of elapsed time. A late sender
//! changes nothing about it, so latency can be counted from the time a
//! request should have left (no coordinated omission).

use std::time::Duration;

/// Arrivals at a constant rate, or one sender's share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacer {
    count: u64,
    period: Duration,
    sender: u64,
    senders: u64,
}

impl Pacer {
    /// `count` arrivals in each `period`, evenly spaced. None if either is 0.
    #[must_use]
    pub const fn new(count: u64, period: Duration) -> Self {
        Self { count, period, sender: 0, senders: 1 }
    }

    /// The share of one of several senders that take the arrivals in turn.
    #[must_use]
    pub fn share(self, sender: u64, senders: u64) -> Self {
        Self { sender, senders: senders.max(1), ..self }
    }

    /// How many arrivals are due when `elapsed` has passed since the start:
    /// those whose intended time is not later.
    #[must_use]
    pub fn due(&self, elapsed: Duration) -> u64 {
        if self.count == 0 || self.period.is_zero() {
            return 0;
        }
        let all =
            ((elapsed.as_nanos() + 1) * u128::from(self.count)).div_ceil(self.period.as_nanos());
        let mine = all.saturating_sub(u128::from(self.sender)).div_ceil(u128::from(self.senders));
        u64::try_from(mine).unwrap_or(u64::MAX)
    }

    /// When this sender's arrival number `arrival` (from 0) is due, since the
    /// start. Far beyond every run if there are no arrivals.
    #[must_use]
    pub fn intended(&self, arrival: u64) -> Duration {
        if self.count == 0 || self.period.is_zero() {
            return Duration::MAX;
        }
        let number = u128::from(arrival) * u128::from(self.senders) + u128::from(self.sender);
        let nanos = number * self.period.as_nanos() / u128::from(self.count);
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_due_depends_on_elapsed_time_alone() {
        let pacer = Pacer::new(40_000, SECOND);
        let asked_often: Vec<_> =
            (0..1000_u64).map(|ms| pacer.due(Duration::from_millis(ms))).collect();
        let again: Vec<_> = (0..1000_u64)
            .rev()
            .map(|ms| Pacer::new(40_000, SECOND).due(Duration::from_millis(ms)))
            .collect();
        assert!(asked_often.iter().eq(again.iter().rev()));
        assert_eq!(pacer.due(Duration::from_millis(999)), 39_961);
    }

    #[test]
    fn an_arrival_is_due_from_its_intended_time_on_and_not_before() {
        for pacer in [
            Pacer::new(40_000, SECOND),
            Pacer::new(3, SECOND),
            Pacer::new(100_000, Duration::from_secs(30)),
            Pacer::new(7, Duration::from_secs(13)).share(2, 3),
        ] {
            for arrival in 0..5000 {
                let at = pacer.intended(arrival);
                assert_eq!(pacer.due(at), arrival + 1, "{pacer:?}");
                if let Some(before) = at.checked_sub(Duration::from_nanos(1)) {
                    assert_eq!(pacer.due(before), arrival, "{pacer:?}");
                }
            }
        }
    }

    #[test]
    fn the_shares_of_all_senders_are_the_whole() {
        let whole = Pacer::new(1000, SECOND);
        let mut arrivals: Vec<_> = (0..3)
            .flat_map(|sender| (0..100).map(move |i| whole.share(sender, 3).intended(i)))
            .collect();
        arrivals.sort_unstable();
        let expected: Vec<_> = (0..300).map(|i| whole.intended(i)).collect();
        assert_eq!(arrivals, expected);
    }

    #[test]
    fn no_rate_means_no_arrivals() {
        let pacer = Pacer::new(0, SECOND);
        assert_eq!(pacer.due(SECOND * 1000), 0);
        assert_eq!(pacer.intended(0), Duration::MAX);
    }
}
