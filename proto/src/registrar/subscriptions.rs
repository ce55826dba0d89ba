//! Who is told when a pool changes (RFC 5352, 2.2.5 and 2.2.6: S and A bit).
//!
//! A subscription belongs to an association and a pool that exists. It ends
//! with the association, with a resolution of the pool without the S bit, and
//! with the pool, which is told by a negative response. Changes of a pool are
//! told at most once an interval, as what the pool is by then.

use core::ops::Bound;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use rserpool_engine::{AssociationId, PoolHandle, Timestamp, TransportKind};

type Handle = Box<[u8]>;

/// How a subscriber is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscriber {
    /// Most elements of a message.
    pub(super) items: u32,
    pub(super) transport: TransportKind,
}

#[derive(Debug, Default)]
struct Pool {
    subscribers: BTreeMap<AssociationId, Subscriber>,
    /// When to begin to tell them.
    due: Option<Timestamp>,
    /// It was begun; those up to this one are told.
    telling: Option<AssociationId>,
    /// It changed since that.
    again: bool,
    /// Not before then.
    earliest: Timestamp,
}

/// The subscriptions to the pools of one shard.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    pools: BTreeMap<Handle, Pool>,
    of: BTreeMap<AssociationId, BTreeSet<Handle>>,
    due: BTreeSet<(Timestamp, Handle)>,
    count: usize,
}

impl Subscriptions {
    /// Adds or replaces one. `false`: there are too many.
    pub(super) fn add(
        &mut self,
        limits: (u32, u32),
        association: AssociationId,
        handle: PoolHandle<'_>,
        subscriber: Subscriber,
    ) -> bool {
        let name = handle.as_bytes();
        let known = self.of.get(&association).is_some_and(|pools| pools.contains(name));
        if !known {
            let (all_max, own_max) = limits;
            let own = self.of.get(&association).map_or(0, BTreeSet::len);
            if self.count >= all_max as usize || own >= own_max as usize {
                return false;
            }
            self.count += 1;
            self.of.entry(association).or_default().insert(name.into());
        }
        let pool = self.pools.entry(name.into()).or_default();
        pool.subscribers.insert(association, subscriber);
        true
    }

    /// Ends one, if there is one.
    pub(super) fn remove(&mut self, association: AssociationId, handle: PoolHandle<'_>) {
        if self.count == 0 {
            return;
        }
        let name = handle.as_bytes();
        let Some(pools) = self.of.get_mut(&association) else { return };
        if !pools.remove(name) {
            return;
        }
        if pools.is_empty() {
            self.of.remove(&association);
        }
        self.count -= 1;
        let Some(pool) = self.pools.get_mut(name) else { return };
        pool.subscribers.remove(&association);
        if pool.subscribers.is_empty() {
            if let Some(due) = pool.due {
                self.due.remove(&(due, name.into()));
            }
            self.pools.remove(name);
        }
    }

    /// The association is gone.
    pub(super) fn forget(&mut self, association: AssociationId) {
        while let Some(name) = self.of.get(&association).and_then(|pools| pools.first()).cloned() {
            self.remove(association, PoolHandle::new(&name));
        }
    }

    /// A pool changed.
    pub(super) fn changed(&mut self, now: Timestamp, handle: PoolHandle<'_>) {
        if self.pools.is_empty() {
            return;
        }
        let name = handle.as_bytes();
        let Some(pool) = self.pools.get_mut(name) else { return };
        if pool.telling.is_some() {
            pool.again = true;
        } else if pool.due.is_none() {
            let due = pool.earliest.max(now);
            pool.due = Some(due);
            self.due.insert((due, name.into()));
        }
    }

    /// When [`Subscriptions::poll`] has something.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next subscriber that is to be told what a pool is.
    pub(super) fn poll(
        &mut self,
        now: Timestamp,
        interval: Duration,
    ) -> Option<(AssociationId, Handle, Subscriber)> {
        loop {
            let (due, name) = self.due.first().filter(|(due, _)| *due <= now)?.clone();
            let pool = self.pools.get_mut(&name)?;
            let from = pool.telling.map_or(Bound::Unbounded, Bound::Excluded);
            if let Some((&id, &subscriber)) =
                pool.subscribers.range((from, Bound::Unbounded)).next()
            {
                pool.telling = Some(id);
                return Some((id, name, subscriber));
            }
            // All are told.
            self.due.remove(&(due, name.clone()));
            pool.telling = None;
            pool.earliest = now.after(interval);
            pool.due = core::mem::take(&mut pool.again).then_some(pool.earliest);
            if let Some(due) = pool.due {
                self.due.insert((due, name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: PoolHandle<'static> = PoolHandle::new(b"pool");
    const INTERVAL: Duration = Duration::from_secs(1);
    const LIMITS: (u32, u32) = (5, 3);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_secs(seconds))
    }

    fn add(subscriptions: &mut Subscriptions, id: u64, name: &str) -> bool {
        let subscriber = Subscriber { items: 1, transport: TransportKind::Tcp };
        subscriptions.add(LIMITS, AssociationId(id), PoolHandle::new(name.as_bytes()), subscriber)
    }

    fn told(subscriptions: &mut Subscriptions, now: Timestamp) -> Vec<u64> {
        core::iter::from_fn(|| subscriptions.poll(now, INTERVAL)).map(|told| told.0.0).collect()
    }

    #[test]
    fn changes_are_told_to_all_at_most_once_an_interval() {
        let mut subscriptions = Subscriptions::default();
        assert!(add(&mut subscriptions, 1, "pool") && add(&mut subscriptions, 2, "pool"));
        assert!(add(&mut subscriptions, 3, "other"));
        assert!(told(&mut subscriptions, at(9)).is_empty());
        subscriptions.changed(at(10), POOL);
        subscriptions.changed(at(10), POOL);
        assert_eq!(subscriptions.next_deadline(), Some(at(10)));
        assert_eq!(told(&mut subscriptions, at(10)), [1, 2]);
        subscriptions.changed(at(10), POOL);
        assert_eq!(subscriptions.next_deadline(), Some(at(11)));
        assert!(told(&mut subscriptions, at(10)).is_empty());
        assert_eq!(told(&mut subscriptions, at(11)), [1, 2]);
        assert_eq!(subscriptions.next_deadline(), None);
    }

    #[test]
    fn a_change_while_it_is_told_is_told_later() {
        let mut subscriptions = Subscriptions::default();
        assert!(add(&mut subscriptions, 1, "pool") && add(&mut subscriptions, 2, "pool"));
        subscriptions.changed(at(10), POOL);
        assert!(subscriptions.poll(at(10), INTERVAL).is_some());
        subscriptions.changed(at(10), POOL);
        assert_eq!(told(&mut subscriptions, at(10)), [2]);
        assert_eq!(told(&mut subscriptions, at(11)), [1, 2]);
    }

    #[test]
    fn there_are_never_more_than_the_most_and_each_ends() {
        let mut subscriptions = Subscriptions::default();
        for name in ["a", "b", "c"] {
            assert!(add(&mut subscriptions, 1, name));
        }
        assert!(!add(&mut subscriptions, 1, "d"), "too many of one");
        assert!(add(&mut subscriptions, 1, "c"), "it has that one");
        assert!(add(&mut subscriptions, 2, "a") && add(&mut subscriptions, 2, "b"));
        assert!(!add(&mut subscriptions, 3, "a"), "too many at all");
        subscriptions.changed(at(1), PoolHandle::new(b"a"));
        subscriptions.forget(AssociationId(1));
        subscriptions.remove(AssociationId(2), PoolHandle::new(b"a"));
        subscriptions.remove(AssociationId(2), PoolHandle::new(b"a"));
        subscriptions.remove(AssociationId(2), PoolHandle::new(b"b"));
        assert_eq!(subscriptions.count, 0);
        assert!(subscriptions.pools.is_empty() && subscriptions.of.is_empty());
        assert!(subscriptions.due.is_empty());
        assert!(told(&mut subscriptions, at(9)).is_empty());
    }
}
