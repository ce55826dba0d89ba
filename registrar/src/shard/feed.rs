//! From the bytes of a connection to messages for the protocol.

use core::mem;

use rserpool_codec::{Frame, frame};
use rserpool_engine::{AssociationId, Timestamp};
use rserpool_proto::registrar;

use super::{LINKS_A_TURN, MESSAGES_A_TURN, Shard};
use crate::turn::{CloseReason, LinkId, Submission};

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
}

struct Fed {
    bytes: usize,
    messages: usize,
    stop: Stop,
}

/// Gives the whole messages at the start of `bytes` to the protocol.
fn feed(
    protocol: &mut registrar::Shard,
    now: Timestamp,
    association: AssociationId,
    bytes: &[u8],
) -> Fed {
    let mut fed = Fed { bytes: 0, messages: 0, stop: Stop::Held };
    while protocol.wants_more(association) {
        let rest = bytes.get(fed.bytes..).unwrap_or_default();
        let message = match frame(rest) {
            Frame::Incomplete => {
                fed.stop = Stop::Incomplete;
                break;
            }
            Frame::Malformed => {
                fed.stop = Stop::Malformed;
                break;
            }
            Frame::Whole(length) => rest.get(..length).unwrap_or(rest),
        };
        if fed.messages == MESSAGES_A_TURN {
            fed.stop = Stop::Budget;
            break;
        }
        protocol.receive(now, association, message);
        fed.bytes += message.len();
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
            let fed = feed(&mut self.protocol, now, link.association, bytes);
            let rest = bytes.get(fed.bytes..).unwrap_or_default();
            link.unfed.extend_from_slice(rest);
            self.unfed_bytes += rest.len();
            self.settle(now, id, &fed);
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
        let Some(link) = self.links.get_mut(id) else { return };
        let mut unfed = mem::take(&mut link.unfed);
        let fed = feed(&mut self.protocol, now, link.association, &unfed);
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
