//! Where ENRP is taken, and the timers of the registrar group.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::address::{AsapAddress, AsapAddressError};
use super::milliseconds;

/// The port of ENRP over SCTP (RFC 5353, 5.3), and over TCP between registrars
/// of our own kind.
pub const ENRP_PORT: u16 = 9901;

/// A transport address for ENRP, as a URL; or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnrpAddress {
    /// `tcp://`, `sctp://` or `sctp-udp://`, an address and a port.
    At(AsapAddress),
    /// The registered port, as far as it is free: what the command line has if
    /// it says nothing of ASAP or ENRP.
    IfFree,
    /// No registrar group.
    Off,
}

impl fmt::Display for EnrpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::IfFree => f.write_str("the registered port"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// A text that is not an [`EnrpAddress`], or not the address of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrpAddressError(String);

impl fmt::Display for EnrpAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for EnrpAddressError {}

fn url(text: &str, off: &str) -> Result<AsapAddress, EnrpAddressError> {
    let allowed = format!(
        "allowed: {off}tcp://ADDR:PORT, sctp://ADDR:PORT, sctp-udp://ADDR:PORT, such as \
         sctp://192.0.2.1:{ENRP_PORT}"
    );
    text.parse().map_err(|error| {
        EnrpAddressError(match error {
            AsapAddressError::Transport(scheme) => {
                format!("{scheme}:// is no transport of ENRP; {allowed}")
            }
            AsapAddressError::Address(rest) => {
                format!("{rest:?} is not an IP address and a port; {allowed}")
            }
        })
    })
}

impl FromStr for EnrpAddress {
    type Err = EnrpAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { url(text, "off, ").map(Self::At) }
    }
}

/// Where another registrar takes ENRP, as a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress(pub AsapAddress);

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PeerAddress {
    type Err = EnrpAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = url(text, "")?;
        let place = address.address();
        if place.port() == 0 || place.ip().is_unspecified() || place.ip().is_multicast() {
            return Err(EnrpAddressError(format!("nobody is at {address}")));
        }
        Ok(Self(address))
    }
}

/// The registrar group (RFC 5353).
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct GroupOptions {
    /// Take ENRP here, from other registrars; may be given more than once; off
    /// for no registrar group [default: TCP and SCTP on port 9901 of all
    /// addresses, or of the one of --listen, as far as they are free; off if
    /// --asap is given and --peer is not]
    ///
    /// Registrars of our own kind prefer TCP, rsplib's know SCTP only. The port
    /// of sctp-udp:// is the UDP port, which is the same at all registrars of a
    /// group; the SCTP port inside is 9901.
    #[arg(long, value_name = "URL|off")]
    pub enrp: Vec<EnrpAddress>,

    /// Another registrar to start from and to stay with; may be given more than
    /// once, the best first. The registrar serves when it has that one's
    /// handlespace, or after a few seconds without an answer of any
    #[arg(long, value_name = "URL")]
    pub peer: Vec<PeerAddress>,

    /// Announce this address to other registrars instead of those of the
    /// interfaces; may be given more than once. For address translation
    #[arg(long, value_name = "ADDR")]
    pub enrp_address: Vec<IpAddr>,

    /// Milliseconds between two presences to other registrars
    /// [default: 2400; with --compat rfc 30000]
    #[arg(long, value_name = "MS", value_parser = milliseconds::<50, 3_600_000>)]
    pub peer_heartbeat: Option<Duration>,

    /// Milliseconds of silence after which another registrar is asked
    /// [default: 5000; with --compat rfc 61000]
    #[arg(long, value_name = "MS", value_parser = milliseconds::<100, 3_600_000>)]
    pub peer_silence: Option<Duration>,

    /// Milliseconds it then has to answer, before it is taken over
    /// [default: 2000; with --compat rfc 5000]
    #[arg(long, value_name = "MS", value_parser = milliseconds::<50, 3_600_000>)]
    pub peer_patience: Option<Duration>,
}

impl GroupOptions {
    /// Whether these options make sense together.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.enrp.contains(&EnrpAddress::Off) {
            if self.enrp.len() > 1 {
                return Err("--enrp off contradicts another --enrp: give one".to_owned());
            }
            if !self.peer.is_empty() {
                return Err("--enrp off contradicts --peer".to_owned());
            }
        }
        let wrong = |ip: &&IpAddr| ip.is_unspecified() || ip.is_multicast();
        if let Some(address) = self.enrp_address.iter().find(wrong) {
            return Err(format!("--enrp-address {address}: nobody can be called there"));
        }
        if let (Some(heartbeat), Some(silence)) = (self.peer_heartbeat, self.peer_silence)
            && silence <= heartbeat
        {
            return Err("--peer-silence has to be longer than --peer-heartbeat".to_owned());
        }
        Ok(())
    }

    /// Where ENRP is to be taken, and whether that was asked for by name;
    /// `None`: nowhere.
    pub(crate) fn places(&self, listen: Option<IpAddr>) -> Option<(Vec<AsapAddress>, bool)> {
        let named = self.enrp.iter().filter_map(|place| match place {
            EnrpAddress::At(address) => Some(*address),
            EnrpAddress::IfFree | EnrpAddress::Off => None,
        });
        let named: Vec<_> = named.collect();
        if !named.is_empty() {
            return Some((named, true));
        }
        if self.enrp.contains(&EnrpAddress::Off) || self.enrp.is_empty() && self.peer.is_empty() {
            return None;
        }
        let address = listen.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let place = SocketAddr::new(address, ENRP_PORT);
        Some((vec![AsapAddress::Tcp(place), AsapAddress::Sctp(place)], false))
    }
}
