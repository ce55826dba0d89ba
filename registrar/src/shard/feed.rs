//! From the bytes of a connection to messages for the protocol.

use core::mem;

use rserpool_codec::{Frame, frame};
use rserpool_engine::{ShardId, Timestamp};
use rserpool_proto::registrar;

use super::{LINKS_A_TURN, MESSAGES_A_TURN, Shard};
use crate::connections::Connections;
use crate::link::{Course, Framing, Link};
use crate::turn::{CloseReason, LinkId, Submission};

/// Messages after which a connection that could not move stays.
const MESSAGES_TO_MOVE: u8 = 64;
/// The length before a message that came whole and has to wait.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Why feeding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The rest is not a whole message.
    Incomplete,
    /// The rest is no message.
    Malformed,
    /// The protocol wants no more for now; it will say when.
    Held,
    /// It was enough for this turn.
    Budget,
    /// The rest is for another shard, and so is the connection.
    Leaves(ShardId),
}

struct Fed {
    bytes: usize,
    messages: usize,
    stop: Stop,
}

/// What `bytes` begin with.
enum Next<'a> {
    /// A message, after this many other bytes.
    Message(usize, &'a [u8]),
    Incomplete,
    Malformed,
}

fn next(framing: Framing, bytes: &[u8]) -> Next<'_> {
    match framing {
        Framing::Stream => match frame(bytes) {
            Frame::Incomplete => Next::Incomplete,
            Frame::Malformed => Next::Malformed,
            Frame::Whole(length) => Next::Message(0, bytes.get(..length).unwrap_or(bytes)),
        },
        Framing::Whole => {
            let Some((length, rest)) = bytes.split_first_chunk() else { return Next::Incomplete };
            let length = u32::from_be_bytes(*length) as usize;
            Next::Message(LENGTH_BYTES, rest.get(..length).unwrap_or(rest))
        }
    }
}

/// The shard that a connection is to move to before this message is taken.
///
/// Its messages were for pools of that shard only, and it will send more: it
/// registers a pool element, or this is not its only request. One request is
/// handed over for less than a connection is.
fn destination(
    protocol: &registrar::Shard,
    connections: &Connections,
    link: &mut Link,
    message: &[u8],
    followed: bool,
) -> Option<ShardId> {
    let other = protocol.shard_of(message).filter(|to| *to != protocol.config().shard);
    let before = match (link.course, other) {
        (Course::New, Some(_)) => 0,
        (Course::Toward(to, before), Some(other)) if to == other => before,
        _ => MESSAGES_TO_MOVE,
    };
    let Some(to) = other.filter(|_| before < MESSAGES_TO_MOVE) else {
        link.course = Course::Stays;
        return None;
    };
    link.course = Course::Toward(to, before + 1);
    let lasts = before > 0 || followed || registrar::registers(message);
    let blank = !link.sending && protocol.is_blank(link.association);
    (lasts && blank && connections.invites(to)).then_some(to)
}

/// Gives the whole messages at the start of `bytes` to the protocol.
fn feed(
    protocol: &mut registrar::Shard,
    connections: &Connections,
    now: Timestamp,
    link: &mut Link,
    bytes: &[u8],
) -> Fed {
    let (association, framing) = (link.association, link.framing());
    let mut fed = Fed { bytes: 0, messages: 0, stop: Stop::Held };
    while protocol.wants_more(association) {
        let (before, message) = match next(framing, bytes.get(fed.bytes..).unwrap_or_default()) {
            Next::Incomplete => {
                fed.stop = Stop::Incomplete;
                break;
            }
            Next::Malformed => {
                fed.stop = Stop::Malformed;
                break;
            }
            Next::Message(before, message) => (before, message),
        };
        if fed.messages == MESSAGES_A_TURN {
            fed.stop = Stop::Budget;
            break;
        }
        if link.course != Course::Stays {
            let followed = bytes.len() > fed.bytes + before + message.len();
            if let Some(to) = destination(protocol, connections, link, message, followed) {
                fed.stop = Stop::Leaves(to);
                break;
            }
        }
        protocol.receive(now, association, message);
        fed.bytes += before + message.len();
        fed.messages += 1;
    }
    fed
}

impl Shard {
    pub(super) fn received(&mut self, now: Timestamp, id: LinkId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.ending.is_some() {
            return;
        }
        self.traffic.bytes_received += bytes.len() as u64;
        if link.held || link.ready || !link.unfed.is_empty() {
            link.unfed.extend_from_slice(bytes);
            self.unfed_bytes += bytes.len();
            if !link.held && !link.ready {
                self.feed_unfed(now, id);
            }
        } else {
            let fed = feed(&mut self.protocol, &self.connections, now, link, bytes);
            let rest = bytes.get(fed.bytes..).unwrap_or_default();
            link.unfed.extend_from_slice(rest);
            self.unfed_bytes += rest.len();
            self.settle(now, id, &fed);
        }
        while self.unfed_bytes > self.unfed_bytes_max && self.evict(now) {}
    }

    /// A message arrived whole. What its header says of its length is between
    /// it and the protocol: other messages are not touched by a wrong one.
    pub(super) fn received_whole(&mut self, now: Timestamp, id: LinkId, message: &[u8]) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.ending.is_some() {
            return;
        }
        self.traffic.bytes_received += message.len() as u64;
        // One message a user message (RFC 5352, 5): what follows it is nothing.
        let message = match frame(message) {
            Frame::Whole(length) => message.get(..length).unwrap_or(message),
            Frame::Incomplete | Frame::Malformed => message,
        };
        let waits = link.held || link.ready || !link.unfed.is_empty();
        if !waits && self.protocol.wants_more(link.association) {
            self.protocol.receive(now, link.association, message);
            self.settle(now, id, &Fed { bytes: 0, messages: 1, stop: Stop::Incomplete });
            return;
        }
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        link.unfed.extend_from_slice(&length.to_be_bytes());
        link.unfed.extend_from_slice(message);
        self.unfed_bytes += LENGTH_BYTES + message.len();
        if !waits {
            self.settle(now, id, &Fed { bytes: 0, messages: 0, stop: Stop::Held });
        }
        while self.unfed_bytes > self.unfed_bytes_max && self.evict(now) {}
    }

    /// Puts a connection into the queue of those to feed.
    pub(super) fn make_ready(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id)
            && !link.ready
        {
            link.ready = true;
            self.ready.push_back(id);
        }
    }

    pub(super) fn feed_ready(&mut self, now: Timestamp) {
        for _ in 0..LINKS_A_TURN.min(self.ready.len()) {
            let Some(id) = self.ready.pop_front() else { return };
            if let Some(link) = self.links.get_mut(id) {
                link.ready = false;
                self.feed_unfed(now, id);
            }
        }
    }

    fn feed_unfed(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get_mut(id).filter(|link| !link.leaves()) else { return };
        let mut unfed = mem::take(&mut link.unfed);
        let fed = feed(&mut self.protocol, &self.connections, now, link, &unfed);
        self.unfed_bytes -= fed.bytes;
        if fed.bytes < unfed.len() {
            unfed.drain(..fed.bytes);
            link.unfed = unfed;
        }
        self.settle(now, id, &fed);
    }

    /// What follows from how feeding ended.
    fn settle(&mut self, now: Timestamp, id: LinkId, fed: &Fed) {
        let Some(link) = self.links.get_mut(id) else { return };
        self.traffic.messages += fed.messages as u64;
        if fed.messages > 0 {
            link.spoke = true;
            link.fed_at = Some(now);
            self.incomplete.end(id.index);
            if link.ending.is_some() {
                // The wait for answers of other shards begins again.
                self.ending.end(id.index);
                self.ending.begin(id.index, now);
            }
        }
        link.held = fed.stop == Stop::Held;
        match fed.stop {
            Stop::Incomplete => self.await_rest(now, id),
            Stop::Malformed => {
                self.traffic.malformed += 1;
                self.drop_unfed(id);
                self.end(now, id, CloseReason::Malformed);
                self.close_if_done(now, id);
            }
            Stop::Held => {
                self.incomplete.end(id.index);
                self.pause(id);
            }
            Stop::Leaves(to) => {
                link.course = Course::Leaves(to);
                // What comes meanwhile is kept; nobody is late.
                link.held = true;
                self.incomplete.end(id.index);
                self.traffic.moved_away += 1;
                self.submissions.push(Submission::Leave(id));
            }
            Stop::Budget => {
                self.incomplete.end(id.index);
                self.pause(id);
                self.make_ready(id);
            }
        }
    }

    /// The peer has to send the rest of a message, or nothing.
    fn await_rest(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.ending.is_some() {
            self.drop_unfed(id);
            self.close_if_done(now, id);
            return;
        }
        if !link.spoke || !link.unfed.is_empty() {
            self.incomplete.begin(id.index, now);
        }
        if mem::take(&mut link.paused) {
            self.submissions.push(Submission::Resume(id));
        }
    }

    pub(super) fn pause(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id)
            && !mem::replace(&mut link.paused, true)
        {
            self.submissions.push(Submission::Pause(id));
        }
    }

    pub(super) fn drop_unfed(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            self.unfed_bytes -= link.unfed.len();
            link.unfed = Vec::new();
        }
    }
}
