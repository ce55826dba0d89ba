//! A registrar of another kind in the group: it behaves as rsplib does.

use core::time::Duration;

use rserpool_codec::enrp::extension::Extensions;
use rserpool_codec::enrp::{Body, Message, Pool, Pools, UpdateAction};
use rserpool_codec::{Addresses, Element, Elements, Transport};
use rserpool_engine::{
    ChannelUse, PeChecksum, PeId, Policy, PoolHandle, RegistrarId, TransportKind,
};
use rserpool_proto::enrp::ChecksumForm;

use super::cluster::element;
use super::script::{ME, Script, Update, pe_host};

const SECOND: Duration = Duration::from_secs(1);
const OTHER: u32 = 0x2222_2222;

const PRESENCE: u8 = 1;
const TABLE_REQUEST: u8 = 2;
const TABLE_RESPONSE: u8 = 3;
const UPDATE: u8 = 4;
const LIST_REQUEST: u8 = 5;
const LIST_RESPONSE: u8 = 6;
const INIT_TAKEOVER: u8 = 7;
const ACK: u8 = 8;
const TAKEOVER_SERVER: u8 = 9;

/// The checksum of a registrar that has these elements of the pool.
fn checksum(pes: &[u32]) -> u16 {
    let mut sum = PeChecksum::default();
    for pe in pes {
        sum.add(PeChecksum::of(PoolHandle::new(b"pool"), PeId::new(*pe)));
    }
    sum.finish()
}

#[test]
fn a_presence_carries_checksum_and_server_information_and_is_answered_if_it_wants_it() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    let sent = script.heard(link);
    let presence = sent.iter().find(|bytes| bytes[0] == PRESENCE).unwrap();
    let message = Message::parse(presence).unwrap();
    let Body::Presence { reply_required, checksum, server } = message.body else { panic!() };
    assert!(reply_required, "whoever is new is asked who he is");
    assert_eq!((message.sender, checksum), (ME, Some(0xffff)));
    assert_eq!(server.unwrap().registrar, ME);
    assert!(Extensions::of(presence).kin.is_some());
    script.say(link, OTHER, Body::Presence { reply_required: true, checksum: None, server: None });
    let answer = script.heard(link);
    let Body::Presence { reply_required, .. } = Message::parse(&answer[0]).unwrap().body else {
        panic!()
    };
    assert!(!reply_required);
}

#[test]
fn each_registration_and_each_renewal_is_told_in_the_form_it_understands() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    script.heard(link);
    script.register("pool", 7, TransportKind::Sctp);
    let sent = script.heard(link);
    assert_eq!(sent.len(), 1);
    let message = Message::parse(&sent[0]).unwrap();
    let Body::HandleUpdate { action, takeover_suggested, handle, element } = message.body else {
        panic!()
    };
    assert_eq!((action, takeover_suggested), (UpdateAction::Add, false));
    assert_eq!(message.receiver, RegistrarId::new(OTHER));
    assert_eq!((handle.as_bytes(), element.home), (b"pool".as_slice(), ME));
    let asap = element.asap_transport.unwrap();
    assert_eq!((asap.port, asap.addresses.iter().next()), (40_000, Some(pe_host(7))));
    assert_eq!(Extensions::of(&sent[0]), Extensions::default(), "nothing it would not expect");
    script.register("pool", 7, TransportKind::Sctp);
    assert_eq!(script.heard_types(link), [UPDATE], "it runs a timer of its own");
}

#[test]
fn an_element_that_came_over_tcp_gets_the_asap_transport_rsplib_demands() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    script.heard(link);
    script.register("pool", 7, TransportKind::Tcp);
    let sent = script.heard(link);
    let Body::HandleUpdate { element, .. } = Message::parse(&sent[0]).unwrap().body else {
        panic!()
    };
    assert_eq!(element.asap_transport.unwrap().port, 7777);
}

#[test]
fn handles_that_would_end_it_are_not_sent() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    script.heard(link);
    let (fits, ends) = ("x".repeat(32), "x".repeat(33));
    script.register(&fits, 1, TransportKind::Sctp);
    script.register(&ends, 2, TransportKind::Sctp);
    assert_eq!(script.heard_types(link), [UPDATE]);
    script.say(link, OTHER, Body::HandleTableRequest { own_only: false });
    let sent = script.heard(link);
    let Body::HandleTableResponse { pools, .. } = Message::parse(&sent[0]).unwrap().body else {
        panic!()
    };
    assert_eq!(pools.iter().count(), 1);
}

#[test]
fn its_table_pages_have_at_most_1400_bytes_and_every_element_once() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    for pe in 1..=500 {
        script.register(&format!("pool-{}", pe % 3), pe, TransportKind::Sctp);
    }
    script.heard(link);
    let mut found = Vec::new();
    loop {
        script.say(link, OTHER, Body::HandleTableRequest { own_only: true });
        let sent = script.heard(link);
        assert_eq!(sent.len(), 1);
        assert!(sent[0].len() <= 1400 && sent[0][0] == TABLE_RESPONSE);
        let message = Message::parse(&sent[0]).unwrap();
        let Body::HandleTableResponse { rejected, more, pools } = message.body else { panic!() };
        assert!(!rejected);
        for pool in pools.iter() {
            for element in pool.elements.iter() {
                assert!(element.asap_transport.is_some() && element.home == ME);
                found.push(element.pe.get());
            }
        }
        if !more {
            break;
        }
    }
    found.sort_unstable();
    assert_eq!(found, (1..=500).collect::<Vec<_>>());
    // The next request begins anew.
    script.say(link, OTHER, Body::HandleTableRequest { own_only: true });
    let sent = script.heard(link);
    let Body::HandleTableResponse { more, .. } = Message::parse(&sent[0]).unwrap().body else {
        panic!()
    };
    assert!(more);
}

#[test]
fn a_table_is_refused_to_whom_did_not_introduce_himself() {
    let mut script = Script::serving();
    let link = script.accept(super::script::peer_host(2)).unwrap();
    script.say(link, OTHER, Body::HandleTableRequest { own_only: false });
    let sent = script.heard(link);
    let response = sent.iter().find(|bytes| bytes[0] == TABLE_RESPONSE).unwrap();
    let Body::HandleTableResponse { rejected, .. } = Message::parse(response).unwrap().body else {
        panic!()
    };
    assert!(rejected);
}

#[test]
fn its_elements_live_here_for_their_registration_life_and_no_longer() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    script.update(link, OTHER, Update::add(7, OTHER));
    assert_eq!(script.home(7), Some(OTHER));
    for _ in 0..44 {
        script.pass(SECOND * 2);
        script.appear(link, 2, OTHER, checksum(&[7]));
    }
    assert_eq!(script.home(7), Some(OTHER));
    script.pass(SECOND * 3);
    assert_eq!(script.home(7), None, "after 90 seconds");
}

#[test]
fn a_checksum_that_stays_different_asks_for_its_whole_table() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, checksum(&[7]));
    script.update(link, OTHER, Update::add(8, OTHER));
    script.pass(SECOND);
    // The audit at the beginning is refused.
    script.say(
        link,
        OTHER,
        Body::HandleTableResponse { rejected: true, more: false, pools: Pools::EMPTY },
    );
    script.heard(link);
    let mut asked = false;
    for _ in 0..20 {
        script.pass(SECOND);
        script.appear(link, 2, OTHER, checksum(&[7]));
        let sent = script.heard(link);
        asked |= sent.iter().any(|bytes| bytes[..2] == [TABLE_REQUEST, 1]);
        if asked {
            break;
        }
    }
    assert!(asked, "for its own elements");
    let (asap, handle) = ([pe_host(7)], PoolHandle::new(b"pool"));
    let seven = Element {
        home: RegistrarId::new(OTHER),
        asap_transport: Some(Transport::sctp(1, ChannelUse::Data, Addresses::List(&asap))),
        ..element(7, Policy::RoundRobin)
    };
    let elements = [seven];
    let pools = [Pool { handle, elements: Elements::list(&elements) }];
    let pools = Pools::list(&pools);
    script.say(link, OTHER, Body::HandleTableResponse { rejected: false, more: false, pools });
    assert_eq!((script.home(7), script.home(8)), (Some(OTHER), None));
}

#[test]
fn the_checksum_of_thousands_of_elements_is_told_as_rsplib_sums_them_up() {
    for (form, expected) in [(ChecksumForm::Wrapped, 0xcab2), (ChecksumForm::Exact, 0xc9b2)] {
        let mut script = Script::with(|config| config.checksum_form = form);
        for pe in 1..=8042 {
            script.register(&"z".repeat(32), pe, TransportKind::Sctp);
        }
        let link = script.peer(2, OTHER, 0xffff);
        let sent = script.heard(link);
        let presence = sent.iter().find(|bytes| bytes[0] == PRESENCE).unwrap();
        let Body::Presence { checksum, .. } = Message::parse(presence).unwrap().body else {
            panic!()
        };
        assert_eq!(checksum, Some(expected));
    }
}

#[test]
fn either_checksum_of_thousands_of_elements_is_right() {
    let pes: Vec<u32> = (0xffff_0000..0xffff_8000).collect();
    let mut sum = PeChecksum::default();
    for &pe in &pes {
        sum.add(PeChecksum::of(PoolHandle::new(b"pool"), PeId::new(pe)));
    }
    let forms = [sum.finish(), sum.finish_wrapped()];
    assert_ne!(forms[0], forms[1]);
    for (told, right) in [(forms[0], true), (forms[1], true), (forms[0] ^ 0x1100, false)] {
        let mut script = Script::serving();
        let link = script.peer(2, OTHER, 0xffff);
        // The audit at the beginning is refused.
        let pools = Pools::EMPTY;
        script.say(link, OTHER, Body::HandleTableResponse { rejected: true, more: false, pools });
        for &pe in &pes {
            script.update(link, OTHER, Update::add(pe, OTHER));
        }
        script.heard(link);
        let mut asked = false;
        for _ in 0..20 {
            script.pass(SECOND);
            script.appear(link, 2, OTHER, told);
            asked |= script.heard(link).iter().any(|bytes| bytes[0] == TABLE_REQUEST);
        }
        assert_eq!(asked, !right);
    }
}

#[test]
fn it_may_take_an_element_over_by_an_update_and_we_may_take_it_back() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    script.update(link, OTHER, Update::add(7, OTHER));
    script.register("pool", 7, TransportKind::Sctp);
    assert_eq!(script.home(7), Some(ME.get()));
    script.heard(link);
    // Its update comes late: the element is right here.
    script.update(link, OTHER, Update::add(7, OTHER));
    assert_eq!(script.home(7), Some(ME.get()));
    assert_eq!(script.heard_types(link), [UPDATE], "and it hears so");
    script.update(link, OTHER, Update::delete(7, OTHER));
    assert_eq!(script.home(7), Some(ME.get()), "a delete counts from the home only");
}

#[test]
fn the_list_names_neither_whom_it_is_for_nor_us() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    script.peer(3, 0x3333_3333, 0xffff);
    script.heard(link);
    script.say(link, OTHER, Body::ListRequest);
    let sent = script.heard(link);
    let Body::ListResponse { rejected, servers } = Message::parse(&sent[0]).unwrap().body else {
        panic!()
    };
    assert!(!rejected);
    let ids: Vec<_> = servers.iter().map(|server| server.registrar.get()).collect();
    assert_eq!(ids, [0x3333_3333]);
}

#[test]
fn it_is_asked_when_it_is_silent_and_taken_over_when_it_stays_so() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, checksum(&[7]));
    let third = script.peer(3, 0x3333_3333, 0xffff);
    script.update(link, OTHER, Update::add(7, OTHER));
    script.pass(SECOND * 4);
    script.appear(third, 3, 0x3333_3333, 0xffff);
    script.heard(link);
    script.heard(third);
    script.pass(SECOND + SECOND / 10);
    let asked = script.heard(link);
    assert!(asked.iter().any(|bytes| bytes[..2] == [PRESENCE, 1]), "{asked:?}");
    script.pass(SECOND * 2);
    let begun = script.heard_types(third);
    assert!(begun.contains(&INIT_TAKEOVER) && !begun.contains(&TAKEOVER_SERVER), "{begun:?}");
    script.say(third, 0x3333_3333, Body::InitTakeoverAck { target: RegistrarId::new(OTHER) });
    assert_eq!(script.home(7), Some(ME.get()));
    assert!(script.heard_types(third).contains(&TAKEOVER_SERVER));
    let address = script.shard.peer(script.called[0]).unwrap().address;
    assert_eq!(address, core::net::SocketAddr::new(pe_host(7), 40_000), "the element is called");
}

#[test]
fn an_element_that_leaves_it_for_our_call_is_kept_and_called_again() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, checksum(&[7]));
    script.update(link, OTHER, Update::add(7, OTHER));
    script.pass(SECOND * 9);
    assert_eq!(script.home(7), Some(ME.get()), "taken over, and called");
    // It was cut off only, and still has the element.
    let link = script.peer(2, OTHER, checksum(&[7]));
    script.update(link, OTHER, Update::add(7, OTHER));
    assert_eq!(script.home(7), Some(OTHER), "given back");
    script.update(link, OTHER, Update::delete(7, OTHER));
    assert_eq!(script.home(7), Some(ME.get()), "the call may be why it left");
    script.pass(SECOND * 30);
    assert_eq!(script.home(7), None, "it never answers");
    // What left long after the call left for another reason.
    script.update(link, OTHER, Update::add(8, OTHER));
    script.update(link, OTHER, Update::delete(8, OTHER));
    assert_eq!(script.home(8), None);
}

#[test]
fn consent_to_its_takeover_is_given_once_the_target_is_silent_to_us_too() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    let target = script.peer(3, 0x3333_3333, 0xffff);
    script.heard(link);
    let body = Body::InitTakeover { target: RegistrarId::new(0x3333_3333) };
    script.say(link, OTHER, body);
    assert!(!script.heard_types(link).contains(&ACK), "it was heard a moment ago");
    assert!(script.heard(target).iter().any(|bytes| bytes[..2] == [PRESENCE, 1]), "it is asked");
    script.say(link, OTHER, body);
    assert!(script.heard_types(link).contains(&ACK), "it does not answer");
    script.update(target, 0x3333_3333, Update::add(7, 0x3333_3333));
    script.say(link, OTHER, body);
    assert!(!script.heard_types(link).contains(&ACK), "any word of it counts");
}

#[test]
fn a_takeover_of_this_registrar_is_answered_by_presences_to_all() {
    let mut script = Script::serving();
    let link = script.peer(2, OTHER, 0xffff);
    let third = script.peer(3, 0x3333_3333, 0xffff);
    script.heard(link);
    script.heard(third);
    script.say(link, OTHER, Body::InitTakeover { target: ME });
    assert!(script.heard_types(link).contains(&PRESENCE));
    assert!(script.heard_types(third).contains(&PRESENCE));
}

#[test]
fn its_start_from_us_as_mentor_is_served_in_any_order() {
    let mut script = Script::serving();
    script.register("pool", 1, TransportKind::Sctp);
    let link = script.peer(2, OTHER, 0xffff);
    script.say(link, OTHER, Body::ListRequest);
    script.say(link, OTHER, Body::HandleTableRequest { own_only: false });
    let types = script.heard_types(link);
    assert!(types.contains(&LIST_RESPONSE) && types.contains(&TABLE_RESPONSE), "{types:?}");
    assert!(types.contains(&LIST_REQUEST), "and we ask whom it knows");
}
