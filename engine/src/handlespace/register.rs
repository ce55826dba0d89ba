//! Registration, re-registration, removal, ownership.

use core::hint::black_box;
use core::mem::discriminant;

use super::Handlespace;
use crate::element::{Delay, Element, Flag, NEVER};
use crate::order::{Order, Orders};
use crate::paged::SLOTS_MAX;
use crate::pool::Pool;
use crate::{
    AssociationId, ChannelUse, ElementKey, Limit, PeChecksum, PeId, Policy, PolicyKind, PoolHandle,
    RegisterError, RegistrarId, RegistrationLife, Timestamp, TransportKind,
};

/// What [`Handlespace::register`] takes.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// The pool.
    pub handle: PoolHandle<'a>,
    /// The element in the pool.
    pub pe: PeId,
    /// Its home: this registrar for a registration by the element itself,
    /// the sender for a Handle Update.
    pub home: RegistrarId,
    /// The association it came by, if the element is at this registrar.
    pub association: Option<AssociationId>,
    /// How long it is valid.
    pub life: RegistrationLife,
    /// Its policy with its parameters.
    pub policy: Policy,
    /// The protocol of its user transport.
    pub transport: TransportKind,
    /// The use of its user transport.
    pub channel_use: ChannelUse,
    /// Bytes kept with the element and given back by
    /// [`ElementRef::record`](crate::ElementRef::record); the engine does not
    /// look into them.
    pub record: &'a [u8],
}

/// What a registration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The element is new.
    Created,
    /// The element was there with the same home, policy values and record:
    /// peers need not hear of it.
    Renewed,
    /// The element was there and something of it changed.
    Changed,
}

/// A successful registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Names the element from now on.
    pub key: ElementKey,
    /// What it did.
    pub outcome: Outcome,
    /// The home before, if it was another one.
    pub previous_home: Option<RegistrarId>,
}

#[inline]
fn check_consistency(pool: &Pool, new: &Registration<'_>) -> Result<(), RegisterError> {
    if discriminant(&pool.policy) != discriminant(&new.policy) {
        return Err(RegisterError::InconsistentPolicy(pool.policy));
    }
    if pool.transport != new.transport {
        return Err(RegisterError::InconsistentTransport(pool.transport));
    }
    if pool.channel_use != new.channel_use {
        return Err(RegisterError::InconsistentChannelUse(pool.channel_use));
    }
    Ok(())
}

/// Places an element anew whose policy values changed, or whose degradation
/// ends.
#[inline(never)]
fn relink(
    orders: &mut Orders,
    order: &mut Order,
    element: &mut Element,
    key: ElementKey,
    policy: Policy,
    is_changed: bool,
    now: Timestamp,
) {
    let values = policy.values();
    let before = core::mem::replace(&mut element.first, values.first);
    if policy.kind() != PolicyKind::WeightedRoundRobin {
        element.second = values.degradation;
    }
    element.clear(Flag::Degraded);
    orders.relink(order, element, key, policy.standing(), before, is_changed, now);
}

impl Handlespace {
    /// Registers or re-registers an element (RFC 5352, 3.1), or applies a
    /// peer's Handle Update. All attributes are replaced; the life starts anew,
    /// the unreachability reports are forgotten, a degradation is reset.
    ///
    /// # Errors
    /// The reason for a refusal; nothing has changed then.
    pub fn register(
        &mut self,
        now: Timestamp,
        registration: &Registration<'_>,
    ) -> Result<Registered, RegisterError> {
        self.check_attributes(registration)?;
        let Registration { handle, pe, .. } = *registration;
        let handle_hash = self.hash_handle(handle);
        let hash = self.hash_pe(handle_hash, pe.get());
        let slot = self.element_slot(hash, handle, pe.get());
        self.register_at(now, registration, (handle_hash, hash), slot)
    }

    /// Registers an element whose attributes are valid, and whose slot is
    /// known if there is one. The hashes are those of handle and element.
    #[inline]
    pub(super) fn register_at(
        &mut self,
        now: Timestamp,
        registration: &Registration<'_>,
        (handle_hash, hash): (u64, u64),
        slot: Option<u32>,
    ) -> Result<Registered, RegisterError> {
        let handle = registration.handle;
        if let Some(slot) = slot {
            return self.renew(now, slot, registration);
        }
        let pool = match self.pool_slot(handle_hash, handle) {
            Some(pool) => {
                check_consistency(&self.pools[pool], registration)?;
                if self.pools[pool].len >= self.config.elements_per_pool_max {
                    return Err(RegisterError::LackOfResources(Limit::ElementsPerPool));
                }
                self.check_room()?;
                pool
            }
            None => {
                self.check_room()?;
                if self.config.elements_per_pool_max == 0 {
                    return Err(RegisterError::LackOfResources(Limit::ElementsPerPool));
                }
                if self.pools.len() >= self.config.pools_max {
                    return Err(RegisterError::LackOfResources(Limit::Pools));
                }
                self.open_pool(handle_hash, registration)
            }
        };
        Ok(self.create(now, pool, hash, registration))
    }

    /// Whether the attributes are valid by themselves.
    #[inline]
    pub(super) fn check_attributes(&self, new: &Registration<'_>) -> Result<(), RegisterError> {
        let name = new.handle.as_bytes();
        if name.is_empty() || name.len() > usize::from(self.config.handle_bytes_max) {
            return Err(RegisterError::InvalidHandle);
        }
        if new.pe.is_none() {
            return Err(RegisterError::InvalidPeId);
        }
        if new.home.is_none() {
            return Err(RegisterError::InvalidHome);
        }
        if new.record.len() > usize::from(self.config.record_bytes_max) {
            return Err(RegisterError::LackOfResources(Limit::RecordBytes));
        }
        Ok(())
    }

    fn check_room(&self) -> Result<(), RegisterError> {
        let is_full = self.elements.len() >= self.config.elements_max
            || self.elements.is_exhausted(SLOTS_MAX);
        if is_full { Err(RegisterError::LackOfResources(Limit::Elements)) } else { Ok(()) }
    }

    fn open_pool(&mut self, hash: u64, first: &Registration<'_>) -> u32 {
        let Registration { handle, policy, transport, channel_use, .. } = *first;
        let slot = self.pools.take();
        self.pools[slot] = Pool::new(&mut self.bytes, handle, hash, policy, transport, channel_use);
        let pools = &self.pools;
        self.by_handle.insert(hash, slot, |it| pools[it].hash);
        slot
    }

    fn create(
        &mut self,
        now: Timestamp,
        pool: u32,
        hash: u64,
        new: &Registration<'_>,
    ) -> Registered {
        let pe = new.pe.get();
        let values = new.policy.values();
        // What waits for memory comes first.
        let slot = self.elements.take();
        self.orders.reserve(slot);
        let record = &mut self.pools[pool];
        record.len += 1;
        let element = &mut self.elements[slot];
        let key = ElementKey { index: slot, generation: element.generation + 1 };
        let position = record.roster.insert(&mut self.rosters, key);
        let association = new.association.map(|it| self.associations.find_or_create(it.0));
        let home = if new.home == self.config.registrar {
            self.watch.own
        } else {
            self.homes.find_or_create(new.home.get().into())
        };
        *element = Element::new(key.generation, pe, pool, position);
        (element.first, element.second) = (values.first, values.degradation);
        element.set_home(home);
        element.set_association(association);
        element.renew(now, new.life);
        element.keep_alive = self.watch.keep_alive(now, slot, element);
        if new.policy.kind().rule().has_distance {
            element.set_delay(Delay { dpf: values.dpf, distance: values.distance });
        }
        element.store(&mut self.bytes, new.record);
        self.orders.link(&mut record.order, element, key, new.policy.standing(), now);
        self.homes.add_to(&mut self.elements, home, slot, record.share(&self.bytes, pe));
        if let Some(group) = association {
            self.associations.add_to(&mut self.elements, group, slot, PeChecksum::default());
        }
        self.wheel.arm(&mut self.elements, now.as_micros(), slot);
        let (elements, pools, hasher) = (&self.elements, &self.pools, self.hasher);
        let hash_of = |it: u32| {
            let element = &elements[it];
            hasher.with_number(pools[element.pool()].hash, element.pe)
        };
        self.by_pe.insert(hash, slot, hash_of);
        if self.tags.get_or_default(slot) != 0 {
            self.tags[slot] = 0;
        }
        Registered { key, outcome: Outcome::Created, previous_home: None }
    }

    #[inline]
    fn renew(
        &mut self,
        now: Timestamp,
        slot: u32,
        new: &Registration<'_>,
    ) -> Result<Registered, RegisterError> {
        let element = &mut self.elements[slot];
        let pool = &mut self.pools[element.pool()];
        check_consistency(pool, new)?;
        let is_home = if element.home() == self.watch.own {
            new.home == self.config.registrar
        } else {
            self.homes.id(element.home()) == u64::from(new.home.get())
        };
        let is_association = match (element.association(), new.association) {
            (Some(group), Some(new)) => self.associations.id(group) == new.0,
            (before, new) => before.is_none() && new.is_none(),
        };
        if !is_home || !is_association {
            return self.renew_elsewhere(now, slot, new);
        }
        let values = new.policy.values();
        let before = element.deadline();
        element.renew(now, new.life);
        element.keep_alive = self.watch.keep_alive(now, slot, element);
        let is_other_record = element.store(&mut self.bytes, new.record);
        let mut is_other_policy = element.first != values.first;
        if element.second != values.degradation {
            is_other_policy |= !matches!(new.policy, Policy::WeightedRoundRobin { .. });
        }
        if element.has(Flag::Delayed) {
            let delay = Delay { dpf: values.dpf, distance: values.distance };
            is_other_policy |= element.set_delay(delay) != delay;
        }
        let key = ElementKey { index: slot, generation: element.generation };
        let is_late = element.deadline() < before || !element.has(Flag::Armed);
        if is_other_policy || element.has(Flag::Degraded) {
            let (orders, order) = (&mut self.orders, &mut pool.order);
            relink(orders, order, element, key, new.policy, is_other_policy, now);
        }
        if is_late {
            self.wheel.rearm(&mut self.elements, now.as_micros(), slot);
        }
        let is_changed = is_other_policy | is_other_record;
        let outcome = if is_changed { Outcome::Changed } else { Outcome::Renewed };
        Ok(Registered { key, outcome, previous_home: None })
    }

    /// Renews an element that comes from another home or association.
    #[inline(never)]
    fn renew_elsewhere(
        &mut self,
        now: Timestamp,
        slot: u32,
        new: &Registration<'_>,
    ) -> Result<Registered, RegisterError> {
        let previous_home = self.move_home(slot, new.home);
        self.move_association(slot, new.association);
        let mut registered = self.renew(now, slot, new)?;
        if previous_home.is_some() {
            (registered.outcome, registered.previous_home) = (Outcome::Changed, previous_home);
        }
        Ok(registered)
    }

    fn share(&self, slot: u32) -> PeChecksum {
        let element = &self.elements[slot];
        self.pools[element.pool()].share(&self.bytes, element.pe)
    }

    /// Moves an element to another home; returns the one before if it was
    /// another.
    fn move_home(&mut self, slot: u32, home: RegistrarId) -> Option<RegistrarId> {
        let from = self.elements[slot].home();
        let before = self.homes.id(from);
        if before == u64::from(home.get()) {
            return None;
        }
        let share = self.share(slot);
        let mark = self.marks.get_or_default(slot);
        self.homes.replace_mark(from, mark, 0);
        self.homes.remove(&mut self.elements, from, slot, share);
        let group = self.homes.add(&mut self.elements, home.get().into(), slot, share);
        self.homes.replace_mark(group, 0, mark);
        self.elements[slot].set_home(group);
        Some(RegistrarId::new((before & 0xffff_ffff) as u32))
    }

    pub(super) fn move_association(&mut self, slot: u32, association: Option<AssociationId>) {
        let group = self.elements[slot].association();
        if group.map(|group| self.associations.id(group)) == association.map(|it| it.0) {
            return;
        }
        let share = PeChecksum::default();
        if let Some(group) = group {
            self.associations.remove(&mut self.elements, group, slot, share);
        }
        let group =
            association.map(|it| self.associations.add(&mut self.elements, it.0, slot, share));
        self.elements[slot].set_association(group);
    }

    /// Removes an element, and its pool with the last one. `false` if it was
    /// removed before.
    pub fn remove(&mut self, key: ElementKey) -> bool {
        if !self.is_there(key) {
            return false;
        }
        let slot = key.index;
        let element = &self.elements[slot];
        let (pool, pe, position) = (element.pool(), element.pe, element.position());
        let (home, association) = (element.home(), element.association());
        let record = &mut self.pools[pool];
        // What waits for memory comes first.
        black_box(self.orders.touch_place(&record.order, element, slot));
        record.roster.remove(&mut self.rosters, position);
        element.free_record(&mut self.bytes);
        self.wheel.disarm(&mut self.elements, slot);
        self.by_pe.remove(self.hasher.with_number(record.hash, pe), slot);
        let mark = self.marks.get_or_default(slot);
        if mark != 0 {
            self.homes.replace_mark(home, mark, 0);
            self.marks[slot] = 0;
        }
        self.homes.remove(&mut self.elements, home, slot, record.share(&self.bytes, pe));
        if let Some(group) = association {
            self.associations.remove(&mut self.elements, group, slot, PeChecksum::default());
        }
        self.orders.unlink(&mut record.order, &mut self.elements[slot], slot);
        record.len -= 1;
        if record.len == 0 {
            self.close_pool(pool);
        }
        let element = &mut self.elements[slot];
        element.generation += 1;
        // A slot whose generations are used up names nobody any more.
        if element.generation == u32::MAX - 1 {
            self.elements.retire();
        } else {
            self.elements.give_back(slot);
        }
        true
    }

    fn close_pool(&mut self, slot: u32) {
        self.by_handle.remove(self.pools[slot].hash, slot);
        let record = &mut self.pools[slot];
        self.orders.close_moded(&record.order);
        record.roster.clear(&mut self.rosters);
        record.close(&mut self.bytes);
        self.pools.give_back(slot);
    }

    /// Gives an element to another home registrar. If that is this registrar,
    /// its keep-alive is due at once, whether it has an association or not.
    /// `false` if it was removed before or the home is 0.
    pub fn set_home(&mut self, now: Timestamp, key: ElementKey, home: RegistrarId) -> bool {
        if !self.is_there(key) || home.is_none() {
            return false;
        }
        let slot = key.index;
        let before = self.elements[slot].deadline();
        self.move_home(slot, home);
        let element = &mut self.elements[slot];
        if home == self.config.registrar {
            element.set(Flag::TakenOver);
            if !element.has(Flag::Waiting) {
                element.keep_alive = now.as_micros();
            }
        } else {
            element.clear(Flag::TakenOver);
            element.clear(Flag::Waiting);
            element.keep_alive = NEVER;
        }
        self.rearm(now, slot, before);
        true
    }

    /// Gives up to `batch` elements of `from` to this registrar (RFC 5353,
    /// 3.5); their keep-alives become due. Returns how many; fewer than
    /// `batch`: all are done.
    pub fn take_over(&mut self, now: Timestamp, from: RegistrarId, batch: usize) -> usize {
        if from == self.config.registrar {
            return 0;
        }
        let Some(group) = self.homes.find(from.get().into()) else { return 0 };
        // The list of a home goes with its last element.
        let count = batch.min(self.homes.len_of(group) as usize);
        for done in 0..count {
            let Some(slot) = self.homes.first(group) else { return done };
            self.take(now, group, slot);
        }
        count
    }

    /// Makes an element of another home this registrar's own, to be kept alive
    /// from now on.
    #[inline]
    fn take(&mut self, now: Timestamp, from: u32, slot: u32) {
        let own = self.watch.own;
        let element = &mut self.elements[slot];
        let share = self.pools[element.pool()].share(&self.bytes, element.pe);
        element.set_home(own);
        element.set(Flag::TakenOver);
        if !element.has(Flag::Waiting) {
            element.keep_alive = now.as_micros();
        }
        let mark = self.marks.get_or_default(slot);
        self.homes.replace_mark(from, mark, 0);
        self.homes.pass_on(&mut self.elements, from, own, slot, share);
        self.homes.replace_mark(own, 0, mark);
        self.wheel.disarm(&mut self.elements, slot);
        self.wheel.arm(&mut self.elements, now.as_micros(), slot);
    }
}
