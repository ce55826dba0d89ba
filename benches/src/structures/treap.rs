//! A treap: a search tree whose random priorities keep it balanced.

use super::ordered::{Key, Ordered};
use crate::random::scramble;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Key,
    priority: u32,
    children: [u32; 2],
}

/// Where a link to a node is kept.
#[derive(Clone, Copy, Debug)]
enum Place {
    Root,
    Child(u32, usize),
}

/// Nodes linked by index, 32 bytes each; an element keeps its node.
#[derive(Debug)]
pub struct Treap {
    nodes: Vec<Node>,
    root: u32,
}

impl Treap {
    fn at(&self, place: Place) -> u32 {
        match place {
            Place::Root => self.root,
            Place::Child(parent, side) => self.nodes[parent as usize].children[side],
        }
    }

    fn set(&mut self, place: Place, node: u32) {
        match place {
            Place::Root => self.root = node,
            Place::Child(parent, side) => self.nodes[parent as usize].children[side] = node,
        }
    }

    fn link(&mut self, element: u32, key: Key) {
        let priority = self.nodes[element as usize].priority;
        let mut place = Place::Root;
        let mut at = self.root;
        while at != NONE && self.nodes[at as usize].priority >= priority {
            let side = usize::from(key > self.nodes[at as usize].key);
            place = Place::Child(at, side);
            at = self.nodes[at as usize].children[side];
        }
        self.set(place, element);
        self.nodes[element as usize].key = key;
        self.nodes[element as usize].children = [NONE; 2];
        // The subtree that was here is split around the key, top down: each
        // side is hung on where the last node of that side has its gap.
        let mut gaps = [Place::Child(element, 0), Place::Child(element, 1)];
        while at != NONE {
            let above = usize::from(self.nodes[at as usize].key > key);
            self.set(gaps[above], at);
            gaps[above] = Place::Child(at, 1 - above);
            at = self.nodes[at as usize].children[1 - above];
        }
        self.set(gaps[0], NONE);
        self.set(gaps[1], NONE);
    }

    fn unlink(&mut self, key: Key) {
        let mut place = Place::Root;
        while self.at(place) != NONE && self.nodes[self.at(place) as usize].key != key {
            let at = self.at(place);
            place = Place::Child(at, usize::from(key > self.nodes[at as usize].key));
        }
        self.unlink_at(place);
    }

    /// Puts the merged subtrees of the node here in its place.
    fn unlink_at(&mut self, mut place: Place) {
        let Some(node) = self.nodes.get(self.at(place) as usize) else { return };
        let [mut left, mut right] = node.children;
        while left != NONE && right != NONE {
            let (l, r) = (&self.nodes[left as usize], &self.nodes[right as usize]);
            if l.priority >= r.priority {
                let next = l.children[1];
                self.set(place, left);
                place = Place::Child(left, 1);
                left = next;
            } else {
                let next = r.children[0];
                self.set(place, right);
                place = Place::Child(right, 0);
                right = next;
            }
        }
        self.set(place, if left == NONE { right } else { left });
    }

    fn first_place(&self) -> Place {
        let mut place = Place::Root;
        loop {
            let at = self.at(place);
            match self.nodes.get(at as usize) {
                Some(node) if node.children[0] != NONE => place = Place::Child(at, 0),
                Some(_) | None => return place,
            }
        }
    }
}

impl Ordered for Treap {
    const NAME: &'static str = "treap";

    fn new(keys: &[Key]) -> Self {
        let nodes = (0..keys.len() as u64).map(|index| {
            let priority = u32::try_from(scramble(index + 1) >> 32).unwrap_or(0);
            Node { key: Key::default(), priority, children: [NONE; 2] }
        });
        let mut treap = Self { nodes: nodes.collect(), root: NONE };
        for (&key, element) in keys.iter().zip(0..) {
            treap.link(element, key);
        }
        treap
    }

    fn find(&self, key: Key) -> Option<u32> {
        let mut at = self.root;
        while let Some(node) = self.nodes.get(at as usize) {
            if node.key == key {
                return Some(at);
            }
            at = node.children[usize::from(key > node.key)];
        }
        None
    }

    fn rekey(&mut self, element: u32, old: Key, new: Key) {
        self.unlink(old);
        self.link(element, new);
    }

    fn rekey_first(&mut self, change: impl FnOnce(Key) -> Key) -> Option<(Key, u32)> {
        let place = self.first_place();
        let first = self.at(place);
        let new = change(self.nodes.get(first as usize)?.key);
        self.unlink_at(place);
        self.link(first, new);
        Some((new, first))
    }

    fn each(&self, mut visit: impl FnMut(Key, u32) -> bool) {
        let mut path = Vec::new();
        let mut at = self.root;
        loop {
            while let Some(node) = self.nodes.get(at as usize) {
                path.push(at);
                at = node.children[0];
            }
            let Some(node) = path.pop() else { return };
            if !visit(self.nodes[node as usize].key, node) {
                return;
            }
            at = self.nodes[node as usize].children[1];
        }
    }

    fn assert_consistent(&self) {
        for node in &self.nodes {
            for child in node.children {
                if let Some(child) = self.nodes.get(child as usize) {
                    assert!(child.priority <= node.priority, "the heap order holds");
                }
            }
        }
    }
}
