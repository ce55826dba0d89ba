//! Whether draws are as likely as they ought to be, although no two are from
//! the same elements.
//!
//! A draw in which the elements had the shares 0.2, 0.3 and 0.5 and the second
//! was drawn becomes a number, evenly drawn from 0.2 to 0.5. If the shares are
//! right, all these numbers are evenly distributed from 0 to 1, and so are
//! pairs of successive ones: a chi-square test finds out.

use std::collections::BTreeMap;

use super::selection::mix;

const BINS: usize = 32;
const SIDE: usize = 8;

#[derive(Default)]
struct Numbers {
    bins: [u64; BINS],
    pairs: [[u64; SIDE]; SIDE],
    previous: Option<f64>,
}

/// All draws, by what they were drawn by.
#[derive(Default)]
pub(crate) struct Fairness {
    numbers: BTreeMap<String, Numbers>,
    state: u64,
}

/// How far the counts are from equal ones: the statistic of the chi-square
/// test.
fn chi_square(counts: &[u64]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum()
}

impl Fairness {
    /// No draws; `seed` is for where in its share a draw is.
    pub(crate) fn new(seed: u64) -> Self {
        Self { numbers: BTreeMap::new(), state: mix(seed) }
    }

    /// One of several with these weights was drawn.
    pub(crate) fn drawn(&mut self, name: String, weights: &[u128], at: usize) {
        let sum = |weights: &[u128]| weights.iter().sum::<u128>() as f64;
        assert!(weights[at] > 0, "nothing without a share is drawn");
        if weights.len() == 1 {
            return;
        }
        self.state = self.state.wrapping_add(1);
        let within = (mix(self.state) >> 11) as f64 / (1_u64 << 53) as f64;
        let number = (sum(&weights[..at]) + within * weights[at] as f64) / sum(weights);
        let bin = |of: usize, number: f64| {
            (1..of).take_while(|&n| n as f64 <= number * of as f64).count()
        };
        let numbers = self.numbers.entry(name).or_default();
        numbers.bins[bin(BINS, number)] += 1;
        numbers.previous = match numbers.previous {
            Some(previous) => {
                numbers.pairs[bin(SIDE, previous)][bin(SIDE, number)] += 1;
                None
            }
            None => Some(number),
        };
    }

    /// Adds the draws of another session.
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, numbers) in &other.numbers {
            let sum = self.numbers.entry(name.clone()).or_default();
            sum.bins.iter_mut().zip(numbers.bins).for_each(|(sum, count)| *sum += count);
            let pairs = numbers.pairs.iter().flatten();
            sum.pairs.iter_mut().flatten().zip(pairs).for_each(|(sum, count)| *sum += count);
        }
    }

    /// For each name: the draws, and how far they and their pairs are from
    /// even. Chance exceeds 84 (31 degrees of freedom) and 130 (63 of them)
    /// once in a million times.
    pub(crate) fn results(&self) -> Vec<(&str, u64, f64, f64)> {
        let results = self.numbers.iter().map(|(name, numbers)| {
            let pairs: Vec<u64> = numbers.pairs.iter().flatten().copied().collect();
            let draws = numbers.bins.iter().sum();
            (name.as_str(), draws, chi_square(&numbers.bins), chi_square(&pairs))
        });
        results.collect()
    }

    /// # Panics
    /// If draws are less even than chance lets them be.
    pub(crate) fn assert_fair(&self) {
        for (name, draws, single, pairs) in self.results() {
            // Fewer say nothing.
            if draws >= 2000 {
                assert!(single < 84.0, "{name}: chi-square {single} of {draws}");
                assert!(pairs < 130.0, "{name}: chi-square {pairs} of pairs of {draws}");
            }
        }
    }
}
