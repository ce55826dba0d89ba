//! Elements by association and by home registrar: intrusive doubly linked
//! lists, one for each association or registrar that has any.

use crate::PeChecksum;
use crate::element::{Element, Link};
use crate::hash::Hasher;
use crate::index::Index;
use crate::paged::NONE;
use crate::slab::{Slab, Vacant};

/// Which link of an element a list uses.
pub(crate) const BY_HOME: usize = 0;
/// See [`BY_HOME`].
pub(crate) const BY_ASSOCIATION: usize = 1;

/// One list.
#[derive(Clone, Copy, Default)]
struct Group {
    id: u64,
    sum: PeChecksum,
    /// The wrapping sum of the marks of its elements.
    marks: u64,
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

/// The lists of one kind. A list is there while it has an element, and one
/// that is kept is there always.
#[derive(Debug)]
pub(crate) struct Groups<const LIST: usize> {
    groups: Slab<Group, 256>,
    index: Index,
    hasher: Hasher,
    /// The list of the latest registration: most likely that of the next.
    recent: u32,
    /// The list that is there always, or none.
    kept: u32,
}

impl<const LIST: usize> Groups<LIST> {
    pub(crate) fn for_slots(slots: u32, hasher: Hasher) -> Self {
        Self {
            groups: Slab::for_slots(slots),
            index: Index::for_slots(slots),
            hasher,
            recent: NONE,
            kept: NONE,
        }
    }

    /// The same with a list of this identity that is there always; returns it
    /// as well.
    pub(crate) fn keeping(slots: u32, hasher: Hasher, id: u64) -> (Self, u32) {
        let mut groups = Self::for_slots(slots, hasher);
        groups.kept = groups.create(id);
        let kept = groups.kept;
        (groups, kept)
    }

    /// The number of lists that have elements.
    pub(crate) fn len(&self) -> u32 {
        let idle = self.kept != NONE && self.groups[self.kept].len == 0;
        self.groups.len() - u32::from(idle)
    }

    /// The identities of all lists, with their sums.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, PeChecksum)> {
        let lists = (0..self.groups.end()).map(|group| &self.groups[group]);
        lists.filter(|list| list.len > 0).map(|list| (list.id, list.sum))
    }

    /// The list of this identity.
    #[inline]
    pub(crate) fn find(&self, id: u64) -> Option<u32> {
        if self.recent != NONE && self.groups[self.recent].id == id {
            return Some(self.recent);
        }
        self.index.find(self.hasher.number(id), |group| self.groups[group].id == id)
    }

    /// The identity of a list.
    #[inline]
    pub(crate) fn id(&self, group: u32) -> u64 {
        self.groups[group].id
    }

    /// Any element of a list.
    #[inline]
    pub(crate) fn first(&self, group: u32) -> Option<u32> {
        let first = self.groups[group].first;
        (first != NONE).then_some(first)
    }

    /// The number of a list's elements.
    pub(crate) fn len_of(&self, group: u32) -> u32 {
        self.groups[group].len
    }

    /// The sum of the shares of a list's elements.
    pub(crate) fn sum(&self, group: u32) -> PeChecksum {
        self.groups[group].sum
    }

    /// The wrapping sum of the marks of a list's elements.
    pub(crate) fn marks(&self, group: u32) -> u64 {
        self.groups[group].marks
    }

    /// Replaces a mark in the sum of a list.
    #[inline]
    pub(crate) fn replace_mark(&mut self, group: u32, before: u64, after: u64) {
        let list = &mut self.groups[group];
        list.marks = list.marks.wrapping_sub(before).wrapping_add(after);
    }

    /// Adds an element to the list of this identity, and its share to the sum.
    /// Returns the list.
    #[inline]
    pub(crate) fn add(
        &mut self,
        elements: &mut Slab<Element>,
        id: u64,
        element: u32,
        share: PeChecksum,
    ) -> u32 {
        let group = self.find_or_create(id);
        self.add_to(elements, group, element, share);
        group
    }

    /// The list of this identity, which gets an element at once.
    #[inline]
    pub(crate) fn find_or_create(&mut self, id: u64) -> u32 {
        let group = self.find(id).unwrap_or_else(|| self.create(id));
        self.recent = group;
        group
    }

    /// Adds an element to this list.
    #[inline]
    pub(crate) fn add_to(
        &mut self,
        elements: &mut Slab<Element>,
        group: u32,
        element: u32,
        share: PeChecksum,
    ) {
        let list = &mut self.groups[group];
        let next = core::mem::replace(&mut list.first, element);
        list.len += 1;
        list.sum.add(share);
        elements[element].links[LIST] = Link { previous: NONE, next };
        if next != NONE {
            elements[next].links[LIST].previous = element;
        }
    }

    fn create(&mut self, id: u64) -> u32 {
        let group = self.groups.take();
        self.groups[group] = Group { id, first: NONE, ..Group::default() };
        let (groups, hasher) = (&self.groups, self.hasher);
        self.index.insert(hasher.number(id), group, |it| hasher.number(groups[it].id));
        group
    }

    /// Removes an element from its list.
    #[inline]
    pub(crate) fn remove(
        &mut self,
        elements: &mut Slab<Element>,
        group: u32,
        element: u32,
        share: PeChecksum,
    ) {
        let Link { previous, next } = elements[element].links[LIST];
        if next != NONE {
            elements[next].links[LIST].previous = previous;
        }
        let list = &mut self.groups[group];
        if previous == NONE {
            list.first = next;
        } else {
            elements[previous].links[LIST].next = next;
        }
        list.len -= 1;
        list.sum.subtract(share);
        if list.len == 0 && group != self.kept {
            self.drop_list(group);
        }
    }

    #[cold]
    fn drop_list(&mut self, group: u32) {
        self.index.remove(self.hasher.number(self.groups[group].id), group);
        self.groups.give_back(group);
        if self.recent == group {
            self.recent = NONE;
        }
    }

    /// Moves the first element of a list, which is this one, to another.
    #[inline]
    pub(crate) fn pass_on(
        &mut self,
        elements: &mut Slab<Element>,
        from: u32,
        to: u32,
        element: u32,
        share: PeChecksum,
    ) {
        let list = &mut self.groups[to];
        let behind = core::mem::replace(&mut list.first, element);
        list.len += 1;
        list.sum.add(share);
        let link = &mut elements[element].links[LIST];
        let next = core::mem::replace(&mut link.next, behind);
        if behind != NONE {
            elements[behind].links[LIST].previous = element;
        }
        if next != NONE {
            elements[next].links[LIST].previous = NONE;
        }
        let list = &mut self.groups[from];
        list.first = next;
        list.len -= 1;
        list.sum.subtract(share);
        if list.len == 0 && from != self.kept {
            self.drop_list(from);
        }
    }

    /// Checks the lists; calls `visit` with each list and each of its elements.
    pub(crate) fn assert_invariants(
        &self,
        elements: &Slab<Element>,
        mut visit: impl FnMut(u32, u32),
    ) {
        let hash = |group: u32| self.hasher.number(self.groups[group].id);
        self.index.assert_invariants(hash);
        assert_eq!(self.index.len(), self.groups.len(), "each list is in the index");
        let mut vacant = vec![false; self.groups.end() as usize];
        self.groups.vacant().for_each(|group| vacant[group as usize] = true);
        for group in (0..self.groups.end()).filter(|&group| !vacant[group as usize]) {
            let list = self.groups[group];
            assert!(list.len > 0 || group == self.kept, "a list goes with its last element");
            assert_eq!(self.find(list.id), Some(group), "a list is found by its identity");
            let (mut previous, mut at, mut len) = (NONE, list.first, 0);
            while at != NONE {
                let link = elements[at].links[LIST];
                assert_eq!(link.previous, previous, "links go both ways");
                visit(group, at);
                len += 1;
                (previous, at) = (at, link.next);
            }
            assert_eq!(len, list.len, "a list counts its elements");
        }
    }
}
