//! The standard library's hash table, by pool and PE identifier.

use std::collections::HashMap;
use std::hint::black_box;

use ahash::RandomState;

use crate::measure::{Measured, Subject};
use crate::random::{Random, scramble};

/// The operations, in the order of [`Bench::run`]'s match.
pub const OPERATIONS: [&str; 3] =
    ["identity find", "identity find and read", "identity remove and insert"];

/// What is kept of an element elsewhere.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(u64);

const CHUNK: u64 = 1024;

/// A hash table from identities to elements, and a cache line for each.
#[derive(Debug)]
pub struct Bench {
    map: HashMap<u64, u32, RandomState>,
    lines: Vec<Line>,
    random: Random,
    script: Vec<u64>,
}

impl Bench {
    /// The table of so many elements.
    #[must_use]
    pub fn new(elements: u32) -> Self {
        let mut map = HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4));
        for element in 0..elements {
            map.insert(identity(element), element);
        }
        let lines = (0..u64::from(elements)).map(Line).collect();
        Self { map, lines, random: Random::new(u64::from(elements)), script: Vec::new() }
    }

    fn fill(&mut self) {
        let elements = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        self.script.clear();
        for _ in 0..CHUNK {
            self.script.push(identity(self.random.below(elements)));
        }
    }

    fn find(&self, measured: &mut Measured) {
        measured.time(CHUNK, || {
            let found = |&&identity: &&u64| black_box(self.map.get(&identity)).is_some();
            self.script.iter().filter(found).count() as u64
        });
    }

    fn find_and_read(&self, measured: &mut Measured) {
        measured.time(CHUNK, || {
            let mut sum = 0_u64;
            for identity in &self.script {
                let line = self.map.get(identity).and_then(|&it| self.lines.get(it as usize));
                sum = sum.wrapping_add(line.map_or(0, |line| line.0));
            }
            sum
        });
    }

    fn replace(&mut self, measured: &mut Measured) {
        measured.time(CHUNK, || {
            let mut replaced = 0;
            for &identity in &self.script {
                if let Some(element) = self.map.remove(&identity) {
                    self.map.insert(identity, element);
                    replaced += 1;
                }
            }
            replaced
        });
    }
}

/// A pool number and PE identifier.
const fn identity(element: u32) -> u64 {
    scramble(element as u64 + 1)
}

impl Subject for Bench {
    fn name(&self) -> String {
        "HashMap with ahash".to_owned()
    }

    fn operations(&self) -> Vec<&'static str> {
        OPERATIONS.to_vec()
    }

    fn elements(&self) -> u64 {
        self.lines.len() as u64
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        while measured.calls < calls {
            self.fill();
            match operation {
                0 => self.find(&mut measured),
                1 => self.find_and_read(&mut measured),
                _ => self.replace(&mut measured),
            }
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_is_found_and_stays() {
        let mut bench = Bench::new(100);
        for operation in [0, 2, 0] {
            let measured = bench.run(operation, 5000);
            assert_eq!(measured.sum, measured.calls);
        }
        assert_eq!(bench.map.len(), 100);
    }
}
