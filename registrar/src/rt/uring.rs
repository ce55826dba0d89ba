//! The sockets of a shard on its [`Ring`]: everything that a turn wants done
//! is submitted together, by the system call that waits for what comes next.
//!
//! A connection that waits has no buffer: the kernel picks one when bytes
//! arrive, the shard reads the messages in place, and the buffer goes back.

use core::cell::Cell;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rserpool_sctp::Received as Message;

use super::ring::{self, Ring};
use super::sockets::{
    ACCEPT_PAUSE, Event, LINGER, LINGER_BYTES, LINGER_STOP, Received, Sockets,
    is_of_one_connection, log_sometimes,
};
use crate::turn::{CloseReason, LinkId};

/// Bytes that a connection may send on while it is not to be read from. They
/// wait with the shard; beyond them the receive is stopped. Most pauses are
/// over before anything comes, and stopping costs more than keeping.
const UNWANTED_BYTES: usize = 16 << 10;
/// How long the last events of what is canceled are waited for.
const CANCEL_PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    /// Accepting failed; again from here on.
    again: Option<Instant>,
}

/// How a connection ends that the shard has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// As soon as the ring is done with it.
    Now,
    /// After so many bytes more, or then.
    Linger { left: usize, until: Instant },
}

#[derive(Debug)]
struct Connection {
    link: LinkId,
    stream: TcpStream,
    /// The ring has a receive of it,
    receiving: bool,
    /// that is to be stopped,
    stopping: bool,
    /// and a send.
    sending: bool,
    paused: bool,
    /// Bytes that came while it was paused.
    unwanted: usize,
    /// The peer sent its FIN.
    ended: bool,
    /// It is to be taken off.
    leaving: bool,
    ending: Option<Ending>,
}

impl Connection {
    fn wants_bytes(&self) -> bool {
        match self.ending {
            None => !self.paused && !self.ended && !self.leaving,
            Some(Ending::Linger { .. }) => !self.ended,
            Some(Ending::Now) => false,
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// What a poll is for.
#[derive(Clone, Copy, Debug)]
enum Watched {
    Inbox,
    Carrier(usize),
}

/// The socket of a link of SCTP associations, and the link's number.
type Messages = (OwnedFd, usize);

impl Watched {
    /// Whether each write is told, and nothing is read.
    const fn each_write(self) -> bool {
        matches!(self, Self::Inbox)
    }
}

/// The sockets of one shard on io_uring. To be made on the shard's thread.
pub(super) struct RingSockets {
    // Closed before the sockets: what is under way uses their descriptors.
    ring: Ring,
    listeners: Vec<Listener>,
    watched: Vec<(OwnedFd, Watched)>,
    messages: Vec<Messages>,
    /// By the tokens of their operations.
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// The slot of a link's number, if that link is still there.
    by_link: Vec<Option<usize>>,
    /// Those that linger, in the order they began to.
    lingering: VecDeque<(usize, u32)>,
    /// Connections taken off that nobody has heard of.
    detached: VecDeque<Event>,
    len: usize,
    stopped: bool,
    /// When the ring ends a sleep by itself.
    alarm: Option<Instant>,
    logged: Cell<Option<Instant>>,
}

impl RingSockets {
    /// Writes `event` when something happens after [`RingSockets::fall_asleep`].
    pub(super) fn new(listeners: Vec<TcpListener>, event: BorrowedFd<'_>) -> io::Result<Self> {
        let listeners = listeners.into_iter().map(|socket| Listener { socket, again: None });
        let mut sockets = Self {
            ring: Ring::new(event)?,
            listeners: listeners.collect(),
            watched: Vec::new(),
            messages: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_link: Vec::new(),
            lingering: VecDeque::new(),
            detached: VecDeque::new(),
            len: 0,
            stopped: false,
            alarm: None,
            logged: Cell::new(None),
        };
        for number in 0..sockets.listeners.len() {
            sockets.accept(number);
        }
        Ok(sockets)
    }

    /// Submits what is to be done. `true`: from here on the event is written
    /// when something happens, or after `patience`. `false`: something
    /// happened already, do not wait.
    pub(super) fn fall_asleep(&mut self, patience: Option<Duration>) -> io::Result<bool> {
        if let Some(patience) = patience {
            let until = Instant::now() + patience;
            // One that comes too early ends the sleep for nothing, once.
            if self.alarm.is_none_or(|alarm| alarm > until) {
                self.alarm = Some(until);
                self.ring.elapse(patience);
            }
        }
        self.ring.fall_asleep();
        self.ring.submit()?;
        Ok(!self.has_event())
    }

    /// The sleep is over: nothing writes the event.
    pub(super) fn awake(&mut self) {
        self.ring.awake();
    }

    /// Whether something happened that nobody asked for yet.
    pub(super) fn has_event(&mut self) -> bool {
        !self.detached.is_empty() || self.ring.has_event()
    }

    /// Ends everything that is under way: a ring that is closed at work keeps
    /// its sockets open for a while.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + CANCEL_PATIENCE;
        self.ring.cancel_all();
        while self.ring.is_at_work() && Instant::now() < deadline {
            self.ring.wait(Some(CANCEL_PATIENCE))?;
            while let Some(event) = self.ring.next() {
                if let ring::Event::Received { buffer: Ok(Some(received)), .. }
                | ring::Event::Message { buffer: Ok(Some(received)), .. } = event
                {
                    self.ring.give_back(received);
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, number: usize) {
        if let Some(listener) = self.listeners.get(number) {
            self.ring.accept(&listener.socket, number as u64);
        }
    }

    fn at(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.connection.as_mut()
    }

    fn slot_of(&self, link: LinkId) -> Option<usize> {
        let slot = self.by_link.get(link.index as usize).copied().flatten()?;
        let connection = self.slots.get(slot)?.connection.as_ref()?;
        (connection.link == link).then_some(slot)
    }

    /// Receives from a connection if that is wanted and not done yet.
    fn receive(&mut self, slot: usize) {
        let entry = self.slots.get_mut(slot).and_then(|entry| entry.connection.as_mut());
        let Some(connection) = entry.filter(|it| it.wants_bytes() && !it.receiving) else { return };
        connection.receiving = true;
        connection.stopping = false;
        self.ring.receive(&connection.stream, slot as u64);
    }

    /// The shard has forgotten a connection, or is about to hear that it is
    /// over.
    fn forget(&mut self, slot: usize) {
        let Some(link) = self.at(slot).map(|connection| connection.link) else { return };
        if let Some(entry) = self.by_link.get_mut(link.index as usize)
            && *entry == Some(slot)
        {
            *entry = None;
        }
    }

    /// Ends a connection at once.
    fn end_slot(&mut self, slot: usize) {
        self.forget(slot);
        if let Some(connection) = self.at(slot) {
            connection.ending = Some(Ending::Now);
            if connection.receiving || connection.sending {
                // Both end by that. It fails only where they have anyway.
                let _ended = connection.stream.shutdown(Shutdown::Both);
            }
        }
        self.drop_if_over(slot);
    }

    /// Closes a connection that is over as soon as the ring is done with it.
    fn drop_if_over(&mut self, slot: usize) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let Some(connection) = &entry.connection else { return };
        if connection.ending == Some(Ending::Now) && !connection.receiving && !connection.sending {
            drop(self.take_slot(slot));
        }
    }

    fn take_slot(&mut self, slot: usize) -> Option<Connection> {
        let entry = self.slots.get_mut(slot)?;
        let connection = entry.connection.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        self.len -= 1;
        Some(connection)
    }

    /// Takes a connection off that is to be, as soon as the ring is done with
    /// it.
    fn detach_if_over(&mut self, slot: usize) {
        let Some(connection) = self.at(slot) else { return };
        let busy = connection.receiving || connection.sending;
        if !connection.leaving || connection.ending.is_some() || busy {
            return;
        }
        self.forget(slot);
        if let Some(connection) = self.take_slot(slot) {
            self.detached.push_back(Event::Detached(connection.link, connection.stream));
        }
    }

    fn accepted(
        &mut self,
        number: usize,
        socket: io::Result<OwnedFd>,
        more: bool,
    ) -> Option<Event> {
        let mut failed = None;
        let mut event = None;
        match socket {
            Ok(_) if self.stopped => {}
            Ok(socket) => {
                let stream = TcpStream::from(socket);
                // It may be gone already.
                if let (Ok(peer), Ok(())) = (stream.peer_addr(), stream.set_nodelay(true)) {
                    event = Some(Event::Accepted(stream, peer));
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => failed = Some(error),
        }
        if more || self.stopped {
            return event;
        }
        match failed {
            None => self.accept(number),
            Some(error) => {
                log_sometimes(&self.logged, || log::warn!("cannot accept a connection: {error}"));
                if let Some(listener) = self.listeners.get_mut(number) {
                    listener.again = Some(Instant::now() + ACCEPT_PAUSE);
                }
            }
        }
        event
    }

    fn received(
        &mut self,
        slot: usize,
        buffer: io::Result<Option<Received>>,
        more: bool,
    ) -> Option<Event> {
        if !more && let Some(connection) = self.at(slot) {
            connection.receiving = false;
        }
        let event = match buffer {
            Ok(Some(received)) => self.arrived(slot, received),
            Ok(None) => self.ended(slot),
            // It was stopped and may be wanted again, or found no buffer: some
            // are back by the time it is submitted again.
            Err(error) => match error.raw_os_error() {
                Some(libc::ECANCELED | libc::ENOBUFS | libc::EINTR) => None,
                _ => self.broken(slot),
            },
        };
        if !more {
            self.receive(slot);
            self.drop_if_over(slot);
            self.detach_if_over(slot);
        }
        event
    }

    fn arrived(&mut self, slot: usize, received: Received) -> Option<Event> {
        let length = received.length;
        let connection = self.slots.get_mut(slot).and_then(|entry| entry.connection.as_mut());
        match connection.map(|connection| (connection.ending, connection)) {
            Some((None, connection)) => {
                if connection.paused {
                    connection.unwanted += length;
                    let much = connection.unwanted > UNWANTED_BYTES;
                    if much && connection.receiving && !connection.stopping {
                        connection.stopping = true;
                        self.ring.stop_receiving(slot as u64);
                    }
                }
                return Some(Event::Received(connection.link, received));
            }
            Some((Some(Ending::Linger { left, until }), connection)) => {
                if length < left {
                    connection.ending = Some(Ending::Linger { left: left - length, until });
                } else {
                    self.end_slot(slot);
                }
            }
            Some((Some(Ending::Now), _)) | None => {}
        }
        self.ring.give_back(received);
        None
    }

    fn ended(&mut self, slot: usize) -> Option<Event> {
        let connection = self.at(slot)?;
        connection.ended = true;
        if connection.ending.is_none() {
            return Some(Event::Ended(connection.link));
        }
        self.end_slot(slot);
        None
    }

    fn broken(&mut self, slot: usize) -> Option<Event> {
        let connection = self.at(slot)?;
        let (known, link) = (connection.ending.is_none(), connection.link);
        self.end_slot(slot);
        known.then_some(Event::Failed(link))
    }

    fn sent(&mut self, slot: usize, buffer: Vec<u8>, result: &io::Result<()>) -> Option<Event> {
        let connection = self.at(slot)?;
        connection.sending = false;
        if connection.ending.is_some() {
            self.drop_if_over(slot);
            return None;
        }
        match result {
            Ok(()) => Some(Event::Sent(connection.link, buffer)),
            Err(_) => self.broken(slot),
        }
    }

    fn readable(&mut self, number: usize, more: bool) -> Option<Event> {
        let (descriptor, watched) = self.watched.get(number)?;
        if !more {
            // Submitted after what is there was read.
            self.ring.poll(descriptor, number as u64, watched.each_write());
        }
        Some(match watched {
            Watched::Inbox => Event::Inbox,
            Watched::Carrier(number) => Event::Carrier(*number),
        })
    }

    /// A receive of messages gave something, or ended.
    fn told(
        &mut self,
        place: usize,
        buffer: io::Result<Option<Received>>,
        more: bool,
    ) -> Option<Event> {
        let (socket, number) = self.messages.get(place)?;
        let wanted = match &buffer {
            Ok(_) => true,
            Err(error) => match error.raw_os_error() {
                // The end of everything.
                Some(libc::ECANCELED) => false,
                // Nothing that a receive could do would help.
                Some(libc::EBADF | libc::EINVAL | libc::EOPNOTSUPP) => {
                    log::error!("cannot receive messages any more: {error}");
                    false
                }
                // No buffer was free, or it is of one association only, which
                // is told of by a notification, too.
                _ => true,
            },
        };
        if !more && wanted {
            self.ring.receive_messages(socket, place as u64);
        }
        buffer.ok().flatten().map(|received| Event::Message(*number, received))
    }

    fn watch(&mut self, descriptor: BorrowedFd<'_>, watched: Watched) -> io::Result<()> {
        let descriptor = descriptor.try_clone_to_owned()?;
        self.ring.poll(&descriptor, self.watched.len() as u64, watched.each_write());
        self.watched.push((descriptor, watched));
        Ok(())
    }
}

fn index(token: u64) -> usize {
    usize::try_from(token).unwrap_or(usize::MAX)
}

impl Sockets for RingSockets {
    fn watch_inbox(&mut self, event: BorrowedFd<'_>) -> io::Result<()> {
        self.watch(event, Watched::Inbox)
    }

    fn watch_carrier(&mut self, link: BorrowedFd<'_>, number: usize) -> io::Result<()> {
        self.watch(link, Watched::Carrier(number))
    }

    const RECEIVES_MESSAGES: bool = true;

    fn receive_messages(&mut self, socket: BorrowedFd<'_>, number: usize) -> io::Result<()> {
        let socket = socket.try_clone_to_owned()?;
        self.ring.receive_messages(&socket, self.messages.len() as u64);
        self.messages.push((socket, number));
        Ok(())
    }

    fn message(&self, received: &Received) -> Option<Message<'_>> {
        self.ring.message(received)
    }

    fn look(&mut self) -> io::Result<bool> {
        self.ring.submit()?;
        Ok(self.has_event())
    }

    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        if self.detached.is_empty() { self.ring.wait(patience) } else { self.ring.submit() }
    }

    fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.detached.pop_front() {
            return Some(event);
        }
        loop {
            let event = match self.ring.next()? {
                ring::Event::Received { token, buffer, more } => {
                    self.received(index(token), buffer, more)
                }
                ring::Event::Message { token, buffer, more } => {
                    self.told(index(token), buffer, more)
                }
                ring::Event::Sent { token, buffer, result } => {
                    self.sent(index(token), buffer, &result)
                }
                ring::Event::Accepted { token, socket, more } => {
                    self.accepted(index(token), socket, more)
                }
                ring::Event::Readable { token, more } => self.readable(index(token), more),
                ring::Event::Elapsed => {
                    self.alarm = None;
                    None
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn bytes(&self, received: &Received) -> &[u8] {
        self.ring.bytes(received)
    }

    fn give_back(&mut self, received: Received) {
        self.ring.give_back(received);
    }

    fn add(&mut self, link: LinkId, stream: TcpStream) -> io::Result<()> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.connection = Some(Connection {
                link,
                stream,
                receiving: false,
                stopping: false,
                sending: false,
                paused: false,
                unwanted: 0,
                ended: false,
                leaving: false,
                ending: None,
            });
            self.len += 1;
        }
        let number = link.index as usize;
        if self.by_link.len() <= number {
            self.by_link.resize(number + 1, None);
        }
        if let Some(entry) = self.by_link.get_mut(number) {
            *entry = Some(slot);
        }
        self.receive(slot);
        Ok(())
    }

    fn send(&mut self, link: LinkId, bytes: Vec<u8>) {
        let Some(slot) = self.slot_of(link) else { return };
        let entry = self.slots.get_mut(slot).and_then(|entry| entry.connection.as_mut());
        let Some(connection) = entry else { return };
        connection.sending = true;
        self.ring.send(&connection.stream, slot as u64, bytes);
    }

    fn pause(&mut self, link: LinkId) {
        let slot = self.slot_of(link);
        if let Some(connection) = slot.and_then(|slot| self.at(slot)) {
            connection.paused = true;
            connection.unwanted = 0;
        }
    }

    fn resume(&mut self, link: LinkId) {
        let Some(slot) = self.slot_of(link) else { return };
        if let Some(connection) = self.at(slot) {
            connection.paused = false;
        }
        self.receive(slot);
    }

    fn detach(&mut self, link: LinkId) {
        let Some(slot) = self.slot_of(link) else { return };
        let entry = self.slots.get_mut(slot).and_then(|entry| entry.connection.as_mut());
        let Some(connection) = entry else { return };
        connection.leaving = true;
        if connection.receiving && !connection.stopping {
            connection.stopping = true;
            self.ring.stop_receiving(slot as u64);
        }
        self.detach_if_over(slot);
    }

    fn close(&mut self, link: LinkId, reason: CloseReason) {
        let Some(slot) = self.slot_of(link) else { return };
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let generation = entry.generation;
        let Some(connection) = &mut entry.connection else { return };
        let lingers = reason.lingers() && !connection.ended;
        if !lingers || connection.stream.shutdown(Shutdown::Write).is_err() {
            return self.end_slot(slot);
        }
        let longest = if reason == CloseReason::Stop { LINGER_STOP } else { LINGER };
        let until = Instant::now() + longest;
        connection.ending = Some(Ending::Linger { left: LINGER_BYTES, until });
        self.lingering.push_back((slot, generation));
        self.forget(slot);
        self.receive(slot);
    }

    fn remove(&mut self, link: LinkId) {
        if let Some(slot) = self.slot_of(link) {
            self.end_slot(slot);
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn stop(&mut self, now: Instant) {
        self.stopped = true;
        for listener in &mut self.listeners {
            listener.again = None;
            // Ends its accept. It fails only for a socket that is no listener.
            let _ended =
                rustix::net::shutdown(listener.socket.as_fd(), rustix::net::Shutdown::Both);
        }
        for slot in &mut self.slots {
            if let Some(connection) = &mut slot.connection
                && let Some(Ending::Linger { until, .. }) = &mut connection.ending
            {
                *until = (*until).min(now + LINGER_STOP);
            }
        }
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        let again = self.listeners.iter().filter_map(|listener| listener.again).min();
        let lingers = self.lingering.front().map(|&(slot, generation)| {
            let entry = self.slots.get(slot).filter(|entry| entry.generation == generation);
            match entry.and_then(|entry| entry.connection.as_ref()?.ending) {
                Some(Ending::Linger { until, .. }) => until,
                // It is closed already, or will be by the ring.
                Some(Ending::Now) | None => now,
            }
        });
        [again, lingers].into_iter().flatten().min()
    }

    fn tend(&mut self, now: Instant) {
        for number in 0..self.listeners.len() {
            if let Some(listener) = self.listeners.get_mut(number)
                && listener.again.is_some_and(|again| again <= now)
            {
                listener.again = None;
                self.accept(number);
            }
        }
        while let Some(&(slot, generation)) = self.lingering.front() {
            let entry = self.slots.get(slot).filter(|entry| entry.generation == generation);
            if let Some(Ending::Linger { until, .. }) =
                entry.and_then(|entry| entry.connection.as_ref()?.ending)
            {
                if until > now {
                    return;
                }
                self.end_slot(slot);
            }
            self.lingering.pop_front();
        }
    }
}
