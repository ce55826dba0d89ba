//! The red-black tree of the crate intrusive-collections.
//!
//! The crate reaches a node by its key or, with `unsafe`, by its address. Here
//! it is used as a safe program can: a re-keyed element is looked up first.
//! What an address would save is at most the row `find` at the same size.

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink, intrusive_adapter};

use super::ordered::{Key, Ordered};

/// One element on its own cache line, as large as one of the engine's would be.
#[derive(Debug)]
#[repr(align(64))]
pub struct Node {
    link: RBTreeLink,
    key: Key,
    element: u32,
}

intrusive_adapter!(ByKey = Box<Node>: Node { link => RBTreeLink });

impl<'a> KeyAdapter<'a> for ByKey {
    type Key = Key;

    fn get_key(&self, node: &'a Node) -> Key {
        node.key
    }
}

/// Boxed nodes in a `RBTree`.
#[derive(Debug)]
pub struct RedBlack(RBTree<ByKey>);

impl Ordered for RedBlack {
    const NAME: &'static str = "intrusive-collections RBTree";

    fn new(keys: &[Key]) -> Self {
        let mut tree = RBTree::new(ByKey::new());
        for (&key, element) in keys.iter().zip(0..) {
            tree.insert(Box::new(Node { link: RBTreeLink::new(), key, element }));
        }
        Self(tree)
    }

    fn find(&self, key: Key) -> Option<u32> {
        self.0.find(&key).get().map(|node| node.element)
    }

    fn rekey(&mut self, _: u32, old: Key, new: Key) {
        if let Some(mut node) = self.0.find_mut(&old).remove() {
            node.key = new;
            self.0.insert(node);
        }
    }

    fn rekey_first(&mut self, change: impl FnOnce(Key) -> Key) -> Option<(Key, u32)> {
        let mut front = self.0.front_mut();
        let mut node = front.remove()?;
        let (new, element) = (change(node.key), node.element);
        node.key = new;
        // Without a search while it stays the first: the best that can be done.
        if front.get().is_none_or(|second| new < second.key) {
            front.insert_before(node);
        } else {
            self.0.insert(node);
        }
        Some((new, element))
    }

    fn each(&self, mut visit: impl FnMut(Key, u32) -> bool) {
        for node in &self.0 {
            if !visit(node.key, node.element) {
                return;
            }
        }
    }

    fn assert_consistent(&self) {
        for node in &self.0 {
            let found = self.0.lower_bound(Bound::Included(&node.key));
            assert!(found.get().is_some_and(|found| found.element == node.element));
        }
    }
}
