//! Randomized Priority Least Used (rsplib): drawn in proportion to what load +
//! degradation is short of 100 %, at least with weight 1.

use super::{Standing, Values, randomized_least_used};

pub(super) const fn standing(values: Values) -> Standing {
    let load = values.first.saturating_add(values.degradation);
    randomized_least_used::standing(Values { first: load, ..values })
}
