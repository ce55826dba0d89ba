//! A look at one pool.

use core::fmt;

use super::{ElementRef, Handlespace};
use crate::pool::Pool;
use crate::{ChannelUse, Policy, PoolHandle, TransportKind};

/// A pool.
#[derive(Clone, Copy)]
pub struct PoolRef<'a> {
    pub(super) space: &'a Handlespace,
    slot: u32,
}

impl fmt::Debug for PoolRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolRef")
            .field("handle", &self.handle())
            .field("policy", &self.policy().kind())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<'a> PoolRef<'a> {
    /// The slot is that of a pool.
    pub(super) const fn new(space: &'a Handlespace, slot: u32) -> Self {
        Self { space, slot }
    }

    pub(super) fn record(&self) -> &'a Pool {
        &self.space.pools[self.slot]
    }

    /// Its pool handle.
    #[must_use]
    pub fn handle(&self) -> PoolHandle<'a> {
        self.record().handle(&self.space.bytes)
    }

    /// The policy of its first element; the pool's policy is its kind.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.record().policy
    }

    /// The number of its elements.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.record().len
    }

    /// Never: a pool goes with its last element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The protocol of its service.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.record().transport
    }

    /// The use of its service's transport.
    #[must_use]
    pub fn channel_use(&self) -> ChannelUse {
        self.record().channel_use
    }

    /// Its elements, in the order of handle tables.
    pub fn elements(&self) -> impl Iterator<Item = ElementRef<'a>> + use<'a> {
        self.elements_from(0).map(|(_, element)| element)
    }

    /// Its elements from a place on, in the order of handle tables, each with
    /// the place behind it: who lists a pool in parts goes on from there. 0 is
    /// the first place. An element that was there all along is in exactly one
    /// part, whatever changed between them.
    pub fn elements_from(
        &self,
        place: u32,
    ) -> impl Iterator<Item = (u32, ElementRef<'a>)> + use<'a> {
        let (space, roster) = (self.space, self.record().roster);
        let mut number = place;
        core::iter::from_fn(move || {
            let (found, key) = roster.next(&space.rosters, number)?;
            number = found + 1;
            Some((number, ElementRef::new(space, key)))
        })
    }
}

impl Handlespace {
    /// All pools, in the order of handle tables.
    pub fn pools(&self) -> impl Iterator<Item = PoolRef<'_>> {
        let slots = (0..self.pools.end()).filter(|&slot| self.pools[slot].is_there());
        slots.map(|slot| PoolRef::new(self, slot))
    }

    /// The pools of up to `places` places from this one on, in the order of
    /// handle tables, each with its place: who lists all pools in parts goes on
    /// with the place behind the last. Places end at
    /// [`Handlespace::pool_places`]; some are empty. A pool keeps its place.
    pub fn pools_from(
        &self,
        place: u32,
        places: u32,
    ) -> impl Iterator<Item = (u32, PoolRef<'_>)> + use<'_> {
        let end = place.saturating_add(places).min(self.pools.end());
        let slots = (place..end).filter(|&slot| self.pools[slot].is_there());
        slots.map(|slot| (slot, PoolRef::new(self, slot)))
    }

    /// How many places there are for pools, empty ones included.
    #[must_use]
    pub fn pool_places(&self) -> u32 {
        self.pools.end()
    }
}
