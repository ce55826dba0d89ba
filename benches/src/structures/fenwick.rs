//! A Fenwick tree over the weights.

use super::weighted::Weighted;
use crate::random::Random;

/// Prefix sums in a binary indexed tree, and the weights themselves.
#[derive(Debug)]
pub struct Fenwick {
    /// From 1; entry `i` is the sum of the `i & -i` weights up to the `i`th.
    sums: Vec<u64>,
    weights: Vec<u32>,
    total: u64,
}

impl Weighted for Fenwick {
    const NAME: &'static str = "Fenwick tree";

    fn new(weights: &[u32]) -> Self {
        let mut sums: Vec<u64> =
            core::iter::once(0).chain(weights.iter().map(|&weight| u64::from(weight))).collect();
        for index in 1..sums.len() {
            let parent = index + lowest_bit(index);
            if parent < sums.len() {
                sums[parent] += sums[index];
            }
        }
        let total = weights.iter().map(|&weight| u64::from(weight)).sum();
        Self { sums, weights: weights.to_vec(), total }
    }

    fn update(&mut self, element: u32, weight: u32) {
        let old = std::mem::replace(&mut self.weights[element as usize], weight);
        let difference = u64::from(weight).wrapping_sub(u64::from(old));
        self.total = self.total.wrapping_add(difference);
        let mut index = element as usize + 1;
        while let Some(sum) = self.sums.get_mut(index) {
            *sum = sum.wrapping_add(difference);
            index += lowest_bit(index);
        }
    }

    fn sample(&self, random: &mut Random) -> u32 {
        let mut left = random.below_wide(self.total);
        let mut index = 0;
        let mut step = (self.sums.len()).next_power_of_two() / 2;
        while step > 0 {
            if let Some(&sum) = self.sums.get(index + step)
                && sum <= left
            {
                left -= sum;
                index += step;
            }
            step /= 2;
        }
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}

const fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
}
