//! One epoll descriptor, and what its events mean.

use core::time::Duration;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Events taken at once.
const EVENTS: usize = 256;
/// Marks the data of a listener's event.
const LISTENER: u64 = 1 << 63;
/// Marks that of the inbox's.
const INBOX: u64 = 1 << 62;

/// Marks that of a link of SCTP associations.
const CARRIER: u64 = 1 << 61;

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// The listener with this number has connections.
    Listener(usize),
    /// The inbox's event descriptor was written.
    Inbox,
    /// The link with this number has packets.
    Carrier(usize),
    /// A connection, by the name it was added with.
    Connection { slot: u64, readable: bool, writable: bool },
}

/// Which way of a connection is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Interest {
    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

/// Waits for descriptors. Level-triggered, but for the inbox's event: what is
/// not taken comes again.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS) })
    }

    pub(super) fn add_listener(&self, socket: &TcpListener, number: usize) -> io::Result<()> {
        let data = EventData::new_u64(LISTENER | number as u64);
        Ok(epoll::add(&self.epoll, socket, data, EventFlags::IN)?)
    }

    /// Each write to it is an event: nobody reads it.
    pub(super) fn add_inbox(&self, event: BorrowedFd<'_>) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(&self.epoll, event, EventData::new_u64(INBOX), flags)?)
    }

    pub(super) fn add_carrier(&self, link: BorrowedFd<'_>, number: usize) -> io::Result<()> {
        let data = EventData::new_u64(CARRIER | number as u64);
        Ok(epoll::add(&self.epoll, link, data, EventFlags::IN)?)
    }

    /// Watches a connection under this name, below 2^61, for reading.
    pub(super) fn add(&self, stream: &TcpStream, slot: u64) -> io::Result<()> {
        let interest = Interest { read: true, write: false };
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(slot), interest.flags())?)
    }

    pub(super) fn watch(&self, stream: &TcpStream, slot: u64, interest: Interest) {
        let data = EventData::new_u64(slot);
        if let Err(error) = epoll::modify(&self.epoll, stream, data, interest.flags()) {
            log::error!("cannot watch a connection any more: {error}");
        }
    }

    /// Watches a connection no more.
    pub(super) fn forget(&self, stream: &TcpStream) {
        if let Err(error) = epoll::delete(&self.epoll, stream) {
            log::error!("cannot leave a connection alone: {error}");
        }
    }

    /// Watches a listener no more until it is added again.
    pub(super) fn rest(&self, socket: &TcpListener) {
        if let Err(error) = epoll::delete(&self.epoll, socket) {
            log::error!("cannot leave a listener alone: {error}");
        }
    }

    /// Waits for events, at most this long if it is said.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        self.events.clear();
        let timeout = patience.map(|patience| Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How many events the last wait gave.
    pub(super) const fn len(&self) -> usize {
        self.events.len()
    }

    /// One of them.
    pub(super) fn ready(&self, at: usize) -> Ready {
        let Some(event) = self.events.get(at) else { return Ready::Inbox };
        let (data, flags) = (event.data.u64(), event.flags);
        if data & LISTENER != 0 {
            return Ready::Listener(usize::try_from(data & !LISTENER).unwrap_or(usize::MAX));
        }
        if data == INBOX {
            return Ready::Inbox;
        }
        if data & CARRIER != 0 {
            return Ready::Carrier(usize::try_from(data & !CARRIER).unwrap_or(usize::MAX));
        }
        // Reading and writing say what an error was.
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        Ready::Connection {
            slot: data,
            readable: broken || flags.contains(EventFlags::IN),
            writable: flags.contains(EventFlags::OUT),
        }
    }
}
