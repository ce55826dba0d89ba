//! Randomized Priority Least Used with Degradation (rsplib): drawn in
//! proportion to what load + (n + 1) * degradation is short of 100 %, at least
//! with weight 1, where n counts the selections since the element registered
//! last. (In rsplib itself n stays 0.)

use super::{Family, Rule, Standing, Values, randomized_priority_least_used};

pub(super) const RULE: Rule = Rule::of(Family::Lots).with_load().with_degradation();

/// Before the first selection it stands as in Randomized Priority Least Used;
/// each selection takes the degradation from the weight.
pub(super) const fn standing(values: Values) -> Standing {
    randomized_priority_least_used::standing(values)
}
