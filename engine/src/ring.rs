//! The order of Round Robin: a circle of elements and a place in it.
//!
//! The circle is a list of blocks, each two cache lines with up to fourteen
//! elements in order. A selection moves the place on; no element moves. A new
//! element goes in just before the place, which is behind all others. So ten
//! elements are ten neighbors in memory, and nothing is ever shifted or swept
//! beyond a block.

use crate::ElementKey;
use crate::paged::{NONE, Paged, WORDS, narrow};
use crate::slab::{Slab, Vacant};

const MEMBERS: u32 = 14;
/// Two neighbors of no more elements than this become one.
const MERGED: u32 = 10;

/// A part of a circle.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub(crate) struct Block {
    members: [ElementKey; MEMBERS as usize],
    previous: u32,
    next: u32,
    len: u32,
}

const _: () = assert!(size_of::<Block>() == 128);

impl Default for Block {
    fn default() -> Self {
        Self { members: Default::default(), previous: NONE, next: NONE, len: 0 }
    }
}

impl Vacant for Block {
    fn set_next_vacant(&mut self, next: u32) {
        self.next = next;
    }

    fn next_vacant(&self) -> u32 {
        self.next
    }
}

/// The blocks of all circles.
pub(crate) type Blocks = Slab<Block, 32>;

/// A circle: where its next element is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    block: u32,
    index: u32,
}

impl Ring {
    pub(crate) const EMPTY: Self = Self { block: NONE, index: 0 };

    /// Puts an element behind all others. `homes` has the block of each.
    pub(crate) fn insert(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        key: ElementKey,
    ) {
        if self.block == NONE {
            let block = blocks.take();
            blocks[block] = Block { previous: block, next: block, ..Block::default() };
            *self = Self { block, index: 0 };
        }
        let block = if self.index == 0 {
            let last = blocks[self.block].previous;
            if blocks[last].len < MEMBERS { last } else { Self::add_after(blocks, last) }
        } else if blocks[self.block].len < MEMBERS {
            let here = &mut blocks[self.block];
            here.members
                .copy_within(self.index as usize..here.len as usize, self.index as usize + 1);
            here.members[self.index as usize] = key;
            here.len += 1;
            self.index += 1;
            homes[key.index] = self.block;
            return;
        } else {
            self.split_here(blocks, homes)
        };
        let last = &mut blocks[block];
        last.members[last.len as usize] = key;
        last.len += 1;
        homes[key.index] = block;
    }

    fn add_after(blocks: &mut Blocks, previous: u32) -> u32 {
        let block = blocks.take();
        let next = core::mem::replace(&mut blocks[previous].next, block);
        blocks[next].previous = block;
        blocks[block] = Block { previous, next, ..Block::default() };
        block
    }

    /// Moves the elements before the place into a block of their own.
    fn split_here(&mut self, blocks: &mut Blocks, homes: &mut Paged<u32, WORDS>) -> u32 {
        let previous = blocks[self.block].previous;
        let block = Self::add_after(blocks, previous);
        let here = &mut blocks[self.block];
        let passed = self.index as usize;
        let mut moved = [ElementKey::default(); MEMBERS as usize];
        moved[..passed].copy_from_slice(&here.members[..passed]);
        here.members.copy_within(passed.., 0);
        here.len -= self.index;
        self.index = 0;
        for key in &moved[..passed] {
            homes[key.index] = block;
        }
        let there = &mut blocks[block];
        there.members = moved;
        there.len = narrow(passed);
        block
    }

    /// Removes an element.
    pub(crate) fn remove(&mut self, blocks: &mut Blocks, homes: &mut Paged<u32, WORDS>, slot: u32) {
        let number = homes[slot];
        let block = &mut blocks[number];
        let len = block.len as usize;
        let found = block.members[..len].iter().position(|it| it.index == slot);
        let Some(at) = found else { unreachable!("an element is in its block") };
        block.members.copy_within(at + 1..len, at);
        block.len -= 1;
        let (previous, next) = (block.previous, block.next);
        if self.block == number && narrow(at) < self.index {
            self.index -= 1;
        }
        if block.len == 0 {
            if next == number {
                *self = Self::EMPTY;
            } else {
                blocks[previous].next = next;
                blocks[next].previous = previous;
                if self.block == number {
                    *self = Self { block: next, index: 0 };
                }
            }
            blocks.give_back(number);
            return;
        }
        if self.block == number && self.index == block.len {
            *self = Self { block: next, index: 0 };
        }
        if next != number && blocks[number].len + blocks[next].len <= MERGED {
            self.merge(blocks, homes, number);
        }
    }

    /// Moves the elements of the block after `number` into it.
    fn merge(&mut self, blocks: &mut Blocks, homes: &mut Paged<u32, WORDS>, number: u32) {
        let from = blocks[number].next;
        let moved = blocks[from];
        let into = &mut blocks[number];
        let start = into.len;
        for (index, key) in (start as usize..).zip(&moved.members[..moved.len as usize]) {
            into.members[index] = *key;
            homes[key.index] = number;
        }
        into.len += moved.len;
        into.next = moved.next;
        blocks[moved.next].previous = number;
        blocks.give_back(from);
        if self.block == from {
            *self = Self { block: number, index: start + self.index };
        }
    }

    /// Reads the block at the place, for batches.
    #[inline]
    pub(crate) fn touch(&self, blocks: &Blocks) -> u32 {
        if self.block == NONE {
            return 0;
        }
        Self::touch_block(blocks, self.block)
    }

    /// Reads both cache lines of a block, likewise.
    #[inline]
    pub(crate) fn touch_block(blocks: &Blocks, number: u32) -> u32 {
        let block = &blocks[number];
        block.members[0].index ^ block.len
    }

    /// Calls `take` with up to `items` elements from the place on, then moves
    /// the place on by `advance` of them.
    #[inline]
    pub(crate) fn select(
        &mut self,
        blocks: &Blocks,
        items: u32,
        advance: u32,
        mut take: impl FnMut(ElementKey),
    ) {
        let mut at = *self;
        let mut left = items;
        let mut advance_left = advance.min(items);
        while left > 0 {
            let block = &blocks[at.block];
            let now = left.min(block.len - at.index);
            block.members[at.index as usize..(at.index + now) as usize]
                .iter()
                .for_each(|&it| take(it));
            if advance_left > 0 {
                let moved = advance_left.min(now);
                advance_left -= moved;
                *self = at.moved_by(block, moved);
            }
            left -= now;
            at = at.moved_by(block, now);
        }
    }

    /// Moves the place to just behind this element.
    pub(crate) fn pass(&mut self, blocks: &Blocks, homes: &Paged<u32, WORDS>, slot: u32) {
        let number = homes[slot];
        let block = &blocks[number];
        let found = block.members[..block.len as usize].iter().position(|it| it.index == slot);
        let Some(index) = found else { unreachable!("an element is in its block") };
        *self = Self { block: number, index: 0 }.moved_by(block, narrow(index) + 1);
    }

    #[inline]
    const fn moved_by(self, block: &Block, by: u32) -> Self {
        let index = self.index + by;
        if index == block.len {
            Self { block: block.next, index: 0 }
        } else {
            Self { block: self.block, index }
        }
    }

    /// Checks the circle; returns its blocks and calls `visit` with each
    /// element.
    pub(crate) fn assert_invariants(
        self,
        blocks: &Blocks,
        homes: &Paged<u32, WORDS>,
        mut visit: impl FnMut(ElementKey),
    ) -> u32 {
        if self.block == NONE {
            return 0;
        }
        assert!(self.index < blocks[self.block].len, "the place is at an element");
        let (mut at, mut count) = (self.block, 0);
        loop {
            let block = &blocks[at];
            assert!((1..=MEMBERS).contains(&block.len), "a block has elements");
            assert_eq!(blocks[block.next].previous, at, "links go both ways");
            for key in &block.members[..block.len as usize] {
                assert_eq!(homes[key.index], at, "an element knows its block");
                visit(*key);
            }
            count += 1;
            at = block.next;
            if at == self.block {
                return count;
            }
        }
    }
}
