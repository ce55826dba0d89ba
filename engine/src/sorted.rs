//! The order of the sorted policies: a red-black tree of blocks.
//!
//! A block is a node of the tree and holds up to fourteen elements in order,
//! with their keys. So the tree is shallow, a selection of several elements is
//! a walk through neighbors in memory, and an element that moves a short way
//! moves inside its block. Equal keys stand in the order in which they came:
//! an element that goes behind its equals takes its turn.

use core::hint::black_box;

use crate::ElementKey;
use crate::paged::{NONE, Paged, WORDS, narrow};
use crate::tree::{NEAR_BYTES, Nodes, Tree, is_before};

const CAPACITY: usize = 14;
/// Of a block and its node.
const BLOCK_BYTES: usize = 256;
/// A block of no more elements than this looks for a neighbor to join.
const FEW: usize = 4;
/// A block of fewer elements takes some from a full one before it.
const ROOMY: usize = 12;
/// Two neighbors of no more elements than this become one.
const MERGED: usize = 10;

/// An element and its key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Entry {
    key: u64,
    member: ElementKey,
}

/// The elements of a block. The length comes first: it is in one cache line
/// with the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(crate) struct Block {
    len: u32,
    next_vacant: u32,
    entries: [Entry; CAPACITY],
}

const _: () = assert!(size_of::<Block>() == 232, "with the node it is four cache lines");

impl Block {
    fn of_one(key: u64, member: ElementKey) -> Self {
        let mut block = Self::default();
        block.insert(0, Entry { key, member });
        block
    }

    #[inline]
    fn entries(&self) -> &[Entry] {
        &self.entries[..self.len as usize]
    }

    #[inline]
    const fn key(&self, at: usize) -> u64 {
        self.entries[at].key
    }

    /// Where an element goes that stands behind those of the same key.
    #[inline]
    fn place_of(&self, key: u64) -> usize {
        self.entries().iter().map(|it| usize::from(!is_before(key, it.key))).sum()
    }

    #[inline]
    fn position(&self, slot: u32) -> usize {
        let found = self.entries().iter().position(|it| it.member.index == slot);
        let Some(at) = found else { unreachable!("an element is in its block") };
        at
    }

    /// Reads all its cache lines, wherever these begin.
    #[inline]
    fn touch(&self) -> u32 {
        let members = [0, 2, 6, 10, 13].map(|at: usize| self.entries[at].member.index);
        members.iter().fold(self.len, |sum, member| sum ^ member)
    }

    #[inline]
    fn insert(&mut self, at: usize, entry: Entry) {
        let len = self.len as usize;
        self.entries.copy_within(at..len, at + 1);
        self.entries[at] = entry;
        self.len += 1;
    }

    #[inline]
    fn remove(&mut self, at: usize) -> Entry {
        let (len, removed) = (self.len as usize, self.entries[at]);
        self.entries.copy_within(at + 1..len, at);
        self.len -= 1;
        removed
    }

    fn append(&mut self, other: &Self) {
        let (start, len) = (self.len as usize, other.len as usize);
        self.entries[start..start + len].copy_from_slice(other.entries());
        self.len += other.len;
    }
}

/// The blocks of all pools.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// The tree, apart from the elements: a descent reads little memory.
    nodes: Nodes<()>,
    values: Paged<Block, 16>,
    fresh: u32,
    vacant: u32,
    len: u32,
}

impl Blocks {
    pub(crate) fn for_slots(slots: u32) -> Self {
        Self {
            nodes: Nodes::new(slots),
            values: Paged::for_slots(slots),
            fresh: 0,
            vacant: NONE,
            len: 0,
        }
    }

    /// The number of blocks in use, for checks.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Reads the ways to these keys, for batches: the accesses of many
    /// descents overlap.
    pub(crate) fn touch_ways(&self, descents: &[(Tree, u64)]) -> u32 {
        let is_far = |tree: &Tree| !Self::is_near(tree);
        self.nodes.touch_and(descents, is_far, |block| self.values[block].touch())
    }

    /// Whether a cache has room for the blocks of a tree.
    const fn is_near(tree: &Tree) -> bool {
        tree.len() as usize * BLOCK_BYTES < NEAR_BYTES
    }

    fn take(&mut self) -> u32 {
        self.len += 1;
        if self.vacant == NONE {
            self.fresh += 1;
            self.values.reserve(self.fresh - 1);
            return self.fresh - 1;
        }
        let block = self.vacant;
        self.vacant = self.values[block].next_vacant;
        block
    }

    fn give_back(&mut self, block: u32) {
        self.values[block].next_vacant = self.vacant;
        self.vacant = block;
        self.len -= 1;
    }
}

/// The order of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sorted {
    tree: Tree,
    /// The block of the latest insertion: elements that take turns follow each
    /// other into the same place.
    recent: u32,
}

impl Sorted {
    pub(crate) const EMPTY: Self = Self { tree: Tree::EMPTY, recent: NONE };

    /// Puts an element behind those of the same key. `homes` has the block of
    /// each.
    pub(crate) fn insert(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        element: ElementKey,
        key: u64,
    ) {
        let block = self.block_for(blocks, key);
        self.insert_into(blocks, homes, block, element, key);
    }

    /// The same where the block is known; none: there is no block.
    fn insert_into(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        block: Option<u32>,
        element: ElementKey,
        key: u64,
    ) {
        let Some(number) = block else {
            let block = blocks.take();
            homes[element.index] = block;
            blocks.values[block] = Block::of_one(key, element);
            blocks.nodes.insert(&mut self.tree, block, key, ());
            return;
        };
        self.recent = number;
        let block = &mut blocks.values[number];
        let at = block.place_of(key);
        if block.len as usize == CAPACITY {
            self.insert_into_full(blocks, homes, number, at, key, element);
            return;
        }
        block.insert(at, Entry { key, member: element });
        homes[element.index] = number;
        if at == 0 {
            blocks.nodes.set_key(number, key);
        }
    }

    /// The last block that begins with this key or before, or the first.
    #[inline]
    fn block_for(&self, blocks: &Blocks, key: u64) -> Option<u32> {
        let last = self.tree.last()?;
        if !is_before(key, blocks.nodes.key(last)) {
            return Some(last);
        }
        blocks.nodes.last_not_after(&self.tree, key).or_else(|| self.tree.first())
    }

    /// The same for an element that had its turn: most often it goes where the
    /// one before went.
    #[inline]
    fn block_near(&self, blocks: &Blocks, key: u64) -> Option<u32> {
        if self.recent != NONE && !is_before(key, blocks.nodes.key(self.recent)) {
            let is_within = |it: &u64| is_before(key, *it);
            let next = || blocks.nodes.next(self.recent).map(|next| blocks.nodes.key(next));
            let end = blocks.values[self.recent].entries().last().map(|it| it.key);
            if end.as_ref().is_some_and(is_within) || next().as_ref().is_some_and(is_within) {
                return Some(self.recent);
            }
        }
        self.block_for(blocks, key)
    }

    fn insert_into_full(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        number: u32,
        at: usize,
        key: u64,
        element: ElementKey,
    ) {
        if self.make_room(blocks, homes, number, at, key, element) {
            return;
        }
        let fresh = blocks.take();
        // Where elements come in order, blocks stay full.
        if at == CAPACITY {
            homes[element.index] = fresh;
            self.recent = fresh;
            blocks.values[fresh] = Block::of_one(key, element);
            blocks.nodes.insert_after(&mut self.tree, number, fresh, key, ());
            return;
        }
        if at == 0 {
            // Before the first of the first block.
            homes[element.index] = fresh;
            blocks.values[fresh] = Block::of_one(key, element);
            blocks.nodes.insert(&mut self.tree, fresh, key, ());
            return;
        }
        let half = CAPACITY / 2;
        let block = &mut blocks.values[number];
        let mut upper = Block::default();
        upper.entries[..half].copy_from_slice(&block.entries[half..]);
        (block.len, upper.len) = (narrow(half), narrow(half));
        for entry in upper.entries() {
            homes[entry.member.index] = fresh;
        }
        if at <= half {
            block.insert(at, Entry { key, member: element });
            homes[element.index] = number;
        } else {
            upper.insert(at - half, Entry { key, member: element });
            homes[element.index] = fresh;
        }
        let first = upper.key(0);
        blocks.values[fresh] = upper;
        blocks.nodes.insert_after(&mut self.tree, number, fresh, first, ());
    }

    /// Inserts an element at a place in or behind a full block, if the next
    /// block has room to spare: the last of both goes there. Or if the block
    /// before has: then the first goes there. So blocks are fuller than by
    /// splitting alone.
    fn make_room(
        &self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        number: u32,
        at: usize,
        key: u64,
        element: ElementKey,
    ) -> bool {
        let has_room = |it: &u32| (blocks.values[*it].len as usize) < ROOMY;
        let Some(next) = blocks.nodes.next(number).filter(has_room) else {
            let previous = blocks.nodes.previous(number).filter(has_room);
            let Some(previous) = previous.filter(|_| at > 0) else { return false };
            let block = &mut blocks.values[number];
            let first = block.remove(0);
            block.insert(at - 1, Entry { key, member: element });
            let begins = block.key(0);
            blocks.nodes.set_key(number, begins);
            homes[element.index] = number;
            let block = &mut blocks.values[previous];
            block.insert(block.len as usize, first);
            homes[first.member.index] = previous;
            return true;
        };
        let mut last = Entry { key, member: element };
        if at < CAPACITY {
            let block = &mut blocks.values[number];
            last = block.remove(CAPACITY - 1);
            block.insert(at, Entry { key, member: element });
            homes[element.index] = number;
            if at == 0 {
                blocks.nodes.set_key(number, key);
            }
        }
        blocks.values[next].insert(0, last);
        blocks.nodes.set_key(next, last.key);
        homes[last.member.index] = next;
        true
    }

    /// Removes an element.
    pub(crate) fn remove(&mut self, blocks: &mut Blocks, homes: &mut Paged<u32, WORDS>, slot: u32) {
        let number = homes[slot];
        let at = blocks.values[number].position(slot);
        self.remove_at(blocks, homes, number, at);
    }

    fn remove_at(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        number: u32,
        at: usize,
    ) -> ElementKey {
        let block = &mut blocks.values[number];
        let removed = block.remove(at);
        let (len, first) = (block.len as usize, block.key(0));
        if len == 0 {
            self.drop_block(blocks, number);
            return removed.member;
        }
        if at == 0 {
            blocks.nodes.set_key(number, first);
        }
        if len <= FEW {
            self.join_neighbor(blocks, homes, number, len);
        }
        removed.member
    }

    fn drop_block(&mut self, blocks: &mut Blocks, number: u32) {
        blocks.nodes.remove(&mut self.tree, number);
        blocks.give_back(number);
        if self.recent == number {
            self.recent = NONE;
        }
    }

    /// Joins a block of few elements with the one after or before it, if both
    /// fit into one with room to spare.
    fn join_neighbor(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        number: u32,
        len: usize,
    ) {
        let fits = |other: &u32| blocks.values[*other].len as usize + len <= MERGED;
        let (into, from) = if let Some(next) = blocks.nodes.next(number).filter(fits) {
            (number, next)
        } else if let Some(previous) = blocks.nodes.previous(number).filter(fits) {
            (previous, number)
        } else {
            return;
        };
        let moved = blocks.values[from];
        for entry in moved.entries() {
            homes[entry.member.index] = into;
        }
        blocks.values[into].append(&moved);
        self.drop_block(blocks, from);
    }

    /// Gives an element a key and puts it behind those of the same key.
    #[inline]
    pub(crate) fn change(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        slot: u32,
        key: u64,
    ) {
        let number = homes[slot];
        if Blocks::is_near(&self.tree) {
            let from = blocks.values[number].position(slot);
            if !self.change_inside(blocks, number, from, key) {
                let element = self.remove_at(blocks, homes, number, from);
                self.insert(blocks, homes, element, key);
            }
            return;
        }
        // Both of its places are fetched at once: nothing that is done in one
        // of them keeps the way to the other waiting.
        black_box(Self::touch(blocks, number));
        let to = self.block_for(blocks, key);
        let from = blocks.values[number].position(slot);
        if self.change_inside(blocks, number, from, key) {
            return;
        }
        let count = self.tree.len();
        let element = self.remove_at(blocks, homes, number, from);
        let to = if self.tree.len() == count { to } else { self.block_for(blocks, key) };
        self.insert_into(blocks, homes, to, element, key);
    }

    /// The same for an element that had its turn.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        slot: u32,
        key: u64,
    ) {
        let number = homes[slot];
        let from = blocks.values[number].position(slot);
        self.advance_at(blocks, homes, number, from, key);
    }

    fn advance_at(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        number: u32,
        from: usize,
        key: u64,
    ) {
        if !self.change_inside(blocks, number, from, key) {
            let element = self.remove_at(blocks, homes, number, from);
            let to = self.block_near(blocks, key);
            self.insert_into(blocks, homes, to, element, key);
        }
    }

    /// Gives the element at a place of a block a key with which it stays in
    /// the block; whether there is such a place.
    #[inline]
    fn change_inside(&self, blocks: &mut Blocks, number: u32, from: usize, key: u64) -> bool {
        let is_first = self.tree.first() == Some(number);
        let is_last = self.tree.last() == Some(number);
        let block = &mut blocks.values[number];
        let last = block.len as usize - 1;
        // It stays in the block if others of the block are on both sides of
        // it, or nothing is beyond.
        let stays = (is_first || !is_before(key, block.key(0)))
            && (is_last || is_before(key, block.key(last)));
        if !stays {
            return false;
        }
        let member = block.entries[from].member;
        // The number of those it stands behind, not counting itself.
        let to = block.place_of(key) - usize::from(!is_before(key, block.key(from)));
        if from < to {
            block.entries.copy_within(from + 1..=to, from);
        } else {
            block.entries.copy_within(to..from, to + 1);
        }
        block.entries[to] = Entry { key, member };
        let first = block.key(0);
        if from == 0 || to == 0 {
            blocks.nodes.set_key(number, first);
        }
        true
    }

    pub(crate) const fn tree(&self) -> Tree {
        self.tree
    }

    /// Reads all cache lines of a block, before they are needed.
    #[inline]
    pub(crate) fn touch(blocks: &Blocks, number: u32) -> u32 {
        blocks.values[number].touch()
    }

    /// Reads the first block likewise.
    #[inline]
    pub(crate) fn touch_first(&self, blocks: &Blocks) -> u32 {
        self.tree.first().map_or(0, |first| Self::touch(blocks, first))
    }

    /// Adds `step` to the key of the first element, up to `most`, and puts it
    /// behind those of the same key.
    #[inline]
    pub(crate) fn advance_first(
        &mut self,
        blocks: &mut Blocks,
        homes: &mut Paged<u32, WORDS>,
        step: u64,
        most: u64,
    ) {
        let Some(number) = self.tree.first() else { return };
        let block = &mut blocks.values[number];
        let key = (block.key(0) + step).min(most);
        // Most often it is the first again.
        if block.len > 1 && is_before(key, block.key(1)) {
            block.entries[0].key = key;
            blocks.nodes.set_key(number, key);
        } else {
            self.advance_at(blocks, homes, number, 0, key);
        }
    }

    /// The key of an element.
    #[inline]
    pub(crate) fn key(blocks: &Blocks, homes: &Paged<u32, WORDS>, slot: u32) -> u64 {
        let block = &blocks.values[homes[slot]];
        block.key(block.position(slot))
    }

    /// The lowest key.
    #[inline]
    pub(crate) fn first_key(&self, blocks: &Blocks) -> Option<u64> {
        self.tree.first().map(|block| blocks.nodes.key(block))
    }

    /// Calls `take` with up to `items` elements in order.
    #[inline]
    pub(crate) fn list(&self, blocks: &Blocks, items: u32, mut take: impl FnMut(ElementKey)) {
        let mut left = items as usize;
        let mut at = self.tree.first();
        while let Some(number) = at.filter(|_| left > 0) {
            let entries = blocks.values[number].entries();
            let now = entries.len().min(left);
            entries[..now].iter().for_each(|it| take(it.member));
            left -= now;
            at = if left == 0 { None } else { blocks.nodes.next(number) };
        }
    }

    /// Checks tree and blocks; returns their number and calls `visit` with
    /// each element.
    pub(crate) fn assert_invariants(
        &self,
        blocks: &Blocks,
        homes: &Paged<u32, WORDS>,
        mut visit: impl FnMut(ElementKey),
    ) -> u32 {
        let (mut at, mut previous) = (self.tree.first(), None);
        while let Some(number) = at {
            let block = &blocks.values[number];
            assert!(block.len > 0, "a block has elements");
            assert_eq!(block.key(0), blocks.nodes.key(number), "a node has its first key");
            for &Entry { key, member } in block.entries() {
                assert!(previous.is_none_or(|it| !is_before(key, it)), "keys ascend");
                assert_eq!(homes[member.index], number, "an element knows its block");
                visit(member);
                previous = Some(key);
            }
            at = blocks.nodes.next(number);
        }
        blocks.nodes.assert_invariants(&self.tree)
    }
}

/// One order of slots alone, as a pool of a sorted policy has it: a red-black
/// tree of blocks of up to fourteen. Keys lie within 2^63 of each other; equal
/// ones stand in the order in which they came.
///
/// ```
/// use rserpool_engine::tree::BlockTree;
///
/// let mut order = BlockTree::new(16);
/// for (slot, load) in [(0, 30), (1, 10), (2, 20)] {
///     order.insert(slot, load);
/// }
/// order.change(1, 20);
/// let mut slots = Vec::new();
/// order.list(3, |slot| slots.push(slot));
/// assert_eq!(slots, [2, 1, 0]);
/// ```
#[derive(Debug)]
pub struct BlockTree {
    blocks: Blocks,
    homes: Paged<u32, WORDS>,
    order: Sorted,
}

impl BlockTree {
    /// An empty order of slots below `slots`, which are used from 0 on.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self {
            blocks: Blocks::for_slots(slots),
            homes: Paged::for_slots(slots),
            order: Sorted::EMPTY,
        }
    }

    /// Adds a slot that is not in the order.
    pub fn insert(&mut self, slot: u32, key: u64) {
        self.homes.reserve(slot);
        let element = ElementKey { index: slot, generation: 0 };
        self.order.insert(&mut self.blocks, &mut self.homes, element, key);
    }

    /// Removes a slot that is in the order.
    pub fn remove(&mut self, slot: u32) {
        self.order.remove(&mut self.blocks, &mut self.homes, slot);
    }

    /// Gives a slot that is in the order a key, and the place behind its equals.
    #[inline]
    pub fn change(&mut self, slot: u32, key: u64) {
        self.order.change(&mut self.blocks, &mut self.homes, slot, key);
    }

    /// Adds `step` to the first key; the place is then behind its equals.
    #[inline]
    pub fn advance_first(&mut self, step: u64) {
        self.order.advance_first(&mut self.blocks, &mut self.homes, step, u64::MAX);
    }

    /// Calls `take` with up to `items` slots in order.
    #[inline]
    pub fn list(&self, items: u32, mut take: impl FnMut(u32)) {
        self.order.list(&self.blocks, items, |element| take(element.index));
    }

    /// Reads where slots are and where they go with these keys: the memory
    /// accesses of up to sixteen changes overlap, and the changes that follow
    /// find their blocks near. Returns a number to keep the compiler from
    /// skipping it.
    pub fn touch(&self, changes: impl Iterator<Item = (u32, u64)>) -> u32 {
        let (mut ways, mut len, mut sum) = ([(Tree::EMPTY, 0); 16], 0, 0);
        if Blocks::is_near(&self.order.tree) {
            return 0;
        }
        for (way, (slot, key)) in ways.iter_mut().zip(changes) {
            *way = (self.order.tree, key);
            sum ^= Sorted::touch(&self.blocks, self.homes[slot]);
            len += 1;
        }
        sum ^ self.blocks.touch_ways(&ways[..len])
    }

    /// Checks the order; returns the number of its slots. O(n).
    ///
    /// # Panics
    /// If it is not in order.
    pub fn assert_invariants(&self) -> u32 {
        let mut len = 0;
        self.order.assert_invariants(&self.blocks, &self.homes, |_| len += 1);
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn an_order_too_large_for_the_caches_is_that_of_keys_and_turns() {
        let slots = 130_000;
        let mut order = BlockTree::new(slots);
        let mut chance = Chance::new(5);
        let mut model: Vec<(u64, u32)> = Vec::new();
        for slot in 0..slots {
            let key = chance.below(1 << 32);
            order.insert(slot, key);
            model.push((key, slot));
        }
        assert!(!Blocks::is_near(&order.order.tree));
        for turn in slots..slots + 60_000 {
            let slot = chance.index_below(slots);
            // Some blocks fill up and split, others get empty and go.
            let most = if chance.below(4) == 0 { 1 << 32 } else { 1 << 16 };
            let key = chance.below(most);
            order.change(slot, key);
            model[slot as usize] = (key, turn);
        }
        assert_eq!(order.assert_invariants(), slots);
        let mut expected: Vec<(u64, u32, u32)> =
            (0..).zip(&model).map(|(slot, &(key, turn))| (key, turn, slot)).collect();
        expected.sort_unstable();
        let mut listed = Vec::new();
        order.list(slots, |slot| listed.push(slot));
        assert!(listed.into_iter().eq(expected.into_iter().map(|(_, _, slot)| slot)));
    }
}
