//! The packets of a capture file, pcap or pcapng.

use std::fmt;
use std::io::{self, Cursor, Read};

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

/// Bytes of the file read at once, and the longest block without more.
const BUFFER: usize = 128 * 1024;
/// Bytes of the header of a pcap file; a first block of pcapng is longer.
const PCAP_HEADER: u64 = 24;
/// The longest block taken.
const BLOCK_MAX: usize = 16 << 20;
/// Most interfaces of a section.
const INTERFACES_MAX: usize = 4096;

/// When a packet was captured, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i128);

impl Time {
    const SECOND: i128 = 1_000_000_000;

    /// Seconds since another time.
    #[expect(clippy::cast_precision_loss, reason = "more digits than a capture has are lost")]
    pub(crate) fn since(self, other: Self) -> f64 {
        (self.0 - other.0) as f64 / Self::SECOND as f64
    }
}

/// What the bytes of a packet begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Ethernet,
    /// Linux "any" interface, first version.
    Cooked,
    /// The second version.
    Cooked2,
    /// Four bytes of an address family.
    Loopback,
    /// An IP header.
    Raw,
    /// A LINKTYPE that is not known here.
    Unknown(i32),
}

impl Link {
    /// From the registry of tcpdump.org.
    const fn of(linktype: i32) -> Self {
        match linktype {
            1 => Self::Ethernet,
            0 | 108 => Self::Loopback,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            other => Self::Unknown(other),
        }
    }
}

/// A packet.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    /// Its number in the file, from 1.
    pub(crate) number: u64,
    pub(crate) time: Time,
    pub(crate) link: Link,
    pub(crate) bytes: &'a [u8],
}

/// Why a file, or the rest of it, cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is no capture.
    NoCapture,
    /// It ends within a block or packet, at this byte.
    Cut(usize),
    /// A block is longer than any is.
    TooLong(usize),
    /// A block makes no sense.
    Block(usize),
    /// The system does not give it.
    Unreadable,
}

impl std::error::Error for Broken {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCapture => f.write_str("neither a pcap nor a pcapng file"),
            Self::Cut(at) => write!(f, "the file ends within a block that begins at byte {at}"),
            Self::TooLong(at) => write!(f, "the block at byte {at} is longer than {BLOCK_MAX}"),
            Self::Block(at) => write!(f, "the block at byte {at} makes no sense"),
            Self::Unreadable => f.write_str("the file cannot be read"),
        }
    }
}

/// The header of a pcap file, or the first block of a pcapng file, as far as
/// it is there.
fn header(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.by_ref().take(PCAP_HEADER).read_to_end(&mut head)?;
    let length = match head.get(..12) {
        Some(&[0x0a, 0x0d, 0x0d, 0x0a, a, b, c, d, 0x1a, 0x2b, 0x3c, 0x4d]) => {
            u32::from_be_bytes([a, b, c, d])
        }
        Some(&[0x0a, 0x0d, 0x0d, 0x0a, a, b, c, d, ..]) => u32::from_le_bytes([a, b, c, d]),
        _ => return Ok(head),
    };
    let length = u64::from(length).min(BUFFER as u64);
    file.by_ref().take(length.saturating_sub(PCAP_HEADER)).read_to_end(&mut head)?;
    Ok(head)
}

/// Goes over the packets of a file in their order.
pub(crate) fn each_packet(
    mut file: impl Read + Send,
    mut take: impl FnMut(&Packet<'_>),
) -> Result<(), Broken> {
    // The reader wants all of the header at once, and a pipe may give less.
    let head = header(&mut file).map_err(|_| Broken::Unreadable)?;
    let file = Cursor::new(head).chain(file);
    let mut reader = create_reader(BUFFER, file).map_err(|error| match error {
        PcapError::ReadError => Broken::Unreadable,
        PcapError::Eof
        | PcapError::BufferTooSmall
        | PcapError::UnexpectedEof
        | PcapError::Incomplete(_)
        | PcapError::HeaderNotRecognized
        | PcapError::NomError(..)
        | PcapError::OwnedNomError(..) => Broken::NoCapture,
    })?;
    let mut format = Format::default();
    let mut room = BUFFER;
    let mut number = 0;
    loop {
        let at = reader.consumed();
        match reader.next() {
            Ok((length, block)) => {
                if let Some((time, link, bytes)) = format.packet(&block, &mut number) {
                    take(&Packet { number, time, link, bytes });
                }
                reader.consume(length);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::UnexpectedEof) => return Err(Broken::Cut(at)),
            Err(PcapError::ReadError) => return Err(Broken::Unreadable),
            Err(more @ (PcapError::Incomplete(_) | PcapError::BufferTooSmall)) => {
                if matches!(more, PcapError::BufferTooSmall) {
                    if room >= BLOCK_MAX {
                        return Err(Broken::TooLong(at));
                    }
                    room *= 2;
                    reader.grow(room);
                }
                reader.refill().map_err(|_| Broken::Unreadable)?;
            }
            Err(
                PcapError::HeaderNotRecognized
                | PcapError::NomError(..)
                | PcapError::OwnedNomError(..),
            ) => {
                return Err(Broken::Block(at));
            }
        }
    }
}

/// An interface that was captured at.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: Link,
    /// As in the option `if_tsresol`.
    resolution: u8,
    /// Seconds to add.
    offset: i64,
}

impl Interface {
    /// The time in its units.
    fn time(&self, high: u32, low: u32) -> Time {
        let units = i128::from(high) << 32 | i128::from(low);
        let exponent = u32::from(self.resolution & 0x7f);
        let nanos = if self.resolution & 0x80 != 0 {
            (units * Time::SECOND) >> exponent.min(127)
        } else if exponent <= 9 {
            units * 10_i128.pow(9 - exponent)
        } else {
            units / 10_i128.pow((exponent - 9).min(38))
        };
        Time(nanos + i128::from(self.offset) * Time::SECOND)
    }
}

/// What the file has said about the packets to come.
#[derive(Debug, Default)]
struct Format {
    interfaces: Vec<Interface>,
    /// In a pcap file: nanoseconds of the smaller unit of its times.
    fraction: i128,
}

impl Format {
    /// The packet in a block, if there is one. Counts it.
    fn packet<'a>(
        &mut self,
        block: &'a PcapBlockOwned<'_>,
        number: &mut u64,
    ) -> Option<(Time, Link, &'a [u8])> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.fraction = if header.is_nanosecond_precision() { 1 } else { 1000 };
                let link = Link::of(header.network.0 & 0x0fff_ffff);
                self.interfaces = vec![Interface { link, resolution: 6, offset: 0 }];
                None
            }
            PcapBlockOwned::Legacy(packet) => {
                *number += 1;
                let seconds = i128::from(packet.ts_sec) * Time::SECOND;
                let time = Time(seconds + i128::from(packet.ts_usec) * self.fraction);
                Some((time, self.interfaces.first()?.link, packet.data))
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                if self.interfaces.len() < INTERFACES_MAX {
                    let link = Link::of(interface.linktype.0);
                    let (resolution, offset) = (interface.if_tsresol, interface.if_tsoffset);
                    self.interfaces.push(Interface { link, resolution, offset });
                }
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                *number += 1;
                let interface = self.interfaces.get(usize::try_from(packet.if_id).ok()?)?;
                let time = interface.time(packet.ts_high, packet.ts_low);
                let length = usize::try_from(packet.caplen).ok()?;
                let bytes = packet.data.get(..length).unwrap_or(packet.data);
                Some((time, interface.link, bytes))
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                *number += 1;
                let link = self.interfaces.first()?.link;
                let length = usize::try_from(packet.orig_len()).ok()?;
                let bytes = packet.data.get(..length).unwrap_or(packet.data);
                Some((Time::default(), link, bytes))
            }
            PcapBlockOwned::NG(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_resolution_are_nanoseconds() {
        let time = |resolution, offset, units: u64| {
            let interface = Interface { link: Link::Raw, resolution, offset };
            let half = |bytes: u64| u32::try_from(bytes & u64::from(u32::MAX)).unwrap();
            let (high, low) = (half(units >> 32), half(units));
            interface.time(high, low).0
        };
        assert_eq!(time(6, 0, 1_500_000), 1_500_000_000);
        assert_eq!(time(9, 0, 1_500_000_000), 1_500_000_000);
        assert_eq!(time(12, 0, 1_500_000_000_000), 1_500_000_000);
        assert_eq!(time(0, -1, 3), 2_000_000_000);
        assert_eq!(time(0x80 | 1, 0, 3), 1_500_000_000);
        // Whatever a file says, there is a time.
        for resolution in 0..=255 {
            time(resolution, i64::MAX, u64::MAX);
        }
    }

    #[test]
    fn what_is_no_capture_is_told() {
        for bytes in [b"".as_slice(), b"#!/bin/sh\n", &[0; 1000]] {
            assert_eq!(each_packet(bytes, |_| panic!("a packet")), Err(Broken::NoCapture));
        }
    }
}
