//! Elements that left, remembered for a while: a registrar that has not heard
//! of it yet cannot bring them back.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rserpool_engine::Timestamp;

/// Elements remembered at once; the oldest are forgotten first.
const GRAVES_MAX: usize = 1 << 16;
/// How long one is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The elements that left, by the hash of their name, and their last terms.
#[derive(Debug, Default)]
pub(super) struct Graves {
    terms: BTreeMap<u64, u32>,
    /// In the order they left.
    order: VecDeque<(Timestamp, u64)>,
}

impl Graves {
    /// An element left.
    pub(super) fn bury(&mut self, now: Timestamp, name: u64, term: u32) {
        while self.order.len() >= GRAVES_MAX
            || self.order.front().is_some_and(|(at, _)| at.after(REMEMBERED) <= now)
        {
            if let Some((_, name)) = self.order.pop_front() {
                self.terms.remove(&name);
            }
        }
        if self.terms.insert(name, term).is_none() {
            self.order.push_back((now, name));
        }
    }

    /// The last term of an element that left; 0 if none is remembered.
    pub(super) fn term(&self, now: Timestamp, name: u64) -> u32 {
        let fresh = self.order.back().is_some_and(|(at, _)| at.after(REMEMBERED) > now);
        if fresh { self.terms.get(&name).copied().unwrap_or(0) } else { 0 }
    }

    /// It is back.
    pub(super) fn exhume(&mut self, name: u64) {
        // Its place in the order stays, and ends a later grave early at worst.
        self.terms.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_that_left_is_remembered_for_a_while_and_never_too_many() {
        let mut graves = Graves::default();
        let start = Timestamp::from_micros(1);
        graves.bury(start, 1, 7);
        assert_eq!((graves.term(start, 1), graves.term(start, 2)), (7, 0));
        assert_eq!(graves.term(start.after(REMEMBERED), 1), 0);
        for name in 2..100_000 {
            graves.bury(start, name, 1);
        }
        assert_eq!((graves.terms.len(), graves.order.len()), (GRAVES_MAX, GRAVES_MAX));
        assert_eq!(graves.term(start, 1), 0);
        graves.exhume(99_999);
        assert_eq!(graves.term(start, 99_999), 0);
    }
}
