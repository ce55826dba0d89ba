//! Priority Least Used (RFC 5356, 5.3): the lowest load that the element would
//! have with one more request, load + degradation, first. Equals take turns.
//!
//! With a delay penalty factor (rsplib), distance * DPF is added.

use super::{Standing, Values, least_used};

pub(super) const fn standing(values: Values) -> Standing {
    let load = values.first.saturating_add(values.degradation);
    least_used::standing(Values { first: load, ..values })
}
