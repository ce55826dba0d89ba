//! Weighted samplers under the operations of the weighted random policies.

use std::hint::black_box;

use crate::measure::{Measured, Subject};
use crate::random::Random;

/// Draws elements with a probability proportional to their weights.
pub trait Weighted {
    /// Its name in a report.
    const NAME: &'static str;

    /// The elements from 0 with these weights.
    fn new(weights: &[u32]) -> Self;

    /// Gives an element another weight.
    fn update(&mut self, element: u32, weight: u32);

    /// Draws one element.
    fn sample(&self, random: &mut Random) -> u32;

    /// Draws `count` elements, each once, into `into`. One that was drawn
    /// before is drawn again: that has the same distribution as taking it out.
    fn sample_distinct(&self, count: usize, random: &mut Random, into: &mut Vec<u32>) {
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
pub const OPERATIONS: [&str; 3] = ["weighted sample", "weighted update", "weighted 10 distinct"];

/// Weights are drawn from 1 to this.
pub const WEIGHT_MAX: u32 = 100;

const CHUNK: u64 = 1024;

/// One sampler.
#[derive(Debug)]
pub struct Bench<S> {
    sampler: S,
    elements: u32,
    random: Random,
    script: Vec<(u32, u32)>,
    drawn: Vec<u32>,
}

/// So many random weights.
pub fn weights(elements: u32, random: &mut Random) -> Vec<u32> {
    (0..elements).map(|_| 1 + random.below(WEIGHT_MAX)).collect()
}

impl<S: Weighted> Bench<S> {
    /// The sampler with so many elements of random weight.
    #[must_use]
    pub fn new(elements: u32) -> Self {
        let mut random = Random::new(u64::from(elements));
        let sampler = S::new(&weights(elements, &mut random));
        Self { sampler, elements, random, script: Vec::new(), drawn: Vec::new() }
    }

    fn update(&mut self, measured: &mut Measured) {
        self.script.clear();
        for _ in 0..CHUNK {
            let element = self.random.below(self.elements);
            self.script.push((element, 1 + self.random.below(WEIGHT_MAX)));
        }
        measured.time(CHUNK, || {
            for &(element, weight) in &self.script {
                self.sampler.update(element, weight);
            }
            CHUNK
        });
    }
}

impl<S: Weighted> Subject for Bench<S> {
    fn name(&self) -> String {
        S::NAME.to_owned()
    }

    fn operations(&self) -> Vec<&'static str> {
        OPERATIONS.to_vec()
    }

    fn elements(&self) -> u64 {
        u64::from(self.elements)
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        let many = usize::try_from(self.elements.min(10)).unwrap_or(10);
        while measured.calls < calls {
            match operation {
                0 => measured.time(CHUNK, || {
                    (0..CHUNK).map(|_| u64::from(self.sampler.sample(&mut self.random))).sum()
                }),
                1 => self.update(&mut measured),
                _ => measured.time(CHUNK / 8, || {
                    let mut sum = 0;
                    for _ in 0..CHUNK / 8 {
                        let (random, drawn) = (&mut self.random, &mut self.drawn);
                        self.sampler.sample_distinct(many, random, drawn);
                        sum += black_box(&*drawn).len() as u64;
                    }
                    sum
                }),
            }
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structures::{
        alias::Alias, classes::WeightClasses, engine_tree::EngineWeightTree, fenwick::Fenwick,
        list::WeightList,
    };

    /// Chi-square of 60,000 draws against the weights; 99.9 % of fair samplers
    /// are below 29.6 with 10 degrees of freedom.
    fn chi_square<S: Weighted>(sampler: &S, weights: &[u32]) -> f64 {
        let mut random = Random::new(42);
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..60_000 {
            counts[sampler.sample(&mut random) as usize] += 1;
        }
        let total: u32 = weights.iter().sum();
        let share = |weight: u32| 60_000.0 * f64::from(weight) / f64::from(total);
        let drained = counts.iter().zip(weights).filter(|&(_, &weight)| weight == 0);
        assert!(drained.map(|(&count, _)| count).all(|count| count == 0), "{}", S::NAME);
        let cells = counts.iter().zip(weights).filter(|&(_, &weight)| weight > 0);
        cells.map(|(&c, &w)| (f64::from(c) - share(w)).powi(2) / share(w)).sum()
    }

    const BEFORE: [u32; 12] = [1; 12];
    const AFTER: [u32; 12] = [5, 0, 9, 100, 64, 3, 1, 33, 17, 8, 2, 50];

    fn draws_by_weight_after_updates<S: Weighted>() {
        let mut sampler = S::new(&BEFORE);
        for (&weight, element) in AFTER.iter().zip(0..) {
            sampler.update(element, weight);
        }
        let distance = chi_square(&sampler, &AFTER);
        assert!(distance < 29.6, "{}: {distance}", S::NAME);
        let mut drawn = Vec::new();
        sampler.sample_distinct(11, &mut Random::new(1), &mut drawn);
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "{}", S::NAME);
    }

    #[test]
    fn samplers_draw_by_weight_after_updates() {
        draws_by_weight_after_updates::<EngineWeightTree>();
        draws_by_weight_after_updates::<Fenwick>();
        draws_by_weight_after_updates::<WeightClasses>();
        draws_by_weight_after_updates::<WeightList>();
    }

    #[test]
    fn the_alias_table_draws_by_weight() {
        let distance = chi_square(&Alias::new(&AFTER), &AFTER);
        assert!(distance < 29.6, "{distance}");
    }
}
