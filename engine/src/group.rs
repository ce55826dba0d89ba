//! Elements by association and by home registrar: intrusive doubly linked
//! lists, one for each association or registrar that has any.

use ahash::RandomState;

use crate::PeChecksum;
use crate::index::Index;
use crate::paged::{NONE, Paged};
use crate::slab::{Slab, Vacant};

/// The neighbors of an element in its list.
#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { previous: NONE, next: NONE }
    }
}

/// One list.
#[derive(Clone, Copy, Default)]
struct Group {
    id: u64,
    sum: PeChecksum,
    first: u32,
    len: u32,
}

impl Vacant for Group {
    fn set_next_vacant(&mut self, next: u32) {
        self.first = next;
    }

    fn next_vacant(&self) -> u32 {
        self.first
    }
}

/// The lists of one kind. A list is there while it has an element.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: Slab<Group>,
    index: Index,
    links: Paged<Link>,
    hasher: RandomState,
    /// The list of the latest registration: most likely that of the next.
    recent: u32,
}

impl Groups {
    pub(crate) fn for_slots(slots: u32, hasher: RandomState) -> Self {
        Self {
            groups: Slab::for_slots(slots),
            index: Index::for_slots(slots),
            links: Paged::for_slots(slots),
            hasher,
            recent: NONE,
        }
    }

    /// The number of lists.
    pub(crate) const fn len(&self) -> u32 {
        self.groups.len()
    }

    /// The identities of all lists, with their sums.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, PeChecksum)> {
        let lists = (0..self.groups.end()).map(|group| &self.groups[group]);
        lists.filter(|list| list.len > 0).map(|list| (list.id, list.sum))
    }

    /// The list of this identity.
    pub(crate) fn find(&self, id: u64) -> Option<u32> {
        if self.recent != NONE && self.groups[self.recent].id == id {
            return Some(self.recent);
        }
        self.index.find(self.hasher.hash_one(id), |group| self.groups[group].id == id)
    }

    /// The identity of a list.
    pub(crate) fn id(&self, group: u32) -> u64 {
        self.groups[group].id
    }

    /// Any element of a list.
    pub(crate) fn first(&self, group: u32) -> u32 {
        self.groups[group].first
    }

    /// The sum of the shares of a list's elements.
    pub(crate) fn sum(&self, group: u32) -> PeChecksum {
        self.groups[group].sum
    }

    /// Adds an element to the list of this identity, and its share to the sum.
    /// Returns the list.
    pub(crate) fn add(&mut self, id: u64, element: u32, share: PeChecksum) -> u32 {
        let group = self.find(id).unwrap_or_else(|| self.create(id));
        self.recent = group;
        self.links.reserve(element);
        let list = &mut self.groups[group];
        let next = list.first;
        list.first = element;
        list.len += 1;
        list.sum.add(share);
        self.links[element] = Link { previous: NONE, next };
        if next != NONE {
            self.links[next].previous = element;
        }
        group
    }

    fn create(&mut self, id: u64) -> u32 {
        let group = self.groups.take();
        self.groups[group] = Group { id, first: NONE, ..Group::default() };
        let (groups, hasher) = (&self.groups, &self.hasher);
        self.index.insert(hasher.hash_one(id), group, |it| hasher.hash_one(groups[it].id));
        group
    }

    /// Removes an element from its list.
    pub(crate) fn remove(&mut self, group: u32, element: u32, share: PeChecksum) {
        let Link { previous, next } = self.links[element];
        if next != NONE {
            self.links[next].previous = previous;
        }
        if previous != NONE {
            self.links[previous].next = next;
        }
        let list = &mut self.groups[group];
        if previous == NONE {
            list.first = next;
        }
        list.len -= 1;
        list.sum.subtract(share);
        if list.len == 0 {
            self.index.remove(self.hasher.hash_one(list.id), group);
            self.groups.give_back(group);
            if self.recent == group {
                self.recent = NONE;
            }
        }
    }

    /// Checks the lists; calls `visit` with each list and each of its elements,
    /// and `end` with each list when it is through.
    pub(crate) fn assert_invariants(&self, mut visit: impl FnMut(u32, u32)) {
        let hash = |group: u32| self.hasher.hash_one(self.groups[group].id);
        self.index.assert_invariants(hash);
        assert_eq!(self.index.len(), self.groups.len(), "each list is in the index");
        let mut vacant = vec![false; self.groups.end() as usize];
        self.groups.vacant().for_each(|group| vacant[group as usize] = true);
        for group in (0..self.groups.end()).filter(|&group| !vacant[group as usize]) {
            let list = self.groups[group];
            assert!(list.len > 0, "a list goes with its last element");
            assert_eq!(self.find(list.id), Some(group), "a list is found by its identity");
            let (mut previous, mut at, mut len) = (NONE, list.first, 0);
            while at != NONE {
                assert_eq!(self.links[at].previous, previous, "links go both ways");
                visit(group, at);
                len += 1;
                (previous, at) = (at, self.links[at].next);
            }
            assert_eq!(len, list.len, "a list counts its elements");
        }
    }
}
