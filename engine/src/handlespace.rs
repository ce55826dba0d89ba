//! One shard's pools and pool elements.

mod batch;
mod check;
mod elements;
mod group;
mod modes;
mod pools;
mod register;
mod resolve;
mod table;
mod timers;

use core::fmt;

pub use batch::Question;
pub use elements::ElementRef;
pub use pools::PoolRef;
pub use register::{Outcome, Registered, Registration};
pub use resolve::Resolution;
pub use table::TableCursor;
use timers::Watch;
pub use timers::{Due, Reported};

use crate::arena::Arena;
use crate::chance::mix;
use crate::element::Element;
use crate::group::{BY_ASSOCIATION, BY_HOME, Groups};
use crate::hash::Hasher;
use crate::index::Index;
use crate::order::Orders;
use crate::paged::{Paged, SLOTS_MAX};
use crate::pool::Pool;
use crate::roster::Rosters;
use crate::slab::Slab;
use crate::wheel::Wheel;
use crate::{AssociationId, Config, ElementKey, PeChecksum, PeId, PoolHandle, RegistrarId};

/// Counts of a handlespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pools now.
    pub pools: u32,
    /// Elements now.
    pub elements: u32,
    /// Elements whose home is this registrar.
    pub own_elements: u32,
    /// Associations that have elements.
    pub associations: u32,
    /// Home registrars that have elements.
    pub homes: u32,
}

/// One shard's pools and pool elements.
pub struct Handlespace {
    config: Config,
    hasher: Hasher,
    elements: Slab<Element>,
    /// Elements by pool handle and PE identifier.
    by_pe: Index,
    pools: Slab<Pool>,
    /// Pools by handle.
    by_handle: Index,
    orders: Orders,
    tags: Paged<u64, 512>,
    /// Records, and handles that do not fit the record of their pool.
    bytes: Arena<u8>,
    rosters: Rosters,
    associations: Groups<BY_ASSOCIATION>,
    homes: Groups<BY_HOME>,
    wheel: Wheel,
    watch: Watch,
}

impl fmt::Debug for Handlespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlespace")
            .field("config", &self.config)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Handlespace {
    /// An empty handlespace. Limits above 2^24 - 1 pools or elements are
    /// lowered to that: a slot number has 24 bits.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut config = config;
        config.elements_max = config.elements_max.min(SLOTS_MAX);
        config.pools_max = config.pools_max.min(SLOTS_MAX);
        let hasher = Hasher::new(config.seed);
        let slots = config.elements_max;
        let registrar = u64::from(config.registrar.get());
        let (homes, own) = Groups::keeping(slots, hasher, registrar);
        Self {
            elements: Slab::for_slots(slots),
            by_pe: Index::for_slots(slots),
            pools: Slab::for_slots(config.pools_max),
            by_handle: Index::for_slots(config.pools_max),
            orders: Orders::for_slots(slots, mix(config.seed ^ mix(5))),
            tags: Paged::for_slots(slots),
            bytes: Arena::new(),
            rosters: Rosters::for_slots(slots),
            associations: Groups::for_slots(slots, hasher),
            homes,
            wheel: Wheel::new(),
            watch: Watch::new(own, config.keep_alive_interval, config.keep_alive_timeout),
            hasher,
            config,
        }
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The key of an element.
    #[must_use]
    pub fn find(&self, handle: PoolHandle<'_>, pe: PeId) -> Option<ElementKey> {
        let hash = self.hash_pe(self.hash_handle(handle), pe.get());
        let slot = self.element_slot(hash, handle, pe.get())?;
        Some(self.key(slot))
    }

    /// An element; `None` if it was removed.
    #[must_use]
    pub fn get(&self, key: ElementKey) -> Option<ElementRef<'_>> {
        self.is_there(key).then(|| ElementRef::new(self, key))
    }

    /// A pool by its handle.
    #[must_use]
    pub fn pool(&self, handle: PoolHandle<'_>) -> Option<PoolRef<'_>> {
        let slot = self.pool_slot(self.hash_handle(handle), handle)?;
        Some(PoolRef::new(self, slot))
    }

    /// Any element registered by this association. O(1).
    #[must_use]
    pub fn first_of_association(&self, association: AssociationId) -> Option<ElementKey> {
        let group = self.associations.find(association.0)?;
        self.associations.first(group).map(|slot| self.key(slot))
    }

    /// Any element with this home. O(1).
    #[must_use]
    pub fn first_of_home(&self, home: RegistrarId) -> Option<ElementKey> {
        let group = self.homes.find(home.get().into())?;
        self.homes.first(group).map(|slot| self.key(slot))
    }

    /// The PE checksum sum of one home's elements. O(1).
    #[must_use]
    pub fn checksum(&self, home: RegistrarId) -> PeChecksum {
        let group = self.homes.find(home.get().into());
        group.map_or_else(PeChecksum::default, |group| self.homes.sum(group))
    }

    /// Counts. O(1).
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            pools: self.pools.len(),
            elements: self.elements.len(),
            own_elements: self.homes.len_of(self.watch.own),
            associations: self.associations.len(),
            homes: self.homes.len(),
        }
    }

    #[inline]
    fn is_there(&self, key: ElementKey) -> bool {
        key.generation & 1 == 1
            && key.index < self.elements.end()
            && self.elements[key.index].generation == key.generation
    }

    #[inline]
    fn key(&self, slot: u32) -> ElementKey {
        ElementKey { index: slot, generation: self.elements[slot].generation }
    }

    #[inline]
    fn hash_handle(&self, handle: PoolHandle<'_>) -> u64 {
        self.hasher.bytes(handle.as_bytes())
    }

    /// The hash of an element from that of its pool handle.
    #[inline]
    const fn hash_pe(&self, handle: u64, pe: u32) -> u64 {
        self.hasher.with_number(handle, pe)
    }

    /// The hash of an element that is there.
    #[inline]
    fn hash_of(&self, slot: u32) -> u64 {
        let element = &self.elements[slot];
        self.hash_pe(self.pools[element.pool()].hash, element.pe)
    }

    #[inline(always)]
    fn pool_slot(&self, hash: u64, handle: PoolHandle<'_>) -> Option<u32> {
        self.by_handle.find(hash, |slot| self.pools[slot].is_named(&self.bytes, handle))
    }

    #[inline(always)]
    fn element_slot(&self, hash: u64, handle: PoolHandle<'_>, pe: u32) -> Option<u32> {
        self.by_pe.find(hash, |slot| {
            let element = &self.elements[slot];
            element.pe == pe && self.pools[element.pool()].is_named(&self.bytes, handle)
        })
    }

    #[inline]
    fn is_own(&self, element: &Element) -> bool {
        element.home() == self.watch.own
    }
}
