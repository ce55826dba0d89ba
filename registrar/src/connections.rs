//! How many connections all shards of a registrar have, and each of them.

use core::sync::atomic::{AtomicU32, Ordering};

use crossbeam_utils::CachePadded;
use rserpool_engine::ShardId;

/// A shard may have so many connections more than its part before no other
/// one moves connections there.
const SLACK: u32 = 8;

/// A count with a limit, shared by the shards.
#[derive(Debug)]
pub(crate) struct Connections {
    open: AtomicU32,
    max: u32,
    of_shards: Box<[CachePadded<AtomicU32>]>,
}

impl Connections {
    pub(crate) fn new(max: u32, shards: u16) -> Self {
        let of_shards = (0..shards).map(|_| CachePadded::new(AtomicU32::new(0))).collect();
        Self { open: AtomicU32::new(0), max, of_shards }
    }

    /// Counts one more of this shard, if there may be one more.
    pub(crate) fn acquire(&self, shard: ShardId) -> bool {
        let more = |open| if open < self.max { Some(open + 1) } else { None };
        let room = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if room && let Some(own) = self.of(shard) {
            own.fetch_add(1, Ordering::Relaxed);
        }
        room
    }

    /// Counts one less of this shard.
    pub(crate) fn release(&self, shard: ShardId) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(own) = self.of(shard) {
            own.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether others may move connections to this shard: it has hardly more
    /// than its part. Reading and writing costs more than resolving, so a pool
    /// that everybody asks for must not draw everybody to one core.
    pub(crate) fn invites(&self, shard: ShardId) -> bool {
        let shards = u32::try_from(self.of_shards.len()).unwrap_or(u32::MAX).max(1);
        let part = self.open.load(Ordering::Relaxed) / shards;
        let own = self.of(shard).map_or(u32::MAX, |own| own.load(Ordering::Relaxed));
        own <= part.saturating_add(part / 8).saturating_add(SLACK)
    }

    fn of(&self, shard: ShardId) -> Option<&AtomicU32> {
        self.of_shards.get(usize::from(shard.0)).map(|own| &**own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_the_limit() {
        let connections = Connections::new(2, 2);
        let [a, b] = [ShardId(0), ShardId(1)];
        assert!(connections.acquire(a) && connections.acquire(b));
        assert!(!connections.acquire(a));
        connections.release(b);
        assert!(connections.acquire(a));
        assert!(!connections.acquire(b));
    }

    #[test]
    fn a_shard_with_more_than_its_part_invites_nobody() {
        let connections = Connections::new(10_000, 4);
        let [crowded, empty] = [ShardId(0), ShardId(1)];
        for _ in 0..=SLACK {
            assert!(connections.acquire(crowded));
        }
        assert!(connections.invites(crowded) && connections.invites(empty));
        for _ in 0..=SLACK {
            assert!(connections.acquire(crowded));
        }
        assert!(!connections.invites(crowded) && connections.invites(empty));
        for shard in [1, 2, 3, 1, 2, 3].repeat(16).into_iter().map(ShardId) {
            assert!(connections.acquire(shard));
        }
        assert!(connections.invites(crowded));
    }
}
