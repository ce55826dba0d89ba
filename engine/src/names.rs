//! The nouns of RFC 5351 to 5354 that every crate shares.

use core::fmt;
use core::time::Duration;

/// A pool handle: an opaque byte string that names a pool (RFC 5354, 3.9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolHandle<'a>(&'a [u8]);

impl<'a> PoolHandle<'a> {
    /// Wraps the bytes of a pool handle. Any length and any byte is a name;
    /// the handlespace rejects lengths outside 1..=`Config::handle_bytes_max`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes of the handle, without padding.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Display for PoolHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for PoolHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolHandle({self})")
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The identifier with this number; 0 means "none".
            #[must_use]
            pub const fn new(number: u32) -> Self {
                Self(number)
            }

            /// The number on the wire.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }

            /// Whether this is the number 0, which identifies nobody.
            #[must_use]
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#010x}", self.0)
            }
        }
    };
}

identifier!(
    /// A PE identifier (RFC 5354, 3.14): unique in its pool, chosen by the
    /// pool element, constant over re-registrations.
    PeId
);
identifier!(
    /// A registrar's identifier (RFC 5353, 2.1), called ENRP server there.
    RegistrarId
);

/// An association with a pool element or pool user, as the embedder numbers
/// it. Opaque to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssociationId(pub u64);

/// The registration life (RFC 5354, 3.10): how long a registration is valid
/// without being renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistrationLife {
    /// Ends this long after the (re-)registration.
    For(Duration),
    /// Never ends (-1 on the wire).
    Infinite,
}

/// The transport protocol of a pool's service. A pool has one (RFC 5352, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TransportKind {
    /// Datagram Congestion Control Protocol, parameter 0x0003.
    Dccp = 3,
    /// Stream Control Transmission Protocol, parameter 0x0004.
    Sctp = 4,
    /// Transmission Control Protocol, parameter 0x0005.
    Tcp = 5,
    /// User Datagram Protocol, parameter 0x0006.
    Udp = 6,
    /// Lightweight User Datagram Protocol, parameter 0x0007.
    UdpLite = 7,
    /// An opaque transport address, parameter 0x0010.
    Opaque = 16,
}

/// As the scheme of a URL.
impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dccp => "dccp",
            Self::Sctp => "sctp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udp-lite",
            Self::Opaque => "opaque",
        })
    }
}

/// The transport use of a pool's service (RFC 5354, 3.4). A pool has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ChannelUse {
    /// User data only.
    Data = 0,
    /// User data and ASAP's control channel.
    DataAndControl = 1,
}

/// The PE checksum of one registrar's elements (RFC 5353, 3.6.2), as an
/// unfolded sum: sums of shards add up before [`PeChecksum::finish`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeChecksum {
    /// The 16-bit words, first byte high.
    words: u64,
    /// The bytes, modulo 2^32: with the words they give the sum of the words
    /// with the first byte low.
    bytes: u32,
}

impl PeChecksum {
    /// The share of one element: the 16-bit words of its pool handle, padded
    /// with zeros, and of its PE identifier.
    #[must_use]
    pub fn of(handle: PoolHandle<'_>, pe: PeId) -> Self {
        let name = handle.as_bytes();
        Self::of_parts(Self::words_of_handle(handle), Self::bytes_of(name), pe.get())
    }

    /// The sum of the words of a pool handle, of at most 65,535 bytes.
    pub(crate) fn words_of_handle(handle: PoolHandle<'_>) -> u32 {
        let words = handle.as_bytes().chunks(2).map(|word| {
            let high = word.first().copied().unwrap_or(0);
            let low = word.get(1).copied().unwrap_or(0);
            u32::from(u16::from_be_bytes([high, low]))
        });
        words.fold(0, u32::wrapping_add)
    }

    /// The sum of the bytes of a pool handle.
    pub(crate) fn bytes_of(name: &[u8]) -> u32 {
        name.iter().fold(0, |sum, &byte| sum.wrapping_add(byte.into()))
    }

    /// The share of one element from the sums of its handle.
    pub(crate) const fn of_parts(words: u32, bytes: u32, pe: u32) -> Self {
        let [a, b, c, d] = pe.to_be_bytes();
        Self {
            words: words as u64 + (pe >> 16) as u64 + (pe & 0xffff) as u64,
            bytes: bytes.wrapping_add(a as u32 + b as u32 + c as u32 + d as u32),
        }
    }

    /// Adds the share of an element or the sum of another shard.
    pub fn add(&mut self, other: Self) {
        self.words += other.words;
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }

    /// Takes away a share that was added before.
    pub fn subtract(&mut self, other: Self) {
        self.words -= other.words;
        self.bytes = self.bytes.wrapping_sub(other.bytes);
    }

    /// The unfolded sums as numbers, to carry them to another shard.
    #[must_use]
    pub const fn to_bits(self) -> (u64, u32) {
        (self.words, self.bytes)
    }

    /// The sums of [`PeChecksum::to_bits`].
    #[must_use]
    pub const fn from_bits((words, bytes): (u64, u32)) -> Self {
        Self { words, bytes }
    }

    /// The checksum on the wire: 0xffff for no element.
    #[must_use]
    pub const fn finish(self) -> u16 {
        !fold(self.words)
    }

    /// The checksum as rsplib has it on the wire. It loses what its sum of
    /// words, first byte low, carries beyond 32 bits: with several thousand
    /// elements it differs from [`PeChecksum::finish`].
    #[must_use]
    pub const fn finish_wrapped(self) -> u16 {
        // A word and the same word swapped make 257 times their bytes' sum.
        let [low_words, _] = halves(self.words);
        let swapped = self.bytes.wrapping_mul(257).wrapping_sub(low_words);
        (!fold(swapped as u64)).swap_bytes()
    }
}

/// The lower and the upper half.
const fn halves(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

/// The one's complement sum of the 16-bit words of a sum.
const fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [.., high, low] = sum.to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_equal_those_seen_on_the_wire() {
        let share = |handle: &str, pe| PeChecksum::of(PoolHandle::new(handle.as_bytes()), PeId(pe));
        assert_eq!(PeChecksum::default().finish(), 0xffff);
        assert_eq!(PeChecksum::default().finish_wrapped(), 0xffff);
        assert_eq!(share("PPPool", 0x0101_0101).finish(), 0xedd1);
        assert_eq!(share("PPPool", 0x0202_0202).finish(), 0xebcf);
        let mut both = share("PPPool", 0x0101_0101);
        both.add(share("PPPool", 0x0202_0202));
        assert_eq!(both.finish(), 0xd9a1);
        assert_eq!(share("EchoPool", 0x1122_3344).finish(), 0x4deb);
        assert_eq!(share("abcde", 1).finish(), 0xd637);
        assert_eq!(share("a", 0xffff_ffff).finish(), 0x9eff);
        assert_eq!(both.finish_wrapped(), 0xd9a1);
        both.subtract(share("PPPool", 0x0101_0101));
        both.subtract(share("PPPool", 0x0202_0202));
        assert_eq!(both.finish(), 0xffff);
    }
    #[test]
    fn beyond_32_bits_the_checksum_of_rsplib_is_another() {
        let handle = [b'z'; 32];
        let handle = PoolHandle::new(&handle);
        let mut sum = PeChecksum::default();
        let mut words = 0_u64;
        let mut wrapped = 0_u32;
        let mut first = None;
        for pe in 1..=20_000_u32 {
            sum.add(PeChecksum::of(handle, PeId(pe)));
            for word in handle.as_bytes().chunks(2).chain(pe.to_be_bytes().chunks(2)) {
                let &[one, two] = word else { unreachable!("all have two bytes") };
                words += u64::from(u16::from_be_bytes([one, two]));
                wrapped = wrapped.wrapping_add(u16::from_le_bytes([one, two]).into());
            }
            assert_eq!(sum.finish(), !fold(words));
            assert_eq!(sum.finish_wrapped(), (!fold(wrapped.into())).swap_bytes());
            if sum.finish() != sum.finish_wrapped() {
                first.get_or_insert_with(|| (pe, sum.finish(), sum.finish_wrapped()));
            }
        }
        // The carry that is lost counts one, the first byte low.
        assert_eq!(first, Some((8042, 0xc9b2, 0xcab2)));
    }
}
