//! The cache of handle resolutions.

use core::time::Duration;
use std::collections::BTreeMap;

use rserpool_codec::{Element, Elements};
use rserpool_engine::{
    ElementKey, Handlespace, PeId, Policy, PoolHandle, RegistrarId, Registration, RegistrationLife,
    Resolution, Timestamp,
};

/// Limits and times of a cache.
#[derive(Clone, Debug)]
pub struct Config {
    /// stale_cache_value (RFC 5352, 3.3): how long an answer counts as what
    /// the pool is. Of a pool that is subscribed to, it always does.
    pub fresh: Duration,
    /// How long an answer may be used when there is no newer one to be had.
    pub kept: Duration,
    /// How long it is remembered that there is no such pool.
    pub unknown: Duration,
    /// How long an element that failed is not selected, unless the pool has no
    /// other.
    pub avoided: Duration,
    /// Most pools; the one that was asked for longest ago makes room.
    pub pools_max: usize,
    /// Most elements of one pool; further ones are ignored.
    pub elements_per_pool_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(5),
            kept: Duration::from_secs(600),
            unknown: Duration::from_secs(1),
            avoided: Duration::from_secs(1),
            pools_max: 1024,
            elements_per_pool_max: 1024,
        }
    }
}

/// What a cache knows of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing, or nothing that may still be used.
    Nothing,
    /// There is no such pool, or it has no element that serves.
    NoPool,
    /// What it was; it may have changed.
    Stale,
    /// What it is.
    Fresh,
}

#[derive(Debug)]
struct Entry {
    since: Timestamp,
    used: Timestamp,
    exists: bool,
    subscribed: bool,
    policy: Policy,
    /// Elements that failed, and until when to avoid them.
    avoided: Vec<(PeId, Timestamp)>,
}

/// The pools a pool user resolved, and the selection from them by each pool's
/// own policy, as the registrar would. Elements that failed are left out for a
/// while, and then until the registrar names them again.
#[derive(Debug)]
pub struct Cache {
    config: Config,
    space: Handlespace,
    entries: BTreeMap<Box<[u8]>, Entry>,
    resolution: Resolution,
    gone: Vec<ElementKey>,
}

/// Whose the elements are: the cache looks after none of them.
const HOME: RegistrarId = RegistrarId::new(1);

impl Cache {
    /// An empty cache. `seed` is for the random policies.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let space = rserpool_engine::Config {
            registrar: HOME,
            seed,
            pools_max: u32::try_from(config.pools_max).unwrap_or(u32::MAX),
            elements_per_pool_max: config.elements_per_pool_max,
            handle_bytes_max: u16::MAX,
            record_bytes_max: u16::MAX,
            keep_alive_interval: Duration::ZERO,
            ..rserpool_engine::Config::default()
        };
        Self {
            config,
            space: Handlespace::new(space),
            entries: BTreeMap::new(),
            resolution: Resolution::default(),
            gone: Vec::new(),
        }
    }

    /// What is known of a pool.
    #[must_use]
    pub fn known(&self, now: Timestamp, handle: PoolHandle<'_>) -> Known {
        let Some(entry) = self.entries.get(handle.as_bytes()) else { return Known::Nothing };
        let age = now.since(entry.since);
        if !entry.exists {
            return if age < self.config.unknown { Known::NoPool } else { Known::Nothing };
        }
        if entry.subscribed || age < self.config.fresh {
            Known::Fresh
        } else if age < self.config.kept {
            Known::Stale
        } else {
            Known::Nothing
        }
    }

    /// The policy of a pool that is known.
    #[must_use]
    pub fn policy(&self, handle: PoolHandle<'_>) -> Option<Policy> {
        self.entries.get(handle.as_bytes()).filter(|entry| entry.exists).map(|entry| entry.policy)
    }

    /// Selects up to `items` elements by the pool's policy (RFC 5356), the one
    /// to be used first at the front. None if the pool is not known, or all
    /// its elements are drained or failed.
    pub fn select(
        &mut self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        items: u32,
    ) -> impl Iterator<Item = Element<'_>> {
        let known = self.known(now, handle);
        if let Some(entry) = self.entries.get_mut(handle.as_bytes()) {
            entry.used = now;
        }
        self.resolution.elements.clear();
        if matches!(known, Known::Fresh | Known::Stale) {
            // Every element may have failed: then there is no such pool here.
            let _ = self.space.resolve(now, handle, items, &mut self.resolution);
        }
        let elements = self.resolution.elements.iter();
        elements.filter_map(|&key| Element::parse(self.space.get(key)?.record()).ok())
    }

    /// A registrar told what a pool is: the answer to a resolution, or a
    /// change of a pool that is subscribed to.
    pub fn store(
        &mut self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        policy: Option<Policy>,
        elements: &Elements<'_>,
        subscribed: bool,
    ) {
        let first = elements.iter().next();
        // No policy means Round Robin (RFC 5352, 2.2.6).
        let policy = policy.or_else(|| first.map(|one| one.policy)).unwrap_or(Policy::RoundRobin);
        self.remove_all_but(handle, policy, elements);
        let avoided = self.still_avoided(now, handle, elements);
        for (element, parameter) in elements.iter_raw() {
            if !avoided.iter().any(|(pe, _)| *pe == element.pe) {
                self.keep(now, handle, &element, parameter);
            }
        }
        // Those that are left out are to be asked for when their time is over.
        let until = avoided.iter().map(|(_, until)| *until).min();
        let since = until.map_or(now, |until| before(until, self.config.fresh).min(now));
        let entry = Entry {
            since,
            used: now,
            exists: true,
            subscribed: subscribed && until.is_none(),
            policy,
            avoided,
        };
        self.note(handle, entry);
    }

    /// Which of the elements are to be avoided yet; none if that were all.
    fn still_avoided(
        &self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        elements: &Elements<'_>,
    ) -> Vec<(PeId, Timestamp)> {
        let Some(entry) = self.entries.get(handle.as_bytes()) else { return Vec::new() };
        let mut avoided = entry.avoided.clone();
        if avoided.is_empty() {
            return avoided;
        }
        avoided.retain(|(pe, until)| *until > now && elements.iter().any(|one| one.pe == *pe));
        let others = elements.iter().any(|one| !avoided.iter().any(|(pe, _)| *pe == one.pe));
        if others { avoided } else { Vec::new() }
    }

    /// A registrar told that there is no such pool, or none that serves.
    pub fn store_unknown(&mut self, now: Timestamp, handle: PoolHandle<'_>) {
        self.remove_all_but(handle, Policy::RoundRobin, &Elements::EMPTY);
        let entry = Entry {
            since: now,
            used: now,
            exists: false,
            subscribed: false,
            policy: Policy::RoundRobin,
            avoided: Vec::new(),
        };
        self.note(handle, entry);
    }

    fn note(&mut self, handle: PoolHandle<'_>, mut entry: Entry) {
        if let Some(before) = self.entries.get(handle.as_bytes()) {
            // Being told of a pool does not use it.
            entry.used = before.used;
        }
        self.entries.insert(handle.as_bytes().into(), entry);
        while self.entries.len() > self.config.pools_max.max(1) {
            let others = self.entries.iter().filter(|(name, _)| ***name != *handle.as_bytes());
            let Some((oldest, _)) = others.min_by_key(|(_, entry)| entry.used) else { break };
            let oldest = oldest.clone();
            self.purge(PoolHandle::new(&oldest));
        }
    }

    /// Registers an element, or renews it. One that does not fit its pool is
    /// left out.
    fn keep(
        &mut self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        element: &Element<'_>,
        parameter: &[u8],
    ) {
        let registration = Registration {
            handle,
            pe: element.pe,
            home: HOME,
            association: None,
            life: RegistrationLife::Infinite,
            policy: element.policy,
            transport: element.user_transport.kind,
            channel_use: element.user_transport.channel_use,
            record: parameter,
        };
        let unchanged = self.space.find(handle, element.pe).is_some_and(|key| {
            self.space.get(key).is_some_and(|known| known.record() == parameter)
        });
        if !unchanged {
            let _ = self.space.register(now, &registration);
        }
    }

    /// Removes the elements that are not among `elements`, all of them if the
    /// pool has another policy or transport now.
    fn remove_all_but(&mut self, handle: PoolHandle<'_>, policy: Policy, elements: &Elements<'_>) {
        let Some(pool) = self.space.pool(handle) else { return };
        let first = elements.iter().next().map(|one| one.user_transport);
        let same = pool.policy().kind() == policy.kind()
            && first.is_some_and(|one| {
                one.kind == pool.transport() && one.channel_use == pool.channel_use()
            });
        self.gone.clear();
        if same {
            let mut named: Vec<PeId> = elements.iter().map(|element| element.pe).collect();
            named.sort_unstable();
            let left = pool.elements().filter(|one| named.binary_search(&one.pe()).is_err());
            self.gone.extend(left.map(|element| element.key()));
        } else {
            self.gone.extend(pool.elements().map(|element| element.key()));
        }
        for key in self.gone.drain(..) {
            self.space.remove(key);
        }
    }

    /// An element could not be reached, or failed. It is not selected for a
    /// while, nor before the registrar names it again, for which the pool is
    /// stale now.
    pub fn failed(&mut self, now: Timestamp, handle: PoolHandle<'_>, pe: PeId) {
        let Some(key) = self.space.find(handle, pe) else { return };
        self.space.remove(key);
        let until = now.after(self.config.avoided);
        let stale = before(now, self.config.fresh);
        if let Some(entry) = self.entries.get_mut(handle.as_bytes()) {
            entry.avoided.retain(|(other, until)| *other != pe && *until > now);
            entry.avoided.push((pe, until));
            entry.since = entry.since.min(stale);
            entry.subscribed = false;
        }
    }

    /// Forgets a pool.
    pub fn purge(&mut self, handle: PoolHandle<'_>) {
        self.remove_all_but(handle, Policy::RoundRobin, &Elements::EMPTY);
        self.entries.remove(handle.as_bytes());
    }

    /// The association with the registrar is gone, and the subscriptions with
    /// it: what is known begins to age.
    pub fn disconnected(&mut self, now: Timestamp) {
        for entry in self.entries.values_mut().filter(|entry| entry.subscribed) {
            entry.subscribed = false;
            entry.since = now;
        }
    }

    /// How many pools are known, also as not there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A point so much before another.
fn before(at: Timestamp, by: Duration) -> Timestamp {
    let by = Timestamp::ZERO.after(by);
    Timestamp::from_micros(at.as_micros().saturating_sub(by.as_micros()))
}
