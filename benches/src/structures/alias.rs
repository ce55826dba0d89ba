//! Vose's alias table: constant time to draw, but every change of a weight
//! builds it anew.

use super::weighted::{Weighted, weights};
use crate::measure::{Measured, Subject};
use crate::random::Random;

/// Columns of equal height, each shared by at most two elements.
#[derive(Debug)]
pub struct Alias {
    /// The height of the own share, of `height`, and the other element.
    columns: Vec<(u64, u32)>,
    height: u64,
    weights: Vec<u32>,
}

impl Weighted for Alias {
    const NAME: &'static str = "alias table (static)";

    fn new(weights: &[u32]) -> Self {
        let height: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let count = weights.len() as u64;
        // Scaled by the number of columns, so that all stays exact.
        let mut columns: Vec<(u64, u32)> =
            weights.iter().map(|&weight| (u64::from(weight) * count, 0)).collect();
        let (mut low, mut high): (Vec<u32>, Vec<u32>) = (0..)
            .take(weights.len())
            .partition(|&element: &u32| columns[element as usize].0 < height);
        while let (Some(&small), Some(&large)) = (low.last(), high.last()) {
            low.pop();
            let missing = height - columns[small as usize].0;
            columns[small as usize].1 = large;
            columns[large as usize].0 -= missing;
            if columns[large as usize].0 < height {
                high.pop();
                low.push(large);
            }
        }
        Self { columns, height, weights: weights.to_vec() }
    }

    fn update(&mut self, element: u32, weight: u32) {
        self.weights[element as usize] = weight;
        *self = Self::new(&self.weights);
    }

    fn sample(&self, random: &mut Random) -> u32 {
        let column = random.below(u32::try_from(self.columns.len()).unwrap_or(u32::MAX));
        let (own, other) = self.columns[column as usize];
        if random.below_wide(self.height) < own { column } else { other }
    }
}

/// The operations, in the order of [`Bench::run`]'s match.
pub const OPERATIONS: [&str; 2] = ["weighted sample", "alias build per element"];

/// One alias table.
#[derive(Debug)]
pub struct Bench {
    table: Alias,
    weights: Vec<u32>,
    random: Random,
}

impl Bench {
    /// The table of so many elements of random weight.
    #[must_use]
    pub fn new(elements: u32) -> Self {
        let mut random = Random::new(u64::from(elements));
        let weights = weights(elements, &mut random);
        Self { table: Alias::new(&weights), weights, random }
    }
}

impl Subject for Bench {
    fn name(&self) -> String {
        Alias::NAME.to_owned()
    }

    fn operations(&self) -> Vec<&'static str> {
        OPERATIONS.to_vec()
    }

    fn elements(&self) -> u64 {
        self.weights.len() as u64
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        while measured.calls < calls {
            if operation == 0 {
                measured.time(1024, || {
                    (0..1024).map(|_| u64::from(self.table.sample(&mut self.random))).sum()
                });
            } else {
                measured.time(self.weights.len() as u64, || {
                    self.table = Alias::new(&self.weights);
                    self.table.height
                });
            }
        }
        measured
    }
}
