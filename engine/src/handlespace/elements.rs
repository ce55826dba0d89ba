//! A look at one registered element.

use core::fmt;

use super::Handlespace;
use crate::element::{Element, Flag, NEVER};
use crate::policy::Values;
use crate::{
    AssociationId, ElementKey, PeId, Policy, PolicyKind, PoolHandle, RegistrarId, RegistrationLife,
    Timestamp,
};

/// A registered element.
#[derive(Clone, Copy)]
pub struct ElementRef<'a> {
    pub(super) space: &'a Handlespace,
    pub(super) key: ElementKey,
}

impl fmt::Debug for ElementRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElementRef")
            .field("handle", &self.handle())
            .field("pe", &self.pe())
            .field("home", &self.home())
            .field("policy", &self.policy())
            .finish_non_exhaustive()
    }
}

impl<'a> ElementRef<'a> {
    /// The key names an element that is there.
    pub(super) const fn new(space: &'a Handlespace, key: ElementKey) -> Self {
        Self { space, key }
    }

    pub(super) fn record_of(&self) -> &'a Element {
        &self.space.elements[self.key.index]
    }

    /// The key that names it.
    #[must_use]
    pub const fn key(&self) -> ElementKey {
        self.key
    }

    /// Its pool handle.
    #[must_use]
    pub fn handle(&self) -> PoolHandle<'a> {
        self.space.pools[self.record_of().pool()].handle(&self.space.bytes)
    }

    /// Its PE identifier.
    #[must_use]
    pub fn pe(&self) -> PeId {
        PeId::new(self.record_of().pe)
    }

    /// Its home registrar.
    #[must_use]
    pub fn home(&self) -> RegistrarId {
        let home = self.space.homes.id(self.record_of().home());
        RegistrarId::new((home & 0xffff_ffff) as u32)
    }

    /// Its registration life as registered, in milliseconds rounded up; from
    /// 2^31 milliseconds on in seconds rounded up.
    #[must_use]
    pub fn life(&self) -> RegistrationLife {
        self.record_of().life()
    }

    /// When its registration life ends; `None`: never.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        let end = self.record_of().life_end;
        (end != NEVER).then_some(Timestamp::from_micros(end))
    }

    /// Its policy as registered.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.space.policy_of(self.key.index)
    }

    /// Whether its weight is 0: it is never selected.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        !self.record_of().has(Flag::Linked)
    }

    /// The association it is registered by, if it is at this registrar.
    #[must_use]
    pub fn association(&self) -> Option<AssociationId> {
        let group = self.record_of().association()?;
        Some(AssociationId(self.space.associations.id(group)))
    }

    /// The unreachability reports since it registered or acknowledged last.
    #[must_use]
    pub fn reports(&self) -> u8 {
        self.record_of().reports()
    }

    /// Whether it owes an acknowledgment of a keep-alive.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.record_of().has(Flag::Waiting)
    }

    /// Whether it is this registrar's without having registered here: it was
    /// given to it, and has not registered since.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        self.record_of().has(Flag::TakenOver)
    }

    /// The bytes kept with it.
    #[must_use]
    pub fn record(&self) -> &'a [u8] {
        self.record_of().record(&self.space.bytes)
    }
}

impl Handlespace {
    pub(super) fn policy_of(&self, slot: u32) -> Policy {
        let element = &self.elements[slot];
        let kind = self.pools[element.pool()].policy.kind();
        let delay = element.delay();
        // The field counts turns there.
        let is_count = kind == PolicyKind::WeightedRoundRobin;
        let degradation = if is_count { 0 } else { element.second };
        let (dpf, distance) = (delay.dpf, delay.distance);
        kind.with_values(Values { first: element.first, degradation, dpf, distance })
    }
}
