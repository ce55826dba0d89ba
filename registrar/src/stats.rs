//! What a registrar counts.

use core::ops::AddAssign;

use rserpool_proto::registrar;

use crate::shard::Shard;

/// Counts of one shard's connections since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that were for pools of another shard only, and moved to it.
    pub moved_away: u64,
    /// Connections that another shard accepted, and that moved here.
    pub moved_here: u64,
    /// Connections refused because there was no room.
    pub refused: u64,
    /// Connections closed to make room: they had not completed a message.
    pub evicted: u64,
    /// Connections closed because a message was not completed, or an answer
    /// not read, in time.
    pub timed_out: u64,
    /// Connections closed because they let too many answers pile up.
    pub slow_readers: u64,
    /// Connections closed because their bytes were no messages.
    pub malformed: u64,
    /// Connections closed because serving them failed inside the registrar.
    /// Not 0: a bug worth a report.
    pub panics: u64,
    /// Messages received.
    pub messages: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.moved_away += other.moved_away;
        self.moved_here += other.moved_here;
        self.refused += other.refused;
        self.evicted += other.evicted;
        self.timed_out += other.timed_out;
        self.slow_readers += other.slow_readers;
        self.malformed += other.malformed;
        self.panics += other.panics;
        self.messages += other.messages;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
    }
}

/// What one shard holds and has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Connections that are open.
    pub connections: u64,
    /// Its connections' counts.
    pub traffic: Traffic,
    /// The protocol's counts.
    pub protocol: registrar::Stats,
    /// Pools that live on it.
    pub pools: u64,
    /// Pool elements that live on it.
    pub elements: u64,
}

impl ShardStats {
    /// Those of a shard whose host counted so many panics.
    pub(crate) fn of(shard: &Shard, panics: u64) -> Self {
        let space = shard.protocol().handlespace().stats();
        Self {
            connections: shard.open_links() as u64,
            traffic: Traffic { panics, ..*shard.traffic() },
            protocol: shard.protocol().stats(),
            pools: u64::from(space.pools),
            elements: u64::from(space.elements),
        }
    }
}

/// What a registrar holds and has counted, shard by shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Each shard, in order.
    pub shards: Vec<ShardStats>,
}

impl Stats {
    /// The sum of the connections' counts.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shards.iter().fold(Traffic::default(), |mut sum, shard| {
            sum += shard.traffic;
            sum
        })
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shards.iter().map(|shard| shard.connections).sum()
    }

    /// Pools.
    #[must_use]
    pub fn pools(&self) -> u64 {
        self.shards.iter().map(|shard| shard.pools).sum()
    }

    /// Pool elements.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.shards.iter().map(|shard| shard.elements).sum()
    }
}
