//! Priority (RFC 5356, 4.5): the highest priority first. Equal priorities take
//! turns: an element that was selected goes behind its equals.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Sorted);

pub(super) const fn standing(values: Values) -> Standing {
    Standing::Key(!values.first)
}
