//! Priority Least Used with Degradation and a delay penalty factor (rsplib):
//! load + (n + 1) * degradation + distance * DPF, lowest first, where n counts
//! the selections since the element registered last. Each selection counts
//! once. Equals take turns. It has no form on the wire.

use super::{Family, Rule, Standing, Values, priority_least_used_dpf};

pub(super) const RULE: Rule =
    Rule::of(Family::Sorted).with_load().with_degradation().with_distance();

/// Before the first selection it stands as in Priority Least Used with a delay
/// penalty factor; each selection adds the degradation to the key.
pub(super) const fn standing(values: Values) -> Standing {
    priority_least_used_dpf::standing(values)
}
