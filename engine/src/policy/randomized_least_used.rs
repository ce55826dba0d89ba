//! Randomized Least Used (RFC 5356, 5.4): an element is drawn in proportion to
//! the load it is short of 100 %, at least with weight 1: a full element is
//! unlikely, not drained.

use super::{Standing, Values};

pub(super) const fn standing(values: Values) -> Standing {
    let free = u32::MAX - values.first;
    Standing::Weight(if free == 0 { 1 } else { free })
}
