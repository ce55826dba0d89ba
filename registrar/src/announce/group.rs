//! Where announces are sent.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use crate::options::ASAP_PORT;

/// A multicast group for announces, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Announce {
    /// This group and UDP port.
    Group(SocketAddr),
    /// No announces.
    Off,
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => group.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

/// A text that is not an [`Announce`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnounceError {
    /// It is no IP address, with or without a port, and not `off`.
    Address,
    /// The address is not one of a multicast group.
    NoGroup,
}

impl fmt::Display for AnnounceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Address => "no IP address",
            Self::NoGroup => "no multicast group",
        };
        write!(
            f,
            "{what}; allowed: off, or a multicast group, with or without a UDP port, such as \
             239.0.0.50, 239.0.0.50:3863 or [ff05::133]:3863"
        )
    }
}

impl core::error::Error for AnnounceError {}

impl FromStr for Announce {
    type Err = AnnounceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let bare = |ip: IpAddr| SocketAddr::new(ip, ASAP_PORT);
        let group = text.parse().or_else(|_| text.parse().map(bare));
        let group = group.map_err(|_| AnnounceError::Address)?;
        if group.ip().is_multicast() && group.port() != 0 {
            Ok(Self::Group(group))
        } else {
            Err(AnnounceError::NoGroup)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_come_with_a_port_or_without() {
        let group = |text: &str| text.parse::<Announce>().map(|announce| announce.to_string());
        assert_eq!(group("off").unwrap(), "off");
        assert_eq!(group("239.0.0.50").unwrap(), "239.0.0.50:3863");
        assert_eq!(group("239.0.0.50:9").unwrap(), "239.0.0.50:9");
        assert_eq!(group("ff02::1").unwrap(), "[ff02::1]:3863");
        assert_eq!(group("[ff02::1]:7").unwrap(), "[ff02::1]:7");
        assert_eq!(group("192.0.2.1"), Err(AnnounceError::NoGroup));
        assert_eq!(group("239.0.0.50:0"), Err(AnnounceError::NoGroup));
        assert_eq!(group("on"), Err(AnnounceError::Address));
    }
}
