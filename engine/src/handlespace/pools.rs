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
        let (space, roster) = (self.space, self.record().roster);
        let mut number = 0;
        core::iter::from_fn(move || {
            let (found, key) = roster.next(&space.rosters, number)?;
            number = found + 1;
            Some(ElementRef::new(space, key))
        })
    }
}

impl Handlespace {
    /// All pools, in the order of handle tables.
    pub fn pools(&self) -> impl Iterator<Item = PoolRef<'_>> {
        let slots = (0..self.pools.end()).filter(|&slot| self.pools[slot].is_there());
        slots.map(|slot| PoolRef::new(self, slot))
    }
}
