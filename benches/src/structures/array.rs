//! A dense array of elements: uniform draws.

use std::hint::black_box;

use crate::measure::{Measured, Subject};
use crate::random::Random;

/// Elements without gaps, and where each is.
#[derive(Debug)]
pub struct DenseArray {
    elements: Vec<u32>,
    positions: Vec<u32>,
}

impl DenseArray {
    /// The elements from 0 below `count`, in random order.
    #[must_use]
    pub fn new(count: u32, random: &mut Random) -> Self {
        let mut array = Self { elements: Vec::new(), positions: vec![0; count as usize] };
        for element in random.permutation(count) {
            array.insert(element);
        }
        array
    }

    /// Adds an element.
    pub fn insert(&mut self, element: u32) {
        let position = u32::try_from(self.elements.len()).unwrap_or(u32::MAX);
        self.positions[element as usize] = position;
        self.elements.push(element);
    }

    /// Takes an element out; the last one fills its gap.
    pub fn remove(&mut self, element: u32) {
        let position = self.positions[element as usize] as usize;
        self.elements.swap_remove(position);
        if let Some(&moved) = self.elements.get(position) {
            self.positions[moved as usize] = self.positions[element as usize];
        }
    }

    /// Draws one element.
    pub fn sample(&self, random: &mut Random) -> u32 {
        let count = u32::try_from(self.elements.len()).unwrap_or(u32::MAX);
        self.elements[random.below(count) as usize]
    }

    /// Draws `count` elements, each once, into `into`.
    pub fn sample_distinct(&self, count: usize, random: &mut Random, into: &mut Vec<u32>) {
        into.clear();
        while into.len() < count {
            let element = self.sample(random);
            if !into.contains(&element) {
                into.push(element);
            }
        }
    }
}

/// The operations, in the order of [`Bench::run`]'s match.
pub const OPERATIONS: [&str; 3] = ["uniform sample", "uniform 10 distinct", "remove and insert"];

const CHUNK: u64 = 1024;

/// One dense array.
#[derive(Debug)]
pub struct Bench {
    array: DenseArray,
    random: Random,
    drawn: Vec<u32>,
}

impl Bench {
    /// The array with so many elements.
    #[must_use]
    pub fn new(elements: u32) -> Self {
        let mut random = Random::new(u64::from(elements));
        let array = DenseArray::new(elements, &mut random);
        Self { array, random, drawn: Vec::new() }
    }

    fn replace(&mut self, measured: &mut Measured) {
        let count = u32::try_from(self.array.positions.len()).unwrap_or(u32::MAX);
        self.drawn.clear();
        for _ in 0..CHUNK {
            let element = self.random.below(count);
            self.drawn.push(element);
        }
        measured.time(CHUNK, || {
            for &element in &self.drawn {
                self.array.remove(element);
                self.array.insert(element);
            }
            CHUNK
        });
    }
}

impl Subject for Bench {
    fn name(&self) -> String {
        "dense array".to_owned()
    }

    fn operations(&self) -> Vec<&'static str> {
        OPERATIONS.to_vec()
    }

    fn elements(&self) -> u64 {
        self.array.positions.len() as u64
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        let many = self.array.elements.len().min(10);
        while measured.calls < calls {
            match operation {
                0 => measured.time(CHUNK, || {
                    (0..CHUNK).map(|_| u64::from(self.array.sample(&mut self.random))).sum()
                }),
                1 => measured.time(CHUNK, || {
                    let mut sum = 0;
                    for _ in 0..CHUNK {
                        let (random, drawn) = (&mut self.random, &mut self.drawn);
                        self.array.sample_distinct(many, random, drawn);
                        sum += black_box(&*drawn).len() as u64;
                    }
                    sum
                }),
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
    fn positions_follow_removals() {
        let mut bench = Bench::new(50);
        for operation in [2, 0, 1, 2] {
            bench.run(operation, 2000);
        }
        for (position, &element) in bench.array.elements.iter().enumerate() {
            assert_eq!(bench.array.positions[element as usize] as usize, position);
        }
        bench.array.sample_distinct(50, &mut Random::new(3), &mut bench.drawn);
        bench.drawn.sort_unstable();
        assert!(bench.drawn.iter().copied().eq(0..50));
    }
}
