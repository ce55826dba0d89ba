//! Red-black trees: the order of every sorted policy.
//!
//! The nodes of many trees are in one arena, addressed by slot, with `u32`
//! links and the key inside the node: a comparison touches the node and
//! nothing else. A [`Tree`] caches its first and its last node, so that
//! finding the best costs nothing and what goes behind all others is attached
//! without a descent. A node whose new key keeps its place is overwritten
//! where it is. Equal keys stand in the order in which they came.
//!
//! An [`Augment`] adds a value to each node that is computed from its own and
//! its children's, such as the [`WeightSum`] that makes a weighted random
//! choice a descent. A plain value is the same with nothing to compute.
//!
//! ```
//! use rserpool_engine::tree::{Nodes, Tree};
//!
//! let (mut nodes, mut tree) = (Nodes::<()>::new(16), Tree::EMPTY);
//! for (slot, load) in [(0, 30), (1, 10), (2, 20)] {
//!     nodes.insert(&mut tree, slot, load, ());
//! }
//! assert_eq!(tree.first(), Some(1));
//! nodes.change(&mut tree, 1, 20);
//! assert_eq!(tree.first(), Some(2));
//! assert_eq!(nodes.next(2), Some(1));
//! ```

use crate::paged::Paged;
pub use crate::sorted::BlockTree;

/// No node. Links have 31 bits; the bit above is the color.
const NIL: u32 = u32::MAX >> 1;
const RED: u32 = 1 << 31;
/// Nodes that take fewer bytes than this are near: a second cache has room for
/// them.
pub(crate) const NEAR_BYTES: usize = 5 << 19;

/// Whether one key comes before another.
///
/// Keys compare as numbers on a circle, so that keys that only grow may wrap:
/// all keys of one tree lie within 2^63 of each other.
#[inline]
#[must_use]
pub const fn is_before(key: u64, other: u64) -> bool {
    key.wrapping_sub(other).cast_signed() < 0
}

/// A value of a node, which may depend on those below it.
pub trait Augment: Copy + Default + PartialEq + core::fmt::Debug {
    /// Whether there is anything to compute.
    const ACTIVE: bool = false;

    /// Computes the value from the node's own part and its children's values.
    #[inline]
    fn refresh(&mut self, _left: Option<&Self>, _right: Option<&Self>) {}
}

impl Augment for () {}

/// A weight, and the sum of the weights of a node and all below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightSum {
    /// The node's own weight.
    pub weight: u64,
    sum: u64,
}

impl WeightSum {
    /// A node of this weight.
    #[must_use]
    pub const fn new(weight: u64) -> Self {
        Self { weight, sum: weight }
    }
}

impl Augment for WeightSum {
    const ACTIVE: bool = true;

    #[inline]
    fn refresh(&mut self, left: Option<&Self>, right: Option<&Self>) {
        self.sum = self.weight + left.map_or(0, |it| it.sum) + right.map_or(0, |it| it.sum);
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Node<A> {
    key: u64,
    child: [u32; 2],
    /// The parent, and the color.
    up: u32,
    value: A,
}

const _: () = assert!(size_of::<Node<()>>() == 24);

impl<A: Default> Default for Node<A> {
    fn default() -> Self {
        Self { key: 0, child: [NIL; 2], up: NIL, value: A::default() }
    }
}

/// One tree: its root and its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    root: u32,
    first: u32,
    last: u32,
    len: u32,
}

const fn some(node: u32) -> Option<u32> {
    if node == NIL { None } else { Some(node) }
}

impl Tree {
    /// A tree without nodes.
    pub const EMPTY: Self = Self { root: NIL, first: NIL, last: NIL, len: 0 };

    /// Whether it has no nodes.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root == NIL
    }

    /// The number of its nodes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// The slot of the lowest key.
    #[inline]
    #[must_use]
    pub const fn first(&self) -> Option<u32> {
        some(self.first)
    }

    /// The slot of the highest key.
    #[inline]
    #[must_use]
    pub const fn last(&self) -> Option<u32> {
        some(self.last)
    }
}

/// The nodes of any number of trees.
#[derive(Debug)]
pub struct Nodes<A> {
    nodes: Paged<Node<A>, 128>,
}

impl<A: Augment> Nodes<A> {
    /// Room for nodes of slots below `slots` (at most 2^31 - 1); memory is
    /// taken when a slot is first used.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self { nodes: Paged::for_slots(slots) }
    }

    /// The key of a linked slot.
    #[inline]
    #[must_use]
    pub fn key(&self, slot: u32) -> u64 {
        self.nodes[slot].key
    }

    /// The value of a slot.
    #[inline]
    #[must_use]
    pub fn value(&self, slot: u32) -> &A {
        &self.nodes[slot].value
    }

    /// Gives a linked slot another value and refreshes those above.
    #[inline]
    pub fn set_value(&mut self, slot: u32, value: A) {
        self.nodes[slot].value = value;
        self.refresh_up(slot);
    }

    /// Overwrites the key of a linked slot with one that keeps its place.
    #[inline]
    pub(crate) fn set_key(&mut self, slot: u32, key: u64) {
        self.nodes[slot].key = key;
    }

    /// The slot after this one.
    #[inline]
    #[must_use]
    pub fn next(&self, slot: u32) -> Option<u32> {
        some(self.neighbor(slot, 1))
    }

    /// The slot before this one.
    #[inline]
    #[must_use]
    pub fn previous(&self, slot: u32) -> Option<u32> {
        some(self.neighbor(slot, 0))
    }

    fn neighbor(&self, slot: u32, side: usize) -> u32 {
        let below = self.nodes[slot].child[side];
        if below != NIL {
            return self.end(below, 1 - side);
        }
        let mut at = slot;
        loop {
            let up = self.parent(at);
            if up == NIL || self.nodes[up].child[side] != at {
                return up;
            }
            at = up;
        }
    }

    /// The outermost node below `node` on a side.
    fn end(&self, node: u32, side: usize) -> u32 {
        let mut at = node;
        loop {
            match self.nodes[at].child[side] {
                NIL => return at,
                child => at = child,
            }
        }
    }

    #[inline]
    fn parent(&self, node: u32) -> u32 {
        self.nodes[node].up & !RED
    }

    #[inline]
    fn set_parent(&mut self, node: u32, parent: u32) {
        let up = &mut self.nodes[node].up;
        *up = *up & RED | parent;
    }

    #[inline]
    fn is_red(&self, node: u32) -> bool {
        node != NIL && self.nodes[node].up & RED != 0
    }

    #[inline]
    fn set_red(&mut self, node: u32) {
        self.nodes[node].up |= RED;
    }

    #[inline]
    fn set_black(&mut self, node: u32) {
        self.nodes[node].up &= !RED;
    }

    /// Links a slot that is in no tree, behind those of the same key.
    #[inline]
    pub fn insert(&mut self, tree: &mut Tree, slot: u32, key: u64, value: A) {
        self.nodes.reserve(slot);
        self.nodes[slot].value = value;
        self.link(tree, slot, key, tree.root);
    }

    /// Links a slot that is in no tree behind one that is. The key must not be
    /// before that of `at`, nor behind that of the next.
    pub fn insert_after(&mut self, tree: &mut Tree, at: u32, slot: u32, key: u64, value: A) {
        self.nodes.reserve(slot);
        self.nodes[slot].value = value;
        if tree.last == at {
            tree.last = slot;
        }
        match self.nodes[at].child[1] {
            NIL => self.attach(tree, slot, key, at, 1),
            right => {
                let next = self.end(right, 0);
                self.attach(tree, slot, key, next, 0);
            }
        }
    }

    /// The last slot whose key is not behind this one.
    #[inline]
    #[must_use]
    pub fn last_not_after(&self, tree: &Tree, key: u64) -> Option<u32> {
        let (mut at, mut found) = (tree.root, NIL);
        while at != NIL {
            let node = &self.nodes[at];
            let follows = !is_before(key, node.key);
            found = if follows { at } else { found };
            at = node.child[usize::from(follows)];
        }
        some(found)
    }

    /// Links a node whose place is below `start`, unless it is at an end.
    fn link(&mut self, tree: &mut Tree, slot: u32, key: u64, start: u32) {
        if tree.is_empty() {
            *tree = Tree { root: slot, first: slot, last: slot, len: 1 };
            let node = &mut self.nodes[slot];
            (node.key, node.child, node.up) = (key, [NIL; 2], NIL);
            self.refresh(slot);
            return;
        }
        let (parent, side) = if !is_before(key, self.nodes[tree.last].key) {
            (core::mem::replace(&mut tree.last, slot), 1)
        } else if is_before(key, self.nodes[tree.first].key) {
            (core::mem::replace(&mut tree.first, slot), 0)
        } else {
            self.descend(start, key)
        };
        self.attach(tree, slot, key, parent, side);
    }

    /// Makes a node a child of one that has none on this side.
    fn attach(&mut self, tree: &mut Tree, slot: u32, key: u64, parent: u32, side: usize) {
        tree.len += 1;
        let node = &mut self.nodes[slot];
        (node.key, node.child, node.up) = (key, [NIL; 2], parent | RED);
        let above = &mut self.nodes[parent];
        above.child[side] = slot;
        let is_red = above.up & RED != 0;
        self.refresh_up(slot);
        if is_red {
            self.rebalance_insertion(tree, slot, parent);
        }
    }

    #[inline]
    fn descend(&self, start: u32, key: u64) -> (u32, usize) {
        let mut at = start;
        loop {
            let node = &self.nodes[at];
            // Without a branch: the side is as unpredictable as the keys.
            let side = usize::from(!is_before(key, node.key));
            let child = node.child[side];
            if child == NIL {
                return (at, side);
            }
            at = child;
        }
    }

    /// Unlinks a slot.
    pub fn remove(&mut self, tree: &mut Tree, slot: u32) {
        if tree.first == slot {
            tree.first = self.neighbor(slot, 1);
        }
        if tree.last == slot {
            tree.last = self.neighbor(slot, 0);
        }
        let Node { child: [left, right], up, .. } = self.nodes[slot];
        tree.len -= 1;
        let above = up & !RED;
        if left == NIL || right == NIL {
            let child = if left == NIL { right } else { left };
            self.hang(tree, above, slot, child);
            self.refresh_up(above);
            if child != NIL {
                // An only child is red, and its parent black.
                self.set_black(child);
            } else if up & RED == 0 && above != NIL {
                self.rebalance_removal(tree, NIL, above);
            }
            return;
        }
        // The next node takes the place; it has no left child.
        let next = self.end(right, 0);
        let Node { child: [_, child], up: next_up, .. } = self.nodes[next];
        let parent = if next == right {
            next
        } else {
            let parent = next_up & !RED;
            self.nodes[parent].child[0] = child;
            self.nodes[next].child[1] = right;
            self.set_parent(right, next);
            parent
        };
        let node = &mut self.nodes[next];
        node.child[0] = left;
        node.up = up;
        self.set_parent(left, next);
        self.hang(tree, above, slot, next);
        if child != NIL {
            // An only child is red: it becomes black.
            self.nodes[child].up = parent;
        }
        self.refresh_up(parent);
        if child == NIL && next_up & RED == 0 {
            self.rebalance_removal(tree, NIL, parent);
        }
    }

    /// Hangs `new` (or nothing) where `old` hung on its parent.
    #[inline]
    fn hang(&mut self, tree: &mut Tree, parent: u32, old: u32, new: u32) {
        if parent == NIL {
            tree.root = new;
        } else {
            let node = &mut self.nodes[parent];
            let side = usize::from(node.child[1] == old);
            node.child[side] = new;
        }
        if new != NIL {
            self.set_parent(new, parent);
        }
    }

    /// Gives a linked slot another key, and its place behind those that have
    /// this key.
    pub fn change(&mut self, tree: &mut Tree, slot: u32, key: u64) {
        if self.fits(tree, slot, key) {
            self.nodes[slot].key = key;
            return;
        }
        let was_first = tree.first == slot;
        self.remove(tree, slot);
        // What was first most often goes to the end or a short way.
        let start = if was_first && is_before(key, self.nodes[tree.last].key) {
            self.above_first(tree, key)
        } else {
            tree.root
        };
        self.link(tree, slot, key, start);
    }

    /// Whether a key keeps the place of a linked slot.
    #[inline]
    fn fits(&self, tree: &Tree, slot: u32, key: u64) -> bool {
        let Node { child: [left, right], up, .. } = self.nodes[slot];
        let parent = up & !RED;
        // Nearly all that do not fit are found out by these three, which are
        // needed anyway.
        if parent != NIL {
            let above = &self.nodes[parent];
            if (above.child[0] == slot) != is_before(key, above.key) {
                return false;
            }
        }
        if left != NIL && is_before(key, self.nodes[left].key)
            || right != NIL && !is_before(key, self.nodes[right].key)
        {
            return false;
        }
        (tree.first == slot || !is_before(key, self.nodes[self.neighbor(slot, 0)].key))
            && (tree.last == slot || is_before(key, self.nodes[self.neighbor(slot, 1)].key))
    }

    /// Climbs from the first node to one below which the key has its place.
    fn above_first(&self, tree: &Tree, key: u64) -> u32 {
        let mut at = tree.first;
        loop {
            let up = self.parent(at);
            if up == NIL || is_before(key, self.nodes[up].key) {
                return at;
            }
            at = up;
        }
    }

    #[inline]
    fn refresh(&mut self, node: u32) {
        if A::ACTIVE {
            let [left, right] = self.nodes[node].child;
            let value = |child| (child != NIL).then(|| self.nodes[child].value);
            let (left, right) = (value(left), value(right));
            self.nodes[node].value.refresh(left.as_ref(), right.as_ref());
        }
    }

    #[inline]
    fn refresh_up(&mut self, node: u32) {
        if A::ACTIVE {
            let mut at = node;
            while at != NIL {
                self.refresh(at);
                at = self.parent(at);
            }
        }
    }

    /// Turns the edge between `node` and its child opposite of `side`, so that
    /// `node` goes down to `side`.
    ///
    /// ```text
    ///   node                riser
    ///   /  \     side = 0   /  \
    ///  a  riser    -->   node   c
    ///     /  \           /  \
    ///    b    c         a    b
    /// ```
    #[inline]
    fn rotate(&mut self, tree: &mut Tree, node: u32, side: usize) {
        let Node { child, up, .. } = self.nodes[node];
        let (riser, parent) = (child[1 - side], up & !RED);
        let risen = &mut self.nodes[riser];
        let between = core::mem::replace(&mut risen.child[side], node);
        risen.up = risen.up & RED | parent;
        let fallen = &mut self.nodes[node];
        fallen.child[1 - side] = between;
        fallen.up = up & RED | riser;
        if between != NIL {
            self.set_parent(between, node);
        }
        if parent == NIL {
            tree.root = riser;
        } else {
            let above = &mut self.nodes[parent];
            let side = usize::from(above.child[1] == node);
            above.child[side] = riser;
        }
        self.refresh(node);
        self.refresh(riser);
    }

    /// Restores "no red node has a red parent" from a new red leaf with a red
    /// parent upwards.
    fn rebalance_insertion(&mut self, tree: &mut Tree, slot: u32, parent: u32) {
        let (mut node, mut parent) = (slot, parent);
        loop {
            // Loop invariant: `node` and `parent` are red, and nothing else is
            // wrong. A red parent is not the root: there is a grandparent.
            let above = self.parent(parent);
            let Node { child, up, .. } = self.nodes[above];
            let side = usize::from(child[1] == parent);
            let uncle = child[1 - side];
            if self.is_red(uncle) {
                self.set_black(parent);
                self.set_black(uncle);
                let higher = up & !RED;
                if higher == NIL {
                    return;
                }
                self.set_red(above);
                if !self.is_red(higher) {
                    return;
                }
                (node, parent) = (above, higher);
                continue;
            }
            if self.nodes[parent].child[1 - side] == node {
                self.rotate(tree, parent, side);
                parent = node;
            }
            self.set_black(parent);
            self.set_red(above);
            self.rotate(tree, above, 1 - side);
            return;
        }
    }

    /// Restores "all paths have equally many black nodes" where one is missing
    /// at `node` (which may be none) below `parent`.
    fn rebalance_removal(&mut self, tree: &mut Tree, node: u32, parent: u32) {
        let (mut node, mut parent) = (node, parent);
        loop {
            // The sibling exists: its side has a black node more.
            let child = self.nodes[parent].child;
            let side = usize::from(child[0] != node);
            let mut sibling = child[1 - side];
            if self.is_red(sibling) {
                self.set_black(sibling);
                self.set_red(parent);
                self.rotate(tree, parent, side);
                sibling = self.nodes[parent].child[1 - side];
            }
            let nephews = self.nodes[sibling].child;
            let (inner, outer) = (nephews[side], nephews[1 - side]);
            if self.is_red(outer) {
                self.set_black(outer);
            } else if self.is_red(inner) {
                // The sibling, which is black, becomes the outer nephew.
                self.rotate(tree, sibling, 1 - side);
                sibling = inner;
            } else {
                self.set_red(sibling);
                let up = self.nodes[parent].up;
                if up & RED != 0 {
                    self.set_black(parent);
                    return;
                }
                if up == NIL {
                    return;
                }
                (node, parent) = (parent, up);
                continue;
            }
            // The sibling takes the place and the color of the parent.
            let red = self.nodes[parent].up & RED;
            self.set_black(parent);
            self.rotate(tree, parent, side);
            let up = &mut self.nodes[sibling].up;
            *up = *up & !RED | red;
            return;
        }
    }

    /// Whether a cache has room for the nodes of a tree.
    const fn is_near(&self, tree: &Tree) -> bool {
        (tree.len as usize) * size_of::<Node<A>>() < NEAR_BYTES
    }

    /// Reads the paths to these keys, all at once: the memory accesses of up
    /// to sixteen descents overlap, and the operations that follow find their
    /// nodes near. Returns a number to keep the compiler from skipping it.
    ///
    /// Trees that a cache has room for are left out: there is nothing to gain.
    pub fn touch(&self, descents: &[(Tree, u64)]) -> u32 {
        self.touch_and(descents, |tree| !self.is_near(tree), |node| node)
    }

    /// The same for trees that are far; `arrived` reads what belongs to the
    /// last node not after each key.
    #[inline]
    pub(crate) fn touch_and(
        &self,
        descents: &[(Tree, u64)],
        is_far: impl Fn(&Tree) -> bool,
        arrived: impl Fn(u32) -> u32,
    ) -> u32 {
        let mut sum = 0;
        for group in descents.chunks(16) {
            let mut at = [NIL; 16];
            for (at, (tree, _)) in at.iter_mut().zip(group) {
                *at = if is_far(tree) { tree.root } else { NIL };
            }
            let mut found = [NIL; 16];
            let mut going = true;
            while going {
                going = false;
                for ((at, found), (_, key)) in at.iter_mut().zip(&mut found).zip(group) {
                    if *at != NIL {
                        let node = &self.nodes[*at];
                        let follows = !is_before(*key, node.key);
                        *found = if follows { *at } else { *found };
                        *at = node.child[usize::from(follows)];
                        going = true;
                    }
                }
            }
            for found in found.into_iter().filter(|&found| found != NIL) {
                sum ^= arrived(found);
            }
        }
        sum
    }

    /// Checks order, colors, black height, links, cached ends and augmented
    /// values; returns the number of nodes. O(n).
    ///
    /// # Panics
    /// If one is wrong.
    pub fn assert_invariants(&self, tree: &Tree) -> u32 {
        if tree.is_empty() {
            assert_eq!(*tree, Tree::EMPTY, "an empty tree has no ends");
            return 0;
        }
        assert_eq!(self.parent(tree.root), NIL, "the root has no parent");
        assert!(!self.is_red(tree.root), "the root is black");
        assert_eq!(tree.first, self.end(tree.root, 0), "the first is cached");
        assert_eq!(tree.last, self.end(tree.root, 1), "the last is cached");
        let (len, _) = self.assert_below(tree.root);
        let (mut at, mut walked) = (tree.first, 1);
        while let Some(next) = self.next(at) {
            assert!(!is_before(self.key(next), self.key(at)), "keys ascend");
            assert_eq!(self.previous(next), Some(at), "both ways");
            (at, walked) = (next, walked + 1);
        }
        assert_eq!((at, walked), (tree.last, len), "a walk visits every node");
        assert_eq!(len, tree.len, "a tree counts its nodes");
        len
    }

    /// The number of nodes and of black nodes on a path, at and below a node.
    fn assert_below(&self, node: u32) -> (u32, u32) {
        if node == NIL {
            return (0, 1);
        }
        let [left, right] = self.nodes[node].child;
        for child in [left, right] {
            if child != NIL {
                assert_eq!(self.parent(child), node, "links go both ways");
                assert!(!self.is_red(node) || !self.is_red(child), "no red below red");
            }
        }
        let ((left_len, left_black), (right_len, right_black)) =
            (self.assert_below(left), self.assert_below(right));
        assert_eq!(left_black, right_black, "black heights are equal");
        let value = |child| (child != NIL).then(|| self.nodes[child].value);
        let (left, right) = (value(left), value(right));
        let mut value_of = self.nodes[node].value;
        value_of.refresh(left.as_ref(), right.as_ref());
        assert_eq!(value_of, self.nodes[node].value, "computed values are fresh");
        (left_len + right_len + 1, left_black + u32::from(!self.is_red(node)))
    }

    /// The tree as text, node by node from the root: for comparing shapes.
    #[must_use]
    pub fn shape(&self, tree: &Tree) -> String {
        let mut text = String::new();
        self.write_shape(tree.root, &mut text);
        text
    }

    fn write_shape(&self, node: u32, text: &mut String) {
        use core::fmt::Write;
        if node == NIL {
            text.push('.');
            return;
        }
        let color = if self.is_red(node) { 'r' } else { 'b' };
        // Writing to a string does not fail.
        let _ = write!(text, "({}{color}", self.nodes[node].key);
        self.write_shape(self.nodes[node].child[0], text);
        self.write_shape(self.nodes[node].child[1], text);
        text.push(')');
    }
}

impl Nodes<WeightSum> {
    /// The sum of all weights of a tree.
    #[must_use]
    pub fn weight(&self, tree: &Tree) -> u64 {
        if tree.is_empty() { 0 } else { self.nodes[tree.root].value.sum }
    }

    /// The slot at which the weights, added up in order, first exceed `at`;
    /// none if all together do not.
    #[must_use]
    pub fn at_weight(&self, tree: &Tree, at: u64) -> Option<u32> {
        if at >= self.weight(tree) {
            return None;
        }
        let (mut node, mut left) = (tree.root, at);
        loop {
            let [before, after] = self.nodes[node].child;
            let below = if before == NIL { 0 } else { self.nodes[before].value.sum };
            let own = self.nodes[node].value.weight;
            if left < below {
                node = before;
            } else if left - below < own {
                return Some(node);
            } else {
                left -= below + own;
                node = after;
            }
        }
    }
}
