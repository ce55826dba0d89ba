//! The UDP sockets of announces.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::BTreeSet;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::plan::Interface;

/// How far announces travel, as those of rsplib.
const HOPS: u32 = 30;
/// No announce is longer than this.
const DATAGRAM_MAX: usize = 2048;

/// A socket that sends to one group.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(super) group: SocketAddr,
    socket: Socket,
}

impl Speaker {
    /// Opens it on this port. Where somebody has that for himself, any port
    /// will do: what the datagram lists counts first.
    pub(crate) fn open(group: SocketAddr, port: u16) -> io::Result<Self> {
        let bound = |port| {
            let socket = shared(group)?;
            if group.is_ipv4() {
                socket.set_multicast_ttl_v4(HOPS)?;
                socket.set_multicast_loop_v4(true)?;
            } else {
                socket.set_multicast_hops_v6(HOPS)?;
                socket.set_multicast_loop_v6(true)?;
            }
            socket.bind(&SocketAddr::new(any(group), port).into())?;
            Ok::<_, io::Error>(socket)
        };
        let socket = bound(port).or_else(|_| bound(0))?;
        Ok(Self { group, socket })
    }

    /// Sends on one interface. `None`: it has no address of the group's family.
    pub(crate) fn send(&self, interface: &Interface, datagram: &[u8]) -> Option<io::Result<()>> {
        let family = |ip: &&IpAddr| ip.is_ipv4() == self.group.is_ipv4();
        let address = interface.addresses.iter().find(family)?;
        let chosen = match address {
            IpAddr::V4(address) => self.socket.set_multicast_if_v4(address),
            IpAddr::V6(_) => self.socket.set_multicast_if_v6(interface.index),
        };
        let sent = chosen.and_then(|()| self.socket.send_to(datagram, &self.group.into()));
        Some(sent.map(drop))
    }
}

/// A socket that hears one group.
#[derive(Debug)]
pub(crate) struct Listener {
    group: SocketAddr,
    socket: UdpSocket,
    /// Interfaces it has joined on.
    joined: BTreeSet<u32>,
    buffer: Vec<u8>,
}

impl Listener {
    pub(crate) fn open(group: SocketAddr) -> io::Result<Self> {
        let socket = shared(group)?;
        socket.set_nonblocking(true)?;
        socket.bind(&group.into())?;
        let socket = UdpSocket::from(socket);
        Ok(Self { group, socket, joined: BTreeSet::new(), buffer: vec![0; DATAGRAM_MAX] })
    }

    /// Joins the group on the interfaces that it has not joined on.
    pub(crate) fn join(&mut self, interfaces: &[Interface]) {
        for interface in interfaces {
            let v4 = interface.addresses.iter().find_map(|ip| match ip {
                IpAddr::V4(ip) => Some(*ip),
                IpAddr::V6(_) => None,
            });
            let joined = match (self.group.ip(), v4) {
                _ if self.joined.contains(&interface.index) => continue,
                (IpAddr::V4(group), Some(address)) => {
                    self.socket.join_multicast_v4(&group, &address)
                }
                (IpAddr::V4(_), None) => continue,
                (IpAddr::V6(group), _) => self.socket.join_multicast_v6(&group, interface.index),
            };
            // Tried again with the next announce.
            if joined.is_ok() {
                self.joined.insert(interface.index);
            }
        }
    }

    /// Readable while there is a datagram.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next datagram that is there.
    pub(crate) fn receive(&mut self) -> Option<(SocketAddr, &[u8])> {
        let (length, from) = self.socket.recv_from(&mut self.buffer).ok()?;
        Some((from, self.buffer.get(..length)?))
    }
}

/// A socket whose port others may use, too: pool elements of this host.
fn shared(group: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    if group.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

const fn any(group: SocketAddr) -> IpAddr {
    if group.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }
}
