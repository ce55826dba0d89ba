//! Data between two endpoints, in fair and foul weather, on virtual time.

#[cfg(test)]
mod net;

use net::{FAIR, FOUL, Net, PPID, Weather, ip, listening, millis, pattern, seconds, udp};
use rserpool_sctp::endpoint::{Config, Path};
use rserpool_sctp::{DownReason, Event, SendError, Side, Tuning};

#[test]
fn both_sides_learn_of_the_association() {
    let mut net = Net::new(1, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    let (mine, theirs) = (net.ups(client)[0], net.ups(server)[0]);
    assert_eq!(mine.id, id);
    assert_eq!(mine.peer, "192.0.2.1:3863".parse().unwrap());
    assert_eq!((mine.side, theirs.side), (Side::Connected, Side::Accepted));
    assert_eq!(theirs.peer.ip(), ip("192.0.2.2"));
    assert_eq!((theirs.peer.port(), theirs.local_port), (mine.local_port, 3863));
    assert_eq!((mine.streams, theirs.streams), (16, 16));
}

#[test]
fn messages_keep_their_bounds_stream_and_protocol() {
    let mut net = Net::new(2, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    for (number, length) in [1, 3, 56, 1000, 1436, 1437, 5000, 65_536].into_iter().enumerate() {
        let stream = u16::try_from(number).unwrap();
        let data = pattern(length, number);
        net.hosts[client].endpoint.send(id, stream, 40 + u32::from(stream), &data).unwrap();
    }
    net.run(seconds(5));
    let mut messages = net.messages(server);
    messages.sort_by_key(|message| message.stream);
    assert_eq!(messages.len(), 8);
    for (number, message) in messages.into_iter().enumerate() {
        assert_eq!(message.data, pattern(message.data.len(), number));
        assert_eq!(message.ppid, 40 + u32::from(message.stream));
    }
}

/// Sends `count` messages each way while the other way is busy, too.
fn exchange(seed: u64, weather: Weather, count: usize, length: impl Fn(usize) -> usize) {
    let mut net = Net::new(seed, weather);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let id = net.connect(client, &["192.0.2.1"], 3863);
    let up = net.run_until(seconds(60), |net| !net.ups(client).is_empty());
    assert!(up.is_some(), "seed {seed}: not up");
    let back = net.run_until(seconds(60), |net| !net.ups(server).is_empty());
    assert!(back.is_some(), "seed {seed}: not accepted");
    let ids = [(client, id), (server, net.ups(server)[0].id)];
    let data = |number, side| pattern(length(number), number + side);
    let mut next = [data(0, 0), data(0, 1)];
    let mut sent = [0; 2];
    let end = net.now + seconds(3600);
    while sent.iter().any(|sent| *sent < count) {
        for (side, (host, id)) in ids.into_iter().enumerate() {
            while sent[side] < count {
                match net.hosts[host].endpoint.send(id, 0, PPID, &next[side]) {
                    Ok(()) => sent[side] += 1,
                    Err(SendError::Full) => break,
                    Err(error) => panic!("seed {seed}: {error}"),
                }
                next[side] = data(sent[side], side);
            }
        }
        assert!(net.step(end), "seed {seed}: stuck at {sent:?}");
    }
    let all =
        |net: &Net| net.messages(server).len() == count && net.messages(client).len() == count;
    let complete = net.run_until(seconds(600), all).is_some();
    let downs = [net.downs(client), net.downs(server)];
    assert!(complete, "seed {seed}: messages missing, {downs:?}");
    for (side, receiver) in [(0, server), (1, client)] {
        for (number, message) in net.messages(receiver).into_iter().enumerate() {
            assert_eq!(message.data, pattern(length(number), number + side), "seed {seed}");
        }
        assert!(net.downs(receiver).is_empty());
    }
    net.run(seconds(5));
    for (host, id) in ids {
        assert_eq!(net.hosts[host].endpoint.unsent(id), 0);
        assert_eq!(net.hosts[host].endpoint.receive_memory(), 0);
    }
}

#[test]
fn messages_arrive_once_and_in_order_whatever_the_weather() {
    for seed in 0..12 {
        exchange(seed, FOUL, 300, |number| 1 + number * 37 % 3000);
    }
}

#[test]
fn messages_of_64_kib_arrive_whatever_the_weather() {
    for seed in 20..24 {
        exchange(seed, FOUL, 12, |_| 65_536);
    }
}

#[test]
fn messages_arrive_through_a_storm() {
    let storm = Weather { lost_per_mille: 200, doubled_per_mille: 100, ..FOUL };
    for seed in 30..33 {
        exchange(seed, storm, 60, |number| 1 + number * 131 % 5000);
    }
}

#[test]
fn many_small_messages_share_packets() {
    let mut net = Net::new(3, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    let before = net.hosts[client].endpoint.stats().packets_sent;
    for number in 0..100 {
        net.send(client, id, &pattern(56, number));
    }
    net.run(seconds(1));
    assert_eq!(net.messages(server).len(), 100);
    let packets = net.hosts[client].endpoint.stats().packets_sent - before;
    assert!(packets <= 8, "{packets} packets");
}

#[test]
fn a_shutdown_delivers_everything_that_was_taken() {
    for (seed, weather) in [(40, FAIR), (41, FOUL), (42, FOUL), (43, FOUL)] {
        let mut net = Net::new(seed, weather);
        let server = net.host(&["192.0.2.1"], listening(3863));
        let client = net.host(&["192.0.2.2"], Config::default());
        let (id, theirs) = net.associate(client, server, 3863);
        for number in 0..3 {
            net.send(client, id, &pattern(60_000, number));
            net.send(server, theirs, &pattern(50_000, number));
        }
        let now = net.now;
        net.hosts[client].endpoint.shutdown(now, id);
        assert_eq!(net.hosts[client].endpoint.send(id, 0, PPID, b"x"), Err(SendError::Closing));
        net.run(seconds(60));
        assert_eq!(net.messages(server).len(), 3, "seed {seed}");
        assert_eq!(net.messages(client).len(), 3, "seed {seed}");
        assert_eq!(net.downs(client), [(id, DownReason::Closed)], "seed {seed}");
        assert_eq!(net.downs(server), [(theirs, DownReason::Closed)], "seed {seed}");
        for host in [client, server] {
            assert_eq!(net.hosts[host].endpoint.associations(), 0);
            assert_eq!(net.hosts[host].endpoint.next_timeout(), None);
        }
    }
}

#[test]
fn both_sides_may_shut_down_at_once() {
    let mut net = Net::new(44, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, theirs) = net.associate(client, server, 3863);
    let now = net.now;
    net.hosts[client].endpoint.shutdown(now, id);
    net.hosts[server].endpoint.shutdown(now, theirs);
    net.run(seconds(10));
    assert_eq!(net.downs(client), [(id, DownReason::Closed)]);
    assert_eq!(net.downs(server), [(theirs, DownReason::Closed)]);
}

#[test]
fn an_abort_is_heard_at_once() {
    let mut net = Net::new(45, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, theirs) = net.associate(client, server, 3863);
    let now = net.now;
    net.hosts[client].endpoint.abort(now, id);
    assert_eq!(net.hosts[client].endpoint.send(id, 0, PPID, b"x"), Err(SendError::Gone));
    net.run(millis(10));
    assert_eq!(net.downs(client), []);
    assert_eq!(net.downs(server), [(theirs, DownReason::Aborted { cause: 12 })]);
    assert_eq!(net.hosts[server].endpoint.associations(), 0);
}

#[test]
fn a_port_without_listener_refuses_at_once() {
    let mut net = Net::new(46, FAIR);
    net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let id = net.connect(client, &["192.0.2.1"], 9901);
    net.run(millis(11));
    assert_eq!(net.downs(client), [(id, DownReason::Refused)]);
}

#[test]
fn nobody_there_is_found_out_in_bounded_time() {
    let mut net = Net::new(47, FAIR);
    let tuning = Tuning { init_retransmissions_max: 3, ..Tuning::default() };
    let client = net.host(&["192.0.2.2"], Config { tuning, ..Config::default() });
    let id = net.connect(client, &["192.0.2.1"], 9901);
    net.run(millis(14_900));
    assert_eq!(net.downs(client), []);
    net.run(millis(200));
    assert_eq!(net.downs(client), [(id, DownReason::NoAnswer)]);
    assert_eq!(net.nowhere.len(), 4);
}

#[test]
fn a_sender_is_held_back_and_told_when_there_is_room() {
    let mut net = Net::new(48, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    let limit = net.hosts[client].endpoint.config().tuning.send_buffer;
    let mut taken = 0;
    while net.hosts[client].endpoint.send(id, 0, PPID, &pattern(10_000, taken)).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, limit / 10_000);
    assert!(net.hosts[client].endpoint.unsent(id) <= limit);
    let full = net.hosts[client].endpoint.send(id, 0, PPID, &pattern(10_000, 0));
    assert_eq!(full, Err(SendError::Full));
    let writable = |net: &Net| net.hosts[client].events.contains(&Event::Writable { id });
    net.run_until(seconds(60), writable).unwrap();
    assert!(net.hosts[client].endpoint.unsent(id) <= limit / 2);
    assert_eq!(net.hosts[client].endpoint.send(id, 0, PPID, &pattern(10_000, taken)), Ok(()));
    net.run(seconds(60));
    assert_eq!(net.messages(server).len(), taken + 1);
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_reason() {
    let mut net = Net::new(49, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let id = net.connect(client, &["192.0.2.1"], 3863);
    let mut send = |stream, data: &[u8]| net.hosts[client].endpoint.send(id, stream, PPID, data);
    assert_eq!(send(0, b"x"), Err(SendError::NotUp));
    net.run(seconds(1));
    let mut send = |stream, data: &[u8]| net.hosts[client].endpoint.send(id, stream, PPID, data);
    assert_eq!(send(0, b""), Err(SendError::Empty));
    assert_eq!(send(0, &[0; 65_537]), Err(SendError::TooLong));
    assert_eq!(send(16, b"x"), Err(SendError::Stream));
    assert_eq!(send(15, b"x"), Ok(()));
    net.run(seconds(1));
    assert_eq!(net.messages(server).len(), 1);
}

#[test]
fn a_paused_reader_holds_the_sender_off_and_loses_nothing() {
    let mut net = Net::new(50, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, theirs) = net.associate(client, server, 3863);
    net.hosts[server].endpoint.pause(theirs);
    let mut sent = 0;
    for _ in 0..200 {
        while net.hosts[client].endpoint.send(id, 0, PPID, &pattern(9000, sent)).is_ok() {
            sent += 1;
        }
        net.run(millis(50));
    }
    assert!(net.messages(server).is_empty());
    let kept = net.hosts[server].endpoint.receive_memory();
    assert!(kept > 50_000, "{kept} bytes kept");
    assert!(kept < 300_000, "{kept} bytes kept");
    net.run(seconds(60));
    let now = net.now;
    net.hosts[server].endpoint.resume(now, theirs);
    let drained = net.run_until(seconds(120), |net| net.messages(server).len() == sent);
    assert!(drained.is_some(), "{} of {sent}", net.messages(server).len());
    for (number, message) in net.messages(server).into_iter().enumerate() {
        assert_eq!(message.data, pattern(9000, number));
    }
    assert_eq!(net.hosts[server].endpoint.receive_memory(), 0);
    assert!(net.downs(server).is_empty() && net.downs(client).is_empty());
}

#[test]
fn packets_that_were_never_cut_to_size_are_taken() {
    let mut net = Net::new(51, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let (id, _) = net.associate(client, server, 3863);
    net.send(client, id, &pattern(20_000, 0));
    // What the client sends becomes one long packet without a checksum.
    let now = net.now;
    let mut long: Vec<u8> = Vec::new();
    while let Some(transmit) = net.hosts[client].endpoint.poll_transmit(now) {
        if long.is_empty() {
            long.extend_from_slice(&transmit.packet[..12]);
            long[8..12].fill(0);
        }
        long.extend_from_slice(&transmit.packet[12..]);
    }
    assert!(long.len() > 5000);
    net.launch(udp("192.0.2.2"), udp("192.0.2.1"), long);
    // It is acknowledged at once, as the packets it was made of would be.
    let acknowledged = |net: &Net| net.hosts[client].endpoint.unsent(id) < 15_000;
    assert!(net.run_until(millis(100), acknowledged).is_some());
    net.run(seconds(10));
    assert_eq!(net.messages(server)[0].data, pattern(20_000, 0));
    assert_eq!(net.hosts[server].endpoint.stats().unsegmented, 1);
}

#[test]
fn a_strict_endpoint_takes_no_packet_without_checksum() {
    let mut net = Net::new(52, FAIR);
    let config = Config { accept_unsegmented: false, ..listening(3863) };
    let server = net.host(&["192.0.2.1"], config);
    let now = net.now;
    let from = Path { remote: udp("192.0.2.2"), local: None };
    net.hosts[server].endpoint.receive(now, from, &[0; 5000]);
    assert_eq!(net.hosts[server].endpoint.stats().malformed, 1);
}

#[test]
fn associations_work_over_ipv6() {
    let mut net = Net::new(53, FOUL);
    let server = net.host(&["2001:db8::1"], listening(3863));
    let client = net.host(&["2001:db8::2"], Config::default());
    let id = net.connect(client, &["2001:db8::1"], 3863);
    net.run(seconds(30));
    net.send(client, id, &pattern(5000, 1));
    net.run(seconds(30));
    assert_eq!(net.messages(server)[0].data, pattern(5000, 1));
    assert_eq!(net.ups(server)[0].peer.ip(), ip("2001:db8::2"));
}

#[test]
fn equal_seeds_give_equal_packets() {
    let run = |seed| {
        let mut net = Net::new(seed, FOUL);
        net.trace = Some(Vec::new());
        net.host(&["192.0.2.1"], listening(3863));
        let client = net.host(&["192.0.2.2"], Config::default());
        let id = net.connect(client, &["192.0.2.1"], 3863);
        net.run(seconds(20));
        net.send(client, id, &pattern(30_000, 1));
        net.run(seconds(120));
        net.trace.unwrap()
    };
    assert_eq!(run(54), run(54));
    assert_ne!(run(54), run(55));
}

#[test]
fn a_thousand_associations_each_get_their_own_messages() {
    let mut net = Net::new(56, FAIR);
    let server = net.host(&["192.0.2.1"], listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let ids: Vec<_> = (0..1000).map(|_| net.connect(client, &["192.0.2.1"], 3863)).collect();
    net.run(seconds(5));
    assert_eq!((net.ups(client).len(), net.ups(server).len()), (1000, 1000));
    for (number, id) in ids.iter().enumerate() {
        net.send(client, *id, &pattern(100, number));
    }
    net.run(seconds(5));
    let ups = net.ups(client);
    for message in net.messages(server) {
        let peer = net.ups(server).iter().find(|up| up.id == message.id).unwrap().peer.port();
        let id = ups.iter().find(|up| up.local_port == peer).unwrap().id;
        let number = ids.iter().position(|other| *other == id).unwrap();
        assert_eq!(message.data, pattern(100, number));
    }
    assert_eq!(net.messages(server).len(), 1000);
}
