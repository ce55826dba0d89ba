//! Many seeds on many cores.

use core::fmt;
use core::num::NonZero;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use rserpool_sim::{Failure, Options, Summary, run_seed};

/// What became of the seeds.
#[derive(Debug)]
pub(crate) struct Fleet {
    seeds: u64,
    sum: Summary,
    took: Duration,
    /// The failure with the lowest seed.
    pub(crate) failed: Option<(u64, Failure)>,
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, sum, took, .. } = self;
        write!(
            f,
            "{seeds} seeds in {took:.1?}: {} events, {} faults, {} connections, {} checks",
            sum.events, sum.faults, sum.connections, sum.checks
        )
    }
}

/// Runs the seeds, and none beyond one that failed.
#[expect(clippy::disallowed_methods, reason = "says how long it took; no run sees it")]
pub(crate) fn run(seeds: Range<u64>, jobs: Option<u16>, options: &Options) -> Fleet {
    let started = Instant::now();
    let jobs =
        jobs.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), usize::from);
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let fleet = Fleet { seeds: 0, sum: Summary::default(), took: Duration::ZERO, failed: None };
    let fleet = Mutex::new(fleet);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let ran = run_seed(seed, options);
                    let Ok(mut fleet) = fleet.lock() else { return };
                    fleet.seeds += 1;
                    match ran {
                        Ok(summary) => add(&mut fleet.sum, &summary),
                        Err(failure) => {
                            stop.fetch_min(seed, Ordering::Relaxed);
                            if fleet.failed.as_ref().is_none_or(|&(other, _)| seed < other) {
                                fleet.failed = Some((seed, failure));
                            }
                        }
                    }
                }
            });
        }
    });
    let mut fleet = fleet.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    fleet.took = started.elapsed();
    fleet
}

const fn add(sum: &mut Summary, one: &Summary) {
    sum.events += one.events;
    sum.faults += one.faults;
    sum.connections += one.connections;
    sum.checks += one.checks;
}
