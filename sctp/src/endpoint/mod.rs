//! A user-space SCTP endpoint: many associations on several ports, without
//! sockets, clocks or threads. Packets, events and time go in and come out.
//!
//! The association's data transfer is dcsctp's; everything that makes many
//! associations out of one endpoint that can stand on the open Internet is
//! here: which packet belongs to whom, handshakes that cost no memory until
//! the peer has shown that it can be reached, what becomes of packets that
//! belong to nobody, several addresses of a peer, and bounds on everything
//! that a peer or a stranger can make grow.
//!
//! The order of calls is free; after any of them, [`Endpoint::poll_transmit`],
//! [`Endpoint::poll_event`] and [`Endpoint::next_timeout`] have something new.

mod accept;
mod config;
mod cookie;
mod intake;
mod ledger;
mod limits;
mod offered;
mod open;
mod opening;
mod output;
mod path;
mod paths;
mod random;
mod unacknowledged;
mod unreachable;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use ahash::RandomState;
use dcsctp::api::SocketTime;

use self::cookie::{CookieJar, Offer};
use self::intake::Intake;
use self::limits::{RateTable, RetiredTags, SourceCounts};
use self::open::{Identity, Open};
use self::opening::{Opening, Progressed};
use self::output::Output;
use self::path::PeerKey;
use self::paths::{Change, PeerLost};
use self::random::Random;
use crate::link::{
    AssocId, ConnectError, DownReason, Event, Message, SendError, Side, Up, Violation,
};
use crate::slots::Slots;
use crate::tuning::ConfigError;
use crate::wire::{
    Chunks, Header, Packet, REFLECTED, cause, checksum_holds, checksum_is_absent, kind,
};

pub use self::config::{Config, Rate, Shard, ShortInit};
pub use self::output::{Stats, Transmit};
pub use self::path::Path;

/// First port taken for an association without one of its own (RFC 6335).
const EPHEMERAL: u16 = 49_152;

/// A user-space SCTP endpoint. It does no input or output of its own.
#[derive(Debug)]
pub struct Endpoint {
    shared: Shared,
    table: Slots<Association>,
    /// By our verification tag.
    tags: HashMap<u32, AssocId, RandomState>,
    /// By ports and the addresses at which peers were proven to be.
    peers: HashMap<PeerKey, AssocId, RandomState>,
    /// One entry an association: when its timers are to be looked at.
    timers: BTreeSet<(Instant, AssocId)>,
    /// Associations with messages that wait for the next flush.
    dirty: Vec<AssocId>,
    cookies: CookieJar,
    sources: SourceCounts,
    retired: RetiredTags,
    init_rate: RateTable,
    abort_rate: RateTable,
}

/// What associations need of their endpoint.
#[derive(Debug)]
struct Shared {
    config: Config,
    epoch: Instant,
    random: Random,
    output: Output,
    /// Bytes that all associations together keep of unfinished messages.
    memory: usize,
    /// Scratch space for the packet at hand.
    intake: Intake,
    /// Changes of the addresses of the association at hand.
    changes: Vec<Change>,
}

impl Shared {
    fn socket_time(&self, now: Instant) -> SocketTime {
        SocketTime::zero() + now.saturating_duration_since(self.epoch)
    }

    /// No more unfinished messages can be kept.
    fn is_crowded(&self) -> bool {
        self.memory >= self.config.receive_memory_max
    }

    fn deliver(&mut self, message: Message) {
        self.output.stats.messages_received += 1;
        self.output.events.push_back(Event::Message(message));
    }
}

/// An association in any state but CLOSED.
#[derive(Debug)]
struct Association {
    identity: Identity,
    side: Side,
    /// Where it was accepted from.
    source: IpAddr,
    phase: Phase,
    /// Its entry in the timers.
    armed: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Opening(Box<Opening>),
    Open(Box<Open>),
}

impl Association {
    fn peer_tag(&self) -> u32 {
        match &self.phase {
            Phase::Opening(opening) => opening.peer_tag(),
            Phase::Open(open) => open.peer_tag,
        }
    }

    /// The addresses under which it is in the table of peers.
    fn addresses(&self) -> Vec<IpAddr> {
        match &self.phase {
            Phase::Opening(opening) => {
                opening.targets.iter().map(|path| path.remote.ip()).collect()
            }
            Phase::Open(open) => open.paths.verified().collect(),
        }
    }

    fn key(&self, ip: IpAddr) -> PeerKey {
        let Identity { local_port, peer_port, .. } = self.identity;
        PeerKey { ip, peer_port, local_port }
    }
}

impl Endpoint {
    /// An endpoint with no associations. `seed` must be unpredictable outside
    /// of tests: verification tags, initial sequence numbers, cookies and
    /// hashes are made from it. Equal seeds and inputs give equal outputs.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: Config, now: Instant, seed: [u8; 32]) -> Result<Self, ConfigError> {
        config.check()?;
        let mut random = Random::new(&seed);
        let mut hash = || {
            let (one, two) = (random.u64(), random.u64());
            RandomState::with_seeds(one, two, random.u64(), random.u64())
        };
        let life = config.cookie_life;
        Ok(Self {
            table: Slots::new(),
            tags: HashMap::with_hasher(hash()),
            peers: HashMap::with_hasher(hash()),
            timers: BTreeSet::new(),
            dirty: Vec::new(),
            cookies: CookieJar::new(&seed, now, life, config.shard),
            sources: SourceCounts::new(config.associations_per_source_max, hash()),
            retired: RetiredTags::new(life, hash()),
            init_rate: RateTable::new(config.init_rate, now, hash()),
            abort_rate: RateTable::new(config.abort_rate, now, hash()),
            shared: Shared {
                epoch: now,
                random,
                output: Output::new(config.transmit_queue_max),
                memory: 0,
                intake: Intake::default(),
                changes: Vec::new(),
                config,
            },
        })
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.output.stats
    }

    /// How many associations there are, those being set up included.
    #[must_use]
    pub fn associations(&self) -> usize {
        self.table.len()
    }

    /// Bytes that are kept of messages that are not yet whole, or not yet read.
    #[must_use]
    pub fn receive_memory(&self) -> usize {
        self.shared.memory
    }

    /// The next packet to send. What was taken by [`Self::send`] is packed into
    /// packets now.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if self.shared.output.packets.is_empty() {
            self.flush(now);
        }
        let transmit = self.shared.output.packets.pop_front()?;
        self.shared.output.stats.packets_sent += 1;
        Some(transmit)
    }

    /// Takes back a packet that could not be sent yet.
    pub fn unsend(&mut self, transmit: Transmit) {
        self.shared.output.stats.packets_sent -= 1;
        self.shared.output.packets.push_front(transmit);
    }

    /// Packets are waiting to be sent.
    #[must_use]
    pub fn has_transmits(&self) -> bool {
        !self.shared.output.packets.is_empty() || !self.dirty.is_empty()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.output.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Runs the timers of up to `budget` associations. True: more are due.
    pub fn handle_timeout(&mut self, now: Instant, budget: usize) -> bool {
        for _ in 0..budget {
            let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) else {
                return false;
            };
            self.timers.remove(&(at, id));
            self.time(now, id);
        }
        self.next_timeout().is_some_and(|at| at <= now)
    }

    fn time(&mut self, now: Instant, id: AssocId) {
        let Some(association) = self.table.get_mut(id) else { return };
        association.armed = None;
        let shared = &mut self.shared;
        let down = match &mut association.phase {
            Phase::Opening(opening) => match opening.handle_timeout(now, shared) {
                Progressed::Down(reason) => Some(reason),
                Progressed::Waiting | Progressed::Up { .. } => None,
            },
            Phase::Open(open) => match open.overdue(now) {
                Some(violation) => Some(DownReason::Violation(violation)),
                None => Self::time_open(now, id, open, shared),
            },
        };
        self.after(now, id, down);
    }

    fn time_open(
        now: Instant,
        id: AssocId,
        open: &mut Open,
        shared: &mut Shared,
    ) -> Option<DownReason> {
        open.advance(now, shared);
        let mut down = open.pump(now, id, shared, None);
        while down.is_none()
            && open.paths.next_timeout(&shared.config.tuning).is_some_and(|at| at <= now)
        {
            match open.paths.handle_timeout(now, &shared.config.tuning, &mut shared.random) {
                Ok((heartbeat, change)) => {
                    shared.note(change);
                    if let Some(heartbeat) = heartbeat {
                        let packet = open.packet().chunk(kind::HEARTBEAT, 0, &heartbeat.value);
                        shared.output.transmit(heartbeat.to, packet.finish());
                    }
                }
                Err(PeerLost) => {
                    let packet = open.packet().cause(kind::ABORT, 0, cause::USER_ABORT, &[]);
                    shared.output.transmit(open.paths.active(), packet.finish());
                    down = Some(DownReason::TimedOut);
                }
            }
        }
        down
    }

    /// Begins an association with the peer at these addresses, with their UDP
    /// ports, on this SCTP port. Without a local port, a free one is taken.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        &mut self,
        now: Instant,
        to: &[SocketAddr],
        port: u16,
        local_port: Option<u16>,
    ) -> Result<AssocId, ConnectError> {
        let mut targets: Vec<Path> =
            to.iter().map(|remote| Path { remote: *remote, local: None }).collect();
        targets.dedup();
        if targets.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        if self.table.len() >= self.shared.config.tuning.associations_max {
            return Err(ConnectError::TooMany);
        }
        let free = |endpoint: &Self, local_port| {
            let taken = |path: &Path| {
                let ip = path.remote.ip();
                endpoint.peers.contains_key(&PeerKey { ip, peer_port: port, local_port })
            };
            !targets.iter().any(taken)
        };
        let local_port = match local_port {
            Some(local_port) => Some(local_port).filter(|local_port| free(self, *local_port)),
            None => {
                let count = u16::MAX - EPHEMERAL;
                let first = u16::try_from(self.shared.random.u32() % u32::from(count)).unwrap_or(0);
                (0..count)
                    .map(|step| EPHEMERAL + (first + step) % count)
                    .find(|local_port| free(self, *local_port))
            }
        };
        let local_port = local_port.ok_or(ConnectError::InUse)?;
        let identity = Identity {
            local_port,
            peer_port: port,
            local_tag: self.fresh_tag(now),
            local_tsn: self.shared.random.u32(),
        };
        let source = targets[0].remote.ip();
        let opening = Opening::new(now, &mut self.shared, identity, targets);
        let id = self.insert(Association {
            identity,
            side: Side::Connected,
            source,
            phase: Phase::Opening(Box::new(opening)),
            armed: None,
        });
        self.arm(id);
        Ok(id)
    }

    /// An unpredictable tag of this shard that no association has.
    fn fresh_tag(&mut self, now: Instant) -> u32 {
        loop {
            let tag = self.shared.config.shard.tag(self.shared.random.u32());
            if !self.tags.contains_key(&tag) && !self.retired.contains(now, tag) {
                return tag;
            }
        }
    }

    /// Takes a message for ordered delivery. It leaves with the next
    /// [`Self::poll_transmit`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(
        &mut self,
        id: AssocId,
        stream: u16,
        ppid: u32,
        data: &[u8],
    ) -> Result<(), SendError> {
        let association = self.table.get_mut(id).ok_or(SendError::Gone)?;
        let Phase::Open(open) = &mut association.phase else { return Err(SendError::NotUp) };
        if open.send(&self.shared, stream, ppid, data)? {
            self.dirty.push(id);
        }
        self.shared.output.stats.messages_sent += 1;
        Ok(())
    }

    fn flush(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.flush_one(now, id);
        }
        self.dirty = dirty;
    }

    fn flush_one(&mut self, now: Instant, id: AssocId) {
        if let Some((open, shared)) = self.open(id) {
            open.flush(now, shared);
            let down = open.pump(now, id, shared, None);
            self.after(now, id, down);
        }
    }

    /// Closes an association gracefully (RFC 9260 section 9.2). One that is not
    /// up yet ends at once.
    pub fn shutdown(&mut self, now: Instant, id: AssocId) {
        self.flush_one(now, id);
        let Some(association) = self.table.get_mut(id) else { return };
        let down = match &mut association.phase {
            Phase::Opening(opening) => {
                opening.abort(&mut self.shared);
                Some(DownReason::Closed)
            }
            Phase::Open(open) => {
                open.shutdown(now, &self.shared);
                open.pump(now, id, &mut self.shared, None)
            }
        };
        self.after(now, id, down);
    }

    /// Ends an association at once. No event tells of it.
    pub fn abort(&mut self, now: Instant, id: AssocId) {
        let Some(association) = self.table.get(id) else { return };
        match &association.phase {
            Phase::Opening(opening) => opening.abort(&mut self.shared),
            Phase::Open(open) => {
                let packet = open.packet().cause(kind::ABORT, 0, cause::USER_ABORT, &[]);
                self.shared.output.transmit(open.paths.active(), packet.finish());
            }
        }
        self.remove(now, id);
    }

    /// Delivers no more messages of this association; its window fills.
    pub fn pause(&mut self, id: AssocId) {
        if let Some((open, _)) = self.open(id) {
            open.pause();
        }
    }

    /// Delivers messages again.
    pub fn resume(&mut self, now: Instant, id: AssocId) {
        if let Some((open, shared)) = self.open(id) {
            open.resume(now, id, shared);
            self.after(now, id, None);
        }
    }

    /// Bytes of this association that are not acknowledged.
    #[must_use]
    pub fn unsent(&self, id: AssocId) -> usize {
        match self.table.get(id).map(|association| &association.phase) {
            Some(Phase::Open(open)) => open.unacknowledged.bytes(),
            Some(Phase::Opening(_)) | None => 0,
        }
    }

    /// The addresses at which the peer was proven to be; before that, those it
    /// is looked for at.
    #[must_use]
    pub fn peer_addresses(&self, id: AssocId) -> Vec<IpAddr> {
        self.table.get(id).map_or_else(Vec::new, Association::addresses)
    }

    /// Takes a packet as it followed the UDP header, whoever sent it.
    pub fn receive(&mut self, now: Instant, from: Path, packet: &[u8]) {
        self.shared.output.stats.packets_received += 1;
        let Some(header) = self.accept_packet(packet) else {
            self.shared.output.stats.malformed += 1;
            return;
        };
        let mut chunks = Chunks::of(packet);
        let Some(first) = chunks.next() else {
            self.shared.output.stats.malformed += 1;
            return;
        };
        let source = from.remote.ip();
        if source.is_unspecified() || source.is_multicast() {
            return;
        }
        let reflected = first.flags & REFLECTED != 0;
        match first.kind {
            kind::INIT if chunks.is_finished() => self.init(now, from, header, packet, first.value),
            kind::INIT => {}
            kind::COOKIE_ECHO => self.cookie_echo(now, from, header, packet, first.value),
            kind::ABORT | kind::SHUTDOWN_COMPLETE if reflected => {
                // The tag is the peer's own; the association is found by ports.
                let id = self.peers.get(&key(source, header)).copied();
                let theirs = |id: &AssocId| {
                    self.table.get(*id).is_some_and(|found| found.peer_tag() == header.tag)
                };
                match id.filter(theirs).filter(|_| header.tag != 0) {
                    Some(id) => self.reflected(now, id, from, packet),
                    None => self.shared.output.stats.out_of_the_blue += 1,
                }
            }
            _ => match self.by_tag(header) {
                Some(id) => self.dispatch(now, id, from, packet),
                None => self.out_of_the_blue(now, from, header, packet, first.kind),
            },
        }
    }

    /// The header of a packet with a checksum that holds, or with none where
    /// that is fine.
    fn accept_packet(&mut self, packet: &[u8]) -> Option<Header> {
        let header = Header::read(packet)?;
        // A kernel next door hands over what it meant to be cut to size and
        // given a checksum by a network card.
        let unsegmented = self.shared.config.accept_unsegmented
            && packet.len() > self.shared.config.packet_bytes_max.min(1400)
            && checksum_is_absent(packet);
        if unsegmented {
            self.shared.output.stats.unsegmented += 1;
            return Some(header);
        }
        checksum_holds(packet).then_some(header)
    }

    fn by_tag(&self, header: Header) -> Option<AssocId> {
        let id = *self.tags.get(&header.tag)?;
        let Identity { local_port, peer_port, .. } = self.table.get(id)?.identity;
        let ours = local_port == header.destination_port && peer_port == header.source_port;
        ours.then_some(id)
    }

    /// Gives a packet to its association.
    fn dispatch(&mut self, now: Instant, id: AssocId, from: Path, packet: &[u8]) {
        let Some(association) = self.table.get_mut(id) else { return };
        let shared = &mut self.shared;
        match &mut association.phase {
            Phase::Open(open) => {
                let down = open.receive(now, id, shared, from, packet);
                self.after(now, id, down);
            }
            Phase::Opening(opening) => match opening.receive(now, shared, from, packet) {
                Progressed::Waiting => self.arm(id),
                Progressed::Down(reason) => self.after(now, id, Some(reason)),
                Progressed::Up { offer, path } => {
                    // What came along with the COOKIE ACK is for the association.
                    if self.establish(now, id, &offer, path) {
                        self.dispatch(now, id, from, packet);
                    }
                }
            },
        }
    }

    /// An ABORT or SHUTDOWN COMPLETE under the peer's tag came from the peer.
    fn reflected(&mut self, now: Instant, id: AssocId, from: Path, packet: &[u8]) {
        let opening = matches!(
            self.table.get(id).map(|association| &association.phase),
            Some(Phase::Opening(_))
        );
        if opening {
            self.after(now, id, Some(DownReason::Refused));
        } else {
            self.dispatch(now, id, from, packet);
        }
    }

    /// Turns an association that is being set up into one that is up. False:
    /// it is gone.
    fn establish(&mut self, now: Instant, id: AssocId, offer: &Offer, path: Path) -> bool {
        let Some(association) = self.table.get(id) else { return false };
        let identity = association.identity;
        let Some(open) = Open::new(now, &mut self.shared, identity, offer, path) else {
            self.after(now, id, Some(DownReason::Violation(Violation::Handshake)));
            return false;
        };
        self.unlist(id);
        if let Some(association) = self.table.get_mut(id) {
            association.phase = Phase::Open(Box::new(open));
        }
        self.list(id);
        self.announce(id, path);
        true
    }

    /// Tells the application of an association that is up.
    fn announce(&mut self, id: AssocId, path: Path) {
        let Some(association) = self.table.get(id) else { return };
        let Phase::Open(open) = &association.phase else { return };
        let Identity { local_port, peer_port, .. } = association.identity;
        self.shared.output.stats.ups += 1;
        self.shared.output.events.push_back(Event::Up(Up {
            id,
            peer: SocketAddr::new(path.remote.ip(), peer_port),
            local_port,
            side: association.side,
            streams: open.streams(),
        }));
        self.arm(id);
    }

    /// Puts an association into all tables.
    fn insert(&mut self, association: Association) -> AssocId {
        let tag = association.identity.local_tag;
        let id = self.table.insert(association);
        self.tags.insert(tag, id);
        self.list(id);
        id
    }

    /// Enters an association's addresses into the table of peers.
    fn list(&mut self, id: AssocId) {
        let Some(association) = self.table.get(id) else { return };
        for ip in association.addresses() {
            self.peers.entry(association.key(ip)).or_insert(id);
        }
    }

    fn unlist(&mut self, id: AssocId) {
        let Some(association) = self.table.get(id) else { return };
        for ip in association.addresses() {
            let key = association.key(ip);
            if self.peers.get(&key) == Some(&id) {
                self.peers.remove(&key);
            }
        }
    }

    /// What every step with an association ends with.
    fn after(&mut self, now: Instant, id: AssocId, down: Option<DownReason>) {
        self.apply_changes(id);
        match down {
            Some(reason) => self.end(now, id, reason),
            None => self.arm(id),
        }
    }

    fn apply_changes(&mut self, id: AssocId) {
        let mut changes = std::mem::take(&mut self.shared.changes);
        for change in changes.drain(..) {
            let Some(association) = self.table.get(id) else { break };
            match change {
                Change::None => {}
                Change::Verified(ip) => {
                    self.shared.output.stats.paths_verified += 1;
                    self.peers.entry(association.key(ip)).or_insert(id);
                }
                Change::Forgotten(ip) => {
                    let key = association.key(ip);
                    if self.peers.get(&key) == Some(&id) {
                        self.peers.remove(&key);
                    }
                }
            }
        }
        changes.clear();
        self.shared.changes = changes;
    }

    fn end(&mut self, now: Instant, id: AssocId, reason: DownReason) {
        if let DownReason::Violation(violation) = reason
            && let Some((open, shared)) = self.open(id)
        {
            let packet = open.packet().cause(kind::ABORT, 0, violation_cause(violation), &[]);
            shared.output.transmit(open.paths.active(), packet.finish());
        }
        if self.remove(now, id) {
            self.shared.output.stats.downs += 1;
            self.shared.output.events.push_back(Event::Down { id, reason });
        }
    }

    fn remove(&mut self, now: Instant, id: AssocId) -> bool {
        self.unlist(id);
        let Some(mut association) = self.table.remove(id) else { return false };
        let tag = association.identity.local_tag;
        self.tags.remove(&tag);
        self.retired.retire(now, tag);
        if association.side == Side::Accepted {
            self.sources.remove(association.source);
        }
        if let Some(at) = association.armed {
            self.timers.remove(&(at, id));
        }
        if let Phase::Open(open) = &mut association.phase {
            open.forget_cost(&mut self.shared);
        }
        true
    }

    fn open(&mut self, id: AssocId) -> Option<(&mut Open, &mut Shared)> {
        match &mut self.table.get_mut(id)?.phase {
            Phase::Open(open) => Some((open, &mut self.shared)),
            Phase::Opening(_) => None,
        }
    }

    /// Sees to it that the timers are looked at in time. An entry that is too
    /// early stays: it costs less to look once too often.
    fn arm(&mut self, id: AssocId) {
        let Some(association) = self.table.get_mut(id) else { return };
        let deadline = match &association.phase {
            Phase::Opening(opening) => Some(opening.due),
            Phase::Open(open) => open.deadline(&self.shared),
        };
        let Some(deadline) = deadline else { return };
        match association.armed {
            Some(armed) if armed <= deadline => return,
            Some(armed) => {
                self.timers.remove(&(armed, id));
            }
            None => {}
        }
        association.armed = Some(deadline);
        self.timers.insert((deadline, id));
    }

    /// A packet that belongs to no association (RFC 9260 section 8.4). Its
    /// answer is never longer than itself.
    fn out_of_the_blue(
        &mut self,
        now: Instant,
        from: Path,
        header: Header,
        packet: &[u8],
        first: u8,
    ) {
        self.shared.output.stats.out_of_the_blue += 1;
        let aborts = |kind| matches!(kind, kind::ABORT | kind::SHUTDOWN_COMPLETE);
        if Chunks::of(packet).any(|chunk| aborts(chunk.kind)) {
            return;
        }
        let answer = match first {
            kind::SHUTDOWN_ACK => kind::SHUTDOWN_COMPLETE,
            kind::COOKIE_ACK | kind::ERROR | kind::INIT_ACK | kind::HEARTBEAT_ACK => return,
            _ => kind::ABORT,
        };
        if !self.abort_rate.allows(now, from.remote.ip()) {
            self.shared.output.stats.out_of_the_blue_limited += 1;
            return;
        }
        let answer = Packet::reply(header, header.tag).chunk(answer, REFLECTED, &[]);
        self.shared.output.transmit(from, answer.finish());
    }
}

fn key(ip: IpAddr, header: Header) -> PeerKey {
    PeerKey { ip, peer_port: header.source_port, local_port: header.destination_port }
}

fn violation_cause(violation: Violation) -> u16 {
    match violation {
        Violation::EmptyData => cause::NO_USER_DATA,
        Violation::Stream => cause::INVALID_STREAM,
        Violation::Overflow | Violation::StalledMessage => cause::OUT_OF_RESOURCE,
        Violation::MessageTooLong
        | Violation::TooManyFragments
        | Violation::Order
        | Violation::SlowShutdown
        | Violation::Handshake => cause::PROTOCOL_VIOLATION,
    }
}
