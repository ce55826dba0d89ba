//! Weighted Random (RFC 5356, 4.4): an element is drawn in proportion to its
//! weight, and in an answer at most once. Weight 0 is never drawn. A selection
//! changes nothing.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Lots);

pub(super) const fn standing(values: Values) -> Standing {
    Standing::Weight(values.first)
}
