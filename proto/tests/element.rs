//! The registration of a pool element over its life.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr};

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Cause, CauseCode, Causes, Frame, LengthForm, Transport, frame};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId, RegistrationLife, Timestamp};
use rserpool_proto::element::{Config, PoolElement, Progress, Service};
use rserpool_proto::endpoint::{self, Conversation, Event, Full, Request};

const POOL: PoolHandle<'_> = PoolHandle::new(b"EchoPool");
const PE: PeId = PeId::new(7);
const TOKEN: u64 = 3;

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO.after(Duration::from_secs(seconds))
}

fn life(seconds: u64) -> Config {
    Config { life: RegistrationLife::For(Duration::from_secs(seconds)), ..Config::default() }
}

struct Bench {
    element: PoolElement,
    conversation: Conversation,
}

impl Bench {
    fn new(config: Config) -> Self {
        let host = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))];
        let service = Service::from(&Transport::tcp(80, Addresses::List(&host)));
        let policy = Policy::LeastUsed { load: 0 };
        let element = PoolElement::new(config, TOKEN, POOL, PE, service, policy);
        Self { element, conversation: Conversation::new(endpoint::Config::default()) }
    }

    fn registered(config: Config) -> Self {
        let mut bench = Self::new(config);
        bench.element.register(at(0), &mut bench.conversation).expect("there is room");
        assert_eq!(bench.sent(), ["registration 0"]);
        assert!(bench.receive(at(0), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered))));
        bench
    }

    /// Gives a message of the registrar; returns whether it is registered then.
    fn receive(
        &mut self,
        now: Timestamp,
        message: &Message<'_>,
        check: impl FnOnce(Option<Progress<'_>>),
    ) -> bool {
        let mut bytes = Vec::new();
        message.emit(&mut bytes, LengthForm::Rfc).expect("it fits");
        let event = self.conversation.receive(now, &bytes);
        check(self.element.receive(now, &mut self.conversation, &event));
        self.element.is_registered()
    }

    /// What it sent since the last call.
    fn sent(&mut self) -> Vec<String> {
        let bytes = std::mem::take(self.conversation.output());
        let mut rest = bytes.as_slice();
        let mut sent = Vec::new();
        while let Frame::Whole(length) = frame(rest) {
            let (message, others) = rest.split_at(length);
            rest = others;
            let message = Message::parse(message).expect("it is one");
            sent.push(if let Message::Registration { handle: POOL, element } = message {
                let Policy::LeastUsed { load } = element.policy else { panic!("policy") };
                assert_eq!(element.pe, PE);
                format!("registration {load}")
            } else if message == (Message::Deregistration { handle: POOL, pe: PE }) {
                "deregistration".to_owned()
            } else {
                assert_eq!(message, Message::KeepAliveAck { handle: POOL, pe: PE });
                "ack".to_owned()
            });
        }
        assert!(rest.is_empty());
        sent
    }
}

const ACCEPTED: Message<'_> =
    Message::RegistrationResponse { handle: POOL, pe: PE, rejected: false, error: None };
const GONE: Message<'_> = Message::DeregistrationResponse { handle: POOL, pe: PE, error: None };

const fn keep_alive(registrar: u32, take_home: bool, pe: Option<PeId>) -> Message<'static> {
    Message::KeepAlive { registrar: RegistrarId::new(registrar), take_home, handle: POOL, pe }
}

#[test]
fn a_registration_is_renewed_20_seconds_before_its_end_or_at_half_of_a_short_life() {
    let interval =
        |life| Config { life, ..Config::default() }.reregistration_interval().as_secs_f64();
    let of = |seconds| interval(RegistrationLife::For(Duration::from_secs(seconds)));
    assert_eq!(of(120), 100.0);
    assert_eq!(of(90), 70.0);
    assert_eq!(of(40), 20.0);
    assert_eq!(of(30), 15.0);
    assert_eq!(of(1), 0.5);
    assert_eq!(of(86_400), 600.0);
    assert_eq!(interval(RegistrationLife::Infinite), 600.0);
    let shorter = Config { reregistration_interval: Some(Duration::from_secs(30)), ..life(120) };
    assert_eq!(shorter.reregistration_interval(), Duration::from_secs(30));
    let longer = Config { reregistration_interval: Some(Duration::from_secs(300)), ..life(120) };
    assert_eq!(longer.reregistration_interval(), Duration::from_secs(100));
}

#[test]
fn it_registers_and_renews() {
    let mut bench = Bench::registered(life(120));
    assert_eq!(bench.element.next_timeout(), Some(at(100)));
    bench.element.handle_timeout(at(99), &mut bench.conversation).unwrap();
    assert!(bench.sent().is_empty());
    bench.element.handle_timeout(at(100), &mut bench.conversation).unwrap();
    assert_eq!(bench.sent(), ["registration 0"]);
    assert_eq!(bench.element.next_timeout(), None);
    assert!(bench.element.is_registered());
    assert!(bench.receive(at(101), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered))));
    assert_eq!(bench.element.next_timeout(), Some(at(201)));
}

#[test]
fn a_new_load_is_registered_at_once_or_after_the_answer_that_is_awaited() {
    let mut bench = Bench::registered(life(120));
    let load = |load| Policy::LeastUsed { load };
    bench.element.update(at(1), &mut bench.conversation, load(1)).unwrap();
    bench.element.update(at(1), &mut bench.conversation, load(2)).unwrap();
    bench.element.update(at(1), &mut bench.conversation, load(3)).unwrap();
    assert_eq!(bench.sent(), ["registration 1"]);
    bench.receive(at(2), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered)));
    assert_eq!(bench.sent(), ["registration 3"]);
    bench.receive(at(2), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered)));
    assert!(bench.sent().is_empty());
    assert_eq!(bench.element.policy(), load(3));
}

#[test]
fn a_rejected_registration_is_not_repeated_unchanged() {
    let mut bench = Bench::new(life(120));
    bench.element.register(at(0), &mut bench.conversation).unwrap();
    bench.sent();
    let causes = [Cause::new(CauseCode::LackOfResources, &[])];
    let error = Some(Causes::list(&causes));
    let rejected = Message::RegistrationResponse { handle: POOL, pe: PE, rejected: true, error };
    let is_registered = bench.receive(at(1), &rejected, |progress| {
        let Some(Progress::Rejected(Some(causes))) = progress else { panic!("{progress:?}") };
        assert_eq!(causes.first(), Some(Cause::new(CauseCode::LackOfResources, &[])));
    });
    assert!(!is_registered);
    assert_eq!((bench.sent().len(), bench.element.next_timeout()), (0, None));
    bench.element.register(at(5), &mut bench.conversation).unwrap();
    assert_eq!(bench.sent(), ["registration 0"]);
}

#[test]
fn keep_alives_for_it_are_acknowledged_and_others_are_not() {
    let mut bench = Bench::new(life(120));
    bench.receive(at(0), &keep_alive(1, false, Some(PE)), |p| assert_eq!(p, None));
    assert!(bench.sent().is_empty(), "not registered yet");
    let mut bench = Bench::registered(life(120));
    bench.receive(at(1), &keep_alive(1, false, Some(PE)), |p| {
        assert_eq!(p, Some(Progress::NewHome(RegistrarId::new(1))));
    });
    bench.receive(at(1), &keep_alive(1, false, None), |p| assert_eq!(p, None));
    assert_eq!(bench.sent(), ["ack", "ack"]);
    bench.receive(at(1), &keep_alive(1, false, Some(PeId::new(8))), |p| assert_eq!(p, None));
    let handle = PoolHandle::new(b"Other");
    let registrar = RegistrarId::new(1);
    let other = Message::KeepAlive { registrar, take_home: false, handle, pe: Some(PE) };
    bench.receive(at(1), &other, |p| assert_eq!(p, None));
    assert!(bench.sent().is_empty());
}

#[test]
fn a_registrar_that_takes_over_becomes_the_home() {
    let mut bench = Bench::registered(life(120));
    bench.receive(at(1), &keep_alive(1, false, Some(PE)), |_| ());
    bench.receive(at(1), &keep_alive(2, false, Some(PE)), |p| assert_eq!(p, None));
    assert_eq!(bench.element.home(), RegistrarId::new(1));
    bench.receive(at(1), &keep_alive(2, true, Some(PE)), |p| {
        assert_eq!(p, Some(Progress::NewHome(RegistrarId::new(2))));
    });
    assert_eq!(bench.element.home(), RegistrarId::new(2));
    assert_eq!(bench.sent(), ["ack", "ack", "ack"]);
}

#[test]
fn an_expired_registration_is_made_again() {
    let mut bench = Bench::registered(life(120));
    let is_registered = bench.receive(at(130), &GONE, |p| assert_eq!(p, Some(Progress::Expired)));
    assert!(!is_registered);
    assert_eq!(bench.sent(), ["registration 0"]);
    assert!(bench.receive(at(131), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered))));
}

#[test]
fn an_expiry_while_it_registers_anyway_asks_nothing_more() {
    let mut bench = Bench::registered(life(120));
    bench.element.register(at(100), &mut bench.conversation).unwrap();
    assert_eq!(bench.sent(), ["registration 0"]);
    bench.receive(at(121), &GONE, |p| assert_eq!(p, None));
    assert!(bench.sent().is_empty());
    bench.element.disconnected();
    bench.receive(at(122), &GONE, |p| assert_eq!(p, None));
    assert!(bench.sent().is_empty());
}

#[test]
fn a_deregistered_element_asks_nothing_more() {
    let mut bench = Bench::registered(life(120));
    bench.element.deregister(at(1), &mut bench.conversation).unwrap();
    assert_eq!(bench.sent(), ["deregistration"]);
    let is_registered =
        bench.receive(at(1), &GONE, |p| assert_eq!(p, Some(Progress::Deregistered)));
    assert!(!is_registered);
    assert_eq!(bench.element.next_timeout(), None);
    bench.receive(at(2), &keep_alive(1, false, Some(PE)), |p| assert_eq!(p, None));
    assert!(bench.sent().is_empty());
}

#[test]
fn a_deregistered_element_stays_so_when_an_expiry_crossed_its_last_requests() {
    let mut bench = Bench::registered(life(10));
    let Bench { element, conversation } = &mut bench;
    element.register(at(5), conversation).expect("there is room");
    element.deregister(at(5), conversation).expect("there is room");
    assert_eq!(bench.sent(), ["registration 0", "deregistration"]);
    let gone = Message::DeregistrationResponse { handle: POOL, pe: PE, error: None };
    // The notice that the first registration is over looks like the answer.
    assert!(!bench.receive(at(6), &gone, |p| assert_eq!(p, Some(Progress::Deregistered))));
    bench.receive(at(6), &ACCEPTED, |p| assert_eq!(p, None));
    assert!(!bench.receive(at(6), &gone, |p| assert_eq!(p, None)));
    assert_eq!(bench.sent(), Vec::<String>::new());
}

#[test]
fn a_refused_deregistration_is_told_and_the_element_stays() {
    let mut bench = Bench::registered(life(120));
    bench.element.deregister(at(1), &mut bench.conversation).unwrap();
    let causes = [Cause::new(CauseCode::SecurityConsiderations, &[])];
    let error = Some(Causes::list(&causes));
    let refused = Message::DeregistrationResponse { handle: POOL, pe: PE, error };
    assert!(bench.receive(at(1), &refused, |p| {
        assert!(matches!(p, Some(Progress::NotDeregistered(_))), "{p:?}");
    }));
}

#[test]
fn without_an_answer_another_registrar_is_to_be_found() {
    let mut bench = Bench::new(life(120));
    bench.element.register(at(0), &mut bench.conversation).unwrap();
    let timed_out = bench.conversation.handle_timeout(at(30)).unwrap();
    let progress = bench.element.timed_out(timed_out);
    assert_eq!(progress, Some(Progress::Unanswered(Request::Registration)));
    assert_eq!(bench.element.timed_out(timed_out), None);
    bench.conversation = Conversation::new(endpoint::Config::default());
    bench.element.register(at(31), &mut bench.conversation).unwrap();
    assert!(bench.receive(at(32), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered))));
}

#[test]
fn a_request_without_room_is_made_later() {
    let mut bench = Bench::new(life(120));
    let full = endpoint::Config { in_flight_max: 0, ..endpoint::Config::default() };
    let mut busy = Conversation::new(full);
    assert_eq!(bench.element.register(at(0), &mut busy), Err(Full::InFlight));
    assert_eq!(bench.element.next_timeout(), Some(at(1)));
    bench.element.handle_timeout(at(1), &mut bench.conversation).unwrap();
    assert_eq!(bench.sent(), ["registration 0"]);
}

#[test]
fn events_of_other_elements_are_left_alone() {
    let mut bench = Bench::registered(life(120));
    let event = Event::Registered {
        token: TOKEN + 1,
        handle: POOL,
        pe: PeId::new(8),
        rejected: true,
        causes: None,
    };
    assert_eq!(bench.element.receive(at(1), &mut bench.conversation, &event), None);
    let event = Event::Expired { handle: POOL, pe: PeId::new(8) };
    assert_eq!(bench.element.receive(at(1), &mut bench.conversation, &event), None);
    assert!(bench.element.is_registered());
}

#[test]
fn a_load_is_registered_when_it_differs_enough_and_not_too_often() {
    let config =
        Config { load_change_min: 100, load_interval_min: Duration::from_secs(2), ..life(120) };
    let mut bench = Bench::registered(config);
    let tell = |bench: &mut Bench, now, load| {
        bench.element.report_load(at(now), Some(&mut bench.conversation), load).unwrap();
        bench.sent()
    };
    assert!(tell(&mut bench, 5, 99).is_empty());
    assert_eq!(tell(&mut bench, 5, 100), ["registration 100"]);
    // While the answer is awaited, and then until the interval is over.
    assert!(tell(&mut bench, 5, 300).is_empty());
    bench.receive(at(5), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered)));
    assert_eq!(bench.sent(), ["registration 300"]);
    bench.receive(at(5), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered)));
    assert!(tell(&mut bench, 6, 500).is_empty());
    assert_eq!(bench.element.next_timeout(), Some(at(7)));
    assert!(tell(&mut bench, 6, 600).is_empty());
    bench.element.handle_timeout(at(7), &mut bench.conversation).unwrap();
    assert_eq!(bench.sent(), ["registration 600"]);
    bench.receive(at(7), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered)));
    // What is too small a change goes with the next re-registration.
    assert!(tell(&mut bench, 50, 650).is_empty());
    bench.element.handle_timeout(at(107), &mut bench.conversation).unwrap();
    assert_eq!(bench.sent(), ["registration 650"]);
    bench.receive(at(107), &ACCEPTED, |p| assert_eq!(p, Some(Progress::Registered)));
    // Idle and full are told in any case.
    bench.element.report_load(at(120), Some(&mut bench.conversation), 40).unwrap();
    bench.receive(at(120), &ACCEPTED, |_| ());
    bench.sent();
    assert_eq!(tell(&mut bench, 130, 0), ["registration 0"]);
}

#[test]
fn a_refused_change_leaves_what_was_registered_and_that_is_renewed() {
    let mut bench = Bench::registered(life(120));
    let load = |load| Policy::LeastUsed { load };
    bench.element.update(at(1), &mut bench.conversation, load(1)).unwrap();
    assert_eq!(bench.sent(), ["registration 1"]);
    let refused =
        Message::RegistrationResponse { handle: POOL, pe: PE, rejected: true, error: None };
    bench.receive(at(1), &refused, |p| assert_eq!(p, Some(Progress::Rejected(None))));
    assert!(bench.element.is_registered());
    assert_eq!(bench.element.policy(), load(0));
    assert_eq!(bench.element.next_timeout(), Some(at(101)));
}
