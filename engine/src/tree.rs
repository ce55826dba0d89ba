//! Red-black trees of slots: the order of every sorted policy.
//!
//! The nodes of many trees are in one arena, addressed by the slot of what
//! they order, with `u32` links and the rank inside the node: a comparison
//! touches the node and nothing else. A [`Tree`] caches its first and its last
//! node, so that finding the best element costs nothing and an element that
//! goes behind all others is attached without a descent. A node whose new rank
//! keeps its place is overwritten where it is.
//!
//! An [`Augment`] adds a value to each node that is computed from its own and
//! its children's, such as the [`WeightSum`] that makes a weighted random
//! choice a descent. The plain tree is the same code with an empty value.
//!
//! A linked rank changes by [`Nodes::change`] only.
//!
//! ```
//! use rserpool_engine::tree::{Nodes, Rank, Tree};
//!
//! let (mut nodes, mut tree) = (Nodes::<()>::new(16), Tree::EMPTY);
//! for (slot, load) in [(0, 30), (1, 10), (2, 20)] {
//!     nodes.insert(&mut tree, slot, Rank::new(load, slot.into()), 0, ());
//! }
//! assert_eq!(tree.first(), Some(1));
//! nodes.change(&mut tree, 1, Rank::new(40, 3));
//! assert_eq!(tree.first(), Some(2));
//! ```

use crate::paged::Paged;

/// No node. Links have 31 bits; the bit above is the color.
const NIL: u32 = u32::MAX >> 1;
const RED: u32 = 1 << 31;

/// Where a node stands: by key, equal keys by sequence.
///
/// Keys compare as numbers on a circle, so that keys that only grow may wrap:
/// all keys of one tree lie within 2^63 of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rank {
    /// What is ordered by.
    pub key: u64,
    /// What orders equal keys. No two nodes of a tree have both equal.
    pub sequence: u64,
}

impl Rank {
    /// A rank.
    #[must_use]
    pub const fn new(key: u64, sequence: u64) -> Self {
        Self { key, sequence }
    }

    /// Whether this rank comes before the other.
    #[inline]
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        let distance = self.key.wrapping_sub(other.key).cast_signed();
        // Without branches: the outcome is as unpredictable as the keys.
        (distance < 0) | (distance == 0) & (self.sequence < other.sequence)
    }
}

/// A value of a node that depends on those below it.
pub trait Augment: Copy + Default + PartialEq + core::fmt::Debug {
    /// Whether there is anything to compute.
    const ACTIVE: bool;

    /// Computes the value from the node's own part and its children's values.
    fn refresh(&mut self, left: Option<&Self>, right: Option<&Self>);
}

impl Augment for () {
    const ACTIVE: bool = false;

    #[inline]
    fn refresh(&mut self, _: Option<&Self>, _: Option<&Self>) {}
}

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
#[repr(C, align(32))]
struct Node<A> {
    rank: Rank,
    child: [u32; 2],
    /// The parent, and the color.
    up: u32,
    tag: u32,
    augment: A,
}

const _: () = assert!(size_of::<Node<()>>() == 32);

impl<A: Default> Default for Node<A> {
    fn default() -> Self {
        Self { rank: Rank::new(0, 0), child: [NIL; 2], up: NIL, tag: 0, augment: A::default() }
    }
}

/// One tree: its root and its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    root: u32,
    first: u32,
    last: u32,
}

const fn some(node: u32) -> Option<u32> {
    if node == NIL { None } else { Some(node) }
}

impl Tree {
    /// A tree without nodes.
    pub const EMPTY: Self = Self { root: NIL, first: NIL, last: NIL };

    /// Whether it has no nodes.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root == NIL
    }

    /// The slot of the lowest rank.
    #[inline]
    #[must_use]
    pub const fn first(&self) -> Option<u32> {
        some(self.first)
    }

    /// The slot of the highest rank.
    #[inline]
    #[must_use]
    pub const fn last(&self) -> Option<u32> {
        some(self.last)
    }
}

/// The nodes of any number of trees.
#[derive(Debug)]
pub struct Nodes<A> {
    nodes: Paged<Node<A>>,
}

impl<A: Augment> Nodes<A> {
    /// Room for nodes of slots below `slots` (at most 2^31 - 1); memory is
    /// taken when a slot is first used.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self { nodes: Paged::for_slots(slots) }
    }

    /// The rank of a linked slot.
    #[inline]
    #[must_use]
    pub fn rank(&self, slot: u32) -> Rank {
        self.nodes[slot].rank
    }

    /// What was given with a linked slot.
    #[inline]
    #[must_use]
    pub fn tag(&self, slot: u32) -> u32 {
        self.nodes[slot].tag
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

    /// Links a slot that is in no tree. Its `tag` is kept and given back.
    pub fn insert(&mut self, tree: &mut Tree, slot: u32, rank: Rank, tag: u32, augment: A) {
        self.nodes.reserve(slot);
        let node = &mut self.nodes[slot];
        (node.tag, node.augment) = (tag, augment);
        self.link(tree, slot, rank, tree.root);
    }

    /// Links a node whose place is below `start`, unless it is at an end.
    fn link(&mut self, tree: &mut Tree, slot: u32, rank: Rank, start: u32) {
        if tree.is_empty() {
            *tree = Tree { root: slot, first: slot, last: slot };
            self.place(slot, rank, NIL);
            return;
        }
        let (parent, side) = if !rank.is_before(self.nodes[tree.last].rank) {
            (core::mem::replace(&mut tree.last, slot), 1)
        } else if rank.is_before(self.nodes[tree.first].rank) {
            (core::mem::replace(&mut tree.first, slot), 0)
        } else {
            self.descend(start, rank)
        };
        self.place(slot, rank, parent | RED);
        self.nodes[parent].child[side] = slot;
        self.refresh_up(parent);
        self.rebalance_insertion(tree, slot);
    }

    #[inline]
    fn descend(&self, start: u32, rank: Rank) -> (u32, usize) {
        let mut at = start;
        loop {
            let node = &self.nodes[at];
            let side = usize::from(!rank.is_before(node.rank));
            let child = node.child[side];
            if child == NIL {
                return (at, side);
            }
            at = child;
        }
    }

    fn place(&mut self, slot: u32, rank: Rank, up: u32) {
        let node = &mut self.nodes[slot];
        (node.rank, node.child, node.up) = (rank, [NIL; 2], up);
        node.augment.refresh(None, None);
    }

    /// Unlinks a slot.
    pub fn remove(&mut self, tree: &mut Tree, slot: u32) {
        if tree.first == slot {
            tree.first = self.neighbor(slot, 1);
        }
        if tree.last == slot {
            tree.last = self.neighbor(slot, 0);
        }
        let [left, right] = self.nodes[slot].child;
        let was_red;
        let (child, parent);
        if left == NIL || right == NIL {
            was_red = self.is_red(slot);
            child = if left == NIL { right } else { left };
            parent = self.parent(slot);
            self.replace(tree, parent, slot, child);
        } else {
            // The next node takes the place; it has no left child.
            let next = self.end(right, 0);
            was_red = self.is_red(next);
            child = self.nodes[next].child[1];
            if next == right {
                parent = next;
            } else {
                parent = self.parent(next);
                self.nodes[parent].child[0] = child;
                if child != NIL {
                    self.set_parent(child, parent);
                }
                self.nodes[next].child[1] = right;
                self.set_parent(right, next);
            }
            self.nodes[next].child[0] = left;
            self.set_parent(left, next);
            let above = self.parent(slot);
            self.nodes[next].up = self.nodes[slot].up;
            self.replace(tree, above, slot, next);
        }
        self.refresh_up(parent);
        if !was_red {
            self.rebalance_removal(tree, child, parent);
        }
    }

    /// Puts `new` (or nothing) where `old` hangs on its parent.
    fn replace(&mut self, tree: &mut Tree, parent: u32, old: u32, new: u32) {
        if parent == NIL {
            tree.root = new;
        } else {
            let side = usize::from(self.nodes[parent].child[1] == old);
            self.nodes[parent].child[side] = new;
        }
        if new != NIL {
            self.set_parent(new, parent);
        }
    }

    /// Gives a linked slot another rank.
    pub fn change(&mut self, tree: &mut Tree, slot: u32, rank: Rank) {
        let next = if tree.last == slot { NIL } else { self.neighbor(slot, 1) };
        if next == NIL || rank.is_before(self.nodes[next].rank) {
            let fits = tree.first == slot || {
                let previous = self.neighbor(slot, 0);
                self.nodes[previous].rank.is_before(rank)
            };
            if fits {
                self.nodes[slot].rank = rank;
                return;
            }
        }
        let was_first = tree.first == slot;
        self.remove(tree, slot);
        // What was first most often goes a short way: look from there.
        let start = if was_first { self.above_first(tree, rank) } else { tree.root };
        self.link(tree, slot, rank, start);
    }

    /// Climbs from the first node to one below which the rank has its place.
    fn above_first(&self, tree: &Tree, rank: Rank) -> u32 {
        let mut at = tree.first;
        loop {
            let up = self.parent(at);
            if up == NIL || rank.is_before(self.nodes[up].rank) {
                return at;
            }
            at = up;
        }
    }

    /// Gives a linked slot another value of its own and refreshes those above.
    pub fn set_augment(&mut self, slot: u32, augment: A) {
        self.nodes[slot].augment = augment;
        self.refresh_up(slot);
    }

    #[inline]
    fn refresh(&mut self, node: u32) {
        if A::ACTIVE {
            let [left, right] = self.nodes[node].child;
            let value = |child| (child != NIL).then(|| self.nodes[child].augment);
            let (left, right) = (value(left), value(right));
            self.nodes[node].augment.refresh(left.as_ref(), right.as_ref());
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
    fn rotate(&mut self, tree: &mut Tree, node: u32, side: usize) {
        let riser = self.nodes[node].child[1 - side];
        let between = self.nodes[riser].child[side];
        let parent = self.parent(node);
        self.nodes[node].child[1 - side] = between;
        if between != NIL {
            self.set_parent(between, node);
        }
        self.replace(tree, parent, node, riser);
        self.nodes[riser].child[side] = node;
        self.set_parent(node, riser);
        self.refresh(node);
        self.refresh(riser);
    }

    /// Restores "no red node has a red parent" from a new red leaf upwards.
    fn rebalance_insertion(&mut self, tree: &mut Tree, slot: u32) {
        let mut node = slot;
        loop {
            // Loop invariant: `node` is red, and nothing but it and its parent
            // may be wrong.
            let mut parent = self.parent(node);
            if parent == NIL {
                self.set_black(node);
                return;
            }
            if !self.is_red(parent) {
                return;
            }
            // A red parent is not the root: there is a grandparent.
            let above = self.parent(parent);
            let side = usize::from(self.nodes[above].child[1] == parent);
            let uncle = self.nodes[above].child[1 - side];
            if self.is_red(uncle) {
                self.set_black(parent);
                self.set_black(uncle);
                self.set_red(above);
                node = above;
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
    /// above `node` (which may be none) below `parent`.
    fn rebalance_removal(&mut self, tree: &mut Tree, node: u32, parent: u32) {
        let (mut node, mut parent) = (node, parent);
        while parent != NIL && !self.is_red(node) {
            // The sibling exists: its side has a black node more.
            let side = usize::from(self.nodes[parent].child[0] != node);
            let mut sibling = self.nodes[parent].child[1 - side];
            if self.is_red(sibling) {
                self.set_black(sibling);
                self.set_red(parent);
                self.rotate(tree, parent, side);
                sibling = self.nodes[parent].child[1 - side];
            }
            let nephews = self.nodes[sibling].child;
            if !self.is_red(nephews[0]) && !self.is_red(nephews[1]) {
                self.set_red(sibling);
                node = parent;
                parent = self.parent(node);
                continue;
            }
            if !self.is_red(nephews[1 - side]) {
                self.set_black(nephews[side]);
                self.set_red(sibling);
                self.rotate(tree, sibling, 1 - side);
                sibling = self.nodes[parent].child[1 - side];
            }
            if self.is_red(parent) {
                self.set_red(sibling);
            } else {
                self.set_black(sibling);
            }
            self.set_black(parent);
            let outer = self.nodes[sibling].child[1 - side];
            self.set_black(outer);
            self.rotate(tree, parent, side);
            return;
        }
        if node != NIL {
            self.set_black(node);
        }
    }

    /// Reads the paths to these ranks, all at once: the memory accesses of up
    /// to sixteen descents overlap, and the operations that follow find their
    /// nodes near. Returns a number to keep the compiler from skipping it.
    pub fn touch(&self, descents: &[(Tree, Rank)]) -> u32 {
        let mut sum = 0;
        for group in descents.chunks(16) {
            let mut at = [NIL; 16];
            for (at, (tree, _)) in at.iter_mut().zip(group) {
                *at = tree.root;
            }
            let mut going = true;
            while going {
                going = false;
                for (at, (_, rank)) in at.iter_mut().zip(group) {
                    if *at != NIL {
                        let node = &self.nodes[*at];
                        sum ^= node.up;
                        *at = node.child[usize::from(!rank.is_before(node.rank))];
                        going = true;
                    }
                }
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
            assert!(self.rank(at).is_before(self.rank(next)), "ranks ascend");
            assert_eq!(self.previous(next), Some(at), "both ways");
            (at, walked) = (next, walked + 1);
        }
        assert_eq!((at, walked), (tree.last, len), "a walk visits every node");
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
        let value = |child| (child != NIL).then(|| self.nodes[child].augment);
        let (left, right) = (value(left), value(right));
        let mut augment = self.nodes[node].augment;
        augment.refresh(left.as_ref(), right.as_ref());
        assert_eq!(augment, self.nodes[node].augment, "augmented values are fresh");
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
        let _ = write!(text, "({}{color}", self.nodes[node].rank.key);
        self.write_shape(self.nodes[node].child[0], text);
        self.write_shape(self.nodes[node].child[1], text);
        text.push(')');
    }
}

impl Nodes<WeightSum> {
    /// The sum of all weights of a tree.
    #[must_use]
    pub fn weight(&self, tree: &Tree) -> u64 {
        if tree.is_empty() { 0 } else { self.nodes[tree.root].augment.sum }
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
            let below = if before == NIL { 0 } else { self.nodes[before].augment.sum };
            let own = self.nodes[node].augment.weight;
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
