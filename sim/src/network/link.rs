//! An association between two nodes.

use std::collections::VecDeque;

use super::{Micros, NodeId};

/// Names a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(u32);

impl LinkId {
    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An end of a link, or the direction away from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The one that connected.
    From,
    /// The one that was connected to.
    To,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::From => Self::To,
            Self::To => Self::From,
        }
    }
}

/// What travels.
#[derive(Debug)]
pub(super) enum Packet {
    /// Whole messages.
    Data(Vec<u8>),
    /// No more will come.
    End,
}

/// One direction of a link.
#[derive(Debug, Default)]
pub(super) struct Direction {
    queue: VecDeque<(Micros, Packet)>,
    /// What is on its way.
    pub(super) bytes: usize,
    /// Its sender waits for room.
    pub(super) wanted: bool,
    /// The arrival of the first packet is in the queue of events.
    pub(super) due: bool,
    pub(super) stalled: bool,
    /// Nothing arrives any more.
    pub(super) severed: bool,
}

impl Direction {
    /// Appends a packet that does not overtake the one before.
    pub(super) fn push(&mut self, ready: Micros, packet: Packet) {
        let ready = self.queue.back().map_or(ready, |&(before, _)| ready.max(before));
        if let Packet::Data(bytes) = &packet {
            self.bytes += bytes.len();
        }
        self.queue.push_back((ready, packet));
    }

    pub(super) fn front(&self) -> Option<Micros> {
        self.queue.front().map(|&(ready, _)| ready)
    }

    pub(super) fn pop(&mut self) -> Option<Packet> {
        let (_, packet) = self.queue.pop_front()?;
        if let Packet::Data(bytes) = &packet {
            self.bytes -= bytes.len();
        }
        Some(packet)
    }

    /// Its sender closed it, and that is still to arrive.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.queue.back(), Some((_, Packet::End)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not there yet.
    Coming,
    Open,
    Gone,
}

/// A link.
#[derive(Debug)]
pub(super) struct Link {
    nodes: [NodeId; 2],
    ends: [End; 2],
    directions: [Direction; 2],
    patience: Micros,
    /// Counts the times it got nothing across; odd while it does not.
    troubles: u32,
}

impl Link {
    pub(super) fn new(from: NodeId, to: NodeId, patience: Micros) -> Self {
        Self {
            nodes: [from, to],
            ends: [End::Coming; 2],
            directions: [Direction::default(), Direction::default()],
            patience,
            troubles: 0,
        }
    }

    pub(super) const fn node(&self, side: Side) -> NodeId {
        self.nodes[side as usize]
    }

    pub(super) const fn patience(&self) -> Micros {
        self.patience
    }

    pub(super) const fn direction(&self, side: Side) -> &Direction {
        &self.directions[side as usize]
    }

    pub(super) const fn direction_mut(&mut self, side: Side) -> &mut Direction {
        &mut self.directions[side as usize]
    }

    pub(super) fn is_open(&self, side: Side) -> bool {
        self.ends[side as usize] == End::Open
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.ends[0] == End::Coming
    }

    pub(super) fn is_gone(&self) -> bool {
        self.ends[0] == End::Gone && self.ends[1] != End::Open
    }

    pub(super) fn is_between(&self, a: NodeId, b: NodeId) -> bool {
        self.nodes == [a, b] || self.nodes == [b, a]
    }

    pub(super) fn touches(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    pub(super) const fn accept(&mut self) {
        self.ends[1] = End::Open;
    }

    pub(super) const fn establish(&mut self) {
        self.ends[0] = End::Open;
    }

    pub(super) const fn leave(&mut self, side: Side) {
        self.ends[side as usize] = End::Gone;
    }

    /// What is on its way from this end is lost.
    pub(super) fn lose(&mut self, side: Side) {
        let direction = self.direction_mut(side);
        direction.queue.clear();
        direction.bytes = 0;
    }

    /// Which time it is that it gets nothing across, if it does not.
    pub(super) fn trouble(&self) -> Option<u32> {
        (self.troubles % 2 == 1).then_some(self.troubles)
    }

    pub(super) const fn enter_trouble(&mut self) -> u32 {
        self.troubles |= 1;
        self.troubles
    }

    pub(super) const fn leave_trouble(&mut self) {
        self.troubles += self.troubles % 2;
    }
}
