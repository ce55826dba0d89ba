//! Weighted Random with a delay penalty factor (rsplib): Weighted Random in
//! which the weight falls with the distance: weight - weight * distance * DPF,
//! the product rounded to the nearest, but not below 1. Weight 0 is never
//! drawn.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Lots).with_distance();

pub(super) const fn standing(values: Values) -> Standing {
    const FULL: u128 = u32::MAX as u128;
    let weight = values.first as u128;
    let share = values.distance as u128 * values.dpf as u128;
    let penalty = (weight * share + FULL / 2) / FULL;
    if weight == 0 || penalty < weight {
        Standing::Weight(((weight - penalty) & FULL) as u32)
    } else {
        Standing::Weight(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_takes_its_share_of_the_weight_but_not_all() {
        let weight =
            |first, distance, dpf| standing(Values { first, distance, dpf, ..Values::default() });
        // A tenth of a percent a millisecond.
        let dpf = u32::MAX / 1000;
        assert_eq!(weight(1000, 0, dpf), Standing::Weight(1000));
        assert_eq!(weight(1000, 100, dpf), Standing::Weight(900));
        assert_eq!(weight(1000, 999, dpf), Standing::Weight(1));
        assert_eq!(weight(1000, 2000, dpf), Standing::Weight(1));
        assert_eq!(weight(0, 2000, dpf), Standing::Weight(0));
        assert_eq!(weight(10, 149, dpf), Standing::Weight(9), "1.49 are 1");
        assert_eq!(weight(10, 151, dpf), Standing::Weight(8), "1.51 are 2");
        assert_eq!(weight(u32::MAX, u32::MAX, u32::MAX), Standing::Weight(1));
    }
}
