//! Listening sockets: one a shard and address, all of one address sharing
//! its port by SO_REUSEPORT.

use core::net::SocketAddr;
use std::io;
use std::net::TcpListener;

use socket2::{Domain, Protocol, Socket, Type};

use crate::StartError;

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 4096;

/// Binds `address` for each of `shards` shards. Returns the address with the
/// port the system chose if it was 0.
pub(crate) fn bind(
    address: SocketAddr,
    shards: u16,
) -> Result<(SocketAddr, Vec<TcpListener>), StartError> {
    let failed = |source| StartError::Bind { scheme: "tcp", address, source };
    let mut bound = address;
    if address.port() != 0 {
        // SO_REUSEPORT would let a second registrar of the same user share the
        // port of the first one in silence. Without it, in use is in use.
        drop(socket(address, Sharing::Exclusive).map_err(failed)?);
    }
    let mut listeners = Vec::with_capacity(usize::from(shards));
    for _ in 0..shards {
        let socket = socket(bound, Sharing::Shards).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        let listener = TcpListener::from(socket);
        bound = listener.local_addr().map_err(failed)?;
        listeners.push(listener);
    }
    Ok((bound, listeners))
}

/// Binds the address of the admin server: one listener, whatever the shards.
pub(crate) fn bind_admin(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let failed = |source| StartError::Bind { scheme: "http", address, source };
    let socket = socket(address, Sharing::Exclusive).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    let listener = TcpListener::from(socket);
    let bound = listener.local_addr().map_err(failed)?;
    Ok((bound, listener))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Exclusive,
    Shards,
}

/// A bound socket, close-on-exec. An IPv6 wildcard takes IPv4 as well.
fn socket(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if sharing == Sharing::Shards {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether this says that the host has no IPv6.
pub(crate) fn lacks_ipv6(error: &StartError) -> bool {
    let StartError::Bind { address, source, .. } = error else { return false };
    let absent = [Some(libc::EAFNOSUPPORT), Some(libc::EADDRNOTAVAIL)];
    address.is_ipv6() && absent.contains(&source.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

    use super::*;

    const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn shards_share_the_port_the_system_chose() {
        let (bound, listeners) = bind(ANY_PORT, 3).unwrap();
        assert_ne!(bound.port(), 0);
        assert_eq!(listeners.len(), 3);
        for listener in listeners {
            assert_eq!(listener.local_addr().unwrap(), bound);
        }
    }

    #[test]
    fn a_port_of_another_registrar_is_in_use() {
        let (bound, _listeners) = bind(ANY_PORT, 2).unwrap();
        let Err(StartError::Bind { address, source, .. }) = bind(bound, 2) else {
            panic!("bound twice");
        };
        assert_eq!(address, bound);
        assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_ipv6_wildcard_takes_ipv4() {
        let wildcard = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let bound = match bind(wildcard, 1) {
            Ok((bound, listeners)) => (bound, listeners),
            // A host without IPv6 has nothing to show here but that it is told so.
            Err(error) => return assert!(lacks_ipv6(&error), "{error}"),
        };
        TcpStream::connect((Ipv4Addr::LOCALHOST, bound.0.port())).unwrap();
    }
}
