//! What is to happen, in the order of time.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{LinkId, Micros, NodeId, Side};

/// What a node or the run asked to be reminded of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// A node has something to do.
    Wake(NodeId),
    /// A batch from a shard of a registrar for another of its shards.
    Mesh(NodeId, u16, u16),
    /// A fault begins or ends.
    Act(u32),
    /// It is time to check.
    Check,
    /// There is room again from this end of a link on.
    Writable(LinkId, Side),
}

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Alarm(Alarm),
    Deliver(LinkId, Side),
    Syn(LinkId),
    SynAck(LinkId),
    ConnectTimeout(LinkId),
    /// The other end is gone, and this one hears of it.
    Reset(LinkId, Side),
    /// This end got nothing across for so long that it gives up.
    Impatient(LinkId, Side, u32),
    Datagram(u32),
}

/// Events by their time; those of one time in the order they were put in.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    count: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Micros, event: Event) {
        self.count += 1;
        self.heap.push(Reverse((at, self.count, event)));
    }

    /// The first event before `end`.
    pub(super) fn pop(&mut self, end: Micros) -> Option<(Micros, Event)> {
        let Reverse((at, _, _)) = self.heap.peek()?;
        if *at >= end {
            return None;
        }
        let Reverse((at, _, event)) = self.heap.pop()?;
        Some((at, event))
    }
}
