//! What a stranger, or a peer that lies, cannot do.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rserpool_codec::LengthForm;
use rserpool_codec::enrp::{Body, Message, Server, Servers};
use rserpool_codec::{Addresses, Transport};
use rserpool_engine::{ChannelUse, RegistrarId, TransportKind};
use rserpool_proto::enrp::Admission;

use super::script::{ME, Script, Update, peer_host};

const SECOND: Duration = Duration::from_secs(1);
const HOME: u32 = 0x2222_2222;
const THIEF: u32 = 0x3333_3333;

/// A registrar with an element of another home.
fn with_element() -> (Script, rserpool_proto::enrp::LinkId) {
    let mut script = Script::serving();
    let home = script.peer(2, HOME, 0xffff);
    script.update(home, HOME, Update::add(7, HOME));
    assert_eq!(script.home(7), Some(HOME));
    (script, home)
}

#[test]
fn only_the_home_of_an_element_speaks_of_it() {
    let (mut script, _) = with_element();
    let thief = script.peer(3, THIEF, 0xffff);
    script.update(thief, THIEF, Update::delete(7, HOME));
    script.update(thief, THIEF, Update::delete(7, THIEF));
    script.update(thief, THIEF, Update::add(8, HOME));
    assert_eq!((script.home(7), script.home(8)), (Some(HOME), None));
}

#[test]
fn an_association_speaks_for_one_registrar_only() {
    let (mut script, _) = with_element();
    let thief = script.peer(3, THIEF, 0xffff);
    script.update(thief, HOME, Update::delete(7, HOME));
    assert_eq!(script.home(7), Some(HOME));
}

#[test]
fn nobody_passes_for_a_registrar_that_speaks_from_elsewhere() {
    let (mut script, _) = with_element();
    let thief = script.accept(peer_host(9)).unwrap();
    script.update(thief, HOME, Update::delete(7, HOME));
    assert_eq!(script.home(7), Some(HOME));
    assert_eq!(script.closed, [thief]);
    let me = script.accept(peer_host(9)).unwrap();
    script.update(me, ME.get(), Update::add(8, ME.get()));
    assert_eq!((script.home(8), script.closed.contains(&me)), (None, true));
}

#[test]
fn a_stranger_takes_nobody_over() {
    let (mut script, _) = with_element();
    let stranger = script.accept(peer_host(9)).unwrap();
    script.say(stranger, THIEF, Body::TakeoverServer { target: RegistrarId::new(HOME) });
    script.say(stranger, THIEF, Body::InitTakeover { target: RegistrarId::new(HOME) });
    script.pass(SECOND / 10);
    assert_eq!(script.home(7), Some(HOME));
}

#[test]
fn nobody_takes_over_who_speaks_to_us() {
    let (mut script, _) = with_element();
    let thief = script.peer(3, THIEF, 0xffff);
    script.say(thief, THIEF, Body::TakeoverServer { target: RegistrarId::new(HOME) });
    assert_eq!(script.home(7), Some(HOME));
    script.register("pool", 9, TransportKind::Sctp);
    script.say(thief, THIEF, Body::TakeoverServer { target: ME });
    assert_eq!(script.home(9), Some(ME.get()));
}

#[test]
fn registrars_and_associations_are_bounded() {
    let mut script = Script::with(|config| {
        config.peers_max = 10;
        config.links_max = 20;
    });
    let mut accepted = 0;
    for number in 0..200 {
        let link = script.accept(peer_host(number));
        accepted += u32::from(link.is_some());
        if let Some(link) = link {
            script.appear(link, number, 1000 + u32::from(number), 0xffff);
        }
    }
    assert!(accepted <= 200);
    assert_eq!(script.group().peers().count(), 10);
    // Nor by what one says of others.
    let address = [peer_host(99)];
    let transport = Transport::sctp(9901, ChannelUse::Data, Addresses::List(&address));
    let servers: Vec<_> =
        (5000..5500).map(|id| Server { registrar: RegistrarId::new(id), transport }).collect();
    let link = rserpool_proto::enrp::LinkId(1);
    let body = Body::ListResponse { rejected: false, servers: Servers::list(&servers) };
    script.say(link, 1000, body);
    for id in 6000..6500_u32 {
        let mut bytes = Vec::new();
        let body = Body::Presence { reply_required: true, checksum: Some(1), server: None };
        let message = Message { sender: RegistrarId::new(id), receiver: ME, body };
        message.emit(&mut bytes, LengthForm::Rfc).unwrap();
        let [.., low] = id.to_be_bytes();
        let from = SocketAddr::new(peer_host(low), 9901);
        script.shard.receive_multicast(script.now, from, &bytes);
    }
    assert_eq!(script.group().peers().count(), 10);
}

#[test]
fn who_says_nothing_is_sent_away() {
    let mut script = Script::serving();
    let link = script.accept(peer_host(9)).unwrap();
    script.pass(SECOND * 5);
    assert_eq!(script.closed, [link]);
}

#[test]
fn a_closed_group_takes_listed_registrars_only() {
    let mut script = Script::with(|config| {
        config.admission = Admission::Listed;
        config.mentors = vec![rserpool_proto::enrp::Target {
            transport: TransportKind::Tcp,
            addresses: vec![SocketAddr::new(peer_host(2), 9901)],
        }];
    });
    script.pass(SECOND);
    let stranger = script.accept(peer_host(9)).unwrap();
    script.appear(stranger, 9, THIEF, 0xffff);
    assert!(script.closed.contains(&stranger));
    script.peer(2, HOME, 0xffff);
    let peers: Vec<_> = script.group().peers().map(|peer| peer.id.get()).collect();
    assert_eq!(peers, [HOME]);
}

#[test]
fn a_peer_that_does_not_read_is_cut_off() {
    let mut script = Script::with(|config| config.link_bytes_max = 10_000);
    let address = SocketAddr::new(peer_host(2), 9901);
    let peer = rserpool_proto::registrar::Peer { address, transport: TransportKind::Sctp };
    let link = script.shard.accept_link(script.now, peer).unwrap();
    let mut bytes = Vec::new();
    let body = Body::Presence { reply_required: false, checksum: Some(0xffff), server: None };
    let message = Message { sender: RegistrarId::new(HOME), receiver: ME, body };
    message.emit(&mut bytes, LengthForm::Rfc).unwrap();
    // Nobody takes what is sent.
    for _ in 0..1000 {
        script.shard.receive_link(script.now, link, &bytes);
        let body = Body::ListRequest;
        let mut request = Vec::new();
        Message { sender: RegistrarId::new(HOME), receiver: ME, body }
            .emit(&mut request, LengthForm::Rfc)
            .unwrap();
        script.shard.receive_link(script.now, link, &request);
    }
    assert!(script.group().output_pending(link) <= 11_000);
}

#[test]
fn bytes_that_are_no_message_are_reported_and_harmless() {
    let (mut script, home) = with_element();
    let mut update = Vec::new();
    let body = Body::InitTakeover { target: ME };
    let message = Message { sender: RegistrarId::new(HOME), receiver: ME, body };
    message.emit(&mut update, LengthForm::Padded).unwrap();
    for at in 0..update.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = update.clone();
            bytes[at] = value;
            script.say_bytes(home, &bytes);
            script.say_bytes(home, &bytes[..at]);
        }
    }
    script.heard(home);
    assert!(script.group().stats().malformed > 20);
    assert_eq!(script.home(7), Some(HOME));
}

#[test]
fn addresses_that_lead_nowhere_are_not_called() {
    let mut script = Script::serving();
    let link = script.accept(peer_host(2)).unwrap();
    let nowhere: [IpAddr; 3] =
        ["127.0.0.1".parse().unwrap(), "0.0.0.0".parse().unwrap(), "fe80::1".parse().unwrap()];
    let transport = Transport::sctp(9901, ChannelUse::Data, Addresses::List(&nowhere));
    let server = Some(Server { registrar: RegistrarId::new(HOME), transport });
    let body = Body::Presence { reply_required: false, checksum: Some(0xffff), server };
    script.say(link, HOME, body);
    let third = script.peer(3, THIEF, 0xffff);
    script.heard(third);
    script.say(third, THIEF, Body::ListRequest);
    let sent = script.heard(third);
    let Body::ListResponse { servers, .. } = Message::parse(&sent[0]).unwrap().body else {
        panic!()
    };
    let addresses = servers.iter().flat_map(|server| server.transport.addresses.iter());
    assert_eq!(addresses.collect::<Vec<_>>(), [peer_host(2)], "but where it called from");
}

#[test]
fn a_registrar_of_this_host_may_tell_of_others_on_this_host() {
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    let mut script = Script::serving();
    let link = script.accept(local).unwrap();
    let at = |addresses| Transport::sctp(9902, ChannelUse::Data, Addresses::List(addresses));
    let (here, other) = ([local], [local]);
    let server = Some(Server { registrar: RegistrarId::new(HOME), transport: at(&here) });
    script.say(
        link,
        HOME,
        Body::Presence { reply_required: false, checksum: Some(0xffff), server },
    );
    let servers = [Server { registrar: RegistrarId::new(THIEF), transport: at(&other) }];
    let body = Body::ListResponse { rejected: false, servers: Servers::list(&servers) };
    let before = script.dialed.len();
    script.say(link, HOME, body);
    assert_eq!(script.dialed[before..][0], SocketAddr::new(local, 9902));
}
