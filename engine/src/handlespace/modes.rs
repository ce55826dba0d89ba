//! Selection modes of pools, and zones of elements.

use super::{ElementRef, Handlespace, PoolRef};
use crate::order::Order;
use crate::{ElementKey, ModeError, PoolHandle, SelectionMode, ZoneId};

impl Handlespace {
    /// Selects from this pool by `mode` from now on, until it is told
    /// otherwise or the pool goes with its last element. O(n): it is no call
    /// for a request. An embedder with a rule for a pool applies it when the
    /// pool comes, that is when its first element is registered.
    ///
    /// Elements keep their place in the order of the policy, and their
    /// degradation; those that come from [`SelectionMode::TwoChoices`], which
    /// has no order, get one.
    ///
    /// # Errors
    /// The pool is unknown, or its policy does not do for the mode.
    pub fn select_by(
        &mut self,
        handle: PoolHandle<'_>,
        mode: SelectionMode,
    ) -> Result<(), ModeError> {
        let slot =
            self.pool_slot(self.hash_handle(handle), handle).ok_or(ModeError::UnknownPool)?;
        let pool = &mut self.pools[slot];
        let kind = pool.policy.kind();
        match mode {
            SelectionMode::TwoChoices if !kind.rule().has_load => {
                return Err(ModeError::WithoutLoad(kind));
            }
            SelectionMode::SlowStart { ramp } if ramp.is_zero() => {
                return Err(ModeError::WithoutRamp);
            }
            SelectionMode::ByPolicy
            | SelectionMode::TwoChoices
            | SelectionMode::ConsistentHash { .. }
            | SelectionMode::ZoneFirst
            | SelectionMode::SlowStart { .. } => {}
        }
        let mut members = Vec::with_capacity(pool.len as usize);
        pool.roster.visit(&self.rosters, 0, |_, member| {
            members.push(member);
            true
        });
        let (order, elements) = (&mut pool.order, &mut self.elements);
        self.orders.set_mode(order, mode, kind.rule(), elements, &members);
        Ok(())
    }

    /// Gives an element a zone, or none. It keeps it until it is removed.
    /// `false` if it was removed before. O(log n) at most.
    pub fn place_in_zone(&mut self, key: ElementKey, zone: Option<ZoneId>) -> bool {
        if !self.is_there(key) {
            return false;
        }
        let element = &self.elements[key.index];
        let order = &self.pools[element.pool()].order;
        self.orders.place_in_zone(order, element, key, zone);
        true
    }
}

impl PoolRef<'_> {
    /// How its elements are selected.
    #[must_use]
    pub fn selection_mode(&self) -> SelectionMode {
        match self.record().order {
            Order::Moded(number) => self.space.orders.modes.record(number).mode(),
            Order::Circle(_) | Order::Sorted { .. } | Order::Turns { .. } | Order::Lots { .. } => {
                SelectionMode::ByPolicy
            }
        }
    }
}

impl ElementRef<'_> {
    /// Its zone, if it was given one.
    #[must_use]
    pub fn zone(&self) -> Option<ZoneId> {
        self.space.orders.modes.zones.zone(self.record_of(), self.key.index)
    }
}
