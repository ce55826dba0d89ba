//! Long runs: many sessions of random operations, from one seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::model::Fairness;
use super::{Op, Session, Size};

/// Operations of a session.
const SESSION: u64 = 5000;
/// Everything is compared after as many operations.
const COMPARED: u64 = 50;

/// What a run did.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) sessions: u64,
    pub(crate) operations: u64,
    /// Elements in the answers of all selections.
    pub(crate) selected: u64,
    pub(crate) fairness: Fairness,
}

/// `SplitMix64`.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    fn operation(&mut self) -> [u16; 10] {
        std::array::from_fn(|_| (self.next() & 0xffff) as u16)
    }
}

/// Runs at least so many operations; tells `progress` how many are done.
///
/// # Panics
/// If engine and model differ, with the seed of the session and the operation.
pub(crate) fn run(seed: u64, operations: u64, mut progress: impl FnMut(u64)) -> Run {
    let mut run = Run::default();
    let mut seeds = Numbers(seed);
    while run.operations < operations {
        let seed = seeds.next();
        let session = session(seed);
        run.sessions += 1;
        run.operations += SESSION;
        run.selected += session.selected;
        run.fairness.add(&session.fairness);
        progress(run.operations);
    }
    run
}

/// One session. Its kind and everything in it follow from the seed.
fn session(seed: u64) -> Session {
    let mut numbers = Numbers(seed);
    let is_small = numbers.next().is_multiple_of(2);
    let max_increment = [1, 1, 1, 0, 2, u32::MAX][(numbers.next() % 6) as usize];
    let size = if is_small {
        Size { pools: 40, pes: 6, elements_max: 140, max_increment }
    } else {
        Size { pools: 18, pes: 120, elements_max: 200, max_increment }
    };
    let first = numbers.operation()[0] % 18;
    let mut session = Session::new(size, seed);
    session.is_thorough = false;
    for done in 0..SESSION {
        let mut operation = numbers.operation();
        if !is_small {
            // Two policies at a time, and mostly registrations at first.
            operation[1] = first + operation[1] % 2;
            if done < 300 {
                operation[0] %= 20;
            }
        }
        let op = Op::from(operation);
        let applied = catch_unwind(AssertUnwindSafe(|| {
            session.apply(op);
            if done % COMPARED == 0 {
                session.assert_equal();
            }
        }));
        assert!(applied.is_ok(), "see above: session {seed:#x}, operation {done}: {op:?}");
    }
    session
}
