//! The address of a service as it is written on the command line.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use rserpool_client::{ChannelUse, Policy, Service, TransportKind};

use crate::command_line::Identity;

/// `tcp://ADDR:PORT`, `udp://ADDR:PORT`, `sctp://ADDR:PORT`, or without a
/// scheme, which is TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceAddress {
    pub(crate) transport: TransportKind,
    pub(crate) address: SocketAddr,
}

impl FromStr for ServiceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let transport = match scheme {
            "tcp" => TransportKind::Tcp,
            "udp" => TransportKind::Udp,
            "sctp" => TransportKind::Sctp,
            _ => return Err("allowed: tcp://, udp:// and sctp://".to_owned()),
        };
        let address: SocketAddr = rest.parse().map_err(|_| format!("{rest:?} is not ADDR:PORT"))?;
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err(format!("clients cannot connect to {address}"));
        }
        Ok(Self { transport, address })
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport, self.address)
    }
}

impl ServiceAddress {
    /// What is to be registered.
    pub(crate) fn service(&self, handle: &str, identity: &Identity, policy: Policy) -> Service {
        Service {
            handle: handle.as_bytes().to_vec(),
            pe: identity.id.unwrap_or_default(),
            transport: self.transport,
            address: self.address,
            channel_use: ChannelUse::Data,
            policy,
            life: identity.life,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_clients_cannot_use_are_refused() {
        let web: ServiceAddress = "127.0.0.1:80".parse().unwrap();
        assert_eq!(web.to_string(), "tcp://127.0.0.1:80");
        let echo: ServiceAddress = "sctp://[::1]:7".parse().unwrap();
        assert_eq!(echo.to_string(), "sctp://[::1]:7");
        for wrong in ["", "http://127.0.0.1:80", "127.0.0.1", "0.0.0.0:80", "127.0.0.1:0", "a:1"] {
            assert!(wrong.parse::<ServiceAddress>().is_err(), "{wrong}");
        }
    }
}
