//! Registrars that announce themselves.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use rserpool_engine::{Timestamp, TransportKind};
use rserpool_proto::discovery::{Directory, Heard, RFC_GROUPS, RSPLIB_GROUPS};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::{Carrier, Endpoint, RegistrarUrl};

/// Longest announce.
const DATAGRAM_MAX: usize = 4096;

/// Listens for the announces of registrars (RFC 5352, 3.6), until it is
/// dropped. They are not authenticated: whoever can send here can have an
/// endpoint try its registrars.
#[derive(Debug)]
pub struct Discovery {
    _tasks: JoinSet<()>,
}

impl Discovery {
    /// The groups of rsplib, which are those of our registrar by default, and
    /// of the RFC.
    #[must_use]
    pub fn groups() -> Vec<SocketAddr> {
        let mut groups = [RSPLIB_GROUPS, RFC_GROUPS].concat();
        groups.dedup();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

impl Endpoint {
    /// Has the endpoint try the registrars that announce themselves to one of
    /// these groups, on the interface with this address or on one the system
    /// chooses. An address that is no multicast group is listened at, too.
    ///
    /// # Errors
    /// None of the groups can be joined: why the last cannot.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn discover(
        &self,
        groups: &[SocketAddr],
        interface: Option<Ipv4Addr>,
    ) -> io::Result<Discovery> {
        let mut tasks = JoinSet::new();
        let mut failure = io::ErrorKind::InvalidInput.into();
        for group in groups {
            match join(*group, interface.unwrap_or(Ipv4Addr::UNSPECIFIED)) {
                Ok(socket) => drop(tasks.spawn(listen(self.clone(), socket))),
                Err(error) => failure = error,
            }
        }
        if tasks.is_empty() { Err(failure) } else { Ok(Discovery { _tasks: tasks }) }
    }
}

fn join(group: SocketAddr, interface: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Everybody on this host may listen.
    socket.set_reuse_address(true)?;
    socket.bind(&group.into())?;
    match group.ip() {
        IpAddr::V4(address) if address.is_multicast() => {
            socket.join_multicast_v4(&address, &interface)?;
        }
        IpAddr::V6(address) if address.is_multicast() => socket.join_multicast_v6(&address, 0)?,
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    UdpSocket::from_std(socket.into())
}

async fn listen(endpoint: Endpoint, socket: UdpSocket) {
    let epoch = Instant::now();
    let mut directory = Directory::new();
    let mut datagram = [0; DATAGRAM_MAX];
    loop {
        // What fails to be received is lost, as on any network; but not in a
        // tight loop.
        let Ok((length, from)) = socket.recv_from(&mut datagram).await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let now = Timestamp::ZERO.after(epoch.elapsed());
        let announce = datagram.get(..length).unwrap_or_default();
        let (Heard::New(id) | Heard::Changed(id) | Heard::Again(id)) =
            directory.receive(now, from, announce)
        else {
            continue;
        };
        let found = directory.registrars().filter(|one| one.registrar() == id);
        for place in found.flat_map(|one| one.places()) {
            let carrier = match place.transport {
                TransportKind::Tcp => Carrier::Tcp,
                // A place is one of these two.
                TransportKind::Sctp
                | TransportKind::Udp
                | TransportKind::UdpLite
                | TransportKind::Dccp
                | TransportKind::Opaque => Carrier::Sctp,
            };
            for address in &place.addresses {
                let (host, port) = (address.to_string(), place.port);
                endpoint.announced(RegistrarUrl { carrier, host, port });
            }
        }
    }
}
