//! What is registered and what a resolution gives.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_codec::{Addresses, Element, Transport};
use rserpool_engine::{
    ChannelUse, PeId, Policy, PoolHandle, RegistrarId, RegistrationLife, TransportKind,
};
use rserpool_proto::element;

use crate::element::fixed_point;
use crate::{Config, Error};

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
    /// Whether it has a control channel: its pool users have sessions.
    pub channel_use: ChannelUse,
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
            channel_use: ChannelUse::Data,
            policy,
            life: Duration::from_secs(90),
        }
    }

    /// An SCTP service with a control channel, and a registration life of 90 s.
    #[must_use]
    pub fn sctp(handle: impl AsRef<[u8]>, address: SocketAddr, policy: Policy) -> Self {
        Self {
            transport: TransportKind::Sctp,
            channel_use: ChannelUse::DataAndControl,
            ..Self::tcp(handle, address, policy)
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
        if self.address.ip().is_unspecified() {
            return invalid("the address of the service has to be one that clients can connect to");
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

    /// Its machine. What `config` says of loads counts.
    pub(crate) fn machine(&self, token: u64, config: &Config) -> element::PoolElement {
        let address = [self.address.ip()];
        let addresses = Addresses::List(&address);
        let port = self.address.port();
        let transport = match self.transport {
            TransportKind::Sctp => Transport::sctp(port, self.channel_use, addresses),
            TransportKind::Udp => Transport::udp(port, addresses),
            TransportKind::UdpLite => Transport::udp_lite(port, addresses),
            TransportKind::Dccp => Transport::dccp(port, 0, addresses),
            // `prepare` refuses opaque transports.
            TransportKind::Tcp | TransportKind::Opaque => Transport::tcp(port, addresses),
        };
        let config = element::Config {
            life: RegistrationLife::For(self.life),
            load_change_min: fixed_point(config.load_change_min),
            load_interval_min: config.load_interval_min,
            ..element::Config::default()
        };
        let handle = PoolHandle::new(&self.handle);
        let service = element::Service::from(&transport);
        element::PoolElement::new(config, token, handle, self.pe, service, self.policy)
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
    /// Whether it has a control channel.
    pub channel_use: ChannelUse,
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
            channel_use: transport.channel_use,
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
    fn what_cannot_be_registered_is_refused_before_it_is_sent() {
        let bad = [
            Service { handle: Vec::new(), ..service(90) },
            Service { transport: TransportKind::Opaque, ..service(90) },
            Service { address: SocketAddr::from(([192, 0, 2, 1], 0)), ..service(90) },
            Service { address: SocketAddr::from(([0, 0, 0, 0], 80)), ..service(90) },
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
