//! Handlespaces of many shards for threads that share them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    Config, Due, Handlespace, PeChecksum, PeId, PoolHandle, RegisterError, Registered, RegistrarId,
    Registration, Resolution, ShardId, ShardMap, Stats, Timestamp, UnknownPool,
};

/// A shard on cache lines of its own: threads that work on different shards
/// do not slow each other down.
#[derive(Debug)]
#[repr(align(128))]
struct Shard(Mutex<Handlespace>);

/// Handlespaces that several threads share, one lock a shard.
///
/// For embedders without a runtime that gives each shard a thread: those keep
/// a [`Handlespace`] for each of their threads and need no lock. Here a call
/// locks the shard of its pool and no other, so that no two locks are ever held
/// at once; calls that count or search all shards lock one after the other and
/// may see a pool before and another after a change.
///
/// An [`ElementKey`](crate::ElementKey) names an element of its own shard only:
/// keep it with the [`ShardId`], and use both with [`ShardedHandlespace::with_shard`].
///
/// A thread that panics inside a closure given to this type spoils nothing for
/// the others: each call of a [`Handlespace`] is done or not begun when a
/// closure runs, so the lock is taken again as if nothing had been.
///
/// ```
/// use rserpool_engine::{Config, PoolHandle, Resolution, ShardedHandlespace, Timestamp};
///
/// let space = ShardedHandlespace::new(&Config::default(), 4);
/// let mut answer = Resolution::default();
/// let pool = PoolHandle::new(b"nobody is here");
/// assert!(space.resolve(Timestamp::ZERO, pool, 3, &mut answer).is_err());
/// ```
#[derive(Debug)]
pub struct ShardedHandlespace {
    map: ShardMap,
    shards: Box<[Shard]>,
}

impl ShardedHandlespace {
    /// Empty handlespaces on `shards` shards (at least 1). Each has the limits
    /// of `config`, and a seed that follows from its.
    #[must_use]
    pub fn new(config: &Config, shards: u16) -> Self {
        let map = ShardMap::new(shards, config.seed);
        let shard = |number: u16| {
            let seed = crate::chance::mix(config.seed ^ (u64::from(number) + 1));
            Shard(Mutex::new(Handlespace::new(Config { seed, ..config.clone() })))
        };
        let shards = (0..map.shards()).map(shard).collect();
        Self { map, shards }
    }

    /// The shards, by number.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.map.shards()).map(ShardId)
    }

    /// The shard of a pool.
    #[must_use]
    pub fn shard_of(&self, handle: PoolHandle<'_>) -> ShardId {
        self.map.shard_of(handle)
    }

    fn lock(&self, shard: ShardId) -> MutexGuard<'_, Handlespace> {
        let shard = usize::from(shard.0) % self.shards.len();
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `work` with the handlespace of a pool. It must not come back to
    /// this type: the shard is locked.
    pub fn with<T>(&self, handle: PoolHandle<'_>, work: impl FnOnce(&mut Handlespace) -> T) -> T {
        self.with_shard(self.shard_of(handle), work)
    }

    /// Calls `work` with the handlespace of a shard, taken modulo the number of
    /// shards. It must not come back to this type: the shard is locked.
    pub fn with_shard<T>(&self, shard: ShardId, work: impl FnOnce(&mut Handlespace) -> T) -> T {
        work(&mut self.lock(shard))
    }

    /// [`Handlespace::register`] on the shard of the pool.
    ///
    /// # Errors
    /// The reason for a refusal; nothing has changed then.
    pub fn register(
        &self,
        now: Timestamp,
        registration: &Registration<'_>,
    ) -> Result<(ShardId, Registered), RegisterError> {
        let shard = self.shard_of(registration.handle);
        Ok((shard, self.lock(shard).register(now, registration)?))
    }

    /// Removes an element. `false` if there is none.
    pub fn deregister(&self, handle: PoolHandle<'_>, pe: PeId) -> bool {
        self.with(handle, |space| space.find(handle, pe).is_some_and(|key| space.remove(key)))
    }

    /// [`Handlespace::resolve`] on the shard of the pool, which it returns.
    ///
    /// # Errors
    /// No pool has this handle.
    pub fn resolve(
        &self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        items: u32,
        into: &mut Resolution,
    ) -> Result<ShardId, UnknownPool> {
        let shard = self.shard_of(handle);
        self.lock(shard).resolve(now, handle, items, into)?;
        Ok(shard)
    }

    /// [`Handlespace::poll_due`] on the first shard that has something due.
    pub fn poll_due(&self, now: Timestamp) -> Option<(ShardId, Due)> {
        self.shards().find_map(|shard| Some((shard, self.lock(shard).poll_due(now)?)))
    }

    /// When [`ShardedHandlespace::poll_due`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.shards().filter_map(|shard| self.lock(shard).next_deadline()).min()
    }

    /// [`Handlespace::take_over`] of up to `batch` elements on each shard.
    /// Returns how many; 0: all are done.
    pub fn take_over(&self, now: Timestamp, from: RegistrarId, batch: usize) -> usize {
        self.shards().map(|shard| self.lock(shard).take_over(now, from, batch)).sum()
    }

    /// The PE checksum sum of one home's elements on all shards.
    #[must_use]
    pub fn checksum(&self, home: RegistrarId) -> PeChecksum {
        let mut sum = PeChecksum::default();
        self.shards().for_each(|shard| sum.add(self.lock(shard).checksum(home)));
        sum
    }

    /// Counts. An association or a home that has elements on several shards is
    /// counted on each.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for shard in self.shards() {
            let stats = self.lock(shard).stats();
            sum.pools += stats.pools;
            sum.elements += stats.elements;
            sum.own_elements += stats.own_elements;
            sum.associations += stats.associations;
            sum.homes += stats.homes;
        }
        sum
    }

    /// Checks every invariant of every shard. O(n).
    ///
    /// # Panics
    /// If one does not hold, or a pool is not on its shard.
    pub fn assert_invariants(&self) {
        for shard in self.shards() {
            let space = self.lock(shard);
            space.assert_invariants();
            for pool in space.pools() {
                assert_eq!(self.shard_of(pool.handle()), shard, "a pool is on its shard");
            }
        }
    }
}
