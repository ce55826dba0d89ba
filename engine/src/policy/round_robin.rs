//! Round Robin (RFC 5356, 4.1): the elements form a circle in the order of
//! their registration. An answer starts at the place of the circle; the place
//! moves on by one element a request (by `Config::max_increment`), however
//! many were returned. A new element goes in behind all others; one that
//! registers again keeps its place.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Circle);

pub(super) const fn standing(_: Values) -> Standing {
    Standing::Turn
}
