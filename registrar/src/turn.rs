//! What a host tells a shard, and what the shard tells its host: the seam
//! between the registrar and whatever does its I/O.

use core::fmt;
use core::net::SocketAddr;

use rserpool_engine::ShardId;
use rserpool_proto::registrar;

/// A connection of one shard. The number is used again when the connection is
/// gone; the generation tells the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Completion<'a> {
    /// These bytes arrived on a connection.
    Received(LinkId, &'a [u8]),
    /// This whole message arrived on an association that keeps the bounds of
    /// messages.
    Message(LinkId, &'a [u8]),
    /// All bytes of the last [`Submission::Send`] to this connection are
    /// written; here is their buffer.
    Sent(LinkId, Vec<u8>),
    /// The peer will send no more (FIN).
    Ended(LinkId),
    /// The connection failed. It is closed already.
    Failed(LinkId),
    /// A batch of another shard arrived.
    Mesh(ShardId, &'a [u8]),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Submission {
    /// Open an association with the peer, which is to be had over SCTP. What is
    /// to be sent over it may be submitted before it is up.
    Connect(LinkId, SocketAddr),
    /// Write these bytes. There is at most one for each connection until its
    /// [`Completion::Sent`].
    Send(LinkId, Vec<u8>),
    /// Read no more from this connection,
    Pause(LinkId),
    /// until here.
    Resume(LinkId),
    /// The connection is forgotten: close it.
    Close(LinkId, CloseReason),
    /// The connection goes to another shard: read no more from it, take it off
    /// this host, then ask `Shard::depart` where it goes. Nothing is being
    /// written to it.
    Leave(LinkId),
    /// There is a batch for this shard: `Shard::take_mesh` has it.
    Mesh(ShardId),
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The peer closed its side and has all answers.
    Ended,
    /// The bytes that came are no messages. What could be answered was.
    Malformed,
    /// It did not complete a message in time.
    IncompleteMessage,
    /// It did not read an answer in time.
    Unread,
    /// It had not completed a message when the room was needed for others.
    Evicted,
    /// The registrar stops.
    Stop,
    /// The protocol's side wants it closed.
    Protocol(registrar::CloseReason),
}

impl CloseReason {
    /// Whether an SCTP association is closed gracefully, so that what was sent
    /// arrives, or at once.
    pub(crate) const fn is_graceful(self) -> bool {
        match self {
            Self::Ended | Self::Malformed | Self::IncompleteMessage | Self::Stop => true,
            Self::Unread | Self::Evicted | Self::Protocol(_) => false,
        }
    }

    /// Whether the peer may still have bytes under way that would make the
    /// kernel drop our last answer (RST) if the socket were closed at once.
    pub(crate) const fn lingers(self) -> bool {
        matches!(self, Self::Malformed | Self::Stop)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("closed by the peer"),
            Self::Malformed => f.write_str("no ASAP messages"),
            Self::IncompleteMessage => f.write_str("a message was not completed in time"),
            Self::Unread => f.write_str("an answer was not read in time"),
            Self::Evicted => f.write_str("room needed, and no message completed"),
            Self::Stop => f.write_str("the registrar stops"),
            Self::Protocol(reason) => write!(f, "{reason:?}"),
        }
    }
}
