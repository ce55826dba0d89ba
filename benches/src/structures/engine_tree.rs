//! The engine's own red-black tree, alone.

use rserpool_engine::tree::{BlockTree, Nodes, Tree, WeightSum};

use super::ordered::{Key, Ordered};
use super::weighted::Weighted;
use crate::random::Random;

/// A key as the tree takes it: a number on a circle. The ranks of one set
/// never spread over more than 33 bits, so the order is that of the keys.
const fn rank(key: Key) -> u64 {
    (key.rank << 30).wrapping_add(key.sequence)
}

/// The tree of blocks that carries the sorted policies.
#[derive(Debug)]
pub struct EngineBlocks {
    order: BlockTree,
    keys: Vec<Key>,
    touched: u32,
}

impl Ordered for EngineBlocks {
    const NAME: &'static str = "engine tree of blocks";
    const SEARCHED: bool = false;
    const BATCHED: bool = true;

    fn new(keys: &[Key]) -> Self {
        let mut order = BlockTree::new(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        for (&key, element) in keys.iter().zip(0..) {
            order.insert(element, rank(key));
        }
        Self { order, keys: keys.to_vec(), touched: 0 }
    }

    fn find(&self, _: Key) -> Option<u32> {
        None
    }

    fn rekey(&mut self, element: u32, _: Key, new: Key) {
        self.order.change(element, rank(new));
        self.keys[element as usize] = new;
    }

    fn rekey_many(&mut self, changes: &[(u32, Key, Key)]) {
        for group in changes.chunks(16) {
            let moves = group.iter().map(|&(element, _, new)| (element, rank(new)));
            self.touched ^= self.order.touch(moves);
            for &(element, old, new) in group {
                self.rekey(element, old, new);
            }
        }
    }

    fn rekey_first(&mut self, change: impl FnOnce(Key) -> Key) -> Option<(Key, u32)> {
        let mut first = None;
        self.order.list(1, |element| first = Some(element));
        let first = first?;
        let old = self.keys[first as usize];
        let new = change(old);
        self.order.advance_first(rank(new).wrapping_sub(rank(old)));
        self.keys[first as usize] = new;
        Some((new, first))
    }

    fn each(&self, mut visit: impl FnMut(Key, u32) -> bool) {
        let mut going = true;
        let mut items = 1;
        // As many as wanted are not known before: twice as many each time.
        let mut done = 0;
        while going && done < self.keys.len() {
            let mut seen = 0;
            self.order.list(items, |element| {
                seen += 1;
                if going && seen > done {
                    going = visit(self.keys[element as usize], element);
                    done = seen;
                }
            });
            items = items.saturating_mul(16);
        }
    }

    fn assert_consistent(&self) {
        assert_eq!(self.order.assert_invariants() as usize, self.keys.len());
    }
}

/// The plain tree. An element is its slot: nothing is ever searched by key.
#[derive(Debug)]
pub struct EngineTree {
    nodes: Nodes<()>,
    tree: Tree,
    keys: Vec<Key>,
    touched: u32,
    descents: Vec<(Tree, u64)>,
}

impl EngineTree {
    fn key(&self, element: u32) -> Key {
        self.keys[element as usize]
    }

    fn change(&mut self, element: u32, new: Key) {
        self.nodes.change(&mut self.tree, element, rank(new));
        self.keys[element as usize] = new;
    }
}

impl Ordered for EngineTree {
    const NAME: &'static str = "engine red-black tree";
    const SEARCHED: bool = false;
    const BATCHED: bool = true;

    fn new(keys: &[Key]) -> Self {
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let (mut nodes, mut tree) = (Nodes::new(count), Tree::EMPTY);
        for (&key, element) in keys.iter().zip(0..) {
            nodes.insert(&mut tree, element, rank(key), ());
        }
        Self { nodes, tree, keys: keys.to_vec(), touched: 0, descents: Vec::new() }
    }

    fn find(&self, _: Key) -> Option<u32> {
        None
    }

    fn rekey(&mut self, element: u32, _: Key, new: Key) {
        self.change(element, new);
    }

    fn rekey_many(&mut self, changes: &[(u32, Key, Key)]) {
        for group in changes.chunks(16) {
            // Where each is, and where each goes.
            self.descents.clear();
            for &(_, old, new) in group {
                self.descents.push((self.tree, rank(old)));
                self.descents.push((self.tree, rank(new)));
            }
            self.touched ^= self.nodes.touch(&self.descents);
            for &(element, _, new) in group {
                self.change(element, new);
            }
        }
    }

    fn rekey_first(&mut self, change: impl FnOnce(Key) -> Key) -> Option<(Key, u32)> {
        let first = self.tree.first()?;
        let new = change(self.key(first));
        self.change(first, new);
        Some((new, first))
    }

    fn each(&self, mut visit: impl FnMut(Key, u32) -> bool) {
        let mut at = self.tree.first();
        while let Some(element) = at {
            if !visit(self.key(element), element) {
                return;
            }
            at = self.nodes.next(element);
        }
    }

    fn assert_consistent(&self) {
        self.nodes.assert_invariants(&self.tree);
    }
}

/// The tree with sums of weights; its order does not matter.
#[derive(Debug)]
pub struct EngineWeightTree {
    nodes: Nodes<WeightSum>,
    tree: Tree,
}

impl Weighted for EngineWeightTree {
    const NAME: &'static str = "engine red-black tree with sums";

    fn new(weights: &[u32]) -> Self {
        let count = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        let (mut nodes, mut tree) = (Nodes::new(count), Tree::EMPTY);
        for (&weight, element) in weights.iter().zip(0..) {
            let weight = WeightSum::new(u64::from(weight));
            nodes.insert(&mut tree, element, u64::from(element), weight);
        }
        Self { nodes, tree }
    }

    fn update(&mut self, element: u32, weight: u32) {
        self.nodes.set_value(element, WeightSum::new(u64::from(weight)));
    }

    fn sample(&self, random: &mut Random) -> u32 {
        let total = self.nodes.weight(&self.tree);
        self.nodes.at_weight(&self.tree, random.below_wide(total)).unwrap_or(0)
    }
}
