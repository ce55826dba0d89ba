//! What a shard's reactor wants of whatever does its I/O. Two have it:
//! [`super::uring`] and [`super::epoll`].

use core::cell::Cell;
use core::time::Duration;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rserpool_sctp::Received as Message;

use crate::turn::{CloseReason, LinkId};

/// How long a closed connection reads on, so that the peer gets the last
/// answer and not a reset.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// The same when the registrar stops.
pub(super) const LINGER_STOP: Duration = Duration::from_millis(100);
/// It reads at most this much meanwhile.
pub(super) const LINGER_BYTES: usize = 1 << 20;
/// The wait after an error such as "too many open files": accepting again at
/// once would fail again at once, for ever.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Refusals and errors are logged at most this often.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection was accepted.
    Accepted(TcpStream, SocketAddr),
    /// Bytes arrived: [`Sockets::bytes`] has them.
    Received(LinkId, Received),
    /// All bytes of the last [`Sockets::send`] are written; here is their
    /// buffer.
    Sent(LinkId, Vec<u8>),
    /// The peer will send no more.
    Ended(LinkId),
    /// The connection broke. It is closed already.
    Failed(LinkId),
    /// [`Sockets::detach`] took this connection off.
    Detached(LinkId, TcpStream),
    /// The inbox's event descriptor was written.
    Inbox,
    /// The link of SCTP associations with this number has packets.
    Carrier(usize),
    /// A message arrived on the socket of this link: [`Sockets::message`] has
    /// it.
    Message(usize, Received),
}

/// Where bytes that arrived are. To be given back with [`Sockets::give_back`].
#[derive(Debug)]
#[must_use]
pub(super) struct Received {
    pub(super) buffer: u16,
    pub(super) length: usize,
}

/// The sockets of one shard. A link that is gone is nothing to any call.
pub(super) trait Sockets {
    /// Tells each time this event descriptor is written, whether or not it is
    /// read.
    fn watch_inbox(&mut self, event: BorrowedFd<'_>) -> io::Result<()>;

    /// Tells of packets of this link of SCTP associations from now on.
    fn watch_carrier(&mut self, link: BorrowedFd<'_>, number: usize) -> io::Result<()>;

    /// Whether [`Sockets::receive_messages`] does something.
    const RECEIVES_MESSAGES: bool;

    /// Receives from the socket that this link of SCTP associations gave.
    fn receive_messages(&mut self, socket: BorrowedFd<'_>, number: usize) -> io::Result<()>;

    /// Waits until something happened, at most this long if it is said.
    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()>;

    /// Looks for what happened without a wait. Whether there is something.
    fn look(&mut self) -> io::Result<bool>;

    /// What happened next, as far as the last wait or look knows.
    fn next(&mut self) -> Option<Event>;

    /// The bytes that arrived.
    fn bytes(&self, received: &Received) -> &[u8];

    /// The message that arrived.
    fn message(&self, received: &Received) -> Option<Message<'_>>;

    /// The bytes were looked at.
    fn give_back(&mut self, received: Received);

    /// Receives from a new connection.
    fn add(&mut self, link: LinkId, stream: TcpStream) -> io::Result<()>;

    /// Writes to a connection. The one before has to be written.
    fn send(&mut self, link: LinkId, bytes: Vec<u8>);

    /// Receives no more from a connection; a little may come nevertheless.
    fn pause(&mut self, link: LinkId);

    /// Receives from a connection again.
    fn resume(&mut self, link: LinkId);

    /// Takes a connection off and gives it back by [`Event::Detached`]; what
    /// arrives until then is told before. Nothing is being written to it.
    fn detach(&mut self, link: LinkId);

    /// The shard has forgotten a connection: closes it, after the peer had the
    /// time to take the last answer where that could be lost.
    fn close(&mut self, link: LinkId, reason: CloseReason);

    /// Closes a connection at once.
    fn remove(&mut self, link: LinkId);

    /// Connections, those that linger included.
    fn len(&self) -> usize;

    /// Accepts no more, and lets nobody linger longer than this.
    fn stop(&mut self, now: Instant);

    /// When [`Sockets::tend`] has something to do; a time that is over if
    /// [`Sockets::next`] has.
    fn due(&self, now: Instant) -> Option<Instant>;

    /// Does what is due.
    fn tend(&mut self, now: Instant);
}

/// Whether an error concerns the connection that was to be accepted, which
/// is gone, and not the listener: accept(2), "error handling".
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    let kinds = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::Interrupted,
        io::ErrorKind::NetworkDown,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
    ];
    kinds.contains(&error.kind())
}

pub(super) fn log_sometimes(logged: &Cell<Option<Instant>>, log: impl FnOnce()) {
    if logged.get().is_none_or(|at| at.elapsed() > LOG_PERIOD) {
        logged.set(Some(Instant::now()));
        log();
    }
}
