//! Records under slot numbers that are used again.

use core::fmt;
use core::ops::{Index, IndexMut};

use crate::paged::{NONE, Paged};

/// A record that can hold a link to the next vacant slot while it is vacant.
pub(crate) trait Vacant: Copy + Default {
    fn set_next_vacant(&mut self, next: u32);
    fn next_vacant(&self) -> u32;
}

/// A paged array of records with a list of the vacant ones.
pub(crate) struct Slab<T, const PAGE: usize = 64> {
    records: Paged<T, PAGE>,
    /// The first slot never used.
    fresh: u32,
    vacant: u32,
    len: u32,
}

impl<T, const PAGE: usize> fmt::Debug for Slab<T, PAGE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<T: Vacant, const PAGE: usize> Slab<T, PAGE> {
    pub(crate) fn for_slots(slots: u32) -> Self {
        Self { records: Paged::for_slots(slots), fresh: 0, vacant: NONE, len: 0 }
    }

    /// The number of slots in use.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// All slots in use are below this one.
    pub(crate) const fn end(&self) -> u32 {
        self.fresh
    }

    /// Whether all slots below `limit` were used and none is vacant.
    pub(crate) const fn is_exhausted(&self, limit: u32) -> bool {
        self.vacant == NONE && self.fresh >= limit
    }

    /// A slot. Its record is as its last user left it, or the default.
    pub(crate) fn take(&mut self) -> u32 {
        self.len += 1;
        if self.vacant == NONE {
            let slot = self.fresh;
            self.fresh += 1;
            self.records.reserve(slot);
            slot
        } else {
            let slot = self.vacant;
            self.vacant = self.records[slot].next_vacant();
            slot
        }
    }

    /// Makes a slot vacant.
    pub(crate) fn give_back(&mut self, slot: u32) {
        self.records[slot].set_next_vacant(self.vacant);
        self.vacant = slot;
        self.len -= 1;
    }

    /// Takes a slot out of use for ever.
    pub(crate) const fn retire(&mut self) {
        self.len -= 1;
    }

    /// The vacant slots, for checks.
    pub(crate) fn vacant(&self) -> impl Iterator<Item = u32> {
        let mut at = self.vacant;
        core::iter::from_fn(move || {
            (at != NONE).then(|| {
                let slot = at;
                at = self.records[slot].next_vacant();
                slot
            })
        })
    }
}

impl<T, const PAGE: usize> Index<u32> for Slab<T, PAGE> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.records[slot]
    }
}

impl<T, const PAGE: usize> IndexMut<u32> for Slab<T, PAGE> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.records[slot]
    }
}
