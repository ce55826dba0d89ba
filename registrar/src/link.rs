//! The connections of a shard, as far as the shard's turn has to know them.

use rserpool_engine::{AssociationId, ShardId, Timestamp, TransportKind};
use rserpool_proto::registrar::Peer;

use crate::turn::{CloseReason, LinkId};

/// How the messages of a connection are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By their own lengths, in a stream of bytes.
    Stream,
    /// They arrive whole. Those that wait are kept behind their lengths.
    Whole,
}

/// Whether a connection is for pools of one other shard, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Nothing was asked for yet.
    New,
    /// So many messages came, all for pools of that shard.
    Toward(ShardId, u8),
    /// It stays where it is.
    Stays,
    /// It goes to that shard; the host takes it off its sockets.
    Leaves(ShardId),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    pub(crate) association: AssociationId,
    /// What arrived and is not given to the protocol yet, as
    /// [`Link::framing`] says; it starts at the start of a message. Without
    /// capacity while empty.
    pub(crate) unfed: Vec<u8>,
    /// The host was told not to read.
    pub(crate) paused: bool,
    /// The host has bytes to write.
    pub(crate) sending: bool,
    /// The protocol has bytes for when these are written.
    pub(crate) output: bool,
    /// The protocol wants no more messages for now.
    pub(crate) held: bool,
    /// It stands in the queue of links to feed.
    pub(crate) ready: bool,
    /// It completed a message.
    pub(crate) spoke: bool,
    /// When it was last fed a message.
    pub(crate) fed_at: Option<Timestamp>,
    /// Nothing more is taken from it. It is closed when its answers are out.
    pub(crate) ending: Option<CloseReason>,
    pub(crate) course: Course,
}

impl Link {
    pub(crate) const fn new(peer: Peer, association: AssociationId) -> Self {
        Self {
            peer,
            association,
            unfed: Vec::new(),
            paused: false,
            sending: false,
            output: false,
            held: false,
            ready: false,
            spoke: false,
            fed_at: None,
            ending: None,
            course: Course::Stays,
        }
    }

    /// It is about to move to another shard.
    pub(crate) const fn leaves(&self) -> bool {
        matches!(self.course, Course::Leaves(_))
    }

    pub(crate) const fn framing(&self) -> Framing {
        match self.peer.transport {
            TransportKind::Sctp => Framing::Whole,
            TransportKind::Tcp
            | TransportKind::Dccp
            | TransportKind::Udp
            | TransportKind::UdpLite
            | TransportKind::Opaque => Framing::Stream,
        }
    }
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    link: Option<Link>,
}

/// The connections of a shard by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Links {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Links {
    /// Adds a connection.
    pub(crate) fn insert(&mut self, link: Link) -> LinkId {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.link = Some(link);
            return LinkId { index, generation: slot.generation };
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { generation: 0, link: Some(link) });
        LinkId { index, generation: 0 }
    }

    /// Forgets a connection; its identifier is stale from now on.
    pub(crate) fn remove(&mut self, id: LinkId) -> Option<Link> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let link = slot.link.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(link)
    }

    pub(crate) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation == id.generation { slot.link.as_mut() } else { None }
    }

    /// The identifier of the connection that has this number now.
    pub(crate) fn id_of(&self, index: u32) -> Option<LinkId> {
        let slot = self.slots.get(index as usize)?;
        slot.link.as_ref().map(|_| LinkId { index, generation: slot.generation })
    }

    /// Numbers to go through with [`Links::id_of`].
    pub(crate) fn indices(&self) -> core::ops::Range<u32> {
        0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn link(number: u64) -> Link {
        let address = (Ipv4Addr::LOCALHOST, 1).into();
        Link::new(Peer { address, transport: TransportKind::Tcp }, AssociationId(number))
    }

    #[test]
    fn the_identifier_of_a_connection_that_is_gone_finds_nothing() {
        let mut links = Links::default();
        let first = links.insert(link(1));
        let second = links.insert(link(2));
        assert_eq!(links.remove(first).unwrap().association, AssociationId(1));
        let third = links.insert(link(3));
        assert_eq!(third.index, first.index);
        assert!(links.get_mut(first).is_none());
        assert!(links.remove(first).is_none());
        assert_eq!(links.get_mut(third).unwrap().association, AssociationId(3));
        assert_eq!(links.get_mut(second).unwrap().association, AssociationId(2));
        assert_eq!(links.len(), 2);
        assert_eq!(links.id_of(third.index), Some(third));
        assert_eq!(links.id_of(9), None);
    }
}
