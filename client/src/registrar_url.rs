//! Where a registrar is.

use std::fmt;
use std::str::FromStr;

/// The registered port of ASAP (RFC 5352, 8.2).
pub(crate) const ASAP_PORT: u16 = rserpool_codec::asap::PORT;
/// The registered port of SCTP over UDP (RFC 6951, 6).
pub(crate) const SCTP_UDP_PORT: u16 = 9899;

/// What carries the messages of an association with a registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// TCP: for pool users by RFC 5352, for pool elements as an extension of
    /// our registrar.
    Tcp,
    /// The kernel's SCTP.
    Sctp,
    /// SCTP over UDP (RFC 6951), in user space.
    SctpUdp,
}

impl Carrier {
    const ALL: [Self; 3] = [Self::Tcp, Self::Sctp, Self::SctpUdp];

    /// The port of a URL without one.
    const fn port(self) -> u16 {
        match self {
            Self::Tcp | Self::Sctp => ASAP_PORT,
            Self::SctpUdp => SCTP_UDP_PORT,
        }
    }

    /// The scheme of its URLs.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Sctp => "sctp",
            Self::SctpUdp => "sctp-udp",
        }
    }
}

/// Where a registrar is: `tcp://HOST:PORT`, `sctp://HOST:PORT` or
/// `sctp-udp://HOST:PORT`. The host is an address or a DNS name, which is
/// looked up with each attempt to connect; all its addresses are tried.
/// Without a scheme it is `tcp`, without a port 3863, or 9899 for SCTP over UDP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrarUrl {
    /// What carries the messages.
    pub carrier: Carrier,
    /// An address, without brackets, or a name.
    pub host: String,
    /// The TCP or SCTP port; with SCTP over UDP the UDP port, as the SCTP port is
    /// 3863 then.
    pub port: u16,
}

impl fmt::Display for RegistrarUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.carrier.scheme(), &self.host);
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{}", self.port)
        } else {
            write!(f, "{scheme}://{host}:{}", self.port)
        }
    }
}

/// Why a text is no URL of a registrar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrarUrlError(&'static str);

impl fmt::Display for RegistrarUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: say tcp://HOST:PORT, sctp://HOST:PORT or sctp-udp://HOST:PORT", self.0)
    }
}

impl std::error::Error for RegistrarUrlError {}

impl FromStr for RegistrarUrl {
    type Err = RegistrarUrlError;

    fn from_str(text: &str) -> Result<Self, RegistrarUrlError> {
        let (carrier, rest) = match text.split_once("://") {
            None => (Carrier::Tcp, text),
            Some((scheme, rest)) => {
                let known = Carrier::ALL.into_iter().find(|one| one.scheme() == scheme);
                (known.ok_or(RegistrarUrlError("the scheme is unknown"))?, rest)
            }
        };
        let (host, port) = split_port(rest)?;
        let port = port.unwrap_or_else(|| carrier.port());
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(name) {
            return Err(RegistrarUrlError("the host is no address and no name"));
        }
        Ok(Self { carrier, host: host.to_owned(), port })
    }
}

/// Splits `HOST[:PORT]`, where a host with colons is an IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<u16>), RegistrarUrlError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => {
            let port = rest.strip_prefix(':').ok_or(RegistrarUrlError("the address is odd"))?;
            (host, Some(port))
        }
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    match port.map(str::parse) {
        None => Ok((host, None)),
        Some(Ok(port)) if port != 0 => Ok((host, Some(port))),
        Some(_) => Err(RegistrarUrlError("the port is not between 1 and 65535")),
    }
}

impl From<std::net::SocketAddr> for RegistrarUrl {
    /// A registrar that takes ASAP over TCP there.
    fn from(address: std::net::SocketAddr) -> Self {
        Self { carrier: Carrier::Tcp, host: address.ip().to_string(), port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_it_is_written() {
        for (text, written) in [
            ("tcp://127.0.0.1:3863", "tcp://127.0.0.1:3863"),
            ("sctp://registrar.example", "sctp://registrar.example:3863"),
            ("sctp-udp://[2001:db8::1]:99", "sctp-udp://[2001:db8::1]:99"),
            ("sctp-udp://192.0.2.1", "sctp-udp://192.0.2.1:9899"),
            ("2001:db8::1", "tcp://[2001:db8::1]:3863"),
            ("[::1]", "tcp://[::1]:3863"),
            ("localhost:1", "tcp://localhost:1"),
        ] {
            let url: RegistrarUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), written);
            assert_eq!(written.parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "tcp://",
            "http://a",
            "a:0",
            "a:65536",
            "a:b",
            "[::1]x",
            "[::1",
            "a b",
            "tcp://a/b",
        ] {
            assert!(text.parse::<RegistrarUrl>().is_err(), "{text}");
        }
    }
}
