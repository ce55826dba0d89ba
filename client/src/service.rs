//! What is registered and what a resolution gives.

use std::net::{IpAddr, SocketAddr};
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
        let ip = [self.address.ip()];
        // `prepare` refuses opaque transports.
        let transport = transport(self.transport, self.address.port(), self.channel_use, &ip);
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

impl ResolvedElement {
    /// Its addresses without the port, which is the same for all.
    pub(crate) fn ips(&self) -> Vec<IpAddr> {
        self.addresses.iter().map(SocketAddr::ip).collect()
    }

    /// The Pool Element parameter that names it to others, with
    /// [its addresses](Self::ips); `None` without any. How long it stays
    /// registered is its home's to know.
    pub(crate) fn parameter<'a>(&self, ips: &'a [IpAddr]) -> Option<Element<'a>> {
        let port = self.addresses.first()?.port();
        let user_transport = transport(self.transport, port, self.channel_use, ips);
        Some(Element {
            pe: self.pe,
            home: self.home,
            life: -1,
            user_transport,
            policy: self.policy,
            asap_transport: None,
        })
    }
}

/// A transport that has addresses. Only SCTP has more than one.
fn transport(
    kind: TransportKind,
    port: u16,
    channel_use: ChannelUse,
    ips: &[IpAddr],
) -> Transport<'_> {
    let one = Addresses::List(ips.get(..1).unwrap_or_default());
    match kind {
        TransportKind::Sctp => Transport::sctp(port, channel_use, Addresses::List(ips)),
        TransportKind::Udp => Transport::udp(port, one),
        TransportKind::UdpLite => Transport::udp_lite(port, one),
        TransportKind::Dccp => Transport::dccp(port, 0, one),
        // One that is opaque has no addresses.
        TransportKind::Tcp | TransportKind::Opaque => Transport::tcp(port, one),
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

    #[test]
    fn an_element_is_named_to_others_as_it_was_resolved() {
        let at = |ip: [u8; 4]| SocketAddr::from((ip, 7));
        let mut resolved = ResolvedElement {
            pe: PeId::new(1),
            home: RegistrarId::new(2),
            policy: Policy::Random,
            transport: TransportKind::Sctp,
            channel_use: ChannelUse::DataAndControl,
            addresses: vec![at([192, 0, 2, 1]), at([192, 0, 2, 2])],
        };
        let again = |one: &ResolvedElement| one.parameter(&one.ips()).map(ResolvedElement::from);
        assert_eq!(again(&resolved), Some(resolved.clone()));
        resolved.transport = TransportKind::Tcp;
        resolved.channel_use = ChannelUse::Data;
        resolved.addresses.truncate(1);
        assert_eq!(again(&resolved), Some(resolved.clone()));
        resolved.addresses.clear();
        assert_eq!(again(&resolved), None);
    }
}
