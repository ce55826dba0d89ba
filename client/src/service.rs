//! What is registered and what a resolution gives.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_codec::{Addresses, Element, Transport};
use rserpool_engine::{ChannelUse, PeId, Policy, RegistrarId, TransportKind};

use crate::Error;

/// A service to be registered as a pool element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The pool handle.
    pub handle: Vec<u8>,
    /// The PE identifier; 0 draws one.
    pub pe: PeId,
    /// The protocol of the service: not `Opaque`.
    pub transport: TransportKind,
    /// Where the service is.
    pub address: SocketAddr,
    /// The policy with this element's parameters.
    pub policy: Policy,
    /// The registration life, in whole seconds. The element is registered
    /// anew well inside it.
    pub life: Duration,
}

impl Service {
    /// A TCP service with a registration life of 90 s.
    #[must_use]
    pub fn tcp(handle: impl AsRef<[u8]>, address: SocketAddr, policy: Policy) -> Self {
        Self {
            handle: handle.as_ref().to_vec(),
            pe: PeId::default(),
            transport: TransportKind::Tcp,
            address,
            policy,
            life: Duration::from_secs(90),
        }
    }

    /// Checks it, and draws a PE identifier if it has none.
    pub(crate) fn prepare(&mut self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(what.to_owned()));
        if self.handle.is_empty() {
            return invalid("the pool handle is empty");
        }
        if self.transport == TransportKind::Opaque {
            return invalid("an opaque transport has no address");
        }
        if self.address.port() == 0 {
            return invalid("the port of the service is 0");
        }
        if self.life.as_secs() == 0 || i32::try_from(self.life.as_secs()).is_err() {
            return invalid("the registration life is not between 1 and 2147483647 seconds");
        }
        while self.pe.is_none() {
            let number = getrandom::u32().map_err(|error| Error::Invalid(error.to_string()))?;
            self.pe = PeId::new(number);
        }
        Ok(())
    }

    pub(crate) fn element<'a>(&self, address: &'a [IpAddr; 1]) -> Element<'a> {
        let addresses = Addresses::List(address);
        let port = self.address.port();
        let user_transport = match self.transport {
            TransportKind::Sctp => Transport::sctp(port, ChannelUse::Data, addresses),
            TransportKind::Udp => Transport::udp(port, addresses),
            TransportKind::UdpLite => Transport::udp_lite(port, addresses),
            TransportKind::Dccp => Transport::dccp(port, 0, addresses),
            // `prepare` refuses opaque transports.
            TransportKind::Tcp | TransportKind::Opaque => Transport::tcp(port, addresses),
        };
        Element {
            pe: self.pe,
            home: RegistrarId::default(),
            life: i32::try_from(self.life.as_secs()).unwrap_or(i32::MAX),
            user_transport,
            policy: self.policy,
            asap_transport: None,
        }
    }

    /// T4: the wait until it is registered anew (RFC 5352, 7.1), but never
    /// more than half its life. A life below 30 s leaves no 20 s of it.
    pub(crate) fn renewal(&self) -> Duration {
        if self.life < Duration::from_secs(30) {
            return self.life / 3;
        }
        let usual = self.life.saturating_sub(Duration::from_secs(20));
        usual.min(Duration::from_secs(600)).min(self.life / 2)
    }
}

/// The answer to a handle resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The pool's policy, with the parameters of the first element.
    pub policy: Policy,
    /// The elements, the one to be used first at the front.
    pub elements: Vec<ResolvedElement>,
}

/// A pool element as a registrar gives it to pool users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedElement {
    /// Its PE identifier.
    pub pe: PeId,
    /// Its home registrar.
    pub home: RegistrarId,
    /// Its policy with its parameters.
    pub policy: Policy,
    /// The protocol of its service.
    pub transport: TransportKind,
    /// Where its service is; none for an opaque transport.
    pub addresses: Vec<SocketAddr>,
}

impl From<Element<'_>> for ResolvedElement {
    fn from(element: Element<'_>) -> Self {
        let transport = element.user_transport;
        let at = |address| SocketAddr::new(address, transport.port);
        Self {
            pe: element.pe,
            home: element.home,
            policy: element.policy,
            transport: transport.kind,
            addresses: transport.addresses.iter().map(at).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(life: u64) -> Service {
        let address = SocketAddr::from(([192, 0, 2, 1], 80));
        Service { life: Duration::from_secs(life), ..Service::tcp("p", address, Policy::Random) }
    }

    #[test]
    fn an_element_is_renewed_well_inside_its_life() {
        assert_eq!(service(3600).renewal(), Duration::from_secs(600));
        assert_eq!(service(90).renewal(), Duration::from_secs(45));
        assert_eq!(service(45).renewal(), Duration::from_millis(22_500));
        assert_eq!(service(30).renewal(), Duration::from_secs(10));
        assert_eq!(service(1).renewal(), Duration::from_secs(1) / 3);
    }

    #[test]
    fn what_cannot_be_registered_is_refused_before_it_is_sent() {
        let bad = [
            Service { handle: Vec::new(), ..service(90) },
            Service { transport: TransportKind::Opaque, ..service(90) },
            Service { address: SocketAddr::from(([192, 0, 2, 1], 0)), ..service(90) },
            Service { life: Duration::ZERO, ..service(90) },
            Service { life: Duration::MAX, ..service(90) },
        ];
        for mut service in bad {
            assert!(matches!(service.prepare(), Err(Error::Invalid(_))), "{service:?}");
        }
    }

    #[test]
    fn an_element_without_an_identifier_draws_one() {
        let mut service = service(90);
        service.prepare().unwrap();
        assert!(!service.pe.is_none());
        let drawn = service.pe;
        service.prepare().unwrap();
        assert_eq!(service.pe, drawn);
    }
}
