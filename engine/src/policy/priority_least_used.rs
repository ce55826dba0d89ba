//! Priority Least Used (RFC 5356, 5.3): the lowest load that the element would
//! have with one more request, load + degradation, first. Equals take turns.

use super::{Family, Rule, Standing, Values, least_used};

pub(super) const RULE: Rule = Rule::of(Family::Sorted).with_load();

pub(super) const fn standing(values: Values) -> Standing {
    least_used::standing(values.with_one_more())
}
