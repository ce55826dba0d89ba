//! The kernel's SCTP, by one-to-many sockets (RFC 6458): one listening socket
//! a port, and one for each association we begin without a port of its own.
//!
//! The kernel keeps one receive buffer for all associations of a socket, and,
//! unless `net.sctp.sndbuf_policy` is 1, one send buffer. So reading cannot be
//! held off for one association: what comes while it is paused is kept here,
//! up to its receive window, and beyond that it is aborted. And a peer that
//! acknowledges nothing may hold only a part of the send buffer: the rest of
//! what is for it waits here.

mod association;
mod burst;
mod notification;
mod options;
mod socket;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use ahash::RandomState;

use self::association::{Association, Handed};
use self::burst::Burst;
use self::notification::{Loss, Notification};
use self::socket::{Bound, Role, open};
use crate::link::{
    AssocId, ConnectError, DownReason, Event, Link, Message, Progress, Received, SendError, Side,
    Up, Violation,
};
use crate::readiness::{Interest, Readiness};
use crate::slots::Slots;
use crate::sys::{BATCH, Control, More, ReceiveBatch, address, find_control, send_message, word};
use crate::tuning::Tuning;

pub use self::socket::{is_available, probe};

/// Batches of messages and notifications read from each socket in one call.
const BATCHES_MAX: usize = 2;
/// Bytes of each that are read at once; what is longer comes in parts.
const BUFFER: usize = 8 * 1024;
const MSG_NOTIFICATION: i32 = 0x8000;
/// `SCTP_RCVINFO` and `SCTP_SNDINFO`, the control messages.
const RCVINFO: i32 = 3;
const SNDINFO: i32 = 2;
/// Flags of a sent message: ABORT, and a graceful end.
const FLAG_ABORT: u16 = 4;
const FLAG_EOF: u16 = 0x200;

/// Configuration of a [`KernelLink`].
#[derive(Clone, Debug)]
pub struct Config {
    /// SCTP ports on which associations are accepted.
    pub listen: Vec<u16>,
    /// Our addresses; none stands for all of them, of both families where the
    /// kernel has both. Several make the associations multi-homed.
    pub addresses: Vec<IpAddr>,
    /// Several links, one a shard, listen on the same ports (Linux 5.0).
    pub reuse_port: bool,
    /// Bytes the kernel is asked to keep for all associations of a socket.
    pub receive_buffer: usize,
    /// The same of what is to be sent.
    pub send_buffer: usize,
    /// How long a port that is in use is tried again when the link is made: an
    /// association whose peer is gone may hold it for a while.
    pub bind_patience: Duration,
    /// Sends everything to this UDP port of the peers (RFC 6951), where
    /// `net.sctp.udp_port` has given the kernel one of its own. For tests.
    pub encapsulation: Option<u16>,
    /// Timers and bounds of each association.
    pub tuning: Tuning,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            addresses: Vec::new(),
            reuse_port: false,
            receive_buffer: 8 << 20,
            send_buffer: 8 << 20,
            bind_patience: Duration::from_secs(5),
            encapsulation: None,
            tuning: Tuning::default(),
        }
    }
}

/// The kernel's SCTP as the transport of one shard.
#[derive(Debug)]
pub struct KernelLink {
    config: Config,
    /// Sockets that are closed leave an empty place.
    sockets: Vec<Option<Bound>>,
    table: Slots<Association>,
    /// By socket, and by the number the kernel gave.
    numbers: HashMap<(usize, i32), AssocId, RandomState>,
    /// By when associations have to be closed.
    deadlines: BTreeSet<(Instant, AssocId)>,
    /// Associations with something to send.
    dirty: VecDeque<AssocId>,
    /// Sockets whose send buffer is full.
    full: BTreeSet<usize>,
    /// Events that came about outside of `poll`.
    events: VecDeque<Event>,
    readiness: Readiness,
    /// The place of the socket that the host receives from by itself.
    given: Option<usize>,
    /// Where messages are read to; away while they are looked at.
    batch: Option<Box<ReceiveBatch>>,
    burst: Burst,
}

impl KernelLink {
    /// Opens a socket for each port to listen on.
    ///
    /// # Errors
    /// A configuration that cannot work, a kernel without SCTP, or a port that
    /// stays in use.
    pub fn new(config: Config) -> io::Result<Self> {
        config
            .tuning
            .check()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut link = Self {
            sockets: Vec::new(),
            table: Slots::new(),
            numbers: HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4)),
            deadlines: BTreeSet::new(),
            dirty: VecDeque::new(),
            full: BTreeSet::new(),
            events: VecDeque::new(),
            readiness: Readiness::new()?,
            given: None,
            batch: Some(Box::new(ReceiveBatch::new(BUFFER))),
            burst: Burst::default(),
            config,
        };
        for port in link.config.listen.clone() {
            link.open(port, Role::Listen)?;
        }
        Ok(link)
    }

    /// The ports it listens on.
    #[must_use]
    pub fn local_ports(&self) -> Vec<u16> {
        self.sockets.iter().flatten().filter(|socket| socket.listening).map(|it| it.port).collect()
    }

    /// The bytes the kernel granted each socket to keep.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.sockets.iter().flatten().map(|socket| socket.receive_buffer).min().unwrap_or(0)
    }

    fn open(&mut self, port: u16, role: Role) -> io::Result<usize> {
        let bound = open(&self.config, port, role)?;
        self.readiness.add(&bound, Interest::Read)?;
        let place = self.sockets.iter().position(Option::is_none);
        let place = place.unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        self.sockets[place] = Some(bound);
        Ok(place)
    }

    fn socket(&self, place: usize) -> io::Result<&Bound> {
        self.sockets
            .get(place)
            .and_then(Option::as_ref)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the socket is closed"))
    }

    /// Reads one socket until it has nothing more, or for a while.
    fn read(&mut self, now: Instant, place: usize) -> io::Result<Progress> {
        let Some(mut batch) = self.batch.take() else { return Ok(Progress::Idle) };
        let mut progress = Ok(Progress::More);
        for _ in 0..BATCHES_MAX {
            // A notification may have closed it.
            let Some(bound) = self.sockets.get(place).and_then(Option::as_ref) else {
                progress = Ok(Progress::Idle);
                break;
            };
            match batch.receive(bound.as_fd()) {
                Ok(count) => {
                    for received in (0..count).filter_map(|index| batch.message(index)) {
                        self.arrived(now, place, &received);
                    }
                    // A call of its own to find nothing more is not needed.
                    if count < BATCH {
                        progress = Ok(Progress::Idle);
                        break;
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                    progress = Err(error);
                    break;
                }
                // Of an association that is told of by a notification, too.
                Err(_) => {}
            }
        }
        self.batch = Some(batch);
        progress
    }

    /// A message or a notification, or a part of one.
    fn arrived(&mut self, now: Instant, place: usize, received: &Received<'_>) {
        if received.flags & MSG_NOTIFICATION == 0 {
            return self.received(place, received);
        }
        let Some(Some(bound)) = self.sockets.get_mut(place) else { return };
        let whole = received.flags & libc::MSG_EOR != 0;
        if let Some(told) = bound.notifications.part(received.bytes, whole) {
            self.notified(now, place, told, address(received.name));
        }
    }

    /// A message, or a part of one.
    fn received(&mut self, place: usize, received: &Received<'_>) {
        let Some(info) = find_control(received.control, libc::IPPROTO_SCTP, RCVINFO) else {
            return;
        };
        // struct sctp_rcvinfo: stream, ssn, flags, (2), ppid in network order,
        // tsn, cumulative tsn, context, association.
        let (Some(stream), Some(ppid), Some(number)) =
            (info.first_chunk::<2>(), info.get(8..12), info.get(24..28))
        else {
            return;
        };
        let stream = crate::sys::half_word(*stream);
        let mut bytes = [0; 4];
        bytes.copy_from_slice(ppid);
        let ppid = u32::from_be_bytes(bytes);
        bytes.copy_from_slice(number);
        let number = word(bytes).cast_signed();
        let Some(id) = self.numbers.get(&(place, number)).copied() else { return };
        let Some(association) = self.table.get_mut(id) else { return };
        let whole = received.flags & libc::MSG_EOR != 0;
        match association.part(received.bytes, whole, &self.config.tuning) {
            Ok(Some(data)) if !data.is_empty() => {
                let message = Message { id, stream, ppid, data };
                match association.deliver(message, &self.config.tuning) {
                    Ok(Some(message)) => self.events.push_back(Event::Message(message)),
                    Ok(None) => {}
                    Err(violation) => self.violated(id, violation),
                }
            }
            Ok(_) => {}
            Err(violation) => self.violated(id, violation),
        }
    }

    fn violated(&mut self, id: AssocId, violation: Violation) {
        self.send_abort(id);
        self.down(id, DownReason::Violation(violation));
    }

    fn notified(
        &mut self,
        now: Instant,
        place: usize,
        told: Notification,
        from: Option<SocketAddr>,
    ) {
        match told {
            Notification::Up { association, outbound } => {
                self.up(place, association, outbound, from);
            }
            Notification::Restarted { association } => {
                if let Some((id, found)) = self.find(place, association) {
                    found.restart();
                    self.events.push_back(Event::Restarted { id });
                }
            }
            Notification::Lost { association, loss } => {
                if let Some((id, found)) = self.find(place, association) {
                    let asked = found.asked_at;
                    let reason = reason(loss, asked, now, &self.config.tuning);
                    self.down(id, reason);
                }
            }
            Notification::PeerShutDown { association } => {
                if let Some((_, found)) = self.find(place, association) {
                    found.peer_shut_down();
                }
            }
            Notification::PartAborted { association } => {
                if let Some((_, found)) = self.find(place, association) {
                    found.part_aborted();
                }
            }
            Notification::Dry { association } => self.dry(place, association),
            Notification::Other => {}
        }
    }

    fn find(&mut self, place: usize, number: i32) -> Option<(AssocId, &mut Association)> {
        let id = *self.numbers.get(&(place, number))?;
        Some((id, self.table.get_mut(id)?))
    }

    /// Everything the kernel had of an association was acknowledged.
    fn dry(&mut self, place: usize, number: i32) {
        let Some((id, found)) = self.find(place, number) else { return };
        found.dried();
        self.dirty.push_back(id);
        if let Ok(bound) = self.socket(place) {
            // If that fails we are told once more, and no harm is done.
            let _ = options::tell_when_dry(bound.as_fd(), number, false);
        }
    }

    fn up(&mut self, place: usize, number: i32, outbound: u16, from: Option<SocketAddr>) {
        let Ok(local_port) = self.socket(place).map(|bound| bound.port) else { return };
        let id = match self.numbers.get(&(place, number)) {
            Some(id) => *id,
            None => self.insert(Association::new(place, number, Side::Accepted)),
        };
        let peer = from.or_else(|| self.peer(place, number));
        let Some(association) = self.table.get_mut(id) else { return };
        association.streams = outbound.min(self.config.tuning.streams);
        association.is_up = true;
        let (side, streams) = (association.side, association.streams);
        let over = self.table.len() > self.config.tuning.associations_max;
        let Some(peer) = peer.filter(|_| !over || side == Side::Connected) else {
            // More than we may have, or gone already.
            self.send_abort(id);
            self.remove(id);
            return;
        };
        self.events.push_back(Event::Up(Up { id, peer, local_port, side, streams }));
    }

    fn peer(&self, place: usize, number: i32) -> Option<SocketAddr> {
        let bound = self.socket(place).ok()?;
        options::peer_addresses(bound.as_fd(), number).into_iter().next()
    }

    fn insert(&mut self, association: Association) -> AssocId {
        let key = (association.socket, association.number);
        if let Some(Some(bound)) = self.sockets.get_mut(association.socket) {
            bound.associations += 1;
        }
        let id = self.table.insert(association);
        self.numbers.insert(key, id);
        id
    }

    fn down(&mut self, id: AssocId, reason: DownReason) {
        if let Some(association) = self.table.get_mut(id) {
            for message in association.release() {
                self.events.push_back(Event::Message(message));
            }
            self.events.push_back(Event::Down { id, reason });
        }
        self.remove(id);
    }

    fn remove(&mut self, id: AssocId) {
        let Some(association) = self.table.remove(id) else { return };
        self.numbers.remove(&(association.socket, association.number));
        if let Some(by) = association.close_by {
            self.deadlines.remove(&(by, id));
        }
        let Some(Some(bound)) = self.sockets.get_mut(association.socket) else { return };
        bound.associations -= 1;
        if bound.associations == 0 && !bound.listening {
            self.full.remove(&association.socket);
            self.sockets[association.socket] = None;
        }
    }

    fn send_abort(&self, id: AssocId) {
        if let Some(association) = self.table.get(id) {
            let control = info(association.number, 0, 0, FLAG_ABORT);
            if let Ok(bound) = self.socket(association.socket) {
                // If it is gone already, so much the better.
                let _ = send_message(bound.as_fd(), &[], &control, More::None);
            }
        }
    }

    /// Hands the kernel, by few calls, what waits on several associations.
    /// What it does not take stays; [`Self::hand_over`] finds out why.
    fn hand_over_together(&mut self, ids: &VecDeque<AssocId>) {
        let mut place = None;
        for id in ids {
            let Some(association) = self.table.get_mut(*id) else { continue };
            if *place.get_or_insert(association.socket) == association.socket {
                self.burst.gather(*id, association);
            }
        }
        let mut burst = std::mem::take(&mut self.burst);
        if let Some(Some(bound)) = place.and_then(|place| self.sockets.get(place)) {
            burst.send(bound.as_fd(), &mut self.table);
        }
        burst.put_back(&mut self.table);
        self.burst = burst;
    }

    /// Hands the kernel what it takes of an association's messages.
    fn hand_over(&mut self, id: AssocId) {
        let Some(association) = self.table.get_mut(id) else { return };
        let place = association.socket;
        let Some(bound) = self.sockets.get(place).and_then(Option::as_ref) else { return };
        let fd = bound.as_fd();
        let number = association.number;
        let handed = association.hand_over(|queued, more| {
            let control = info(number, queued.stream, queued.ppid, 0);
            send_message(fd, &queued.data, &control, more)
        });
        match handed {
            Handed::All => {}
            Handed::Enough => {
                if options::tell_when_dry(fd, number, true).is_err() {
                    // A kernel that cannot tell: it limits by its buffer alone.
                    association.dried();
                    self.dirty.push_back(id);
                }
            }
            Handed::KernelFull => {
                self.full.insert(place);
                self.dirty.push_back(id);
            }
        }
        if association.has_room_again(&self.config.tuning) {
            self.events.push_back(Event::Writable { id });
        }
        if association.may_end() {
            association.ended = true;
            // If it is gone already, a notification says so.
            let _ = send_message(fd, &[], &info(number, 0, 0, FLAG_EOF), More::None);
        }
    }
}

/// The control message that says where a message goes to.
fn info(number: i32, stream: u16, ppid: u32, flags: u16) -> Control {
    // struct sctp_sndinfo: stream, flags, ppid in network order, context,
    // association.
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&crate::sys::native_u16(stream));
    bytes[2..4].copy_from_slice(&crate::sys::native_u16(flags));
    bytes[4..8].copy_from_slice(&ppid.to_be_bytes());
    bytes[12..].copy_from_slice(&crate::sys::native(number));
    let mut control = Control::empty();
    control.put(libc::IPPROTO_SCTP, SNDINFO, &bytes);
    control
}

fn reason(loss: Loss, asked: Option<Instant>, now: Instant, tuning: &Tuning) -> DownReason {
    match loss {
        Loss::Closed => DownReason::Closed,
        Loss::NotUp { refused: true } => DownReason::Refused,
        Loss::NotUp { refused: false } => {
            // An ABORT without a cause looks like silence, but comes earlier.
            let waited = asked.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
            let early = waited < patience(tuning).mul_f64(0.9);
            if early { DownReason::Refused } else { DownReason::NoAnswer }
        }
        Loss::Aborted { cause } => DownReason::Aborted { cause },
        Loss::TimedOut => DownReason::TimedOut,
    }
}

/// How long the kernel asks a peer that does not answer.
fn patience(tuning: &Tuning) -> Duration {
    let mut timeout = tuning.rto_initial;
    let mut total = Duration::ZERO;
    for _ in 0..=tuning.init_retransmissions_max {
        total += timeout;
        timeout = (timeout * 2).min(tuning.rto_max);
    }
    total
}

impl Link for KernelLink {
    fn fd(&self) -> BorrowedFd<'_> {
        self.readiness.fd()
    }

    fn give_socket(&mut self) -> io::Result<Option<BorrowedFd<'_>>> {
        let listens = |bound: &Option<Bound>| bound.as_ref().is_some_and(|bound| bound.listening);
        let Some(place) = self.sockets.iter().position(listens) else { return Ok(None) };
        if self.given.is_none() {
            self.readiness.remove(self.socket(place)?)?;
            self.given = Some(place);
        }
        self.socket(place).map(|bound| Some(bound.as_fd()))
    }

    fn take(&mut self, now: Instant, received: &Received<'_>) {
        if let Some(place) = self.given {
            self.arrived(now, place, received);
        }
    }

    fn poll(&mut self, now: Instant, events: &mut Vec<Event>) -> io::Result<Progress> {
        let mut progress = Progress::Idle;
        for place in 0..self.sockets.len() {
            if self.given != Some(place) && self.read(now, place)? == Progress::More {
                progress = Progress::More;
            }
        }
        while let Some((by, id)) = self.deadlines.first().copied().filter(|(by, _)| *by <= now) {
            self.deadlines.remove(&(by, id));
            self.violated(id, Violation::SlowShutdown);
        }
        self.flush(now)?;
        events.extend(self.events.drain(..));
        Ok(progress)
    }

    fn timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(by, _)| *by)
    }

    fn connect(
        &mut self,
        now: Instant,
        to: &[IpAddr],
        port: u16,
        local_port: Option<u16>,
    ) -> Result<AssocId, ConnectError> {
        if to.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        if self.table.len() >= self.config.tuning.associations_max {
            return Err(ConnectError::TooMany);
        }
        let on_port = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.port) == local_port;
        let found = local_port.and_then(|_| self.sockets.iter().position(on_port));
        let place = match found {
            Some(place) => place,
            None => {
                self.open(local_port.unwrap_or(0), Role::Connect).map_err(ConnectError::System)?
            }
        };
        let bound = self.socket(place).map_err(ConnectError::System)?;
        match options::connect(bound.as_fd(), to, port) {
            Ok(number) => {
                let mut association = Association::new(place, number, Side::Connected);
                association.asked_at = Some(now);
                Ok(self.insert(association))
            }
            Err(error) => {
                if found.is_none() {
                    self.sockets[place] = None;
                }
                Err(match error.raw_os_error() {
                    Some(libc::EISCONN | libc::EALREADY | libc::EADDRINUSE) => ConnectError::InUse,
                    Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => ConnectError::NoAddress,
                    _ => ConnectError::System(error),
                })
            }
        }
    }

    fn send(
        &mut self,
        _now: Instant,
        id: AssocId,
        stream: u16,
        ppid: u32,
        data: &[u8],
    ) -> Result<(), SendError> {
        let association = self.table.get_mut(id).ok_or(SendError::Gone)?;
        if association.send(stream, ppid, data, &self.config.tuning)? {
            self.dirty.push_back(id);
        }
        Ok(())
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        let was_full = std::mem::take(&mut self.full);
        let dirty = std::mem::take(&mut self.dirty);
        self.hand_over_together(&dirty);
        for id in dirty {
            self.hand_over(id);
        }
        for place in 0..self.sockets.len() {
            let Ok(bound) = self.socket(place) else { continue };
            let given = self.given == Some(place);
            match (was_full.contains(&place), self.full.contains(&place)) {
                (false, true) if given => self.readiness.add(bound, Interest::Write)?,
                (true, false) if given => self.readiness.remove(bound)?,
                (false, true) => self.readiness.change(bound, Interest::ReadAndWrite)?,
                (true, false) => self.readiness.change(bound, Interest::Read)?,
                (false, false) | (true, true) => {}
            }
        }
        Ok(())
    }

    fn shutdown(&mut self, now: Instant, id: AssocId) {
        let by = now + self.config.tuning.shutdown_timeout;
        let Some(association) = self.table.get_mut(id) else { return };
        if !association.is_up {
            self.send_abort(id);
            return self.down(id, DownReason::Closed);
        }
        if association.shutdown(by) {
            self.deadlines.insert((by, id));
            self.dirty.push_back(id);
        }
    }

    fn abort(&mut self, _now: Instant, id: AssocId) {
        self.send_abort(id);
        self.remove(id);
    }

    fn pause(&mut self, id: AssocId) {
        if let Some(association) = self.table.get_mut(id) {
            association.paused = true;
        }
    }

    fn resume(&mut self, _now: Instant, id: AssocId) {
        if let Some(association) = self.table.get_mut(id) {
            for message in association.release() {
                self.events.push_back(Event::Message(message));
            }
        }
    }

    fn unsent(&self, id: AssocId) -> usize {
        self.table.get(id).map_or(0, Association::queued_bytes)
    }

    fn associations(&self) -> usize {
        self.table.len()
    }

    fn peer_addresses(&self, id: AssocId) -> Vec<IpAddr> {
        let Some(association) = self.table.get(id) else { return Vec::new() };
        let Ok(bound) = self.socket(association.socket) else { return Vec::new() };
        let addresses = options::peer_addresses(bound.as_fd(), association.number);
        addresses.iter().map(SocketAddr::ip).collect()
    }
}
