//! State Cookies (RFC 9260 section 5.1.3): everything an endpoint has to know
//! to set an association up, kept by the peer until it proves that it can be
//! reached where it says it is.
//!
//! A cookie is as short as can be, 12 bytes and the peer's further addresses,
//! so that an INIT ACK is no longer than the INIT of a Linux kernel:
//!
//! | bytes | |
//! |---|---|
//! | 0..4 | the peer's tag |
//! | 4..8 | the peer's first TSN |
//! | 8 | 2 bits kind, 1 bit epoch, 3 bits window, 2 bits streams |
//! | 9..12 | authentication |
//! | then | 4 or 6 and that version's address, for each further one |
//!
//! A keyed hash (BLAKE3) of all that, the peer's addresses and ports, and the
//! epoch gives three things: our verification tag, our first TSN, and the 24
//! bits in the cookie. The peer sends the cookie back under that tag, so both
//! together authenticate it: 24 bits, and 32 less the logarithm of the number
//! of shards. A forger needs some 2^54 packets for one association, and gains
//! one that lasts until its first unanswered heartbeat.
//!
//! An epoch is half of a cookie's life. A cookie of this or the last epoch is
//! good, so its life is between one and two epochs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::config::Shard;
use super::path::PeerPorts;
use crate::wire::{be16, be32};

/// Bytes of a cookie without further addresses.
pub(super) const COOKIE_MIN: usize = 12;
/// Further addresses a cookie may carry.
pub(super) const ADDRESSES_MAX: usize = 7;

/// Windows as a cookie can tell them, rounded down; the smallest is what every
/// endpoint has to offer.
const WINDOWS: [u32; 8] = [1500, 4096, 16_384, 65_536, 131_072, 262_144, 1 << 20, 1 << 22];
/// Numbers of streams as a cookie can tell them, rounded down.
const STREAMS: [u16; 4] = [1, 4, 16, 64];

/// What a peer said in its INIT, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) tag: u32,
    pub(super) tsn: u32,
    /// Its receive window in bytes.
    pub(super) window: u32,
    /// How many streams we may send on.
    pub(super) streams: u16,
    /// Its addresses beside the one it sent from.
    pub(super) addresses: Vec<IpAddr>,
}

/// In which situation an INIT came (RFC 9260 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There was no association.
    Fresh,
    /// There was one, with these tags: ours and the peer's.
    Restart { local: u32, peer: u32 },
    /// We were just setting one up, under this tag of ours.
    Collision { local: u32 },
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Fresh => 0,
            Self::Restart { .. } => 1,
            Self::Collision { .. } => 2,
        }
    }

    const fn tags(self) -> (u32, u32) {
        match self {
            Self::Fresh => (0, 0),
            Self::Restart { local, peer } => (local, peer),
            Self::Collision { local } => (local, 0),
        }
    }
}

/// A new cookie, and what comes with it.
#[derive(Debug)]
pub(super) struct Minted {
    pub(super) bytes: Vec<u8>,
    /// Our tag, unless the association has one already.
    pub(super) tag: u32,
    /// Our first TSN, with the same exception.
    pub(super) tsn: u32,
}

/// A cookie that came back and is genuine and in date.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) offer: Offer,
    pub(super) restart: bool,
    pub(super) collision: bool,
    pub(super) tsn: u32,
}

/// Why a cookie is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadCookie {
    /// Not ours, changed, or from somebody else.
    Forged,
    /// Ours, and out of date by so much.
    Stale { peer_tag: u32, by: Duration },
}

/// Makes and checks cookies under a secret.
#[derive(Debug)]
pub(super) struct CookieJar {
    key: [u8; 32],
    start: Instant,
    epoch: Duration,
    shard: Shard,
}

impl CookieJar {
    pub(super) fn new(secret: &[u8; 32], start: Instant, life: Duration, shard: Shard) -> Self {
        let key = blake3::derive_key("rserpool-sctp 2026 state cookies", secret);
        Self { key, start, epoch: life / 2, shard }
    }

    /// Epochs are counted from 8, so that older ones have a number too.
    fn epoch(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        8 + u64::try_from(elapsed / self.epoch.as_nanos().max(1)).unwrap_or(u64::MAX - 8)
    }

    pub(super) fn mint(&self, now: Instant, peer: &PeerPorts, offer: &Offer, kind: Kind) -> Minted {
        let epoch = self.epoch(now);
        let mut bytes = Vec::with_capacity(COOKIE_MIN + 17 * offer.addresses.len());
        bytes.extend_from_slice(&offer.tag.to_be_bytes());
        bytes.extend_from_slice(&offer.tsn.to_be_bytes());
        let window = class(&WINDOWS, &offer.window);
        let streams = class(&STREAMS, &offer.streams);
        let parity = u8::from(epoch % 2 == 1);
        bytes.push(kind.code() << 6 | parity << 5 | window << 2 | streams);
        bytes.extend_from_slice(&[0; 3]);
        for address in offer.addresses.iter().take(ADDRESSES_MAX) {
            match address {
                IpAddr::V4(ip) => {
                    bytes.push(4);
                    bytes.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(6);
                    bytes.extend_from_slice(&ip.octets());
                }
            }
        }
        let (tag, tsn, mac) = self.derive(epoch, peer, &bytes, kind);
        bytes[9..12].copy_from_slice(&mac);
        Minted { bytes, tag, tsn }
    }

    /// Checks a cookie that came back under `tag`. `tags` are our tag and the
    /// peer's of the association there is between the two, if any.
    pub(super) fn open(
        &self,
        now: Instant,
        peer: &PeerPorts,
        bytes: &[u8],
        tag: u32,
        tags: Option<(u32, u32)>,
    ) -> Result<Opened, BadCookie> {
        let (offer, kind) = read(bytes, tags).ok_or(BadCookie::Forged)?;
        let mut plain = bytes.to_vec();
        plain[9..12].fill(0);
        let this = self.epoch(now);
        let parity = u64::from(bytes[8] >> 5 & 1);
        let newest = if this % 2 == parity { this } else { this - 1 };
        let holds = |epoch| {
            let (expected, tsn, mac) = self.derive(epoch, peer, &plain, kind);
            let expected = match kind {
                Kind::Collision { local } => local,
                Kind::Fresh | Kind::Restart { .. } => expected,
            };
            // No early return: how much of it was right must not show.
            let wrong = (mac[0] ^ bytes[9]) | (mac[1] ^ bytes[10]) | (mac[2] ^ bytes[11]);
            (wrong == 0 && expected == tag).then_some(tsn)
        };
        if let Some(tsn) = holds(newest) {
            return Ok(Opened {
                offer,
                restart: matches!(kind, Kind::Restart { .. }),
                collision: matches!(kind, Kind::Collision { .. }),
                tsn,
            });
        }
        // Its sender deserves to hear that it is merely late.
        for epoch in [newest - 2, newest - 4] {
            if holds(epoch).is_some() {
                let end = self.epoch * u32::try_from(epoch + 2 - 8).unwrap_or(u32::MAX);
                let by = now.saturating_duration_since(self.start).saturating_sub(end);
                return Err(BadCookie::Stale { peer_tag: offer.tag, by });
            }
        }
        Err(BadCookie::Forged)
    }

    fn derive(
        &self,
        epoch: u64,
        peer: &PeerPorts,
        plain: &[u8],
        kind: Kind,
    ) -> (u32, u32, [u8; 3]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let ip = match peer.remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        hasher.update(&ip.octets());
        hasher.update(&peer.remote.port().to_be_bytes());
        hasher.update(&peer.peer_port.to_be_bytes());
        hasher.update(&peer.local_port.to_be_bytes());
        hasher.update(&epoch.to_be_bytes());
        let (local, remote) = kind.tags();
        hasher.update(&local.to_be_bytes());
        hasher.update(&remote.to_be_bytes());
        hasher.update(plain);
        let hash = hasher.finalize();
        let bytes = hash.as_bytes();
        (self.shard.tag(be32(bytes, 0)), be32(bytes, 4), [bytes[8], bytes[9], bytes[10]])
    }
}

/// The class of a value: the last bound it reaches, or the first one.
fn class<T: PartialOrd>(bounds: &[T], value: &T) -> u8 {
    let reached = bounds.iter().filter(|bound| *bound <= value).count();
    u8::try_from(reached.saturating_sub(1)).unwrap_or(0)
}

/// What is written in a cookie, whether genuine or not.
fn read(bytes: &[u8], tags: Option<(u32, u32)>) -> Option<(Offer, Kind)> {
    let mut rest = bytes.get(COOKIE_MIN..)?;
    let flags = bytes[8];
    let kind = match (flags >> 6, tags) {
        (0, _) => Kind::Fresh,
        (1, Some((local, peer))) => Kind::Restart { local, peer },
        (2, Some((local, _))) => Kind::Collision { local },
        _ => return None,
    };
    let mut addresses = Vec::new();
    // A chunk is padded, its length is not: what is left must be addresses.
    while let Some((version, tail)) = rest.split_first() {
        let (address, tail) = match version {
            4 => {
                let (octets, tail) = tail.split_first_chunk::<4>()?;
                (IpAddr::from(Ipv4Addr::from(*octets)), tail)
            }
            6 => {
                let (octets, tail) = tail.split_first_chunk::<16>()?;
                (IpAddr::from(Ipv6Addr::from(*octets)), tail)
            }
            _ => return None,
        };
        if addresses.len() == ADDRESSES_MAX {
            return None;
        }
        addresses.push(address);
        rest = tail;
    }
    let offer = Offer {
        tag: be32(bytes, 0),
        tsn: be32(bytes, 4),
        window: WINDOWS[usize::from(flags >> 2 & 7)],
        streams: STREAMS[usize::from(flags & 3)],
        addresses,
    };
    Some((offer, kind))
}

/// Whether a cookie says that it is about an association there was: without
/// one, it cannot be checked.
pub(super) fn is_about_an_association(bytes: &[u8]) -> bool {
    bytes.len() >= COOKIE_MIN && bytes[8] >> 6 != 0
}

/// The tag of the peer, as a cookie has it, genuine or not.
pub(super) fn claimed_peer_tag(bytes: &[u8]) -> u32 {
    be32(bytes, 0)
}

/// The value of a Stale Cookie cause: microseconds (RFC 9260 section 3.3.10.3).
pub(super) fn staleness(by: Duration) -> [u8; 4] {
    u32::try_from(by.as_micros()).unwrap_or(u32::MAX).to_be_bytes()
}

/// The cause of a received ERROR or ABORT, 0 for none.
pub(super) fn first_cause(value: &[u8]) -> u16 {
    be16(value, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> PeerPorts {
        PeerPorts { remote: text.parse().unwrap(), peer_port: 1000, local_port: 3863 }
    }

    fn offer() -> Offer {
        let addresses = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        Offer { tag: 0x1234_5678, tsn: 99, window: 131_072, streams: 16, addresses }
    }

    fn jar(start: Instant) -> CookieJar {
        CookieJar::new(&[7; 32], start, Duration::from_secs(60), Shard { index: 1, count: 3 })
    }

    #[test]
    fn a_cookie_comes_back_as_it_was_made() {
        let start = Instant::now();
        let (jar, peer) = (jar(start), peer("192.0.2.1:9899"));
        let minted = jar.mint(start, &peer, &offer(), Kind::Fresh);
        assert_eq!(minted.bytes.len(), COOKIE_MIN + 5 + 17);
        assert_eq!(minted.tag % 3, 1);
        let opened = jar.open(start, &peer, &minted.bytes, minted.tag, None).unwrap();
        assert_eq!(opened.offer, offer());
        assert_eq!(opened.tsn, minted.tsn);
        assert!(!opened.restart && !opened.collision);
    }

    #[test]
    fn windows_and_streams_are_rounded_down() {
        let start = Instant::now();
        let (jar, peer) = (jar(start), peer("192.0.2.1:9899"));
        for (window, kept) in [(0, 1500), (1500, 1500), (106_496, 65_536), (u32::MAX, 1 << 22)] {
            for (streams, granted) in [(1, 1), (10, 4), (u16::MAX, 64)] {
                let offer = Offer { window, streams, addresses: vec![], ..offer() };
                let minted = jar.mint(start, &peer, &offer, Kind::Fresh);
                assert_eq!(minted.bytes.len(), COOKIE_MIN);
                let opened = jar.open(start, &peer, &minted.bytes, minted.tag, None).unwrap();
                assert_eq!((opened.offer.window, opened.offer.streams), (kept, granted));
            }
        }
    }

    #[test]
    fn a_cookie_changed_in_any_bit_is_refused() {
        let start = Instant::now();
        let (jar, peer) = (jar(start), peer("[2001:db8::1]:9899"));
        let minted = jar.mint(start, &peer, &offer(), Kind::Fresh);
        for bit in 0..minted.bytes.len() * 8 {
            let mut bytes = minted.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let opened = jar.open(start, &peer, &bytes, minted.tag, Some((5, 6)));
            assert_eq!(opened.unwrap_err(), BadCookie::Forged, "bit {bit}");
        }
        for bit in 0..32 {
            let opened = jar.open(start, &peer, &minted.bytes, minted.tag ^ 1 << bit, None);
            assert_eq!(opened.unwrap_err(), BadCookie::Forged, "bit {bit} of the tag");
        }
        for length in 0..minted.bytes.len() {
            let opened = jar.open(start, &peer, &minted.bytes[..length], minted.tag, None);
            assert_eq!(opened.unwrap_err(), BadCookie::Forged, "{length} bytes");
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_owner_only() {
        let start = Instant::now();
        let (jar, owner) = (jar(start), peer("192.0.2.1:9899"));
        let minted = jar.mint(start, &owner, &offer(), Kind::Fresh);
        let open = |peer: &PeerPorts| jar.open(start, peer, &minted.bytes, minted.tag, None);
        assert!(open(&owner).is_ok());
        for other in [
            peer("192.0.2.2:9899"),
            peer("192.0.2.1:9898"),
            PeerPorts { peer_port: 1001, ..owner },
            PeerPorts { local_port: 9901, ..owner },
        ] {
            assert_eq!(open(&other).unwrap_err(), BadCookie::Forged);
        }
        let stranger =
            CookieJar::new(&[8; 32], start, Duration::from_secs(60), Shard { index: 1, count: 3 });
        let opened = stranger.open(start, &owner, &minted.bytes, minted.tag, None);
        assert_eq!(opened.unwrap_err(), BadCookie::Forged);
    }

    #[test]
    fn a_cookie_lives_between_half_its_life_and_all_of_it() {
        let start = Instant::now();
        let (jar, peer) = (jar(start), peer("192.0.2.1:9899"));
        for offset in (0..240).step_by(7) {
            let made = start + Duration::from_secs(offset);
            let minted = jar.mint(made, &peer, &offer(), Kind::Fresh);
            let at = |seconds| {
                jar.open(
                    made + Duration::from_secs(seconds),
                    &peer,
                    &minted.bytes,
                    minted.tag,
                    None,
                )
            };
            assert!(at(30).is_ok(), "made at {offset}");
            assert!(matches!(at(60), Err(BadCookie::Stale { peer_tag: 0x1234_5678, .. })));
            assert!(matches!(at(120), Err(BadCookie::Stale { .. } | BadCookie::Forged)));
            assert_eq!(at(240).unwrap_err(), BadCookie::Forged);
        }
    }

    #[test]
    fn the_staleness_is_the_time_since_the_cookie_could_have_been_used() {
        let start = Instant::now();
        let (jar, peer) = (jar(start), peer("192.0.2.1:9899"));
        let minted = jar.mint(start, &peer, &offer(), Kind::Fresh);
        let late = start + Duration::from_secs(61);
        let opened = jar.open(late, &peer, &minted.bytes, minted.tag, None);
        let by = Duration::from_secs(1);
        assert_eq!(opened.unwrap_err(), BadCookie::Stale { peer_tag: 0x1234_5678, by });
        assert_eq!(staleness(by), 1_000_000u32.to_be_bytes());
    }

    #[test]
    fn a_restart_cookie_needs_the_association_it_was_made_for() {
        let start = Instant::now();
        let (jar, peer) = (jar(start), peer("192.0.2.1:9899"));
        let kind = Kind::Restart { local: 10, peer: 20 };
        let minted = jar.mint(start, &peer, &offer(), kind);
        let open = |tags| jar.open(start, &peer, &minted.bytes, minted.tag, tags);
        assert!(open(Some((10, 20))).unwrap().restart);
        for tags in [None, Some((10, 21)), Some((11, 20))] {
            assert_eq!(open(tags).unwrap_err(), BadCookie::Forged);
        }
        assert!(is_about_an_association(&minted.bytes));
        assert_eq!(claimed_peer_tag(&minted.bytes), 0x1234_5678);
    }

    #[test]
    fn a_collision_cookie_comes_back_under_the_tag_of_our_init() {
        let start = Instant::now();
        let (jar, peer) = (jar(start), peer("192.0.2.1:9899"));
        let minted = jar.mint(start, &peer, &offer(), Kind::Collision { local: 77 });
        let open = |tag, tags| jar.open(start, &peer, &minted.bytes, tag, tags);
        assert!(open(77, Some((77, 0))).unwrap().collision);
        assert!(open(77, Some((77, 5))).unwrap().collision);
        assert_eq!(open(78, Some((77, 0))).unwrap_err(), BadCookie::Forged);
        assert_eq!(open(78, Some((78, 0))).unwrap_err(), BadCookie::Forged);
    }
}
