//! Latencies, second by second, kept by one client thread and handed over.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::stage::{Operation, Phase};

/// A histogram of latencies in nanoseconds.
pub(crate) type Latencies = Histogram<u64>;

/// An empty histogram: 1 us to 2 minutes, three digits.
pub(crate) fn latencies() -> Latencies {
    const MICROSECOND: u64 = 1_000;
    const TWO_MINUTES: u64 = 120_000_000_000;
    Histogram::new_with_bounds(MICROSECOND, TWO_MINUTES, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are constants that fit"))
}

/// Records a latency; one beyond the bounds as the bound.
pub(crate) fn record(latencies: &mut Latencies, latency: Duration) {
    latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
}

/// What happened to one operation.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// The latency of each answer.
    pub(crate) latencies: Latencies,
    /// Elements in the answers.
    pub(crate) selected: u64,
}

impl Tally {
    fn new() -> Self {
        Self { latencies: latencies(), selected: 0 }
    }

    /// Adds that of another thread or second.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.selected += other.selected;
        let added = self.latencies.add(&other.latencies);
        debug_assert!(added.is_ok(), "all histograms have the same bounds");
    }
}

/// What happened to all operations: by the index of the operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies(Vec<Option<Tally>>);

impl Tallies {
    fn tally(&mut self, operation: usize) -> &mut Tally {
        if self.0.len() <= operation {
            self.0.resize_with(operation + 1, || None);
        }
        self.0[operation].get_or_insert_with(Tally::new)
    }

    /// The operations that happened.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Tally)> {
        self.0.iter().enumerate().filter_map(|(index, tally)| Some((index, tally.as_ref()?)))
    }

    /// Adds those of another thread or second.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (operation, tally) in other.iter() {
            self.tally(operation).merge(tally);
        }
    }
}

/// What one client thread did in one second of one phase, or a part of it.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    /// Seconds since the run began.
    pub(crate) second: u64,
    pub(crate) phase: Phase,
    pub(crate) operations: Tallies,
    /// How late requests were sent.
    pub(crate) lag: Option<Latencies>,
}

/// Collects what happens until it is handed over.
#[derive(Debug)]
pub(crate) struct Recorder {
    interval: Interval,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { interval: Self::fresh(0, Phase::Connect) }
    }

    fn fresh(second: u64, phase: Phase) -> Interval {
        Interval { second, phase, operations: Tallies::default(), lag: None }
    }

    /// An answer with so many elements came so long after its request was due.
    pub(crate) fn answered(&mut self, operation: Operation, latency: Duration, selected: u64) {
        let tally = self.interval.operations.tally(operation.0);
        record(&mut tally.latencies, latency);
        tally.selected += selected;
    }

    /// A request left so long after it was due.
    pub(crate) fn sent_late(&mut self, lag: Duration) {
        record(self.interval.lag.get_or_insert_with(latencies), lag);
    }

    /// If another second began, what happened in the last one.
    pub(crate) fn turn(&mut self, elapsed: Duration, phase: Phase) -> Option<Interval> {
        (elapsed.as_secs() != self.interval.second).then(|| self.hand_over(elapsed, phase))?
    }

    /// What happened so far. From now on this phase is recorded.
    pub(crate) fn hand_over(&mut self, elapsed: Duration, phase: Phase) -> Option<Interval> {
        let next = Self::fresh(elapsed.as_secs(), phase);
        let last = std::mem::replace(&mut self.interval, next);
        (last.operations.iter().next().is_some() || last.lag.is_some()).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_handed_over_once_a_second_and_at_each_phase() {
        let mut recorder = Recorder::new();
        let at = Duration::from_millis;
        assert!(recorder.hand_over(at(100), Phase::Register).is_none(), "nothing happened");
        recorder.answered(Operation::REGISTER, at(5), 0);
        assert!(recorder.turn(at(900), Phase::Register).is_none());
        recorder.answered(Operation::REGISTER, at(7), 0);
        let interval = recorder.hand_over(at(950), Phase::Steady).unwrap();
        assert_eq!((interval.second, interval.phase), (0, Phase::Register));
        let [(0, tally)] = interval.operations.iter().collect::<Vec<_>>()[..] else {
            panic!("one operation")
        };
        assert_eq!(tally.latencies.len(), 2);
        recorder.answered(Operation::resolve(0), at(1), 3);
        recorder.sent_late(at(2));
        let interval = recorder.turn(at(1000), Phase::Steady).unwrap();
        let (_, tally) = interval.operations.iter().next().unwrap();
        assert_eq!((tally.selected, interval.lag.unwrap().len()), (3, 1));
    }

    #[test]
    fn latencies_are_kept_to_three_digits_and_merged() {
        let mut tallies = Tallies::default();
        record(&mut tallies.tally(4).latencies, Duration::from_micros(123));
        let mut other = Tallies::default();
        record(&mut other.tally(4).latencies, Duration::from_secs(500));
        tallies.merge(&other);
        let (operation, tally) = tallies.iter().next().unwrap();
        assert_eq!((operation, tally.latencies.len()), (4, 2));
        assert!(tally.latencies.min().abs_diff(123_000) <= 1000);
        assert!(tally.latencies.max() >= 120_000_000_000);
    }
}
