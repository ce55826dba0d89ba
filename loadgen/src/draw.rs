//! Numbers drawn as a pure function of a seed and of what they are for, so
//! that equal seeds give equal loads whatever the timing.

/// A number for `(seed, purpose, index)`, evenly spread (splitmix64).
pub(crate) const fn draw(seed: u64, purpose: Purpose, index: u64) -> u64 {
    let stream = seed ^ (purpose as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
    scramble(scramble(stream).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// A number below `bound` (0 if that is 0) for `(seed, purpose, index)`.
pub(crate) fn draw_below(seed: u64, purpose: Purpose, index: u64, bound: u32) -> u32 {
    let wide = u64::from(bound) * (draw(seed, purpose, index) >> 32);
    // The product of two 32-bit numbers, shifted by 32, is below `bound`.
    u32::try_from(wide >> 32).unwrap_or(0)
}

/// What a number is drawn for: each has its own stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    PeIds = 1,
    Value = 2,
    Items = 3,
    PoolOrElement = 4,
    Pool = 5,
    Element = 6,
    Churn = 7,
}

const fn scramble(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_arguments_draw_equal_numbers_and_others_differ() {
        assert_eq!(draw(1, Purpose::Pool, 7), draw(1, Purpose::Pool, 7));
        assert_ne!(draw(1, Purpose::Pool, 7), draw(2, Purpose::Pool, 7));
        assert_ne!(draw(1, Purpose::Pool, 7), draw(1, Purpose::Value, 7));
        assert_ne!(draw(1, Purpose::Pool, 7), draw(1, Purpose::Pool, 8));
    }

    #[test]
    fn numbers_below_a_bound_spread_over_all_of_it() {
        let mut seen = [0_u32; 10];
        for index in 0..10_000 {
            seen[draw_below(3, Purpose::Items, index, 10) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
        assert_eq!(draw_below(3, Purpose::Items, 1, 0), 0);
    }
}
