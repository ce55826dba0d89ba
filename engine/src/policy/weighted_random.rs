//! Weighted Random (RFC 5356, 4.4): an element is drawn in proportion to its
//! weight, and in an answer at most once. Weight 0 is never drawn. A selection
//! changes nothing.
//!
//! With a delay penalty factor (rsplib), the weight falls with the distance:
//! weight - weight * distance * DPF, but not below 1.

use super::{Standing, Values};

pub(super) const fn standing(values: Values) -> Standing {
    Standing::Weight(values.first)
}

pub(super) const fn standing_with_distance(values: Values) -> Standing {
    let weight = values.first as u128;
    let penalty = weight * values.distance as u128 * values.dpf as u128 / u32::MAX as u128;
    if weight == 0 || penalty < weight {
        Standing::Weight(((weight - penalty) & 0xffff_ffff) as u32)
    } else {
        Standing::Weight(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_takes_its_share_of_the_weight_but_not_all() {
        let weight = |first, distance, dpf| {
            standing_with_distance(Values { first, distance, dpf, ..Values::default() })
        };
        // A tenth of a percent a millisecond.
        let dpf = u32::MAX / 1000;
        assert_eq!(weight(1000, 0, dpf), Standing::Weight(1000));
        assert_eq!(weight(1000, 100, dpf), Standing::Weight(901));
        assert_eq!(weight(1000, 999, dpf), Standing::Weight(2));
        assert_eq!(weight(1000, 2000, dpf), Standing::Weight(1));
        assert_eq!(weight(0, 2000, dpf), Standing::Weight(0));
        assert_eq!(weight(u32::MAX, u32::MAX, u32::MAX), Standing::Weight(1));
    }
}
