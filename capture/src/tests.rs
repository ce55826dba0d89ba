//! Captures made of the messages that the codec's tests have recorded.

use std::io::Read;

use etherparse::{IpNumber, PacketBuilder};
use proptest::prelude::*;

use rserpool_codec::{asap, enrp};

use crate::{Broken, Counts, Ports, Told, decode};

/// A message and whether it is of ASAP.
type Recorded = (bool, Vec<u8>);

/// Every message of a recording.
fn recorded(name: &str) -> Vec<Recorded> {
    let path = format!("{}/../codec/tests/captures/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let bytes = |hex: &str| {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    };
    let read = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[2] == "asap", bytes(words[3]))
    };
    text.lines().map(read).collect()
}

fn ports() -> Ports {
    Ports { asap: vec![7777], ..Ports::default() }
}

/// Ethernet and IPv4 around what a transport made.
fn ip(protocol: IpNumber, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    let mut packet = Vec::new();
    builder.write(&mut packet, protocol, payload).unwrap();
    packet
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2([1; 6], [2; 6]).ipv6([1; 16], [2; 16], 64).udp(40_000, port);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn tcp(port: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .tcp(40_000, port, sequence, 1000);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// SCTP packets with a message, in chunks of at most `room` bytes.
fn sctp(first: &mut u32, is_asap: bool, message: &[u8], room: usize) -> Vec<Vec<u8>> {
    let chunks: Vec<&[u8]> = message.chunks(room).collect();
    let mut packets = Vec::new();
    for (at, bytes) in chunks.iter().enumerate() {
        let flags = u8::from(at == 0) << 1 | u8::from(at + 1 == chunks.len());
        let mut packet = vec![0x9c, 0x40, 0x0f, 0x17, 0, 0, 0, 9, 0, 0, 0, 0, 0, flags];
        packet.extend(u16::try_from(16 + bytes.len()).unwrap().to_be_bytes());
        packet.extend(first.to_be_bytes());
        packet.extend([0, 0, 0, 0]);
        packet.extend((if is_asap { asap::PPID } else { enrp::PPID }).to_be_bytes());
        packet.extend(*bytes);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packets.push(packet);
        *first = first.wrapping_add(1);
    }
    packets
}

/// The recorded messages over every carrier.
fn packets(messages: &[Recorded]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let (mut plain, mut small, mut encapsulated) = (u32::MAX - 3, 1 << 20, 5);
    let mut sequences = [u32::MAX - 100, 7];
    for (is_asap, message) in messages {
        let whole = sctp(&mut plain, *is_asap, message, 1400);
        packets.extend(whole.iter().map(|packet| ip(IpNumber::SCTP, packet)));
        let pieces = sctp(&mut small, *is_asap, message, 13);
        packets.extend(pieces.iter().rev().map(|packet| ip(IpNumber::SCTP, packet)));
        let over_udp = sctp(&mut encapsulated, *is_asap, message, 1400);
        packets.extend(over_udp.iter().map(|packet| udp(9899, packet)));
        packets.push(udp(if *is_asap { 3863 } else { 9901 }, message));
        // On a stream, padding is part of a message.
        let mut padded = message.clone();
        padded.resize(padded.len().next_multiple_of(4), 0);
        let port = if *is_asap { 7777 } else { 9901 };
        let sequence = &mut sequences[usize::from(*is_asap)];
        for part in padded.chunks(17) {
            packets.push(tcp(port, *sequence, part));
            *sequence = sequence.wrapping_add(u32::try_from(part.len()).unwrap());
        }
    }
    packets
}

/// How often a message is in those packets.
const CARRIERS: u64 = 5;

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4]].concat();
    file.extend([word(65_535), word(1)].concat());
    for (at, packet) in packets.iter().enumerate() {
        file.extend([word(1_000_000), word(at), word(packet.len()), word(packet.len())].concat());
        file.extend(packet);
    }
    file
}

fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = word(12 + body.len().next_multiple_of(4));
        file.extend([kind.to_le_bytes(), length].concat());
        file.extend(body);
        file.resize(file.len().next_multiple_of(4), 0);
        file.extend(length);
    };
    block(0x0a0d_0d0a, &[[0x4d, 0x3c, 0x2b, 0x1a], [1, 0, 0, 0], [0xff; 4], [0xff; 4]].concat());
    // A resolution of nanoseconds.
    block(1, &[[1, 0, 0, 0], [0; 4], [9, 0, 1, 0], [9, 0, 0, 0], [0; 4]].concat());
    for (at, packet) in packets.iter().enumerate() {
        let lengths = [word(packet.len()), word(packet.len())].concat();
        block(6, &[&[0; 8], word(at).as_slice(), &lengths, packet].concat());
    }
    file
}

fn text(file: &[u8]) -> (String, Counts, Result<(), Broken>) {
    let mut out = Vec::new();
    let (counts, broken) = decode(file, &ports(), |told| told.write_text(&mut out).unwrap());
    (String::from_utf8(out).unwrap(), counts, broken)
}

#[test]
fn every_recorded_message_is_read_over_every_carrier_from_both_kinds_of_files() {
    for name in ["rsplib-3reg-takeover", "rsplib-failover-cookie", "rsplib-3reg-rehome"] {
        let messages = recorded(name);
        let packets = packets(&messages);
        let expected = Counts {
            packets: packets.len() as u64,
            messages: messages.len() as u64 * CARRIERS,
            ..Counts::default()
        };
        for file in [pcap(&packets), pcapng(&packets)] {
            let (text, counts, broken) = text(&file);
            assert_eq!((counts, broken), (expected, Ok(())), "{name}\n{text}");
            for carrier in ["  sctp  ", "  sctp-udp  ", "  udp  ", "  tcp  "] {
                assert!(text.contains(carrier), "{name} {carrier}");
            }
        }
    }
}

/// Gives a few bytes at a time, as a pipe may.
struct InPieces<'a>(&'a [u8]);

impl Read for InPieces<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let length = room.len().min(7);
        self.0.read(&mut room[..length])
    }
}

#[test]
fn a_file_may_come_in_pieces() {
    let packets = packets(&recorded("rsplib-failover-cookie"));
    for file in [pcap(&packets), pcapng(&packets)] {
        let mut out = Vec::new();
        let tell = |told: &Told<'_>| told.write_text(&mut out).unwrap();
        let (counts, broken) = decode(InPieces(&file), &ports(), tell);
        assert_eq!((String::from_utf8(out).unwrap(), counts, broken), text(&file));
    }
}

#[test]
fn a_message_is_told_with_all_that_is_in_it() {
    let messages: Vec<Recorded> =
        recorded("rsplib-failover-cookie").into_iter().filter(|(is_asap, _)| *is_asap).collect();
    let file = pcap(&packets(&messages[1..2]));
    let (text, ..) = text(&file);
    let first: Vec<&str> = text.lines().take(2).collect();
    assert_eq!(
        first,
        [
            "1  0.000000  192.0.2.1:40000 > 192.0.2.2:3863  sctp  ASAP Registration  bytes 56  \
             pool PPPool",
            "    element  id 0x01010101  home 0x00000000  life 90000  \
             services sctp://10.255.0.11:40007  use DataAndControl  policy RoundRobin",
        ]
    );
    let mut out = Vec::new();
    let json = |told: &Told<'_>| told.write_json(&mut out).unwrap();
    assert_eq!(decode(file.as_slice(), &ports(), json).1, Ok(()));
    let first = out.split(|byte| *byte == b'\n').next().unwrap();
    let json: serde_json::Value = serde_json::from_slice(first).unwrap();
    assert_eq!(json["time"], "1000000.000000000");
    assert_eq!((&json["message"], &json["pool"]), (&"Registration".into(), &"PPPool".into()));
    assert_eq!(json["element"]["id"], "0x01010101");
}

#[test]
fn a_malformed_message_is_told_with_its_offset_and_the_rest_is_read() {
    let good = recorded("03-asap-deregistration").swap_remove(0);
    let mut bad = good.clone();
    // The type of the first parameter: a known one where it does not belong.
    bad.1[5] = 0x0a;
    let (mut number, mut packets) = (0, Vec::new());
    for (is_asap, message) in [&good, &bad, &good] {
        let all = sctp(&mut number, *is_asap, message, 1400);
        packets.extend(all.iter().map(|packet| ip(IpNumber::SCTP, packet)));
    }
    let (text, counts, broken) = text(&pcap(&packets));
    assert_eq!((counts.messages, counts.malformed, broken), (2, 1, Ok(())));
    let line = text.lines().find(|line| line.contains("MALFORMED")).unwrap();
    let what = "ASAP MALFORMED  what a parameter where it does not belong  offset 4  message_hex";
    assert!(line.starts_with("2  ") && line.contains(what), "{line}");
}

#[test]
fn a_datagram_in_fragments_is_read() {
    let message = recorded("03-asap-deregistration").swap_remove(0);
    let [packet] = sctp(&mut 1, message.0, &message.1, 1400).try_into().unwrap();
    let (head, tail) = packet.split_at(24);
    let fragment = |offset: u16, more: bool, bytes: &[u8]| {
        let mut packet = ip(IpNumber::SCTP, bytes);
        let [high, low] = offset.to_be_bytes();
        packet[14 + 6] = high | if more { 0x20 } else { 0 };
        packet[14 + 7] = low;
        packet
    };
    let fragments = [fragment(3, false, tail), fragment(0, true, head)];
    let (text, counts, _) = text(&pcapng(&fragments));
    assert_eq!(counts.messages, 1, "{text}");
}

#[test]
fn a_file_that_is_cut_anywhere_has_the_messages_before_the_cut() {
    let messages = recorded("rsplib-failover-cookie");
    let packets = packets(&messages[..6]);
    for file in [pcap(&packets), pcapng(&packets)] {
        let (whole, ..) = text(&file);
        for end in 0..file.len() {
            let (part, counts, broken) = text(&file[..end]);
            assert!(whole.starts_with(&part), "cut at {end}");
            assert_eq!(counts.malformed, 0, "cut at {end}");
            let between = counts.packets > 0 && broken.is_ok();
            assert!(between || broken.is_err() || end <= 100, "cut at {end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Bytes of a capture that were changed, taken away or put in.
    #[test]
    fn whatever_is_in_a_file_is_told_without_a_panic(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..40),
    ) {
        let names = ["rsplib-failover-cookie", "12-enrp-handle-table"];
        let messages = recorded(names[which % 2]);
        let packets = packets(&messages[..messages.len().min(8)]);
        let mut file = if which < 2 { pcap(&packets) } else { pcapng(&packets) };
        for (at, byte, kind) in changes {
            let at = at.index(file.len());
            match kind {
                0 => file.truncate(at.max(1)),
                1 => file.insert(at, byte),
                _ => file[at] = byte,
            }
        }
        let (_, counts, _) = text(&file);
        prop_assert!(counts.messages <= messages.len() as u64 * CARRIERS * 2);
    }

    #[test]
    fn any_packet_is_taken(
        link in prop::sample::select(vec![0, 1, 101, 113, 276, 147]),
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
    ) {
        let mut file = pcap(&packets);
        file[20..24].copy_from_slice(&word(link));
        let (_, counts, broken) = text(&file);
        prop_assert_eq!(counts.packets, packets.len() as u64);
        prop_assert_eq!(broken, Ok(()));
    }
}
