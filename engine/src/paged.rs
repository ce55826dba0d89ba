//! Arrays that grow by pages: an entry never moves, growth copies nothing,
//! and what nobody wrote to is not resident.

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

const PAGE_BITS: u32 = 12;
const PAGE: usize = 1 << PAGE_BITS;

/// An array of `T`, addressed by slot.
pub(crate) struct Paged<T> {
    /// A page is empty, or filled as far as it was used: its memory is taken
    /// as a whole, but becomes resident step by step.
    pages: Vec<Vec<T>>,
}

impl<T: Copy + Default> Paged<T> {
    /// An empty array. The table of its pages is reserved for `slots` slots,
    /// so that it never has to be copied.
    pub(crate) fn for_slots(slots: u32) -> Self {
        Self { pages: Vec::with_capacity((slots >> PAGE_BITS) as usize + 1) }
    }

    /// Makes sure that `slot` can be written.
    #[inline]
    pub(crate) fn reserve(&mut self, slot: u32) {
        let (page, index) = ((slot >> PAGE_BITS) as usize, slot as usize % PAGE);
        if self.pages.get(page).is_none_or(|page| page.len() <= index) {
            self.extend(page, index + 1);
        }
    }

    /// The entry of a slot, if it can be written.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.pages.get((slot >> PAGE_BITS) as usize)?.get(slot as usize % PAGE)
    }

    /// The entry, or the default where none was written.
    #[inline]
    pub(crate) fn get_or_default(&self, slot: u32) -> T {
        let page = self.pages.get((slot >> PAGE_BITS) as usize);
        page.and_then(|page| page.get(slot as usize % PAGE)).copied().unwrap_or_default()
    }

    #[inline(never)]
    fn extend(&mut self, page: usize, len: usize) {
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Vec::new);
        }
        let page = &mut self.pages[page];
        if page.capacity() == 0 {
            page.reserve_exact(PAGE);
        }
        page.resize(len, T::default());
    }
}

impl<T> Index<u32> for Paged<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.pages[(slot >> PAGE_BITS) as usize][slot as usize % PAGE]
    }
}

impl<T> IndexMut<u32> for Paged<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.pages[(slot >> PAGE_BITS) as usize][slot as usize % PAGE]
    }
}

impl<T> fmt::Debug for Paged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paged").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}
