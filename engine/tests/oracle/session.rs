//! Operations on the engine and on the model, and the comparison of all that
//! either says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rserpool_engine::{
    AssociationId, Caller, ChannelUse, Config, Due, ElementKey, Handlespace, PeId, Policy,
    PolicyKind, RegistrarId, Registration, RegistrationLife, Resolution, SelectionKey,
    SelectionMode, Stats, TableCursor, Timestamp, TransportKind, ZoneId,
};

use super::model::{Asked, Fairness, Model, Watch, folded, handle};

/// One operation. All numbers are reduced to what there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Register {
        pool: u16,
        pe: u16,
        home: u16,
        association: u16,
        life: u16,
        values: [u16; 4],
        record: u16,
    },
    /// As the latest registration of this element was.
    Renew {
        pool: u16,
        pe: u16,
    },
    Refused {
        pool: u16,
        pe: u16,
        how: u16,
    },
    Remove {
        pool: u16,
        pe: u16,
    },
    Resolve {
        pool: u16,
        items: u16,
        key: u16,
        zone: u16,
    },
    SelectBy {
        pool: u16,
        mode: u16,
        value: u16,
    },
    PlaceInZone {
        pool: u16,
        pe: u16,
        zone: u16,
    },
    Report {
        pool: u16,
        pe: u16,
    },
    Probe {
        pool: u16,
        pe: u16,
    },
    Acknowledge {
        pool: u16,
        pe: u16,
    },
    SetHome {
        pool: u16,
        pe: u16,
        home: u16,
    },
    TakeOver {
        home: u16,
        batch: u16,
    },
    CloseAssociation {
        association: u16,
    },
    Page {
        home: u16,
        limit: u16,
    },
    Advance {
        by: u16,
    },
}

impl From<[u16; 10]> for Op {
    fn from(n: [u16; 10]) -> Self {
        let [what, pool, pe, home, association, life, a, b, record, c] = n;
        match what % 72 {
            0..=19 => Self::Register {
                pool,
                pe,
                home,
                association,
                life,
                values: [a, b, c, a ^ c],
                record,
            },
            20..=24 => Self::Renew { pool, pe },
            25 => Self::Refused { pool, pe, how: a },
            26..=30 => Self::Remove { pool, pe },
            31..=45 => Self::Resolve { pool, items: a, key: b, zone: c },
            46 => Self::Report { pool, pe },
            47 => Self::Probe { pool, pe },
            48..=50 => Self::Acknowledge { pool, pe },
            51 => Self::SetHome { pool, pe, home },
            52 => Self::TakeOver { home, batch: a },
            53 => Self::CloseAssociation { association },
            54..=56 => Self::Page { home, limit: a },
            57..=60 => Self::PlaceInZone { pool, pe, zone: b },
            61..=63 => Self::SelectBy { pool, mode: a, value: b },
            _ => Self::Advance { by: a },
        }
    }
}

/// How large the handlespace of a session gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) pools: u16,
    pub(crate) pes: u16,
    pub(crate) elements_max: u32,
    pub(crate) max_increment: u32,
}

/// A handle-table download under way.
struct Download {
    cursor: TableCursor,
    home: Option<RegistrarId>,
    /// What was there at the beginning and still is.
    steady: BTreeSet<ElementKey>,
    given: BTreeSet<ElementKey>,
}

pub(crate) struct Session {
    size: Size,
    engine: Handlespace,
    model: Model,
    now: u64,
    resolution: Resolution,
    page: Vec<ElementKey>,
    download: Option<Download>,
    removed: Vec<ElementKey>,
    /// Whether what was drawn was as likely as it ought to be.
    pub(crate) fairness: Fairness,
    /// Elements in the answers of all selections.
    pub(crate) selected: u64,
    /// Whether to compare everything after each operation.
    pub(crate) is_thorough: bool,
}

const HOMES: u32 = 4;
const ASSOCIATIONS: u64 = 5;

impl Session {
    pub(crate) fn new(size: Size, seed: u64) -> Self {
        let config = Config {
            registrar: RegistrarId::new(1),
            seed,
            pools_max: u32::from(size.pools) - 1,
            elements_max: size.elements_max,
            elements_per_pool_max: u32::from(size.pes) - 1,
            handle_bytes_max: 100,
            record_bytes_max: 300,
            max_increment: size.max_increment,
            bad_reports_max: 3,
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_timeout: Duration::from_secs(2),
        };
        Self {
            size,
            engine: Handlespace::new(config.clone()),
            model: Model::new(config),
            now: 1_000_000,
            resolution: Resolution::default(),
            page: Vec::new(),
            download: None,
            removed: Vec::new(),
            fairness: Fairness::new(seed),
            selected: 0,
            is_thorough: true,
        }
    }

    /// The handle of a pool, of many lengths; its policy is of the kind of its
    /// number.
    fn pool(&self, pool: u16) -> (Vec<u8>, PolicyKind) {
        let pool = usize::from(pool % self.size.pools);
        let text = format!("pool {pool} ").repeat(1 + pool % 7);
        (text.into_bytes(), PolicyKind::ALL[pool % PolicyKind::ALL.len()])
    }

    fn pe(&self, pe: u16) -> PeId {
        PeId::new(u32::from(pe % self.size.pes) + 1)
    }

    fn home(home: u16) -> RegistrarId {
        // Half of all are ours.
        RegistrarId::new(if home.is_multiple_of(2) { 1 } else { u32::from(home) % HOMES + 1 })
    }

    fn known(&self, pool: u16, pe: u16) -> Option<(Vec<u8>, PeId, ElementKey)> {
        let (name, pe) = (self.pool(pool).0, self.pe(pe));
        let key = self.model.pools.get(&name)?.elements.get(&pe)?.key;
        Some((name, pe, key))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    /// Does an operation on both sides and compares.
    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Register { pool, pe, home, association, life, values, record } => {
                let (name, kind) = self.pool(pool);
                let record = vec![(record % 7) as u8; usize::from(record % 301)];
                let association = u64::from(association) % (ASSOCIATIONS + 1);
                let life = match life % 8 {
                    0 => RegistrationLife::Infinite,
                    7 => RegistrationLife::For(Duration::from_secs(1 << (life % 31))),
                    _ => RegistrationLife::For(Duration::from_millis(u64::from(life) * 10)),
                };
                let new = Registration {
                    handle: handle(&name),
                    pe: self.pe(pe),
                    home: Self::home(home),
                    association: (association > 0).then_some(AssociationId(association)),
                    life,
                    policy: policy(kind, values),
                    transport: TransportKind::Sctp,
                    channel_use: ChannelUse::Data,
                    record: &record,
                };
                self.register(&new);
            }
            Op::Renew { pool, pe } => self.renew(pool, pe),
            Op::Refused { pool, pe, how } => self.refused(pool, pe, how),
            Op::Remove { pool, pe } => {
                if let Some((name, pe, key)) = self.known(pool, pe) {
                    self.remove(&name, pe, key);
                }
            }
            Op::Resolve { pool, items, key, zone } => self.resolve(pool, items, key, zone),
            Op::SelectBy { pool, mode, value } => self.select_by(pool, mode, value),
            Op::PlaceInZone { pool, pe, zone } => self.place_in_zone(pool, pe, zone),
            Op::Report { pool, pe } => {
                if let Some((name, pe, key)) = self.known(pool, pe) {
                    let expected = self.model.report(&name, pe);
                    assert_eq!(self.engine.report_unreachable(key), Some(expected));
                }
            }
            Op::Probe { pool, pe } => {
                if let Some((name, pe, key)) = self.known(pool, pe) {
                    self.model.probe(self.now, &name, pe);
                    self.engine.probe(self.now(), key);
                }
            }
            Op::Acknowledge { pool, pe } => {
                if let Some((name, pe, key)) = self.known(pool, pe) {
                    self.model.acked(self.now, &name, pe);
                    assert!(self.engine.keep_alive_acked(self.now(), key));
                }
            }
            Op::SetHome { pool, pe, home } => {
                if let Some((name, pe, key)) = self.known(pool, pe) {
                    self.model.set_home(self.now, &name, pe, Self::home(home));
                    assert!(self.engine.set_home(self.now(), key, Self::home(home)));
                }
            }
            Op::TakeOver { home, batch } => self.take_over(home, batch),
            Op::CloseAssociation { association } => self.close_association(association),
            Op::Page { home, limit } => self.page(home, limit),
            Op::Advance { by } => self.advance(by),
        }
        // Whose home changes meanwhile is not there all along.
        if let Some(Download { home: Some(home), steady, .. }) = &mut self.download {
            steady.retain(|&key| self.engine.get(key).is_some_and(|it| it.home() == *home));
        }
        self.assert_next_deadline();
        if self.is_thorough {
            self.assert_equal();
        }
    }

    fn register(&mut self, new: &Registration<'_>) {
        let expected = self.model.register(self.now, new);
        let got = self.engine.register(self.now(), new);
        let outcome = got.map(|it| (it.outcome, it.previous_home));
        assert_eq!(outcome, expected, "{new:?}");
        if let Ok(registered) = got {
            let element = self.model.element_mut(new.handle.as_bytes(), new.pe).unwrap();
            if element.key != ElementKey::default() {
                assert_eq!(element.key, registered.key, "the key stays");
            }
            element.key = registered.key;
        }
    }

    fn renew(&mut self, pool: u16, pe: u16) {
        let Some((name, pe, _)) = self.known(pool, pe) else { return };
        let element = self.model.element_mut(&name, pe).unwrap().clone();
        let new = Registration {
            handle: handle(&name),
            pe,
            home: element.home,
            association: element.association.map(AssociationId),
            life: element.life,
            policy: element.policy,
            transport: TransportKind::Sctp,
            channel_use: ChannelUse::Data,
            record: &element.record,
        };
        self.register(&new);
    }

    fn refused(&mut self, pool: u16, pe: u16, how: u16) {
        let (name, kind) = self.pool(pool);
        let long = [7; 101];
        let record = [7; 301];
        let mut new = Registration {
            handle: handle(&name),
            pe: self.pe(pe),
            home: RegistrarId::new(1),
            association: None,
            life: RegistrationLife::Infinite,
            policy: policy(kind, [1; 4]),
            transport: TransportKind::Sctp,
            channel_use: ChannelUse::Data,
            record: &[],
        };
        match how % 8 {
            0 => new.handle = handle(&[]),
            1 => new.handle = handle(&long),
            2 => new.pe = PeId::new(0),
            3 => new.home = RegistrarId::new(0),
            4 => new.record = &record,
            // These three make a pool with other properties, if it is not there.
            5 => new.policy = policy(PolicyKind::ALL[usize::from(how / 8) % 18], [2; 4]),
            6 => new.transport = TransportKind::Udp,
            _ => new.channel_use = ChannelUse::DataAndControl,
        }
        self.register(&new);
    }

    fn remove(&mut self, name: &[u8], pe: PeId, key: ElementKey) {
        self.model.remove(name, pe);
        assert!(self.engine.remove(key));
        assert!(!self.engine.remove(key), "only once");
        if let Some(download) = &mut self.download {
            download.steady.remove(&key);
        }
        if self.removed.len() > 100 {
            self.removed.swap_remove(usize::try_from(self.now % 100).unwrap());
        }
        self.removed.push(key);
    }

    fn resolve(&mut self, pool: u16, items: u16, key: u16, zone: u16) {
        let (name, _) = self.pool(pool);
        let items = if items.is_multiple_of(5) { items / 5 } else { items % 12 };
        let (now, into) = (self.now(), &mut self.resolution);
        let caller = Caller {
            key: (!key.is_multiple_of(4)).then_some(SelectionKey(key.into())),
            zone: Self::zone(zone),
        };
        let got = if caller == Caller::default() {
            self.engine.resolve(now, handle(&name), items.into(), into)
        } else {
            self.engine.resolve_for(now, handle(&name), items.into(), caller, into)
        };
        let Some(model) = self.model.pools.get_mut(&name) else {
            assert!(got.is_err(), "the pool is unknown");
            return;
        };
        got.unwrap();
        let pes: Vec<PeId> = self
            .resolution
            .elements
            .iter()
            .map(|&key| {
                let element = self.engine.get(key).unwrap();
                assert_eq!(element.handle().as_bytes(), name, "of this pool");
                element.pe()
            })
            .collect();
        let asked = Asked {
            now: self.now,
            caller,
            items: items.into(),
            advance: usize::try_from(self.size.max_increment).unwrap(),
            given: &pes,
        };
        model.select(&asked, &mut self.fairness);
        self.selected += pes.len() as u64;
    }

    fn zone(zone: u16) -> Option<ZoneId> {
        (!zone.is_multiple_of(4)).then_some(ZoneId(u32::from(zone % 7) << 20))
    }

    fn select_by(&mut self, pool: u16, mode: u16, value: u16) {
        let (name, _) = self.pool(pool);
        let mode = match mode % 6 {
            0 => SelectionMode::ByPolicy,
            1 => SelectionMode::TwoChoices,
            2 => SelectionMode::ConsistentHash { seed: value.into() },
            3 => SelectionMode::ZoneFirst,
            _ => {
                SelectionMode::SlowStart { ramp: Duration::from_millis(u64::from(value % 8) * 700) }
            }
        };
        let pool = self.engine.pool(handle(&name));
        let order: Vec<PeId> =
            pool.map_or_else(Vec::new, |pool| pool.elements().map(|it| it.pe()).collect());
        let expected = self.model.select_by(&name, mode, &order);
        assert_eq!(self.engine.select_by(handle(&name), mode), expected);
    }

    fn place_in_zone(&mut self, pool: u16, pe: u16, zone: u16) {
        let Some((name, pe, key)) = self.known(pool, pe) else { return };
        self.model.place_in_zone(&name, pe, Self::zone(zone));
        assert!(self.engine.place_in_zone(key, Self::zone(zone)));
    }

    fn take_over(&mut self, home: u16, batch: u16) {
        let (from, batch) = (Self::home(home), usize::from(batch % 9));
        let there = self.model.elements().filter(|(_, _, it)| it.home == from).count();
        let expected = if from == RegistrarId::new(1) { 0 } else { there.min(batch) };
        assert_eq!(self.engine.take_over(self.now(), from, batch), expected);
        // Which ones is the engine's choice.
        let changed: Vec<(Vec<u8>, PeId)> = self
            .model
            .elements()
            .filter(|(_, _, it)| it.home != self.engine.get(it.key).unwrap().home())
            .map(|(name, pe, _)| (name.to_vec(), pe))
            .collect();
        assert_eq!(changed.len(), expected);
        for (name, pe) in changed {
            self.model.set_home(self.now, &name, pe, RegistrarId::new(1));
        }
    }

    fn close_association(&mut self, association: u16) {
        let association = u64::from(association) % ASSOCIATIONS + 1;
        let of_it = |model: &Model| {
            model.elements().filter(|(_, _, it)| it.association == Some(association)).count()
        };
        let mut left = of_it(&self.model);
        while let Some(key) = self.engine.first_of_association(AssociationId(association)) {
            let (name, pe) = self.model.name_of(key).expect("it is there");
            self.remove(&name, pe, key);
            left -= 1;
            assert_eq!(left, of_it(&self.model));
        }
        assert_eq!(left, 0);
    }

    fn page(&mut self, home: u16, limit: u16) {
        if self.download.is_none() {
            let home = (!home.is_multiple_of(3)).then_some(Self::home(home));
            let there =
                self.model.elements().filter(|(_, _, it)| home.is_none_or(|h| h == it.home));
            let steady = there.map(|(_, _, it)| it.key).collect();
            let cursor = TableCursor::default();
            self.download = Some(Download { cursor, home, steady, given: BTreeSet::new() });
        }
        let Some(download) = &mut self.download else { unreachable!() };
        let limit = usize::from(limit % 40) + 1;
        let (cursor, home) = (&mut download.cursor, download.home);
        let more = self.engine.handle_table(cursor, home, limit, &mut self.page);
        assert!(self.page.len() <= limit);
        let mut handles = Vec::new();
        for &key in &self.page {
            assert!(download.given.insert(key), "no element twice");
            let element = self.engine.get(key).unwrap();
            assert!(home.is_none_or(|home| home == element.home()));
            handles.push(element.handle());
        }
        handles.dedup();
        let pages = handles.len();
        handles.sort_unstable();
        handles.dedup();
        assert_eq!(handles.len(), pages, "grouped by pool");
        if !more {
            let missing = download.steady.difference(&download.given).count();
            assert_eq!(missing, 0, "all that was there is given");
            self.download = None;
        }
    }

    fn advance(&mut self, by: u16) {
        let by = u64::from(by);
        self.now += match by % 16 {
            0..=9 => by * 3,
            10..=12 => by * 500,
            13 | 14 => by * 20_000,
            _ => by * 2_000_000,
        };
        let mut calls = 0;
        loop {
            calls += 1;
            assert!(calls < 100_000, "polling ends");
            match self.engine.poll_due(self.now()) {
                Some(due) => self.due(due),
                None => match self.engine.next_deadline() {
                    Some(next) if next <= self.now() => {}
                    _ => break,
                },
            }
        }
        let overdue = self.model.next_certain().filter(|&at| at <= self.now);
        assert_eq!(overdue, None, "all that is due was given");
    }

    fn due(&mut self, due: Due) {
        let (Due::KeepAlive(key) | Due::Silent(key) | Due::Expired(key)) = due;
        let (name, pe) = self.model.name_of(key).expect("it is there");
        let now = self.now;
        let element = self.model.element_mut(&name, pe).unwrap();
        let is_over = element.life_end.is_some_and(|end| end <= now);
        match due {
            Due::Expired(_) => assert!(is_over, "{element:?} at {now}"),
            Due::KeepAlive(_) => match element.watch {
                Watch::Send { earliest, .. } if earliest <= now && !is_over => {
                    self.model.sent(now, &name, pe);
                    return;
                }
                _ => panic!("no keep-alive is due: {element:?} at {now}"),
            },
            Due::Silent(_) => {
                let is_silent = matches!(element.watch, Watch::Await { until } if until <= now);
                assert!(is_silent && !is_over, "{element:?} at {now}");
            }
        }
        self.remove(&name, pe, key);
    }

    fn assert_next_deadline(&self) {
        let next = self.engine.next_deadline().map(Timestamp::as_micros);
        if let Some(certain) = self.model.next_certain() {
            assert!(next.is_some_and(|next| next <= certain.max(self.now)), "{next:?} {certain}");
        }
    }

    /// Compares everything that can be seen, and checks the engine's inside.
    pub(crate) fn assert_equal(&self) {
        self.engine.assert_invariants();
        let mut own = 0;
        let mut homes = BTreeMap::new();
        let mut associations = BTreeMap::new();
        for (name, pe, expected) in self.model.elements() {
            let key = self.engine.find(handle(name), pe);
            assert_eq!(key, Some(expected.key));
            let got = self.engine.get(expected.key).unwrap();
            assert_eq!((got.handle().as_bytes(), got.pe()), (name, pe));
            assert_eq!(got.home(), expected.home);
            assert_eq!(got.association().map(|it| it.0), expected.association);
            assert_eq!(got.life(), expected.life);
            assert_eq!(got.expires().map(Timestamp::as_micros), expected.life_end);
            assert_eq!(got.policy(), expected.policy);
            assert_eq!(got.record(), expected.record);
            assert_eq!(got.reports(), expected.reports);
            assert_eq!(got.zone(), expected.zone);
            assert_eq!(got.is_awaited(), matches!(expected.watch, Watch::Await { .. }));
            own += u32::from(expected.home == RegistrarId::new(1));
            *homes.entry(expected.home).or_insert(0) += 1;
            if let Some(association) = expected.association {
                *associations.entry(association).or_insert(0) += 1;
            }
        }
        let count = |len: usize| u32::try_from(len).unwrap();
        let stats = Stats {
            pools: count(self.model.pools.len()),
            elements: count(self.model.len()),
            own_elements: own,
            associations: count(associations.len()),
            homes: count(homes.len()),
        };
        assert_eq!(self.engine.stats(), stats);
        for home in (1..=HOMES).map(RegistrarId::new) {
            assert_eq!(folded(self.engine.checksum(home)), self.model.checksum(home));
            assert_eq!(self.engine.first_of_home(home).is_some(), homes.contains_key(&home));
        }
        for association in 1..=ASSOCIATIONS {
            let first = self.engine.first_of_association(AssociationId(association));
            assert_eq!(first.is_some(), associations.contains_key(&association));
        }
        assert_eq!(self.engine.pools().count(), self.model.pools.len());
        for pool in self.engine.pools() {
            let expected = &self.model.pools[pool.handle().as_bytes()];
            assert_eq!(pool.policy(), expected.first);
            assert_eq!(pool.selection_mode(), expected.mode);
            assert_eq!(pool.len() as usize, expected.elements.len());
            assert_eq!(pool.elements().count(), expected.elements.len());
        }
        for &key in &self.removed {
            assert!(self.engine.get(key).is_none(), "a removed element stays removed");
        }
    }
}

/// A policy of a kind with values of which some are often equal, some extreme.
fn policy(kind: PolicyKind, values: [u16; 4]) -> Policy {
    let [a, b, c, d] = values.map(|n| match n % 4 {
        0 => u32::from(n / 4 % 4),
        1 => u32::from(n) << 8,
        2 => u32::MAX - u32::from(n % 3),
        _ => u32::from(n) << 16,
    });
    match kind {
        PolicyKind::RoundRobin => Policy::RoundRobin,
        PolicyKind::WeightedRoundRobin => Policy::WeightedRoundRobin { weight: a },
        PolicyKind::Random => Policy::Random,
        PolicyKind::WeightedRandom => Policy::WeightedRandom { weight: a },
        PolicyKind::Priority => Policy::Priority { priority: a },
        PolicyKind::LeastUsed => Policy::LeastUsed { load: a },
        PolicyKind::LeastUsedDegradation => {
            Policy::LeastUsedDegradation { load: a, degradation: b }
        }
        PolicyKind::PriorityLeastUsed => Policy::PriorityLeastUsed { load: a, degradation: b },
        PolicyKind::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load: a },
        PolicyKind::RandomizedPriorityLeastUsed => {
            Policy::RandomizedPriorityLeastUsed { load: a, degradation: b }
        }
        PolicyKind::RandomizedLeastUsedDegradation => {
            Policy::RandomizedLeastUsedDegradation { load: a, degradation: b }
        }
        PolicyKind::PriorityLeastUsedDegradation => {
            Policy::PriorityLeastUsedDegradation { load: a, degradation: b }
        }
        PolicyKind::RandomizedPriorityLeastUsedDegradation => {
            Policy::RandomizedPriorityLeastUsedDegradation { load: a, degradation: b }
        }
        PolicyKind::WeightedRandomDpf => {
            Policy::WeightedRandomDpf { weight: a, dpf: c, distance: d }
        }
        PolicyKind::LeastUsedDpf => Policy::LeastUsedDpf { load: a, dpf: c, distance: d },
        PolicyKind::LeastUsedDegradationDpf => {
            Policy::LeastUsedDegradationDpf { load: a, degradation: b, dpf: c, distance: d }
        }
        PolicyKind::PriorityLeastUsedDpf => {
            Policy::PriorityLeastUsedDpf { load: a, degradation: b, dpf: c, distance: d }
        }
        PolicyKind::PriorityLeastUsedDegradationDpf => {
            Policy::PriorityLeastUsedDegradationDpf { load: a, degradation: b, dpf: c, distance: d }
        }
    }
}
