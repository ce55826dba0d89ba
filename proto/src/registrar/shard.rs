//! The shard's calls.

use core::net::SocketAddr;

use rserpool_engine::{AssociationId, Handlespace, ShardId, Timestamp, TransportKind};

use super::{Config, Stats};

/// The other end of an association.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// What carries its messages.
    pub transport: TransportKind,
}

/// Why the registrar ends an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// It lets more than [`Config::output_bytes_max`] pile up.
    SlowReader,
    /// The host went on giving messages while [`Shard::wants_more`] was false.
    Overrun,
}

/// What the host is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// [`Shard::take_send`] has bytes for this association.
    Send(AssociationId),
    /// End this association; it is forgotten already: do not call
    /// [`Shard::close`].
    Close(AssociationId, CloseReason),
    /// [`Shard::take_mesh`] has a batch for this shard.
    Mesh(ShardId),
    /// [`Shard::wants_more`] was false for this association and is true again.
    Resume(AssociationId),
}

/// One shard of a registrar.
#[derive(Debug)]
pub struct Shard {
    config: Config,
}

#[expect(clippy::todo, clippy::ptr_arg, reason = "signatures first")]
#[expect(unused_variables, reason = "signatures first")]
impl Shard {
    /// A shard without associations and pools.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// A peer connected. `None`: there are [`Config::associations_max`].
    pub fn open(&mut self, now: Timestamp, peer: Peer) -> Option<AssociationId> {
        todo!()
    }

    /// One whole message arrived, with or without the padding after its end.
    /// Ask [`Shard::wants_more`] before each.
    pub fn receive(&mut self, now: Timestamp, id: AssociationId, message: &[u8]) {
        todo!()
    }

    /// Whether this association may be read from. If not, keep what was read
    /// until [`Output::Resume`]. True for an association that is gone.
    pub fn wants_more(&mut self, id: AssociationId) -> bool {
        todo!()
    }

    /// The association is gone: the peer closed it, or it failed. Its pool
    /// elements are removed.
    pub fn close(&mut self, now: Timestamp, id: AssociationId) {
        todo!()
    }

    /// A batch of another shard arrived.
    pub fn receive_mesh(&mut self, now: Timestamp, from: ShardId, batch: &[u8]) {
        todo!()
    }

    /// When [`Shard::handle_timeout`] has work next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        todo!()
    }

    /// Does what is due, at most `budget` pool elements of it. `true`: more is
    /// due now.
    pub fn handle_timeout(&mut self, now: Timestamp, budget: usize) -> bool {
        todo!()
    }

    /// What the host is to do next. Each association and each shard is named
    /// at most once until its bytes are taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// Swaps the association's whole messages into `into`, which must be
    /// empty; its capacity is used again.
    pub fn take_send(&mut self, id: AssociationId, into: &mut Vec<u8>) {
        todo!()
    }

    /// Swaps the batch for a shard into `into`, which must be empty; its
    /// capacity is used again.
    pub fn take_mesh(&mut self, to: ShardId, into: &mut Vec<u8>) {
        todo!()
    }

    /// Bytes queued toward this association.
    #[must_use]
    pub fn output_pending(&self, id: AssociationId) -> usize {
        todo!()
    }

    /// The pools of this shard.
    #[must_use]
    pub fn handlespace(&self) -> &Handlespace {
        todo!()
    }

    /// What it counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        todo!()
    }
}
