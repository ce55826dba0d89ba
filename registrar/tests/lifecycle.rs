//! Start, stop and start again; what refuses to start says why.

mod peer;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peer::{Peer, any_port, eventually, options, registrar, registration, resolution, resolved};
use rserpool_registrar::{AsapAddress, Options, StartError, check, start};

#[test]
fn a_stop_answers_what_came_and_closes_all() {
    let running = registrar(2);
    let mut idle: Vec<Peer> = (0..20).map(|_| Peer::of(&running)).collect();
    idle[0].ask(&registration(b"a", 1));
    let mut asking = Peer::of(&running);
    let requests: Vec<u8> = (0..100_u32).flat_map(|pool| resolution(&pool.to_be_bytes())).collect();
    asking.send(&requests);
    assert_eq!(asking.message()[0], 6);
    let began = Instant::now();
    let summary = running.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(asking.until_closed(), [6; 99]);
    for peer in &mut idle {
        assert_eq!(peer.until_closed(), [0_u8; 0]);
    }
    let traffic = summary.stats.traffic();
    assert_eq!((traffic.accepted, traffic.messages), (21, 101));
    assert_eq!(summary.stats.connections(), 0);
}

#[test]
fn a_stop_does_not_wait_for_who_does_not_read() {
    let running = registrar(2);
    let mut peer = Peer::of(&running);
    peer.ask(&registration(b"a", 1));
    peer.stuff(&resolution(b"a").repeat(1000));
    let began = Instant::now();
    running.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_dropped_registrar_stops() {
    let running = registrar(2);
    let address = running.asap_tcp()[0];
    let mut peer = Peer::of(&running);
    drop(running);
    assert_eq!(peer.until_closed(), [0_u8; 0]);
    let error = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn registrars_of_one_process_know_nothing_of_each_other() {
    let (first, second) = (registrar(2), registrar(1));
    assert_ne!(first.asap_tcp(), second.asap_tcp());
    let (mut one, mut other) = (Peer::of(&first), Peer::of(&second));
    one.ask(&registration(b"a", 1));
    other.ask(&registration(b"a", 2));
    assert_eq!(resolved(&one.ask(&resolution(b"a"))), [1]);
    assert_eq!(resolved(&other.ask(&resolution(b"a"))), [2]);
    first.stop().unwrap();
    assert_eq!(one.until_closed(), [0_u8; 0]);
    assert_eq!(resolved(&other.ask(&resolution(b"a"))), [2]);
}

#[test]
fn its_port_is_free_for_the_next_one() {
    let mut options = options(2);
    for round in 0..5 {
        let running = start(&options).unwrap();
        let address = running.asap_tcp()[0];
        options.asap = vec![AsapAddress::Tcp(address)];
        let mut peer = Peer::of(&running);
        assert_eq!(
            resolved(&peer.ask(&resolution(b"a"))),
            [0_u32; 0],
            "nothing of round {round} is left"
        );
        peer.ask(&registration(b"a", 1));
        // The registrar closes first: its side of the connection lingers in
        // the kernel.
        running.stop().unwrap();
        assert_eq!(peer.until_closed(), [0_u8; 0]);
    }
}

#[test]
fn there_may_be_more_shards_than_cpus() {
    let cpus = registrar(1).bound().cpus.clone();
    assert_eq!(cpus.len(), 1);
    let running = registrar(7);
    assert_eq!(running.bound().cpus.len(), 7);
    let mut peer = Peer::of(&running);
    for pool in 0..50_u32 {
        assert_eq!(peer.ask(&registration(&pool.to_be_bytes(), 1))[..2], [3, 0]);
    }
    let stats = running.stats();
    assert_eq!((stats.shards.len(), stats.pools()), (7, 50));
}

#[test]
fn all_addresses_are_served() {
    let any: SocketAddr = "[::1]:0".parse().unwrap();
    let mut options = Options { asap: vec![any_port(), any_port()], ..options(2) };
    if std::net::TcpListener::bind(any).is_ok() {
        options.asap.push(AsapAddress::Tcp(any));
    }
    let running = start(&options).unwrap();
    assert_eq!(running.asap_tcp().len(), options.asap.len());
    let addresses = running.asap_tcp().to_vec();
    for (pe, &address) in (1..).zip(&addresses) {
        let mut peer = Peer::connect(address);
        assert_eq!(peer.ask(&registration(b"a", pe))[..2], [3, 0]);
        assert_eq!(resolved(&peer.ask(&resolution(b"a"))), [pe]);
        drop(peer);
        eventually("its element is gone", || running.stats().elements() == 0);
    }
}

#[test]
fn a_port_in_use_is_refused_before_anything_runs() {
    let running = registrar(2);
    let taken = Options { asap: vec![AsapAddress::Tcp(running.asap_tcp()[0])], ..options(2) };
    for result in [start(&taken).map(drop), check(&taken).map(drop)] {
        let error = result.unwrap_err();
        let StartError::Bind { address, source, .. } = &error else { panic!("{error}") };
        assert_eq!(*address, running.asap_tcp()[0]);
        assert_eq!(source.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("in use"), "{error}");
    }
    // The same address twice contradicts itself.
    let mut twice = options(1);
    let free = {
        let running = start(&twice).unwrap();
        AsapAddress::Tcp(running.asap_tcp()[0])
    };
    twice.asap = vec![free, free];
    assert!(matches!(start(&twice), Err(StartError::Options(_))));
}

#[test]
fn an_address_of_another_host_is_refused() {
    let foreign = AsapAddress::Tcp("192.0.2.1:3863".parse().unwrap());
    let error = start(&Options { asap: vec![foreign], ..options(1) }).unwrap_err();
    assert!(error.to_string().contains("192.0.2.1:3863 is no address of this host"), "{error}");
}

#[test]
fn a_check_says_what_a_start_would_bind_and_binds_nothing() {
    let address = {
        let running = registrar(1);
        running.asap_tcp()[0]
    };
    let options = Options { asap: vec![AsapAddress::Tcp(address)], ..options(2) };
    let bound = check(&options).unwrap();
    assert_eq!((bound.asap_tcp.as_slice(), bound.cpus.len()), ([address].as_slice(), 2));
    assert_eq!(start(&options).unwrap().asap_tcp(), [address]);
}

#[test]
fn an_identifier_is_drawn_if_none_is_given() {
    let drawn = |_| {
        let running = start(&Options { id: None, ..options(1) }).unwrap();
        running.bound().id.get()
    };
    let ids: Vec<u32> = (0..3).map(drawn).collect();
    assert!(!ids.contains(&0));
    assert!(ids[0] != ids[1] || ids[1] != ids[2], "{ids:x?}");
}
