//! The second host of a shard: a plain pinned thread on epoll, for where
//! io_uring is refused. It reads each connection that has bytes once, and
//! writes at once what a turn wants written.

mod connections;
mod poller;

use core::cell::Cell;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Instant;

use rserpool_sctp::Received as Message;

use super::cpu::pin;
use super::reactor::Reactor;
use super::sockets::{
    ACCEPT_PAUSE, Event, LINGER_STOP, Received, Sockets, is_of_one_connection, log_sometimes,
};
use super::{EndNotice, ShardPlan};
use crate::stats::ShardStats;
use crate::turn::{CloseReason, LinkId};
use connections::{Connections, Read};
use poller::{Poller, Ready};

/// One read takes at most this many bytes.
const SCRATCH_BYTES: usize = 64 << 10;
/// Connections accepted from one listener after one wait.
const ACCEPTS_AT_ONCE: usize = 64;
/// After an error that would otherwise come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(1);

/// A shard's thread.
pub(super) type ShardThread = thread::JoinHandle<ShardStats>;

/// Starts a shard's thread.
pub(super) fn spawn(mut plan: ShardPlan, ended: EndNotice) -> Result<ShardThread, String> {
    let endpoints = core::mem::take(&mut plan.endpoints);
    let listeners = core::mem::take(&mut plan.listeners);
    let serve = move || -> ShardStats {
        // Told when this thread is at its end, however it comes to it.
        let _ended = ended;
        pin(plan.cpu, plan.number);
        let sockets = EpollSockets::new(listeners);
        match sockets.and_then(|sockets| Reactor::new(&plan, endpoints, sockets)) {
            Ok(mut reactor) => {
                // Nobody waits for it any more if the start was given up.
                let _given_up = plan.ready.send(());
                run(&mut reactor);
                reactor.stats()
            }
            Err(error) => {
                log::error!("shard {}: {error}", plan.number.0);
                ShardStats::default()
            }
        }
    };
    thread::Builder::new()
        .name("rserpool-shard".to_owned())
        .spawn(serve)
        .map_err(|error| error.to_string())
}

fn run(reactor: &mut Reactor<EpollSockets>) {
    while !reactor.is_over() {
        let waited = match reactor.look() {
            Ok(false) => {
                let patience = reactor.patience();
                reactor.sockets.wait(patience)
            }
            looked => looked.map(drop),
        };
        if let Err(error) = waited {
            log::error!("waiting for sockets: {error}");
            thread::sleep(ERROR_PAUSE);
        }
        reactor.work();
    }
}

struct Listener {
    socket: TcpListener,
    /// Accepting failed; again from here on.
    again: Option<Instant>,
}

/// The sockets of one shard on epoll.
pub(super) struct EpollSockets {
    poller: Poller,
    listeners: Vec<Listener>,
    connections: Connections,
    scratch: Box<[u8]>,
    /// The next of what the poller told.
    at: usize,
    /// Connections that may be accepted from the listener there.
    accepts: usize,
    /// Written buffers, failures and connections taken off that nobody has
    /// heard of.
    moved: VecDeque<Event>,
    logged: Cell<Option<Instant>>,
}

impl EpollSockets {
    pub(super) fn new(sockets: Vec<TcpListener>) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut listeners = Vec::new();
        for (number, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            poller.add_listener(&socket, number)?;
            listeners.push(Listener { socket, again: None });
        }
        Ok(Self {
            poller,
            listeners,
            connections: Connections::default(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            at: 0,
            accepts: ACCEPTS_AT_ONCE,
            moved: VecDeque::new(),
            logged: Cell::new(None),
        })
    }

    /// The next connection of a listener. `None`: there is none for now.
    fn accept(&mut self, number: usize) -> Option<Event> {
        while self.accepts > 0 {
            self.accepts -= 1;
            let listener = self.listeners.get_mut(number)?;
            match listener.socket.accept() {
                Ok((stream, peer)) => {
                    // It may be gone already.
                    if stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok() {
                        return Some(Event::Accepted(stream, peer));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    listener.again = Some(Instant::now() + ACCEPT_PAUSE);
                    self.poller.rest(&listener.socket);
                    log_sometimes(&self.logged, || {
                        log::warn!("cannot accept a connection: {error}");
                    });
                    return None;
                }
            }
        }
        None
    }

    /// Writes and reads what can be, once.
    fn serve(&mut self, slot: u64, readable: bool, writable: bool) -> Option<Event> {
        if writable {
            self.connections.write_rest(&self.poller, slot, &mut self.moved);
        }
        if !readable {
            return None;
        }
        match self.connections.read(&self.poller, slot, &mut self.scratch) {
            Read::Bytes(link, length) => {
                Some(Event::Received(link, Received { buffer: 0, length }))
            }
            Read::End(link) => Some(Event::Ended(link)),
            Read::Broken(link) => {
                self.connections.remove(link);
                Some(Event::Failed(link))
            }
            Read::Nothing => None,
        }
    }
}

impl Sockets for EpollSockets {
    fn watch_inbox(&mut self, event: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.add_inbox(event)
    }

    fn watch_carrier(&mut self, link: BorrowedFd<'_>, number: usize) -> io::Result<()> {
        self.poller.add_carrier(link, number)
    }

    // A link's own receive takes as many messages by one system call.
    const RECEIVES_MESSAGES: bool = false;

    fn receive_messages(&mut self, _socket: BorrowedFd<'_>, _number: usize) -> io::Result<()> {
        Ok(())
    }

    fn message(&self, _received: &Received) -> Option<Message<'_>> {
        None
    }

    fn look(&mut self) -> io::Result<bool> {
        self.wait(Some(Duration::ZERO))?;
        Ok(self.at < self.poller.len() || !self.moved.is_empty())
    }

    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        // What a bounded cycle left comes before anything new.
        if self.at < self.poller.len() || !self.moved.is_empty() {
            return Ok(());
        }
        self.at = 0;
        self.accepts = ACCEPTS_AT_ONCE;
        self.poller.wait(patience)
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.moved.pop_front() {
                return Some(event);
            }
            if self.at >= self.poller.len() {
                return None;
            }
            let ready = self.poller.ready(self.at);
            if let Ready::Listener(number) = ready
                && let Some(event) = self.accept(number)
            {
                return Some(event);
            }
            self.at += 1;
            self.accepts = ACCEPTS_AT_ONCE;
            let event = match ready {
                Ready::Listener(_) => None,
                Ready::Inbox => Some(Event::Inbox),
                Ready::Carrier(number) => Some(Event::Carrier(number)),
                Ready::Connection { slot, readable, writable } => {
                    self.serve(slot, readable, writable)
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn bytes(&self, received: &Received) -> &[u8] {
        self.scratch.get(..received.length).unwrap_or_default()
    }

    fn give_back(&mut self, _received: Received) {}

    fn add(&mut self, link: LinkId, stream: TcpStream) -> io::Result<()> {
        self.connections.add(&self.poller, link, stream)
    }

    fn send(&mut self, link: LinkId, bytes: Vec<u8>) {
        self.connections.send(&self.poller, link, bytes, &mut self.moved);
    }

    fn pause(&mut self, link: LinkId) {
        self.connections.pause(&self.poller, link);
    }

    fn resume(&mut self, link: LinkId) {
        self.connections.resume(&self.poller, link);
    }

    fn detach(&mut self, link: LinkId) {
        if let Some(stream) = self.connections.take(&self.poller, link) {
            self.moved.push_back(Event::Detached(link, stream));
        }
    }

    fn close(&mut self, link: LinkId, reason: CloseReason) {
        self.connections.close(&self.poller, link, reason);
    }

    fn remove(&mut self, link: LinkId) {
        self.connections.remove(link);
    }

    fn len(&self) -> usize {
        self.connections.len()
    }

    fn stop(&mut self, now: Instant) {
        // Closes them: nobody is accepted any more.
        self.listeners.clear();
        self.connections.hurry(now, LINGER_STOP);
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        if self.at < self.poller.len() || !self.moved.is_empty() {
            return Some(now);
        }
        let again = self.listeners.iter().filter_map(|listener| listener.again).min();
        [again, self.connections.lingers_until()].into_iter().flatten().min()
    }

    fn tend(&mut self, now: Instant) {
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            if listener.again.is_some_and(|again| again <= now) {
                listener.again = None;
                if let Err(error) = self.poller.add_listener(&listener.socket, number) {
                    log::error!("cannot accept any more: {error}");
                }
            }
        }
        self.connections.end_lingering(now);
    }
}
