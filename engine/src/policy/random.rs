//! Random (RFC 5356, 4.3): every element is as likely as the others, and in an
//! answer at most once. A selection changes nothing.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::EqualLots);

pub(super) const fn standing(_: Values) -> Standing {
    Standing::Weight(1)
}
