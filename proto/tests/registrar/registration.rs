//! Registration and deregistration (RFC 5352, 3.1 and 3.2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, CauseCode, Element, Transport};
use rserpool_engine::{ChannelUse, PeId, Policy, TransportKind};
use rserpool_proto::LifeUnit;
use rserpool_proto::registrar::{Loopback, Peer};

use crate::wired::{
    Answer, HOST, Registrar, code, deregistered, deregistration, element, pool, registered,
    registration, resolution, resolved, tcp, unknown,
};

fn rejected(answer: Answer) -> (u16, Vec<u8>) {
    let Answer::Rejected { cause, data, .. } = answer else { panic!("{answer:?}") };
    (cause, data)
}

fn with_transport(pe: u32, user_transport: Transport<'_>) -> Message<'_> {
    Message::Registration { handle: pool("a"), element: Element { user_transport, ..element(pe) } }
}

fn with_policy(pe: u32, policy: Policy) -> Message<'static> {
    Message::Registration { handle: pool("a"), element: Element { policy, ..element(pe) } }
}

fn with_life(pe: u32, life: i32) -> Message<'static> {
    Message::Registration { handle: pool("a"), element: Element { life, ..element(pe) } }
}

#[test]
fn the_first_element_makes_the_pool_and_the_last_one_ends_it() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    assert_eq!(registrar.ask(id, &resolution("a", None)), unknown("a"));
    assert_eq!(registrar.ask(id, &registration("a", 1)), registered("a", 1));
    assert_eq!(registrar.ask(id, &registration("a", 2)), registered("a", 2));
    assert_eq!(registrar.ask(id, &resolution("a", None)), resolved("a", &[1, 2]));
    assert_eq!(registrar.ask(id, &deregistration("a", 1)), deregistered("a", 1));
    assert_eq!(registrar.ask(id, &resolution("a", None)), resolved("a", &[2]));
    assert_eq!(registrar.ask(id, &deregistration("a", 2)), deregistered("a", 2));
    assert_eq!(registrar.ask(id, &resolution("a", None)), unknown("a"));
    let least_used = with_policy(1, Policy::LeastUsed { load: 0 });
    assert_eq!(registrar.ask(id, &least_used), registered("a", 1));
    let stats = registrar.shards[0].stats();
    assert_eq!((stats.registrations, stats.deregistrations), (3, 2));
}

#[test]
fn a_pe_identifier_is_one_of_its_pool_only() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    assert_eq!(registrar.ask(id, &registration("a", 1)), registered("a", 1));
    let other = Element { policy: Policy::Random, ..element(1) };
    let other = Message::Registration { handle: pool("b"), element: other };
    assert_eq!(registrar.ask(id, &other), registered("b", 1));
    assert_eq!(registrar.elements(), 2);
}

#[test]
fn a_reregistration_replaces_all_attributes() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let policy = Policy::LeastUsed { load: 5 };
    let first = Element { policy, life: 10, ..element(1) };
    registrar.ask(id, &Message::Registration { handle: pool("a"), element: first });
    let policy = Policy::LeastUsed { load: 9 };
    let host = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let addresses = Addresses::List(&host[..1]);
    let user_transport = Transport::sctp(8888, ChannelUse::DataAndControl, addresses);
    let second = Element { policy, life: 20, user_transport, ..element(1) };
    let again = Message::Registration { handle: pool("a"), element: second };
    assert_eq!(registrar.ask(id, &again), registered("a", 1));
    registrar.send(id, &resolution("a", None));
    let answer = registrar.messages(id).remove(0);
    let Ok(Message::HandleResolutionResponse { elements, .. }) = Message::parse(&answer) else {
        panic!("{answer:?}");
    };
    let found = elements.iter().next().unwrap();
    assert_eq!((found.policy, found.user_transport, found.life), (policy, user_transport, 20));
    assert_eq!(elements.len(), 1);
    let key = registrar.shards[0].handlespace().find(pool("a"), PeId::new(1)).unwrap();
    let life = registrar.shards[0].handlespace().get(key).unwrap().life();
    assert_eq!(Some(life), LifeUnit::Seconds.from_wire(20));
    assert_eq!(registrar.count(|stats| stats.reregistrations), 1);
}

#[test]
fn a_reregistration_over_another_association_moves_the_element_there() {
    let mut registrar = Registrar::new(1);
    let (old, new) = (registrar.open(0), registrar.open(0));
    registrar.ask(old, &registration("a", 1));
    assert_eq!(registrar.ask(new, &registration("a", 1)), registered("a", 1));
    let refused = registrar.ask(old, &deregistration("a", 1));
    assert!(matches!(refused, Answer::NotDeregistered { .. }), "{refused:?}");
    registrar.close(old);
    assert_eq!(registrar.ask(new, &resolution("a", None)), resolved("a", &[1]));
    assert_eq!(registrar.ask(new, &deregistration("a", 1)), deregistered("a", 1));
    assert_eq!(registrar.count(|stats| stats.moves), 1);
}

#[test]
fn another_policy_than_the_pools_is_rejected_with_the_pools() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    registrar.ask(id, &with_policy(1, Policy::WeightedRandom { weight: 7 }));
    let answer = registrar.ask(id, &with_policy(2, Policy::RoundRobin));
    let policy = vec![0, 8, 0, 12, 0, 0, 0, 4, 0, 0, 0, 7];
    assert_eq!(rejected(answer), (code(CauseCode::InconsistentPolicy), policy));
    let answer = registrar.ask(id, &with_policy(1, Policy::RoundRobin));
    assert_eq!(rejected(answer).0, code(CauseCode::InconsistentPolicy));
    assert_eq!(registrar.elements(), 1);
    let other_weight = with_policy(2, Policy::WeightedRandom { weight: 1 });
    assert_eq!(registrar.ask(id, &other_weight), registered("a", 2));
}

#[test]
fn another_transport_than_the_pools_is_rejected_with_one_of_the_pools_type() {
    let host = Addresses::List(HOST);
    let all = [
        (Transport::dccp(1, 2, host), 3),
        (Transport::sctp(1, ChannelUse::Data, host), 4),
        (Transport::tcp(1, host), 5),
        (Transport::udp(1, host), 6),
        (Transport::udp_lite(1, host), 7),
        (Transport::opaque(b"somewhere"), 16),
    ];
    for (of_pool, kind) in all {
        let mut registrar = Registrar::new(1);
        let id = registrar.open(0);
        assert_eq!(registrar.ask(id, &with_transport(1, of_pool)), registered("a", 1));
        for (other, _) in all.iter().filter(|(other, _)| other.kind != of_pool.kind) {
            let (cause, data) = rejected(registrar.ask(id, &with_transport(2, *other)));
            assert_eq!(cause, code(CauseCode::InconsistentTransport));
            assert_eq!(data.get(..2), Some([0, kind].as_slice()), "a transport of the pool's type");
        }
        assert_eq!(registrar.ask(id, &with_transport(2, of_pool)), registered("a", 2));
    }
}

#[test]
fn another_channel_use_than_the_pools_is_rejected() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    registrar.ask(id, &registration("a", 1));
    let data_only = Transport::sctp(7777, ChannelUse::Data, Addresses::List(HOST));
    let answer = registrar.ask(id, &with_transport(2, data_only));
    assert_eq!(rejected(answer), (code(CauseCode::InconsistentChannelUse), Vec::new()));
    assert_eq!(registrar.shards[0].stats().rejected[0x8], 1);
}

#[test]
fn a_rejected_reregistration_leaves_the_element_as_it_was() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    registrar.ask(id, &registration("a", 1));
    registrar.ask(id, &registration("a", 2));
    rejected(registrar.ask(id, &with_policy(1, Policy::Random)));
    rejected(registrar.ask(id, &with_life(1, 0)));
    assert_eq!(registrar.ask(id, &resolution("a", Some(2))), resolved("a", &[1, 2]));
}

#[test]
fn a_service_at_nobodys_address_is_rejected_with_its_transport() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    for address in ["0.0.0.0", "::", "224.0.1.185", "ff02::133", "255.255.255.255", "127.0.0.1"] {
        let host = [HOST[0], address.parse().unwrap()];
        let transport = Transport::sctp(7777, ChannelUse::DataAndControl, Addresses::List(&host));
        let (cause, data) = rejected(registrar.ask(id, &with_transport(1, transport)));
        let mut expected = Vec::new();
        transport.emit(&mut expected, rserpool_codec::LengthForm::Rfc).unwrap();
        assert_eq!((cause, data), (code(CauseCode::InvalidValues), expected), "{address}");
    }
    assert_eq!(registrar.elements(), 0);
}

#[test]
fn a_service_at_port_0_is_rejected() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let mut bytes = Vec::new();
    registration("a", 1).emit(&mut bytes, rserpool_codec::LengthForm::Rfc).unwrap();
    let port = bytes.windows(2).position(|two| two == 7777_u16.to_be_bytes()).unwrap();
    bytes[port..port + 2].fill(0);
    registrar.say_bytes(id, &bytes);
    let answer = registrar.answers(id).remove(0);
    let (cause, data) = rejected(answer);
    assert_eq!(cause, code(CauseCode::InvalidValues));
    assert_eq!(data.get(..6), Some([0, 4, 0, 16, 0, 0].as_slice()), "the transport");
}

#[test]
fn a_pe_identifier_of_0_is_rejected() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let mut bytes = Vec::new();
    registration("a", 0x1234_5678).emit(&mut bytes, rserpool_codec::LengthForm::Rfc).unwrap();
    let pe = bytes.windows(2).position(|two| two == [0x12, 0x34]).unwrap();
    bytes[pe..pe + 4].fill(0);
    registrar.say_bytes(id, &bytes);
    let (cause, _) = rejected(registrar.answers(id).remove(0));
    assert_eq!(cause, code(CauseCode::InvalidValues));
    assert_eq!(registrar.elements(), 0);
}

#[test]
fn a_loopback_service_is_for_associations_over_loopback_unless_configured_otherwise() {
    let accepts = |rule, from| {
        let mut registrar = Registrar::with(1, |config| config.loopback = rule);
        let id = registrar.open_from(0, tcp(from)).unwrap();
        let host = [IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let message = with_transport(1, Transport::tcp(80, Addresses::List(&host)));
        matches!(registrar.ask(id, &message), Answer::Registered { .. })
    };
    assert!(accepts(Loopback::Local, "127.0.0.1:50000"));
    assert!(accepts(Loopback::Local, "[::ffff:127.0.0.1]:50000"));
    assert!(!accepts(Loopback::Local, "192.0.2.1:50000"));
    assert!(accepts(Loopback::Allowed, "192.0.2.1:50000"));
    assert!(!accepts(Loopback::Refused, "127.0.0.1:50000"));
}

#[test]
fn a_life_that_is_no_time_is_rejected_with_the_element() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    for life in [0, -2, i32::MIN] {
        let (cause, data) = rejected(registrar.ask(id, &with_life(1, life)));
        assert_eq!(cause, code(CauseCode::InvalidValues));
        assert_eq!(data.get(..2), Some([0, 10].as_slice()), "the Pool Element parameter");
    }
    assert_eq!(registrar.ask(id, &with_life(1, -1)), registered("a", 1));
    registrar.pass(Duration::from_secs(4));
    assert_eq!(registrar.elements(), 1);
}

#[test]
fn deregistering_what_is_not_registered_succeeds() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    assert_eq!(registrar.ask(id, &deregistration("a", 1)), deregistered("a", 1));
    registrar.ask(id, &registration("a", 1));
    assert_eq!(registrar.ask(id, &deregistration("a", 2)), deregistered("a", 2));
    assert_eq!(registrar.elements(), 1);
    assert_eq!(registrar.count(|stats| stats.deregistrations_idle), 2);
}

#[test]
fn only_the_association_that_registered_an_element_may_deregister_it() {
    for shards in [1, 2] {
        let mut registrar = Registrar::new(shards);
        let owner = registrar.open(0);
        let other = registrar.open(shards - 1);
        registrar.ask(owner, &registration("a", 1));
        let refused = registrar.ask(other, &deregistration("a", 1));
        let cause = code(CauseCode::SecurityConsiderations);
        let expected = Answer::NotDeregistered { handle: "a".to_owned(), pe: 1, cause };
        assert_eq!(refused, expected);
        assert_eq!(registrar.ask(owner, &resolution("a", None)), resolved("a", &[1]));
        assert_eq!(registrar.count(|stats| stats.rejected[0xa]), 1);
    }
}

#[test]
fn an_association_over_sctp_is_kept_for_peers_and_not_given_to_pool_users() {
    let mut registrar = Registrar::new(1);
    let address = "10.0.0.1:40000".parse().unwrap();
    let peer = Peer { address, transport: TransportKind::Sctp };
    let id = registrar.open_from(0, peer).unwrap();
    registrar.ask(id, &registration("a", 1));
    let space = registrar.shards[0].handlespace();
    let key = space.find(pool("a"), PeId::new(1)).unwrap();
    let record = space.get(key).unwrap().record();
    let asap = [0, 4, 0, 16, 0x9c, 0x40, 0, 0, 0, 1, 0, 8, 10, 0, 0, 1];
    assert_eq!(record.get(40..), Some(asap.as_slice()));
    assert_eq!(record.get(8..12), Some([0xaa, 0xbb, 0xcc, 0xdd].as_slice()), "the home");
    registrar.send(id, &resolution("a", None));
    let answer = registrar.messages(id).remove(0);
    let Ok(Message::HandleResolutionResponse { elements, .. }) = Message::parse(&answer) else {
        panic!("{answer:?}");
    };
    assert!(elements.iter().all(|element| element.asap_transport.is_none()));
}

#[test]
fn an_asap_transport_the_element_gives_itself_is_not_believed() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let asap = Transport::sctp(1, ChannelUse::Data, Addresses::List(HOST));
    let element = Element { asap_transport: Some(asap), ..element(1) };
    let message = Message::Registration { handle: pool("a"), element };
    assert_eq!(registrar.ask(id, &message), registered("a", 1));
    let space = registrar.shards[0].handlespace();
    let key = space.find(pool("a"), PeId::new(1)).unwrap();
    assert_eq!(space.get(key).unwrap().record().len(), 40);
}
