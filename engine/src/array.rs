//! Arrays of lots in an arena: they grow and shrink at the end, in steps that
//! never copy more than one leaf.

use crate::ElementKey;
use crate::arena::Arena;
use crate::paged::NONE;

/// Words of an entry.
const ENTRY: usize = 3;
/// Entries of a leaf: 16 KiB. A larger array is a directory of leaves.
const LEAF: u32 = 1365;
const LEAF_WORDS: usize = LEAF as usize * ENTRY;

/// An element and its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lot {
    pub(crate) key: ElementKey,
    pub(crate) weight: u32,
}

/// An array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array {
    root: u32,
    len: u32,
    /// The root is a directory of leaves.
    is_directory: bool,
}

impl Array {
    pub(crate) const EMPTY: Self = Self { root: NONE, len: 0, is_directory: false };

    #[inline]
    pub(crate) const fn len(self) -> u32 {
        self.len
    }

    #[inline]
    fn place(self, words: &Arena<u32>, index: u32) -> (u32, usize) {
        if self.is_directory {
            let leaf = (index / LEAF) as usize;
            (words.get(self.root, leaf + 1)[leaf], (index % LEAF) as usize * ENTRY)
        } else {
            (self.root, index as usize * ENTRY)
        }
    }

    /// The entry at an index below the length.
    #[inline]
    pub(crate) fn get(self, words: &Arena<u32>, index: u32) -> Lot {
        let (block, at) = self.place(words, index);
        let entry = &words.get(block, at + ENTRY)[at..];
        Lot { key: ElementKey { index: entry[0], generation: entry[1] }, weight: entry[2] }
    }

    /// Overwrites the entry at an index below the length.
    #[inline]
    pub(crate) fn set(self, words: &mut Arena<u32>, index: u32, lot: Lot) {
        let (block, at) = self.place(words, index);
        let entry = &mut words.get_mut(block, at + ENTRY)[at..];
        (entry[0], entry[1], entry[2]) = (lot.key.index, lot.key.generation, lot.weight);
    }

    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, words: &mut Arena<u32>, lot: Lot) {
        let index = self.len;
        if self.is_directory {
            if index.is_multiple_of(LEAF) {
                self.add_leaf(words);
            }
        } else if index == LEAF {
            let directory = words.allocate(2);
            words.get_mut(directory, 1)[0] = self.root;
            (self.root, self.is_directory) = (directory, true);
            self.add_leaf(words);
        } else {
            let capacity = if self.root == NONE { 0 } else { words.capacity(self.root) };
            let used = index as usize * ENTRY;
            if used + ENTRY > capacity {
                let entries = (index + index / 2 + 2).min(LEAF) as usize;
                self.move_to(words, entries * ENTRY, used);
            }
        }
        self.len += 1;
        self.set(words, index, lot);
    }

    fn add_leaf(&mut self, words: &mut Arena<u32>) {
        let leaves = (self.len / LEAF) as usize;
        if leaves == words.capacity(self.root) {
            self.move_to(words, 2 * leaves, leaves);
        }
        let leaf = words.allocate(LEAF_WORDS);
        words.get_mut(self.root, leaves + 1)[leaves] = leaf;
    }

    /// Moves the first `used` words of the root to a block of another size.
    fn move_to(&mut self, words: &mut Arena<u32>, size: usize, used: usize) {
        let block = words.allocate(size);
        if self.root != NONE {
            let mut moved = [0; 64];
            for start in (0..used).step_by(64) {
                let part = (used - start).min(64);
                moved[..part].copy_from_slice(&words.get(self.root, used)[start..start + part]);
                words.get_mut(block, start + part)[start..].copy_from_slice(&moved[..part]);
            }
            words.free(self.root);
        }
        self.root = block;
    }

    /// Removes the entry at an index; the last one takes its place. Returns
    /// the one that moved.
    pub(crate) fn swap_remove(&mut self, words: &mut Arena<u32>, index: u32) -> Option<Lot> {
        let last = self.get(words, self.len - 1);
        let moved = index != self.len - 1;
        if moved {
            self.set(words, index, last);
        }
        self.len -= 1;
        if self.is_directory {
            if self.len.is_multiple_of(LEAF) {
                let (leaf, _) = self.place(words, self.len);
                words.free(leaf);
                if self.len == LEAF {
                    let (first, _) = self.place(words, 0);
                    words.free(self.root);
                    (self.root, self.is_directory) = (first, false);
                }
            }
        } else if self.len == 0 {
            words.free(self.root);
            self.root = NONE;
        } else {
            let used = self.len as usize * ENTRY;
            if used * 4 < words.capacity(self.root) {
                self.move_to(words, used * 2, used);
            }
        }
        moved.then_some(last)
    }

    /// The number of blocks it has, for checks.
    pub(crate) fn blocks(self) -> u32 {
        match (self.len, self.is_directory) {
            (0, _) => 0,
            (_, false) => 1,
            (len, true) => len.div_ceil(LEAF) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_grows_over_many_leaves_and_shrinks_to_nothing() {
        let lot = |n: u32| Lot { key: ElementKey { index: n, generation: !n }, weight: n * 3 };
        let (mut words, mut array) = (Arena::new(), Array::EMPTY);
        let mut model = Vec::new();
        for n in 0..10_000 {
            array.push(&mut words, lot(n));
            model.push(lot(n));
        }
        assert_eq!(words.assert_invariants(), array.blocks());
        for n in 0..10_000_u32 {
            let at = n * 7919 % array.len();
            let last = model.len() - 1;
            let expected = (at as usize != last).then_some(model[last]);
            model.swap_remove(at as usize);
            assert_eq!(array.swap_remove(&mut words, at), expected);
            if n % 97 == 0 {
                let got: Vec<Lot> = (0..array.len()).map(|it| array.get(&words, it)).collect();
                assert_eq!(got, model);
                assert_eq!(words.assert_invariants(), array.blocks());
            }
        }
        assert_eq!((array.len(), words.assert_invariants()), (0, 0));
    }
}
