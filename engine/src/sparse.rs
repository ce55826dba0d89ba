//! Arrays of which few pages are used: what only some elements have.

use core::ops::{Index, IndexMut};

const PAGE: usize = 1024;

/// An array of `T`, addressed by slot. A page is there from its first use on.
#[derive(Debug)]
pub(crate) struct Sparse<T> {
    pages: Vec<Option<Box<[T]>>>,
}

impl<T: Copy + Default> Sparse<T> {
    pub(crate) const EMPTY: Self = Self { pages: Vec::new() };

    /// Makes sure that `slot` can be written.
    pub(crate) fn reserve(&mut self, slot: u32) {
        let page = slot as usize / PAGE;
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        self.pages[page].get_or_insert_with(|| vec![T::default(); PAGE].into_boxed_slice());
    }

    /// The entry of a slot, if it can be written.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.pages.get(slot as usize / PAGE)?.as_ref().map(|page| &page[slot as usize % PAGE])
    }

    /// The entry of a slot, to write, if it can be.
    fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let page = self.pages.get_mut(slot as usize / PAGE)?;
        page.as_mut().map(|page| &mut page[slot as usize % PAGE])
    }
}

impl<T: Copy + Default> Index<u32> for Sparse<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        let Some(entry) = self.get(slot) else { unreachable!("a slot is reserved before") };
        entry
    }
}

impl<T: Copy + Default> IndexMut<u32> for Sparse<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        let Some(entry) = self.get_mut(slot) else { unreachable!("a slot is reserved before") };
        entry
    }
}
