//! Priority Least Used with a delay penalty factor (rsplib): the lowest load +
//! degradation + distance * DPF first. Equals take turns. It has no form on
//! the wire.

use super::{Family, Rule, Standing, Values, least_used_dpf};

pub(super) const RULE: Rule = Rule::of(Family::Sorted).with_load().with_distance();

pub(super) const fn standing(values: Values) -> Standing {
    least_used_dpf::standing(values.with_one_more())
}
