//! Arrays that grow by pages: an entry never moves, growth copies nothing,
//! and a page nobody wrote to does not exist.

use core::fmt;
use core::ops::{Index, IndexMut};

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// The number of an index inside a page, a block or a node.
#[expect(clippy::cast_possible_truncation, reason = "all these have less than 2^32 entries")]
#[inline]
pub(crate) const fn narrow(index: usize) -> u32 {
    index as u32
}

/// Slot numbers have 24 bits; the number of all ones is kept for "none". The
/// eight bits above carry hash tags and flags.
pub(crate) const SLOTS_MAX: u32 = (1 << 24) - 1;

const PAGE_BITS: u32 = 9;
const PAGE: usize = 1 << PAGE_BITS;

/// An array of `T`, addressed by slot.
pub(crate) struct Paged<T> {
    pages: Vec<Option<Box<[T; PAGE]>>>,
}

impl<T: Copy + Default> Paged<T> {
    /// An empty array. The table of its pages is reserved for `slots` slots,
    /// so that it never has to be copied; reserved is not yet resident.
    pub(crate) fn for_slots(slots: u32) -> Self {
        Self { pages: Vec::with_capacity((slots >> PAGE_BITS) as usize + 1) }
    }

    /// Makes sure that `slot` can be written.
    #[inline]
    pub(crate) fn reserve(&mut self, slot: u32) {
        let page = (slot >> PAGE_BITS) as usize;
        if self.pages.get(page).is_none_or(Option::is_none) {
            self.add(page);
        }
    }

    #[cold]
    fn add(&mut self, page: usize) {
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let Ok(fresh) = vec![T::default(); PAGE].into_boxed_slice().try_into() else {
            unreachable!("a page has PAGE entries")
        };
        self.pages[page] = Some(fresh);
    }
}

impl<T> Index<u32> for Paged<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        match &self.pages[(slot >> PAGE_BITS) as usize] {
            Some(page) => &page[slot as usize % PAGE],
            None => absent(),
        }
    }
}

impl<T> IndexMut<u32> for Paged<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        match &mut self.pages[(slot >> PAGE_BITS) as usize] {
            Some(page) => &mut page[slot as usize % PAGE],
            None => absent(),
        }
    }
}

#[cold]
fn absent() -> ! {
    unreachable!("a slot in use has its page")
}

impl<T> fmt::Debug for Paged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paged").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}
