//! A handlespace so plain that it is right: maps and lists, everything
//! computed from scratch. It shares no code with the engine but the nouns.

use std::collections::BTreeMap;
use std::time::Duration;

use rserpool_engine::{
    ChannelUse, Config, ElementKey, Limit, Outcome, PeChecksum, PeId, Policy, PolicyKind,
    PoolHandle, RegisterError, RegistrarId, Registration, RegistrationLife, Reported,
    TransportKind,
};

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
    /// Orders equals: the lower, the longer it has waited.
    sequence: u64,
    /// Selections since the registration.
    selections: u64,
    /// Start of its round and turns passed in it.
    round: u128,
    passed: u128,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelPool {
    pub(crate) first: Policy,
    transport: TransportKind,
    channel_use: ChannelUse,
    sequence: u64,
    /// The time of turns.
    time: u128,
    pub(crate) elements: BTreeMap<PeId, ModelElement>,
}

/// What a selection may give.
pub(crate) enum Selection {
    /// Exactly this.
    Exactly(Vec<PeId>),
    /// This many of these, in any order.
    AnyOf(usize, Vec<PeId>),
}

pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) pools: BTreeMap<Vec<u8>, ModelPool>,
}

const ROUND: u128 = 1 << 32;
const FULL: u128 = u32::MAX as u128;

/// The key of the sorted policies: the lowest is selected first.
fn key(policy: Policy, selections: u64) -> u128 {
    let selections = u128::from(selections);
    let product = |a: u32, b: u32| u128::from(a) * u128::from(b);
    let key = match policy {
        Policy::Priority { priority } => FULL - u128::from(priority),
        Policy::LeastUsed { load } => load.into(),
        Policy::LeastUsedDegradation { load, degradation } => {
            u128::from(load) + selections * u128::from(degradation)
        }
        Policy::PriorityLeastUsed { load, degradation } => {
            u128::from(load) + u128::from(degradation)
        }
        Policy::PriorityLeastUsedDegradation { load, degradation } => {
            u128::from(load) + (selections + 1) * u128::from(degradation)
        }
        Policy::LeastUsedDpf { load, dpf, distance } => u128::from(load) + product(dpf, distance),
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            u128::from(load) + product(dpf, distance) + selections * u128::from(degradation)
        }
        Policy::PriorityLeastUsedDpf { load, degradation, dpf, distance } => {
            u128::from(load) + u128::from(degradation) + product(dpf, distance)
        }
        Policy::PriorityLeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            u128::from(load) + product(dpf, distance) + (selections + 1) * u128::from(degradation)
        }
        _ => unreachable!("not a sorted policy"),
    };
    key.min(FULL)
}

/// The weight, if the policy has weights.
fn weight(policy: Policy) -> Option<u32> {
    match policy {
        Policy::WeightedRoundRobin { weight }
        | Policy::WeightedRandom { weight }
        | Policy::WeightedRandomDpf { weight, .. } => Some(weight),
        _ => None,
    }
}

fn is_random(kind: PolicyKind) -> bool {
    matches!(
        kind,
        PolicyKind::Random
            | PolicyKind::WeightedRandom
            | PolicyKind::WeightedRandomDpf
            | PolicyKind::RandomizedLeastUsed
            | PolicyKind::RandomizedLeastUsedDegradation
            | PolicyKind::RandomizedPriorityLeastUsed
            | PolicyKind::RandomizedPriorityLeastUsedDegradation
    )
}

fn is_sorted(kind: PolicyKind) -> bool {
    !is_random(kind) && !matches!(kind, PolicyKind::RoundRobin | PolicyKind::WeightedRoundRobin)
}

fn offset(weight: u32, passed: u128) -> u128 {
    (passed + 1) * ROUND / u128::from(weight)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

impl ModelPool {
    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The selectable elements in order; for random policies by PE identifier.
    fn order(&self) -> Vec<PeId> {
        let mut order: Vec<(u128, u64, PeId)> = Vec::new();
        for (&pe, element) in &self.elements {
            if weight(element.policy) == Some(0) {
                continue;
            }
            let key = match element.policy {
                Policy::RoundRobin => 0,
                Policy::WeightedRoundRobin { weight } => {
                    element.round + offset(weight, element.passed)
                }
                policy if is_random(policy.kind()) => {
                    order.push((0, 0, pe));
                    continue;
                }
                policy => key(policy, element.selections),
            };
            order.push((key, element.sequence, pe));
        }
        order.sort_unstable();
        order.into_iter().map(|(_, _, pe)| pe).collect()
    }

    fn earliest_turn(&self) -> Option<u128> {
        let turns = self.elements.values().filter_map(|element| match element.policy {
            Policy::WeightedRoundRobin { weight: weight @ 1.. } => {
                Some(element.round + offset(weight, element.passed))
            }
            _ => None,
        });
        turns.min()
    }

    pub(crate) fn select(&mut self, items: usize, advance: usize) -> Selection {
        let mut order = self.order();
        if is_random(self.first.kind()) {
            return Selection::AnyOf(items.min(order.len()), order);
        }
        order.truncate(items);
        for pe in order.iter().take(advance) {
            self.time = self.earliest_turn().unwrap_or(self.time);
            let sequence = self.next_sequence();
            let element = self.elements.get_mut(pe).unwrap();
            element.sequence = sequence;
            element.selections += 1;
            if let Policy::WeightedRoundRobin { weight } = element.policy {
                element.passed += 1;
                if element.passed == u128::from(weight) {
                    element.round += ROUND;
                    element.passed = 0;
                }
            }
        }
        Selection::Exactly(order)
    }

    fn place_new(&mut self, pe: PeId) {
        let sequence = self.next_sequence();
        let time = self.time;
        let element = self.elements.get_mut(&pe).unwrap();
        element.sequence = sequence;
        (element.round, element.passed) = (time, 0);
    }

    fn place_changed(&mut self, pe: PeId, before: Policy) {
        let sequence = self.next_sequence();
        let time = self.time;
        let element = self.elements.get_mut(&pe).unwrap();
        match (before, element.policy) {
            (Policy::RoundRobin, _) => {}
            (
                Policy::WeightedRoundRobin { weight: from @ 1.. },
                Policy::WeightedRoundRobin { weight: to @ 1.. },
            ) => {
                let wait = element.round + offset(from, element.passed) - time;
                let wait = (wait * u128::from(from) / u128::from(to)).min(offset(to, 0));
                element.sequence = sequence;
                element.passed = 0;
                element.round = time + wait - offset(to, 0);
            }
            _ => {
                element.sequence = sequence;
                (element.round, element.passed) = (time, 0);
            }
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
            sequence: 0,
            // Later than any wait, so that a round may have begun before it.
            time: 10 * ROUND,
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
            sequence: 0,
            selections: 0,
            round: 0,
            passed: 0,
        };
        let Some(before) = pool.elements.get(&new.pe).cloned() else {
            pool.elements.insert(new.pe, fresh);
            pool.place_new(new.pe);
            return (Outcome::Created, None);
        };
        let is_reset = before.selections > 0
            && is_sorted(new.policy.kind())
            && key(before.policy, before.selections) != key(before.policy, 0);
        let ModelElement { key, sequence, round, passed, .. } = before;
        pool.elements.insert(new.pe, ModelElement { key, sequence, round, passed, ..fresh });
        if before.policy != new.policy || is_reset {
            pool.place_changed(new.pe, before.policy);
        }
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
        if pool.elements.is_empty() {
            self.pools.remove(handle);
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
