//! A shard's turn: completions of I/O in, submissions of I/O out, in between
//! the protocol. A plain function of its arguments: no socket, clock or
//! runtime, so that every host drives the same and tests need none.
//!
//! Work of one turn is bounded: a connection that sent many messages at once
//! is fed [`MESSAGES_A_TURN`] of them, then stands in a queue behind the
//! others and is not read from.

mod feed;
mod group;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rserpool_engine::{AssociationId, ShardId, Timestamp, TransportKind};
use rserpool_proto::enrp;
use rserpool_proto::registrar::{self, Output, Peer};

use crate::connections::Connections;
use crate::link::{Course, Link, Links};
use crate::order::Order;
use crate::stats::Traffic;
use crate::turn::{CloseReason, Completion, LinkId, Submission};
pub(crate) use group::GroupConfig;
use group::Side;

/// Messages of one connection that are taken in one turn.
const MESSAGES_A_TURN: usize = 64;
/// Connections from the queue that are fed in one turn.
const LINKS_A_TURN: usize = 4;
/// Pool elements whose deadlines are handled in one turn.
const TIMEOUTS_A_TURN: usize = 128;
/// Connections that are closed for being late in one turn.
const CLOSES_A_TURN: usize = 64;
/// Written buffers that wait to be used again.
const SPARES_MAX: usize = 64;
/// A buffer that grew beyond this is not used again.
const SPARE_BYTES_MAX: usize = 256 << 10;
/// How long a connection whose peer is done waits for answers of other shards.
const LINGER: Duration = Duration::from_millis(200);

/// What a shard is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) protocol: registrar::Config,
    /// How long a peer may take to complete a message it began, its first one
    /// included, or to read an answer.
    pub(crate) message_timeout: Duration,
    /// Most bytes of incomplete messages of all connections.
    pub(crate) unfed_bytes_max: usize,
    /// The connections of all shards.
    pub(crate) connections: Arc<Connections>,
    /// Whether a connection that is for pools of one other shard moves there.
    pub(crate) moves: bool,
    /// Whether the host can open associations.
    pub(crate) calls: bool,
    /// The registrar group, if it lives on this shard.
    pub(crate) group: Option<GroupConfig>,
    /// Whether connections are taken: not before the registrar is in service.
    pub(crate) serving: Arc<AtomicBool>,
}

/// A connection that goes to another shard.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) to: ShardId,
    pub(crate) peer: Peer,
    /// What arrived over it that nobody has looked at.
    pub(crate) bytes: Vec<u8>,
}

/// One shard: the protocol's and its connections.
#[derive(Debug)]
pub(crate) struct Shard {
    protocol: registrar::Shard,
    links: Links,
    by_association: HashMap<AssociationId, LinkId>,
    /// Connections that have to complete a message.
    incomplete: Order,
    /// Connections that have to read an answer.
    unread: Order,
    /// Connections that are about to be closed.
    ending: Order,
    /// Connections to feed with what they sent.
    ready: VecDeque<LinkId>,
    submissions: Vec<Submission>,
    /// Written buffers. The protocol takes one for each that it gives.
    spares: Vec<Vec<u8>>,
    unfed_bytes: usize,
    message_timeout: Duration,
    unfed_bytes_max: usize,
    connections: Arc<Connections>,
    traffic: Traffic,
    /// The registrar group, if it lives here, and what it is told when it
    /// joins.
    group: Option<Side>,
    joining: Option<enrp::Config>,
    serving: Arc<AtomicBool>,
    /// The host can open associations.
    calls: bool,
    /// There is no other shard to wait for.
    alone: bool,
    moves: bool,
    draining: bool,
}

impl Shard {
    pub(crate) fn new(config: Config) -> Self {
        let alone = config.protocol.map.shards() == 1;
        Self {
            protocol: registrar::Shard::new(config.protocol),
            links: Links::default(),
            by_association: HashMap::new(),
            incomplete: Order::new(),
            unread: Order::new(),
            ending: Order::new(),
            ready: VecDeque::new(),
            submissions: Vec::new(),
            spares: Vec::new(),
            unfed_bytes: 0,
            message_timeout: config.message_timeout,
            unfed_bytes_max: config.unfed_bytes_max,
            connections: config.connections,
            calls: config.calls,
            group: config.group.as_ref().map(Side::new),
            joining: config.group.map(|group| group.protocol),
            serving: config.serving,
            traffic: Traffic::default(),
            alone,
            moves: config.moves && !alone,
            draining: false,
        }
    }

    /// A connection was accepted, or an association is up. `None`: refuse it. Where there is no room,
    /// the connection that has been completing a message for longest makes
    /// room: peers that connect and say nothing shut out nobody.
    ///
    /// Needs a [`Shard::turn`] after it.
    pub(crate) fn accept(&mut self, now: Timestamp, peer: Peer) -> Option<LinkId> {
        let id = self.admit(now, peer);
        match id {
            Some(_) => self.traffic.accepted += 1,
            None => self.traffic.refused += 1,
        }
        let moves = self.moves && peer.transport == TransportKind::Tcp;
        if moves && let Some(link) = id.and_then(|id| self.links.get_mut(id)) {
            link.course = Course::New;
        }
        id
    }

    /// The same for a connection that another shard accepted, and for what
    /// arrived over it. It stays here.
    pub(crate) fn adopt(&mut self, now: Timestamp, peer: Peer, bytes: Vec<u8>) -> Option<LinkId> {
        let Some(id) = self.admit(now, peer) else {
            self.traffic.refused += 1;
            return None;
        };
        self.traffic.moved_here += 1;
        if let Some(link) = self.links.get_mut(id) {
            self.unfed_bytes += bytes.len();
            link.unfed = bytes;
            self.make_ready(id);
        }
        Some(id)
    }

    /// A connection is off the host's sockets after [`Submission::Leave`]:
    /// where it goes, and what arrived over it that nobody has looked at.
    /// `None`: close it.
    pub(crate) fn depart(&mut self, now: Timestamp, id: LinkId) -> Option<Departure> {
        let Link { peer, association, unfed: bytes, course, ending, .. } = self.forget(id)?;
        self.protocol.close(now, association);
        match course {
            Course::Leaves(to) if ending.is_none() => Some(Departure { to, peer, bytes }),
            Course::Leaves(_) | Course::New | Course::Toward(..) | Course::Stays => None,
        }
    }

    fn admit(&mut self, now: Timestamp, peer: Peer) -> Option<LinkId> {
        if self.draining || !self.serving.load(Ordering::Acquire) {
            return None;
        }
        let shard = self.number();
        if !self.connections.acquire(shard) {
            self.evict(now);
            if !self.connections.acquire(shard) {
                return None;
            }
        }
        let Some(association) = self.protocol.open(now, peer) else {
            self.connections.release(shard);
            return None;
        };
        let id = self.links.insert(Link::new(peer, association));
        self.by_association.insert(association, id);
        self.incomplete.begin(id.index, now);
        Some(id)
    }

    /// One turn: [`Shard::begin`], each completion, [`Shard::finish`].
    #[expect(single_use_lifetimes, reason = "`impl Trait<'_>` is not stable")]
    pub(crate) fn turn<'a>(
        &mut self,
        now: Timestamp,
        completions: impl IntoIterator<Item = Completion<'a>>,
        submissions: &mut Vec<Submission>,
    ) -> bool {
        self.begin(now);
        for completion in completions {
            self.complete(now, completion);
        }
        self.finish(now, submissions)
    }

    /// A turn begins.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        if let Some(config) = self.joining.take() {
            self.protocol.join(now, config);
        }
        self.feed_ready(now);
        self.feed_group(now);
    }

    /// Within a turn: something is complete.
    pub(crate) fn complete(&mut self, now: Timestamp, completion: Completion<'_>) {
        match completion {
            Completion::Received(id, bytes) => self.received(now, id, bytes),
            Completion::Message(id, message) => self.received_whole(now, id, message),
            Completion::Sent(id, buffer) => self.sent(now, id, buffer),
            // Where it goes, its end will be read again.
            Completion::Ended(id) if self.links.get_mut(id).is_some_and(|it| it.leaves()) => {}
            Completion::Ended(id) => self.end(now, id, CloseReason::Ended),
            Completion::Failed(id) => self.failed(now, id),
            Completion::Mesh(from, batch) => self.protocol.receive_mesh(now, from, batch),
        }
    }

    /// A turn ends; these are its submissions. `true`: there is more to do
    /// without any completion; begin another soon, when others had theirs.
    pub(crate) fn finish(&mut self, now: Timestamp, submissions: &mut Vec<Submission>) -> bool {
        let mut more = self.expire(now);
        if self.protocol.next_timeout().is_some_and(|deadline| deadline <= now) {
            more |= self.protocol.handle_timeout(now, TIMEOUTS_A_TURN);
        }
        self.drain_protocol(now);
        submissions.append(&mut self.submissions);
        more || !self.ready.is_empty() || self.group.as_ref().is_some_and(Side::has_more)
    }

    /// Moves the batch for another shard into `into`, which must be empty.
    pub(crate) fn take_mesh(&mut self, to: ShardId, into: &mut Vec<u8>) {
        self.protocol.take_mesh(to, into);
    }

    /// When there is something to do without any completion.
    pub(crate) fn next_timeout(&self) -> Option<Timestamp> {
        if self.joining.is_some() {
            return Some(Timestamp::ZERO);
        }
        let late = |order: &Order, patience| order.first().map(|(_, since)| since.after(patience));
        let deadlines = [
            self.protocol.next_timeout(),
            late(&self.incomplete, self.message_timeout),
            late(&self.unread, self.message_timeout),
            late(&self.ending, LINGER),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// The registrar stops: takes nothing more, answers what came, closes
    /// each connection that has its answers. Needs a [`Shard::turn`] after it.
    pub(crate) fn drain(&mut self, now: Timestamp) {
        self.draining = true;
        for index in self.links.indices() {
            if let Some(id) = self.links.id_of(index) {
                self.end(now, id, CloseReason::Stop);
            }
        }
    }

    /// The time to drain is over: closes what is left. Needs a
    /// [`Shard::turn`] after it.
    pub(crate) fn abandon(&mut self, now: Timestamp) {
        for index in self.links.indices() {
            if let Some(id) = self.links.id_of(index) {
                self.close(now, id, CloseReason::Stop);
            }
        }
    }

    /// Its own number.
    const fn number(&self) -> ShardId {
        self.protocol.config().shard
    }

    /// Connections that are open.
    pub(crate) fn open_links(&self) -> usize {
        self.links.len()
    }

    pub(crate) const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(crate) const fn protocol(&self) -> &registrar::Shard {
        &self.protocol
    }

    fn failed(&mut self, now: Timestamp, id: LinkId) {
        if let Some(link) = self.forget(id) {
            self.protocol.close(now, link.association);
        }
    }

    /// Nothing more is taken from this connection; it is closed when what was
    /// taken is answered.
    fn end(&mut self, now: Timestamp, id: LinkId, reason: CloseReason) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.ending.is_some() {
            return;
        }
        link.ending = Some(reason);
        let holds = link.held || link.ready;
        self.incomplete.end(id.index);
        self.ending.begin(id.index, now);
        self.pause(id);
        if !holds {
            // An incomplete message stays one.
            self.drop_unfed(id);
        }
        self.close_if_done(now, id);
    }

    /// Closes a connection that ends, if all its answers are out.
    fn close_if_done(&mut self, now: Timestamp, id: LinkId) {
        let alone = self.alone;
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(reason) = link.ending else { return };
        let busy = link.sending || link.held || link.ready;
        let answered = self.protocol.output_pending(link.association) == 0;
        if !busy && answered && (alone || link.fed_at.is_none_or(|at| now >= at.after(LINGER))) {
            self.close(now, id, reason);
        }
    }

    fn sent(&mut self, now: Timestamp, id: LinkId, buffer: Vec<u8>) {
        let Some(link) = self.links.get_mut(id) else { return };
        self.traffic.bytes_sent += buffer.len() as u64;
        link.sending = false;
        if self.spares.len() < SPARES_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
            self.spares.push(buffer);
        }
        self.unread.end(id.index);
        if core::mem::take(&mut link.output) {
            self.send(now, id);
        }
        self.close_if_done(now, id);
    }

    /// Hands the protocol's bytes for this connection to the host.
    fn send(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.sending {
            link.output = true;
            return;
        }
        let mut bytes = self.spares.pop().unwrap_or_default();
        self.protocol.take_send(link.association, &mut bytes);
        if bytes.is_empty() {
            return;
        }
        link.sending = true;
        self.unread.begin(id.index, now);
        self.submissions.push(Submission::Send(id, bytes));
    }

    fn drain_protocol(&mut self, now: Timestamp) {
        while let Some(output) = self.protocol.poll_output() {
            match output {
                Output::Send(association) => {
                    if let Some(&id) = self.by_association.get(&association) {
                        self.send(now, id);
                    }
                }
                Output::Resume(association) => {
                    if let Some(&id) = self.by_association.get(&association) {
                        self.make_ready(id);
                    }
                }
                Output::Close(association, reason) => {
                    if let Some(&id) = self.by_association.get(&association) {
                        self.closed_by_protocol(id, CloseReason::Protocol(reason));
                    }
                }
                Output::Mesh(to) => self.submissions.push(Submission::Mesh(to)),
                Output::Connect(association) => self.connect(now, association),
                Output::Group(output) => self.group_output(now, output),
            }
        }
    }

    /// The registrar calls a pool element. Where nothing can be called, or
    /// there is no room, it is as if nobody answered.
    fn connect(&mut self, now: Timestamp, association: AssociationId) {
        let (peer, shard) = (self.protocol.peer(association), self.number());
        let Some(peer) = peer.filter(|_| self.calls && self.connections.acquire(shard)) else {
            self.protocol.close(now, association);
            return;
        };
        let mut link = Link::new(peer, association);
        // Nobody has to speak who did not ask for the association.
        link.spoke = true;
        let id = self.links.insert(link);
        self.by_association.insert(association, id);
        self.submissions.push(Submission::Connect(id, peer.address));
    }

    /// Closes connections whose peers are late. `true`: there are more.
    fn expire(&mut self, now: Timestamp) -> bool {
        for _ in 0..CLOSES_A_TURN {
            let late = |order: &Order, patience| {
                order.first().filter(|(_, since)| since.after(patience) <= now)
            };
            if let Some((index, _)) = late(&self.incomplete, self.message_timeout) {
                self.close_late(now, index, CloseReason::IncompleteMessage);
            } else if let Some((index, _)) = late(&self.unread, self.message_timeout) {
                self.close_late(now, index, CloseReason::Unread);
            } else if let Some((index, _)) = late(&self.ending, LINGER) {
                // What still is to be written is up to the peer's reading.
                self.ending.end(index);
                if let Some(id) = self.links.id_of(index) {
                    self.close_if_done(now, id);
                }
            } else {
                return false;
            }
        }
        true
    }

    fn close_late(&mut self, now: Timestamp, index: u32, reason: CloseReason) {
        self.traffic.timed_out += 1;
        if let Some(id) = self.links.id_of(index) {
            self.close(now, id, reason);
        }
    }

    /// Closes the connection that has been completing a message for longest.
    fn evict(&mut self, now: Timestamp) -> bool {
        let Some(id) = self.incomplete.first().and_then(|(index, _)| self.links.id_of(index))
        else {
            return false;
        };
        self.traffic.evicted += 1;
        self.close(now, id, CloseReason::Evicted);
        true
    }

    fn close(&mut self, now: Timestamp, id: LinkId, reason: CloseReason) {
        if let Some(link) = self.forget(id) {
            self.protocol.close(now, link.association);
            self.announce_close(id, &link, reason);
        }
    }

    fn closed_by_protocol(&mut self, id: LinkId, reason: CloseReason) {
        if let Some(link) = self.forget(id) {
            self.traffic.slow_readers += 1;
            self.announce_close(id, &link, reason);
        }
    }

    fn announce_close(&mut self, id: LinkId, link: &Link, reason: CloseReason) {
        let scheme = if link.peer.transport == TransportKind::Sctp { "sctp" } else { "tcp" };
        log::debug!("{scheme}://{}: {reason}", link.peer.address);
        self.submissions.push(Submission::Close(id, reason));
    }

    fn forget(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(id)?;
        self.by_association.remove(&link.association);
        for order in [&mut self.incomplete, &mut self.unread, &mut self.ending] {
            order.end(id.index);
        }
        self.unfed_bytes -= link.unfed.len();
        self.connections.release(self.number());
        Some(link)
    }
}
