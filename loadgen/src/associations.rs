//! The SCTP associations of one client thread: one link for all of them, in
//! the kernel or in user space over UDP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use rserpool_sctp::kernel::{self, KernelLink};
use rserpool_sctp::udp::{Bind, UdpLink, bind};
use rserpool_sctp::{AssocId, Event, Link, Progress, SendError, Tuning, endpoint};

use crate::plan::Transport;

/// Payload protocol identifier of ASAP (RFC 5352, 6).
const ASAP_PPID: u32 = 11;
/// The SCTP port of registrars that are reached over UDP (RFC 5352, 6).
const ASAP_PORT: u16 = 3863;

/// Whether a message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    /// [`Happened::Writable`] tells when to try again.
    Later,
}

/// What happened to the association of a connection.
#[derive(Debug)]
pub(crate) enum Happened {
    Up(usize),
    Message(usize, Vec<u8>),
    Writable(usize),
    /// It is gone, or lost what was under way.
    Lost(usize, String),
}

/// The associations of one client thread.
pub(crate) struct Associations {
    link: AnyLink,
    /// The connection of each association, by its slot.
    connections: Vec<Option<(AssocId, usize)>>,
    events: Vec<Event>,
}

enum AnyLink {
    Kernel(Box<KernelLink>),
    Udp(Box<UdpLink>),
}

impl AnyLink {
    fn link(&mut self) -> &mut dyn Link {
        match self {
            Self::Kernel(link) => link.as_mut(),
            Self::Udp(link) => link.as_mut(),
        }
    }

    fn as_link(&self) -> &dyn Link {
        match self {
            Self::Kernel(link) => link.as_ref(),
            Self::Udp(link) => link.as_ref(),
        }
    }
}

impl fmt::Debug for Associations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.link.as_link().associations();
        f.debug_struct("Associations").field("count", &count).finish_non_exhaustive()
    }
}

impl Associations {
    /// What a client thread needs for its associations; nothing over TCP.
    pub(crate) fn new(transport: Transport) -> io::Result<Option<Self>> {
        // Loopback and local networks: a lost packet is not waited for as if
        // it had crossed an ocean.
        let tuning = Tuning { associations_max: 65_536, ..Tuning::default() };
        let link = match transport {
            Transport::Tcp => return Ok(None),
            Transport::Sctp => {
                let config = kernel::Config { tuning, ..kernel::Config::default() };
                AnyLink::Kernel(Box::new(KernelLink::new(config)?))
            }
            Transport::SctpUdp => {
                let mut sockets = bind(&Bind { port: 0, ..Bind::default() })?;
                let config = endpoint::Config { tuning, ..endpoint::Config::default() };
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(io::Error::other)?;
                let sockets = sockets.pop().ok_or_else(|| io::Error::other("no UDP socket"))?;
                AnyLink::Udp(Box::new(UdpLink::new(sockets, config, Instant::now(), seed)?))
            }
        };
        Ok(Some(Self { link, connections: Vec::new(), events: Vec::new() }))
    }

    /// Readable while there is something to do.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.link.as_link().fd().as_raw_fd()
    }

    /// How long until [`Self::poll`] is to be called at the latest.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let due = self.link.as_link().timeout()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Begins an association for a connection.
    pub(crate) fn begin(&mut self, to: SocketAddr, connection: usize) -> io::Result<AssocId> {
        let now = Instant::now();
        let begun = match &mut self.link {
            AnyLink::Kernel(link) => link.connect(now, &[to.ip()], to.port(), None),
            AnyLink::Udp(link) => link.connect_udp(now, &[to], ASAP_PORT, None),
        };
        let id = begun.map_err(|error| io::Error::other(error.to_string()))?;
        let slot = id.slot() as usize;
        if self.connections.len() <= slot {
            self.connections.resize(slot + 1, None);
        }
        self.connections[slot] = Some((id, connection));
        Ok(id)
    }

    /// Ends an association at once.
    pub(crate) fn abort(&mut self, id: AssocId) {
        self.link.link().abort(Instant::now(), id);
        self.connections[id.slot() as usize] = None;
    }

    /// Takes one message.
    pub(crate) fn send(&mut self, id: AssocId, message: &[u8]) -> io::Result<Taken> {
        match self.link.link().send(Instant::now(), id, 0, ASAP_PPID, message) {
            Ok(()) => Ok(Taken::Yes),
            Err(SendError::Full) => Ok(Taken::Later),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    /// Sends what was taken.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.link.link().flush(Instant::now())
    }

    /// Reads what arrived and runs timers; whether to call again at once.
    pub(crate) fn poll(&mut self, happened: &mut Vec<Happened>) -> io::Result<bool> {
        let progress = self.link.link().poll(Instant::now(), &mut self.events)?;
        let connections = &mut self.connections;
        let of = |connections: &[Option<(AssocId, usize)>], id: AssocId| {
            let &(known, connection) = connections.get(id.slot() as usize)?.as_ref()?;
            (known == id).then_some(connection)
        };
        for event in self.events.drain(..) {
            match event {
                Event::Up(up) => happened.extend(of(connections, up.id).map(Happened::Up)),
                Event::Message(message) => {
                    let connection = of(connections, message.id);
                    happened.extend(connection.map(|c| Happened::Message(c, message.data)));
                }
                Event::Writable { id } => {
                    happened.extend(of(connections, id).map(Happened::Writable));
                }
                Event::Restarted { id } => {
                    let lost = |c| Happened::Lost(c, "the registrar restarted".to_owned());
                    happened.extend(of(connections, id).map(lost));
                }
                Event::Down { id, reason } => {
                    let lost = |c| Happened::Lost(c, reason.to_string());
                    if let Some(connection) = of(connections, id) {
                        connections[id.slot() as usize] = None;
                        happened.push(lost(connection));
                    }
                }
            }
        }
        Ok(progress == Progress::More)
    }
}
