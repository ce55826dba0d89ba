//! The SCTP associations of a shard: what their link tells becomes
//! completions of the shard, and what the shard submits becomes calls of the
//! link. It waits for nothing: a host does, and calls.
//!
//! One user message is one ASAP message, under the payload protocol
//! identifier of ASAP (RFC 5352, 8.3). ENRP on a port of ASAP is a mistake
//! that ends the association; what has another identifier is not for a
//! registrar, and dropped.

#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use core::{fmt, mem};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rserpool_codec::{Frame, asap, enrp, frame};
use rserpool_engine::{Timestamp, TransportKind};
use rserpool_proto::registrar::Peer;
use rserpool_sctp::{AssocId, DownReason, Event, Link, Message, Progress, Received, SendError, Up};

use crate::shard::Shard;
use crate::turn::{CloseReason, Completion, LinkId, Submission};

/// Events that the shard is given in one turn.
const EVENTS_A_TURN: usize = 32;
/// All messages of an association keep their order: they go on one stream.
const STREAM: u16 = 0;

/// What an association is, as far as the shard has to be told.
#[derive(Debug)]
struct Carried {
    association: AssocId,
    link: LinkId,
    peer: Peer,
    outgoing: Option<Outgoing>,
}

/// Messages the link has not taken yet, one behind the other.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    taken: usize,
}

/// What the shard is told next.
#[derive(Debug)]
enum Item {
    Message(LinkId, Vec<u8>),
    Sent(LinkId, Vec<u8>),
    Gone(LinkId),
}

/// The associations of one link.
pub(crate) struct Carrier {
    link: Box<dyn Link>,
    /// Ours, for associations that we begin.
    port: Option<u16>,
    /// What the link told and the shard was not.
    events: VecDeque<Event>,
    told: Vec<Event>,
    /// By the slot of the association.
    carried: Vec<Option<Carried>>,
    /// By the index of the shard's link.
    associations: Vec<Option<(LinkId, AssocId)>>,
    /// Associations that are forgotten and being closed.
    closing: BTreeSet<AssocId>,
    /// Links of associations that could not be begun.
    lost: Vec<LinkId>,
    /// Answers that the link has taken.
    sent: Vec<(LinkId, Vec<u8>)>,
    items: Vec<Item>,
    /// The link has something to tell, without any packet.
    stirred: bool,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let associations = self.link.associations();
        f.debug_struct("Carrier").field("associations", &associations).finish_non_exhaustive()
    }
}

impl Carrier {
    pub(crate) fn new((link, port): (Box<dyn Link>, Option<u16>)) -> Self {
        Self {
            link,
            port,
            events: VecDeque::new(),
            told: Vec::new(),
            carried: Vec::new(),
            associations: Vec::new(),
            closing: BTreeSet::new(),
            lost: Vec::new(),
            sent: Vec::new(),
            items: Vec::new(),
            stirred: false,
        }
    }

    /// Readable while there is something for [`Carrier::poll`]; it may be an
    /// epoll descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }

    /// The socket of the link, for a host that receives by itself.
    pub(crate) fn give_socket(&mut self) -> io::Result<Option<BorrowedFd<'_>>> {
        self.link.give_socket()
    }

    /// Something was received on that socket. [`Carrier::poll`] has to follow.
    pub(crate) fn take(&mut self, at: Instant, received: &Received<'_>) {
        self.link.take(at, received);
    }

    /// When to call [`Carrier::poll`] at the latest.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.link.timeout()
    }

    /// Associations, those being closed included.
    pub(crate) fn associations(&self) -> usize {
        self.link.associations()
    }

    /// Whether [`Carrier::poll`] has something to do without its descriptor or
    /// its time-out. Asked once, it is no longer so.
    pub(crate) fn take_stirred(&mut self) -> bool {
        mem::take(&mut self.stirred)
    }

    /// Lets the link work, unless the shard was not told yet what it told
    /// before. Bounded work a call.
    pub(crate) fn poll(&mut self, at: Instant) -> io::Result<Progress> {
        if !self.events.is_empty() {
            return Ok(Progress::More);
        }
        let progress = self.link.poll(at, &mut self.told)?;
        self.events.extend(self.told.drain(..));
        Ok(progress)
    }

    /// Gives the shard a turn with the next of what the link told. `true`:
    /// there is more. [`Carrier::flush`] has to follow.
    pub(crate) fn turn(
        &mut self,
        now: Timestamp,
        at: Instant,
        shard: &mut Shard,
        submissions: &mut Vec<Submission>,
    ) -> Turned {
        let mut items = mem::take(&mut self.items);
        items.extend(self.sent.drain(..).map(|(link, buffer)| Item::Sent(link, buffer)));
        items.extend(self.lost.drain(..).map(Item::Gone));
        for _ in 0..EVENTS_A_TURN {
            let Some(event) = self.events.pop_front() else { break };
            self.translate(now, at, shard, event, &mut items);
        }
        let completions = items.iter_mut().map(|item| match item {
            Item::Message(link, message) => Completion::Message(*link, message),
            Item::Sent(link, buffer) => Completion::Sent(*link, mem::take(buffer)),
            Item::Gone(link) => Completion::Failed(*link),
        });
        let more = shard.turn(now, completions, submissions);
        items.clear();
        self.items = items;
        Turned { more }
    }

    /// Whether [`Carrier::turn`] has something for the shard.
    pub(crate) fn has_news(&self) -> bool {
        !self.events.is_empty() || !self.sent.is_empty() || !self.lost.is_empty()
    }

    /// Sends what the shard submitted since the last time.
    pub(crate) fn flush(&mut self, at: Instant) -> io::Result<()> {
        self.link.flush(at)
    }

    /// Carries out a submission for one of its associations; one for others
    /// is given back.
    pub(crate) fn submit(&mut self, at: Instant, submission: Submission) -> Option<Submission> {
        let id = match &submission {
            Submission::Send(id, _)
            | Submission::Pause(id)
            | Submission::Resume(id)
            | Submission::Close(id, _) => *id,
            Submission::Connect(id, to) => {
                self.connect(at, *id, *to);
                return None;
            }
            Submission::Mesh(_) | Submission::Leave(_) => return Some(submission),
        };
        let Some(association) = self.association(id) else { return Some(submission) };
        match submission {
            Submission::Send(_, bytes) => {
                if let Some(carried) = self.carried_mut(association) {
                    carried.outgoing = Some(Outgoing { bytes, taken: 0 });
                }
                self.send(at, association);
            }
            Submission::Pause(_) => self.link.pause(association),
            Submission::Resume(_) => {
                self.link.resume(at, association);
                self.stirred = true;
            }
            Submission::Close(_, reason) => self.close(at, association, reason),
            // Associations stay where they are.
            Submission::Connect(..) | Submission::Mesh(_) | Submission::Leave(_) => {}
        }
        None
    }

    /// Begins an association, from the port that we take them on.
    fn connect(&mut self, at: Instant, link: LinkId, to: SocketAddr) {
        match self.link.connect(at, &[to.ip()], to.port(), self.port) {
            Ok(association) => {
                let peer = Peer { address: to, transport: TransportKind::Sctp };
                self.enter(at, Carried { association, link, peer, outgoing: None });
            }
            Err(error) => {
                log::debug!("sctp://{to}: {error}");
                self.lost.push(link);
            }
        }
        self.stirred = true;
    }

    /// Ends every association at once.
    pub(crate) fn abort_all(&mut self, at: Instant) {
        for carried in self.carried.drain(..).flatten() {
            self.link.abort(at, carried.association);
        }
        for association in mem::take(&mut self.closing) {
            self.link.abort(at, association);
        }
        self.associations.clear();
    }

    fn close(&mut self, at: Instant, association: AssocId, reason: CloseReason) {
        self.forget(association);
        if reason.is_graceful() {
            self.closing.insert(association);
            self.link.shutdown(at, association);
        } else {
            self.link.abort(at, association);
        }
    }

    fn translate(
        &mut self,
        now: Timestamp,
        at: Instant,
        shard: &mut Shard,
        event: Event,
        items: &mut Vec<Item>,
    ) {
        match event {
            Event::Up(up) => self.up(now, at, shard, up),
            Event::Message(message) => self.message(at, message, items),
            Event::Restarted { id } => {
                // Who set it up again knows nothing of what it was before: its
                // elements are those of an association that is gone.
                let Some(carried) = self.forget(id) else { return };
                items.push(Item::Gone(carried.link));
                self.admit(now, at, shard, id, carried.peer);
            }
            Event::Down { id, reason } => {
                self.closing.remove(&id);
                let Some(carried) = self.forget(id) else { return };
                if reason != DownReason::Closed {
                    log::debug!("sctp://{}: {reason}", carried.peer.address);
                }
                items.push(Item::Gone(carried.link));
            }
            Event::Writable { id } => self.send(at, id),
        }
    }

    fn up(&mut self, now: Timestamp, at: Instant, shard: &mut Shard, up: Up) {
        if get(&mut self.carried, up.id).is_some() {
            // We asked for it. What is to be sent has waited for this.
            self.send(at, up.id);
            return;
        }
        let address = SocketAddr::new(up.peer.ip().to_canonical(), up.peer.port());
        self.admit(now, at, shard, up.id, Peer { address, transport: TransportKind::Sctp });
    }

    fn admit(
        &mut self,
        now: Timestamp,
        at: Instant,
        shard: &mut Shard,
        association: AssocId,
        peer: Peer,
    ) {
        let Some(link) = shard.accept(now, peer) else {
            self.link.abort(at, association);
            return;
        };
        self.enter(at, Carried { association, link, peer, outgoing: None });
    }

    fn enter(&mut self, at: Instant, carried: Carried) {
        // The shard gives the number of a link again once it has closed that,
        // which for one that made room is not carried out yet.
        let former = self.associations.get(carried.link.index as usize).copied().flatten();
        if let Some((_, former)) = former {
            self.close(at, former, CloseReason::Evicted);
        }
        put(&mut self.associations, carried.link.index, (carried.link, carried.association));
        put(&mut self.carried, carried.association.slot(), carried);
    }

    fn message(&mut self, at: Instant, message: Message, items: &mut Vec<Item>) {
        let Some(carried) = self.carried_mut(message.id) else { return };
        let link = carried.link;
        match message.ppid {
            asap::PPID => items.push(Item::Message(link, message.data)),
            enrp::PPID => {
                log::debug!("sctp://{}: ENRP on a port of ASAP", carried.peer.address);
                self.forget(message.id);
                self.link.abort(at, message.id);
                items.push(Item::Gone(link));
            }
            _ => {}
        }
    }

    /// Gives the link what it takes of an association's messages.
    fn send(&mut self, at: Instant, association: AssocId) {
        let Some(carried) = get(&mut self.carried, association) else { return };
        let Some(outgoing) = &mut carried.outgoing else { return };
        while let Some(rest) = outgoing.bytes.get(outgoing.taken..)
            && let Frame::Whole(length) = frame(rest)
        {
            let message = rest.get(..length).unwrap_or(rest);
            match self.link.send(at, association, STREAM, asap::PPID, message) {
                Ok(()) => outgoing.taken += length,
                Err(SendError::Full | SendError::NotUp) => return,
                // It is ending. The link says so, or has.
                Err(SendError::Gone | SendError::Closing) => break,
                Err(error @ (SendError::Empty | SendError::TooLong | SendError::Stream)) => {
                    log::error!("sctp://{}: bug: {error}", carried.peer.address);
                    outgoing.taken += length;
                }
            }
        }
        if let Some(outgoing) = carried.outgoing.take() {
            self.sent.push((carried.link, outgoing.bytes));
        }
    }

    fn forget(&mut self, association: AssocId) -> Option<Carried> {
        let slot = self.carried.get_mut(association.slot() as usize)?;
        if slot.as_ref().is_none_or(|carried| carried.association != association) {
            return None;
        }
        let carried = slot.take()?;
        if let Some(entry) = self.associations.get_mut(carried.link.index as usize) {
            *entry = None;
        }
        Some(carried)
    }

    fn association(&self, id: LinkId) -> Option<AssocId> {
        let (link, association) = (*self.associations.get(id.index as usize)?)?;
        (link == id).then_some(association)
    }

    fn carried_mut(&mut self, association: AssocId) -> Option<&mut Carried> {
        get(&mut self.carried, association)
    }
}

/// What a turn left.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Turned {
    /// The shard has more to do without any completion.
    pub(crate) more: bool,
}

fn get(carried: &mut [Option<Carried>], association: AssocId) -> Option<&mut Carried> {
    let found = carried.get_mut(association.slot() as usize)?.as_mut();
    found.filter(|carried| carried.association == association)
}

fn put<T>(places: &mut Vec<Option<T>>, index: u32, value: T) {
    let index = index as usize;
    if places.len() <= index {
        places.resize_with(index + 1, || None);
    }
    if let Some(place) = places.get_mut(index) {
        *place = Some(value);
    }
}
