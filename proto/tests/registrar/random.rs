//! Random messages, whole and broken, over two shards and a mesh that takes
//! its time: nothing panics, every request gets its one answer in order, and
//! the handlespace holds what it should.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use rserpool_codec::asap::{Message, peek_element};
use rserpool_codec::{Element, Fault, LengthForm, Reply};
use rserpool_engine::{AssociationId, Policy, RegistrationLife, TableCursor};

use crate::wired::{
    Registrar, ack, deregistration, element, pool, registration, report, resolution,
};

const POOLS: [&str; 4] = ["a", "bb", "ccccc", "EchoPool"];
const ELEMENTS_MAX: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Open { shard: u16 },
    Close { which: usize },
    Say { which: usize, bytes: Vec<u8> },
    Deliver { from: u16 },
    Settle,
    Pass { millis: u64 },
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let parts = (0..9_u8, 0..POOLS.len(), 0..5_u32, any::<bool>());
    parts.prop_map(|(kind, name, pe, rfc)| {
        let name = POOLS[name];
        let message = match kind {
            0 | 1 => registration(name, pe + 1),
            2 => {
                let policy = Policy::LeastUsed { load: pe };
                let element = Element { policy, life: 2, ..element(pe + 1) };
                Message::Registration { handle: pool(name), element }
            }
            3 => deregistration(name, pe + 1),
            4 => resolution(name, (pe > 0).then_some(pe)),
            5 => Message::HandleResolution { handle: pool(name), subscribe: true, items: None },
            6 => ack(name, pe + 1),
            7 => report(name, pe + 1),
            _ => Message::Cookie { cookie: b"none" },
        };
        let mut bytes = Vec::new();
        let form = if rfc { LengthForm::Rfc } else { LengthForm::Padded };
        message.emit(&mut bytes, form).expect("it fits");
        bytes
    })
}

/// A message with some bytes changed, left out, or inserted.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (message(), prop::collection::vec(edit, 1..4)).prop_map(|(mut bytes, edits)| {
        for (at, value, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = value,
                1 => bytes.truncate(at),
                _ => bytes.insert(at, value),
            }
        }
        bytes
    })
}

fn step() -> impl Strategy<Value = Step> {
    let say = |bytes: BoxedStrategy<Vec<u8>>| {
        (0..6_usize, bytes).prop_map(|(which, bytes)| Step::Say { which, bytes })
    };
    prop_oneof![
        2 => (0..2_u16).prop_map(|shard| Step::Open { shard }),
        1 => (0..6_usize).prop_map(|which| Step::Close { which }),
        20 => say(message().boxed()),
        6 => say(broken().boxed()),
        1 => say(prop::collection::vec(any::<u8>(), 0..40).boxed()),
        8 => (0..2_u16).prop_map(|from| Step::Deliver { from }),
        1 => Just(Step::Settle),
        2 => (0..4_000_u64).prop_map(|millis| Step::Pass { millis }),
    ]
}

/// The response a message must get: its type, pool handle and PE identifier.
type Response = (u8, Vec<u8>, u32);

fn expected(bytes: &[u8]) -> Option<Response> {
    match Message::parse(bytes) {
        Ok(Message::Registration { handle, element }) => {
            Some((3, handle.as_bytes().to_vec(), element.pe.get()))
        }
        Ok(Message::Deregistration { handle, pe }) => {
            Some((4, handle.as_bytes().to_vec(), pe.get()))
        }
        Ok(Message::HandleResolution { handle, .. }) => Some((6, handle.as_bytes().to_vec(), 0)),
        Err(error)
            if error.reply == Reply::Report
                && error.fault == Fault::Value
                && bytes.first() == Some(&1) =>
        {
            let (handle, pe) = peek_element(bytes)?;
            Some((3, handle.as_bytes().to_vec(), pe.get()))
        }
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others answer nothing")]
fn response(bytes: &[u8]) -> Option<Response> {
    match Message::parse(bytes).expect("a registrar's messages can be read") {
        Message::RegistrationResponse { handle, pe, .. } => {
            Some((3, handle.as_bytes().to_vec(), pe.get()))
        }
        Message::DeregistrationResponse { handle, pe, .. } => {
            Some((4, handle.as_bytes().to_vec(), pe.get()))
        }
        Message::HandleResolutionResponse { handle, .. } => {
            Some((6, handle.as_bytes().to_vec(), 0))
        }
        Message::KeepAlive { .. } | Message::Error { .. } => None,
        other => panic!("a registrar does not send {other:?}"),
    }
}

#[derive(Default)]
struct Model {
    open: Vec<AssociationId>,
    awaited: BTreeMap<AssociationId, VecDeque<Response>>,
}

impl Model {
    fn act(&mut self, registrar: &mut Registrar, step: Step) {
        match step {
            Step::Open { shard } => self.open.push(registrar.open(shard)),
            Step::Close { which } => {
                if !self.open.is_empty() {
                    let id = self.open.swap_remove(which % self.open.len());
                    self.awaited.remove(&id);
                    registrar.close(id);
                    registrar.take(id);
                }
            }
            Step::Say { which, bytes } => {
                if let Some(&id) = self.open.get(which % self.open.len().max(1)) {
                    self.awaited.entry(id).or_default().extend(expected(&bytes));
                    registrar.say_bytes(id, &bytes);
                }
            }
            Step::Deliver { from } => {
                registrar.deliver(from, 1 - from);
            }
            Step::Settle => registrar.settle(),
            Step::Pass { millis } => registrar.pass(Duration::from_millis(millis)),
        }
    }

    /// What was received is what is awaited, in its order.
    fn check(&mut self, registrar: &mut Registrar) {
        assert!(registrar.closed.is_empty());
        for &id in &self.open {
            let awaited = self.awaited.entry(id).or_default();
            for message in registrar.messages(id) {
                if let Some(response) = response(&message) {
                    assert_eq!(Some(response), awaited.pop_front());
                }
            }
        }
    }

    /// Nothing is under way: every request was answered, every pool is where
    /// it belongs, and every element is of an association that is open.
    fn check_settled(&self, registrar: &Registrar) {
        assert!(self.awaited.values().all(VecDeque::is_empty), "{:?}", self.awaited);
        let mut elements: BTreeMap<AssociationId, u32> = BTreeMap::new();
        for shard in &registrar.shards {
            let space = shard.handlespace();
            space.assert_invariants();
            let mut page = Vec::new();
            let more = space.handle_table(&mut TableCursor::default(), None, 1_000, &mut page);
            assert!(!more);
            for key in page {
                let element = space.get(key).expect("it is in the table");
                assert_eq!(shard.config().map.shard_of(element.handle()), shard.config().shard);
                assert!(element.life() != RegistrationLife::For(Duration::ZERO));
                let id = element.association().expect("all came by an association");
                assert!(self.open.contains(&id), "its association is open");
                *elements.entry(id).or_default() += 1;
            }
        }
        assert!(elements.values().all(|&count| count <= ELEMENTS_MAX), "{elements:?}");
    }
}

proptest! {
    #[test]
    fn every_request_gets_one_answer_in_order(
        steps in prop::collection::vec(step(), 1..80),
        gather in 0..3_u64,
    ) {
        let gather = Duration::from_millis(gather);
        let mut registrar = Registrar::with(2, |config| {
            // Notices answer nothing.
            config.subscriptions_max = 0;
            config.gather = gather;
            config.tcp.expiry_notice = false;
            config.elements_per_association_max = ELEMENTS_MAX;
        });
        let mut model = Model::default();
        for shard in [0, 1, 0] {
            model.act(&mut registrar, Step::Open { shard });
        }
        for step in steps {
            model.act(&mut registrar, step);
            model.check(&mut registrar);
        }
        registrar.settle();
        registrar.pass(Duration::ZERO);
        model.check(&mut registrar);
        model.check_settled(&registrar);
        // An association at its limit finds room again when its elements go.
        let id = registrar.open(0);
        model.open.push(id);
        for pe in 100..100 + ELEMENTS_MAX {
            let bytes = {
                let mut bytes = Vec::new();
                registration("fresh", pe).emit(&mut bytes, LengthForm::Rfc).expect("it fits");
                bytes
            };
            model.act(&mut registrar, Step::Say { which: model.open.len() - 1, bytes });
        }
        registrar.settle();
        model.check(&mut registrar);
        registrar.close(id);
        registrar.settle();
        model.open.pop();
        model.awaited.remove(&id);
        model.check_settled(&registrar);
    }

    #[test]
    fn batches_of_random_bytes_do_no_harm(
        batches in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..10),
    ) {
        let mut registrar = Registrar::new(2);
        let id = registrar.open(0);
        let now = registrar.now;
        for batch in batches {
            registrar.shards[0].receive_mesh(now, rserpool_engine::ShardId(1), &batch);
            registrar.settle();
        }
        registrar.take(id);
        registrar.send(id, &resolution("nowhere", None));
        assert_eq!(registrar.messages(id).len(), 1);
    }
}
