//! Which shard a pool lives on.

use crate::PoolHandle;
use crate::hash::Hasher;

/// The number of a shard, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// Places pool handles on shards: the same handle on the same shard for the
/// life of the map, evenly and unpredictably for who does not know the seed.
#[derive(Clone, Debug)]
pub struct ShardMap {
    hasher: Hasher,
    shards: u16,
}

impl ShardMap {
    /// A map onto `shards` shards (at least 1).
    #[must_use]
    pub fn new(shards: u16, seed: u64) -> Self {
        Self { hasher: Hasher::new(!seed), shards: shards.max(1) }
    }

    /// The number of shards.
    #[must_use]
    pub const fn shards(&self) -> u16 {
        self.shards
    }

    /// The shard of this pool.
    #[must_use]
    pub fn shard_of(&self, handle: PoolHandle<'_>) -> ShardId {
        let hash = self.hasher.bytes(handle.as_bytes());
        // The high half of hash * shards is an even spread without a division.
        let wide = (u128::from(hash) * u128::from(self.shards)) >> 64;
        ShardId(u16::try_from(wide).unwrap_or(0))
    }
}
