//! Where ASAP is taken, as a URL.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;

/// A transport address for ASAP, as a URL. Port 0 is one the system chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsapAddress {
    /// `tcp://ADDR:PORT`.
    Tcp(SocketAddr),
    /// `sctp://ADDR:PORT`: the kernel's SCTP. Several with one port are one
    /// multi-homed endpoint.
    Sctp(SocketAddr),
    /// `sctp-udp://ADDR:PORT`: SCTP over UDP (RFC 6951). The port is the UDP
    /// one; the SCTP port inside is [`ASAP_PORT`](crate::ASAP_PORT). Several
    /// with one port are one multi-homed endpoint.
    SctpUdp(SocketAddr),
}

impl AsapAddress {
    /// The transport, as it begins the URL.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Sctp(_) => "sctp",
            Self::SctpUdp(_) => "sctp-udp",
        }
    }

    /// The IP address and the port; of UDP for SCTP over UDP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Tcp(address) | Self::Sctp(address) | Self::SctpUdp(address) => *address,
        }
    }
}

impl fmt::Display for AsapAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.address())
    }
}

/// A text that is not an [`AsapAddress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsapAddressError {
    /// It names a transport that is not there.
    Transport(String),
    /// What follows the transport is not an IP address and a port.
    Address(String),
}

const ALLOWED: &str = "allowed: tcp://ADDR:PORT, sctp://ADDR:PORT, sctp-udp://ADDR:PORT, \
                       such as tcp://192.0.2.1:3863 or sctp-udp://[::]:9899";

impl fmt::Display for AsapAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(scheme) => write!(f, "{scheme}:// is no transport of ASAP; {ALLOWED}"),
            Self::Address(rest) => {
                write!(f, "{rest:?} is not an IP address and a port; {ALLOWED}")
            }
        }
    }
}

impl core::error::Error for AsapAddressError {}

impl FromStr for AsapAddress {
    type Err = AsapAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(AsapAddressError::Address(text.to_owned()));
        };
        let of: fn(SocketAddr) -> Self = match scheme {
            "tcp" => Self::Tcp,
            "sctp" => Self::Sctp,
            "sctp-udp" => Self::SctpUdp,
            _ => return Err(AsapAddressError::Transport(scheme.to_owned())),
        };
        rest.parse().map(of).map_err(|_| AsapAddressError::Address(rest.to_owned()))
    }
}
