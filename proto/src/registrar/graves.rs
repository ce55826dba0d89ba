//! Elements that are gone, remembered for a while: a registrar that has not
//! heard of it yet cannot bring back one that left, and one that returns, from
//! wherever it was, gets a greater term than it had.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rserpool_engine::{AssociationId, Timestamp};

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
    /// It fell silent here, on this association. If it deregisters over that
    /// after all, it left.
    pub(super) association: Option<AssociationId>,
}

/// The elements that are gone, by the hash of their name.
#[derive(Debug, Default)]
pub(super) struct Graves {
    graves: BTreeMap<u64, (Timestamp, Grave)>,
    /// In the order they went. One that came back, or went again, has a place
    /// here that is no longer its own: its time is another.
    order: VecDeque<(Timestamp, u64)>,
}

impl Graves {
    /// An element is gone.
    pub(super) fn bury(&mut self, now: Timestamp, name: u64, grave: Grave) {
        while self.order.len() >= GRAVES_MAX
            || self.order.front().is_some_and(|(at, _)| at.after(REMEMBERED) <= now)
        {
            if let Some((at, name)) = self.order.pop_front()
                && self.graves.get(&name).is_some_and(|(buried, _)| *buried == at)
            {
                self.graves.remove(&name);
            }
        }
        self.graves.insert(name, (now, grave));
        self.order.push_back((now, name));
    }

    /// What is remembered of an element.
    pub(super) fn find(&self, now: Timestamp, name: u64) -> Option<Grave> {
        let (at, grave) = *self.graves.get(&name)?;
        (at.after(REMEMBERED) > now).then_some(grave)
    }

    /// An element that is not here deregisters. `true`: it is known now that it
    /// left.
    pub(super) fn leave(&mut self, now: Timestamp, name: u64, by: AssociationId) -> bool {
        let silent = self.find(now, name).filter(|grave| grave.association == Some(by));
        let leaves = silent.is_some_and(|grave| !grave.left);
        if let Some(grave) = silent.filter(|_| leaves) {
            self.bury(now, name, Grave { left: true, ..grave });
        }
        leaves
    }

    /// It is back.
    pub(super) fn exhume(&mut self, name: u64) {
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
        let grave = Grave { term: 7, left: true, association: None };
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

    #[test]
    fn an_element_that_came_back_and_left_again_is_remembered_as_long_as_any() {
        let mut graves = Graves::default();
        let (first, again) = (Timestamp::from_micros(1), Timestamp::from_micros(299_000_000));
        let grave = Grave { term: 7, left: true, association: None };
        graves.bury(first, 1, grave);
        graves.bury(first, 2, grave);
        graves.exhume(1);
        graves.bury(again, 1, grave);
        graves.bury(again, 2, grave);
        // The places of the first time are cleared away.
        let later = first.after(REMEMBERED);
        graves.bury(later, 3, grave);
        assert_eq!([1, 2].map(|name| graves.find(later, name)), [Some(grave); 2]);
        assert_eq!(graves.order.len(), 3);
        let end = again.after(REMEMBERED);
        assert_eq!([1, 2].map(|name| graves.find(end, name)), [None; 2]);
    }

    #[test]
    fn only_the_association_that_a_silent_element_came_by_says_that_it_left() {
        let mut graves = Graves::default();
        let now = Timestamp::from_micros(1);
        let (its, other) = (AssociationId(1), AssociationId(2));
        graves.bury(now, 1, Grave { term: 7, left: false, association: Some(its) });
        graves.bury(now, 2, Grave { term: 7, left: false, association: None });
        assert!(!graves.leave(now, 1, other) && !graves.leave(now, 2, other));
        assert!(!graves.leave(now, 3, its), "nobody knows of it");
        assert!(graves.leave(now, 1, its) && !graves.leave(now, 1, its));
        assert!(graves.find(now, 1).is_some_and(|grave| grave.left && grave.term == 7));
    }
}
