//! Batch calls do what single calls do one after the other.

use std::time::Duration;

use proptest::prelude::*;
use rserpool_engine::{
    AssociationId, ChannelUse, Config, ElementKey, Handlespace, PeId, Policy, PolicyKind,
    PolicyParameters, PoolHandle, Question, RegisterError, Registered, RegistrarId, Registration,
    RegistrationLife, Resolution, TableCursor, Timestamp, TransportKind, UnknownPool,
};

const POOLS: u16 = 24;
const OWN: RegistrarId = RegistrarId::new(1);

/// The handle of a pool; long ones are stored apart, one is too long.
fn handle(pool: u16) -> Vec<u8> {
    let pool = pool % POOLS;
    let name = format!("pool {pool}").into_bytes();
    match pool % 12 {
        5 => name.repeat(6),
        11 => name.repeat(60),
        _ => name,
    }
}

/// One policy a pool; parameters from `value`, weight 0 among them.
fn policy(pool: u16, value: u32) -> Policy {
    let kind = PolicyKind::ALL[usize::from(pool % POOLS) % PolicyKind::ALL.len()];
    let (weight, load, priority) = (value % 5, value << 20, value);
    let (degradation, dpf, distance) = (value << 10, value << 8, value % 100);
    kind.with(PolicyParameters { weight, load, priority, degradation, dpf, distance })
}

/// A registration, from five numbers.
#[derive(Clone, Debug)]
struct Draft {
    handle: Vec<u8>,
    pool: u16,
    pe: u32,
    value: u32,
    home: u32,
    record: Vec<u8>,
}

impl Draft {
    fn new(&[pool, pe, value, home, record]: &[u16; 5]) -> Self {
        Self {
            handle: handle(pool),
            pool,
            // 0 is refused.
            pe: u32::from(pe % 12),
            value: value.into(),
            home: 1 + u32::from(home % 4 == 0),
            record: vec![1; usize::from(record % 100)],
        }
    }

    fn registration(&self) -> Registration<'_> {
        let home = RegistrarId::new(self.home);
        Registration {
            handle: PoolHandle::new(&self.handle),
            pe: PeId::new(self.pe),
            home,
            association: (home == OWN).then_some(AssociationId(u64::from(self.value % 7))),
            life: RegistrationLife::For(Duration::from_secs(30)),
            policy: policy(self.pool, self.value),
            transport: if self.value == 13 { TransportKind::Udp } else { TransportKind::Tcp },
            channel_use: ChannelUse::Data,
            record: &self.record,
        }
    }
}

fn space(seed: u64) -> Handlespace {
    let elements_max = 150;
    Handlespace::new(Config {
        registrar: OWN,
        seed,
        elements_max,
        handle_bytes_max: 300,
        ..Config::default()
    })
}

/// Everything there is to see of a handlespace.
fn seen(space: &Handlespace) -> Vec<String> {
    let (mut cursor, mut page) = (TableCursor::default(), Vec::new());
    assert!(!space.handle_table(&mut cursor, None, usize::MAX / 2, &mut page), "one page");
    let elements = page.iter().filter_map(|&key| space.get(key));
    let mut seen: Vec<String> = elements
        .map(|it| format!("{it:?} {:?} {:?} {:?}", it.key(), it.expires(), it.record()))
        .collect();
    seen.push(format!("{:?} {:?}", space.stats(), space.next_deadline()));
    seen
}

type Answer = Result<Vec<ElementKey>, UnknownPool>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_of_each_kind_equals_single_calls(
        seed: u64,
        drafts in prop::collection::vec(any::<[u16; 5]>(), 1..250),
        questions in prop::collection::vec((any::<u16>(), 0_u32..12), 0..100),
        touched in prop::collection::vec((any::<u16>(), 0_u32..12), 0..100),
    ) {
        let (mut one_by_one, mut batched) = (space(seed), space(seed));
        let drafts: Vec<Draft> = drafts.iter().map(Draft::new).collect();
        let registrations: Vec<Registration<'_>> = drafts.iter().map(Draft::registration).collect();
        let now = Timestamp::from_micros(77);

        let expected: Vec<Result<Registered, RegisterError>> =
            registrations.iter().map(|new| one_by_one.register(now, new)).collect();
        let mut got = Vec::new();
        batched.register_many(now, &registrations, |number, result| {
            assert_eq!(number, got.len(), "in their order");
            got.push(result);
        });
        prop_assert_eq!(got, expected);
        prop_assert_eq!(seen(&batched), seen(&one_by_one));

        let handles: Vec<Vec<u8>> = questions.iter().map(|&(pool, _)| handle(pool)).collect();
        let asked: Vec<Question<'_>> = handles
            .iter()
            .zip(&questions)
            .map(|(handle, &(_, items))| Question::new(PoolHandle::new(handle), items))
            .collect();
        let mut into = Resolution::default();
        let expected: Vec<Answer> = asked
            .iter()
            .map(|it| {
                one_by_one.resolve(now, it.handle, it.items, &mut into)?;
                Ok(into.elements.to_vec())
            })
            .collect();
        let mut got: Vec<Answer> = Vec::new();
        batched.resolve_many(now, &asked, &mut into, |number, answer| {
            assert_eq!(number, got.len(), "in their order");
            got.push(answer.map(|answer| answer.elements.to_vec()));
        });
        prop_assert_eq!(got, expected);

        let now = Timestamp::from_micros(10_000_000);
        for space in [&mut one_by_one, &mut batched] {
            // Some keep-alives are under way.
            for _ in 0..20 {
                space.poll_due(now);
            }
        }
        let handles: Vec<Vec<u8>> = touched.iter().map(|&(pool, _)| handle(pool)).collect();
        let names: Vec<(PoolHandle<'_>, PeId)> = handles
            .iter()
            .zip(&touched)
            .map(|(handle, &(_, pe))| (PoolHandle::new(handle), PeId::new(pe)))
            .collect();
        let expected: Vec<Option<ElementKey>> = names
            .iter()
            .map(|&(handle, pe)| {
                let key = one_by_one.find(handle, pe)?;
                one_by_one.keep_alive_acked(now, key).then_some(key)
            })
            .collect();
        let mut got = Vec::new();
        batched.touch_many(now, &names, |number, key| {
            assert_eq!(number, got.len(), "in their order");
            got.push(key);
        });
        prop_assert_eq!(got, expected);
        prop_assert_eq!(seen(&batched), seen(&one_by_one));
        batched.assert_invariants();
        one_by_one.assert_invariants();
    }
}
