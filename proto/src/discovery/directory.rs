//! The registrars that were heard lately.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use rserpool_codec::Transport;
use rserpool_codec::asap::{self, Message};
use rserpool_engine::{RegistrarId, Timestamp, TransportKind};

use super::OUTDATE;

/// Registrars kept at once. Announces are not authenticated: whoever speaks
/// with more names than these is not heard.
const REGISTRARS_MAX: usize = 64;
/// Places kept of one registrar, and addresses of one place.
const PLACES_MAX: usize = 16;

/// Where a registrar says that it takes ASAP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// SCTP or TCP. That SCTP is only to be had over UDP cannot be said in an
    /// announce.
    pub transport: TransportKind,
    /// Not 0.
    pub port: u16,
    /// At least one. All of one endpoint, if there are several.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.transport == TransportKind::Tcp { "tcp" } else { "sctp" };
        for (index, &address) in self.addresses.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{scheme}://{}", SocketAddr::new(address, self.port))?;
        }
        Ok(())
    }
}

/// A registrar that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    registrar: RegistrarId,
    places: Vec<Place>,
    heard: Timestamp,
}

impl Found {
    /// Its identifier, as it says.
    #[must_use]
    pub const fn registrar(&self) -> RegistrarId {
        self.registrar
    }

    /// Where it takes ASAP, in the order of its announce; at least one.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// When its last announce came.
    #[must_use]
    pub const fn heard(&self) -> Timestamp {
        self.heard
    }
}

/// What a datagram told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A registrar that was not known.
    New(RegistrarId),
    /// A known one is somewhere else, or somewhere more.
    Changed(RegistrarId),
    /// A known one is still there.
    Again(RegistrarId),
    /// Nothing: no announce, or one too many.
    Nothing,
}

/// The registrars that were heard within T7 (RFC 5352, 3.6).
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// In the order in which they were first heard.
    found: Vec<Found>,
}

impl Directory {
    /// Nobody was heard yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { found: Vec::new() }
    }

    /// A datagram came from this address.
    pub fn receive(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) -> Heard {
        self.handle_timeout(now);
        let Ok(Message::ServerAnnounce { registrar, transports }) = Message::parse(datagram) else {
            return Heard::Nothing;
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let mut places: Vec<Place> =
            transports.iter().take(PLACES_MAX).map(|transport| place(from, &transport)).collect();
        if places.is_empty() {
            places = unlisted(from);
        }
        if registrar.get() == 0 || places.is_empty() {
            return Heard::Nothing;
        }
        if let Some(known) = self.found.iter_mut().find(|found| found.registrar == registrar) {
            known.heard = now;
            if known.places == places {
                return Heard::Again(registrar);
            }
            known.places = places;
            return Heard::Changed(registrar);
        }
        if self.found.len() >= REGISTRARS_MAX {
            return Heard::Nothing;
        }
        self.found.push(Found { registrar, places, heard: now });
        Heard::New(registrar)
    }

    /// The registrars that were heard, the one known for longest first.
    pub fn registrars(&self) -> impl Iterator<Item = &Found> {
        self.found.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nobody was heard.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// This one is not to be had: it is forgotten until it is heard again.
    pub fn forget(&mut self, registrar: RegistrarId) {
        self.found.retain(|found| found.registrar != registrar);
    }

    /// When [`Directory::handle_timeout`] has something to forget.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        self.found.iter().map(|found| found.heard.after(OUTDATE)).min()
    }

    /// Forgets who was not heard for T7. `true`: somebody was forgotten.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        let before = self.found.len();
        self.found.retain(|found| found.heard.after(OUTDATE) > now);
        self.found.len() < before
    }
}

/// Where a registrar is that lists nothing: SCTP at the source of the
/// datagram, on the registered port by RFC 5352, 3.6, on the port it was sent
/// from by rsplib, which binds both alike.
fn unlisted(from: SocketAddr) -> Vec<Place> {
    let at = |port| Place { transport: TransportKind::Sctp, port, addresses: vec![from.ip()] };
    match from.port() {
        0 | asap::PORT => vec![at(asap::PORT)],
        port => vec![at(port), at(asap::PORT)],
    }
}

/// A transport of an announce. Addresses that mean nothing elsewhere are left
/// out; where the datagram came from stands in for them.
fn place(from: SocketAddr, transport: &Transport<'_>) -> Place {
    let reaches = |address: &IpAddr| {
        let local = match address {
            IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let nowhere = address.is_unspecified() || address.is_multicast() || local;
        !nowhere && (!address.is_loopback() || from.ip().is_loopback())
    };
    let mut addresses: Vec<IpAddr> =
        transport.addresses.iter().filter(reaches).take(PLACES_MAX).collect();
    if addresses.is_empty() {
        addresses.push(from.ip());
    }
    Place { transport: transport.kind, port: transport.port, addresses }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rserpool_codec::{Addresses, LengthForm, Transports};
    use rserpool_engine::ChannelUse;

    use super::*;

    const ONE: RegistrarId = RegistrarId::new(0x1111_1111);

    fn announce(registrar: RegistrarId, transports: &[Transport<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let transports = Transports::list(transports);
        let message = Message::ServerAnnounce { registrar, transports };
        message.emit(&mut bytes, LengthForm::Rfc).unwrap();
        bytes
    }

    fn from(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn places(directory: &Directory) -> Vec<String> {
        let places = directory.registrars().flat_map(Found::places);
        places.map(ToString::to_string).collect()
    }

    fn heard(source: &str, bytes: &[u8]) -> Vec<String> {
        let mut directory = Directory::new();
        directory.receive(Timestamp::ZERO, from(source), bytes);
        places(&directory)
    }

    #[test]
    fn listed_transports_are_taken_in_their_order() {
        let v4 = ["10.0.0.1".parse().unwrap()];
        let both = ["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let bytes = announce(
            ONE,
            &[
                Transport::tcp(3863, Addresses::List(&v4)),
                Transport::sctp(4000, ChannelUse::Data, Addresses::List(&both)),
            ],
        );
        let expected = ["tcp://10.0.0.1:3863", "sctp://10.0.0.1:4000 sctp://[2001:db8::1]:4000"];
        assert_eq!(heard("10.0.0.9:3863", &bytes), expected);
    }

    #[test]
    fn a_registrar_that_lists_nothing_is_where_it_speaks_from() {
        let bytes = announce(ONE, &[]);
        assert_eq!(heard("10.0.0.9:3863", &bytes), ["sctp://10.0.0.9:3863"]);
        let both = ["sctp://10.0.0.9:40000", "sctp://10.0.0.9:3863"];
        assert_eq!(heard("10.0.0.9:40000", &bytes), both);
        assert_eq!(heard("[::ffff:10.0.0.9]:3863", &bytes), ["sctp://10.0.0.9:3863"]);
    }

    #[test]
    fn addresses_that_mean_nothing_here_are_replaced_by_the_source() {
        for useless in ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "::", "::1", "fe80::1"]
        {
            let address = [useless.parse().unwrap()];
            let bytes = announce(ONE, &[Transport::tcp(3863, Addresses::List(&address))]);
            assert_eq!(heard("10.0.0.9:1", &bytes), ["tcp://10.0.0.9:3863"], "{useless}");
        }
        let loopback = ["127.0.0.1".parse().unwrap()];
        let bytes = announce(ONE, &[Transport::tcp(3863, Addresses::List(&loopback))]);
        assert_eq!(heard("127.0.0.1:1", &bytes), ["tcp://127.0.0.1:3863"]);
    }

    #[test]
    fn who_is_not_heard_for_t7_is_forgotten() {
        let mut directory = Directory::new();
        let (bytes, source) = (announce(ONE, &[]), from("10.0.0.9:3863"));
        let at = |seconds| Timestamp::ZERO.after(Duration::from_secs(seconds));
        assert_eq!(directory.next_timeout(), None);
        assert_eq!(directory.receive(at(0), source, &bytes), Heard::New(ONE));
        assert_eq!(directory.receive(at(4), source, &bytes), Heard::Again(ONE));
        assert_eq!(directory.next_timeout(), Some(at(9)));
        assert!(!directory.handle_timeout(at(8)));
        assert!(directory.handle_timeout(at(9)));
        assert!(directory.is_empty());
        assert_eq!(directory.receive(at(10), source, &bytes), Heard::New(ONE));
        let elsewhere = from("10.0.0.8:3863");
        assert_eq!(directory.receive(at(11), elsewhere, &bytes), Heard::Changed(ONE));
        assert_eq!(places(&directory), ["sctp://10.0.0.8:3863"]);
        directory.forget(ONE);
        assert_eq!(directory.len(), 0);
    }

    #[test]
    fn nobody_fills_the_directory_without_bound() {
        let mut directory = Directory::new();
        for number in 1..1000 {
            let bytes = announce(RegistrarId::new(number), &[]);
            directory.receive(Timestamp::ZERO, from("10.0.0.9:3863"), &bytes);
        }
        assert_eq!(directory.len(), REGISTRARS_MAX);
        let many: Vec<IpAddr> = (1..=200).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        let sctp = Transport::sctp(3863, ChannelUse::Data, Addresses::List(&many));
        let bytes = announce(RegistrarId::new(1), &vec![sctp; 40]);
        directory.receive(Timestamp::ZERO, from("10.0.0.9:3863"), &bytes);
        let found = directory.registrars().next().unwrap();
        assert_eq!((found.places().len(), found.places()[0].addresses.len()), (16, 16));
    }

    #[test]
    fn what_is_no_announce_tells_nothing() {
        let mut directory = Directory::new();
        let mut tell = |bytes: &[u8]| directory.receive(Timestamp::ZERO, from("10.0.0.9:1"), bytes);
        assert_eq!(tell(b""), Heard::Nothing);
        assert_eq!(tell(b"\x05\0\0\x10\0\x09\0\x0cEchoPool"), Heard::Nothing);
        assert_eq!(tell(&announce(RegistrarId::new(0), &[])), Heard::Nothing);
        let mut cut = announce(ONE, &[]);
        cut.truncate(7);
        assert_eq!(tell(&cut), Heard::Nothing);
    }
}
