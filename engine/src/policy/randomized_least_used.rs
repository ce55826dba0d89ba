//! Randomized Least Used (RFC 5356, 5.4): an element is drawn in proportion to
//! the load it is short of 100 %, at least with weight 1: a full element is
//! unlikely, not drained.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Lots).with_load();

pub(super) const fn standing(values: Values) -> Standing {
    let free = u32::MAX - values.first;
    Standing::Weight(if free == 0 { 1 } else { free })
}
