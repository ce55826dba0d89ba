//! Least Used (RFC 5356, 5.1): the lowest load first. Equal loads take turns.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Sorted).with_load();

pub(super) const fn standing(values: Values) -> Standing {
    Standing::Key(values.first)
}
