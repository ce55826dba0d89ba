//! What is announced, and on which interfaces.

use core::net::{IpAddr, SocketAddr};
use std::io;

use rserpool_codec::{Addresses, Transport};
use rserpool_engine::{ChannelUse, RegistrarId};
use rserpool_proto::discovery::Schedule;

use crate::options::ASAP_PORT;

/// Addresses of one transport in an announce; more do not fit a datagram that
/// is not cut.
const ADDRESSES_MAX: usize = 16;

/// What a registrar announces.
#[derive(Clone, Debug)]
pub(crate) struct AnnouncePlan {
    pub(crate) id: RegistrarId,
    pub(crate) schedule: Schedule,
    pub(crate) groups: Vec<SocketAddr>,
    /// By name; all if empty.
    pub(crate) interfaces: Vec<String>,
    /// Where ASAP is taken over TCP.
    pub(crate) tcp: Vec<SocketAddr>,
    /// Where it is taken over SCTP, on SCTP ports.
    pub(crate) sctp: Vec<SocketAddr>,
}

/// An interface of this host that is up, with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) addresses: Vec<IpAddr>,
}

/// The interfaces with these names, or all but loopback, or loopback if there
/// is no other.
pub(crate) fn interfaces(names: &[String]) -> io::Result<Vec<Interface>> {
    let all = all_interfaces()?;
    if !names.is_empty() {
        return Ok(all.into_iter().filter(|one| names.contains(&one.name)).collect());
    }
    let (loopback, others): (Vec<_>, Vec<_>) = all.into_iter().partition(Interface::is_loopback);
    Ok(if others.is_empty() { loopback } else { others })
}

impl Interface {
    /// Its addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }

    fn is_loopback(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_loopback)
    }
}

/// One transport of an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(u16, [IpAddr; 1]),
    Sctp(u16, Vec<IpAddr>),
}

impl Place {
    pub(super) const fn transport(&self) -> Transport<'_> {
        match self {
            Self::Tcp(port, address) => Transport::tcp(*port, Addresses::List(address)),
            Self::Sctp(port, addresses) => {
                Transport::sctp(*port, ChannelUse::Data, Addresses::List(addresses.as_slice()))
            }
        }
    }
}

impl AnnouncePlan {
    /// Whether there is anything to say, and anybody to say it to.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() || self.tcp.is_empty() && self.sctp.is_empty()
    }

    /// The port datagrams leave from: that of SCTP.
    pub(super) fn source_port(&self) -> u16 {
        self.sctp.first().map_or(ASAP_PORT, SocketAddr::port)
    }

    /// The interfaces to announce on: those that were named, else all. Loopback
    /// is one only if there is no other, or ASAP is taken nowhere else.
    pub(super) fn interfaces(&self) -> io::Result<Vec<Interface>> {
        Ok(self.chosen(all_interfaces()?))
    }

    fn chosen(&self, all: Vec<Interface>) -> Vec<Interface> {
        if !self.interfaces.is_empty() {
            return all.into_iter().filter(|one| self.interfaces.contains(&one.name)).collect();
        }
        let mut taken = self.tcp.iter().chain(&self.sctp);
        let local = taken.all(|address| address.ip().is_loopback());
        let (loopback, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(Interface::is_loopback);
        if local || others.is_empty() { loopback } else { others }
    }

    /// The transports to announce on these interfaces, TCP first. One SCTP
    /// transport at most: rsplib reads no further than the first.
    pub(super) fn places(&self, interfaces: &[Interface]) -> Vec<Place> {
        let here: Vec<IpAddr> =
            interfaces.iter().flat_map(|interface| interface.addresses.iter().copied()).collect();
        let mut places = Vec::new();
        for bound in &self.tcp {
            let reached = reached(*bound, &here);
            places.extend(reached.into_iter().map(|ip| Place::Tcp(bound.port(), [ip])));
        }
        if let Some(first) = self.sctp.first() {
            let endpoint = self.sctp.iter().filter(|bound| bound.port() == first.port());
            let mut addresses: Vec<IpAddr> =
                endpoint.flat_map(|bound| reached(*bound, &here)).collect();
            addresses.truncate(ADDRESSES_MAX);
            if !addresses.is_empty() {
                places.push(Place::Sctp(first.port(), addresses));
            }
        }
        places
    }
}

/// The addresses of this host at which a bound address can be reached.
fn reached(bound: SocketAddr, here: &[IpAddr]) -> Vec<IpAddr> {
    let ip = bound.ip();
    let mut addresses: Vec<IpAddr> = if ip.is_unspecified() {
        here.iter().copied().filter(|one| one.is_ipv4() || ip.is_ipv6()).collect()
    } else {
        // A loopback address among others means nothing to whoever hears it.
        let local = here.iter().all(IpAddr::is_loopback);
        if ip.is_loopback() && !local { Vec::new() } else { vec![ip] }
    };
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

fn all_interfaces() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for found in if_addrs::get_if_addrs()? {
        let Some(index) = found.index.filter(|_| found.is_oper_up() || found.is_loopback()) else {
            continue;
        };
        let at = match interfaces.iter().position(|known| known.index == index) {
            Some(at) => at,
            None => {
                let name = found.name.clone();
                interfaces.push(Interface { name, index, addresses: Vec::new() });
                interfaces.len() - 1
            }
        };
        let link_local = match found.ip() {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        if !link_local && let Some(interface) = interfaces.get_mut(at) {
            interface.addresses.push(found.ip());
        }
    }
    interfaces.retain(|interface| !interface.addresses.is_empty());
    Ok(interfaces)
}

/// Whether this host has an interface of this name.
pub(crate) fn interface_exists(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/') && {
        let path = std::path::Path::new("/sys/class/net").join(name);
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, index: u32, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Interface { name: name.to_owned(), index, addresses }
    }

    fn host() -> Vec<Interface> {
        vec![
            interface("lo", 1, &["127.0.0.1", "::1"]),
            interface("eth0", 2, &["10.0.0.1", "2001:db8::1"]),
            interface("eth1", 3, &["10.1.0.1"]),
        ]
    }

    fn plan(tcp: &[&str], sctp: &[&str]) -> AnnouncePlan {
        let bound = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AnnouncePlan {
            id: RegistrarId::new(1),
            schedule: Schedule::Steady,
            groups: vec!["239.0.0.50:3863".parse().unwrap()],
            interfaces: Vec::new(),
            tcp: bound(tcp),
            sctp: bound(sctp),
        }
    }

    fn announced(plan: &AnnouncePlan, host: Vec<Interface>) -> (Vec<String>, Vec<String>) {
        let chosen = plan.chosen(host);
        let places = plan.places(&chosen);
        let texts = places.iter().map(|place| match place {
            Place::Tcp(port, [ip]) => format!("tcp {ip} {port}"),
            Place::Sctp(port, ips) => {
                let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
                format!("sctp {} {port}", ips.join(","))
            }
        });
        (chosen.iter().map(|one| one.name.clone()).collect(), texts.collect())
    }

    #[test]
    fn all_addresses_are_announced_tcp_before_sctp_and_loopback_is_not() {
        let plan = plan(&["[::]:3863"], &["[::]:3863"]);
        let (names, places) = announced(&plan, host());
        assert_eq!(names, ["eth0", "eth1"]);
        assert_eq!(
            places,
            [
                "tcp 10.0.0.1 3863",
                "tcp 2001:db8::1 3863",
                "tcp 10.1.0.1 3863",
                "sctp 10.0.0.1,2001:db8::1,10.1.0.1 3863"
            ]
        );
    }

    #[test]
    fn only_addresses_that_are_bound_are_announced() {
        let some = plan(&["127.0.0.1:3863"], &["10.1.0.1:5000", "10.0.0.1:5000", "10.0.0.1:6000"]);
        let (_, places) = announced(&some, host());
        assert_eq!(places, ["sctp 10.1.0.1,10.0.0.1 5000"]);
        assert_eq!(some.source_port(), 5000);
        let v4 = plan(&["0.0.0.0:3863"], &[]);
        let (_, places) = announced(&v4, host());
        assert_eq!(places, ["tcp 10.0.0.1 3863", "tcp 10.1.0.1 3863"]);
    }

    #[test]
    fn loopback_is_announced_where_it_is_all_there_is() {
        let bound_there = plan(&["127.0.0.1:3863"], &[]);
        let expected = (vec!["lo".to_owned()], vec!["tcp 127.0.0.1 3863".to_owned()]);
        assert_eq!(announced(&bound_there, host()), expected);
        let everywhere = plan(&["0.0.0.0:3863"], &[]);
        let alone = vec![interface("lo", 1, &["127.0.0.1", "::1"])];
        assert_eq!(announced(&everywhere, alone), expected);
    }

    #[test]
    fn interfaces_that_are_named_are_the_only_ones() {
        let mut plan = plan(&["[::]:3863"], &[]);
        plan.interfaces = vec!["eth1".to_owned()];
        let (names, places) = announced(&plan, host());
        assert_eq!(
            (names, places),
            (vec!["eth1".to_owned()], vec!["tcp 10.1.0.1 3863".to_owned()])
        );
    }

    #[test]
    fn this_host_has_loopback_and_no_interface_of_a_silly_name() {
        assert!(interface_exists("lo"));
        assert!(
            !interface_exists("no-such-one") && !interface_exists("") && !interface_exists(".")
        );
        assert!(all_interfaces().unwrap().iter().any(Interface::is_loopback));
    }
}
