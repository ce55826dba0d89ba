//! Least Used with Degradation and a delay penalty factor (rsplib): the lowest
//! load + n * degradation + distance * DPF first, where n counts the
//! selections since the element registered last. Each selection counts once.
//! Equals take turns.

use super::{Family, Rule, Standing, Values, least_used_dpf};

pub(super) const RULE: Rule =
    Rule::of(Family::Sorted).with_load().with_degradation().with_distance();

/// Before the first selection it stands as in Least Used with a delay penalty
/// factor; each selection adds the degradation to the key.
pub(super) const fn standing(values: Values) -> Standing {
    least_used_dpf::standing(values)
}
