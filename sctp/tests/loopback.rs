//! The user-space link over real UDP sockets on loopback.

#[cfg(test)]
mod links;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use links::{Links, PPID, on};
use rserpool_sctp::endpoint::Config;
use rserpool_sctp::udp::{Bind, Pin};
use rserpool_sctp::{AssocId, DownReason, Event, Link, Message, Side};

fn listening() -> Config {
    Config { listen: vec![3863, 9901], ..Config::default() }
}

/// An association over this address, and messages of all sizes both ways.
fn talk(address: &str) {
    let mut links = Links::new();
    let server = links.open(&on(address, 1), &listening());
    let client = links.open(&on(address, 1), &Config::default());
    let to = links.udp(server);
    let id = links.connect(client, to, 3863, None);
    links.run(|links| links.ups(client).len() == 1 && links.ups(server).len() == 1);
    let theirs = links.ups(server)[0];
    assert_eq!(theirs.peer.ip(), to.ip());
    assert_eq!((theirs.side, theirs.local_port), (Side::Accepted, 3863));
    for length in [1, 100, 1436, 1437, 10_000, 65_536] {
        let data: Vec<u8> = (0..length).map(|at: u32| at.to_be_bytes()[3]).collect();
        links.send(client, id, &data);
        links.send(server, theirs.id, &data);
    }
    links.run(|links| links.messages(client).len() == 6 && links.messages(server).len() == 6);
    for link in [client, server] {
        let lengths: Vec<usize> = links.messages(link).iter().map(|it| it.data.len()).collect();
        assert_eq!(lengths, [1, 100, 1436, 1437, 10_000, 65_536]);
        let whole =
            |it: &&Message| (0u32..).zip(&it.data).all(|(at, byte)| at.to_be_bytes()[3] == *byte);
        assert!(links.messages(link).iter().all(whole));
    }
    links.links[client].shutdown(Instant::now(), id);
    links.run(|links| !links.downs(client).is_empty() && !links.downs(server).is_empty());
    assert_eq!(
        (links.downs(client), links.downs(server)),
        (vec![DownReason::Closed], vec![DownReason::Closed])
    );
}

#[test]
fn messages_go_both_ways_over_ipv4() {
    talk("127.0.0.1");
}

#[test]
fn messages_go_both_ways_over_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        talk("::1");
    }
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    // Bound to everything, so that the kernel would choose the first one.
    let mut links = Links::new();
    let server = links.open(&Bind { port: 0, ..Bind::default() }, &listening());
    let client = links.open(&on("127.0.0.1", 1), &Config::default());
    let to = SocketAddr::new(IpAddr::from([127, 0, 0, 77]), links.udp(server).port());
    links.connect(client, to, 3863, None);
    links.run(|links| links.ups(client).len() == 1 && links.ups(server).len() == 1);
    assert_eq!(links.ups(client)[0].peer.ip(), to.ip());
    let from = links.ups(server)[0].peer.ip();
    assert_eq!(from, IpAddr::from([127, 0, 0, 1]), "IPv4 is IPv4 on a socket of both families");
}

#[test]
fn a_port_without_listener_refuses() {
    let mut links = Links::new();
    let server = links.open(&on("127.0.0.1", 1), &listening());
    let client = links.open(&on("127.0.0.1", 1), &Config::default());
    let to = links.udp(server);
    links.connect(client, to, 4000, None);
    links.run(|links| !links.downs(client).is_empty());
    assert_eq!(links.downs(client), [DownReason::Refused]);
}

#[test]
fn every_packet_finds_the_shard_of_its_association() {
    let mut links = Links::new();
    let first = links.open(&on("127.0.0.1", 2), &listening());
    let client = links.open(&on("127.0.0.1", 1), &Config::default());
    let to = links.udp(first);
    let ids: Vec<AssocId> = (0..60).map(|_| links.connect(client, to, 3863, None)).collect();
    links.run(|links| links.ups(client).len() == 60);
    for id in &ids {
        for _ in 0..5 {
            links.send(client, *id, &[7; 3000]);
        }
    }
    let shards = [first, first + 1];
    let arrived =
        |links: &Links| shards.iter().map(|shard| links.messages(*shard).len()).sum::<usize>();
    links.run(|links| arrived(links) == 300);
    for shard in shards {
        let ups = links.ups(shard);
        assert!((15..=45).contains(&ups.len()), "{} on one shard", ups.len());
        assert!(ups.iter().all(|up| usize::from(up.peer.port()) % 2 == shard - first));
        let stats = links.links[shard].stats();
        assert_eq!((stats.out_of_the_blue, stats.cookies_forged), (0, 0));
    }
    // An association that a shard opens is answered to that shard, too.
    let port = links.udp(client);
    assert!(port.port() != 0);
    for shard in shards {
        let peer = links.open(&on("127.0.0.1", 1), &listening());
        let to = links.udp(peer);
        let before = links.ups(shard).len();
        links.connect(shard, to, 9901, None);
        links.run(|links| links.ups(shard).len() == before + 1);
    }
}

#[test]
fn a_pinned_port_is_answered_by_its_shard_only() {
    let mut links = Links::new();
    let pins = vec![Pin { port: 9901, shard: 1 }];
    let first = links.open(&Bind { pins, ..on("127.0.0.1", 3) }, &listening());
    let client = links.open(&on("127.0.0.1", 1), &listening());
    let to = links.udp(first);
    for local in [9901, 5000, 5001, 5002, 5003] {
        links.connect(client, to, 9901, Some(local));
    }
    links.run(|links| links.ups(client).len() == 5);
    links.run(|links| links.ups(first + 1).len() == 5);
    assert_eq!((links.ups(first).len(), links.ups(first + 2).len()), (0, 0));
}

#[test]
fn a_peer_that_restarts_on_its_port_is_the_same_association() {
    let mut links = Links::new();
    let server = links.open(&on("127.0.0.1", 1), &listening());
    let to = links.udp(server);
    let client = links.open(&on("127.0.0.1", 1), &Config::default());
    let place = links.udp(client);
    links.connect(client, to, 3863, Some(5000));
    links.run(|links| links.ups(server).len() == 1);
    // It is gone without a word, and back on the same ports.
    drop(links.links.pop());
    links.events.pop();
    let again = Bind { port: place.port(), ..on("127.0.0.1", 1) };
    let client = links.open(&again, &Config::default());
    let id = links.connect(client, to, 3863, Some(5000));
    links.run(|links| links.ups(client).len() == 1);
    links.send(client, id, b"back");
    links.run(|links| links.messages(server).len() == 1);
    let restarted = |event: &&Event| matches!(event, Event::Restarted { .. });
    assert_eq!(links.events[server].iter().filter(restarted).count(), 1);
    assert_eq!(links.ups(server).len(), 1);
}

#[test]
fn nobody_listening_at_all_does_not_disturb_the_link() {
    let mut links = Links::new();
    let server = links.open(&on("127.0.0.1", 1), &listening());
    let client = links.open(&on("127.0.0.1", 1), &Config::default());
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    links.connect(client, closed, 3863, None);
    let to = links.udp(server);
    links.connect(client, to, 3863, None);
    links.run(|links| links.ups(client).len() == 1);
}

/// A peer over this address whose process is gone is noticed by the next
/// message, and others are not disturbed.
fn notice(address: &str) {
    let mut links = Links::new();
    let client = links.open(&on(address, 1), &Config::default());
    let living = links.open(&on(address, 1), &listening());
    let dying = links.open(&on(address, 1), &listening());
    let (to_living, to_dying) = (links.udp(living), links.udp(dying));
    let kept = links.connect(client, to_living, 3863, None);
    let lost = links.connect(client, to_dying, 3863, None);
    links.run(|links| links.ups(client).len() == 2);
    drop(links.links.pop());
    links.events.pop();
    let begin = Instant::now();
    for number in 0..20 {
        let _ = links.links[client].send(begin, lost, 0, PPID, &[1]);
        links.send(client, kept, &[number]);
    }
    links.run(|links| !links.downs(client).is_empty());
    // The first time-out of a retransmission is far longer.
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    assert_eq!(links.downs(client), [DownReason::System(libc::ECONNREFUSED)]);
    links.run(|links| links.messages(living).len() == 20);
    assert_eq!(links.links[client].unsendable(), 0);
}

#[test]
fn a_peer_whose_process_is_gone_is_noticed_at_once_over_ipv4() {
    notice("127.0.0.1");
}

#[test]
fn a_peer_whose_process_is_gone_is_noticed_at_once_over_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        notice("::1");
    }
}
