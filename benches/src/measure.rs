//! Interleaved measurement: every cell once a round, many rounds, the median.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Some calls of one operation, timed together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// How many calls, or elements for operations that are counted so.
    pub calls: u64,
    /// The time they took, without the preparation of their inputs.
    pub time: Duration,
    /// A sum over their results: what an optimizer cannot leave out.
    pub sum: u64,
}

impl Measured {
    /// Adds the time of `work`, which makes `calls` calls and returns a sum
    /// over their results.
    pub fn time(&mut self, calls: u64, work: impl FnOnce() -> u64) {
        let start = Instant::now();
        let sum = black_box(measured_region(work));
        self.time += start.elapsed();
        self.calls += calls;
        self.sum = self.sum.wrapping_add(sum);
    }

    /// Nanoseconds a call.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.time.as_secs_f64() * 1e9 / self.calls.max(1) as f64
    }
}

/// Nothing but `work`, under a name by which an instruction counter finds it.
#[inline(never)]
fn measured_region(work: impl FnOnce() -> u64) -> u64 {
    work()
}

/// Nanoseconds `call` takes.
pub(crate) fn nanoseconds<T>(call: impl FnOnce() -> T) -> u32 {
    let start = Instant::now();
    black_box(call());
    u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX)
}

/// Something with operations that can be measured again and again.
pub trait Subject {
    /// Its name in a report.
    fn name(&self) -> String;

    /// The names of its operations.
    fn operations(&self) -> Vec<&'static str>;

    /// How many random calls touch about all of it.
    fn elements(&self) -> u64;

    /// Makes at least `calls` calls of the operation with this position.
    fn run(&mut self, operation: usize, calls: u64) -> Measured;
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Times every cell is measured.
    pub rounds: usize,
    /// About the time of one measurement of one cell.
    pub sample: Duration,
}

impl Plan {
    /// For a report.
    pub const FULL: Self = Self { rounds: 11, sample: Duration::from_millis(10) };
    /// To see that everything works.
    pub const QUICK: Self = Self { rounds: 3, sample: Duration::from_micros(300) };
}

/// What came out for one operation of one subject.
#[derive(Clone, Debug)]
pub struct Row {
    /// The operation.
    pub operation: String,
    /// The subject.
    pub subject: String,
    /// Median of the rounds, in nanoseconds a call.
    pub median: f64,
    /// Fastest round.
    pub least: f64,
    /// Slowest round.
    pub most: f64,
    /// Calls of all rounds together.
    pub calls: u64,
    /// The sum over all results.
    pub sum: u64,
}

/// Measures all operations of all subjects that `wanted` says yes to, given
/// the operation and the subject: in each round each cell once, so that a
/// slow second of the machine hits them alike. Caches are warm: what a subject
/// keeps in them is fetched when its turn comes, and each measurement follows
/// an equal one that does not count.
pub fn interleave(
    subjects: &mut [Box<dyn Subject>],
    plan: Plan,
    wanted: impl Fn(&str, &str) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut turns = Vec::new();
    for subject in subjects {
        let cells = cells(subject.as_mut(), plan, &wanted);
        turns.push((subject, cells));
    }
    for _ in 0..plan.rounds {
        for (subject, cells) in &mut turns {
            if let Some(first) = cells.first() {
                subject.run(first.operation, first.fetching.min(subject.elements()));
            }
            for cell in cells {
                subject.run(cell.operation, cell.calls);
                cell.rounds.push(subject.run(cell.operation, cell.calls));
            }
        }
    }
    for (subject, cells) in &turns {
        rows.extend(cells.iter().map(|cell| cell.row(subject.name())));
    }
    rows
}

/// The longest time to fetch what a subject keeps in the caches.
const FETCHING_MAX: Duration = Duration::from_millis(400);

fn cells(subject: &mut dyn Subject, plan: Plan, wanted: impl Fn(&str, &str) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (operation, name) in subject.operations().into_iter().enumerate() {
        if wanted(name, &subject.name()) {
            let calls = calibrate(subject, operation, plan.sample);
            let longer = FETCHING_MAX.as_secs_f64() / plan.sample.as_secs_f64();
            let fetching = scale(calls, longer);
            cells.push(Cell { operation, calls, fetching, name, rounds: Vec::new() });
        }
    }
    cells
}

struct Cell {
    operation: usize,
    name: &'static str,
    calls: u64,
    /// So many calls take as long as fetching may.
    fetching: u64,
    rounds: Vec<Measured>,
}

impl Cell {
    fn row(&self, subject: String) -> Row {
        let nanoseconds: Vec<f64> = self.rounds.iter().map(Measured::nanoseconds).collect();
        let (least, median, most) = spread(nanoseconds);
        Row {
            operation: self.name.to_owned(),
            subject,
            median,
            least,
            most,
            calls: self.rounds.iter().map(|round| round.calls).sum(),
            sum: self.rounds.iter().fold(0, |sum, round| sum.wrapping_add(round.sum)),
        }
    }
}

/// Finds how many calls fill a sample.
fn calibrate(subject: &mut dyn Subject, operation: usize, sample: Duration) -> u64 {
    let mut calls = 1;
    loop {
        let measured = subject.run(operation, calls);
        if measured.time * 4 >= sample || measured.calls >= 1 << 32 {
            let share = sample.as_secs_f64() / measured.time.as_secs_f64().max(1e-9);
            return scale(measured.calls, share);
        }
        calls = measured.calls.max(calls) * 3;
    }
}

fn scale(calls: u64, share: f64) -> u64 {
    let wanted = Duration::from_nanos(calls).mul_f64(share.min(1e6)).as_nanos();
    u64::try_from(wanted).unwrap_or(u64::MAX).max(1)
}

/// Least, median and most.
#[must_use]
pub fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(Vec<u64>);

    impl Subject for Fake {
        fn name(&self) -> String {
            "fake".to_owned()
        }

        fn operations(&self) -> Vec<&'static str> {
            vec!["slow", "fast"]
        }

        fn elements(&self) -> u64 {
            10
        }

        fn run(&mut self, operation: usize, calls: u64) -> Measured {
            self.0.push(operation as u64);
            let each = if operation == 0 { 300 } else { 20 };
            Measured { calls, time: Duration::from_nanos(calls * each), sum: calls }
        }
    }

    #[test]
    fn every_cell_has_its_own_median_and_fills_its_sample() {
        let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(Fake(Vec::new()))];
        let plan = Plan { rounds: 3, sample: Duration::from_micros(300) };
        let rows = interleave(&mut subjects, plan, |_, _| true);
        let medians: Vec<f64> = rows.iter().map(|row| row.median.round()).collect();
        assert_eq!(medians, [300.0, 20.0]);
        assert!(rows.iter().all(|row| row.sum == row.calls));
        assert_eq!(rows[1].calls / rows[0].calls, 15);
        let rows = interleave(&mut subjects, plan, |operation, _| operation == "fast");
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn the_spread_of_rounds_is_least_median_most() {
        assert_eq!(spread(vec![3.0, 1.0, 9.0, 4.0, 2.0]), (1.0, 3.0, 9.0));
    }
}
