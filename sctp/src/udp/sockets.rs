//! The UDP sockets of all shards, and how the kernel chooses among them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;

use socket2::{Domain, Protocol, Socket, Type};

use crate::endpoint::{Path, Shard};
use crate::sys::{attach_reuseport_filter, get_option, set_int, word};

/// Which UDP sockets to open.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Our addresses; none stands for all of them, of both families where the
    /// kernel has both.
    pub addresses: Vec<IpAddr>,
    /// The UDP port: 9899 by RFC 6951; 0 takes a free one.
    pub port: u16,
    /// How many shards share the port.
    pub shards: u32,
    /// SCTP ports whose INITs all go to one shard.
    pub pins: Vec<Pin>,
    /// Bytes the kernel is asked to keep while a shard does something else.
    pub receive_buffer: usize,
}

impl Default for Bind {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            port: 9899,
            shards: 1,
            pins: Vec::new(),
            receive_buffer: 4 << 20,
        }
    }
}

/// An SCTP port whose INITs all go to one shard.
///
/// ENRP needs that: both sides use port 9901, and both may begin, so both
/// INITs have to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Our SCTP port.
    pub port: u16,
    /// The shard.
    pub shard: u32,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: UdpSocket,
    address: SocketAddr,
    /// It is an IPv6 socket that has IPv4, too.
    pub(super) mapped: bool,
}

/// The UDP sockets of one shard.
#[derive(Debug)]
pub struct Sockets {
    bound: Vec<Bound>,
    shard: Shard,
    receive_buffer: usize,
}

impl Sockets {
    /// Which shard they belong to.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Where they receive.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// The bytes the kernel granted each of them to keep.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    pub(super) fn all(&self) -> &[Bound] {
        &self.bound
    }

    /// The socket for a packet: the one bound to the address it leaves from, or
    /// one of the right family.
    pub(super) fn for_path(&self, path: &Path) -> Option<usize> {
        let exact = |bound: &Bound| path.local == Some(bound.address.ip());
        let family =
            |bound: &Bound| bound.mapped || bound.address.is_ipv4() == path.remote.is_ipv4();
        let fits = |bound: &Bound| exact(bound) && family(bound);
        self.bound.iter().position(fits).or_else(|| self.bound.iter().position(family))
    }

    /// Whether there is a socket for this family.
    pub(super) fn reaches(&self, ip: IpAddr) -> bool {
        self.bound.iter().any(|bound| bound.mapped || bound.address.is_ipv4() == ip.is_ipv4())
    }
}

/// Opens the sockets of all shards, in the order of the shards.
///
/// # Errors
/// What the operating system says, among others that the port is in use.
pub fn bind(config: &Bind) -> io::Result<Vec<Sockets>> {
    let wrong = |pin: &Pin| pin.shard >= config.shards;
    if config.shards == 0 || config.pins.iter().any(wrong) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such shard"));
    }
    let mut port = config.port;
    let mut shards = Vec::new();
    for index in 0..config.shards {
        let mut bound = Vec::new();
        if config.addresses.is_empty() {
            bound.push(everywhere(config, port)?);
        }
        for address in &config.addresses {
            bound.push(open(config, SocketAddr::new(*address, port), false)?);
            port = bound[0].address.port();
        }
        port = bound[0].address.port();
        let receive_buffer = bound.iter().map(|bound| granted(&bound.socket)).min().unwrap_or(0);
        let shard = Shard { index, count: config.shards };
        shards.push(Sockets { bound, shard, receive_buffer });
    }
    if config.shards > 1 {
        // One program for all sockets of an address; the first one will do.
        for bound in shards[0].all() {
            attach_reuseport_filter(bound.socket.as_fd(), &dispatch(config.shards, &config.pins)?)?;
        }
    }
    Ok(shards)
}

/// A socket for all addresses, of both families if the kernel has IPv6.
fn everywhere(config: &Bind, port: u16) -> io::Result<Bound> {
    let v6 = open(config, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), true);
    match v6 {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
            ) =>
        {
            open(config, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), false)
        }
        other => other,
    }
}

fn open(config: &Bind, address: SocketAddr, mapped: bool) -> io::Result<Bound> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!mapped)?;
        set_int(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        set_int(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
    }
    if address.is_ipv4() || mapped {
        set_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        set_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
    }
    if config.shards > 1 {
        socket.set_reuse_port(true)?;
    }
    // Beyond net.core.rmem_max if we are privileged, else up to it.
    let wanted = i32::try_from(config.receive_buffer).unwrap_or(i32::MAX);
    if set_int(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted).is_err() {
        socket.set_recv_buffer_size(config.receive_buffer)?;
    }
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    let address = socket.local_addr()?;
    Ok(Bound { socket, address, mapped })
}

/// The receive buffer a socket has. The kernel doubles what it is asked for.
fn granted(socket: &UdpSocket) -> usize {
    let mut value = [0; 4];
    match get_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &mut value) {
        Ok(_) => usize::try_from(word(value)).unwrap_or(0) / 2,
        Err(_) => 0,
    }
}

/// The program that gives each packet to its shard: by the verification tag;
/// without one it is an INIT, and goes by its destination port if that is
/// pinned, else by its source port. The program sees what follows the UDP
/// header.
fn dispatch(shards: u32, pins: &[Pin]) -> io::Result<Vec<libc::sock_filter>> {
    const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const MODULO: u32 = libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const RETURN_RESULT: u32 = libc::BPF_RET | libc::BPF_A;
    let too_many = || io::Error::new(io::ErrorKind::InvalidInput, "too many pinned ports");
    let step = |code: u32, yes, no, value| {
        let code = u16::try_from(code).map_err(|_| too_many())?;
        Ok::<_, io::Error>(libc::sock_filter { code, jt: yes, jf: no, k: value })
    };
    if pins.len() > 64 {
        return Err(too_many());
    }
    let mut program = vec![
        step(LOAD_WORD, 0, 0, 4)?,
        step(IF_EQUAL, 2, 0, 0)?,
        step(MODULO, 0, 0, shards)?,
        step(RETURN_RESULT, 0, 0, 0)?,
        step(LOAD_HALF, 0, 0, 2)?,
    ];
    for pin in pins {
        program.push(step(IF_EQUAL, 0, 1, pin.port.into())?);
        program.push(step(RETURN, 0, 0, pin.shard)?);
    }
    program.push(step(LOAD_HALF, 0, 0, 0)?);
    program.push(step(MODULO, 0, 0, shards)?);
    program.push(step(RETURN_RESULT, 0, 0, 0)?);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind_to(addresses: &[&str], shards: u32) -> io::Result<Vec<Sockets>> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        bind(&Bind { addresses, port: 0, shards, ..Bind::default() })
    }

    #[test]
    fn all_addresses_of_all_shards_have_one_port() {
        let shards = bind_to(&["127.0.0.1", "127.0.0.2"], 3).unwrap();
        assert_eq!(shards.len(), 3);
        let first = shards[0].local_addresses();
        assert_eq!(first.len(), 2);
        assert_eq!(first[0].port(), first[1].port());
        assert!(shards.iter().all(|sockets| sockets.local_addresses() == first));
        assert!(shards.iter().all(|sockets| sockets.receive_buffer() >= 100_000));
    }

    #[test]
    fn a_packet_leaves_by_the_socket_of_its_address() {
        let sockets = bind_to(&["127.0.0.1", "127.0.0.2"], 1).unwrap().remove(0);
        let path = |local: Option<&str>, remote: &str| Path {
            remote: remote.parse().unwrap(),
            local: local.map(|text| text.parse().unwrap()),
        };
        assert_eq!(sockets.for_path(&path(Some("127.0.0.2"), "127.0.0.9:1")), Some(1));
        assert_eq!(sockets.for_path(&path(None, "127.0.0.9:1")), Some(0));
        assert_eq!(sockets.for_path(&path(Some("127.0.0.7"), "127.0.0.9:1")), Some(0));
        assert_eq!(sockets.for_path(&path(None, "[::1]:1")), None);
        assert!(sockets.reaches([127, 0, 0, 1].into()));
        assert!(!sockets.reaches(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn a_port_in_use_is_an_error_and_not_shared() {
        let one = bind_to(&["127.0.0.1"], 1).unwrap();
        let port = one[0].local_addresses()[0].port();
        let addresses = vec![Ipv4Addr::LOCALHOST.into()];
        let again = bind(&Bind { addresses, port, ..Bind::default() });
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_pin_to_no_shard_is_an_error() {
        let config = Bind { pins: vec![Pin { port: 9901, shard: 1 }], port: 0, ..Bind::default() };
        assert_eq!(bind(&config).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
