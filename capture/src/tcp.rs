//! Messages from TCP connections (RFC 5352, 8.2: ASAP; ENRP as an extension).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rserpool_codec::{Frame, frame};

use crate::network::Segment;
use crate::recent::{Recent, Weigh};
use crate::told::{Lost, Protocol};

/// Most bytes, and segments, of a direction that wait for one that is missing.
const WAITING_BYTES_MAX: usize = 1 << 20;
const WAITING_MAX: usize = 1024;
/// The highest message type of both protocols.
const CODE_MAX: u8 = 0x0e;

type Direction = (SocketAddr, SocketAddr);

/// Connections as far as a capture has them.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    directions: Recent<Direction, Stream>,
}

impl Connections {
    /// Takes a segment, and tells the messages that are whole now. `now` grows
    /// with every packet.
    pub(crate) fn receive(
        &mut self,
        now: u64,
        direction: Direction,
        segment: &Segment<'_>,
        mut message: impl FnMut(&[u8]),
        mut lost: impl FnMut(Lost),
    ) {
        self.directions.change(direction, now, |stream| {
            stream.receive(segment, &mut message, &mut lost);
            if segment.end {
                stream.finish(&mut message, &mut lost);
            }
        });
        if segment.end {
            self.directions.remove(&direction);
        }
    }

    /// Messages whose rest is not in the capture.
    pub(crate) fn incomplete(&self) -> usize {
        self.directions.values().filter(|stream| stream.is_incomplete()).count()
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Stream {
    /// The sequence number after `input`.
    next: Option<u32>,
    /// The rest of a message is missing.
    input: Vec<u8>,
    /// Where messages begin is known.
    aligned: bool,
    /// By their distance from `next`, which is fewer than 2^31 bytes.
    waiting: BTreeMap<u32, Vec<u8>>,
    waiting_bytes: usize,
    /// It is no stream of messages.
    given_up: bool,
}

impl Weigh for Stream {
    fn weight(&self) -> usize {
        self.input.capacity() + self.waiting_bytes + 64 * self.waiting.len()
    }
}

impl Stream {
    fn receive(
        &mut self,
        segment: &Segment<'_>,
        message: &mut impl FnMut(&[u8]),
        lost: &mut impl FnMut(Lost),
    ) {
        let mut sequence = segment.sequence;
        if segment.syn {
            sequence = sequence.wrapping_add(1);
            if self.next != Some(sequence) {
                // The beginning, maybe of another connection.
                *self = Self { next: Some(sequence), aligned: true, ..Self::default() };
            }
        }
        if segment.bytes.is_empty() || self.given_up {
            return;
        }
        // Without the beginning: from here on.
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next);
        if ahead <= u32::MAX / 2 {
            self.wait(ahead, segment.bytes);
        } else if let Some(new) = usize::try_from(next.wrapping_sub(sequence))
            .ok()
            .and_then(|old| segment.bytes.get(old..))
        {
            // Some of it was sent before.
            self.wait(0, new);
        }
        self.proceed(message, lost);
        if self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            self.jump(message, lost);
        }
    }

    /// The connection is over: what waits comes after a gap.
    fn finish(&mut self, message: &mut impl FnMut(&[u8]), lost: &mut impl FnMut(Lost)) {
        while !self.waiting.is_empty() {
            self.jump(message, lost);
        }
        if self.is_incomplete() {
            lost(Lost::EndOfStream);
        }
    }

    fn is_incomplete(&self) -> bool {
        !self.given_up && (self.aligned && !self.input.is_empty() || !self.waiting.is_empty())
    }

    fn wait(&mut self, ahead: u32, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let longer = self.waiting.get(&ahead).is_none_or(|other| other.len() < bytes.len());
        if longer {
            let replaced = self.waiting.insert(ahead, bytes.to_vec());
            self.waiting_bytes += bytes.len();
            self.waiting_bytes -= replaced.map_or(0, |other| other.len());
        }
    }

    /// Uses what waits and has come up to.
    fn proceed(&mut self, message: &mut impl FnMut(&[u8]), lost: &mut impl FnMut(Lost)) {
        // How far `next` has moved since distances were counted.
        let mut moved = 0_u32;
        while let Some((&ahead, _)) = self.waiting.first_key_value()
            && ahead <= moved
            && let Some((_, bytes)) = self.waiting.pop_first()
        {
            self.waiting_bytes -= bytes.len();
            let known = usize::try_from(moved - ahead).unwrap_or(usize::MAX);
            let Some(new) = bytes.get(known..) else { continue };
            moved = moved.saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX));
            if !self.given_up {
                self.input.extend_from_slice(new);
                self.messages(message, lost);
            }
        }
        self.moved(moved);
    }

    /// Counts distances from further on.
    fn moved(&mut self, by: u32) {
        if by == 0 {
            return;
        }
        self.next = self.next.map(|next| next.wrapping_add(by));
        let waiting = std::mem::take(&mut self.waiting);
        // What is left begins after it.
        self.waiting =
            waiting.into_iter().map(|(ahead, bytes)| (ahead.saturating_sub(by), bytes)).collect();
    }

    /// Gives up what is missing before that which waits.
    fn jump(&mut self, message: &mut impl FnMut(&[u8]), lost: &mut impl FnMut(Lost)) {
        let Some((&ahead, _)) = self.waiting.first_key_value() else { return };
        lost(Lost::Gap(ahead));
        self.input.clear();
        self.aligned = false;
        self.moved(ahead);
        self.proceed(message, lost);
    }

    /// Tells the messages that are whole.
    fn messages(&mut self, message: &mut impl FnMut(&[u8]), lost: &mut impl FnMut(Lost)) {
        if !self.aligned {
            // A segment that looks like one begins one, most likely.
            if !begins_message(&self.input) {
                self.input.clear();
                lost(Lost::Unaligned);
                return;
            }
            self.aligned = true;
        }
        let mut taken = 0;
        while let Some(rest) = self.input.get(taken..)
            && !rest.is_empty()
        {
            match frame(rest) {
                Frame::Whole(length) => {
                    message(rest.get(..length).unwrap_or(rest));
                    taken += length;
                }
                Frame::Incomplete => break,
                Frame::Malformed => {
                    message(rest);
                    lost(Lost::Undelimited);
                    self.given_up = true;
                    taken = self.input.len();
                }
            }
        }
        self.input.drain(..taken);
    }
}

fn begins_message(bytes: &[u8]) -> bool {
    matches!(bytes, &[1..=CODE_MAX, flags, high, low, ..]
        if flags < 4 && u16::from_be_bytes([high, low]) >= 4)
}

/// The protocol of a connection or datagram by its ports.
pub(crate) fn protocol(from: u16, to: u16, asap: &[u16], enrp: &[u16]) -> Option<Protocol> {
    let either = |ports: &[u16]| ports.contains(&from) || ports.contains(&to);
    if either(asap) {
        Some(Protocol::Asap)
    } else if either(enrp) {
        Some(Protocol::Enrp)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deregistration of 24 bytes, and another of 20.
    const MESSAGES: &[u8] =
        b"\x02\0\0\x18\0\x09\0\x0a\
          PPPool\0\0\0\x0e\0\x08\x01\x01\x01\x01\x02\0\0\x14\0\x09\0\x08Pool\0\x0e\0\x08\x01\x01\x01\x01";

    fn segment(sequence: u32, bytes: &[u8]) -> Segment<'_> {
        Segment { sequence, syn: false, end: false, bytes }
    }

    fn received(segments: &[Segment<'_>]) -> (Vec<usize>, Vec<Lost>, usize) {
        let mut connections = Connections::default();
        let (from, to) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:3863".parse().unwrap());
        let (mut lengths, mut lost) = (Vec::new(), Vec::new());
        for (now, segment) in (0..).zip(segments) {
            let take = |message: &[u8]| lengths.push(message.len());
            connections.receive(now, (from, to), segment, take, |what| lost.push(what));
        }
        (lengths, lost, connections.incomplete())
    }

    #[test]
    fn messages_are_cut_out_wherever_segments_end() {
        let start = u32::MAX - 10;
        let syn = Segment { sequence: start.wrapping_sub(1), syn: true, end: false, bytes: b"" };
        for cut in 1..MESSAGES.len() {
            let (one, two) = MESSAGES.split_at(cut);
            let after = start.wrapping_add(u32::try_from(cut).unwrap());
            let (one, two) = (segment(start, one), segment(after, two));
            let whole = segment(start, MESSAGES);
            for order in [vec![syn, one, two], vec![syn, two, one, one], vec![syn, one, whole]] {
                assert_eq!(received(&order), (vec![24, 20], vec![], 0), "{cut} {order:?}");
            }
        }
    }

    #[test]
    fn a_connection_that_began_earlier_is_read_from_the_next_message_on() {
        let (_, rest) = MESSAGES.split_at(10);
        let (rest, next) = rest.split_at(14);
        let both = [segment(10, rest), segment(24, next)];
        assert_eq!(received(&both), (vec![20], vec![Lost::Unaligned], 0));
    }

    #[test]
    fn a_segment_that_is_missing_costs_its_messages_only() {
        let (first, second) = MESSAGES.split_at(24);
        let end = Segment { end: true, ..segment(1000, b"") };
        let all = [segment(0, first), segment(100, first), segment(124, second), end];
        assert_eq!(received(&all), (vec![24, 24, 20], vec![Lost::Gap(76)], 0));
        let cut = [segment(0, &first[..20]), Segment { end: true, ..segment(20, b"") }];
        assert_eq!(received(&cut), (vec![], vec![Lost::EndOfStream], 0));
        assert_eq!(received(&cut[..1]), (vec![], vec![], 1));
    }

    #[test]
    fn a_stream_that_cannot_be_delimited_is_told_once() {
        let all = [segment(0, MESSAGES), segment(44, b"\x02\0\0\0more"), segment(52, MESSAGES)];
        assert_eq!(received(&all), (vec![24, 20, 8], vec![Lost::Undelimited], 0));
    }

    #[test]
    fn what_waits_for_a_segment_that_never_comes_is_bounded() {
        let syn = Segment { sequence: 0, syn: true, end: false, bytes: b"" };
        let mut segments = vec![syn];
        for number in 1..3000_u32 {
            // Every other segment is missing.
            segments.push(segment(1 + number * 88, MESSAGES));
        }
        let (lengths, lost, incomplete) = received(&segments);
        assert!(lengths.len() > 2 * (2999 - WAITING_MAX - 2), "{}", lengths.len());
        assert!(lost.iter().all(|what| *what == Lost::Gap(44) || *what == Lost::Gap(88)));
        assert_eq!(incomplete, 1);
    }
}
