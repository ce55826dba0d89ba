//! Messages from the DATA chunks of SCTP packets (RFC 9260, 3.3.1).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rserpool_codec::{asap, enrp};

use crate::recent::{Recent, Weigh};
use crate::told::{Lost, Protocol};

/// Numbers of chunks that are remembered, to know a retransmission.
const SEEN_MAX: usize = 4096;
/// Most chunks that wait for the rest of their message, and their bytes.
const PENDING_MAX: usize = 1024;
const PENDING_BYTES_MAX: usize = 1 << 20;
/// The longest message: more is no ASAP and no ENRP.
const MESSAGE_MAX: usize = 1 << 17;

const HEADER_BYTES: usize = 12;
const DATA: u8 = 0;
const DATA_HEADER_BYTES: usize = 16;
const LAST: u8 = 0x01;
const FIRST: u8 = 0x02;

/// One direction of an association. Its verification tag is not the
/// addresses': those may change.
type Direction = (u32, u16, u16);

/// Associations as far as a capture has them.
#[derive(Debug, Default)]
pub(crate) struct Associations {
    directions: Recent<Direction, Chunks>,
}

/// The ports of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

impl Ports {
    /// Those of a packet, as far as it has any.
    pub(crate) fn of(packet: &[u8]) -> Self {
        let &[p0, p1, q0, q1] = packet.first_chunk().unwrap_or(&[0; 4]);
        Self { from: u16::from_be_bytes([p0, p1]), to: u16::from_be_bytes([q0, q1]) }
    }
}

impl Associations {
    /// Takes a packet, and tells the messages that are whole now. `now` grows
    /// with every packet.
    pub(crate) fn receive(
        &mut self,
        now: u64,
        packet: &[u8],
        mut message: impl FnMut(Ports, Protocol, &[u8]),
        mut lost: impl FnMut(Lost),
    ) {
        let Some((header, mut chunks)) = packet.split_first_chunk::<HEADER_BYTES>() else {
            lost(Lost::CutPacket);
            return;
        };
        let [_, _, _, _, t0, t1, t2, t3, ..] = *header;
        let ports = Ports::of(packet);
        let tag = u32::from_be_bytes([t0, t1, t2, t3]);
        while let Some((&[kind, flags, l0, l1], _)) = chunks.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let Some(chunk) = chunks.get(..length).filter(|chunk| chunk.len() >= 4) else {
                // Captured in part, or nonsense.
                lost(Lost::CutPacket);
                return;
            };
            if kind == DATA
                && let Some(fragment) = Fragment::read(flags, chunk)
            {
                let take = |protocol, bytes: &[u8]| message(ports, protocol, bytes);
                self.directions.change((tag, ports.from, ports.to), now, |direction| {
                    direction.receive(fragment, take, &mut lost);
                });
            }
            chunks = chunks.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    /// Messages whose rest is not in the capture.
    pub(crate) fn incomplete(&self) -> usize {
        self.directions.values().map(Chunks::incomplete).sum()
    }
}

/// A message or a part of one.
#[derive(Debug)]
struct Fragment<'a> {
    number: u32,
    first: bool,
    last: bool,
    protocol: Protocol,
    bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads a DATA chunk of ASAP or ENRP.
    fn read(flags: u8, chunk: &'a [u8]) -> Option<Self> {
        let (header, bytes) = chunk.split_first_chunk::<DATA_HEADER_BYTES>()?;
        let [_, _, _, _, n0, n1, n2, n3, _, _, _, _, p0, p1, p2, p3] = *header;
        let protocol = match u32::from_be_bytes([p0, p1, p2, p3]) {
            asap::PPID => Protocol::Asap,
            enrp::PPID => Protocol::Enrp,
            _ => return None,
        };
        let number = u32::from_be_bytes([n0, n1, n2, n3]);
        Some(Self { number, first: flags & FIRST != 0, last: flags & LAST != 0, protocol, bytes })
    }
}

/// The chunks of a direction that were not used yet.
#[derive(Debug, Default)]
struct Chunks {
    seen: BTreeSet<u32>,
    seen_order: VecDeque<u32>,
    pending: BTreeMap<u32, Part>,
    pending_bytes: usize,
}

#[derive(Debug)]
struct Part {
    first: bool,
    last: bool,
    bytes: Vec<u8>,
}

impl Weigh for Chunks {
    fn weight(&self) -> usize {
        // An entry of a set, and its bytes.
        self.pending_bytes + 64 * self.pending.len() + 16 * self.seen.len()
    }
}

impl Chunks {
    fn receive(
        &mut self,
        fragment: Fragment<'_>,
        mut message: impl FnMut(Protocol, &[u8]),
        mut lost: impl FnMut(Lost),
    ) {
        if !self.seen.insert(fragment.number) {
            return;
        }
        self.seen_order.push_back(fragment.number);
        if self.seen_order.len() > SEEN_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        let Fragment { number, first, last, protocol, bytes } = fragment;
        if first && last {
            message(protocol, bytes);
            return;
        }
        if self.pending.len() >= PENDING_MAX || self.pending_bytes >= PENDING_BYTES_MAX {
            self.pending.clear();
            self.pending_bytes = 0;
            lost(Lost::Fragments);
        }
        self.pending_bytes += bytes.len();
        self.pending.insert(number, Part { first, last, bytes: bytes.to_vec() });
        if let Some(whole) = self.take(number) {
            if whole.len() <= MESSAGE_MAX {
                message(protocol, &whole);
            } else {
                lost(Lost::Fragments);
            }
        }
    }

    /// Takes out the message that this chunk is a part of, if it is whole.
    fn take(&mut self, number: u32) -> Option<Vec<u8>> {
        let mut first = number;
        while !self.pending.get(&first)?.first {
            first = first.wrapping_sub(1);
        }
        let mut last = number;
        while !self.pending.get(&last)?.last {
            last = last.wrapping_add(1);
        }
        let mut whole = Vec::new();
        let mut next = first;
        loop {
            if let Some(part) = self.pending.remove(&next) {
                self.pending_bytes -= part.bytes.len();
                whole.extend_from_slice(&part.bytes);
            }
            if next == last {
                return Some(whole);
            }
            next = next.wrapping_add(1);
        }
    }

    /// Messages that are not whole.
    fn incomplete(&self) -> usize {
        let begins = |number: &u32, part: &Part| {
            part.first || !self.pending.contains_key(&number.wrapping_sub(1))
        };
        self.pending.iter().filter(|(number, part)| begins(number, part)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with one DATA chunk.
    fn packet(number: u32, flags: u8, ppid: u32, bytes: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x9c, 0x47, 0x0f, 0x17, 0, 0, 0, 9, 0, 0, 0, 0];
        let length = u16::try_from(DATA_HEADER_BYTES + bytes.len()).unwrap();
        packet.extend([DATA, flags]);
        packet.extend(length.to_be_bytes());
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0, 0, 0]);
        packet.extend(ppid.to_be_bytes());
        packet.extend(bytes);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet
    }

    fn received(packets: &[Vec<u8>]) -> (Vec<Vec<u8>>, usize) {
        let mut associations = Associations::default();
        let mut messages = Vec::new();
        for (now, packet) in (0..).zip(packets) {
            let take = |_, _, message: &[u8]| messages.push(message.to_vec());
            associations.receive(now, packet, take, |_| {});
        }
        (messages, associations.incomplete())
    }

    #[test]
    fn a_message_is_put_together_from_chunks_in_any_order_once() {
        let (all, end) = (FIRST | LAST, u32::MAX);
        let packets = [
            packet(1, LAST, 11, b"ef"),
            packet(end, FIRST, 11, b"ab"),
            packet(0, 0, 11, b"cd"),
            packet(0, 0, 11, b"cd"),
            packet(2, all, 12, b"next"),
            packet(2, all, 12, b"next"),
            packet(3, all, 99, b"other"),
            packet(4, FIRST, 11, b"never ends"),
        ];
        assert_eq!(received(&packets), (vec![b"abcdef".to_vec(), b"next".to_vec()], 1));
    }

    #[test]
    fn what_is_cut_off_is_lost_and_nothing_else() {
        let whole = packet(1, FIRST | LAST, 11, b"abcd");
        for end in 0..whole.len() {
            let mut associations = Associations::default();
            let mut lost = Vec::new();
            let message = |_, _, _: &[u8]| panic!("a message of {end} bytes");
            associations.receive(0, &whole[..end], message, |what| lost.push(what));
            // A packet without chunks is odd, but whole.
            let expected = usize::from(!(HEADER_BYTES..HEADER_BYTES + 4).contains(&end));
            assert_eq!(lost.len(), expected, "{end}");
        }
    }

    #[test]
    fn chunks_that_never_make_a_message_are_dropped_some_time() {
        let mut associations = Associations::default();
        let mut lost = 0;
        for number in 0..10_000 {
            let packet = packet(number * 2, 0, 11, b"middle");
            associations.receive(0, &packet, |_, _, _| panic!("a message"), |_| lost += 1);
        }
        assert_eq!(lost, 9);
        assert!(associations.incomplete() <= PENDING_MAX);
    }
}
