//! Many seeds, on several threads.

use core::num::NonZero;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::run::{Failure, Options, Summary, run_seed};

/// What became of several seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// How many ran.
    pub seeds: u64,
    /// What they were together.
    pub sum: Summary,
    /// The lowest seed that failed.
    pub failed: Option<(u64, Failure)>,
}

/// Runs seeds on so many threads, and none above one that failed.
#[must_use]
pub fn run_seeds(seeds: Range<u64>, threads: NonZero<u16>, options: &Options) -> Fleet {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let fleet = Mutex::new(Fleet::default());
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let ran = run_seed(seed, options);
                    let mut fleet = fleet.lock().unwrap_or_else(PoisonError::into_inner);
                    fleet.seeds += 1;
                    match ran {
                        Ok(summary) => fleet.sum.add(&summary),
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
    fleet.into_inner().unwrap_or_else(PoisonError::into_inner)
}
