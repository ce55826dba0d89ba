//! Registration, re-registration, removal, ownership.

use super::{Delay, Handlespace};
use crate::element::{Element, Flag, NEVER};
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
        let Registration { handle, pe, home, .. } = *registration;
        let name = handle.as_bytes();
        if name.is_empty() || name.len() > usize::from(self.config.handle_bytes_max) {
            return Err(RegisterError::InvalidHandle);
        }
        if pe.is_none() {
            return Err(RegisterError::InvalidPeId);
        }
        if home.is_none() {
            return Err(RegisterError::InvalidHome);
        }
        if registration.record.len() > usize::from(self.config.record_bytes_max) {
            return Err(RegisterError::LackOfResources(Limit::RecordBytes));
        }
        let handle_hash = self.hash_handle(handle);
        let pool = match self.pool_slot(handle_hash, handle) {
            Some(pool) => {
                self.check_consistency(pool, registration)?;
                let pe_hash = self.hash_pe(pool, pe.get());
                if let Some(slot) = self.element_slot(pe_hash, pool, pe.get()) {
                    return Ok(self.renew(now, slot, registration));
                }
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
        Ok(self.create(now, pool, registration))
    }

    fn check_consistency(&self, pool: u32, new: &Registration<'_>) -> Result<(), RegisterError> {
        let pool = &self.pools[pool];
        if pool.policy.kind() != new.policy.kind() {
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

    fn check_room(&self) -> Result<(), RegisterError> {
        let is_full = self.elements.len() >= self.config.elements_max
            || self.elements.is_exhausted(SLOTS_MAX);
        if is_full { Err(RegisterError::LackOfResources(Limit::Elements)) } else { Ok(()) }
    }

    fn open_pool(&mut self, hash: u64, first: &Registration<'_>) -> u32 {
        let Registration { handle, policy, transport, channel_use, .. } = *first;
        let slot = self.pools.take();
        self.pools[slot] = Pool::new(&mut self.bytes, handle, policy, transport, channel_use);
        let (pools, bytes, hasher) = (&self.pools, &self.bytes, &self.hasher);
        let hash_of = |it: u32| hasher.hash_one(pools[it].handle(bytes).as_bytes());
        self.by_handle.insert(hash, slot, hash_of);
        slot
    }

    fn create(&mut self, now: Timestamp, pool: u32, new: &Registration<'_>) -> Registered {
        let pe = new.pe.get();
        let slot = self.elements.take();
        let record = &mut self.pools[pool];
        record.len += 1;
        let position = record.roster.insert(&mut self.orders.words, slot);
        let share = record.share(pe);
        let generation = self.elements[slot].generation + 1;
        let values = new.policy.values();
        let mut element = Element::new(generation, pe, pool, position);
        (element.first, element.second) = (values.first, values.degradation);
        if new.policy.kind().rule().has_distance {
            self.delays.reserve(slot);
            self.delays[slot] = Delay { dpf: values.dpf, distance: values.distance };
        }
        element.set_home(self.homes.add(new.home.get().into(), slot, share));
        element.set_association(
            new.association.map(|association| {
                self.associations.add(association.0, slot, PeChecksum::default())
            }),
        );
        self.elements[slot] = element;
        let key = ElementKey { index: slot, generation };
        let (element, order) = (&mut self.elements[slot], &mut self.pools[pool].order);
        self.orders.link(order, element, key, new.policy.standing(), now);
        self.store_record(slot, new.record);
        let hash = self.hash_pe(pool, pe);
        let (elements, hasher) = (&self.elements, &self.hasher);
        let hash_of = |it: u32| {
            let element = &elements[it];
            hasher.hash_one(u64::from(element.pool()) << 32 | u64::from(element.pe))
        };
        self.by_pe.insert(hash, slot, hash_of);
        self.own_elements += u32::from(new.home == self.config.registrar);
        self.elements[slot].start_life(now, new.life);
        if self.tags.get_or_default(slot) != 0 {
            self.tags[slot] = 0;
        }
        self.restart_keep_alive(now, slot);
        self.wheel.arm(&mut self.elements, now.as_micros(), slot);
        Registered { key, outcome: Outcome::Created, previous_home: None }
    }

    fn renew(&mut self, now: Timestamp, slot: u32, new: &Registration<'_>) -> Registered {
        let before = self.elements[slot].deadline();
        let previous_home = self.move_home(slot, new.home);
        self.move_association(slot, new.association);
        let is_changed = self.replace_policy(now, slot, new.policy);
        let is_other_record = self.store_record(slot, new.record);
        let element = &mut self.elements[slot];
        element.set_reports(0);
        element.clear(Flag::Waiting);
        element.clear(Flag::TakenOver);
        element.start_life(now, new.life);
        self.restart_keep_alive(now, slot);
        self.rearm(now, slot, before);
        let outcome = if is_changed || is_other_record || previous_home.is_some() {
            Outcome::Changed
        } else {
            Outcome::Renewed
        };
        Registered { key: self.key(slot), outcome, previous_home }
    }

    /// Replaces the policy values; whether they are others than before.
    fn replace_policy(&mut self, now: Timestamp, slot: u32, policy: Policy) -> bool {
        let is_changed = self.policy_of(slot) != policy;
        let values = policy.values();
        let key = self.key(slot);
        let element = &mut self.elements[slot];
        let before = element.first;
        if is_changed {
            element.first = values.first;
            if policy.kind() != PolicyKind::WeightedRoundRobin {
                element.second = values.degradation;
            }
            if policy.kind().rule().has_distance {
                self.delays[slot] = Delay { dpf: values.dpf, distance: values.distance };
            }
        }
        if is_changed || policy.kind().rule().degrades {
            let order = &mut self.pools[element.pool()].order;
            let standing = policy.standing();
            self.orders.relink(order, element, key, standing, before, is_changed, now);
        }
        is_changed
    }

    /// Replaces the stored record; whether it is another one than before.
    fn store_record(&mut self, slot: u32, record: &[u8]) -> bool {
        let element = &mut self.elements[slot];
        let (block, before) = (element.record, element.record_len());
        if before > 0 {
            if before == record.len() && self.bytes.get(block, before) == record {
                return false;
            }
            if record.len() <= self.bytes.capacity(block)
                && !record.is_empty()
                && self.bytes.capacity(block)
                    == crate::arena::Arena::<u8>::capacity_for(record.len())
            {
                self.bytes.get_mut(block, record.len()).copy_from_slice(record);
                element.set_record_len(u16::try_from(record.len()).unwrap_or(u16::MAX));
                return true;
            }
            self.bytes.free(block);
        }
        element.set_record_len(u16::try_from(record.len()).unwrap_or(u16::MAX));
        if !record.is_empty() {
            element.record = self.bytes.allocate(record.len());
            self.bytes.get_mut(element.record, record.len()).copy_from_slice(record);
        }
        before > 0 || !record.is_empty()
    }

    fn share(&self, slot: u32) -> PeChecksum {
        let element = &self.elements[slot];
        self.pools[element.pool()].share(element.pe)
    }

    /// Moves an element to another home; returns the one before if it was
    /// another.
    fn move_home(&mut self, slot: u32, home: RegistrarId) -> Option<RegistrarId> {
        let group = self.elements[slot].home();
        let before = self.homes.id(group);
        if before == u64::from(home.get()) {
            return None;
        }
        let share = self.share(slot);
        self.homes.remove(group, slot, share);
        let group = self.homes.add(home.get().into(), slot, share);
        self.elements[slot].set_home(group);
        let before = RegistrarId::new((before & 0xffff_ffff) as u32);
        self.own_elements -= u32::from(before == self.config.registrar);
        self.own_elements += u32::from(home == self.config.registrar);
        Some(before)
    }

    pub(super) fn move_association(&mut self, slot: u32, association: Option<AssociationId>) {
        let group = self.elements[slot].association();
        if group.map(|group| self.associations.id(group)) == association.map(|it| it.0) {
            return;
        }
        if let Some(group) = group {
            self.associations.remove(group, slot, PeChecksum::default());
        }
        let group = association.map(|it| self.associations.add(it.0, slot, PeChecksum::default()));
        self.elements[slot].set_association(group);
    }

    /// Removes an element, and its pool with the last one. `false` if it was
    /// removed before.
    pub fn remove(&mut self, key: ElementKey) -> bool {
        if !self.is_there(key) {
            return false;
        }
        let slot = key.index;
        let share = self.share(slot);
        let element = self.elements[slot];
        let pool = element.pool();
        self.by_pe.remove(self.hash_pe(pool, element.pe), slot);
        self.wheel.disarm(&mut self.elements, slot);
        self.own_elements -= u32::from(self.is_own(&element));
        self.homes.remove(element.home(), slot, share);
        if let Some(group) = element.association() {
            self.associations.remove(group, slot, PeChecksum::default());
        }
        if element.record_len() > 0 {
            self.bytes.free(element.record);
        }
        let record = &mut self.pools[pool];
        self.orders.unlink(&mut record.order, &mut self.elements[slot], slot);
        record.roster.remove(&mut self.orders.words, element.position());
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
        let hash = self.hash_handle(self.pools[slot].handle(&self.bytes));
        self.by_handle.remove(hash, slot);
        let record = &mut self.pools[slot];
        self.orders.close_moded(&record.order);
        record.roster.clear(&mut self.orders.words);
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
        for done in 0..batch {
            let Some(key) = self.first_of_home(from) else { return done };
            self.set_home(now, key, self.config.registrar);
        }
        batch
    }
}
