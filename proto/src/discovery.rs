//! Discovery of registrars by their announces (RFC 5352, 3.6).
//!
//! A registrar multicasts Server Announces; [`Schedule`] says when.
//! Pool elements and pool users, and other registrars, listen: [`Directory`]
//! holds what they heard lately. Sockets, groups and clocks are the embedder's.
//!
//! Announces are not authenticated. What they say is where to look for a
//! registrar, no more.
//!
//! ```
//! use rserpool_codec::asap::Message;
//! use rserpool_codec::{LengthForm, Transports};
//! use rserpool_engine::{RegistrarId, Timestamp};
//! use rserpool_proto::discovery::{Directory, Heard, OUTDATE};
//!
//! // rsplib's registrars list no transports: they are where they speak from.
//! let registrar = RegistrarId::new(0x1111_1111);
//! let mut datagram = Vec::new();
//! let announce = Message::ServerAnnounce { registrar, transports: Transports::EMPTY };
//! announce.emit(&mut datagram, LengthForm::Rfc)?;
//!
//! let mut directory = Directory::new();
//! let now = Timestamp::ZERO;
//! assert_eq!(directory.receive(now, "10.44.0.1:3863".parse()?, &datagram), Heard::New(registrar));
//! let found = directory.registrars().next().unwrap();
//! assert_eq!(found.places()[0].to_string(), "sctp://10.44.0.1:3863");
//!
//! directory.handle_timeout(now.after(OUTDATE));
//! assert_eq!(directory.len(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod directory;
mod schedule;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

pub use directory::{Directory, Found, Heard, Place};
pub use schedule::Schedule;

/// T6-Serverannounce (RFC 5352, 7.2): the time between two announces of a
/// lone registrar.
pub const ANNOUNCE_PERIOD: Duration = Duration::from_secs(1);

/// T7-ENRPoutdate (RFC 5352, 7.2): how long an announce counts.
pub const OUTDATE: Duration = Duration::from_secs(5);

/// The port of announces: that of ASAP over UDP (RFC 5352, 8.2).
const PORT: u16 = rserpool_codec::asap::PORT;

/// The groups that rsplib's pool elements and pool users listen to, and, for
/// IPv6, where rsplib has none, the registered one in site-local scope.
pub const RSPLIB_GROUPS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 0, 0, 50)), PORT),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x133)), PORT),
];

/// The registered groups (RFC 5352, 8.4), IPv6 in site-local scope.
pub const RFC_GROUPS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 1, 185)), PORT),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x133)), PORT),
];
