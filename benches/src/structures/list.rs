//! Linear lists: the simplest structures of the 2005 comparison of
//! handlespace structures. Linear, so only measured while small.

use super::ordered::{Key, Ordered};
use super::weighted::Weighted;
use crate::random::Random;

/// Above this a linear list takes minutes.
pub const ELEMENTS_MAX: u32 = 10_000;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Key,
    previous: u32,
    next: u32,
}

/// A doubly linked list kept in the order of the keys; searched from its end,
/// where new sequence numbers go.
#[derive(Debug)]
pub struct SortedList {
    nodes: Vec<Node>,
    first: u32,
    last: u32,
}

impl SortedList {
    fn link(&mut self, element: u32, key: Key) {
        let mut after = self.last;
        while after != NONE && self.nodes[after as usize].key > key {
            after = self.nodes[after as usize].previous;
        }
        let next = if after == NONE { self.first } else { self.nodes[after as usize].next };
        self.nodes[element as usize] = Node { key, previous: after, next };
        self.join(after, element);
        self.join(element, next);
    }

    fn unlink(&mut self, element: u32) {
        let Node { previous, next, .. } = self.nodes[element as usize];
        self.join(previous, next);
    }

    /// Makes `right` follow `left`; either may be the end.
    fn join(&mut self, left: u32, right: u32) {
        match self.nodes.get_mut(left as usize) {
            Some(node) => node.next = right,
            None => self.first = right,
        }
        match self.nodes.get_mut(right as usize) {
            Some(node) => node.previous = left,
            None => self.last = left,
        }
    }
}

impl Ordered for SortedList {
    const NAME: &'static str = "linear list";

    fn new(keys: &[Key]) -> Self {
        let blank = Node { key: Key::default(), previous: NONE, next: NONE };
        let mut list = Self { nodes: vec![blank; keys.len()], first: NONE, last: NONE };
        for (&key, element) in keys.iter().zip(0..) {
            list.link(element, key);
        }
        list
    }

    fn find(&self, key: Key) -> Option<u32> {
        let mut at = self.first;
        while let Some(node) = self.nodes.get(at as usize) {
            if node.key >= key {
                return (node.key == key).then_some(at);
            }
            at = node.next;
        }
        None
    }

    fn rekey(&mut self, element: u32, _: Key, new: Key) {
        self.unlink(element);
        self.link(element, new);
    }

    fn rekey_first(&mut self, change: impl FnOnce(Key) -> Key) -> Option<(Key, u32)> {
        let first = self.first;
        let new = change(self.nodes.get(first as usize)?.key);
        self.unlink(first);
        self.link(first, new);
        Some((new, first))
    }

    fn each(&self, mut visit: impl FnMut(Key, u32) -> bool) {
        let mut at = self.first;
        while let Some(node) = self.nodes.get(at as usize) {
            if !visit(node.key, at) {
                return;
            }
            at = node.next;
        }
    }

    fn assert_consistent(&self) {
        let mut at = self.last;
        let mut count = 0;
        while let Some(node) = self.nodes.get(at as usize) {
            at = node.previous;
            count += 1;
        }
        assert_eq!(count, self.nodes.len());
    }
}

/// Weights in an array, summed up to the drawn number.
#[derive(Debug)]
pub struct WeightList {
    weights: Vec<u32>,
    total: u64,
}

impl Weighted for WeightList {
    const NAME: &'static str = "linear list";

    fn new(weights: &[u32]) -> Self {
        let total = weights.iter().map(|&weight| u64::from(weight)).sum();
        Self { weights: weights.to_vec(), total }
    }

    fn update(&mut self, element: u32, weight: u32) {
        if let Some(old) = self.weights.get_mut(element as usize) {
            self.total = self.total - u64::from(*old) + u64::from(weight);
            *old = weight;
        }
    }

    fn sample(&self, random: &mut Random) -> u32 {
        let mut left = random.below_wide(self.total);
        for (&weight, element) in self.weights.iter().zip(0..) {
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => return element,
            }
        }
        0
    }
}
