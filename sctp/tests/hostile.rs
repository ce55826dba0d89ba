//! What strangers and bad peers can do to an endpoint, and what they cannot.

#[cfg(test)]
mod net;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use net::{
    FAIR, FOUL, Net, PPID, Stranger, UDP, be16, be32, chunks, ip, listening, millis, packet,
    parameter, pattern, seconds, udp,
};
use rserpool_sctp::endpoint::{Config, Path, Rate, ShortInit};
use rserpool_sctp::{DownReason, Event, Tuning, Violation};

const DATA: u8 = 0;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const ABORT: u8 = 6;
const ERROR: u8 = 9;
const COOKIE_ACK: u8 = 11;
/// First and last fragment.
const WHOLE: u8 = 3;

fn with(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = listening(3863);
    change(&mut config);
    config
}

/// A server, and a stranger who has not said anything yet.
fn stage(seed: u64, config: Config) -> (Net, usize, Stranger) {
    let mut net = Net::new(seed, FAIR);
    let server = net.host(&["192.0.2.1"], config);
    (net, server, Stranger::new("198.51.100.1", "192.0.2.1", 1000, 3863))
}

#[test]
fn a_flood_of_inits_from_made_up_addresses_costs_no_state() {
    let (mut net, server, _) = stage(1, listening(3863));
    let client = net.host(&["192.0.2.2"], Config::default());
    let init =
        Stranger::new("198.51.100.1", "192.0.2.1", 1000, 3863).init(&Stranger::linux_parameters());
    let mut answers = 0;
    for number in 0..100_000u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let from = SocketAddr::new(IpAddr::from([10, a, b, c]), UDP);
        let now = net.now;
        let path = Path { remote: from, local: None };
        net.hosts[server].endpoint.receive(now, path, &init);
        while let Some(answer) = net.hosts[server].endpoint.poll_transmit(now) {
            assert_eq!(answer.path.remote, from);
            assert!(answer.packet.len() <= init.len());
            answers += 1;
        }
        net.now += Duration::from_micros(10);
    }
    assert!(answers > 90_000, "{answers} answers");
    let endpoint = &net.hosts[server].endpoint;
    assert_eq!(endpoint.associations(), 0);
    assert_eq!(endpoint.next_timeout(), None);
    assert_eq!(endpoint.receive_memory(), 0);
    net.associate(client, server, 3863);
}

#[test]
fn no_init_is_answered_with_more_bytes_than_it_has() {
    let addresses = vec![ip("192.0.2.1"), ip("192.0.2.3"), ip("2001:db8::1")];
    let (mut net, server, stranger) = stage(2, with(|config| config.addresses = addresses));
    let mut parameters = vec![Vec::new(), Stranger::linux_parameters()];
    for count in 1..8u8 {
        let mut listed = Stranger::linux_parameters();
        for last in 0..count {
            listed.extend(parameter(5, &[203, 0, 113, last]));
            let mut v6 = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
            listed.extend(parameter(6, &v6));
            v6[0] = 0xfe;
            listed.extend(parameter(0xc0ff, &v6));
            parameters.push(listed.clone());
        }
    }
    let mut answered = 0;
    for bytes in &parameters {
        for pad in [0, 4, 8, 12, 16, 100] {
            let mut bytes = bytes.clone();
            if pad > 0 {
                bytes.extend(parameter(0x8005, &vec![0; pad - 4]));
            }
            let init = stranger.init(&bytes);
            stranger.send(&mut net, init.clone());
            net.run(millis(100));
            for answer in net.arrived_at(stranger.from) {
                assert!(answer.len() <= init.len(), "{} for {}", answer.len(), init.len());
                assert_eq!(chunks(&answer)[0].0, INIT_ACK);
                answered += 1;
            }
        }
    }
    // All but the ones without any parameter, which are too short.
    assert!(answered > parameters.len() * 6 - 6, "{answered} of {}", parameters.len() * 6);
    assert!(net.hosts[server].endpoint.stats().inits_short > 0);
    assert_eq!(net.hosts[server].endpoint.associations(), 0);
}

#[test]
fn the_init_of_a_linux_kernel_is_as_long_as_its_answer() {
    let (mut net, _, mut stranger) = stage(3, listening(3863));
    assert_eq!(stranger.init(&Stranger::linux_parameters()).len(), 48);
    assert!(stranger.ask(&mut net, &Stranger::linux_parameters()));
    assert_eq!(net.bytes_to[&stranger.from], 48);
}

#[test]
fn a_short_init_is_answered_only_where_that_is_wanted() {
    let (mut net, _, mut stranger) = stage(4, listening(3863));
    assert!(!stranger.ask(&mut net, &[]));
    let config = with(|config| config.short_init = ShortInit::Answer);
    let (mut net, _, mut stranger) = stage(4, config);
    assert!(stranger.ask(&mut net, &[]));
    assert_eq!(net.bytes_to[&stranger.from], 48);
}

#[test]
fn a_source_is_answered_at_a_limited_rate() {
    let config = with(|config| {
        config.init_rate = Rate { per_second: 10, burst: 20 };
        config.abort_rate = Rate { per_second: 5, burst: 10 };
    });
    let (mut net, server, mut stranger) = stage(5, config);
    stranger.peer_tag = 77;
    let stray = stranger.packet(&[(DATA, WHOLE, &Stranger::data(1, 0, 0, b"x"))]);
    let init = stranger.init(&Stranger::linux_parameters());
    for _ in 0..1000 {
        stranger.send(&mut net, init.clone());
        stranger.send(&mut net, stray.clone());
        net.run(millis(10));
    }
    let answers = net.arrived_at(stranger.from);
    let count = |kind| answers.iter().filter(|answer| chunks(answer)[0].0 == kind).count();
    assert!((115..=125).contains(&count(INIT_ACK)), "{} INIT ACK", count(INIT_ACK));
    assert!((55..=65).contains(&count(ABORT)), "{} ABORT", count(ABORT));
    let stats = net.hosts[server].endpoint.stats();
    assert!(stats.inits_limited > 800 && stats.out_of_the_blue_limited > 800);
}

#[test]
fn a_cookie_is_good_once_and_for_its_owner() {
    let (mut net, server, mut stranger) = stage(6, listening(3863));
    assert!(stranger.ask(&mut net, &Stranger::linux_parameters()));
    let echo = stranger.echo();
    // Somebody else, another port, another tag, another cookie.
    net.launch(udp("198.51.100.2"), stranger.to, echo.clone());
    let mut other = packet(1001, 3863, stranger.peer_tag, &[(10, 0, &stranger.cookie)]);
    stranger.send(&mut net, other.clone());
    other = packet(1000, 3863, stranger.peer_tag ^ 1, &[(10, 0, &stranger.cookie)]);
    stranger.send(&mut net, other);
    let mut forged = stranger.cookie.clone();
    for at in 0..forged.len() {
        forged[at] ^= 0x10;
        stranger.send(&mut net, stranger.packet(&[(10, 0, &forged)]));
        forged[at] ^= 0x10;
    }
    net.run(millis(100));
    assert_eq!(net.hosts[server].endpoint.associations(), 0);
    assert!(net.hosts[server].endpoint.stats().cookies_forged >= 14);
    // The owner.
    stranger.send(&mut net, echo.clone());
    stranger.send(&mut net, echo.clone());
    net.run(millis(100));
    assert_eq!(net.ups(server).len(), 1, "a repeated cookie makes no second association");
    assert_eq!(net.hosts[server].endpoint.associations(), 1);
    // A recording of it, after the association is over.
    stranger.send(&mut net, stranger.packet(&[(ABORT, 0, &[])]));
    net.run(millis(100));
    assert_eq!(net.hosts[server].endpoint.associations(), 0);
    stranger.send(&mut net, echo);
    net.run(millis(100));
    assert_eq!(net.hosts[server].endpoint.associations(), 0);
    assert_eq!(net.hosts[server].endpoint.stats().cookies_replayed, 1);
}

#[test]
fn a_late_cookie_is_told_so() {
    let (mut net, server, mut stranger) = stage(7, listening(3863));
    assert!(stranger.ask(&mut net, &Stranger::linux_parameters()));
    net.run(seconds(70));
    let echo = stranger.echo();
    stranger.send(&mut net, echo.clone());
    net.run(millis(100));
    let answer = net.arrived_at(stranger.from).pop().unwrap();
    assert!(answer.len() <= echo.len());
    let (kind, _, value) = chunks(&answer).remove(0);
    assert_eq!((kind, be16(&value, 0)), (ERROR, 3));
    assert_eq!(be32(&answer, 4), stranger.tag);
    let by = Duration::from_micros(be32(&value, 4).into());
    assert!(by > seconds(1) && by < seconds(70), "{by:?}");
    assert_eq!(net.hosts[server].endpoint.associations(), 0);
}

#[test]
fn a_peer_whose_cookie_was_late_begins_again() {
    let mut net = Net::new(8, FAIR);
    let server = net.host(&["192.0.2.1"], with(|config| config.cookie_life = seconds(4)));
    let client = net.host(&["192.0.2.2"], Config::default());
    let id = net.connect(client, &["192.0.2.1"], 3863);
    net.run(millis(6));
    // The INIT ACK is on its way; the COOKIE ECHOs get lost for a while.
    net.cut.push(ip("192.0.2.2"));
    net.run(seconds(6));
    net.cut.clear();
    net.run(seconds(30));
    assert_eq!(net.ups(client).len(), 1, "{:?}", net.downs(client));
    assert_eq!(net.ups(client)[0].id, id);
    assert!(net.hosts[server].endpoint.stats().cookies_stale > 0);
}

#[test]
fn associations_are_capped_in_all_and_by_source() {
    let config = with(|config| {
        config.tuning.associations_max = 30;
        config.associations_per_source_max = 20;
    });
    let mut net = Net::new(9, FAIR);
    let server = net.host(&["192.0.2.1"], config);
    let clients: Vec<usize> =
        (2..5).map(|last| net.host(&[&format!("192.0.2.{last}")], Config::default())).collect();
    for client in &clients {
        for _ in 0..25 {
            net.connect(*client, &["192.0.2.1"], 3863);
        }
        net.run(seconds(5));
    }
    let ups: Vec<usize> = clients.iter().map(|client| net.ups(*client).len()).collect();
    assert_eq!(ups, [20, 10, 0]);
    let refused = |(_, reason): &(_, DownReason)| *reason == DownReason::Refused;
    assert!(net.downs(clients[2]).iter().all(refused));
    assert_eq!(net.downs(clients[2]).len(), 25);
    assert_eq!(net.hosts[server].endpoint.associations(), 30);
    // Room is given back.
    let now = net.now;
    for up in net.ups(clients[0]) {
        net.hosts[clients[0]].endpoint.abort(now, up.id);
    }
    net.run(seconds(1));
    net.connect(clients[2], &["192.0.2.1"], 3863);
    net.run(seconds(1));
    assert_eq!(net.ups(clients[2]).len(), 1);
}

/// The kinds of chunks in packets.
fn kinds(packets: &[Vec<u8>]) -> HashMap<u8, usize> {
    let mut kinds = HashMap::new();
    for (kind, ..) in packets.iter().flat_map(|packet| chunks(packet)) {
        *kinds.entry(kind).or_insert(0) += 1;
    }
    kinds
}

#[test]
fn a_listed_address_gets_nothing_but_a_few_heartbeats() {
    let (mut net, server, mut stranger) = stage(10, listening(3863));
    let mut parameters = Stranger::linux_parameters();
    for last in 1..=7 {
        parameters.extend(parameter(5, &[203, 0, 113, last]));
    }
    for inside in [[10, 0, 0, 1], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255]] {
        parameters.splice(0..0, parameter(5, &inside));
    }
    assert!(stranger.ask(&mut net, &parameters));
    stranger.send(&mut net, stranger.echo());
    net.run(millis(100));
    let id = net.ups(server)[0].id;
    // A great deal to be sent, and a stranger who says nothing any more.
    for number in 0..20 {
        net.send(server, id, &pattern(10_000, number));
    }
    net.run(seconds(600));
    assert_eq!(net.downs(server)[0].1, DownReason::TimedOut);
    let mut probed = 0;
    let nowhere: Vec<_> = std::mem::take(&mut net.nowhere);
    for (_, to, bytes) in &nowhere {
        if *to == stranger.from {
            continue;
        }
        assert_eq!(to.ip().to_string().rsplit_once('.').unwrap().0, "203.0.113");
        assert_eq!(kinds(std::slice::from_ref(bytes)).keys().collect::<Vec<_>>(), [&HEARTBEAT]);
        assert!(bytes.len() <= 28);
        probed += 1;
    }
    assert!((1..=7 * 7).contains(&probed), "{probed} heartbeats");
}

#[test]
fn nothing_is_sent_to_an_address_because_a_peer_spoke_from_it() {
    let (mut net, server, mut stranger) = stage(11, listening(3863));
    assert!(stranger.enter(&mut net));
    let id = net.ups(server)[0].id;
    // The peer asks for a lot in the name of a victim.
    let victim = udp("203.0.113.9");
    for tsn in 0..100 {
        let data = Stranger::data(1000 + tsn, 0, u16::try_from(tsn).unwrap(), b"give");
        let bytes = stranger.packet(&[(DATA, WHOLE, &data)]);
        net.launch(victim, stranger.to, bytes);
        net.run(millis(10));
        net.send(server, id, &pattern(1400, 1));
    }
    net.run(seconds(30));
    let to_victim = net.arrived_at(victim);
    let kinds = kinds(&to_victim);
    assert_eq!(kinds.keys().collect::<Vec<_>>(), [&HEARTBEAT]);
    assert!(kinds[&HEARTBEAT] <= 7, "{kinds:?}");
}

#[test]
fn a_heartbeat_is_answered_once_a_packet() {
    let (mut net, _, mut stranger) = stage(12, listening(3863));
    assert!(stranger.enter(&mut net));
    net.arrived_at(stranger.from);
    let many = vec![(HEARTBEAT, 0, &[][..]); 300];
    let bytes = stranger.packet(&many);
    let before = net.bytes_to[&stranger.from];
    stranger.send(&mut net, bytes);
    net.run(millis(50));
    assert_eq!(net.bytes_to[&stranger.from] - before, 16);
}

#[test]
fn what_belongs_to_nobody_is_answered_by_the_book() {
    let (mut net, server, mut stranger) = stage(13, listening(3863));
    stranger.peer_tag = 0x1234;
    let mut ask = |kind: u8, flags: u8, value: &[u8]| {
        let bytes = stranger.packet(&[(kind, flags, value)]);
        stranger.send(&mut net, bytes);
        net.run(millis(50));
        let answer = net.arrived_at(stranger.from).pop()?;
        let (kind, flags, _) = chunks(&answer).remove(0);
        assert_eq!(be32(&answer, 4), 0x1234);
        Some((kind, flags))
    };
    assert_eq!(ask(DATA, WHOLE, &Stranger::data(1, 0, 0, b"x")), Some((ABORT, 1)));
    assert_eq!(ask(SACK, 0, &[0; 12]), Some((ABORT, 1)));
    assert_eq!(ask(HEARTBEAT, 0, &parameter(1, &[0; 8])), Some((ABORT, 1)));
    assert_eq!(ask(8, 0, &[]), Some((14, 1)), "SHUTDOWN ACK");
    for silent in [ABORT, 14, COOKIE_ACK, ERROR, INIT_ACK] {
        assert_eq!(ask(silent, 0, &[]), None, "{silent}");
        assert_eq!(ask(silent, 1, &[]), None, "{silent}");
    }
    assert_eq!(net.hosts[server].endpoint.stats().out_of_the_blue, 14);
}

#[test]
fn an_abort_needs_the_right_tag() {
    let (mut net, server, mut stranger) = stage(14, listening(3863));
    assert!(stranger.enter(&mut net));
    let abort = |tag, flags| packet(1000, 3863, tag, &[(ABORT, flags, &[])]);
    for (tag, flags) in [(1, 0), (stranger.tag, 0), (stranger.peer_tag, 1), (0, 1), (2, 1)] {
        stranger.send(&mut net, abort(tag, flags));
    }
    // The right tag from the wrong port.
    stranger.send(&mut net, packet(1001, 3863, stranger.peer_tag, &[(ABORT, 0, &[])]));
    net.run(millis(100));
    assert_eq!(net.downs(server), []);
    stranger.send(&mut net, abort(stranger.tag, 1));
    net.run(millis(100));
    assert_eq!(net.downs(server)[0].1, DownReason::Aborted { cause: 0 });
}

/// Flags and value of a DATA chunk.
type Fragment = (u8, Vec<u8>);

/// Lets a stranger in and has him send these DATA chunks, one a packet.
fn data_of(
    config: Config,
    data: impl Iterator<Item = Fragment>,
) -> (Net, usize, Option<DownReason>) {
    let (mut net, server, mut stranger) = stage(15, config);
    assert!(stranger.enter(&mut net));
    for (flags, value) in data {
        stranger.send(&mut net, stranger.packet(&[(DATA, flags, &value)]));
        net.run(millis(10));
    }
    let down = net.downs(server).first().map(|(_, reason)| *reason);
    (net, server, down)
}

#[test]
fn bad_data_costs_the_association_and_nothing_else() {
    let cases: [(Violation, Vec<Fragment>); 5] = [
        (Violation::EmptyData, vec![(WHOLE, Stranger::data(1000, 0, 0, &[]))]),
        (Violation::Stream, vec![(WHOLE, Stranger::data(1000, 16, 0, b"x"))]),
        // A sequence number is left out: the message can never be delivered.
        (Violation::Order, vec![(WHOLE, Stranger::data(1000, 0, 1, b"x"))]),
        // The end of a message that was never begun.
        (Violation::Order, vec![(1, Stranger::data(1000, 0, 0, b"x"))]),
        (
            Violation::MessageTooLong,
            (0..70)
                .map(|n| (u8::from(n == 0) * 2, Stranger::data(1000 + n, 0, 0, &[0; 1000])))
                .collect(),
        ),
    ];
    for (violation, data) in cases {
        let (net, server, down) = data_of(listening(3863), data.into_iter());
        assert_eq!(down, Some(DownReason::Violation(violation)));
        assert!(net.messages(server).is_empty());
        assert_eq!(net.hosts[server].endpoint.receive_memory(), 0);
        assert_eq!(net.hosts[server].endpoint.associations(), 0);
    }
}

#[test]
fn a_message_that_is_not_finished_is_given_up() {
    let begin = std::iter::once((2, Stranger::data(1000, 0, 0, &[0; 1000])));
    let (mut net, server, down) = data_of(listening(3863), begin);
    assert_eq!(down, None);
    assert!(net.hosts[server].endpoint.receive_memory() > 1000);
    let given_up = net.run_until(seconds(200), |net| !net.downs(server).is_empty());
    assert!(given_up.is_some());
    // It fell silent, too; whichever is noticed first.
    let reason = net.downs(server)[0].1;
    let expected = [DownReason::Violation(Violation::StalledMessage), DownReason::TimedOut];
    assert!(expected.contains(&reason), "{reason:?}");
    assert_eq!(net.hosts[server].endpoint.receive_memory(), 0);
}

#[test]
fn tiny_fragments_cannot_pile_up() {
    // Every second chunk, backwards: the worst there is to keep.
    let data = (0..6000u32).rev().map(|n| (0, Stranger::data(1002 + 2 * n, 0, 0, b"x")));
    let (net, server, down) = data_of(listening(3863), data);
    let memory = net.hosts[server].endpoint.receive_memory();
    assert_eq!(down, None);
    assert!(memory > 10_000 && memory < 300_000, "{memory} bytes");
    assert!(net.hosts[server].endpoint.stats().data_dropped > 1000);
}

#[test]
fn all_associations_together_keep_no_more_than_they_may() {
    let config = with(|config| {
        config.receive_memory_max = 300_000;
        config.tuning.receive_window = 65_536;
        config.message_timeout = seconds(20);
    });
    let mut net = Net::new(16, FAIR);
    let server = net.host(&["192.0.2.1"], config);
    let client = net.host(&["192.0.2.2"], Config::default());
    let (good, _) = net.associate(client, server, 3863);
    let mut strangers = Vec::new();
    for number in 0..40 {
        let from = format!("198.51.100.{number}");
        let mut stranger = Stranger::new(&from, "192.0.2.1", 1000, 3863);
        assert!(stranger.enter(&mut net));
        strangers.push(stranger);
    }
    for tsn in 1000..1040 {
        for stranger in &strangers {
            let data = Stranger::data(tsn, 0, 0, &[0; 1000]);
            let flags = u8::from(tsn == 1000) * 2;
            stranger.send(&mut net, stranger.packet(&[(DATA, flags, &data)]));
        }
        net.run(millis(20));
        assert!(net.hosts[server].endpoint.receive_memory() < 302_000);
    }
    // Whole messages come through all the same.
    net.send(client, good, &pattern(500, 1));
    net.run(seconds(2));
    assert_eq!(net.messages(server).len(), 1);
    // And those who hold the memory lose it.
    net.run(seconds(40));
    assert_eq!(net.hosts[server].endpoint.receive_memory(), 0);
    net.send(client, good, &pattern(60_000, 2));
    net.run(seconds(10));
    assert_eq!(net.messages(server).len(), 2);
}

#[test]
fn chunks_nobody_knows_are_handled_by_their_upper_bits() {
    let (mut net, server, mut stranger) = stage(17, listening(3863));
    assert!(stranger.enter(&mut net));
    net.arrived_at(stranger.from);
    let mut tsn = 1000;
    let mut ask = |kind: u8| {
        let data = Stranger::data(tsn, 0, u16::try_from(tsn - 1000).unwrap(), b"x");
        let before = net.messages(server).len();
        stranger.send(&mut net, stranger.packet(&[(kind, 0, b"what"), (DATA, WHOLE, &data)]));
        net.run(millis(500));
        let went_on = net.messages(server).len() > before;
        tsn += u32::from(went_on);
        let reports = net.arrived_at(stranger.from);
        (went_on, reports.iter().any(|bytes| chunks(bytes)[0].0 == ERROR))
    };
    assert_eq!(ask(0x3f), (false, false));
    assert_eq!(ask(0x7f), (false, true));
    assert_eq!(ask(0xbf), (true, false));
    assert_eq!(ask(0xff), (true, true));
    // Extensions that were not agreed on count as unknown.
    assert_eq!(ask(0xc0), (true, true), "FORWARD TSN");
    assert_eq!(ask(0x82), (true, false), "RE-CONFIG");
    assert_eq!(ask(0x40), (false, true), "I-DATA");
    assert_eq!(net.downs(server), []);
}

#[test]
fn nothing_a_stranger_sends_makes_the_endpoint_say_more_than_he_did() {
    for seed in 0..20 {
        let (mut net, server, _) = stage(100 + seed, listening(3863));
        let client = net.host(&["192.0.2.2"], Config::default());
        net.trace = Some(Vec::new());
        let (id, theirs) = net.associate(client, server, 3863);
        net.send(client, id, &pattern(3000, 1));
        net.send(server, theirs, &pattern(3000, 2));
        net.run(seconds(1));
        let seen: Vec<Vec<u8>> =
            net.trace.take().unwrap().into_iter().map(|(.., bytes)| bytes).collect();
        let mut dice = net.dice.clone();
        for round in 0..2000u32 {
            let mut bytes = seen[dice.index(seen.len())].clone();
            // A tag nobody has, or none; the rest as it was, or not.
            if bytes[12] != 1 {
                bytes[4..8].copy_from_slice(&dice.roll().to_be_bytes()[..4]);
            }
            mutate(&mut bytes, &mut dice);
            let [a, b, c, d] = round.to_be_bytes();
            let from = SocketAddr::new(IpAddr::from([100 + a, b, c, d]), UDP);
            let now = net.now;
            net.hosts[server].endpoint.receive(now, Path { remote: from, local: None }, &bytes);
            let mut answer = 0;
            while let Some(transmit) = net.hosts[server].endpoint.poll_transmit(now) {
                assert_eq!(transmit.path.remote, from);
                answer += transmit.packet.len();
            }
            assert!(answer <= bytes.len(), "{answer} bytes for {}: {bytes:?}", bytes.len());
        }
        assert_eq!(net.hosts[server].endpoint.associations(), 1);
    }
}

/// Changes a packet at random and mends its checksum.
fn mutate(bytes: &mut Vec<u8>, dice: &mut net::Dice) {
    match dice.below(6) {
        0 => bytes.truncate(dice.index(bytes.len() + 1)),
        1 => {
            for _ in 0..dice.below(40) {
                bytes.push(dice.byte());
            }
        }
        _ => {}
    }
    for _ in 0..dice.below(6) {
        if bytes.len() > 12 {
            let at = 12 + dice.index((bytes.len() - 12).min(60));
            let odd = [0, 1, 4, 0x7f, 0x80, 0xff];
            bytes[at] = if dice.hits(500) { dice.byte() } else { odd[dice.index(odd.len())] };
        }
    }
    net::seal(bytes);
}

#[test]
fn mutated_packets_between_peers_do_no_lasting_harm() {
    for seed in 0..30 {
        let mut net = Net::new(200 + seed, FOUL);
        let tuning = Tuning { heartbeat_interval: seconds(2), ..Tuning::default() };
        let config = Config { tuning: tuning.clone(), ..listening(3863) };
        let server = net.host(&["192.0.2.1", "192.0.2.3"], config);
        let client = net.host(&["192.0.2.2"], Config { tuning, ..listening(9901) });
        let mut dice = net.dice.clone();
        let mut ids: Vec<_> = (0..4).map(|_| net.connect(client, &["192.0.2.1"], 3863)).collect();
        ids.push(net.connect_from(client, &["192.0.2.1"], 3863, Some(9901)));
        for step in 0..400 {
            net.run(millis(dice.below(60)));
            // Every fifth packet on the way gets a mutated twin.
            let twins: Vec<_> = net.flights.values().filter(|_| dice.hits(200)).cloned().collect();
            for (from, to, mut bytes) in twins {
                mutate(&mut bytes, &mut dice);
                net.launch(from, to, bytes);
            }
            for host in [server, client] {
                for event in std::mem::take(&mut net.hosts[host].events) {
                    if let Event::Message(message) = event {
                        let echo = &message.data[..message.data.len().min(2000)];
                        let _ = net.hosts[host].endpoint.send(message.id, 0, PPID, echo);
                    }
                }
                assert!(net.hosts[host].endpoint.associations() <= 10);
                assert!(net.hosts[host].endpoint.receive_memory() < 10 << 20);
            }
            if step % 7 == 0 {
                let longest = if dice.hits(50) { 65_536 } else { 3000 };
                let length = 1 + dice.index(longest);
                let id = ids[dice.index(ids.len())];
                let _ = net.hosts[client].endpoint.send(id, 0, PPID, &pattern(length, step));
            }
            if step % 50 == 49 {
                let (now, id) = (net.now, ids[dice.index(ids.len())]);
                match dice.below(3) {
                    0 => net.hosts[client].endpoint.shutdown(now, id),
                    1 => net.hosts[client].endpoint.abort(now, id),
                    _ => ids.push(net.connect(client, &["192.0.2.1"], 3863)),
                }
            }
        }
        // And still, or again, associations can be had.
        net.weather = FAIR;
        net.hosts[server].events.clear();
        let id = net.connect(client, &["192.0.2.1"], 3863);
        net.run(seconds(5));
        assert!(net.ups(client).iter().any(|up| up.id == id), "seed {seed}");
    }
}

#[test]
fn a_full_transmit_queue_drops_and_does_not_grow() {
    let (mut net, server, stranger) = stage(18, with(|config| config.transmit_queue_max = 64));
    let init = stranger.init(&Stranger::linux_parameters());
    let now = net.now;
    for _ in 0..1000 {
        let path = Path { remote: stranger.from, local: None };
        net.hosts[server].endpoint.receive(now, path, &init);
    }
    let sent = std::iter::from_fn(|| net.hosts[server].endpoint.poll_transmit(now)).count();
    assert_eq!(sent, 64);
    assert_eq!(net.hosts[server].endpoint.stats().transmit_overflows, 936);
}
