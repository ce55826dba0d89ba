//! Handle resolution.

use super::Handlespace;
use crate::order::Selected;
use crate::{PoolHandle, Timestamp, UnknownPool};

/// The elements of one handle resolution. Reuse it: it does not allocate
/// once it has grown to the largest answer.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// The elements, in the order of the policy.
    pub elements: Selected,
}

impl Handlespace {
    /// Selects up to `items` elements by the pool's policy (RFC 5356) into
    /// `into`, which is cleared first. A pool whose elements are all drained
    /// gives none.
    ///
    /// # Errors
    /// No pool has this handle.
    pub fn resolve(
        &mut self,
        _now: Timestamp,
        handle: PoolHandle<'_>,
        items: u32,
        into: &mut Resolution,
    ) -> Result<(), UnknownPool> {
        into.elements.clear();
        let slot = self.pool_slot(self.hash_handle(handle), handle).ok_or(UnknownPool)?;
        self.select(slot, items, into);
        Ok(())
    }

    #[inline]
    pub(super) fn select(&mut self, slot: u32, items: u32, into: &mut Resolution) {
        let pool = &mut self.pools[slot];
        let items = items.min(pool.len);
        let (orders, elements) = (&mut self.orders, &mut self.elements);
        let advance = self.config.max_increment;
        orders.select(&mut pool.order, elements, items, advance, &mut into.elements);
    }
}
