//! Links in the order in which something began to be waited for, so that the
//! one that waits longest is at hand.

use rserpool_engine::Timestamp;

/// No link.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    before: u32,
    after: u32,
    since: Timestamp,
    waits: bool,
}

const ABSENT: Node = Node { before: NONE, after: NONE, since: Timestamp::ZERO, waits: false };

/// A doubly linked list over the indices of links. All calls are O(1).
#[derive(Debug)]
pub(crate) struct Order {
    nodes: Vec<Node>,
    first: u32,
    last: u32,
}

impl Order {
    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new(), first: NONE, last: NONE }
    }

    /// Whose waiting began first, and when.
    pub(crate) fn first(&self) -> Option<(u32, Timestamp)> {
        self.node(self.first).map(|node| (self.first, node.since))
    }

    /// Waits for this link from `now` on, unless it does so already.
    pub(crate) fn begin(&mut self, link: u32, now: Timestamp) {
        let slot = link as usize;
        if self.nodes.len() <= slot {
            self.nodes.resize(slot + 1, ABSENT);
        }
        if self.nodes.get(slot).is_some_and(|node| node.waits) {
            return;
        }
        let last = self.last;
        if let Some(node) = self.nodes.get_mut(slot) {
            *node = Node { before: last, after: NONE, since: now, waits: true };
        }
        match self.node_mut(last) {
            Some(node) => node.after = link,
            None => self.first = link,
        }
        self.last = link;
    }

    /// Waits for this link no longer.
    pub(crate) fn end(&mut self, link: u32) {
        let Some(&Node { before, after, waits: true, .. }) = self.nodes.get(link as usize) else {
            return;
        };
        match self.node_mut(before) {
            Some(node) => node.after = after,
            None => self.first = after,
        }
        match self.node_mut(after) {
            Some(node) => node.before = before,
            None => self.last = before,
        }
        if let Some(node) = self.nodes.get_mut(link as usize) {
            *node = ABSENT;
        }
    }

    fn node(&self, link: u32) -> Option<&Node> {
        self.nodes.get(link as usize)
    }

    fn node_mut(&mut self, link: u32) -> Option<&mut Node> {
        self.nodes.get_mut(link as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn drain(order: &mut Order) -> Vec<(u32, u64)> {
        core::iter::from_fn(|| {
            let (link, since) = order.first()?;
            order.end(link);
            Some((link, since.as_micros()))
        })
        .collect()
    }

    #[test]
    fn the_longest_wait_comes_first() {
        let mut order = Order::new();
        assert_eq!(order.first(), None);
        for (now, link) in [(1, 7), (2, 0), (3, 4), (4, 9)] {
            order.begin(link, at(now));
        }
        assert_eq!(drain(&mut order), [(7, 1), (0, 2), (4, 3), (9, 4)]);
        assert_eq!(order.first(), None);
    }

    #[test]
    fn a_wait_that_goes_on_keeps_its_place() {
        let mut order = Order::new();
        order.begin(1, at(1));
        order.begin(2, at(2));
        order.begin(1, at(3));
        assert_eq!(order.first(), Some((1, at(1))));
        order.end(1);
        order.begin(1, at(4));
        assert_eq!(drain(&mut order), [(2, 2), (1, 4)]);
    }

    #[test]
    fn links_leave_from_the_front_the_middle_and_the_end() {
        let mut order = Order::new();
        for link in 0..5 {
            order.begin(link, at(u64::from(link)));
        }
        for link in [0, 2, 4, 2, 77] {
            order.end(link);
        }
        order.begin(6, at(6));
        assert_eq!(drain(&mut order), [(1, 1), (3, 3), (6, 6)]);
    }
}
