//! Randomized Priority Least Used (rsplib): drawn in proportion to what load +
//! degradation is short of 100 %, at least with weight 1.

use super::{Family, Rule, Standing, Values, randomized_least_used};

pub(super) const RULE: Rule = Rule::of(Family::Lots).with_load();

pub(super) const fn standing(values: Values) -> Standing {
    randomized_least_used::standing(values.with_one_more())
}
