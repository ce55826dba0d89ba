//! One-to-many sockets of the kernel's SCTP (RFC 6458).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::Config;
use super::notification::Reader;
use super::options;
use crate::sys::{get_option, set_int, word};

/// How long to wait before a port is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Whether the kernel has SCTP, or loads it when asked.
#[must_use]
pub fn is_available() -> bool {
    probe().is_ok()
}

/// The same, with what the kernel says.
///
/// # Errors
/// Why it has none, or does not give it.
pub fn probe() -> io::Result<()> {
    new_socket(Domain::IPV4).map(drop)
}

fn new_socket(domain: Domain) -> io::Result<Socket> {
    let protocol = Protocol::from(libc::IPPROTO_SCTP);
    Socket::new(domain, Type::SEQPACKET.nonblocking().cloexec(), Some(protocol))
}

/// A bound one-to-many socket.
#[derive(Debug)]
pub(super) struct Bound {
    socket: Socket,
    pub(super) port: u16,
    pub(super) listening: bool,
    pub(super) receive_buffer: usize,
    /// How many associations it has.
    pub(super) associations: usize,
    pub(super) notifications: Reader,
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether a socket takes associations from peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Listen,
    Connect,
}

/// Opens a socket on all configured addresses. A port may be in use for a while
/// by an association whose peer is gone, so that is tried again.
pub(super) fn open(config: &Config, port: u16, role: Role) -> io::Result<Bound> {
    let patience = Instant::now() + config.bind_patience;
    loop {
        match try_open(config, port, role) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < patience => {
                std::thread::sleep(RETRY);
            }
            other => return other,
        }
    }
}

fn try_open(config: &Config, port: u16, role: Role) -> io::Result<Bound> {
    let (socket, port) = match config.addresses.as_slice() {
        [] => everywhere(config, port)?,
        [first, more @ ..] => {
            let v6 = config.addresses.iter().any(IpAddr::is_ipv6);
            let socket = prepared(config, if v6 { Domain::IPV6 } else { Domain::IPV4 })?;
            let port = bind(&socket, SocketAddr::new(*first, port))?;
            options::bind_more(socket.as_fd(), more, port)?;
            (socket, port)
        }
    };
    if role == Role::Listen {
        socket.listen(1024)?;
    }
    let mut value = [0; 4];
    get_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &mut value)?;
    // The kernel doubles what it is asked for.
    let receive_buffer = usize::try_from(word(value)).unwrap_or(0) / 2;
    Ok(Bound {
        socket,
        port,
        listening: role == Role::Listen,
        receive_buffer,
        associations: 0,
        notifications: Reader::default(),
    })
}

/// A socket for all addresses, of both families if the kernel has IPv6.
fn everywhere(config: &Config, port: u16) -> io::Result<(Socket, u16)> {
    let v6 = prepared(config, Domain::IPV6).and_then(|socket| {
        let port = bind(&socket, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))?;
        Ok((socket, port))
    });
    match v6 {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
            ) =>
        {
            let socket = prepared(config, Domain::IPV4)?;
            let port = bind(&socket, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?;
            Ok((socket, port))
        }
        other => other,
    }
}

fn bind(socket: &Socket, address: SocketAddr) -> io::Result<u16> {
    socket.bind(&address.into())?;
    let bound = socket.local_addr()?.as_socket();
    Ok(bound.map_or_else(|| address.port(), |bound| bound.port()))
}

/// A socket with all options set that have to be set before it is bound.
fn prepared(config: &Config, domain: Domain) -> io::Result<Socket> {
    let socket = new_socket(domain)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    if config.reuse_port {
        socket.set_reuse_port(true)?;
    }
    buffer(&socket, config.receive_buffer, libc::SO_RCVBUFFORCE, Socket::set_recv_buffer_size)?;
    buffer(&socket, config.send_buffer, libc::SO_SNDBUFFORCE, Socket::set_send_buffer_size)?;
    options::prepare(socket.as_fd(), &config.tuning)?;
    if let Some(port) = config.encapsulation {
        options::encapsulate(socket.as_fd(), port)?;
    }
    Ok(socket)
}

/// Asks for a buffer beyond the kernel's maximum, and up to it if we may not.
fn buffer(
    socket: &Socket,
    bytes: usize,
    force: libc::c_int,
    ask: impl Fn(&Socket, usize) -> io::Result<()>,
) -> io::Result<()> {
    let wanted = i32::try_from(bytes).unwrap_or(i32::MAX);
    set_int(socket.as_fd(), libc::SOL_SOCKET, force, wanted).or_else(|_| ask(socket, bytes))
}
