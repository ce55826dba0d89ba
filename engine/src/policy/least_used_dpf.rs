//! Least Used with a delay penalty factor (rsplib): a distant element counts
//! as loaded by its distance. The lowest load + distance * DPF first, at most
//! 100 %. Equals take turns.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Sorted).with_load().with_distance();

pub(super) const fn standing(values: Values) -> Standing {
    Standing::Key(values.first.saturating_add(values.remoteness()))
}
