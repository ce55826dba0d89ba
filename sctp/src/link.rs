//! What every SCTP transport offers, whoever implements the protocol: the
//! kernel or this crate.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// Names an association of one link. The name of an association that is gone
/// is never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssocId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl AssocId {
    /// Both halves in one word, for tables keyed by it.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The small number of the association: at most the number of associations
    /// there ever were at once. It is used again; [`Self::to_bits`] is not.
    #[must_use]
    pub fn slot(self) -> u32 {
        self.slot
    }
}

/// What happened on a link since it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An association can be used.
    Up(Up),
    /// The peer lost its state and set the association up again (RFC 9260
    /// section 5.2). What was sent and not yet acknowledged is lost.
    Restarted {
        /// The association, which keeps its name.
        id: AssocId,
    },
    /// A whole user message.
    Message(Message),
    /// The association is gone, and its name means nothing any more.
    Down {
        /// The association.
        id: AssocId,
        /// Why.
        reason: DownReason,
    },
    /// There is room again, after [`SendError::Full`].
    Writable {
        /// The association.
        id: AssocId,
    },
}

/// An association that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Up {
    /// Its name.
    pub id: AssocId,
    /// Where the peer was heard from, with its SCTP port.
    pub peer: SocketAddr,
    /// Our SCTP port.
    pub local_port: u16,
    /// Who asked for it.
    pub side: Side,
    /// How many streams may be sent on: stream identifiers below this.
    pub streams: u16,
}

/// Who asked for an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The peer did, to a port we listen on.
    Accepted,
    /// We did, by [`Link::connect`].
    Connected,
}

/// A user message as the peer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The association it came on.
    pub id: AssocId,
    /// The stream it came on.
    pub stream: u16,
    /// The payload protocol identifier (11 is ASAP, 12 is ENRP).
    pub ppid: u32,
    /// The bytes; at least one.
    pub data: Vec<u8>,
}

/// Why an association is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// Both sides closed it; everything sent was acknowledged.
    Closed,
    /// The peer does not want it: an ABORT in answer to our INIT or cookie.
    Refused,
    /// The peer aborted it. The error cause it gave, 0 for none.
    Aborted {
        /// RFC 9260 section 3.3.10.
        cause: u16,
    },
    /// Nobody answered our INIT or cookie.
    NoAnswer,
    /// The peer stopped acknowledging data or heartbeats.
    TimedOut,
    /// The peer broke the protocol, or one of our limits; it was aborted.
    Violation(Violation),
    /// The operating system gave this error number.
    System(i32),
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Refused => f.write_str("refused by the peer"),
            Self::Aborted { cause: 0 } => f.write_str("aborted by the peer"),
            Self::Aborted { cause } => write!(f, "aborted by the peer with cause {cause}"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::TimedOut => f.write_str("the peer stopped answering"),
            Self::Violation(violation) => violation.fmt(f),
            Self::System(errno) => io::Error::from_raw_os_error(*errno).fmt(f),
        }
    }
}

/// What a peer did that cost it its association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A DATA chunk without data.
    EmptyData,
    /// A stream it was not granted.
    Stream,
    /// A message longer than the configuration allows.
    MessageTooLong,
    /// A message in more fragments than a sender has reason to make.
    TooManyFragments,
    /// Data that can never become a message: skipped sequence numbers, or
    /// fragments of one message among those of another.
    Order,
    /// A message that was begun and not continued in time.
    StalledMessage,
    /// Messages kept coming while reading was paused, and no more fit.
    Overflow,
    /// It did not close the association in time.
    SlowShutdown,
    /// An INIT ACK without what it must have.
    Handshake,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyData => "the peer sent a DATA chunk without data",
            Self::Stream => "the peer sent on a stream it was not granted",
            Self::MessageTooLong => "the peer sent too long a message",
            Self::TooManyFragments => "the peer sent a message in too many fragments",
            Self::Order => "the peer sent data that can never be delivered",
            Self::StalledMessage => "the peer did not finish a message",
            Self::Overflow => "the peer sent more than could be kept while reading was paused",
            Self::SlowShutdown => "the peer did not close the association in time",
            Self::Handshake => "the peer sent an unusable INIT ACK",
        })
    }
}

/// What one receive of a link's socket gave, as the system has it: a message, a
/// part of one that was longer than the buffer, or news of an association.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// `msg_name`: a `sockaddr`.
    pub name: &'a [u8],
    /// `msg_control`: control messages.
    pub control: &'a [u8],
    /// The data.
    pub bytes: &'a [u8],
    /// `msg_flags`.
    pub flags: i32,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// As much as the configuration allows is waiting to be acknowledged;
    /// [`Event::Writable`] tells when there is room.
    Full,
    /// There is no such association (any more).
    Gone,
    /// It is not up yet.
    NotUp,
    /// It is being shut down, by us or by the peer.
    Closing,
    /// SCTP has no empty messages (RFC 9260 section 3.3.1).
    Empty,
    /// Longer than the configuration allows.
    TooLong,
    /// The peer did not grant this stream.
    Stream,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too much is waiting to be acknowledged",
            Self::Gone => "the association is gone",
            Self::NotUp => "the association is not up yet",
            Self::Closing => "the association is being shut down",
            Self::Empty => "an empty message cannot be sent",
            Self::TooLong => "the message is too long",
            Self::Stream => "the peer did not grant this stream",
        })
    }
}

impl Error for SendError {}

/// Why an association could not be begun.
#[derive(Debug)]
pub enum ConnectError {
    /// No address was given, or none of a family this link has.
    NoAddress,
    /// As many associations as the configuration allows exist.
    TooMany,
    /// There is already an association between these ports and addresses, or
    /// no local port is free.
    InUse,
    /// The operating system refused.
    System(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("no address to connect to"),
            Self::TooMany => f.write_str("too many associations"),
            Self::InUse => f.write_str("there is such an association already"),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::NoAddress | Self::TooMany | Self::InUse => None,
        }
    }
}

/// Whether [`Link::poll`] left something undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything there was has been read.
    Idle,
    /// The budget of one call is used up: call again before waiting.
    More,
}

/// An SCTP transport of one shard: many associations, one descriptor to wait
/// on, no thread, no blocking call. Not `Send` in general: made and driven by
/// one thread.
///
/// The driver waits until [`fd`](Self::fd) is readable or
/// [`timeout`](Self::timeout) has come, calls [`poll`](Self::poll), handles
/// the events, sends what it has to send, calls [`flush`](Self::flush), and
/// waits again.
pub trait Link {
    /// Readable while there is something to read. It may be an epoll
    /// descriptor, so it is good for `poll`, epoll and io-uring's poll, and
    /// not for `read`.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Gives the socket that messages arrive on to a host that receives by
    /// itself: [`poll`](Self::poll) reads it no more, and what was received is
    /// to be given to [`take`](Self::take), in order. `None` if this link has
    /// to read by itself.
    ///
    /// # Errors
    /// The system refused.
    fn give_socket(&mut self) -> io::Result<Option<BorrowedFd<'_>>> {
        Ok(None)
    }

    /// Takes what was received on a socket that was given away. The next
    /// [`poll`](Self::poll) tells what it means. There should be room for 28
    /// bytes of name and 128 of control data.
    fn take(&mut self, _now: Instant, _received: &Received<'_>) {}

    /// Reads what has arrived, runs the timers that are due, sends what is
    /// waiting, and appends what happened. Bounded work a call.
    ///
    /// # Errors
    /// Only what makes the link useless, such as a descriptor that is none.
    fn poll(&mut self, now: Instant, events: &mut Vec<Event>) -> io::Result<Progress>;

    /// When to call [`poll`](Self::poll) at the latest. Every other call may
    /// change the answer.
    fn timeout(&self) -> Option<Instant>;

    /// Begins an association with the peer that has these addresses (at least
    /// one) and this SCTP port. [`Event::Up`] or [`Event::Down`] follows.
    /// Without a `local_port`, a free one is taken.
    ///
    /// # Errors
    /// See [`ConnectError`].
    fn connect(
        &mut self,
        now: Instant,
        to: &[IpAddr],
        port: u16,
        local_port: Option<u16>,
    ) -> Result<AssocId, ConnectError>;

    /// Takes one message for ordered delivery on a stream. Messages of one
    /// association are packed together until the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// See [`SendError`]; nothing was taken then.
    fn send(
        &mut self,
        now: Instant,
        id: AssocId,
        stream: u16,
        ppid: u32,
        data: &[u8],
    ) -> Result<(), SendError>;

    /// Sends what the network takes now; the rest waits for
    /// [`poll`](Self::poll).
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    fn flush(&mut self, now: Instant) -> io::Result<()>;

    /// Closes gracefully: everything taken is delivered first, then
    /// [`Event::Down`] comes (RFC 9260 section 9.2).
    fn shutdown(&mut self, now: Instant, id: AssocId);

    /// Ends the association at once with an ABORT. No event follows.
    fn abort(&mut self, now: Instant, id: AssocId);

    /// Delivers no more messages of this association until it is resumed. Up
    /// to the receive window is kept; the peer is held off, or, where the
    /// kernel gives no way to do that for one association, aborted when it
    /// sends more.
    fn pause(&mut self, id: AssocId);

    /// Delivers messages again, those that were kept first.
    fn resume(&mut self, now: Instant, id: AssocId);

    /// How many bytes of this association are taken and not yet acknowledged,
    /// as far as this crate knows: what the kernel's SCTP has taken over is not
    /// counted.
    fn unsent(&self, id: AssocId) -> usize;

    /// How many associations there are, those being set up included.
    fn associations(&self) -> usize;

    /// The addresses of the peer that are in use, or could be.
    fn peer_addresses(&self, id: AssocId) -> Vec<IpAddr>;
}
