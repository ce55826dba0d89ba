//! Handle resolution (RFC 5352, 3.3).

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, CauseCode, Element, Transport};
use rserpool_engine::{ChannelUse, Policy};

use crate::wired::{
    Answer, HOST, Registrar, code, element, pool, registered, registration, resolution, resolved,
};

fn with_elements(registrar: &mut Registrar, count: u32) -> rserpool_engine::AssociationId {
    let id = registrar.open(0);
    for pe in 1..=count {
        assert_eq!(registrar.ask(id, &registration("a", pe)), registered("a", pe));
    }
    id
}

fn pes(answer: &Answer) -> usize {
    let Answer::Resolved { pes, .. } = answer else { panic!("{answer:?}") };
    pes.len()
}

#[test]
fn elements_come_in_the_order_of_the_policy() {
    let mut registrar = Registrar::new(1);
    let id = with_elements(&mut registrar, 5);
    assert_eq!(registrar.ask(id, &resolution("a", Some(3))), resolved("a", &[1, 2, 3]));
    assert_eq!(registrar.ask(id, &resolution("a", Some(3))), resolved("a", &[2, 3, 4]));
}

#[test]
fn the_option_says_how_many_elements_are_wanted() {
    let mut registrar = Registrar::with(1, |config| config.items_max = 20);
    let id = with_elements(&mut registrar, 30);
    for (items, expected) in [
        (None, 3),
        (Some(0), 3),
        (Some(1), 1),
        (Some(10), 10),
        (Some(21), 20),
        (Some(u32::MAX), 20),
    ] {
        let answer = registrar.ask(id, &resolution("a", items));
        assert_eq!(pes(&answer), expected, "{items:?}");
    }
    let stats = registrar.shards[0].stats();
    assert_eq!((stats.resolutions, stats.resolved_elements), (6, 3 + 3 + 1 + 10 + 20 + 20));
}

#[test]
fn an_answer_is_never_longer_than_a_message() {
    let mut registrar = Registrar::with(1, |config| config.items_max = 10_000);
    let id = registrar.open(0);
    let host = [HOST[0]; 100];
    let user_transport = Transport::sctp(7777, ChannelUse::DataAndControl, Addresses::List(&host));
    for pe in 1..=100 {
        let element = Element { user_transport, ..element(pe) };
        registrar.ask(id, &Message::Registration { handle: pool("a"), element });
    }
    registrar.send(id, &resolution("a", Some(u32::MAX)));
    let answer = registrar.messages(id).remove(0);
    assert!(answer.len() > 60_000 && answer.len() <= 65_536, "{}", answer.len());
    assert_eq!(pes(&Answer::from(answer.as_slice())), (65_535 - 20) / 832);
}

#[test]
fn the_policy_of_the_pool_is_always_in_the_answer() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let policy = Policy::LeastUsed { load: 7 };
    let element = Element { policy, ..element(1) };
    registrar.ask(id, &Message::Registration { handle: pool("a"), element });
    let answer = registrar.ask(id, &resolution("a", None));
    assert_eq!(answer, Answer::Resolved { handle: "a".to_owned(), policy, pes: vec![1] });
}

#[test]
fn a_pool_whose_elements_are_all_drained_is_answered_negatively() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let policy = Policy::WeightedRandom { weight: 0 };
    let element = Element { policy, ..element(1) };
    registrar.ask(id, &Message::Registration { handle: pool("a"), element });
    let answer = registrar.ask(id, &resolution("a", None));
    let (cause, data) = (code(CauseCode::LackOfResources), Vec::new());
    assert_eq!(answer, Answer::NotResolved { handle: "a".to_owned(), cause, data });
    assert_eq!(registrar.count(|stats| stats.resolutions_drained), 1);
}
