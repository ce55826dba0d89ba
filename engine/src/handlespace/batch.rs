//! Batch calls: many messages of one turn, whose memory accesses overlap.
//!
//! A call that follows another waits for memory about four times, one access
//! after the other. A batch takes the same steps for up to 32 calls at a time:
//! all buckets of the index, then all records, then all that hangs on them. A
//! processor fetches what is independent at once, so that the calls themselves,
//! which follow one by one, find everything near. What they do and in which
//! order is exactly what single calls would do.

use core::hint::black_box;

use super::{Handlespace, Registered, Registration, Resolution};
use crate::order::Order;
use crate::tree::Tree;
use crate::{Caller, ElementKey, PeId, PoolHandle, RegisterError, Timestamp, UnknownPool};

/// Calls whose memory is fetched together: more than a processor has accesses
/// under way, and little enough to stay in its first cache.
const GROUP: usize = 32;

/// One call of [`Handlespace::resolve_many`].
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The pool.
    pub handle: PoolHandle<'a>,
    /// The most elements of the answer.
    pub items: u32,
    /// Who asks.
    pub caller: Caller,
}

impl<'a> Question<'a> {
    /// A question of a caller whose key and zone do not matter.
    #[must_use]
    pub fn new(handle: PoolHandle<'a>, items: u32) -> Self {
        Self { handle, items, caller: Caller::default() }
    }
}

impl Handlespace {
    /// [`Handlespace::resolve_for`] for each of the questions in their order.
    /// `each` hears of every answer by the number of its question; `into` holds
    /// it until the next. Does not allocate once `into` has grown.
    ///
    /// Worth it where pools are many: one that was just selected from is near
    /// already.
    pub fn resolve_many(
        &mut self,
        now: Timestamp,
        questions: &[Question<'_>],
        into: &mut Resolution,
        mut each: impl FnMut(usize, Result<&Resolution, UnknownPool>),
    ) {
        let mut number = 0;
        for group in questions.chunks(GROUP) {
            let mut hashes = [0; GROUP];
            for (hash, question) in hashes.iter_mut().zip(group) {
                *hash = self.hash_handle(question.handle);
            }
            self.approach_pools(&hashes[..group.len()]);
            for (&hash, question) in hashes.iter().zip(group) {
                let Question { handle, items, caller } = *question;
                into.elements.clear();
                match self.pool_slot(hash, handle) {
                    Some(slot) => {
                        self.select(now, slot, items, caller, into);
                        each(number, Ok(into));
                    }
                    None => each(number, Err(UnknownPool)),
                }
                number += 1;
            }
        }
    }

    /// [`Handlespace::register`] for each of the registrations in their order.
    /// `each` hears of every result by the number of its registration. Does
    /// not allocate beyond what new elements take.
    pub fn register_many(
        &mut self,
        now: Timestamp,
        registrations: &[Registration<'_>],
        mut each: impl FnMut(usize, Result<Registered, RegisterError>),
    ) {
        let mut number = 0;
        for group in registrations.chunks(GROUP) {
            let (mut handles, mut hashes) = ([0; GROUP], [0; GROUP]);
            for ((handle, hash), new) in handles.iter_mut().zip(&mut hashes).zip(group) {
                *handle = self.hash_handle(new.handle);
                *hash = self.hash_pe(*handle, new.pe.get());
            }
            let slots = self.approach_elements(&hashes[..group.len()]);
            self.approach_orders(&slots, group);
            for ((&handle, &hash), (&slot, new)) in
                handles.iter().zip(&hashes).zip(slots.iter().zip(group))
            {
                let result = self.check_attributes(new).and_then(|()| {
                    let slot = self.confirmed(slot, hash, new.handle, new.pe);
                    self.register_at(now, new, (handle, hash), slot)
                });
                each(number, result);
                number += 1;
            }
        }
    }

    /// For each of these elements in their order, what
    /// [`Handlespace::keep_alive_acked`] does for one. `each` hears of every
    /// element by its number, and of its key; `None`: there is none. Does not
    /// allocate.
    pub fn touch_many(
        &mut self,
        now: Timestamp,
        names: &[(PoolHandle<'_>, PeId)],
        mut each: impl FnMut(usize, Option<ElementKey>),
    ) {
        let mut number = 0;
        for group in names.chunks(GROUP) {
            let mut hashes = [0; GROUP];
            for (hash, &(handle, pe)) in hashes.iter_mut().zip(group) {
                *hash = self.hash_pe(self.hash_handle(handle), pe.get());
            }
            let slots = self.approach_elements(&hashes[..group.len()]);
            for ((&hash, &slot), &(handle, pe)) in hashes.iter().zip(&slots).zip(group) {
                let key = self.confirmed(slot, hash, handle, pe).map(|slot| self.key(slot));
                if let Some(key) = key {
                    self.keep_alive_acked(now, key);
                }
                each(number, key);
                number += 1;
            }
        }
    }

    /// The slot of an element: the guess, if it is right by now.
    #[inline]
    fn confirmed(
        &self,
        guess: Option<u32>,
        hash: u64,
        handle: PoolHandle<'_>,
        pe: PeId,
    ) -> Option<u32> {
        let right = guess.filter(|&slot| {
            let element = &self.elements[slot];
            element.is_there()
                && element.pe == pe.get()
                && self.pools[element.pool()].is_named(&self.bytes, handle)
        });
        right.or_else(|| self.element_slot(hash, handle, pe.get()))
    }

    /// Fetches the records of pools, and what a selection from each begins
    /// with.
    fn approach_pools(&self, hashes: &[u64]) {
        let mut slots = [None; GROUP];
        let buckets = hashes.iter().fold(0, |sum, &hash| sum ^ self.by_handle.touch(hash));
        black_box(buckets);
        for (slot, &hash) in slots.iter_mut().zip(hashes) {
            *slot = self.by_handle.guess(hash);
        }
        let mut sum = 0;
        for &slot in slots.iter().flatten() {
            sum ^= self.pools[slot].len;
        }
        black_box(sum);
        for &slot in slots.iter().flatten() {
            sum ^= self.orders.touch_front(&self.pools[slot].order);
        }
        black_box(sum);
    }

    /// Fetches the records of elements, and those of their pools. Returns the
    /// slots of the elements, as far as the index tells.
    fn approach_elements(&self, hashes: &[u64]) -> [Option<u32>; GROUP] {
        let mut slots = [None; GROUP];
        // A loop for each step, as short as can be: the fewer instructions are
        // between two accesses, the more of them are under way at a time.
        let buckets = hashes.iter().fold(0, |sum, &hash| sum ^ self.by_pe.touch(hash));
        black_box(buckets);
        for (slot, &hash) in slots.iter_mut().zip(hashes) {
            *slot = self.by_pe.guess(hash);
        }
        let mut sum = 0;
        for &slot in slots.iter().flatten() {
            sum ^= self.elements[slot].pe;
        }
        black_box(sum);
        for &slot in slots.iter().flatten() {
            sum ^= self.pools[self.elements[slot].pool()].len;
        }
        black_box(sum);
        slots
    }

    /// Fetches where elements that register again are in the orders of their
    /// pools, and where they go.
    fn approach_orders(&self, slots: &[Option<u32>; GROUP], group: &[Registration<'_>]) {
        let mut sum = 0;
        for &slot in slots.iter().flatten() {
            let element = &self.elements[slot];
            let order = &self.pools[element.pool()].order;
            sum ^= element.links[0].next;
            // In a circle an element that registers again stays where it is.
            if !matches!(order, Order::Circle(_)) {
                sum ^= self.orders.touch_place(order, element, slot);
            }
            if let Some(association) = element.association() {
                sum ^= (self.associations.id(association) & 1) as u32;
            }
        }
        black_box(sum);
        let (mut ways, mut len) = ([(Tree::EMPTY, 0); GROUP], 0);
        for (slot, new) in slots.iter().zip(group) {
            let Some(slot) = *slot else { continue };
            let order = &self.pools[self.elements[slot].pool()].order;
            if let Some(way) = order.way(new.policy.standing()) {
                ways[len] = way;
                len += 1;
            }
        }
        black_box(self.orders.sorted.touch_ways(&ways[..len]));
    }
}
