//! Limits and conventions of one shard.

use core::time::Duration;

use rserpool_engine::{ShardId, ShardMap, TransportKind};

use super::Dialect;

/// What a shard is told at its start. All shards of one registrar have the
/// same but for `shard` and the seed.
#[derive(Clone, Debug)]
pub struct Config {
    /// The handlespace's limits and intervals, and the registrar's identifier.
    pub engine: rserpool_engine::Config,
    /// The number of this shard.
    pub shard: ShardId,
    /// Which pool lives on which shard.
    pub map: ShardMap,
    /// Pool elements of an answer to a handle resolution without the option
    /// 0x803f, or with 0 items.
    pub items_default: u32,
    /// Most pool elements of an answer, whatever the option asks for.
    pub items_max: u32,
    /// How peers over SCTP are spoken with. Records of pool elements have
    /// their registration life in its unit.
    pub sctp: Dialect,
    /// How peers over TCP are spoken with.
    pub tcp: Dialect,
    /// Whose service may be at a loopback address.
    pub loopback: Loopback,
    /// How long an element that enough pool users reported has to answer the
    /// keep-alive of the first report, before it is removed. Zero removes at
    /// once, by the letter of RFC 5352, 3.5.
    pub report_grace: Duration,
    /// Time from one message about a pool to the next, to each of those that
    /// subscribed to it.
    pub subscription_interval: Duration,
    /// Most subscriptions to the pools of a shard.
    pub subscriptions_max: u32,
    /// Most of them by one association.
    pub subscriptions_per_association_max: u32,
    /// Most associations.
    pub associations_max: u32,
    /// Most pool elements registered by one association.
    pub elements_per_association_max: u32,
    /// Most requests of one association that wait for another shard.
    pub pending_max: u32,
    /// Most bytes queued toward one association. One that lets more pile up
    /// is closed as a slow reader.
    pub output_bytes_max: usize,
    /// Most bytes queued toward another shard. While there are more, no
    /// association is read from, and answers of that shard's associations hold
    /// one pool element.
    pub mesh_bytes_max: usize,
    /// How long what could be sent to an association may wait for the answers
    /// of other shards that it awaits, so that all leaves together: a write to
    /// a socket costs more than many resolutions. Zero: not at all.
    pub gather: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: rserpool_engine::Config::default(),
            shard: ShardId(0),
            map: ShardMap::new(1, 0),
            items_default: 3,
            items_max: 128,
            sctp: Dialect { keep_alive_names_element: true, ..Dialect::RFC },
            tcp: Dialect { keep_alive_names_element: true, ..Dialect::RFC },
            loopback: Loopback::Local,
            report_grace: Duration::from_secs(1),
            subscription_interval: Duration::from_millis(100),
            subscriptions_max: 1 << 16,
            subscriptions_per_association_max: 1 << 10,
            associations_max: 1 << 20,
            elements_per_association_max: 1 << 20,
            pending_max: 1024,
            output_bytes_max: 1 << 20,
            mesh_bytes_max: 4 << 20,
            gather: Duration::ZERO,
        }
    }
}

impl Config {
    /// How peers over this transport are spoken with.
    #[must_use]
    pub const fn dialect(&self, transport: TransportKind) -> Dialect {
        match transport {
            TransportKind::Sctp => self.sctp,
            TransportKind::Tcp
            | TransportKind::Dccp
            | TransportKind::Udp
            | TransportKind::UdpLite
            | TransportKind::Opaque => self.tcp,
        }
    }
}

/// Whose service may be at a loopback address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// That of pool elements whose association is over loopback.
    #[default]
    Local,
    /// Everybody's.
    Allowed,
    /// Nobody's.
    Refused,
}
