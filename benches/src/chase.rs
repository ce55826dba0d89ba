//! A pointer chase: what the memory of this machine gives at best.

use std::hint::black_box;

use crate::measure::{Measured, Subject};
use crate::random::Random;

/// One cache line; the first word names the next one.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Lines linked in one random cycle over a working set.
#[derive(Debug)]
pub struct Chase {
    lines: Vec<Line>,
    positions: [u32; 8],
}

/// The operations of a [`Chase`].
pub const OPERATIONS: [&str; 2] = ["dependent load", "8 independent chains"];

impl Chase {
    /// A cycle through `bytes` bytes, at least eight lines.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let count = u32::try_from(bytes / size_of::<Line>()).unwrap_or(u32::MAX).max(8);
        // Sattolo's shuffle of the identity is one cycle through all lines.
        let mut lines: Vec<Line> = (0..count).map(|index| Line([index; 16])).collect();
        let mut random = Random::new(u64::from(count));
        for last in (1..count).rev() {
            lines.swap(last as usize, random.below(last) as usize);
        }
        // Eight places spread over the cycle, so that no chain follows another
        // through lines that are still cached.
        let mut positions = [0; 8];
        let mut at = 0;
        for step in 0..count {
            let place = step / count.div_ceil(8);
            if step % count.div_ceil(8) == 0 {
                positions[place as usize] = at;
            }
            at = lines[at as usize].0[0];
        }
        Self { lines, positions }
    }

    /// Follows one chain: each load waits for the one before.
    pub fn dependent(&mut self, calls: u64) -> Measured {
        let mut measured = Measured::default();
        let mut at = self.positions[0];
        measured.time(calls, || {
            for _ in 0..calls {
                at = self.lines[at as usize].0[0];
            }
            u64::from(black_box(at))
        });
        self.positions[0] = at;
        measured
    }

    /// Follows eight chains at once; a call is one load.
    pub fn independent(&mut self, calls: u64) -> Measured {
        let mut measured = Measured::default();
        let mut at = self.positions;
        let steps = calls.div_ceil(8);
        measured.time(steps * 8, || {
            for _ in 0..steps {
                for position in &mut at {
                    *position = self.lines[*position as usize].0[0];
                }
            }
            black_box(at).iter().map(|&position| u64::from(position)).sum()
        });
        self.positions = at;
        measured
    }

    /// The size of the working set in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }
}

impl Subject for Chase {
    fn name(&self) -> String {
        format!("chase {}", size_name(self.bytes()))
    }

    fn operations(&self) -> Vec<&'static str> {
        OPERATIONS.to_vec()
    }

    fn elements(&self) -> u64 {
        self.lines.len() as u64
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        if operation == 0 { self.dependent(calls) } else { self.independent(calls) }
    }
}

/// A size with its unit.
#[must_use]
pub fn size_name(bytes: usize) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_visits_every_line_before_it_comes_back() {
        let chase = Chase::new(64 * 1000);
        let mut seen = vec![false; 1000];
        let mut at = 0_u32;
        for _ in 0..1000 {
            seen[at as usize] = true;
            at = chase.lines[at as usize].0[0];
        }
        assert_eq!(at, 0);
        assert!(seen.iter().all(|&line| line));
    }

    #[test]
    fn the_chains_start_far_apart() {
        let chase = Chase::new(64 * 1000);
        let mut starts = chase.positions.to_vec();
        starts.sort_unstable();
        starts.dedup();
        assert_eq!(starts.len(), 8);
    }

    #[test]
    fn calls_are_counted_in_loads() {
        let mut chase = Chase::new(1 << 12);
        assert_eq!(chase.dependent(10).calls, 10);
        assert_eq!(chase.independent(10).calls, 16);
    }
}
