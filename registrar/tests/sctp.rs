//! ASAP over SCTP over UDP, end to end over loopback: what RFC 5352 wants of
//! an association, and what a peer may not do with one.

mod peer;
mod sctp_peer;

use std::time::{Duration, Instant};

use peer::{Peer, deregistration, eventually, keep_alive_ack, resolution, resolved};
use rserpool_registrar::{AsapAddress, Options, start};
use rserpool_sctp::{DownReason, Tuning};
use sctp_peer::{ENRP, Host, options, registrar, registration};

#[test]
fn pool_elements_register_and_pool_users_find_them() {
    let running = registrar(2);
    let mut host = Host::new();
    let (element, user) = (host.connect(&running), host.connect(&running));
    for pool in 0..20_u32 {
        let handle = pool.to_be_bytes();
        assert_eq!(host.ask(element, &registration(&handle, 7))[..2], [3, 0]);
        assert_eq!(resolved(&host.ask(user, &resolution(&handle))), [7]);
        assert_eq!(host.ask(element, &deregistration(&handle, 7))[0], 4);
        assert!(resolved(&host.ask(user, &resolution(&handle))).is_empty());
    }
    let stats = running.stop().unwrap().stats;
    assert_eq!(stats.traffic().accepted, 2);
}

#[test]
fn tcp_and_sctp_share_the_pools() {
    let both = Options {
        asap: vec![peer::any_port(), AsapAddress::SctpUdp("127.0.0.1:0".parse().unwrap())],
        ..peer::options(2)
    };
    let running = start(&both).unwrap();
    let mut host = Host::new();
    let association = host.connect(&running);
    let mut connection = Peer::of(&running);
    host.ask(association, &registration(b"a", 1));
    connection.ask(&peer::registration(b"a", 2));
    let mut found = resolved(&connection.ask(&resolution(b"a")));
    found.sort_unstable();
    assert_eq!(found, [1, 2]);
    // Round robin goes on where the other transport's user was served.
    assert_eq!(resolved(&host.ask(association, &resolution(b"a")))[0], 2);
}

#[test]
fn answers_keep_the_order_of_the_requests() {
    let running = registrar(3);
    let mut host = Host::new();
    let id = host.connect(&running);
    let handles: Vec<Vec<u8>> = (0..300_u32).map(|pool| pool.to_be_bytes().to_vec()).collect();
    for handle in &handles {
        host.send(id, &resolution(handle));
    }
    for handle in &handles {
        assert_eq!(peer::handle_of(&host.message(id)), handle);
    }
}

#[test]
fn who_does_not_answer_keep_alives_goes_and_who_does_stays() {
    let running = start(&Options {
        keep_alive_interval: Duration::from_millis(200),
        keep_alive_timeout: Duration::from_secs(2),
        ..options(2, "127.0.0.1")
    })
    .unwrap();
    let mut host = Host::new();
    let id = host.connect(&running);
    host.ask(id, &registration(b"a", 1));
    host.ask(id, &registration(b"b", 2));
    let begin = Instant::now();
    while running.stats().elements() == 2 {
        assert!(begin.elapsed() < peer::PATIENCE);
        host.work(Duration::from_millis(10));
        while host.unread(id) > 0 {
            let keep_alive = host.message(id);
            assert_eq!(keep_alive[0], 7);
            if keep_alive[12..13] == *b"a" {
                host.send(id, &keep_alive_ack(b"a", 1));
            }
        }
    }
    // Keep-alives go on meanwhile.
    let mut resolve = |handle: &[u8]| {
        host.send(id, &resolution(handle));
        loop {
            let message = host.message(id);
            if message[0] != 7 {
                return resolved(&message);
            }
        }
    };
    assert!(resolve(b"b").is_empty());
    assert_eq!(resolve(b"a"), [1]);
}

#[test]
fn a_lost_association_takes_its_elements_along_at_once() {
    let running = registrar(2);
    let mut host = Host::new();
    let stays = host.connect(&running);
    host.ask(stays, &registration(b"a", 1));
    for graceful in [true, false] {
        let goes = host.connect(&running);
        host.ask(goes, &registration(b"a", 2));
        host.ask(goes, &registration(b"b", 2));
        assert_eq!(running.stats().elements(), 3);
        if graceful {
            host.shutdown(goes);
            assert_eq!(host.down(goes), DownReason::Closed);
        } else {
            host.abort(goes);
        }
        eventually("its elements are gone", || running.stats().elements() == 1);
    }
    assert_eq!(resolved(&host.ask(stays, &resolution(b"a"))), [1]);
}

#[test]
fn a_peer_that_falls_silent_is_given_up_by_heartbeats() {
    let mut options = options(1, "127.0.0.1");
    options.keep_alive_interval = Duration::ZERO;
    options.sctp.heartbeat_interval = Duration::from_millis(200);
    options.sctp.rto_initial = Duration::from_millis(100);
    options.sctp.rto_min = Duration::from_millis(100);
    options.sctp.rto_max = Duration::from_millis(200);
    options.sctp.max_retransmissions = 2;
    let running = start(&options).unwrap();
    let mut host = Host::new();
    let id = host.connect(&running);
    host.ask(id, &registration(b"a", 1));
    // Nobody works for it any more.
    eventually("its element is gone", || running.stats().elements() == 0);
    eventually("it is forgotten", || running.stats().connections() == 0);
}

#[test]
fn an_association_that_is_silent_because_it_has_nothing_to_say_stays() {
    let mut options = options(1, "127.0.0.1");
    options.keep_alive_interval = Duration::ZERO;
    options.message_timeout = Duration::from_millis(200);
    let running = start(&options).unwrap();
    let mut host = Host::new();
    let (speaks, never) = (host.connect(&running), host.connect(&running));
    host.ask(speaks, &registration(b"a", 1));
    // Whoever never says anything makes room in the end.
    assert_eq!(host.down(never), DownReason::Closed);
    let begin = Instant::now();
    while begin.elapsed() < 3 * options.message_timeout {
        host.work(Duration::from_millis(10));
    }
    assert_eq!(resolved(&host.ask(speaks, &resolution(b"a"))), [1]);
}

#[test]
fn a_peer_that_restarts_begins_without_elements() {
    let running = registrar(2);
    let mut host = Host::new();
    let id = host.begin(&running, Some(5000));
    host.run("association", |host| host.is_up(id));
    host.ask(id, &registration(b"a", 1));
    let port = host.udp_port();
    drop(host);
    let mut host = Host::at("127.0.0.1", port, Tuning::default());
    let id = host.begin(&running, Some(5000));
    host.run("association after the restart", |host| host.is_up(id));
    assert!(resolved(&host.ask(id, &resolution(b"a"))).is_empty());
    assert_eq!(host.ask(id, &registration(b"a", 1))[..2], [3, 0]);
    let stats = running.stats();
    assert_eq!((stats.elements(), stats.connections()), (1, 1));
    assert_eq!(stats.traffic().accepted, 2);
}

#[test]
fn enrp_on_the_port_of_asap_ends_the_association_and_other_protocols_are_ignored() {
    let running = registrar(1);
    let mut host = Host::new();
    let id = host.connect(&running);
    host.ask(id, &registration(b"a", 1));
    for other in [0, 3, 11 << 24, u32::MAX] {
        host.send_as(id, other, &deregistration(b"a", 1));
    }
    assert_eq!(resolved(&host.ask(id, &resolution(b"a"))), [1]);
    host.send_as(id, ENRP, &resolution(b"a"));
    assert!(matches!(host.down(id), DownReason::Aborted { .. }));
    eventually("its element is gone", || running.stats().elements() == 0);
}

#[test]
fn a_message_that_lies_about_its_length_spoils_no_other() {
    let running = registrar(2);
    let mut host = Host::new();
    let id = host.connect(&running);
    host.ask(id, &registration(b"abc", 1));
    for wrong in ["05", "0500", "05000003", "0500ffff", "0500000800090000", "05000008000900ff"] {
        host.send(id, &peer::hex(wrong));
        host.send(id, &resolution(b"abc"));
        let answer = loop {
            let answer = host.message(id);
            // An ASAP error may come first.
            if answer[0] != 14 {
                break answer;
            }
        };
        assert_eq!(resolved(&answer), [1], "after {wrong}");
    }
    // The padding at the end may be left out, and what follows it is nothing.
    let mut unpadded = resolution(b"abc");
    unpadded[3] -= 1;
    unpadded.truncate(11);
    assert_eq!(resolved(&host.ask(id, &unpadded)), [1]);
    let twice = [resolution(b"abc"), resolution(b"abc")].concat();
    assert_eq!(resolved(&host.ask(id, &twice)), [1]);
    assert_eq!(resolved(&host.ask(id, &resolution(b"abc"))), [1]);
    assert_eq!(host.unread(id), 0);
}

#[test]
fn a_stop_answers_what_came_and_shuts_down_gracefully() {
    let running = registrar(2);
    let mut host = Host::new();
    let ids: Vec<_> = (0..20).map(|_| host.connect(&running)).collect();
    host.ask(ids[0], &registration(b"a", 1));
    let stop = std::thread::spawn(move || running.stop().unwrap());
    for id in ids {
        assert_eq!(host.down(id), DownReason::Closed);
    }
    let summary = stop.join().unwrap();
    assert_eq!(summary.stats.connections(), 0);
    assert!(summary.ran < Duration::from_secs(20));
}

#[test]
fn a_stop_does_not_wait_for_peers_that_are_gone() {
    let running = registrar(2);
    let mut host = Host::new();
    host.connect(&running);
    drop(host);
    let begin = Instant::now();
    running.stop().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn many_associations_are_served_and_forgotten() {
    let running = registrar(2);
    let mut host = Host::new();
    let ids: Vec<_> = (0..1000).map(|_| host.begin(&running, None)).collect();
    host.run("a thousand associations", |host| host.ups() == 1000);
    for (pe, id) in (1..).zip(&ids) {
        host.send(*id, &registration(b"a", pe));
    }
    for id in &ids {
        assert_eq!(host.message(*id)[..2], [3, 0]);
    }
    let stats = running.stats();
    assert_eq!((stats.elements(), stats.connections()), (1000, 1000));
    assert!(stats.shards.iter().all(|shard| shard.connections > 300), "both shards have some");
    for id in ids {
        host.abort(id);
    }
    // A shard hears from another a little later what its associations had there.
    eventually("all is gone", || {
        let stats = running.stats();
        stats.connections() == 0 && stats.elements() == 0
    });
}

#[test]
fn it_works_over_ipv6_and_on_all_addresses() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    for (bound, from) in [("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1")] {
        let running = start(&options(2, bound)).unwrap();
        let mut to = running.asap_sctp_udp()[0];
        to.set_ip(from.parse().unwrap());
        let mut host = Host::at(from, 0, Tuning::default());
        let id = host.connect_to(to);
        assert_eq!(host.ask(id, &registration(b"a", 1))[..2], [3, 0], "{bound} from {from}");
        assert_eq!(resolved(&host.ask(id, &resolution(b"a"))), [1]);
    }
}

#[test]
fn a_slow_reader_is_held_off_and_loses_nothing() {
    let running = registrar(2);
    let mut host = Host::new();
    let (one, other) = (host.connect(&running), host.connect(&running));
    host.ask(one, &registration(b"a", 1));
    // More requests than may be unanswered, sent as fast as the window takes.
    let mut sent = 0;
    while sent < 5000 {
        if host.try_send(one, &resolution(b"a")) {
            sent += 1;
        } else {
            host.work(Duration::from_millis(1));
        }
    }
    assert_eq!(resolved(&host.ask(other, &resolution(b"a"))), [1]);
    for _ in 0..5000 {
        assert_eq!(resolved(&host.message(one)), [1]);
    }
}
