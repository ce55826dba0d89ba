//! The members of a pool under numbers that stay.
//!
//! A new member gets the lowest number that is free, so that numbers stay
//! dense. A number names the same member until it leaves: that is what makes a
//! handle table resumable and a consistent hash consistent. Up to 64 numbers
//! are one block that grows; more are a trie of nodes of 64.

use crate::arena::Arena;
use crate::paged::{NONE, narrow};

const FAN: u32 = 64;
const BITS: u32 = 6;
/// Words of a node: the entries, which of them are full, which are used.
const NODE: usize = FAN as usize + 4;
const FULL: usize = FAN as usize;
const USED: usize = FULL + 2;
const LEVELS: usize = 4;

/// The members of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roster {
    root: u32,
    /// 0: one growing block; else the levels of nodes.
    levels: u32,
}

impl Roster {
    pub(crate) const EMPTY: Self = Self { root: NONE, levels: 0 };

    /// Adds a member; returns its number.
    pub(crate) fn insert(&mut self, words: &mut Arena<u32>, member: u32) -> u32 {
        if self.levels == 0 {
            self.insert_small(words, member)
        } else {
            self.insert_large(words, member)
        }
    }

    fn insert_small(&mut self, words: &mut Arena<u32>, member: u32) -> u32 {
        let capacity = self.small_capacity(words);
        if capacity > 0 {
            let entries = words.get_mut(self.root, capacity);
            if let Some(free) = entries.iter().position(|&it| it == NONE) {
                entries[free] = member;
                return narrow(free);
            }
        }
        if capacity < FAN as usize {
            let larger = words.allocate((capacity + capacity / 4 + 2).min(FAN as usize));
            let mut entries = [NONE; FAN as usize];
            if capacity > 0 {
                entries[..capacity].copy_from_slice(words.get(self.root, capacity));
                words.free(self.root);
            }
            self.root = larger;
            entries[capacity] = member;
            let whole = self.small_capacity(words);
            words.get_mut(larger, whole).copy_from_slice(&entries[..whole]);
            return narrow(capacity);
        }
        let mut node = [NONE; NODE];
        node[..FAN as usize].copy_from_slice(words.get(self.root, FAN as usize));
        node[FULL..].fill(u32::MAX);
        words.free(self.root);
        self.root = words.allocate(NODE);
        words.get_mut(self.root, NODE).copy_from_slice(&node);
        self.levels = 1;
        self.insert_large(words, member)
    }

    fn small_capacity(self, words: &Arena<u32>) -> usize {
        if self.root == NONE { 0 } else { words.capacity(self.root).min(FAN as usize) }
    }

    fn insert_large(&mut self, words: &mut Arena<u32>, member: u32) -> u32 {
        if bits(words, self.root, FULL) == u64::MAX {
            let root = new_node(words);
            words.get_mut(root, NODE)[0] = self.root;
            set_bit(words, root, FULL, 0);
            set_bit(words, root, USED, 0);
            self.root = root;
            self.levels += 1;
        }
        let mut path = [0_u32; LEVELS + 1];
        let (mut node, mut number) = (self.root, 0);
        for level in (1..self.levels).rev() {
            path[level as usize] = node;
            let digit = bits(words, node, FULL).trailing_ones();
            number = number << BITS | digit;
            let child = words.get(node, NODE)[digit as usize];
            node = if child == NONE {
                let child = new_node(words);
                words.get_mut(node, NODE)[digit as usize] = child;
                set_bit(words, node, USED, digit);
                child
            } else {
                child
            };
        }
        path[0] = node;
        let digit = bits(words, node, FULL).trailing_ones();
        number = number << BITS | digit;
        words.get_mut(node, NODE)[digit as usize] = member;
        set_bit(words, node, USED, digit);
        set_bit(words, node, FULL, digit);
        // A node that became full is a full entry of its parent.
        let mut child = node;
        for level in 1..self.levels {
            if bits(words, child, FULL) != u64::MAX {
                break;
            }
            let parent = path[level as usize];
            set_bit(words, parent, FULL, number >> (level * BITS) & (FAN - 1));
            child = parent;
        }
        number
    }

    /// Removes the member with this number.
    pub(crate) fn remove(&self, words: &mut Arena<u32>, number: u32) {
        if self.levels == 0 {
            words.get_mut(self.root, number as usize + 1)[number as usize] = NONE;
            return;
        }
        let mut path = [0_u32; LEVELS + 1];
        let mut node = self.root;
        for level in (1..self.levels).rev() {
            path[level as usize] = node;
            node = words.get(node, NODE)[(number >> (level * BITS) & (FAN - 1)) as usize];
        }
        let mut emptied = true;
        for level in 0..self.levels {
            if level > 0 {
                node = path[level as usize];
            }
            let digit = number >> (level * BITS) & (FAN - 1);
            clear_bit(words, node, FULL, digit);
            if emptied {
                words.get_mut(node, NODE)[digit as usize] = NONE;
                clear_bit(words, node, USED, digit);
                emptied = bits(words, node, USED) == 0 && level + 1 < self.levels;
                if emptied {
                    words.free(node);
                }
            }
        }
    }

    /// Gives all blocks back; the roster has no members then.
    pub(crate) fn clear(&mut self, words: &mut Arena<u32>) {
        // An emptied trie is its root alone.
        if self.root != NONE {
            words.free(self.root);
        }
        *self = Self::EMPTY;
    }

    /// The first member with this number or a higher one.
    pub(crate) fn next(self, words: &Arena<u32>, number: u32) -> Option<(u32, u32)> {
        if self.levels == 0 {
            let entries = words.get(self.root, self.small_capacity(words));
            let from = (number as usize).min(entries.len());
            let found = entries[from..].iter().position(|&it| it != NONE)?;
            return Some((narrow(from + found), entries[from + found]));
        }
        let mut number = number;
        'from_root: loop {
            if u64::from(number) >= 1 << (self.levels * BITS) {
                return None;
            }
            let mut node = self.root;
            for level in (0..self.levels).rev() {
                let shift = level * BITS;
                let digit = number >> shift & (FAN - 1);
                let used = bits(words, node, USED) >> digit;
                if used == 0 {
                    // Nothing more in this node: on with the next of the level
                    // above.
                    let wide = u64::from((number >> shift >> BITS) + 1) << shift << BITS;
                    number = u32::try_from(wide).ok()?;
                    continue 'from_root;
                }
                if used.trailing_zeros() > 0 {
                    let digit = digit + used.trailing_zeros();
                    number = (number >> shift >> BITS << BITS | digit) << shift;
                }
                node = words.get(node, NODE)[(number >> shift & (FAN - 1)) as usize];
            }
            return Some((number, node));
        }
    }

    /// Checks the trie; calls `visit` with each number and member.
    pub(crate) fn assert_invariants(
        self,
        words: &Arena<u32>,
        mut visit: impl FnMut(u32, u32),
    ) -> u32 {
        if self.root == NONE {
            return 0;
        }
        if self.levels > 0 {
            let blocks = assert_node(words, self.root, self.levels - 1, &mut |_| ());
            let mut at = 0;
            while let Some((number, member)) = self.next(words, at) {
                visit(number, member);
                at = number + 1;
            }
            return blocks;
        }
        for (number, &member) in words.get(self.root, self.small_capacity(words)).iter().enumerate()
        {
            if member != NONE {
                visit(narrow(number), member);
            }
        }
        1
    }
}

fn assert_node(words: &Arena<u32>, node: u32, level: u32, visit: &mut dyn FnMut(u32)) -> u32 {
    let (full, used) = (bits(words, node, FULL), bits(words, node, USED));
    let mut blocks = 1;
    for digit in 0..FAN {
        let child = words.get(node, NODE)[digit as usize];
        assert_eq!(used >> digit & 1 == 1, child != NONE, "used entries are marked");
        if child == NONE {
            assert_eq!(full >> digit & 1, 0, "an unused entry is not full");
        } else if level == 0 {
            assert_eq!(full >> digit & 1, 1, "a member is full");
            visit(child);
        } else {
            let child_full = bits(words, child, FULL) == u64::MAX;
            assert_eq!(full >> digit & 1 == 1, child_full, "full entries are marked");
            assert!(bits(words, child, USED) != 0, "an empty node is given back");
            blocks += assert_node(words, child, level - 1, visit);
        }
    }
    blocks
}

fn new_node(words: &mut Arena<u32>) -> u32 {
    let node = words.allocate(NODE);
    let entries = words.get_mut(node, NODE);
    entries[..FULL].fill(NONE);
    entries[FULL..].fill(0);
    node
}

fn bits(words: &Arena<u32>, node: u32, which: usize) -> u64 {
    let entries = words.get(node, NODE);
    u64::from(entries[which]) | u64::from(entries[which + 1]) << 32
}

fn set_bit(words: &mut Arena<u32>, node: u32, which: usize, digit: u32) {
    words.get_mut(node, NODE)[which + (digit / 32) as usize] |= 1 << (digit % 32);
}

fn clear_bit(words: &mut Arena<u32>, node: u32, which: usize, digit: u32) {
    words.get_mut(node, NODE)[which + (digit / 32) as usize] &= !(1 << (digit % 32));
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::chance::Chance;

    #[test]
    fn numbers_stay_and_the_lowest_free_one_is_given() {
        let mut words = Arena::new();
        let mut roster = Roster::EMPTY;
        let mut model = BTreeMap::new();
        let mut free: BTreeSet<u32> = (0..10_000).collect();
        let mut chance = Chance::new(3);
        for round in 0..40_000_u32 {
            // Grows to some thousands, shrinks to none, grows again.
            let grow = (round / 10_000).is_multiple_of(2);
            if chance.below(8) < if grow { 6 } else { 2 } {
                let lowest = free.pop_first().unwrap();
                assert_eq!(roster.insert(&mut words, round), lowest);
                model.insert(lowest, round);
            } else if let Some((&number, _)) = model.range(chance.index_below(5000)..).next() {
                roster.remove(&mut words, number);
                model.remove(&number);
                free.insert(number);
            }
            let probe = chance.index_below(6000);
            let next = model.range(probe..).next().map(|(&number, &it)| (number, it));
            let found = if roster.root == NONE { None } else { roster.next(&words, probe) };
            assert_eq!(found, next);
        }
        let mut seen = Vec::new();
        roster.assert_invariants(&words, |number, member| seen.push((number, member)));
        assert!(seen.iter().copied().eq(model.iter().map(|(&number, &member)| (number, member))));
        for &number in model.keys() {
            roster.remove(&mut words, number);
        }
        roster.clear(&mut words);
        assert_eq!(words.assert_invariants(), 0);
    }
}
