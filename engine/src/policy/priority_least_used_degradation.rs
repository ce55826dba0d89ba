//! Priority Least Used with Degradation (rsplib): load + (n + 1) *
//! degradation, lowest first, where n counts the selections since the element
//! registered last. Each selection counts once. Equals take turns.
//!
//! With a delay penalty factor (rsplib), distance * DPF is added.

use super::{Standing, Values, priority_least_used};

/// Before the first selection it stands as in Priority Least Used; each
/// selection adds the degradation to the key.
pub(super) const fn standing(values: Values) -> Standing {
    priority_least_used::standing(values)
}
