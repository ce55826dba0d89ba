//! Handle resolution.

use super::Handlespace;
use crate::mode::Call;
use crate::order::{Order, Selected};
use crate::{Caller, PoolHandle, Timestamp, UnknownPool};

/// The elements of one handle resolution. Reuse it: it does not allocate
/// once it has grown to the largest answer.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// The elements, in the order of the policy.
    pub elements: Selected,
}

impl Handlespace {
    /// Selects up to `items` elements by the pool's policy (RFC 5356) and
    /// selection mode into `into`, which is cleared first. A pool whose
    /// elements are all drained gives none.
    ///
    /// # Errors
    /// No pool has this handle.
    pub fn resolve(
        &mut self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        items: u32,
        into: &mut Resolution,
    ) -> Result<(), UnknownPool> {
        self.resolve_for(now, handle, items, Caller::default(), into)
    }

    /// [`Handlespace::resolve`] for a caller whose key or zone matters to the
    /// [`SelectionMode`](crate::SelectionMode) of the pool.
    ///
    /// # Errors
    /// No pool has this handle.
    #[inline]
    pub fn resolve_for(
        &mut self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        items: u32,
        caller: Caller,
        into: &mut Resolution,
    ) -> Result<(), UnknownPool> {
        into.elements.clear();
        let slot = self.pool_slot(self.hash_handle(handle), handle).ok_or(UnknownPool)?;
        self.select(now, slot, items, caller, into);
        Ok(())
    }

    #[inline]
    pub(super) fn select(
        &mut self,
        now: Timestamp,
        slot: u32,
        items: u32,
        caller: Caller,
        into: &mut Resolution,
    ) {
        let pool = &mut self.pools[slot];
        let members = pool.len;
        let items = items.min(members);
        let (orders, elements) = (&mut self.orders, &mut self.elements);
        let advance = self.config.max_increment;
        if let Order::Moded(number) = pool.order {
            let call = Call { now, caller, items, members, advance };
            return orders.select_moded(number, elements, &call, &mut into.elements);
        }
        orders.select(&mut pool.order, elements, items, advance, &mut into.elements);
    }
}
