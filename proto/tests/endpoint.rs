//! A conversation with a registrar: which answer belongs to which request,
//! and what else may arrive.

use rserpool_codec::asap::Message;
use rserpool_codec::{
    Addresses, Cause, CauseCode, Causes, Element, Elements, LengthForm, Transport, Transports,
};
use rserpool_engine::{ChannelUse, PeId, Policy, PoolHandle, RegistrarId, Timestamp};
use rserpool_proto::endpoint::{Config, Conversation, Event, Full, Request, TimedOut, Unexpected};
use std::time::Duration;

const POOL: PoolHandle<'_> = PoolHandle::new(b"EchoPool");
const OTHER: PoolHandle<'_> = PoolHandle::new(b"Other");
const PE: PeId = PeId::new(0x1122_3344);

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO.after(Duration::from_secs(seconds))
}

fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.emit(&mut out, LengthForm::Rfc).expect("it fits");
    out
}

fn element() -> Element<'static> {
    const HOST: &[std::net::IpAddr] = &[std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1))];
    Element {
        pe: PE,
        home: RegistrarId::new(0),
        life: 90,
        user_transport: Transport::sctp(7777, ChannelUse::DataAndControl, Addresses::List(HOST)),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

fn registered(handle: PoolHandle<'_>, pe: PeId) -> Vec<u8> {
    bytes(&Message::RegistrationResponse { handle, pe, rejected: false, error: None })
}

fn unknown(handle: PoolHandle<'_>) -> Vec<u8> {
    bytes(&Message::HandleResolutionResponse {
        handle,
        subscribed: false,
        policy: None,
        elements: Elements::EMPTY,
        error: Some(Causes::list(&[Cause::new(CauseCode::UnknownPoolHandle, &[])])),
    })
}

#[test]
fn requests_are_written_as_the_rfc_draws_them() {
    let mut conversation = Conversation::new(Config::default());
    conversation.register(at(0), 1, POOL, &element()).unwrap();
    conversation.deregister(at(0), 2, POOL, PE).unwrap();
    conversation.resolve(at(0), 3, PoolHandle::new(b"abcde"), Some(u32::MAX), false).unwrap();
    conversation.resolve(at(0), 4, PoolHandle::new(b"abcde"), None, true).unwrap();
    conversation.report_unreachable(POOL, PE).unwrap();
    conversation.ack_keep_alive(POOL, PE).unwrap();
    let expected = [
        "010000380009000c4563686f506f6f6c000a002811223344000000000000005a",
        "000400101e610001000100080a0000010008000800000001",
        "020000180009000c4563686f506f6f6c000e000811223344",
        "05000018000900096162636465000000803f0008ffffffff",
        "0501000d000900096162636465000000",
        "090000180009000c4563686f506f6f6c000e000811223344",
        "080000180009000c4563686f506f6f6c000e000811223344",
    ];
    let hex: String = conversation.output().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected.concat());
}

#[test]
fn an_answer_completes_the_request_it_agrees_with() {
    let mut conversation = Conversation::new(Config::default());
    conversation.register(at(0), 1, POOL, &element()).unwrap();
    conversation.register(at(0), 2, OTHER, &element()).unwrap();
    let answer = registered(OTHER, PE);
    let event = conversation.receive(at(1), &answer);
    assert!(matches!(event, Event::Registered { token: 2, rejected: false, causes: None, .. }));
    let answer = registered(POOL, PeId::new(5));
    let event = conversation.receive(at(1), &answer);
    assert_eq!(event, Event::Unexpected(Unexpected::Response));
    let answer = registered(POOL, PE);
    let event = conversation.receive(at(1), &answer);
    assert!(matches!(event, Event::Registered { token: 1, .. }));
    assert_eq!(conversation.in_flight(), 0);
}

#[test]
fn answers_of_different_types_do_not_mix() {
    let mut conversation = Conversation::new(Config::default());
    conversation.resolve(at(0), 1, POOL, Some(1), false).unwrap();
    conversation.deregister(at(0), 2, POOL, PE).unwrap();
    let answer = bytes(&Message::DeregistrationResponse { handle: POOL, pe: PE, error: None });
    let event = conversation.receive(at(0), &answer);
    assert!(matches!(event, Event::Deregistered { token: 2, causes: None, .. }));
    let answer = unknown(POOL);
    let event = conversation.receive(at(0), &answer);
    let Event::Resolved { token: 1, error: Some(causes), .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!(causes.first(), Some(Cause::new(CauseCode::UnknownPoolHandle, &[])));
}

#[test]
fn a_deregistration_nobody_asked_for_is_an_expiry() {
    let mut conversation = Conversation::new(Config::default());
    let notice = bytes(&Message::DeregistrationResponse { handle: POOL, pe: PE, error: None });
    assert_eq!(conversation.receive(at(0), &notice), Event::Expired { handle: POOL, pe: PE });
}

#[test]
fn each_type_of_request_has_its_own_timeout() {
    let mut conversation = Conversation::new(Config::default());
    conversation.register(at(0), 1, POOL, &element()).unwrap();
    conversation.resolve(at(1), 2, POOL, None, false).unwrap();
    conversation.deregister(at(2), 3, POOL, PE).unwrap();
    assert_eq!(conversation.next_timeout(), Some(at(16)));
    assert_eq!(conversation.handle_timeout(at(15)), None);
    let resolution = TimedOut { request: Request::Resolution, token: 2 };
    assert_eq!(conversation.handle_timeout(at(16)), Some(resolution));
    assert_eq!(conversation.next_timeout(), Some(at(30)));
    let registration = TimedOut { request: Request::Registration, token: 1 };
    let deregistration = TimedOut { request: Request::Deregistration, token: 3 };
    assert_eq!(conversation.handle_timeout(at(40)), Some(registration));
    assert_eq!(conversation.handle_timeout(at(40)), Some(deregistration));
    assert_eq!(conversation.handle_timeout(at(40)), None);
    assert_eq!(conversation.next_timeout(), None);
    let answer = unknown(POOL);
    let event = conversation.receive(at(41), &answer);
    assert_eq!(event, Event::Unexpected(Unexpected::Late(resolution)));
}

#[test]
fn no_more_requests_are_made_than_may_be_in_flight() {
    let mut conversation = Conversation::new(Config { in_flight_max: 2, ..Config::default() });
    conversation.resolve(at(0), 1, POOL, None, false).unwrap();
    conversation.resolve(at(0), 2, POOL, None, false).unwrap();
    let sent = conversation.output().len();
    assert_eq!(conversation.resolve(at(0), 3, POOL, None, false), Err(Full::InFlight));
    assert_eq!(conversation.output().len(), sent);
    let answer = unknown(POOL);
    conversation.receive(at(0), &answer);
    assert_eq!(conversation.resolve(at(0), 3, POOL, None, false), Ok(()));
}

#[test]
fn a_request_that_does_not_fit_a_message_is_not_made() {
    let mut conversation = Conversation::new(Config::default());
    let long = vec![b'x'; 65_530];
    let asked = conversation.resolve(at(0), 1, PoolHandle::new(&long), None, false);
    assert!(matches!(asked, Err(Full::Emit(_))), "{asked:?}");
    assert!(conversation.output().is_empty());
    assert_eq!((conversation.in_flight(), conversation.next_timeout()), (0, None));
}

#[test]
fn a_keep_alive_and_an_announce_are_told() {
    let mut conversation = Conversation::new(Config::default());
    let registrar = RegistrarId::new(0xaabb_ccdd);
    let message =
        bytes(&Message::KeepAlive { registrar, take_home: true, handle: POOL, pe: Some(PE) });
    assert_eq!(
        conversation.receive(at(0), &message),
        Event::KeepAlive { handle: POOL, pe: Some(PE), registrar, take_home: true }
    );
    let message = bytes(&Message::ServerAnnounce { registrar, transports: Transports::EMPTY });
    let event = conversation.receive(at(0), &message);
    assert_eq!(event, Event::Announce { registrar, transports: Transports::EMPTY });
    assert!(conversation.output().is_empty());
}

#[test]
fn what_a_registrar_does_not_send_has_no_effect() {
    let mut conversation = Conversation::new(Config::default());
    let message = bytes(&Message::Unreachable { handle: POOL, pe: PE });
    let event = conversation.receive(at(0), &message);
    assert_eq!(event, Event::Unexpected(Unexpected::Message));
    assert!(conversation.output().is_empty());
}

#[test]
fn an_error_is_told_and_never_answered() {
    let mut conversation = Conversation::new(Config::default());
    let message =
        bytes(&Message::Error { causes: Causes::list(&[Cause::new(CauseCode::Unspecified, &[])]) });
    let event = conversation.receive(at(0), &message);
    assert!(matches!(event, Event::Error { .. }), "{event:?}");
    let broken = [0x0e, 0, 0, 8, 0x4f, 0xff, 0, 4];
    let event = conversation.receive(at(0), &broken);
    assert!(matches!(event, Event::Unexpected(Unexpected::Malformed(_))), "{event:?}");
    assert!(conversation.output().is_empty());
}

#[test]
fn an_unknown_message_is_reported_if_its_type_says_so() {
    let mut conversation = Conversation::new(Config::default());
    let event = conversation.receive(at(0), &[0x7f, 0, 0, 4]);
    assert!(matches!(event, Event::Unexpected(Unexpected::Malformed(_))), "{event:?}");
    let expected = [0x0e, 0, 0, 16, 0, 0x0c, 0, 12, 0, 2, 0, 8, 0x7f, 0, 0, 4];
    assert_eq!(conversation.output(), &expected);
    conversation.output().clear();
    let event = conversation.receive(at(0), &[0x3f, 0, 0, 4]);
    assert!(matches!(event, Event::Unexpected(Unexpected::Malformed(_))), "{event:?}");
    assert!(conversation.output().is_empty());
}
