//! The SCTP endpoints of a registrar: from its options to one link a shard.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::time::Instant;

use rserpool_sctp::endpoint::{self, Rate};
use rserpool_sctp::kernel::{self, KernelLink};
use rserpool_sctp::udp::{self, Bind, Sockets, UdpLink};
use rserpool_sctp::{Link, Tuning};

use crate::StartError;
use crate::options::{ASAP_PORT, SCTP_UDP_PORT};

/// INITs that a source is answered: one host may bring thousands of pool
/// elements at once, and an answer costs microseconds and no memory.
const INIT_RATE: Rate = Rate { per_second: 5_000, burst: 20_000 };

/// Why the kernel's SCTP is not to be had, if it is not.
pub(crate) fn kernel_lacks() -> Option<io::Error> {
    kernel::probe().err()
}

/// One endpoint of one shard, bound.
pub(crate) enum Endpoint {
    /// The kernel's.
    Kernel(Box<KernelLink>),
    /// In user space over UDP.
    Udp { sockets: Sockets, config: Box<endpoint::Config>, seed: [u8; 32] },
}

impl Endpoint {
    /// Its link, on the thread that is to drive it, and the SCTP port it
    /// listens on.
    pub(crate) fn open(self, at: Instant) -> io::Result<(Box<dyn Link>, Option<u16>)> {
        match self {
            Self::Kernel(link) => {
                let port = link.local_ports().first().copied();
                Ok((link, port))
            }
            Self::Udp { sockets, config, seed } => {
                let port = config.listen.first().copied();
                Ok((Box::new(UdpLink::new(sockets, *config, at, seed)?), port))
            }
        }
    }
}

/// An endpoint on all shards, bound.
pub(crate) struct Bound {
    /// With the port the system chose if it was 0.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For each shard.
    pub(crate) shards: Vec<Endpoint>,
}

/// Several addresses of one port are one multi-homed endpoint. In order of
/// their first addresses.
pub(crate) fn by_port(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<Vec<SocketAddr>> {
    let mut endpoints: Vec<Vec<SocketAddr>> = Vec::new();
    for address in addresses {
        match endpoints.iter_mut().find(|endpoint| endpoint[0].port() == address.port()) {
            Some(endpoint) if address.port() != 0 => endpoint.push(address),
            Some(_) | None => endpoints.push(vec![address]),
        }
    }
    endpoints
}

/// Binds an endpoint of the kernel's SCTP for each shard.
pub(crate) fn bind_kernel(
    endpoint: &[SocketAddr],
    shards: u16,
    tuning: &Tuning,
) -> Result<Bound, StartError> {
    let first = endpoint[0];
    let failed = |source| StartError::Bind { scheme: "sctp", address: first, source };
    let mut port = first.port();
    let open = |port: u16, reuse_port: bool| {
        KernelLink::new(kernel::Config {
            listen: vec![port],
            addresses: listed(endpoint),
            reuse_port,
            // The start has its own.
            bind_patience: Duration::ZERO,
            tuning: tuning.clone(),
            ..kernel::Config::default()
        })
    };
    if port != 0 {
        // Sharing the port with another registrar would go unnoticed.
        drop(open(port, false).map_err(failed)?);
    }
    let mut links = Vec::new();
    for _ in 0..shards {
        let link = open(port, true).map_err(failed)?;
        port = link.local_ports().first().copied().unwrap_or(port);
        links.push(Endpoint::Kernel(Box::new(link)));
    }
    let addresses = endpoint.iter().map(|address| SocketAddr::new(address.ip(), port)).collect();
    Ok(Bound { addresses, shards: links })
}

/// Binds an endpoint of ASAP over UDP for each shard.
pub(crate) fn bind_udp(
    endpoint: &[SocketAddr],
    shards: u16,
    tuning: &Tuning,
) -> Result<Bound, StartError> {
    bind_udp_for(endpoint, shards, tuning, ASAP_PORT)
}

/// Binds an endpoint over UDP for each shard, for this SCTP port inside.
pub(crate) fn bind_udp_for(
    endpoint: &[SocketAddr],
    shards: u16,
    tuning: &Tuning,
    sctp_port: u16,
) -> Result<Bound, StartError> {
    let first = endpoint[0];
    let failed = |source| StartError::Bind { scheme: "sctp-udp", address: first, source };
    let bind = |shards| {
        let (port, addresses) = (first.port(), listed(endpoint));
        udp::bind(&Bind { addresses, port, shards, ..Bind::default() })
    };
    if first.port() != 0 && shards > 1 {
        drop(bind(1).map_err(failed)?);
    }
    let bound = bind(u32::from(shards)).map_err(failed)?;
    let port = bound
        .first()
        .and_then(|sockets| sockets.local_addresses().first().map(SocketAddr::port))
        .unwrap_or_default();
    // A peer learns of further addresses only if there is more than the one
    // that it came to.
    let told = if endpoint.len() > 1 { listed(endpoint) } else { Vec::new() };
    let config = endpoint::Config {
        listen: vec![sctp_port],
        addresses: told,
        remote_udp_port: if sctp_port == ASAP_PORT { SCTP_UDP_PORT } else { port },
        init_rate: INIT_RATE,
        associations_per_source_max: u32::try_from(tuning.associations_max).unwrap_or(u32::MAX),
        tuning: tuning.clone(),
        ..endpoint::Config::default()
    };
    config.check().map_err(|error| failed(io::Error::other(error)))?;
    let mut shards = Vec::new();
    for sockets in bound {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| StartError::Random(io::Error::other(error)))?;
        shards.push(Endpoint::Udp { sockets, config: Box::new(config.clone()), seed });
    }
    let addresses = endpoint.iter().map(|address| SocketAddr::new(address.ip(), port)).collect();
    Ok(Bound { addresses, shards })
}

/// The addresses to bind; none for all of both families.
fn listed(endpoint: &[SocketAddr]) -> Vec<IpAddr> {
    let all = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match endpoint {
        [only] if only.ip() == all => Vec::new(),
        several => several.iter().map(SocketAddr::ip).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_of_one_port_are_one_endpoint() {
        let given = addresses(&["10.0.0.1:3863", "10.0.0.1:5000", "10.0.1.1:3863", "[::1]:3863"]);
        let expected = [
            addresses(&["10.0.0.1:3863", "10.0.1.1:3863", "[::1]:3863"]),
            addresses(&["10.0.0.1:5000"]),
        ];
        assert_eq!(by_port(given), expected);
        let any_port = addresses(&["10.0.0.1:0", "10.0.1.1:0"]);
        assert_eq!(by_port(any_port).len(), 2);
    }

    #[test]
    fn all_addresses_are_no_address_for_a_socket() {
        assert_eq!(listed(&addresses(&["[::]:3863"])), Vec::<IpAddr>::new());
        assert_eq!(listed(&addresses(&["0.0.0.0:3863"])).len(), 1);
    }
}
