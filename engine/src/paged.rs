//! Arrays that grow by pages: an entry never moves, growth copies nothing.
//!
//! A page has a fixed number of entries, so that finding one is two loads and
//! one comparison, and has 4 to 8 KiB, so that adding one is no pause: a new
//! page of the system's memory costs up to two microseconds.

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

/// Entries of a page of words.
pub(crate) const WORDS: usize = 1024;

/// An array of `T`, addressed by slot, in pages of `PAGE` entries. Slots are
/// reserved one after the other, from 0 on.
pub(crate) struct Paged<T, const PAGE: usize = 64> {
    pages: Vec<Box<[T; PAGE]>>,
}

impl<T: Copy + Default, const PAGE: usize> Paged<T, PAGE> {
    /// An empty array. The table of its pages is reserved for `slots` slots,
    /// so that it never has to be copied.
    pub(crate) fn for_slots(slots: u32) -> Self {
        const { assert!(PAGE.is_power_of_two(), "an index is split by bits") }
        Self { pages: Vec::with_capacity(slots as usize / PAGE + 1) }
    }

    /// Makes sure that `slot` can be written.
    #[inline]
    pub(crate) fn reserve(&mut self, slot: u32) {
        while slot as usize / PAGE >= self.pages.len() {
            self.add_page();
        }
    }

    /// Whether `slot` can be written.
    #[inline]
    pub(crate) fn is_reserved(&self, slot: u32) -> bool {
        (slot as usize / PAGE) < self.pages.len()
    }

    /// The entry, or the default where none was written.
    #[inline]
    pub(crate) fn get_or_default(&self, slot: u32) -> T {
        if self.is_reserved(slot) { self[slot] } else { T::default() }
    }

    #[cold]
    fn add_page(&mut self) {
        let page = vec![T::default(); PAGE].try_into();
        let Ok(page) = page else { unreachable!("a page has as many entries as were made") };
        self.pages.push(page);
    }
}

impl<T, const PAGE: usize> Index<u32> for Paged<T, PAGE> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.pages[slot as usize / PAGE][slot as usize % PAGE]
    }
}

impl<T, const PAGE: usize> IndexMut<u32> for Paged<T, PAGE> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.pages[slot as usize / PAGE][slot as usize % PAGE]
    }
}

/// An array of `T` of which few slots are used: a page is there once one of
/// its slots was reserved.
pub(crate) struct Sparse<T> {
    pages: Vec<Option<Box<[T; SPARSE]>>>,
}

/// Entries of a page of a sparse array.
const SPARSE: usize = 512;

impl<T: Copy + Default> Sparse<T> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    /// Makes sure that `slot` can be written.
    #[inline]
    pub(crate) fn reserve(&mut self, slot: u32) {
        let page = slot as usize / SPARSE;
        if !matches!(self.pages.get(page), Some(Some(_))) {
            if page >= self.pages.len() {
                self.pages.resize_with(page + 1, || None);
            }
            self.pages[page] = vec![T::default(); SPARSE].try_into().ok();
        }
    }

    /// The entry of a slot, if it can be written.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        let page = self.pages.get(slot as usize / SPARSE)?.as_ref()?;
        Some(&page[slot as usize % SPARSE])
    }
}

#[cold]
fn absent() -> ! {
    unreachable!("a slot is reserved before it is used")
}

impl<T> Index<u32> for Sparse<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        match &self.pages[slot as usize / SPARSE] {
            Some(page) => &page[slot as usize % SPARSE],
            None => absent(),
        }
    }
}

impl<T> IndexMut<u32> for Sparse<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        match &mut self.pages[slot as usize / SPARSE] {
            Some(page) => &mut page[slot as usize % SPARSE],
            None => absent(),
        }
    }
}

impl<T> fmt::Debug for Sparse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sparse").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

impl<T, const PAGE: usize> fmt::Debug for Paged<T, PAGE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paged").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}
