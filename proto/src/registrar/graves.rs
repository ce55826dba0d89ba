//! Elements that are gone, remembered for a while: a registrar that has not
//! heard of it yet cannot bring back one that left, and one that returns, from
//! wherever it was, gets a greater term than it had.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rserpool_engine::Timestamp;

/// Elements remembered at once; the oldest are forgotten first.
const GRAVES_MAX: usize = 1 << 16;
/// How long one is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// What is remembered of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grave {
    /// Its last term.
    pub(super) term: u32,
    /// It deregistered, or its registration life was over; otherwise it fell
    /// silent, and may be somewhere yet.
    pub(super) left: bool,
}

/// The elements that are gone, by the hash of their name.
#[derive(Debug, Default)]
pub(super) struct Graves {
    graves: BTreeMap<u64, Grave>,
    /// In the order they went.
    order: VecDeque<(Timestamp, u64)>,
}

impl Graves {
    /// An element is gone.
    pub(super) fn bury(&mut self, now: Timestamp, name: u64, grave: Grave) {
        while self.order.len() >= GRAVES_MAX
            || self.order.front().is_some_and(|(at, _)| at.after(REMEMBERED) <= now)
        {
            if let Some((_, name)) = self.order.pop_front() {
                self.graves.remove(&name);
            }
        }
        if self.graves.insert(name, grave).is_none() {
            self.order.push_back((now, name));
        }
    }

    /// What is remembered of an element.
    pub(super) fn find(&self, now: Timestamp, name: u64) -> Option<Grave> {
        let fresh = self.order.back().is_some_and(|(at, _)| at.after(REMEMBERED) > now);
        if fresh { self.graves.get(&name).copied() } else { None }
    }

    /// It is back.
    pub(super) fn exhume(&mut self, name: u64) {
        // Its place in the order stays, and ends a later grave early at worst.
        self.graves.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_that_left_is_remembered_for_a_while_and_never_too_many() {
        let mut graves = Graves::default();
        let start = Timestamp::from_micros(1);
        let grave = Grave { term: 7, left: true };
        graves.bury(start, 1, grave);
        assert_eq!((graves.find(start, 1), graves.find(start, 2)), (Some(grave), None));
        assert_eq!(graves.find(start.after(REMEMBERED), 1), None);
        for name in 2..100_000 {
            graves.bury(start, name, grave);
        }
        assert_eq!((graves.graves.len(), graves.order.len()), (GRAVES_MAX, GRAVES_MAX));
        assert_eq!(graves.find(start, 1), None);
        graves.exhume(99_999);
        assert_eq!(graves.find(start, 99_999), None);
    }
}
