//! All the randomness there is: a seed and what follows from it.

/// A sequence of numbers that its seed determines (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A sequence of its own, so that what draws from it disturbs nobody else.
    pub(crate) const fn fork(&mut self) -> Self {
        Self(self.number())
    }

    /// A number below `bound`; 0 for bound 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        ((self.number() as u128 * bound as u128) >> 64) as u64
    }

    /// The same for small numbers.
    #[expect(clippy::cast_possible_truncation, reason = "below a u32")]
    pub(crate) const fn below_u32(&mut self, bound: u32) -> u32 {
        self.below(bound as u64) as u32
    }

    /// A number from `low` to `high`, both included.
    pub(crate) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// An index below `length`.
    #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
    pub(crate) const fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True once in `times`, on average.
    pub(crate) const fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.index(from.len())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_them() {
        let mut chance = Chance::new(1);
        let drawn: Vec<u64> = (0..200).map(|_| chance.between(3, 5)).collect();
        assert!(drawn.iter().all(|number| (3..=5).contains(number)));
        assert!([3, 4, 5].iter().all(|number| drawn.contains(number)));
        assert_eq!(chance.below(0), 0);
    }

    #[test]
    fn equal_seeds_give_equal_sequences() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        assert!((0..100).all(|_| one.number() == other.number()));
        assert_ne!(one.fork().number(), one.number());
    }
}
