//! What is said to peers of rsplib and to peers that follow the RFCs, each
//! over its transport: the rows of `docs/compatibility.md`.

use core::time::Duration;

use rserpool_codec::asap::Message;
use rserpool_codec::{Element, LengthForm};
use rserpool_engine::{AssociationId, PeId, PoolHandle, TransportKind};
use rserpool_proto::registrar::{Config, Dialect, Peer};

use crate::wired::{Registrar, element, keep_alive, pool, registered, resolution, tcp};

const SECOND: Duration = Duration::from_secs(1);

/// rsplib's dialect over SCTP, the RFCs' over TCP.
fn rsplib(config: &mut Config) {
    config.sctp = Dialect::RSPLIB;
    config.tcp = Dialect { keep_alive_names_element: true, ..Dialect::RFC };
}

/// The RFCs' over both.
fn rfc(config: &mut Config) {
    config.sctp = Dialect::RFC;
    config.tcp = Dialect::RFC;
}

fn open(registrar: &mut Registrar, transport: TransportKind) -> AssociationId {
    let address = tcp("192.0.2.1:50000").address;
    registrar.open_from(0, Peer { address, transport }).expect("there is room")
}

fn register(registrar: &mut Registrar, id: AssociationId, pe: u32, life: i32) {
    let element = Element { life, ..element(pe) };
    let answer = registrar.ask(id, &Message::Registration { handle: pool("a"), element });
    assert_eq!(answer, registered("a", pe));
}

/// The lives of the elements that a resolution answers with.
fn lives(registrar: &mut Registrar, id: AssociationId) -> Vec<i32> {
    // What came before is looked at elsewhere.
    registrar.take(id);
    registrar.send(id, &resolution("a", Some(9)));
    let messages = registrar.messages(id);
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    let Ok(Message::HandleResolutionResponse { elements, .. }) = Message::parse(message) else {
        panic!("{message:?}");
    };
    elements.iter().map(|element| element.life).collect()
}

#[test]
fn lives_are_milliseconds_over_sctp_and_seconds_over_tcp() {
    let mut registrar = Registrar::with(1, |config| {
        rsplib(config);
        config.engine.keep_alive_interval = Duration::ZERO;
    });
    let over_sctp = open(&mut registrar, TransportKind::Sctp);
    let over_tcp = open(&mut registrar, TransportKind::Tcp);
    register(&mut registrar, over_sctp, 1, 90_000);
    register(&mut registrar, over_tcp, 2, 30);
    let mut found = lives(&mut registrar, over_sctp);
    found.sort_unstable();
    assert_eq!(found, [30_000, 90_000]);
    let mut found = lives(&mut registrar, over_tcp);
    found.sort_unstable();
    assert_eq!(found, [30, 90]);
    registrar.pass(SECOND * 31);
    assert_eq!(lives(&mut registrar, over_tcp), [90]);
    registrar.pass(SECOND * 60);
    assert_eq!(registrar.elements(), 0);
}

#[test]
fn an_infinite_life_is_infinite_in_both_units() {
    let mut registrar = Registrar::with(1, rsplib);
    let over_sctp = open(&mut registrar, TransportKind::Sctp);
    let over_tcp = open(&mut registrar, TransportKind::Tcp);
    register(&mut registrar, over_tcp, 1, -1);
    assert_eq!(lives(&mut registrar, over_sctp), [-1]);
    assert_eq!(lives(&mut registrar, over_tcp), [-1]);
}

#[test]
fn lives_are_seconds_over_sctp_by_the_rfc() {
    let mut registrar = Registrar::with(1, rfc);
    let over_sctp = open(&mut registrar, TransportKind::Sctp);
    register(&mut registrar, over_sctp, 1, 90);
    assert_eq!(lives(&mut registrar, over_sctp), [90]);
    registrar.pass(SECOND * 91);
    assert_eq!(registrar.elements(), 0);
}

#[test]
fn the_end_of_a_life_is_told_to_who_wants_to_hear_it() {
    for (config, sctp_hears) in [(rsplib as fn(&mut Config), false), (rfc, true)] {
        // On another shard than the association's, too.
        for shards in [1, 2] {
            let mut registrar = Registrar::with(shards, config);
            let unit = if sctp_hears { 1 } else { 1000 };
            for (transport, life, hears) in
                [(TransportKind::Sctp, 2 * unit, sctp_hears), (TransportKind::Tcp, 2, true)]
            {
                let id = open(&mut registrar, transport);
                let name = registrar.pool_on(shards - 1, 0);
                let element = Element { life, ..element(1) };
                let handle = pool(&name);
                registrar.ask(id, &Message::Registration { handle, element });
                registrar.pass(SECOND * 3);
                assert_eq!(registrar.elements(), 0);
                let told = registrar.messages(id).iter().any(|message| message[0] == 4);
                assert_eq!(told, hears, "{transport:?} with {shards} shards");
            }
        }
    }
}

/// A resolution of the pool "a" with a parameter that is to be skipped and
/// reported.
fn with_unknown_parameter() -> Vec<u8> {
    let mut bytes = vec![5, 0, 0, 20, 0xc1, 0, 0, 8, 1, 2, 3, 4, 0, 9, 0, 5, b'a', 0, 0, 0];
    bytes[3] = 17;
    bytes
}

#[test]
fn what_was_skipped_is_reported_beside_the_answer_to_who_can_bear_it() {
    for (config, transport, reports) in [
        (rsplib as fn(&mut Config), TransportKind::Sctp, false),
        (rsplib, TransportKind::Tcp, true),
        (rfc, TransportKind::Sctp, true),
    ] {
        let mut registrar = Registrar::with(1, config);
        let id = open(&mut registrar, transport);
        registrar.say_bytes(id, &with_unknown_parameter());
        registrar.settle();
        let kinds: Vec<u8> = registrar.messages(id).iter().map(|message| message[0]).collect();
        let expected: &[u8] = if reports { &[6, 14] } else { &[6] };
        assert_eq!(kinds, expected, "{transport:?}");
    }
}

#[test]
fn what_cannot_be_read_is_answered_with_an_error_in_every_dialect() {
    for config in [rsplib as fn(&mut Config), rfc] {
        let mut registrar = Registrar::with(1, config);
        let id = open(&mut registrar, TransportKind::Sctp);
        // The handle is longer than the message.
        registrar.say_bytes(id, &[5, 0, 0, 8, 0, 9, 0, 200]);
        registrar.settle();
        let kinds: Vec<u8> = registrar.messages(id).iter().map(|message| message[0]).collect();
        assert_eq!(kinds, [14]);
    }
}

#[test]
fn lengths_are_padded_for_rsplib_and_exact_by_the_rfc() {
    let asked = PoolHandle::new(b"odd");
    for (config, form) in [(rsplib as fn(&mut Config), LengthForm::Padded), (rfc, LengthForm::Rfc)]
    {
        let mut registrar = Registrar::with(1, config);
        let id = open(&mut registrar, TransportKind::Sctp);
        registrar
            .send(id, &Message::HandleResolution { handle: asked, subscribe: false, items: None });
        let messages = registrar.messages(id);
        let mut expected = Vec::new();
        rserpool_codec::asap::ResolutionResponse::unknown_pool(&mut expected, form, asked).unwrap();
        assert_eq!(messages, [expected]);
    }
}

#[test]
fn a_keep_alive_names_its_element_unless_the_rfc_is_followed_to_the_letter() {
    for (config, names) in [(rsplib as fn(&mut Config), true), (rfc, false)] {
        let mut registrar = Registrar::with(1, |it| {
            config(it);
            it.engine.keep_alive_interval = SECOND;
        });
        for transport in [TransportKind::Sctp, TransportKind::Tcp] {
            let id = open(&mut registrar, transport);
            register(&mut registrar, id, 1, -1);
            registrar.pass(SECOND * 2);
            let messages = registrar.messages(id);
            let Some(Ok(Message::KeepAlive { pe, .. })) =
                messages.first().map(|message| Message::parse(message))
            else {
                panic!("{messages:?}");
            };
            assert_eq!(pe, names.then_some(PeId::new(1)));
            if names {
                assert_eq!(crate::wired::Answer::from(messages[0].as_slice()), keep_alive("a", 1));
            }
            registrar.close(id);
        }
    }
}
