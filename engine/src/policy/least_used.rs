//! Least Used (RFC 5356, 5.1): the lowest load first. Equal loads take turns.
//!
//! With a delay penalty factor (rsplib), a distant element counts as loaded by
//! its distance: load + distance * DPF, at most 100 %.

use super::{Standing, Values};

pub(super) const fn standing(values: Values) -> Standing {
    Standing::Key(values.first.saturating_add(values.remoteness()))
}
