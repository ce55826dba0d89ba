//! What wrong bytes, half-open and unreading peers do to a registrar, and to
//! the others it serves: nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use peer::{Peer, eventually, handle_of, options, registration, resolution, resolved};
use rserpool_registrar::{Options, Running, start};

/// Longer than any resolution may take on a loaded machine; a registrar that
/// stalls for an attack does so for seconds, or for ever.
const STALL: Duration = Duration::from_secs(10);

/// A pool user that resolves all the time while others attack.
struct Witness {
    over: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Duration)>,
}

impl Witness {
    fn start(address: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let mut element = Peer::connect(address);
        for pool in 0..8 {
            assert_eq!(element.ask(&registration(&[b'w', pool], 7))[..2], [3, 0]);
        }
        let mut user = Peer::connect(address);
        assert_eq!(resolved(&user.ask(&resolution(b"w\0"))), [7]);
        let thread = thread::spawn(move || {
            let (mut count, mut worst) = (0, Duration::ZERO);
            while !seen.load(Ordering::Relaxed) || count == 0 {
                for pool in 0..8 {
                    let asked = Instant::now();
                    assert_eq!(resolved(&user.ask(&resolution(&[b'w', pool]))), [7]);
                    worst = worst.max(asked.elapsed());
                    count += 1;
                }
            }
            // The element's connection lives as long as the witness.
            drop(element);
            (count, worst)
        });
        Self { over, thread }
    }

    /// Ends it and asserts that it was served all the time.
    fn assert_served(self) {
        self.over.store(true, Ordering::Relaxed);
        let (count, worst) = self.thread.join().unwrap();
        assert!(worst < STALL, "one of {count} resolutions took {worst:?}");
    }
}

fn impatient() -> Options {
    Options {
        message_timeout: Duration::from_millis(300),
        // The elements here do not answer keep-alives.
        keep_alive_interval: Duration::ZERO,
        ..options(2)
    }
}

fn assert_unharmed(running: Running, witness: Witness) {
    witness.assert_served();
    let stats = running.stop().unwrap().stats;
    assert_eq!(stats.traffic().panics, 0);
}

/// Pseudo-random numbers of a fixed seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

#[test]
fn random_bytes_end_their_own_connection_only() {
    let running = start(&impatient()).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let mut chance = Chance(0x5eed);
    for length in (1..400).chain([5_000, 60_000, 200_000]) {
        let mut peer = Peer::of(&running);
        // It may be closed before all of it is sent.
        let bytes = chance.bytes(length);
        peer.try_send(&bytes);
        peer.send_no_more();
        peer.until_closed();
    }
    let mut open: Vec<Peer> = (0..200).map(|_| Peer::of(&running)).collect();
    for peer in &mut open {
        let bytes = chance.bytes(100);
        peer.try_send(&bytes);
    }
    for peer in &mut open {
        peer.until_closed();
    }
    assert_unharmed(running, witness);
}

#[test]
fn random_bytes_in_a_good_frame_are_answered_or_ignored() {
    let running = start(&impatient()).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let mut chance = Chance(0xbad);
    let mut peer = Peer::of(&running);
    for round in 0..2_000_u32 {
        let mut body = chance.bytes(usize::try_from(chance.0 % 200).unwrap());
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
        let code = u8::try_from(round % 256).unwrap();
        peer.send(&[&[code, 0, length[0], length[1]], body.as_slice()].concat());
        // The connection is still one that serves.
        let marker = round.to_be_bytes();
        peer.send(&resolution(&marker));
        while handle_of_resolution(&peer.message()) != Some(marker.to_vec()) {}
    }
    assert_unharmed(running, witness);
}

fn handle_of_resolution(answer: &[u8]) -> Option<Vec<u8>> {
    (answer[0] == 6).then(|| handle_of(answer).to_vec())
}

#[test]
fn messages_cut_at_each_length_leave_nothing_behind() {
    let running = start(&impatient()).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let message = registration(b"cut", 1);
    for length in 0..message.len() {
        let mut closed = Peer::of(&running);
        closed.send(&message[..length]);
        closed.send_no_more();
        assert_eq!(closed.until_closed(), [0_u8; 0], "cut at {length}");
    }
    let mut waiting: Vec<Peer> = (0..message.len())
        .map(|length| {
            let mut peer = Peer::of(&running);
            peer.send(&message[..length]);
            peer
        })
        .collect();
    for peer in &mut waiting {
        assert_eq!(peer.until_closed(), [0_u8; 0]);
    }
    eventually("the connections are gone", || running.stats().connections() == 2);
    assert_eq!(running.stats().elements(), 8, "the witness's own");
    assert_unharmed(running, witness);
}

#[test]
fn lengths_that_lie_are_answered_or_end_the_connection() {
    let running = start(&impatient()).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let honest = registration(b"liar", 1);
    // Each 16-bit field of the message as a length, too small and too large.
    for at in (2..honest.len()).step_by(2) {
        for lie in [0, 1, 3, 5, 0x7fff, 0xfffc, 0xffff_u16] {
            let mut bytes = honest.clone();
            bytes[at..at + 2].copy_from_slice(&lie.to_be_bytes());
            let mut peer = Peer::of(&running);
            peer.send(&bytes);
            if at == 2 {
                // It is not delimited any more: closed, at the latest in time.
                peer.until_closed();
                continue;
            }
            // The next one is answered, whatever became of the first.
            peer.send(&resolution(b"truth"));
            while handle_of_resolution(&peer.message()) != Some(b"truth".to_vec()) {}
        }
    }
    assert_unharmed(running, witness);
}

#[test]
fn the_longest_pool_handle_is_answered() {
    let running = start(&impatient()).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let mut peer = Peer::of(&running);
    for length in [4_096, 4_097, 32_768, 65_000, 65_500, 65_520, 65_523, 65_524] {
        let handle = vec![b'x'; length];
        peer.send(&resolution(&handle));
        peer.send(&resolution(b"after"));
        while handle_of_resolution(&peer.message()) != Some(b"after".to_vec()) {}
    }
    // As long as a message can be.
    let message = [&[5, 0, 0xff, 0xff, 0, 9, 0xff, 0xfb], vec![b'x'; 65_528].as_slice()].concat();
    assert_eq!(message.len(), 65_536);
    peer.send(&message);
    peer.send(&resolution(b"after"));
    while handle_of_resolution(&peer.message()) != Some(b"after".to_vec()) {}
    // And one that says so and never ends.
    peer.send(&message[..65_000]);
    peer.until_closed();
    assert_unharmed(running, witness);
}

#[test]
fn silent_connections_make_room_for_others() {
    let options = Options { max_connections: Some(40), shards: Some(1), ..impatient() };
    let options = Options { message_timeout: Duration::from_secs(3600), ..options };
    let running = start(&options).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let silent: Vec<Peer> = (0..200)
        .map(|_| {
            let mut peer = Peer::of(&running);
            peer.try_send(&[5]);
            peer
        })
        .collect();
    for _ in 0..50 {
        let mut good = Peer::of(&running);
        assert_eq!(resolved(&good.ask(&resolution(b"w\0"))), [7]);
    }
    let traffic = running.stats().traffic();
    assert!(traffic.evicted >= 160, "{traffic:?}");
    assert_eq!(traffic.refused, 0);
    let closed = || silent.iter().filter(|peer| peer.is_closed()).count();
    eventually("the evicted ones are closed", || closed() >= 160);
    assert_unharmed(running, witness);
}

#[test]
fn full_of_speaking_connections_it_refuses_more_and_serves_those() {
    let options = Options { max_connections: Some(10), shards: Some(1), ..impatient() };
    let running = start(&options).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let mut speakers: Vec<Peer> = Vec::new();
    for _ in 0..8 {
        let mut peer = Peer::of(&running);
        peer.ask(&resolution(b"w\0"));
        speakers.push(peer);
    }
    for _ in 0..20 {
        assert_eq!(Peer::of(&running).until_closed(), [0_u8; 0]);
    }
    for peer in &mut speakers {
        assert_eq!(resolved(&peer.ask(&resolution(b"w\x01"))), [7]);
    }
    drop(speakers.pop());
    eventually("room for one more", || {
        let mut peer = Peer::of(&running);
        peer.try_send(&resolution(b"w\0")) && peer.next().is_some()
    });
    assert_unharmed(running, witness);
}

#[test]
fn who_reads_nothing_is_closed_and_holds_up_nobody() {
    let running = start(&impatient()).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    let requests: Vec<u8> = (0..8).flat_map(|pool| resolution(&[b'w', pool])).collect();
    let mut unreading: Vec<Peer> = (0..20).map(|_| Peer::of(&running)).collect();
    for peer in &mut unreading {
        peer.stuff(&requests.repeat(1000));
    }
    eventually("unreading connections are closed", || running.stats().connections() == 2);
    let traffic = running.stats().traffic();
    assert_eq!(traffic.timed_out + traffic.slow_readers, 20, "{traffic:?}");
    assert_unharmed(running, witness);
}

#[test]
fn a_peer_that_reads_late_gets_every_answer() {
    let running = start(&options(2)).unwrap();
    let mut element = Peer::of(&running);
    for pool in 0..8 {
        element.ask(&registration(&[b'w', pool], 7));
    }
    let mut peer = Peer::of(&running);
    let mut reader = peer.second();
    let requests: Vec<u8> = (0..8).flat_map(|pool| resolution(&[b'w', pool])).collect();
    // Far more than the buffers of both sides hold.
    let writer = thread::spawn(move || {
        for _ in 0..20_000 {
            peer.send(&requests);
        }
        peer
    });
    for count in 0..160_000_usize {
        let answer = reader.message();
        assert_eq!(handle_of(&answer), [b'w', u8::try_from(count % 8).unwrap()]);
    }
    drop(writer.join().unwrap());
    assert_eq!(running.stop().unwrap().stats.traffic().panics, 0);
}

#[test]
fn connections_that_come_and_go_at_once_leave_nothing() {
    let running = start(&impatient()).unwrap();
    let witness = Witness::start(running.asap_tcp()[0]);
    for round in 0..500 {
        let mut peer = Peer::of(&running);
        if round % 2 == 0 {
            peer.send(&registration(b"gone", round + 1));
        }
        if round % 3 == 0 {
            // Closed with an unread answer: a reset.
            eventually("the answer is there", || peer.has_answer() || round % 2 != 0);
        }
    }
    eventually("the connections are gone", || running.stats().connections() == 2);
    eventually("their elements are gone", || running.stats().elements() == 8);
    assert_unharmed(running, witness);
}
