//! A handlespace so plain that it is right: maps and lists, everything
//! computed from scratch. It shares no code with the engine but the nouns.

mod fairness;
mod order;
mod selection;

use std::collections::BTreeMap;
use std::time::Duration;

use rserpool_engine::{
    ChannelUse, Config, ElementKey, Limit, ModeError, Outcome, PeChecksum, PeId, Policy,
    PoolHandle, RegisterError, RegistrarId, Registration, RegistrationLife, Reported,
    SelectionMode, TransportKind, ZoneId,
};

pub(crate) use fairness::Fairness;
use order::{Order, has_load, is_sorted, key, weight};
pub(crate) use selection::Asked;

/// When a keep-alive comes: not before the first, and at the latest at the
/// second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    No,
    Send { earliest: u64, latest: u64 },
    Await { until: u64 },
}

#[derive(Clone, Debug)]
pub(crate) struct ModelElement {
    pub(crate) key: ElementKey,
    pub(crate) home: RegistrarId,
    pub(crate) association: Option<u64>,
    pub(crate) life: RegistrationLife,
    pub(crate) life_end: Option<u64>,
    pub(crate) policy: Policy,
    pub(crate) record: Vec<u8>,
    pub(crate) reports: u8,
    pub(crate) watch: Watch,
    /// Given to this registrar without an association.
    taken_over: bool,
    /// Selections since the registration.
    pub(crate) selections: u64,
    pub(crate) zone: Option<ZoneId>,
    /// When its slow start ends.
    pub(crate) settled: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelPool {
    pub(crate) first: Policy,
    transport: TransportKind,
    channel_use: ChannelUse,
    pub(crate) mode: SelectionMode,
    /// Of all selectable elements.
    pub(crate) all: Order,
    /// Of those of each zone, in a pool that is in this mode.
    pub(crate) zones: BTreeMap<ZoneId, Order>,
    pub(crate) elements: BTreeMap<PeId, ModelElement>,
}

pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) pools: BTreeMap<Vec<u8>, ModelPool>,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

impl ModelPool {
    pub(crate) fn is_linked(&self, pe: PeId) -> bool {
        weight(self.elements[&pe].policy) != Some(0)
    }

    /// An element that became selectable gets its places.
    fn enter(&mut self, now: u64, pe: PeId) {
        if self.mode != SelectionMode::TwoChoices {
            self.all.enter(pe);
        }
        if let SelectionMode::SlowStart { ramp } = self.mode {
            self.elements.get_mut(&pe).unwrap().settled = now + micros(ramp);
        }
        self.enter_zone(pe);
    }

    fn enter_zone(&mut self, pe: PeId) {
        if let (SelectionMode::ZoneFirst, Some(zone)) = (self.mode, self.elements[&pe].zone) {
            self.zones.entry(zone).or_insert_with(Order::new).enter(pe);
        }
    }

    fn leave(&mut self, pe: PeId) {
        self.all.leave(pe);
        self.leave_zone(pe);
    }

    fn leave_zone(&mut self, pe: PeId) {
        for order in self.zones.values_mut() {
            order.leave(pe);
        }
        self.zones.retain(|_, order| !order.is_empty());
    }

    /// An element registered again.
    fn renewed(&mut self, now: u64, pe: PeId, before: Policy, is_changed: bool) {
        let policy = self.elements[&pe].policy;
        match (weight(before) != Some(0), self.is_linked(pe)) {
            (true, true) if is_changed => {
                for order in self.zones.values_mut().chain([&mut self.all]) {
                    order.change(pe, before, policy);
                }
            }
            (true, false) => self.leave(pe),
            (false, true) => self.enter(now, pe),
            (true, true) | (false, false) => {}
        }
    }

    /// `order` is that of handle tables.
    fn select_by(&mut self, mode: SelectionMode, order: &[PeId]) {
        let linked: Vec<PeId> = order.iter().copied().filter(|&pe| self.is_linked(pe)).collect();
        if self.mode == SelectionMode::TwoChoices {
            linked.iter().for_each(|&pe| self.all.enter(pe));
        }
        self.zones.clear();
        self.mode = mode;
        for &pe in &linked {
            self.elements.get_mut(&pe).unwrap().settled = 0;
            if mode == SelectionMode::TwoChoices {
                self.all.leave(pe);
            }
            self.enter_zone(pe);
        }
    }
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, pools: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.pools.values().map(|pool| pool.elements.len()).sum()
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = (&[u8], PeId, &ModelElement)> {
        self.pools.iter().flat_map(|(handle, pool)| {
            pool.elements.iter().map(|(&pe, element)| (handle.as_slice(), pe, element))
        })
    }

    pub(crate) fn element_mut(&mut self, handle: &[u8], pe: PeId) -> Option<&mut ModelElement> {
        self.pools.get_mut(handle)?.elements.get_mut(&pe)
    }

    pub(crate) fn name_of(&self, key: ElementKey) -> Option<(Vec<u8>, PeId)> {
        let mut found = self.elements().filter(|(_, _, element)| element.key == key);
        let name = found.next().map(|(handle, pe, _)| (handle.to_vec(), pe));
        assert!(found.next().is_none(), "a key names one element");
        name
    }

    /// What a registration must give: its outcome and the home before, or the
    /// refusal.
    pub(crate) fn register(
        &mut self,
        now: u64,
        new: &Registration<'_>,
    ) -> Result<(Outcome, Option<RegistrarId>), RegisterError> {
        let handle = new.handle.as_bytes();
        let config = &self.config;
        if handle.is_empty() || handle.len() > usize::from(config.handle_bytes_max) {
            return Err(RegisterError::InvalidHandle);
        }
        if new.pe.is_none() {
            return Err(RegisterError::InvalidPeId);
        }
        if new.home.is_none() {
            return Err(RegisterError::InvalidHome);
        }
        if new.record.len() > usize::from(config.record_bytes_max) {
            return Err(RegisterError::LackOfResources(Limit::RecordBytes));
        }
        let len = self.len();
        let pools = self.pools.len();
        let known = match self.pools.get(handle) {
            None => None,
            Some(pool) => {
                if pool.first.kind() != new.policy.kind() {
                    return Err(RegisterError::InconsistentPolicy(pool.first));
                }
                if pool.transport != new.transport {
                    return Err(RegisterError::InconsistentTransport(pool.transport));
                }
                if pool.channel_use != new.channel_use {
                    return Err(RegisterError::InconsistentChannelUse(pool.channel_use));
                }
                Some(pool)
            }
        };
        let is_known = known.is_some_and(|pool| pool.elements.contains_key(&new.pe));
        if !is_known {
            let is_full = |pool: &ModelPool| {
                pool.elements.len() >= self.config.elements_per_pool_max as usize
            };
            if known.is_some_and(is_full) {
                return Err(RegisterError::LackOfResources(Limit::ElementsPerPool));
            }
            if len >= self.config.elements_max as usize {
                return Err(RegisterError::LackOfResources(Limit::Elements));
            }
            if known.is_none() && pools >= self.config.pools_max as usize {
                return Err(RegisterError::LackOfResources(Limit::Pools));
            }
        }
        Ok(self.accept(now, new))
    }

    fn accept(&mut self, now: u64, new: &Registration<'_>) -> (Outcome, Option<RegistrarId>) {
        let watch = self.watch(now, new.home, new.association.is_some());
        let pool = self.pools.entry(new.handle.as_bytes().to_vec()).or_insert_with(|| ModelPool {
            first: new.policy,
            transport: new.transport,
            channel_use: new.channel_use,
            mode: SelectionMode::ByPolicy,
            all: Order::new(),
            zones: BTreeMap::new(),
            elements: BTreeMap::new(),
        });
        let life_end = match new.life {
            RegistrationLife::For(life) => Some(now + micros(life)),
            RegistrationLife::Infinite => None,
        };
        let fresh = ModelElement {
            key: ElementKey::default(),
            home: new.home,
            association: new.association.map(|it| it.0),
            life: new.life,
            life_end,
            policy: new.policy,
            record: new.record.to_vec(),
            reports: 0,
            watch,
            taken_over: false,
            selections: 0,
            zone: None,
            settled: 0,
        };
        let Some(before) = pool.elements.get(&new.pe).cloned() else {
            pool.elements.insert(new.pe, fresh);
            if pool.is_linked(new.pe) {
                pool.enter(now, new.pe);
            }
            return (Outcome::Created, None);
        };
        let is_reset = before.selections > 0
            && is_sorted(new.policy.kind())
            && key(before.policy, before.selections) != key(before.policy, 0);
        let ModelElement { key, zone, settled, .. } = before;
        pool.elements.insert(new.pe, ModelElement { key, zone, settled, ..fresh });
        pool.renewed(now, new.pe, before.policy, before.policy != new.policy || is_reset);
        let is_same =
            (before.home, before.policy) == (new.home, new.policy) && before.record == new.record;
        let outcome = if is_same { Outcome::Renewed } else { Outcome::Changed };
        (outcome, (before.home != new.home).then_some(before.home))
    }

    fn watch(&self, now: u64, home: RegistrarId, is_reachable: bool) -> Watch {
        let interval = micros(self.config.keep_alive_interval);
        if home != self.config.registrar || !is_reachable || interval == 0 {
            return Watch::No;
        }
        // A quarter less, a quarter more.
        let earliest = now + interval * 3 / 4;
        Watch::Send { earliest, latest: now + interval.div_ceil(4) * 5 }
    }

    pub(crate) fn remove(&mut self, handle: &[u8], pe: PeId) {
        let pool = self.pools.get_mut(handle).unwrap();
        pool.elements.remove(&pe).unwrap();
        pool.leave(pe);
        if pool.elements.is_empty() {
            self.pools.remove(handle);
        }
    }

    /// Whether a mode does for a pool, and sets it; `order` has its elements in
    /// the order of handle tables.
    pub(crate) fn select_by(
        &mut self,
        handle: &[u8],
        mode: SelectionMode,
        order: &[PeId],
    ) -> Result<(), ModeError> {
        let pool = self.pools.get_mut(handle).ok_or(ModeError::UnknownPool)?;
        let kind = pool.first.kind();
        match mode {
            SelectionMode::TwoChoices if !has_load(kind) => Err(ModeError::WithoutLoad(kind)),
            SelectionMode::SlowStart { ramp: Duration::ZERO } => Err(ModeError::WithoutRamp),
            _ => {
                pool.select_by(mode, order);
                Ok(())
            }
        }
    }

    pub(crate) fn place_in_zone(&mut self, handle: &[u8], pe: PeId, zone: Option<ZoneId>) {
        let pool = self.pools.get_mut(handle).unwrap();
        let element = pool.elements.get_mut(&pe).unwrap();
        if element.zone == zone {
            return;
        }
        element.zone = zone;
        pool.leave_zone(pe);
        if pool.is_linked(pe) {
            pool.enter_zone(pe);
        }
    }

    pub(crate) fn report(&mut self, handle: &[u8], pe: PeId) -> Reported {
        let limit = self.config.bad_reports_max;
        let element = self.element_mut(handle, pe).unwrap();
        element.reports = element.reports.saturating_add(1);
        if element.reports >= limit {
            Reported::LimitReached
        } else {
            Reported::Counted(element.reports)
        }
    }

    pub(crate) fn probe(&mut self, now: u64, handle: &[u8], pe: PeId) {
        let own = self.config.registrar;
        let element = self.element_mut(handle, pe).unwrap();
        if element.home == own && !matches!(element.watch, Watch::Await { .. }) {
            element.watch = Watch::Send { earliest: now, latest: now };
        }
    }

    pub(crate) fn acked(&mut self, now: u64, handle: &[u8], pe: PeId) {
        let element = self.element_mut(handle, pe).unwrap();
        element.reports = 0;
        let is_reachable = element.association.is_some() || element.taken_over;
        let home = element.home;
        let watch = self.watch(now, home, is_reachable);
        self.element_mut(handle, pe).unwrap().watch = watch;
    }

    pub(crate) fn set_home(&mut self, now: u64, handle: &[u8], pe: PeId, home: RegistrarId) {
        let own = self.config.registrar;
        let element = self.element_mut(handle, pe).unwrap();
        element.home = home;
        element.taken_over = home == own;
        if home != own {
            element.watch = Watch::No;
        } else if !matches!(element.watch, Watch::Await { .. }) {
            element.watch = Watch::Send { earliest: now, latest: now };
        }
    }

    /// A keep-alive was asked for.
    pub(crate) fn sent(&mut self, now: u64, handle: &[u8], pe: PeId) {
        let until = now + micros(self.config.keep_alive_timeout);
        self.element_mut(handle, pe).unwrap().watch = Watch::Await { until };
    }

    pub(crate) fn checksum(&self, home: RegistrarId) -> u16 {
        let mut sum: u64 = 0;
        for (handle, pe, _) in self.elements().filter(|(_, _, element)| element.home == home) {
            let mut bytes = handle.to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(pe.get().to_be_bytes());
            for word in bytes.chunks(2) {
                sum += u64::from(word[0]) << 8 | u64::from(word[1]);
            }
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    /// The time by which something must have been due.
    pub(crate) fn next_certain(&self) -> Option<u64> {
        let times = self.elements().flat_map(|(_, _, element)| {
            let watch = match element.watch {
                Watch::No => None,
                Watch::Send { latest, .. } => Some(latest),
                Watch::Await { until } => Some(until),
            };
            [watch, element.life_end].into_iter().flatten()
        });
        times.min()
    }
}

/// So that both sides are compared in the form of the wire.
pub(crate) fn folded(sum: PeChecksum) -> u16 {
    sum.finish()
}

pub(crate) fn handle(bytes: &[u8]) -> PoolHandle<'_> {
    PoolHandle::new(bytes)
}
