//! What becomes of associations when peers die, restart, move, or meet
//! halfway.

#[cfg(test)]
mod net;

use net::{
    FAIR, FOUL, Net, PPID, Stranger, chunks, ip, listening, millis, parameter, pattern, seconds,
    udp,
};
use rserpool_sctp::endpoint::{Config, Shard};
use rserpool_sctp::{DownReason, Event, Side, Tuning};

fn brisk() -> Tuning {
    Tuning {
        heartbeat_interval: seconds(1),
        retransmissions_max: 3,
        path_retransmissions_max: 1,
        rto_max: seconds(2),
        ..Tuning::default()
    }
}

#[test]
fn a_dead_idle_peer_is_noticed_by_heartbeats() {
    let mut net = Net::new(1, FAIR);
    let server = net.host(&["192.0.2.1"], Config { tuning: brisk(), ..listening(3863) });
    let client = net.host(&["192.0.2.2"], Config { tuning: brisk(), ..Config::default() });
    let (id, theirs) = net.associate(client, server, 3863);
    net.run(seconds(600));
    assert_eq!((net.downs(client), net.downs(server)), (vec![], vec![]));
    net.cut.push(ip("192.0.2.2"));
    let noticed = net.run_until(seconds(60), |net| !net.downs(server).is_empty()).unwrap();
    assert!(noticed > seconds(3) && noticed < seconds(15), "{noticed:?}");
    net.run(seconds(60));
    assert_eq!(net.downs(server), [(theirs, DownReason::TimedOut)]);
    assert_eq!(net.downs(client), [(id, DownReason::TimedOut)]);
}

#[test]
fn a_heartbeat_interval_below_the_first_time_out_is_no_hindrance() {
    let tuning = Tuning { heartbeat_interval: millis(200), rto_initial: seconds(1), ..brisk() };
    let mut net = Net::new(2, FAIR);
    let server = net.host(&["192.0.2.1"], Config { tuning, ..listening(3863) });
    let client = net.host(&["192.0.2.2"], Config::default());
    net.associate(client, server, 3863);
    net.run(seconds(20));
    net.cut.push(ip("192.0.2.2"));
    net.run(seconds(20));
    assert_eq!(net.downs(server).len(), 1);
}

#[test]
fn a_peer_that_dies_under_load_is_noticed_by_retransmissions() {
    let mut net = Net::new(3, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let tuning = Tuning { heartbeat_interval: seconds(3600), ..brisk() };
    let client = net.host(&["192.0.2.2"], Config { tuning, ..Config::default() });
    let (id, _) = net.associate(client, server, 3863);
    net.send(client, id, &pattern(100_000 / 2, 1));
    net.run(millis(20));
    net.cut.push(ip("192.0.2.1"));
    let noticed = net.run_until(seconds(60), |net| !net.downs(client).is_empty()).unwrap();
    assert!(noticed < seconds(10), "{noticed:?}");
    assert_eq!(net.downs(client), [(id, DownReason::TimedOut)]);
}

#[test]
fn a_peer_that_restarts_keeps_its_association_by_name() {
    let mut net = Net::new(4, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
    net.run(seconds(1));
    let theirs = net.ups(server)[0].id;
    net.send(server, theirs, &pattern(100, 1));
    net.run(seconds(1));
    for round in 1..=3 {
        // Half a message is under way when the client dies.
        net.send(server, theirs, &pattern(60_000, 2));
        net.run(millis(6));
        net.crash(client);
        let id = net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
        net.run(seconds(2));
        assert_eq!(net.restarts(server), round);
        assert_eq!(net.ups(server).len(), 1, "it is still the same association");
        assert_eq!(net.hosts[server].endpoint.associations(), 1);
        assert_eq!(net.hosts[server].endpoint.unsent(theirs), 0);
        net.send(client, id, &pattern(3000, 3));
        net.send(server, theirs, &pattern(3000, 4));
        net.run(seconds(2));
        assert_eq!(net.messages(server).last().unwrap().data, pattern(3000, 3));
        assert_eq!(net.messages(client).last().unwrap().data, pattern(3000, 4));
    }
    assert_eq!(net.downs(server), []);
}

#[test]
fn a_restart_comes_through_in_foul_weather() {
    for seed in 0..10 {
        let mut net = Net::new(50 + seed, FOUL);
        let server = net.host(&["192.0.2.1"], listening(3863));
        let client = net.host(&["192.0.2.2"], Config::default());
        net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
        net.run(seconds(60));
        net.crash(client);
        net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
        net.run(seconds(60));
        assert_eq!((net.ups(server).len(), net.restarts(server)), (1, 1), "seed {seed}");
        assert_eq!(net.ups(client).len(), 1, "seed {seed}");
    }
}

#[test]
fn a_restart_under_a_dead_server_is_a_new_association_there() {
    let mut net = Net::new(5, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    net.crash(server);
    // The client's next word is out of the blue, and it is told so.
    net.send(client, id, &pattern(100, 1));
    net.run(millis(20));
    assert_eq!(net.downs(client), [(id, DownReason::Aborted { cause: 0 })]);
}

#[test]
fn nobody_takes_an_association_over_by_restarting_it_with_other_addresses() {
    let mut net = Net::new(6, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let mut owner = Stranger::new("198.51.100.1", "192.0.2.1", 1000, 3863);
    assert!(owner.enter(&mut net));
    // From the owner's address, but with one more.
    let mut listed = Stranger::linux_parameters();
    listed.extend(parameter(5, &[203, 0, 113, 1]));
    let init = owner.init(&listed);
    owner.send(&mut net, init);
    net.run(millis(50));
    let answer = chunks(&net.arrived_at(owner.from).pop().unwrap()).remove(0);
    assert_eq!((answer.0, &answer.2[..2]), (6, &[0, 11][..]), "restart with new addresses");
    // From another address, listing the owner's.
    let thief = Stranger::new("198.51.100.66", "192.0.2.1", 1000, 3863);
    let mut listed = Stranger::linux_parameters();
    listed.extend(parameter(5, &[198, 51, 100, 1]));
    let init = thief.init(&listed);
    thief.send(&mut net, init);
    net.run(millis(50));
    let answer = chunks(&net.arrived_at(thief.from).pop().unwrap()).remove(0);
    assert_eq!((answer.0, &answer.2[..2]), (6, &[0, 11][..]));
    assert_eq!((net.restarts(server), net.downs(server)), (0, vec![]));
}

#[test]
fn two_that_call_each_other_at_once_get_one_association() {
    for (seed, weather) in (10..40).map(|seed| (seed, if seed < 12 { FAIR } else { FOUL })) {
        let mut net = Net::new(seed, weather);
        let one = net.host(&["192.0.2.1"], listening(9901));
        let two = net.host(&["192.0.2.2"], listening(9901));
        let from_one = net.connect_from(one, &["192.0.2.2"], 9901, Some(9901));
        net.run(millis(seed % 12));
        let from_two = net.connect_from(two, &["192.0.2.1"], 9901, Some(9901));
        net.run(seconds(120));
        for (host, id) in [(one, from_one), (two, from_two)] {
            let ups = net.ups(host);
            assert_eq!(ups.len(), 1, "seed {seed}: {:?}", net.hosts[host].events);
            assert_eq!((ups[0].id, ups[0].side), (id, Side::Connected), "seed {seed}");
            assert_eq!(net.hosts[host].endpoint.associations(), 1, "seed {seed}");
        }
        net.send(one, from_one, &pattern(5000, 1));
        net.send(two, from_two, &pattern(5000, 2));
        net.run(seconds(120));
        assert_eq!(net.messages(two)[0].data, pattern(5000, 1), "seed {seed}");
        assert_eq!(net.messages(one)[0].data, pattern(5000, 2), "seed {seed}");
    }
}

#[test]
fn a_peer_with_two_addresses_survives_the_loss_of_one() {
    for both_list in [true, false] {
        let mut net = Net::new(7, FAIR);
        let list = |addresses: &[&str]| {
            if both_list { addresses.iter().map(|text| ip(text)).collect() } else { Vec::new() }
        };
        let server = net.host(
            &["192.0.2.1", "198.51.100.1"],
            Config {
                tuning: brisk(),
                addresses: list(&["192.0.2.1", "198.51.100.1"]),
                ..listening(3863)
            },
        );
        let client = net.host(
            &["192.0.2.2", "198.51.100.2"],
            Config {
                tuning: brisk(),
                addresses: vec![ip("192.0.2.2"), ip("198.51.100.2")],
                ..Config::default()
            },
        );
        let (id, theirs) = net.associate(client, server, 3863);
        net.run(seconds(5));
        assert!(net.hosts[server].endpoint.stats().paths_verified >= 1);
        net.cut.push(ip("192.0.2.2"));
        for number in 0..20 {
            net.send(client, id, &pattern(500, number));
            net.send(server, theirs, &pattern(500, number));
            net.run(millis(100));
        }
        net.run(seconds(20));
        assert_eq!(net.downs(server), [], "both list: {both_list}");
        assert_eq!(net.messages(client).len(), 20, "both list: {both_list}");
        // The client can go round only where it knows of a second address.
        if both_list {
            assert_eq!(net.messages(server).len(), 20);
            assert_eq!(net.downs(client), []);
        }
    }
}

#[test]
fn the_second_address_is_tried_when_the_first_does_not_answer() {
    let mut net = Net::new(8, FAIR);
    let server = net.host(&["198.51.100.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    net.connect(client, &["192.0.2.1", "198.51.100.1"], 3863);
    net.run(seconds(2));
    assert_eq!(net.ups(client)[0].peer.ip(), ip("198.51.100.1"));
    assert_eq!(net.ups(server).len(), 1);
}

#[test]
fn a_peer_behind_a_translator_is_followed_to_its_new_port_and_address() {
    let mut net = Net::new(9, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, theirs) = net.associate(client, server, 3863);
    let mut moved = udp("192.0.2.2");
    moved.set_port(40_000);
    for place in [moved, udp("198.51.100.7")] {
        net.hosts[client].addresses = vec![place];
        net.send(client, id, &pattern(100, 1));
        net.run(seconds(3));
        net.send(server, theirs, &pattern(100, 2));
        net.run(seconds(3));
    }
    assert_eq!((net.messages(server).len(), net.messages(client).len()), (2, 2));
    assert_eq!((net.downs(client), net.downs(server)), (vec![], vec![]));
}

#[test]
fn a_client_that_shuts_down_and_comes_back_from_the_same_port_gets_in() {
    let mut net = Net::new(12, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let id = net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
    net.run(seconds(1));
    let now = net.now;
    net.hosts[client].endpoint.shutdown(now, id);
    // The SHUTDOWN arrives; its answer does not, and the client dies.
    net.collect(client);
    net.cut.push(ip("192.0.2.2"));
    net.run(millis(50));
    net.crash(client);
    net.cut.clear();
    net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
    net.run(seconds(5));
    assert_eq!(net.ups(client).len(), 1);
    let ups = net.ups(server);
    assert_eq!(ups.len(), 2, "{:?}", net.hosts[server].events);
    assert_eq!(net.downs(server), [(ups[0].id, DownReason::Closed)]);
    assert_ne!(ups[0].id, ups[1].id);
}

#[test]
fn a_peer_that_never_finishes_a_shutdown_is_aborted() {
    let mut net = Net::new(13, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let mut stranger = Stranger::new("198.51.100.1", "192.0.2.1", 1000, 3863);
    assert!(stranger.enter(&mut net));
    let id = net.ups(server)[0].id;
    net.send(server, id, b"never acknowledged");
    let now = net.now;
    net.hosts[server].endpoint.shutdown(now, id);
    net.run(seconds(40));
    assert_eq!(net.hosts[server].endpoint.associations(), 0);
    assert_eq!(net.downs(server).len(), 1);
}

#[test]
fn tags_belong_to_their_shard_whoever_begins() {
    let mut net = Net::new(14, FAIR);
    let shard = Shard { index: 2, count: 5 };
    let server = net.host(&["192.0.2.1"], Config { shard, ..listening(3863) });
    let client = net.host(&["192.0.2.2"], Config { shard, ..listening(3863) });
    net.trace = Some(Vec::new());
    for _ in 0..30 {
        net.associate(client, server, 3863);
        net.associate(server, client, 3863);
    }
    // A restart and a collision, too.
    net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
    net.run(seconds(1));
    net.crash(client);
    net.connect_from(client, &["192.0.2.1"], 3863, Some(5000));
    net.connect_from(client, &["192.0.2.1"], 3863, Some(3863));
    net.connect_from(server, &["192.0.2.2"], 3863, Some(3863));
    net.run(seconds(3));
    assert_eq!(net.restarts(server), 1);
    for (_, _, packet) in net.trace.take().unwrap() {
        let (first, flags, _) = chunks(&packet).remove(0);
        let reflected = matches!(first, 6 | 14) && flags == 1;
        let tag = net::be32(&packet, 4);
        assert!(tag % 5 == 2 || (first == 1 && tag == 0) || reflected, "{first}: {tag}");
    }
}

#[test]
fn tags_and_sequence_numbers_are_never_seen_twice() {
    let mut net = Net::new(15, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    net.trace = Some(Vec::new());
    for _ in 0..300 {
        net.connect(client, &["192.0.2.1"], 3863);
    }
    net.run(seconds(2));
    assert_eq!(net.ups(server).len(), 300);
    let mut numbers: Vec<u32> = Vec::new();
    for (_, _, packet) in net.trace.take().unwrap() {
        let (kind, _, value) = chunks(&packet).remove(0);
        if matches!(kind, 1 | 2) {
            numbers.extend([net::be32(&value, 0), net::be32(&value, 12)]);
        }
    }
    let count = numbers.len();
    assert_eq!(count, 1200);
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() >= count - 2, "{} distinct of {count}", numbers.len());
    // Spread over all of the range.
    let low = numbers.iter().filter(|number| **number < 1 << 31).count();
    assert!((count * 4 / 10..count * 6 / 10).contains(&low), "{low} of {count}");
}

#[test]
fn events_come_in_the_order_of_what_happened() {
    let mut net = Net::new(16, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    for number in 0..3 {
        net.send(client, id, &pattern(10, number));
    }
    let now = net.now;
    net.hosts[client].endpoint.shutdown(now, id);
    net.run(seconds(5));
    let kinds: Vec<&str> = net.hosts[server]
        .events
        .iter()
        .map(|event| match event {
            Event::Up(_) => "up",
            Event::Message(message) if message.ppid == PPID => "message",
            Event::Down { reason: DownReason::Closed, .. } => "closed",
            Event::Message(_)
            | Event::Down { .. }
            | Event::Restarted { .. }
            | Event::Writable { .. } => "other",
        })
        .collect();
    assert_eq!(kinds, ["up", "message", "message", "message", "closed"]);
}

/// What ICMP quotes of a packet between these ports.
fn quoted(local_port: u16, peer_port: u16, tag: u32) -> Vec<u8> {
    let ports = [local_port.to_be_bytes(), peer_port.to_be_bytes()].concat();
    [&ports[..], &tag.to_be_bytes(), &[0; 20]].concat()
}

/// The last packet that was sent to this address.
fn last_to(net: &Net, to: &str) -> Vec<u8> {
    let trace = net.trace.as_ref().expect("a trace");
    trace.iter().rfind(|(_, remote, _)| *remote == udp(to)).expect("a packet").2.clone()
}

#[test]
fn port_unreachable_ends_an_association_only_with_its_own_tag() {
    let mut net = Net::new(50, FAIR);
    net.trace = Some(Vec::new());
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    let real = last_to(&net, "192.0.2.1");
    let half = |at: usize| u16::from_be_bytes(real[at..at + 2].try_into().unwrap());
    let (local, peer) = (half(0), half(2));
    let tag = u32::from_be_bytes(real[4..8].try_into().unwrap());
    let other_port = std::net::SocketAddr::new(ip("192.0.2.1"), 1);
    for (remote, quoted) in [
        (udp("192.0.2.1"), quoted(local, peer, tag ^ 1)),
        (udp("192.0.2.1"), quoted(local, peer, 0)),
        (udp("192.0.2.1"), quoted(local ^ 1, peer, tag)),
        (udp("192.0.2.1"), quoted(local, peer ^ 1, tag)),
        (udp("192.0.2.1"), real[..7].to_vec()),
        (udp("192.0.2.1"), Vec::new()),
        (udp("192.0.2.9"), quoted(local, peer, tag)),
        (other_port, quoted(local, peer, tag)),
    ] {
        let now = net.now;
        net.hosts[client].endpoint.port_unreachable(now, remote, &quoted);
    }
    net.collect(client);
    assert_eq!(net.downs(client), []);
    assert_eq!(net.hosts[client].endpoint.stats().unreachables_ignored, 8);
    let now = net.now;
    net.hosts[client].endpoint.port_unreachable(now, udp("192.0.2.1"), &real[..8]);
    net.collect(client);
    assert_eq!(net.downs(client), [(id, DownReason::System(libc::ECONNREFUSED))]);
    assert_eq!(net.hosts[client].endpoint.associations(), 0);
}

#[test]
fn port_unreachable_at_one_address_of_two_leaves_the_other() {
    let mut net = Net::new(51, FAIR);
    net.trace = Some(Vec::new());
    let addresses = vec![ip("192.0.2.1"), ip("198.51.100.1")];
    let server = net.host(&["192.0.2.1", "198.51.100.1"], Config { addresses, ..listening(3863) });
    let client = net.host(&["192.0.2.2", "198.51.100.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    assert_eq!(net.hosts[client].endpoint.peer_addresses(id).len(), 2);
    let real = last_to(&net, "192.0.2.1");
    let now = net.now;
    net.hosts[client].endpoint.port_unreachable(now, udp("192.0.2.1"), &real);
    net.cut.push(ip("192.0.2.1"));
    net.trace = Some(Vec::new());
    net.send(client, id, &pattern(500, 1));
    net.run(millis(100));
    assert_eq!((net.messages(server).len(), net.downs(client)), (1, vec![]));
    let trace = net.trace.as_ref().unwrap();
    assert!(trace.iter().all(|(_, to, _)| *to != udp("192.0.2.1")), "data goes by the other");
    let probes = |packet: &[u8]| chunks(packet).iter().any(|chunk| chunk.0 == 4);
    assert!(trace.iter().any(|(_, to, it)| *to == udp("198.51.100.1") && probes(it)));
    // The other one is gone, too.
    let now = net.now;
    net.hosts[client].endpoint.port_unreachable(now, udp("198.51.100.1"), &real);
    net.collect(client);
    assert_eq!(net.downs(client), [(id, DownReason::System(libc::ECONNREFUSED))]);
}

#[test]
fn an_address_that_was_unreachable_is_used_again_once_it_answers() {
    let mut net = Net::new(52, FAIR);
    net.trace = Some(Vec::new());
    let addresses = vec![ip("192.0.2.1"), ip("198.51.100.1")];
    let server = net.host(&["192.0.2.1", "198.51.100.1"], Config { addresses, ..listening(3863) });
    let client =
        net.host(&["192.0.2.2", "198.51.100.2"], Config { tuning: brisk(), ..Config::default() });
    let (id, _) = net.associate(client, server, 3863);
    let real = last_to(&net, "192.0.2.1");
    let now = net.now;
    net.hosts[client].endpoint.port_unreachable(now, udp("192.0.2.1"), &real);
    // Its heartbeats are answered.
    net.run(seconds(10));
    let now = net.now;
    net.hosts[client].endpoint.port_unreachable(now, udp("198.51.100.1"), &real);
    net.send(client, id, &pattern(500, 1));
    net.run(seconds(1));
    assert_eq!((net.messages(server).len(), net.downs(client)), (1, vec![]));
}

#[test]
fn data_without_an_answer_is_followed_by_one_question_and_one_only() {
    let mut net = Net::new(53, FAIR);
    net.trace = Some(Vec::new());
    let server = net.host(&["192.0.2.1"], listening(3863));
    let tuning = Tuning { probe_after: Some(millis(20)), ..Tuning::default() };
    let client = net.host(&["192.0.2.2"], Config { tuning, ..Config::default() });
    let (id, _) = net.associate(client, server, 3863);
    net.cut.push(ip("192.0.2.1"));
    net.trace = Some(Vec::new());
    net.send(client, id, &pattern(500, 1));
    let sent = |net: &Net| -> Vec<u8> {
        net.trace.as_ref().unwrap().iter().map(|(_, _, it)| chunks(it)[0].0).collect()
    };
    net.run(millis(19));
    assert_eq!(sent(&net), [0]);
    net.run(millis(250));
    assert_eq!(sent(&net), [0, 4]);
    assert_eq!(net.downs(client), []);
}
