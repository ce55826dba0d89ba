//! Least Used with Degradation (RFC 5356, 5.2): the lowest load + n *
//! degradation first, where n counts the selections since the element
//! registered last. Each selection counts once. Equals take turns.

use super::{Family, Rule, Standing, Values, least_used};

pub(super) const RULE: Rule = Rule::of(Family::Sorted).with_load().with_degradation();

/// Before the first selection it stands as in Least Used; each selection adds
/// the degradation to the key.
pub(super) const fn standing(values: Values) -> Standing {
    least_used::standing(values)
}
