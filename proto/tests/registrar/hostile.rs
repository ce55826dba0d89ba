//! Peers that do what they must not.

use rserpool_codec::asap::Message;
use rserpool_codec::{Cause, CauseCode, Causes, Elements, LengthForm};
use rserpool_engine::{AssociationId, PeId};
use rserpool_proto::registrar::CloseReason;

use crate::wired::{
    Answer, REGISTRAR, Registrar, code, pool, registered, registration, resolution, resolved,
    unknown,
};

fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.emit(&mut bytes, LengthForm::Rfc).expect("it fits");
    bytes
}

#[test]
fn a_registration_cut_at_any_length_changes_nothing_and_stops_nothing() {
    for shards in [1, 2] {
        let mut registrar = Registrar::new(shards);
        let id = registrar.open(0);
        let name = registrar.pool_on(shards - 1, 0);
        let whole = bytes(&registration(&name, 1));
        for length in 0..whole.len() {
            registrar.say_bytes(id, &whole[..length]);
            registrar.settle();
            // The same with a length that fits.
            let mut cut = whole[..length].to_vec();
            if length >= 4 {
                cut[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            registrar.say_bytes(id, &cut);
            registrar.settle();
            for answer in registrar.answers(id) {
                assert!(
                    matches!(answer, Answer::Error { .. } | Answer::Rejected { .. }),
                    "{length}: {answer:?}"
                );
            }
            assert_eq!(registrar.elements(), 0, "{length}");
        }
        assert_eq!(registrar.ask(id, &registration(&name, 1)), registered(&name, 1));
    }
}

#[test]
fn a_message_with_a_flipped_byte_does_no_harm_to_others() {
    let mut registrar = Registrar::new(2);
    let (id, other) = (registrar.open(0), registrar.open(1));
    let name = registrar.pool_on(1, 0);
    registrar.ask(other, &registration(&name, 1));
    let whole = bytes(&registration(&name, 2));
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = whole.clone();
            broken[at] ^= flip;
            registrar.say_bytes(id, &broken);
            registrar.settle();
            registrar.answers(id);
        }
    }
    let answer = registrar.ask(other, &resolution(&name, Some(100)));
    let Answer::Resolved { pes, .. } = answer else { panic!("{answer:?}") };
    assert!(pes.contains(&1));
}

#[test]
fn an_unknown_message_is_reported_or_not_as_its_type_says() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(0);
    registrar.say_bytes(id, &[0x7f, 0, 0, 4]);
    let cause = code(CauseCode::UnrecognizedMessage);
    assert_eq!(registrar.answers(id), [Answer::Error { cause, data: vec![0x7f, 0, 0, 4] }]);
    for silent in [0x00, 0x0f, 0x3f] {
        registrar.say_bytes(id, &[silent, 0, 0, 4]);
        assert!(registrar.answers(id).is_empty(), "{silent:#x}");
    }
    assert_eq!(registrar.count(|stats| stats.malformed), 4);
    assert_eq!(registrar.count(|stats| stats.errors_sent), 1);
}

#[test]
fn an_unknown_parameter_is_skipped_or_reported_as_its_type_says() {
    for shards in [1, 2] {
        let mut registrar = Registrar::new(shards);
        let id = registrar.open(0);
        let name = registrar.pool_on(shards - 1, 0);
        let resolve = |kind: u8| {
            let mut message = bytes(&resolution(&name, None));
            let parameter = [kind, 0x77, 0, 6, 1, 2, 0, 0];
            message.splice(4..4, parameter);
            let length = u16::from_be_bytes([message[2], message[3]]) + 8;
            message[2..4].copy_from_slice(&length.to_be_bytes());
            message
        };
        let cause = code(CauseCode::UnrecognizedParameter);
        let error = |kind| Answer::Error { cause, data: vec![kind, 0x77, 0, 6, 1, 2] };
        for (kind, expected) in [
            (0x00, vec![]),
            (0x40, vec![error(0x40)]),
            (0x80, vec![unknown(&name)]),
            (0xc0, vec![unknown(&name), error(0xc0)]),
        ] {
            registrar.say_bytes(id, &resolve(kind));
            registrar.settle();
            assert_eq!(registrar.answers(id), expected, "{kind:#x}");
        }
        assert!(registrar.wants_more(id));
        assert_eq!(registrar.ask(id, &resolution(&name, None)), unknown(&name));
    }
}

#[test]
fn an_error_is_never_answered() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let causes = [Cause::new(CauseCode::Unspecified, &[])];
    registrar.send(id, &Message::Error { causes: Causes::list(&causes) });
    for broken in [
        &[0x0e, 0, 0, 4][..],
        &[0x0e, 0, 0, 8, 0x4f, 0xff, 0, 4],
        &[0x0e, 0, 0, 12, 0, 0x0c, 0, 8, 0, 1, 0, 99],
        &[0x0e, 0, 0, 20, 0xcf, 0xff, 0, 4, 0, 0x0c, 0, 12, 0, 2, 0, 8, 1, 2, 3, 4],
    ] {
        registrar.say_bytes(id, broken);
    }
    assert!(registrar.answers(id).is_empty());
    assert_eq!(registrar.count(|stats| stats.errors_sent), 0);
    assert_eq!(registrar.count(|stats| stats.errors_received), 2);
}

#[test]
fn what_only_a_registrar_or_a_pool_user_sends_is_ignored() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(0);
    let name = registrar.pool_on(1, 0);
    registrar.ask(id, &registration(&name, 1));
    let (handle, pe) = (pool(&name), PeId::new(1));
    let elements = [crate::wired::element(1)];
    let all = [
        Message::RegistrationResponse { handle, pe, rejected: false, error: None },
        Message::DeregistrationResponse { handle, pe, error: None },
        Message::HandleResolutionResponse {
            handle,
            subscribed: false,
            policy: Some(rserpool_engine::Policy::RoundRobin),
            elements: Elements::list(&elements),
            error: None,
        },
        Message::KeepAlive { registrar: REGISTRAR, take_home: true, handle, pe: Some(pe) },
        Message::Cookie { cookie: b"cookie01" },
        Message::CookieEcho { cookie: b"cookie01" },
        Message::BusinessCard { handle, elements: Elements::list(&elements) },
    ];
    for message in &all {
        registrar.send(id, message);
        assert!(registrar.answers(id).is_empty(), "{message:?}");
    }
    assert_eq!(registrar.count(|stats| stats.unexpected), all.len() as u64);
    assert_eq!(registrar.ask(id, &resolution(&name, None)), resolved(&name, &[1]));
}

#[test]
fn an_association_that_does_not_read_is_first_not_read_from_then_closed() {
    let mut registrar = Registrar::with(1, |config| config.output_bytes_max = 4_000);
    let id = registrar.open(0);
    registrar.ask(id, &registration("a", 1));
    registrar.deaf.push(id);
    let mut said = 0;
    while registrar.wants_more(id) {
        registrar.say(id, &resolution("a", None));
        said += 1;
    }
    assert!((10..30).contains(&said), "a quarter of what may be queued: {said}");
    // The host reads on, against the rules.
    for _ in 0..100 {
        registrar.say(id, &resolution("a", None));
    }
    assert_eq!(registrar.closed, [(id, CloseReason::SlowReader)]);
    assert_eq!(registrar.elements(), 0);
    let stats = registrar.shards[0].stats();
    assert_eq!((stats.slow_readers, stats.closed), (1, 1));
    assert_eq!(registrar.shards[0].output_pending(id), 0);
}

#[test]
fn an_association_that_reads_again_is_read_from_again() {
    let mut registrar = Registrar::with(1, |config| config.output_bytes_max = 4_000);
    let id = registrar.open(0);
    registrar.deaf.push(id);
    while registrar.wants_more(id) {
        registrar.say(id, &resolution("a", None));
    }
    assert!(registrar.resumed.is_empty());
    let queued = registrar.shards[0].output_pending(id);
    let mut bytes = Vec::new();
    registrar.shards[0].take_send(id, &mut bytes);
    assert_eq!(bytes.len(), queued);
    registrar.collect();
    assert_eq!(registrar.resumed, [id]);
    assert!(registrar.wants_more(id));
}

#[test]
fn an_association_with_too_many_requests_under_way_waits_for_their_answers() {
    let mut registrar = Registrar::with(2, |config| config.pending_max = 5);
    let id = registrar.open(0);
    let there = registrar.pool_on(1, 0);
    for _ in 0..5 {
        assert!(registrar.wants_more(id));
        registrar.say(id, &resolution(&there, None));
    }
    assert!(!registrar.wants_more(id));
    registrar.settle();
    assert_eq!(registrar.resumed, [id]);
    assert_eq!(registrar.answers(id).len(), 5);
    assert!(registrar.wants_more(id));
}

#[test]
fn requests_that_are_dropped_in_silence_make_room_too() {
    let mut registrar = Registrar::with(2, |config| config.pending_max = 1);
    let id = registrar.open(0);
    let mut request = bytes(&resolution(&registrar.pool_on(1, 0), None));
    // An unknown parameter that ends the message without a report.
    request.extend([0x3f, 0xff, 0, 4]);
    let length = u16::try_from(request.len()).unwrap();
    request[2..4].copy_from_slice(&length.to_be_bytes());
    registrar.say_bytes(id, &request);
    assert!(!registrar.wants_more(id));
    registrar.settle();
    assert!(registrar.answers(id).is_empty());
    assert_eq!(registrar.resumed, [id]);
}

#[test]
fn a_host_that_reads_on_at_the_limit_loses_the_association() {
    let mut registrar = Registrar::with(2, |config| config.pending_max = 5);
    let id = registrar.open(0);
    let there = registrar.pool_on(1, 0);
    for _ in 0..7 {
        registrar.say(id, &registration(&there, 1));
    }
    assert_eq!(registrar.closed, [(id, CloseReason::Overrun)]);
    registrar.settle();
    assert_eq!(registrar.elements(), 0);
    assert!(registrar.answers(id).is_empty());
    assert_eq!(registrar.count(|stats| stats.stale), 1);
}

#[test]
fn identifiers_of_associations_that_are_gone_or_never_were_do_nothing() {
    let mut registrar = Registrar::new(1);
    let gone = registrar.open(0);
    registrar.close(gone);
    let id = registrar.open(0);
    registrar.ask(id, &registration("a", 1));
    for stale in [gone, AssociationId(0), AssociationId(u64::MAX), AssociationId(id.0 + 1)] {
        registrar.say(stale, &registration("a", 2));
        registrar.close(stale);
        assert!(registrar.wants_more(stale));
        assert_eq!(registrar.shards[0].output_pending(stale), 0);
        let mut bytes = Vec::new();
        registrar.shards[0].take_send(stale, &mut bytes);
        assert!(bytes.is_empty());
    }
    assert_eq!(registrar.ask(id, &resolution("a", None)), resolved("a", &[1]));
    assert_eq!(registrar.shards[0].associations(), 1);
}
