//! The standard library's B-tree.

use std::collections::BTreeMap;

use super::ordered::{Key, Ordered};

/// A `BTreeMap` from keys to elements.
#[derive(Debug)]
pub struct BTree(BTreeMap<Key, u32>);

impl Ordered for BTree {
    const NAME: &'static str = "BTreeMap";

    fn new(keys: &[Key]) -> Self {
        // One by one: a bulk load would lay the nodes out in order.
        let mut map = BTreeMap::new();
        for (&key, element) in keys.iter().zip(0..) {
            map.insert(key, element);
        }
        Self(map)
    }

    fn find(&self, key: Key) -> Option<u32> {
        self.0.get(&key).copied()
    }

    fn rekey(&mut self, element: u32, old: Key, new: Key) {
        self.0.remove(&old);
        self.0.insert(new, element);
    }

    fn rekey_first(&mut self, change: impl FnOnce(Key) -> Key) -> Option<(Key, u32)> {
        let (old, element) = self.0.pop_first()?;
        let new = change(old);
        self.0.insert(new, element);
        Some((new, element))
    }

    fn each(&self, mut visit: impl FnMut(Key, u32) -> bool) {
        for (&key, &element) in &self.0 {
            if !visit(key, element) {
                return;
            }
        }
    }

    fn assert_consistent(&self) {}
}
