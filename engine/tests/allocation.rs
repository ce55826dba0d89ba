//! In the steady state no call of the engine allocates, whatever the policy:
//! what was given back is used again.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use rserpool_engine::{
    AssociationId, ChannelUse, Config, Due, ElementKey, Handlespace, PeId, Policy, PolicyKind,
    PolicyParameters, PoolHandle, Question, RegistrarId, Registration, RegistrationLife,
    Resolution, TableCursor, Timestamp, TransportKind,
};

const OWN: RegistrarId = RegistrarId::new(1);
const PEER: RegistrarId = RegistrarId::new(2);
const POOLS: u32 = 12;
const ELEMENTS: u32 = 150;

const HANDLES: [&[u8]; POOLS as usize] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"f",
    b"g",
    b"h",
    b"i",
    b"j",
    b"k",
    b"a pool handle that is too long for the record of its pool",
];

fn policy(kind: PolicyKind, value: u32) -> Policy {
    let (weight, load, priority) = (1 + value % 100, value << 20, value);
    let (degradation, dpf, distance) = (1 << 16, 1 << 16, value % 100);
    kind.with(PolicyParameters { weight, load, priority, degradation, dpf, distance })
}

/// A handlespace, and buffers that are used again.
struct Steady {
    kind: PolicyKind,
    space: Handlespace,
    now: Timestamp,
    answer: Resolution,
    page: Vec<ElementKey>,
}

impl Steady {
    fn new(kind: PolicyKind) -> Self {
        let config = Config { registrar: OWN, seed: 3, ..Config::default() };
        Self {
            kind,
            space: Handlespace::new(config),
            now: Timestamp::from_micros(1),
            answer: Resolution::default(),
            page: Vec::with_capacity((POOLS * ELEMENTS) as usize),
        }
    }

    /// Element 0 has the smallest record, element 99 one that is stored apart.
    fn registration(&self, pool: u32, pe: u32, version: u32) -> Registration<'static> {
        Registration {
            handle: PoolHandle::new(HANDLES[pool as usize]),
            pe: PeId::new(pe + 1),
            home: OWN,
            association: Some(AssociationId(u64::from((pe + version) % 30))),
            life: RegistrationLife::For(Duration::from_secs(40)),
            policy: policy(self.kind, pe * 7919 + version),
            transport: TransportKind::Tcp,
            channel_use: ChannelUse::Data,
            record: &[7; 100][..(pe % 100) as usize],
        }
    }

    fn register(&mut self, pool: u32, pe: u32, version: u32) -> ElementKey {
        let new = self.registration(pool, pe, version);
        self.space.register(self.now, &new).expect("there is room").key
    }

    /// What a registrar does: everything once for some elements, and some pools
    /// go and come again.
    fn round(&mut self, round: u32) {
        self.now = self.now.after(Duration::from_secs(2));
        for pool in 0..POOLS {
            let handle = PoolHandle::new(HANDLES[pool as usize]);
            for pe in 0..ELEMENTS {
                self.register(pool, pe, 0);
                let key = self.register(pool, pe, 1 + round % 2);
                assert_eq!(self.space.find(handle, PeId::new(pe + 1)), Some(key));
                if pe % 3 == 0 || pool % 4 == 0 {
                    assert!(self.space.remove(key));
                }
            }
            for items in [1, 3, 10] {
                let resolved = self.space.resolve(self.now, handle, items, &mut self.answer);
                assert_eq!(resolved.is_ok(), pool % 4 != 0);
            }
        }
        self.batches();
        while self.space.next_deadline().is_some_and(|at| at <= self.now) {
            match self.space.poll_due(self.now) {
                Some(Due::KeepAlive(key)) => {
                    assert!(self.space.keep_alive_acked(self.now, key));
                }
                Some(Due::Silent(key) | Due::Expired(key)) => {
                    self.space.remove(key);
                }
                None => {}
            }
        }
        let mut cursor = TableCursor::default();
        while self.space.handle_table(&mut cursor, Some(OWN), 64, &mut self.page) {
            for &key in self.page.iter().step_by(5) {
                assert!(self.space.set_home(self.now, key, PEER));
            }
        }
        while self.space.take_over(self.now, PEER, 10) == 10 {}
    }

    fn batches(&mut self) {
        let mut registrations = [self.registration(0, 0, 0); 70];
        let mut names = [(registrations[0].handle, registrations[0].pe); 70];
        let mut questions = [Question::new(registrations[0].handle, 3); 70];
        for (at, number) in (0..70).zip(0_usize..) {
            registrations[number] = self.registration(at % POOLS, at, 1);
            names[number] = (registrations[number].handle, registrations[number].pe);
            questions[number].handle = registrations[number].handle;
        }
        self.space.register_many(self.now, &registrations, |_, result| assert!(result.is_ok()));
        self.space.touch_many(self.now, &names, |_, key| assert!(key.is_some()));
        self.space.resolve_many(self.now, &questions, &mut self.answer, |_, answer| {
            assert!(answer.is_ok_and(|answer| answer.elements.len() <= 3));
        });
        for (handle, pe) in names {
            let key = self.space.find(handle, pe).expect("it was registered just now");
            self.space.report_unreachable(key);
            if HANDLES.iter().step_by(4).any(|&it| it == handle.as_bytes()) {
                self.space.remove(key);
            }
        }
    }
}

#[test]
fn the_steady_state_of_every_family_of_policies_does_not_allocate() {
    for kind in PolicyKind::ALL {
        let mut steady = Steady::new(kind);
        for round in 0..8 {
            steady.round(round);
        }
        let allocated = allocation_counter::measure(|| {
            for round in 8..12 {
                steady.round(round);
            }
        });
        assert_eq!(allocated.count_total, 0, "{kind:?}: {allocated:?}");
        steady.space.assert_invariants();
    }
}
