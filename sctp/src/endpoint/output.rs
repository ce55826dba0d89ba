//! What an endpoint has to say: packets for the network, events for the
//! application, and counts of both.

use std::collections::VecDeque;

use super::path::Path;
use crate::link::Event;

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes to, and from which of our addresses.
    pub path: Path,
    /// The SCTP packet, as it follows the UDP header.
    pub packet: Vec<u8>,
}

/// What an endpoint has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets received.
    pub packets_received: u64,
    /// Packets handed out to be sent.
    pub packets_sent: u64,
    /// Packets that were not sent because too many were waiting.
    pub transmit_overflows: u64,
    /// Packets received that are none, by their length or checksum.
    pub malformed: u64,
    /// Packets taken without a checksum because they never left a host.
    pub unsegmented: u64,
    /// INITs received for a port we listen on.
    pub inits: u64,
    /// INITs not answered, because their source sent too many.
    pub inits_limited: u64,
    /// INITs not answered, because they are shorter than the answer.
    pub inits_short: u64,
    /// INIT or COOKIE ECHO refused, because there are too many associations.
    pub associations_refused: u64,
    /// Cookies that were forged, changed or sent by somebody else.
    pub cookies_forged: u64,
    /// Cookies that were out of date.
    pub cookies_stale: u64,
    /// Cookies of an association that is already over.
    pub cookies_replayed: u64,
    /// Packets of no association (RFC 9260 section 8.4).
    pub out_of_the_blue: u64,
    /// Answers to those that were not given, because their source sent too
    /// many.
    pub out_of_the_blue_limited: u64,
    /// DATA chunks dropped, because there was no room or they were far ahead.
    pub data_dropped: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Messages taken from the application.
    pub messages_sent: u64,
    /// Associations that came up.
    pub ups: u64,
    /// Associations that peers set up again.
    pub restarts: u64,
    /// Associations that ended, other than by our own `abort`.
    pub downs: u64,
    /// ICMP's "port unreachable" of packets of our associations.
    pub unreachables: u64,
    /// Those that were ignored: they name no association, or a wrong tag.
    pub unreachables_ignored: u64,
    /// Addresses of peers that were proven.
    pub paths_verified: u64,
}

/// Packets and events on their way out.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) packets: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) stats: Stats,
    queue_max: usize,
}

impl Output {
    pub(super) fn new(queue_max: usize) -> Self {
        Self {
            packets: VecDeque::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            queue_max,
        }
    }

    /// Queues a packet, or drops it as a network would.
    pub(super) fn transmit(&mut self, path: Path, packet: Vec<u8>) {
        if self.packets.len() >= self.queue_max {
            self.stats.transmit_overflows += 1;
        } else {
            self.packets.push_back(Transmit { path, packet });
        }
    }
}
