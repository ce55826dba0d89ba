//! Which process on this host listens at an address.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::plan::Transport;

/// The process that listens there, if it is on this host and may be looked
/// into. Of several, the one with the smallest number.
pub(crate) fn pid(transport: Transport, address: SocketAddr) -> Option<u32> {
    UdpSocket::bind((address.ip(), 0)).ok()?;
    let inodes = inodes(transport, address);
    if inodes.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| holds(*pid, &inodes))
}

/// Whether a process has one of these sockets open.
fn holds(pid: u32, inodes: &HashSet<u64>) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:["));
        let inode = inode.and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

fn inodes(transport: Transport, address: SocketAddr) -> HashSet<u64> {
    const TCP_LISTEN: &str = "0A";
    const ALL: &str = "";
    let (tables, state) = match transport {
        Transport::Tcp => (&["tcp", "tcp6"][..], TCP_LISTEN),
        Transport::SctpUdp => (&["udp", "udp6"][..], ALL),
        Transport::Sctp => {
            let table = fs::read_to_string("/proc/net/sctp/eps").unwrap_or_default();
            return table.lines().filter_map(|line| sctp_inode(line, address.port())).collect();
        }
    };
    let tables = tables.iter().map(|name| fs::read_to_string(format!("/proc/net/{name}")));
    let tables: Vec<String> = tables.map(Result::unwrap_or_default).collect();
    tables.iter().flat_map(|table| table.lines()).filter_map(|l| inode(l, state, address)).collect()
}

/// The socket of a line of `/proc/net/tcp` and its like, if it is in this
/// state and gets what is sent to `address`.
fn inode(line: &str, state: &str, address: SocketAddr) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip = ip_of(ip)?;
    let there = ip.is_unspecified() || ip.to_canonical() == address.ip().to_canonical();
    let wanted = state.is_empty() || *fields.get(3)? == state;
    (there && wanted && port == address.port()).then(|| fields.get(9)?.parse().ok())?
}

/// An address as those files have it: 32-bit words in the host's byte order.
fn ip_of(digits: &str) -> Option<IpAddr> {
    let words: Option<Vec<u32>> = (0..digits.len() / 8)
        .map(|word| u32::from_str_radix(digits.get(8 * word..8 * word + 8)?, 16).ok())
        .collect();
    let words: Vec<u32> = words?.into_iter().map(u32::from_be).collect();
    match words[..] {
        [v4] => Some(IpAddr::V4(Ipv4Addr::from_bits(v4))),
        [a, b, c, d] => {
            let bits = [a, b, c, d].iter().fold(0, |bits, word| bits << 32 | u128::from(*word));
            Some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
        }
        _ => None,
    }
}

/// The socket of a line of `/proc/net/sctp/eps`: its fields 6 and 8 are the
/// port and the number.
fn sctp_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let is_port = fields.get(5)?.parse() == Ok(port);
    is_port.then(|| fields.get(7)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_is_found_by_its_own_listeners() {
        let me = Some(std::process::id());
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            assert_eq!(pid(Transport::Tcp, address), me, "{address}");
            let socket = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
            assert_eq!(pid(Transport::SctpUdp, socket.local_addr().unwrap()), me);
        }
        let wild = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
        assert_eq!(pid(Transport::Tcp, ([127, 0, 0, 1], wild).into()), None, "it is closed");
        let wild = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = wild.local_addr().unwrap().port();
        assert_eq!(pid(Transport::Tcp, ([127, 0, 0, 1], port).into()), me);
    }

    #[test]
    fn nobody_is_found_elsewhere() {
        assert_eq!(pid(Transport::Tcp, "192.0.2.1:3863".parse().unwrap()), None);
    }

    #[test]
    fn a_line_of_an_sctp_endpoint_has_its_port_and_number() {
        let line = "ffff8 ffff9 2   10  29  3863      0  4711 0.0.0.0";
        assert_eq!(sctp_inode(line, 3863), Some(4711));
        assert_eq!(sctp_inode(line, 9901), None);
        assert_eq!(
            sctp_inode(" ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS", 3863),
            None
        );
    }
}
