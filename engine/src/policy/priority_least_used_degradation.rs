//! Priority Least Used with Degradation (rsplib): load + (n + 1) *
//! degradation, lowest first, where n counts the selections since the element
//! registered last. Each selection counts once. Equals take turns.

use super::{Family, Rule, Standing, Values, priority_least_used};

pub(super) const RULE: Rule = Rule::of(Family::Sorted).with_load().with_degradation();

/// Before the first selection it stands as in Priority Least Used; each
/// selection adds the degradation to the key.
pub(super) const fn standing(values: Values) -> Standing {
    priority_least_used::standing(values)
}
