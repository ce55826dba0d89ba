//! A registrar in service: what pool elements and pool users get, byte for
//! byte, over real sockets.

mod peer;

use std::time::{Duration, Instant};

use peer::{
    Peer, deregistration, eventually, handle_of, hex, keep_alive_ack, options, registrar,
    registration, resolution, resolved,
};
use rserpool_registrar::{Options, start};

/// Requests and their answers, RFC 5352 and 5354.
const GOLDEN: &[(&str, &str)] = &[
    // Registration of 0x11223344 in "EchoPool".
    (
        "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
         00040010 1e61 0001 000100080a000001 00080008 00000001",
        "03000018 0009000c4563686f506f6f6c 000e0008 11223344",
    ),
    // Its resolution: the home registrar is now known.
    (
        "05000010 0009000c4563686f506f6f6c",
        "06000040 0009000c4563686f506f6f6c 00080008 00000001 000a0028 11223344 aabbccdd 0000005a \
         00040010 1e61 0001 000100080a000001 00080008 00000001",
    ),
    // With the option for as many pool elements as possible.
    (
        "05000018 0009000c4563686f506f6f6c 803f0008 ffffffff",
        "06000040 0009000c4563686f506f6f6c 00080008 00000001 000a0028 11223344 aabbccdd 0000005a \
         00040010 1e61 0001 000100080a000001 00080008 00000001",
    ),
    // A second element with another policy: cause 5 with the pool's policy.
    (
        "0100003c 0009000c4563686f506f6f6c 000a002c 11223345 00000000 0000005a \
         00040010 1e61 0001 000100080a000001 0008000c 40000001 80000000",
        "03010028 0009000c4563686f506f6f6c 000e0008 11223345 000c0010 0005000c 00080008 00000001",
    ),
    (
        "02000018 0009000c4563686f506f6f6c 000e0008 11223344", // Deregistration.
        "04000018 0009000c4563686f506f6f6c 000e0008 11223344",
    ),
    // The pool is gone: cause 9 with its handle.
    (
        "05000010 0009000c4563686f506f6f6c",
        "06000024 0009000c4563686f506f6f6c 000c0014 00090010 0009000c4563686f506f6f6c",
    ),
    // A length that counts the padding, and one that does not.
    (
        "05000010 00090009 6162636465000000",
        "06000021 00090009 6162636465000000 000c0011 0009000d 00090009 6162636465000000",
    ),
    (
        "0500000d 00090009 6162636465000000",
        "06000021 00090009 6162636465000000 000c0011 0009000d 00090009 6162636465000000",
    ),
];

#[test]
fn answers_are_those_of_the_rfcs_byte_for_byte() {
    for shards in [1, 2, 3] {
        let running = registrar(shards);
        let mut peer = Peer::of(&running);
        for (request, answer) in GOLDEN {
            assert_eq!(peer.ask(&hex(request)), hex(answer), "{request} with {shards} shards");
        }
        running.stop().unwrap();
    }
}

#[test]
fn pipelined_requests_to_pools_of_all_shards_are_answered_in_order() {
    let running = registrar(2);
    let handles: Vec<String> = (0..64).map(|pool| format!("pool-{pool}")).collect();
    let mut peers = [Peer::of(&running), Peer::of(&running), Peer::of(&running)];
    for (number, peer) in (1..).zip(&mut peers) {
        let batch: Vec<u8> =
            handles.iter().flat_map(|handle| registration(handle.as_bytes(), number)).collect();
        peer.send(&batch);
        for handle in &handles {
            let answer = peer.message();
            assert_eq!((answer[0], answer[1], handle_of(&answer)), (3, 0, handle.as_bytes()));
        }
    }
    for peer in &mut peers {
        let batch: Vec<u8> =
            handles.iter().flat_map(|handle| resolution(handle.as_bytes())).collect();
        peer.send(&batch);
        for handle in &handles {
            let answer = peer.message();
            assert_eq!(handle_of(&answer), handle.as_bytes());
            let mut elements = resolved(&answer);
            elements.sort_unstable();
            assert_eq!(elements, [1, 2, 3]);
        }
    }
    let stats = running.stop().unwrap().stats;
    assert!(stats.shards.iter().all(|shard| shard.pools == 0), "their connections are closed");
    let crossed: u64 = stats.shards.iter().map(|shard| shard.protocol.mesh_sent).sum();
    assert!(crossed > 0, "64 pools on 2 shards, and nothing crossed");
    assert_eq!(stats.traffic().messages, 6 * 64);
    assert_eq!(stats.traffic().panics, 0);
}

/// Overload has an answer with its cause, and nothing grows by it.
#[test]
fn connections_move_to_the_shard_of_their_pool_and_nothing_is_lost() {
    let running = registrar(3);
    let mut peers = Vec::new();
    for pe in 1..=60_u32 {
        let pool = format!("pool {}", pe % 20);
        let mut peer = Peer::of(&running);
        // The end of one request comes with the connection, the rest after it.
        let mut bytes = registration(pool.as_bytes(), pe);
        bytes.extend(resolution(pool.as_bytes()).repeat(50));
        let (first, rest) = bytes.split_at(bytes.len() / 3 + pe as usize);
        peer.send(first);
        peer.send(rest);
        assert_eq!(peer.message()[0], 3, "{pool}");
        for _ in 0..50 {
            assert!(!resolved(&peer.message()).is_empty(), "{pool}");
        }
        peers.push(peer);
    }
    let traffic = running.stats().traffic();
    assert!((20..=60).contains(&traffic.moved_away), "{traffic:?}");
    assert_eq!(traffic.moved_away, traffic.moved_here);
    assert_eq!((running.stats().connections(), running.stats().elements()), (60, 60));
    // Those who moved are watched where they are.
    drop(peers);
    eventually("elements go with their connections", || running.stats().elements() == 0);
    running.stop().unwrap();
}

#[test]
fn where_connections_stay_their_messages_are_handed_over() {
    let options = Options { move_connections: false, ..options(2) };
    let running = start(&options).unwrap();
    for number in 0..20 {
        let mut peer = Peer::of(&running);
        let request = resolution(format!("pool {number}").as_bytes());
        for _ in 0..3 {
            assert_eq!(peer.ask(&request)[0], 6);
        }
    }
    let stats = running.stats();
    assert_eq!(stats.traffic().moved_away, 0);
    assert!(stats.shards.iter().any(|shard| shard.protocol.mesh_sent > 0));
    running.stop().unwrap();
}

#[test]
fn beyond_its_limits_it_refuses_with_the_cause() {
    let limits = Options { max_pools: 4, max_elements_per_pool: 8, ..options(2) };
    let running = start(&limits).unwrap();
    let mut peer = Peer::of(&running);
    let (mut taken, mut refused) = (0, 0);
    for pool in 0..32_u8 {
        let requests: Vec<u8> = (1..=32).flat_map(|pe| registration(&[b'o', pool], pe)).collect();
        peer.send(&requests);
        for _ in 0..32 {
            let answer = peer.message();
            assert_eq!((answer[0], handle_of(&answer)), (3, &[b'o', pool][..]));
            if answer[1] == 0 {
                taken += 1;
                continue;
            }
            // Operation Error with cause 6, lack of resources, and no data.
            assert_eq!((answer[1], &answer[20..]), (1, &[0, 12, 0, 8, 0, 6, 0, 4][..]));
            refused += 1;
        }
    }
    assert_eq!(taken + refused, 32 * 32);
    let stats = running.stats();
    assert!(stats.pools() <= 2 * 4 && stats.elements() == taken && taken <= 8 * 8, "{stats:?}");
    let mut user = Peer::of(&running);
    assert_eq!(user.ask(&resolution(b"nobody"))[0], 6);
}

#[test]
fn round_robin_takes_turns_over_all_connections() {
    let running = registrar(2);
    let mut peers = [Peer::of(&running), Peer::of(&running)];
    for (pe, peer) in (1..).zip(&mut peers) {
        peer.ask(&registration(b"ring", pe));
    }
    let one = hex("05000014 00090008 72696e67 803f0008 00000001");
    let picked: Vec<u32> = (0..8).flat_map(|turn| resolved(&peers[turn % 2].ask(&one))).collect();
    assert_eq!(picked, [1, 2, 1, 2, 1, 2, 1, 2]);
}

#[test]
fn who_answers_keep_alives_stays_and_who_does_not_goes() {
    let mut options = options(2);
    options.keep_alive_interval = Duration::from_millis(60);
    // The good one must not be late, however busy the machine is.
    options.keep_alive_timeout = Duration::from_secs(2);
    let running = start(&options).unwrap();
    let (mut good, mut bad, mut user) =
        (Peer::of(&running), Peer::of(&running), Peer::of(&running));
    assert_eq!(good.ask(&registration(b"alive", 1))[1], 0);
    assert_eq!(bad.ask(&registration(b"alive", 2))[1], 0);
    let keep_alive = bad.message();
    assert_eq!(keep_alive[..2], [7, 0], "{keep_alive:02x?}");
    assert_eq!(keep_alive[4..8], [0xaa, 0xbb, 0xcc, 0xdd]);
    let began = Instant::now();
    let mut acknowledged = 0;
    while resolved(&user.ask(&resolution(b"alive"))) != [1] {
        assert_eq!(good.message()[0], 7);
        good.send(&keep_alive_ack(b"alive", 1));
        acknowledged += 1;
        assert!(began.elapsed() < peer::PATIENCE, "the silent one stays");
    }
    assert!(acknowledged > 2, "{acknowledged}");
    assert!(began.elapsed() > Duration::from_secs(1), "it went before its time");
    // The one that answered goes on being asked, and stays.
    for _ in 0..5 {
        assert_eq!(good.message()[0], 7);
        good.send(&keep_alive_ack(b"alive", 1));
        assert_eq!(resolved(&user.ask(&resolution(b"alive"))), [1]);
    }
}

#[test]
fn a_closed_connection_takes_its_elements_along() {
    let running = registrar(2);
    let mut user = Peer::of(&running);
    for pool in 0..8_u32 {
        let mut element = Peer::of(&running);
        let handle = pool.to_be_bytes();
        element.ask(&registration(&handle, 1));
        assert_eq!(resolved(&user.ask(&resolution(&handle))), [1]);
        drop(element);
        eventually("the pool of a closed connection", || {
            resolved(&user.ask(&resolution(&handle))).is_empty()
        });
    }
    assert_eq!(running.stats().elements(), 0);
}

#[test]
fn a_peer_that_sends_no_more_gets_all_its_answers() {
    let running = registrar(2);
    let mut peer = Peer::of(&running);
    let requests: Vec<u8> = (0..500_u32).flat_map(|pool| resolution(&pool.to_be_bytes())).collect();
    peer.send(&requests);
    peer.send_no_more();
    assert_eq!(peer.until_closed(), [6; 500]);
}

#[test]
fn many_elements_of_many_connections_come_and_go() {
    // No keep-alive comes between the answers on a slow machine.
    let quiet = Options { keep_alive_interval: Duration::ZERO, ..options(2) };
    let running = start(&quiet).unwrap();
    let mut peers: Vec<Peer> = (0..50).map(|_| Peer::of(&running)).collect();
    for (connection, peer) in (0..).zip(&mut peers) {
        let batch: Vec<u8> = (0..100_u32)
            .flat_map(|pe| {
                registration(format!("p{}", pe % 10).as_bytes(), connection * 100 + pe + 1)
            })
            .collect();
        peer.send(&batch);
    }
    for peer in &mut peers {
        for _ in 0..100 {
            assert_eq!(peer.message()[..2], [3, 0]);
        }
    }
    let stats = running.stats();
    assert_eq!((stats.elements(), stats.pools(), stats.connections()), (5000, 10, 50));
    for (connection, peer) in (0..).zip(&mut peers) {
        let batch: Vec<u8> = (0..100_u32)
            .flat_map(|pe| {
                deregistration(format!("p{}", pe % 10).as_bytes(), connection * 100 + pe + 1)
            })
            .collect();
        peer.send(&batch);
        for _ in 0..100 {
            assert_eq!(peer.message()[0], 4);
        }
    }
    let stats = running.stats();
    assert_eq!((stats.elements(), stats.pools()), (0, 0));
}
