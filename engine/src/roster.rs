//! The members of a pool under numbers that stay.
//!
//! A new member gets the lowest number that is free, so that numbers stay
//! dense. A number names the same member until it leaves: that is what makes a
//! handle table resumable and a consistent hash consistent. Up to 64 numbers
//! are one block that grows; more are a trie of nodes of 64.

use crate::ElementKey;
use crate::arena::Arena;
use crate::paged::{NONE, narrow};
use crate::slab::{Slab, Vacant};

const FAN: usize = 64;
const BITS: u32 = 6;
const LEVELS: usize = 4;
/// Words of a member in a small block.
const ENTRY: usize = 2;
const NOBODY: ElementKey = ElementKey { index: NONE, generation: 0 };

/// Sixty-four members, or nodes below.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    /// The slots of nodes stand in the place of those of members.
    entries: [ElementKey; FAN],
    /// A bit for each entry that has no free number.
    full: u64,
    /// A bit for each entry that has a member.
    used: u64,
}

impl Default for Node {
    fn default() -> Self {
        Self { entries: [NOBODY; FAN], full: 0, used: 0 }
    }
}

impl Vacant for Node {
    fn set_next_vacant(&mut self, next: u32) {
        self.entries[0].index = next;
    }

    fn next_vacant(&self) -> u32 {
        self.entries[0].index
    }
}

/// What the rosters of all pools are made of.
#[derive(Debug)]
pub(crate) struct Rosters {
    small: Arena<u32>,
    nodes: Slab<Node, 8>,
}

impl Rosters {
    pub(crate) fn for_slots(slots: u32) -> Self {
        Self { small: Arena::new(), nodes: Slab::for_slots(slots) }
    }

    /// Checks the small blocks; returns how many there are, and the nodes.
    pub(crate) fn assert_invariants(&self) -> (u32, u32) {
        (self.small.assert_invariants(), self.nodes.len())
    }

    fn new_node(&mut self) -> u32 {
        let node = self.nodes.take();
        self.nodes[node] = Node::default();
        node
    }
}

/// The members of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roster {
    root: u32,
    /// 0: one growing block; else the levels of nodes.
    levels: u32,
}

/// The entry of a node on a level at which a number is.
#[inline]
const fn digit(number: u32, level: u32) -> usize {
    (number >> (level * BITS)) as usize % FAN
}

impl Roster {
    pub(crate) const EMPTY: Self = Self { root: NONE, levels: 0 };

    /// Adds a member; returns its number.
    #[inline]
    pub(crate) fn insert(&mut self, rosters: &mut Rosters, member: ElementKey) -> u32 {
        if self.levels == 0 {
            self.insert_small(rosters, member)
        } else {
            self.insert_large(rosters, member)
        }
    }

    fn insert_small(&mut self, rosters: &mut Rosters, member: ElementKey) -> u32 {
        let words = &mut rosters.small;
        let capacity = self.small_capacity(words);
        if capacity > 0 {
            let (entries, _) = words.get_mut(self.root, capacity * ENTRY).as_chunks_mut::<ENTRY>();
            if let Some(free) = entries.iter().position(|&[slot, _]| slot == NONE) {
                entries[free] = [member.index, member.generation];
                return narrow(free);
            }
        }
        if capacity < FAN {
            let larger = (capacity + capacity / 4 + 2).min(FAN);
            let larger = words.allocate(larger * ENTRY);
            let mut entries = [NONE; FAN * ENTRY];
            let used = capacity * ENTRY;
            if capacity > 0 {
                entries[..used].copy_from_slice(words.get(self.root, used));
                words.free(self.root);
            }
            self.root = larger;
            (entries[used], entries[used + 1]) = (member.index, member.generation);
            let whole = self.small_capacity(words) * ENTRY;
            words.get_mut(larger, whole).copy_from_slice(&entries[..whole]);
            return narrow(capacity);
        }
        let mut node = Node { full: u64::MAX, used: u64::MAX, ..Node::default() };
        let (entries, _) = words.get(self.root, FAN * ENTRY).as_chunks::<ENTRY>();
        for (entry, &[index, generation]) in node.entries.iter_mut().zip(entries) {
            *entry = ElementKey { index, generation };
        }
        words.free(self.root);
        self.root = rosters.nodes.take();
        rosters.nodes[self.root] = node;
        self.levels = 1;
        self.insert_large(rosters, member)
    }

    fn small_capacity(self, words: &Arena<u32>) -> usize {
        if self.root == NONE { 0 } else { (words.capacity(self.root) / ENTRY).min(FAN) }
    }

    fn insert_large(&mut self, rosters: &mut Rosters, member: ElementKey) -> u32 {
        if rosters.nodes[self.root].full == u64::MAX {
            let root = rosters.new_node();
            let node = &mut rosters.nodes[root];
            node.entries[0].index = self.root;
            (node.full, node.used) = (1, 1);
            self.root = root;
            self.levels += 1;
        }
        let mut path = [0_u32; LEVELS + 1];
        let (mut at, mut number) = (self.root, 0);
        for level in (1..self.levels).rev() {
            path[level as usize] = at;
            let node = &rosters.nodes[at];
            let free = node.full.trailing_ones();
            number = number << BITS | free;
            let child = node.entries[free as usize % FAN].index;
            at = if child == NONE {
                let child = rosters.new_node();
                let node = &mut rosters.nodes[at];
                node.entries[free as usize % FAN].index = child;
                node.used |= 1 << free;
                child
            } else {
                child
            };
        }
        let node = &mut rosters.nodes[at];
        let free = node.full.trailing_ones();
        number = number << BITS | free;
        node.entries[free as usize % FAN] = member;
        node.used |= 1 << free;
        node.full |= 1 << free;
        // A node that became full is a full entry of its parent.
        let mut is_full = node.full == u64::MAX;
        for level in 1..self.levels {
            if !is_full {
                break;
            }
            let parent = &mut rosters.nodes[path[level as usize]];
            parent.full |= 1 << digit(number, level);
            is_full = parent.full == u64::MAX;
        }
        number
    }

    /// Removes the member with this number.
    #[inline]
    pub(crate) fn remove(&self, rosters: &mut Rosters, number: u32) {
        if self.levels == 0 {
            let at = number as usize * ENTRY;
            rosters.small.get_mut(self.root, at + ENTRY)[at] = NONE;
            return;
        }
        let mut path = [0_u32; LEVELS + 1];
        let mut at = self.root;
        for level in (1..self.levels).rev() {
            path[level as usize] = at;
            at = rosters.nodes[at].entries[digit(number, level)].index;
        }
        path[0] = at;
        let mut emptied = true;
        for level in 0..self.levels {
            let at = path[level as usize];
            let node = &mut rosters.nodes[at];
            let bit = 1 << digit(number, level);
            let was_full = node.full == u64::MAX;
            node.full &= !bit;
            if emptied {
                node.entries[digit(number, level)].index = NONE;
                node.used &= !bit;
                emptied = node.used == 0 && level + 1 < self.levels;
                if emptied {
                    rosters.nodes.give_back(at);
                }
            }
            // Above a node that had room already nothing changes.
            if !was_full && !emptied {
                break;
            }
        }
    }

    /// Gives all blocks back; the roster has no members then.
    pub(crate) fn clear(&mut self, rosters: &mut Rosters) {
        if self.levels > 0 {
            // An emptied trie is its root alone.
            rosters.nodes.give_back(self.root);
        } else if self.root != NONE {
            rosters.small.free(self.root);
        }
        *self = Self::EMPTY;
    }

    /// The first member with this number or a higher one.
    pub(crate) fn next(self, rosters: &Rosters, number: u32) -> Option<(u32, ElementKey)> {
        let mut found = None;
        self.visit(rosters, number, |number, member| {
            found = Some((number, member));
            false
        });
        found
    }

    /// Calls `visit` with each number from this one on, and its member, in
    /// order, until it returns `false`.
    #[inline]
    pub(crate) fn visit(
        self,
        rosters: &Rosters,
        from: u32,
        mut visit: impl FnMut(u32, ElementKey) -> bool,
    ) {
        if self.levels == 0 {
            let capacity = self.small_capacity(&rosters.small);
            let (entries, _) = rosters.small.get(self.root, capacity * ENTRY).as_chunks::<ENTRY>();
            for (number, &[index, generation]) in (0..).zip(entries).skip(from as usize) {
                if index != NONE && !visit(number, ElementKey { index, generation }) {
                    return;
                }
            }
            return;
        }
        let mut number = from;
        while let Some((leaf, first)) = self.leaf(rosters, number) {
            number = first;
            let node = &rosters.nodes[leaf];
            let start = number & !(narrow(FAN) - 1);
            let mut used = node.used >> digit(number, 0) << digit(number, 0);
            while used != 0 {
                let at = used.trailing_zeros();
                if !visit(start | at, node.entries[at as usize % FAN]) {
                    return;
                }
                used &= used - 1;
            }
            let Some(next) = start.checked_add(narrow(FAN)) else { return };
            number = next;
        }
    }

    /// The leaf that has the first number used that is not below this one,
    /// with that number or the one asked for.
    fn leaf(self, rosters: &Rosters, number: u32) -> Option<(u32, u32)> {
        let mut number = number;
        'from_root: loop {
            if u64::from(number) >= 1 << (self.levels * BITS) {
                return None;
            }
            let mut at = self.root;
            for level in (0..self.levels).rev() {
                let node = &rosters.nodes[at];
                let shift = level * BITS;
                let used = node.used >> digit(number, level);
                if used == 0 {
                    // Nothing more in this node: on with the next of the level
                    // above.
                    let wide = u64::from((number >> shift >> BITS) + 1) << shift << BITS;
                    number = u32::try_from(wide).ok()?;
                    continue 'from_root;
                }
                if used.trailing_zeros() > 0 {
                    number = ((number >> shift) + used.trailing_zeros()) << shift;
                }
                if level == 0 {
                    return Some((at, number));
                }
                at = node.entries[digit(number, level)].index;
            }
        }
    }

    /// Checks the trie; calls `visit` with each number and member. Returns the
    /// small blocks and the nodes.
    pub(crate) fn assert_invariants(
        self,
        rosters: &Rosters,
        mut visit: impl FnMut(u32, ElementKey),
    ) -> (u32, u32) {
        if self.root == NONE {
            return (0, 0);
        }
        let nodes = match self.levels {
            0 => 0,
            levels => assert_node(rosters, self.root, levels - 1),
        };
        self.visit(rosters, 0, |number, member| {
            visit(number, member);
            true
        });
        (u32::from(self.levels == 0), nodes)
    }
}

fn assert_node(rosters: &Rosters, at: u32, level: u32) -> u32 {
    let node = &rosters.nodes[at];
    let mut nodes = 1;
    for (digit, child) in node.entries.iter().map(|entry| entry.index).enumerate() {
        assert_eq!(node.used >> digit & 1 == 1, child != NONE, "used entries are marked");
        let full = node.full >> digit & 1 == 1;
        if child == NONE {
            assert!(!full, "an unused entry is not full");
        } else if level == 0 {
            assert!(full, "a member is full");
        } else {
            let below = &rosters.nodes[child];
            assert_eq!(full, below.full == u64::MAX, "full entries are marked");
            assert!(below.used != 0, "an empty node is given back");
            nodes += assert_node(rosters, child, level - 1);
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::chance::Chance;

    #[test]
    fn numbers_stay_and_the_lowest_free_one_is_given() {
        let mut rosters = Rosters::for_slots(1 << 16);
        let mut roster = Roster::EMPTY;
        let mut model = BTreeMap::new();
        let mut free: BTreeSet<u32> = (0..10_000).collect();
        let member = |n: u32| ElementKey { index: n, generation: !n };
        let mut chance = Chance::new(3);
        for round in 0..40_000_u32 {
            // Grows to some thousands, shrinks to none, grows again.
            let grow = (round / 10_000).is_multiple_of(2);
            if chance.below(8) < if grow { 6 } else { 2 } {
                let lowest = free.pop_first().unwrap();
                assert_eq!(roster.insert(&mut rosters, member(round)), lowest);
                model.insert(lowest, member(round));
            } else if let Some((&number, _)) = model.range(chance.index_below(5000)..).next() {
                roster.remove(&mut rosters, number);
                model.remove(&number);
                free.insert(number);
            }
            let probe = chance.index_below(6000);
            let next = model.range(probe..).next().map(|(&number, &it)| (number, it));
            let found = if roster.root == NONE { None } else { roster.next(&rosters, probe) };
            assert_eq!(found, next);
        }
        let mut seen = Vec::new();
        roster.assert_invariants(&rosters, |number, member| seen.push((number, member)));
        assert!(seen.iter().copied().eq(model.iter().map(|(&number, &member)| (number, member))));
        for &number in model.keys() {
            roster.remove(&mut rosters, number);
        }
        roster.clear(&mut rosters);
        assert_eq!(rosters.assert_invariants(), (0, 0));
    }
}
