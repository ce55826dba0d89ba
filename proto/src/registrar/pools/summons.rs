//! Elements that were called as this registrar's own, and given back to
//! another home before they answered.
//!
//! The call may reach them yet, and then they leave that home for this one:
//! rsplib's elements do, and its registrar says that they are gone. So their
//! answer counts, and until it can be here such a removal does not.

use std::collections::VecDeque;

use rserpool_engine::{ElementKey, Timestamp};

/// Elements remembered. Who is forgotten comes back by registering again.
const SUMMONS_MAX: usize = 4096;

/// All of them, in the order in which they are forgotten.
#[derive(Debug, Default)]
pub(super) struct Summons(VecDeque<(ElementKey, Timestamp)>);

impl Summons {
    /// The element was called and goes to another home; its answer counts until
    /// then.
    pub(super) fn add(&mut self, now: Timestamp, key: ElementKey, until: Timestamp) {
        self.forget_old(now);
        if self.0.len() >= SUMMONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((key, until));
    }

    /// Whether the element may still answer.
    pub(super) fn contains(&mut self, now: Timestamp, key: ElementKey) -> bool {
        self.forget_old(now);
        self.0.iter().any(|&(summoned, _)| summoned == key)
    }

    /// The element answered, or is this registrar's for another reason.
    pub(super) fn remove(&mut self, key: ElementKey) {
        self.0.retain(|&(summoned, _)| summoned != key);
    }

    fn forget_old(&mut self, now: Timestamp) {
        while self.0.front().is_some_and(|&(_, until)| until <= now) {
            self.0.pop_front();
        }
    }
}
