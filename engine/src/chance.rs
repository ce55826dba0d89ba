//! Random numbers of the random policies: a seed, no source.

/// `SplitMix64`: one addition and a mixing function a number.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    #[inline]
    pub(crate) const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, each as likely as the others; 0 for bound 0.
    #[inline]
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Lemire: the high half of number * bound, without the numbers that
        // would make some results likelier.
        loop {
            let number = self.next();
            let low = number.wrapping_mul(bound);
            if low >= bound || low >= bound.wrapping_neg() % bound.max(1) {
                return ((u128::from(number) * u128::from(bound)) >> 64) as u64;
            }
        }
    }

    /// A number below `bound`, for numbers of members.
    #[inline]
    pub(crate) fn index_below(&mut self, bound: u32) -> u32 {
        loop {
            let wide = (self.next() >> 32) * u64::from(bound);
            let low = (wide & 0xffff_ffff) as u32;
            if low >= bound || low >= bound.wrapping_neg() % bound.max(1) {
                return (wide >> 32) as u32;
            }
        }
    }
}

/// Spreads the bits of a number over 64 bits, one to one.
#[inline]
pub(crate) const fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_below_the_bound_is_equally_likely() {
        let mut chance = Chance::new(7);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[chance.index_below(6) as usize] += 1;
        }
        // Six cells, five degrees of freedom: 20.5 is the 99.9 % point.
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 20.5, "{counts:?}");
        assert_eq!((chance.below(0), chance.index_below(0)), (0, 0));
        assert_eq!(chance.below(1), 0);
    }

    #[test]
    fn a_bound_above_half_the_range_is_met() {
        let mut chance = Chance::new(1);
        let bound = (1 << 63) + 1;
        assert!((0..1000).all(|_| chance.below(bound) < bound));
    }
}
