//! Registrars of one group, over real sockets: they know each other's pool
//! elements, and take over those of one that is gone.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod peer;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use peer::{Peer, deregistration, eventually, options, registration, resolution, resolved};
use rserpool_engine::RegistrarId;
use rserpool_registrar::{
    AdminAddress, Announce, AsapAddress, EnrpAddress, GroupOptions, Options, PeerAddress, Running,
    start,
};
use serde_json::{Value, json};

/// How long a silent registrar is waited for, in these tests.
const SILENCE: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_millis(400);

/// A member of a group, by TCP on loopback.
fn member(id: u32, peers: &[&Running]) -> Options {
    let peers = peers.iter().map(|peer| PeerAddress(AsapAddress::Tcp(peer.bound().enrp_tcp[0])));
    Options {
        id: Some(RegistrarId::new(id)),
        announce: vec![Announce::Off],
        // The elements of these tests are silent.
        keep_alive_interval: Duration::ZERO,
        group: GroupOptions {
            enrp: vec![EnrpAddress::At(peer::any_port())],
            peer: peers.collect(),
            peer_heartbeat: Some(Duration::from_millis(100)),
            peer_silence: Some(SILENCE),
            peer_patience: Some(PATIENCE),
            ..GroupOptions::default()
        },
        ..options(2)
    }
}

/// The elements of a pool that a registrar knows; none also if it does not
/// serve yet.
fn known(registrar: &Running, handle: &[u8]) -> Vec<u32> {
    let Some(answer) = try_ask(registrar, &all_of(handle)) else { return Vec::new() };
    let mut elements = resolved(&answer);
    elements.sort_unstable();
    elements
}

#[test]
fn what_one_registrar_takes_all_know_and_what_it_loses_too() {
    let first = start(&member(1, &[])).unwrap();
    let second = start(&member(2, &[&first])).unwrap();
    let third = start(&member(3, &[&first])).unwrap();
    for registrar in [&second, &third] {
        eventually("service", || serves(registrar));
    }
    let mut at_second = Peer::of(&second);
    at_second.ask(&registration(b"pool", 7));
    let mut at_third = Peer::of(&third);
    at_third.ask(&registration(b"pool", 8));
    for registrar in [&first, &second, &third] {
        eventually("both elements", || known(registrar, b"pool") == [7, 8]);
    }
    at_second.ask(&deregistration(b"pool", 7));
    for registrar in [&first, &second, &third] {
        eventually("the deregistration", || known(registrar, b"pool") == [8]);
    }
}

#[test]
fn a_registrar_that_is_gone_is_taken_over_in_time_and_back_when_it_restarts() {
    let first = start(&member(1, &[])).unwrap();
    let second = start(&member(2, &[&first])).unwrap();
    eventually("service", || serves(&second));
    let mut elements = Peer::of(&second);
    for pe in 1..=50 {
        elements.ask(&registration(b"pool", pe));
    }
    let all: Vec<u32> = (1..=50).collect();
    eventually("all elements", || known(&first, b"pool").len() == 50);
    // Its elements lose their association with it, and say nothing.
    drop(second);
    std::mem::forget(elements);
    let gone = Instant::now();
    while home_of(&first, b"pool") != Some(1) {
        assert!(gone.elapsed() < SILENCE + PATIENCE + Duration::from_secs(10), "taken over");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(known(&first, b"pool"), all, "none is lost");
    let again = start(&member(2, &[&first])).unwrap();
    eventually("a start from the mentor", || known(&again, b"pool") == all);
}

#[test]
fn a_fresh_registrar_serves_when_it_has_its_mentors_handlespace() {
    let mentor = start(&member(1, &[])).unwrap();
    let mut elements = Peer::of(&mentor);
    for pe in 1..=3000 {
        elements.ask(&registration(format!("pool-{}", pe % 10).as_bytes(), pe));
    }
    let fresh = start(&member(2, &[&mentor])).unwrap();
    eventually("service", || serves(&fresh));
    // The first answers have all: connections were refused before.
    assert_eq!(fresh.stats().elements(), 3000);
}

#[test]
fn operators_see_the_group_over_http() {
    let admin = AdminAddress::At("127.0.0.1:0".parse().unwrap());
    let first = start(&Options { admin, ..member(1, &[]) }).unwrap();
    let second = start(&member(2, &[&first])).unwrap();
    eventually("service", || serves(&second));
    let mut at_second = Peer::of(&second);
    at_second.ask(&registration(b"pool", 7));
    let ask = || -> Value {
        let mut stream = TcpStream::connect(first.bound().admin.unwrap()).unwrap();
        stream.write_all(b"GET /v1/peers HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    eventually("equal checksums", || {
        let peer = &ask()["peers"][0];
        peer["elements"] == 1 && peer["checksum"] == peer["checksum_told"]
    });
    let group = ask();
    assert_eq!((&group["identifier"], &group["state"]), (&json!("0x00000001"), &json!("serving")));
    assert_eq!((&group["elements"], &group["checksum"]), (&json!(0), &json!("0xffff")));
    let peer = &group["peers"][0];
    assert_eq!(peer["identifier"], "0x00000002");
    assert_eq!(peer["address"], format!("tcp://{}", second.bound().enrp_tcp[0]));
    assert_eq!((&peer["state"], &peer["kin"]), (&json!("alive"), &json!(true)));
    assert!(peer["last_heard_ms"].as_u64().unwrap() < 10_000);
    assert!(group["peers"][1].is_null());
}

/// The answer to a request; `None` if the registrar does not serve.
fn try_ask(registrar: &Running, request: &[u8]) -> Option<Vec<u8>> {
    let mut user = Peer::of(registrar);
    if user.try_send(request) { user.next() } else { None }
}

fn serves(registrar: &Running) -> bool {
    try_ask(registrar, &resolution(b"nothing")).is_some()
}

/// The home of the first element of a pool.
fn home_of(registrar: &Running, handle: &[u8]) -> Option<u32> {
    let answer = try_ask(registrar, &resolution(handle))?;
    // Header, pool handle, policy, then the Pool Element: type, length, PE
    // identifier, home.
    let at = 4 + 4 + handle.len().next_multiple_of(4) + 8 + 8;
    Some(u32::from_be_bytes(answer.get(at..at + 4)?.try_into().ok()?))
}

/// A resolution with the option for as many pool elements as possible.
fn all_of(handle: &[u8]) -> Vec<u8> {
    let mut request = resolution(handle);
    request.extend([0x80, 0x3f, 0, 8, 0xff, 0xff, 0xff, 0xff]);
    let length = u16::try_from(request.len()).unwrap();
    request[2..4].copy_from_slice(&length.to_be_bytes());
    request
}

#[test]
fn registrars_are_a_group_over_sctp_over_udp_too() {
    // One UDP port for all of a group, so one loopback address for each.
    let at = |ip: [u8; 4], port| {
        let address = AsapAddress::SctpUdp((ip, port).into());
        Options {
            group: GroupOptions { enrp: vec![EnrpAddress::At(address)], ..member(1, &[]).group },
            ..member(u32::from(ip[3]), &[])
        }
    };
    let first = start(&at([127, 0, 0, 1], 0)).unwrap();
    let port = first.bound().enrp_sctp_udp[0].port();
    let mut options = at([127, 0, 0, 2], port);
    options.group.peer = vec![PeerAddress(AsapAddress::SctpUdp(first.bound().enrp_sctp_udp[0]))];
    let second = start(&options).unwrap();
    eventually("service", || serves(&second));
    let (mut here, mut there) = (Peer::of(&first), Peer::of(&second));
    here.ask(&registration(b"pool", 1));
    there.ask(&registration(b"pool", 2));
    for registrar in [&first, &second] {
        eventually("both elements", || known(registrar, b"pool") == [1, 2]);
    }
}
