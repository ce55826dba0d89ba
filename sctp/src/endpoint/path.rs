//! Where a peer is, and how it is addressed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where packets come from and go to: the peer's address and UDP port, and our
/// own address if it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The peer's address, with the UDP port it encapsulates in (RFC 6951).
    pub remote: SocketAddr,
    /// Our address: where a packet came to, and from where its answer leaves.
    pub local: Option<IpAddr>,
}

/// A source of packets: where from, and between which SCTP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerPorts {
    pub(super) remote: SocketAddr,
    pub(super) peer_port: u16,
    pub(super) local_port: u16,
}

impl PeerPorts {
    pub(super) fn key(&self) -> PeerKey {
        PeerKey { ip: self.remote.ip(), peer_port: self.peer_port, local_port: self.local_port }
    }
}

/// What tells associations apart (RFC 9260 section 1.3), without our address:
/// all of them are one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerKey {
    pub(super) ip: IpAddr,
    pub(super) peer_port: u16,
    pub(super) local_port: u16,
}

/// How far an address reaches, from the host itself to everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Host,
    Link,
    Site,
    Global,
}

fn scope(ip: IpAddr) -> Option<Scope> {
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    Some(match ip {
        IpAddr::V4(ip) if ip == Ipv4Addr::BROADCAST || ip.octets()[0] == 0 => return None,
        IpAddr::V4(ip) if ip.is_loopback() => Scope::Host,
        IpAddr::V4(ip) if ip.is_link_local() => Scope::Link,
        IpAddr::V4(ip) if ip.is_private() => Scope::Site,
        IpAddr::V4(_) => Scope::Global,
        IpAddr::V6(ip) if ip.is_loopback() => Scope::Host,
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => return None,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::Link,
        IpAddr::V6(ip) if ip.is_unique_local() => Scope::Site,
        IpAddr::V6(_) => Scope::Global,
    })
}

/// Whether an address that a peer lists may be tried: it must reach at least as
/// far as the one the peer was heard from. Otherwise anybody outside could have
/// us probe hosts inside, or ourselves. Link-local addresses mean nothing
/// without a link.
pub(super) fn may_be_listed(listed: IpAddr, heard_from: IpAddr) -> bool {
    match (scope(listed), scope(heard_from)) {
        (Some(Scope::Link), _) | (None, _) => false,
        (Some(listed), Some(heard)) => listed >= heard,
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_address_must_reach_as_far_as_the_source() {
        let may = |listed: &str, heard: &str| {
            may_be_listed(listed.parse().unwrap(), heard.parse().unwrap())
        };
        assert!(may("192.0.2.1", "192.0.2.2"));
        assert!(may("10.0.0.1", "10.0.0.2"));
        assert!(may("192.0.2.1", "10.0.0.2"));
        assert!(may("127.0.0.2", "127.0.0.1"));
        assert!(may("::1", "127.0.0.1"));
        assert!(may("2001:db8::1", "192.0.2.1"));
        assert!(!may("10.0.0.1", "192.0.2.2"));
        assert!(!may("127.0.0.1", "10.0.0.1"));
        assert!(!may("fd00::1", "2001:db8::1"));
        assert!(!may("fe80::1", "fe80::2"));
        assert!(!may("0.0.0.0", "192.0.2.2"));
        assert!(!may("224.0.0.1", "192.0.2.2"));
        assert!(!may("255.255.255.255", "192.0.2.2"));
        assert!(!may("::ffff:10.0.0.1", "192.0.2.2"));
        assert!(!may("ff02::1", "2001:db8::1"));
    }
}
