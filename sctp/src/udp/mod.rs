//! User-space SCTP over UDP sockets (RFC 6951), on any kernel.
//!
//! [`bind`] opens the sockets of all shards, and a [`UdpLink`] drives those of
//! one. Several shards share a port: a packet filter in the kernel gives each
//! packet to the shard whose number is the verification tag modulo the number
//! of shards, and an INIT, which has no tag, by its SCTP source port. So an
//! association stays where it is, whatever address its peer moves to.
//!
//! Two kinds of packets may go astray, and neither does lasting harm: an ABORT
//! or SHUTDOWN COMPLETE under the peer's own tag, where heartbeats find out
//! instead, and the restart of a peer to whom *we* opened the association.

mod sockets;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use crate::endpoint::{self, Endpoint, Path, Stats, Transmit};
use crate::link::{AssocId, ConnectError, Event, Link, Progress, SendError};
use crate::readiness::{Interest, Readiness};
use crate::sys::{BATCH, DATAGRAM_MAX, Datagram, ReceiveBatch, send_batch};

pub use self::sockets::{Bind, Pin, Sockets, bind};

/// Datagrams read from each socket in one call.
const DATAGRAMS_MAX: usize = 2 * BATCH;
/// Associations whose timers are run in one call.
const TIMERS_MAX: usize = 64;

/// The user-space transport of one shard.
#[derive(Debug)]
pub struct UdpLink {
    endpoint: Endpoint,
    sockets: Sockets,
    readiness: Readiness,
    batch: ReceiveBatch,
    /// Packets taken out of the endpoint that the kernel has not taken.
    waiting: VecDeque<Transmit>,
    blocked: bool,
    /// Datagrams the kernel refused to send, lost as on a network.
    unsendable: u64,
}

impl UdpLink {
    /// Drives the sockets of one shard. `config.shard` is that of the sockets,
    /// whatever it says. For `seed` see [`Endpoint::new`].
    ///
    /// # Errors
    /// A configuration that cannot work, or no more descriptors.
    pub fn new(
        sockets: Sockets,
        mut config: endpoint::Config,
        now: Instant,
        seed: [u8; 32],
    ) -> io::Result<Self> {
        config.shard = sockets.shard();
        let endpoint = Endpoint::new(config, now, seed)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let readiness = Readiness::new()?;
        for bound in sockets.all() {
            readiness.add(&bound.socket, Interest::Read)?;
        }
        Ok(Self {
            endpoint,
            sockets,
            readiness,
            batch: ReceiveBatch::new(DATAGRAM_MAX),
            waiting: VecDeque::new(),
            blocked: false,
            unsendable: 0,
        })
    }

    /// Where it receives: one address a socket.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.local_addresses()
    }

    /// The bytes the kernel keeps for us while we do something else, as it
    /// granted them.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.sockets.receive_buffer()
    }

    /// What the endpoint has counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.endpoint.stats()
    }

    /// Packets the kernel would not send: no route, too long, forbidden.
    #[must_use]
    pub fn unsendable(&self) -> u64 {
        self.unsendable
    }

    /// Bytes that are kept of messages that are not whole, or not yet read.
    #[must_use]
    pub fn receive_memory(&self) -> usize {
        self.endpoint.receive_memory()
    }

    /// Begins an association with a peer whose UDP ports are known to differ
    /// from the configured one.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect_udp(
        &mut self,
        now: Instant,
        to: &[SocketAddr],
        port: u16,
        local_port: Option<u16>,
    ) -> Result<AssocId, ConnectError> {
        let reachable: Vec<SocketAddr> =
            to.iter().copied().filter(|to| self.sockets.reaches(to.ip())).collect();
        let id = self.endpoint.connect(now, &reachable, port, local_port)?;
        self.flush(now).map_err(ConnectError::System)?;
        Ok(id)
    }

    fn receive(&mut self, now: Instant) -> io::Result<Progress> {
        let mut progress = Progress::Idle;
        for bound in self.sockets.all() {
            let mut received = 0;
            loop {
                let count = match self.batch.receive(bound.socket.as_fd()) {
                    Ok(count) => count,
                    Err(error) if is_passing(&error) => {
                        // Who makes errors come may not keep us here.
                        received += 1;
                        if received >= DATAGRAMS_MAX {
                            progress = Progress::More;
                            break;
                        }
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                for index in 0..count {
                    if let Some((remote, local, packet)) = self.batch.datagram(index) {
                        let path = Path { remote, local: Some(local) };
                        self.endpoint.receive(now, path, packet);
                    }
                }
                received += count;
                if count < BATCH {
                    // After all that its process sent before it died.
                    let told = self.batch.receive_errors(bound.socket.as_fd()).unwrap_or(0);
                    for index in 0..told {
                        if let Some((remote, quoted)) = self.batch.port_unreachable(index) {
                            self.endpoint.port_unreachable(now, remote, quoted);
                        }
                    }
                    if told == BATCH {
                        progress = Progress::More;
                    }
                    break;
                }
                if received >= DATAGRAMS_MAX {
                    progress = Progress::More;
                    break;
                }
            }
        }
        Ok(progress)
    }

    /// Sends packets of one socket; true if the kernel takes no more.
    fn send_some(&mut self) -> io::Result<bool> {
        let Some(first) = self.waiting.front() else { return Ok(false) };
        let socket = self.sockets.for_path(&first.path);
        let (sockets, waiting) = (&self.sockets, &self.waiting);
        let datagrams: Vec<Datagram<'_>> = waiting
            .iter()
            .take(BATCH)
            .take_while(|next| sockets.for_path(&next.path) == socket)
            .map(|next| (next.path.remote, next.path.local, &next.packet[..]))
            .collect();
        let Some(bound) = socket.and_then(|index| sockets.all().get(index)) else {
            self.unsendable += 1;
            self.waiting.pop_front();
            return Ok(false);
        };
        let send = || send_batch(bound.socket.as_fd(), &datagrams, bound.mapped);
        // An error may be that of a datagram sent earlier, to somebody else. It
        // is told once.
        let sent = match send() {
            Err(error) if is_passing(&error) => send(),
            sent => sent,
        };
        match sent {
            Ok(sent) => {
                self.waiting.drain(..sent.min(self.waiting.len()));
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Err(error),
            Err(_) => {
                // No route, too long, forbidden: lost, as on a network.
                self.unsendable += 1;
                self.waiting.pop_front();
                Ok(false)
            }
        }
    }

    fn wait_for(&mut self, blocked: bool) -> io::Result<()> {
        if self.blocked != blocked {
            self.blocked = blocked;
            let interest = if blocked { Interest::ReadAndWrite } else { Interest::Read };
            for bound in self.sockets.all() {
                self.readiness.change(&bound.socket, interest)?;
            }
        }
        Ok(())
    }
}

/// Errors that tell of a datagram sent earlier, or of nothing.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EINTR
                | libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENETDOWN
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EMSGSIZE
        )
    )
}

impl Link for UdpLink {
    fn fd(&self) -> BorrowedFd<'_> {
        self.readiness.fd()
    }

    fn poll(&mut self, now: Instant, events: &mut Vec<Event>) -> io::Result<Progress> {
        let mut progress = self.receive(now)?;
        if self.endpoint.handle_timeout(now, TIMERS_MAX) {
            progress = Progress::More;
        }
        self.flush(now)?;
        while let Some(event) = self.endpoint.poll_event() {
            events.push(event);
        }
        Ok(progress)
    }

    fn timeout(&self) -> Option<Instant> {
        self.endpoint.next_timeout()
    }

    fn connect(
        &mut self,
        now: Instant,
        to: &[IpAddr],
        port: u16,
        local_port: Option<u16>,
    ) -> Result<AssocId, ConnectError> {
        let udp_port = self.endpoint.config().remote_udp_port;
        let to: Vec<SocketAddr> = to.iter().map(|ip| SocketAddr::new(*ip, udp_port)).collect();
        self.connect_udp(now, &to, port, local_port)
    }

    fn send(
        &mut self,
        _now: Instant,
        id: AssocId,
        stream: u16,
        ppid: u32,
        data: &[u8],
    ) -> Result<(), SendError> {
        self.endpoint.send(id, stream, ppid, data)
    }

    fn flush(&mut self, now: Instant) -> io::Result<()> {
        loop {
            while self.waiting.len() < 2 * BATCH {
                let Some(transmit) = self.endpoint.poll_transmit(now) else { break };
                self.waiting.push_back(transmit);
            }
            if self.waiting.is_empty() {
                return self.wait_for(false);
            }
            if self.send_some()? {
                return self.wait_for(true);
            }
        }
    }

    fn shutdown(&mut self, now: Instant, id: AssocId) {
        self.endpoint.shutdown(now, id);
    }

    fn abort(&mut self, now: Instant, id: AssocId) {
        self.endpoint.abort(now, id);
    }

    fn pause(&mut self, id: AssocId) {
        self.endpoint.pause(id);
    }

    fn resume(&mut self, now: Instant, id: AssocId) {
        self.endpoint.resume(now, id);
    }

    fn unsent(&self, id: AssocId) -> usize {
        self.endpoint.unsent(id)
    }

    fn associations(&self) -> usize {
        self.endpoint.associations()
    }

    fn peer_addresses(&self, id: AssocId) -> Vec<IpAddr> {
        self.endpoint.peer_addresses(id)
    }
}
