//! SCTP packets as bytes (RFC 9260 section 3): the common header, chunks,
//! parameters and the checksum. Reading never panics, whatever the bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the common header.
pub(crate) const HEADER: usize = 12;
/// Bytes of the shortest packet: the common header and one chunk header.
pub(crate) const PACKET_MIN: usize = HEADER + 4;

/// Chunk types (RFC 9260 section 3.2).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const ECNE: u8 = 12;
    pub(crate) const CWR: u8 = 13;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
}

/// Parameter types of INIT and INIT ACK (RFC 9260 section 3.3.2).
pub(crate) mod parameter {
    pub(crate) const IPV4: u16 = 5;
    pub(crate) const IPV6: u16 = 6;
    pub(crate) const STATE_COOKIE: u16 = 7;
    pub(crate) const UNRECOGNIZED: u16 = 8;
    pub(crate) const COOKIE_PRESERVATIVE: u16 = 9;
    pub(crate) const HOST_NAME: u16 = 11;
    pub(crate) const SUPPORTED_ADDRESSES: u16 = 12;
    pub(crate) const ECN: u16 = 0x8000;
    pub(crate) const PAD: u16 = 0x8005;
    pub(crate) const FORWARD_TSN: u16 = 0xc000;
    pub(crate) const ADAPTATION: u16 = 0xc006;
    pub(crate) const HEARTBEAT_INFO: u16 = 1;
}

/// Error causes (RFC 9260 section 3.3.10).
pub(crate) mod cause {
    pub(crate) const INVALID_STREAM: u16 = 1;
    pub(crate) const MISSING_PARAMETER: u16 = 2;
    pub(crate) const STALE_COOKIE: u16 = 3;
    pub(crate) const OUT_OF_RESOURCE: u16 = 4;
    pub(crate) const UNRESOLVABLE_ADDRESS: u16 = 5;
    pub(crate) const UNRECOGNIZED_CHUNK: u16 = 6;
    pub(crate) const UNRECOGNIZED_PARAMETERS: u16 = 8;
    pub(crate) const NO_USER_DATA: u16 = 9;
    pub(crate) const RESTART_WITH_NEW_ADDRESSES: u16 = 11;
    pub(crate) const USER_ABORT: u16 = 12;
    pub(crate) const PROTOCOL_VIOLATION: u16 = 13;
}

/// T bit of ABORT and SHUTDOWN COMPLETE: the tag is the sender's own.
pub(crate) const REFLECTED: u8 = 1;
/// E, B and I bits of DATA.
pub(crate) const LAST_FRAGMENT: u8 = 1;

/// `length` rounded up to the four bytes that chunks and parameters fill.
pub(crate) const fn padded(length: usize) -> usize {
    (length + 3) & !3
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(&[a, b]) => u16::from_be_bytes([a, b]),
        _ => 0,
    }
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// The common header without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) tag: u32,
}

impl Header {
    /// The header of a packet that is long enough to have a chunk.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        (packet.len() >= PACKET_MIN).then(|| Self {
            source_port: be16(packet, 0),
            destination_port: be16(packet, 2),
            tag: be32(packet, 4),
        })
    }
}

/// Whether the CRC32c of the packet is right (RFC 9260 section 6.8).
pub(crate) fn checksum_holds(packet: &[u8]) -> bool {
    let Some((header, chunks)) = packet.split_at_checked(HEADER) else { return false };
    let crc = crc32c::crc32c(&header[..8]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, chunks).to_le_bytes() == header[8..]
}

/// Whether the checksum field is zero, as in packets that never left a host.
pub(crate) fn checksum_is_absent(packet: &[u8]) -> bool {
    packet.get(8..HEADER) == Some(&[0; 4])
}

/// Writes the CRC32c into the packet.
pub(crate) fn seal(packet: &mut [u8]) {
    if packet.len() >= HEADER {
        packet[8..HEADER].fill(0);
        let crc = crc32c::crc32c(packet);
        packet[8..HEADER].copy_from_slice(&crc.to_le_bytes());
    }
}

/// One chunk in a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) value: &'a [u8],
    /// The chunk with its header and, as far as it is there, its padding.
    pub(crate) whole: &'a [u8],
}

/// The chunks of a packet. Ends early at the first one whose length lies.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    pub(crate) fn of(packet: &'a [u8]) -> Self {
        Self { rest: packet.get(HEADER..).unwrap_or_default() }
    }

    /// Nothing follows that could be a chunk, not even a broken one.
    pub(crate) fn is_finished(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let header = self.rest.get(..4)?;
        let length = usize::from(be16(header, 2));
        let value = self.rest.get(4..length)?;
        let (whole, rest) = self.rest.split_at(padded(length).min(self.rest.len()));
        self.rest = rest;
        Some(Chunk { kind: header[0], flags: header[1], value, whole })
    }
}

/// A parameter or error cause: its type, its value, and both with the header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// The parameters in `rest`. Ends early at the first one whose length lies.
pub(crate) fn parameters(mut rest: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    std::iter::from_fn(move || {
        let header = rest.get(..4)?;
        let length = usize::from(be16(header, 2));
        let value = rest.get(4..length)?;
        let whole = &rest[..length];
        rest = &rest[padded(length).min(rest.len())..];
        Some(Parameter { kind: be16(header, 0), value, whole })
    })
}

/// An address parameter as an address.
pub(crate) fn address(parameter: Parameter<'_>) -> Option<IpAddr> {
    match parameter.kind {
        parameter::IPV4 => {
            <[u8; 4]>::try_from(parameter.value).ok().map(|octets| Ipv4Addr::from(octets).into())
        }
        parameter::IPV6 => {
            <[u8; 16]>::try_from(parameter.value).ok().map(|octets| Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

/// The fixed part and the parameters of an INIT or INIT ACK.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Init<'a> {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    pub(crate) tsn: u32,
    pub(crate) parameters: &'a [u8],
}

impl<'a> Init<'a> {
    /// `None`: too short, or a field that must not be zero is (section 3.3.2).
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let (fixed, parameters) = value.split_at_checked(16)?;
        let init = Self {
            tag: be32(fixed, 0),
            window: be32(fixed, 4),
            outbound: be16(fixed, 8),
            inbound: be16(fixed, 10),
            tsn: be32(fixed, 12),
            parameters,
        };
        (init.tag != 0 && init.outbound != 0 && init.inbound != 0).then_some(init)
    }

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.tag.to_be_bytes());
        into.extend_from_slice(&self.window.to_be_bytes());
        into.extend_from_slice(&self.outbound.to_be_bytes());
        into.extend_from_slice(&self.inbound.to_be_bytes());
        into.extend_from_slice(&self.tsn.to_be_bytes());
    }
}

/// A packet being written.
#[derive(Debug)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
}

impl Packet {
    pub(crate) fn new(source_port: u16, destination_port: u16, tag: u32) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&source_port.to_be_bytes());
        bytes.extend_from_slice(&destination_port.to_be_bytes());
        bytes.extend_from_slice(&tag.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes }
    }

    /// The answer to a packet with this header.
    pub(crate) fn reply(header: Header, tag: u32) -> Self {
        Self::new(header.destination_port, header.source_port, tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn chunk(mut self, kind: u8, flags: u8, value: &[u8]) -> Self {
        let at = self.open_chunk(kind, flags);
        self.bytes.extend_from_slice(value);
        self.close_chunk(at);
        self
    }

    /// Appends a chunk as it came.
    pub(crate) fn raw(&mut self, whole: &[u8]) {
        self.bytes.extend_from_slice(whole);
        self.bytes.resize(padded(self.bytes.len()), 0);
    }

    /// An ABORT or ERROR with one cause.
    pub(crate) fn cause(self, kind: u8, flags: u8, cause: u16, data: &[u8]) -> Self {
        let mut value = Vec::with_capacity(4 + data.len());
        put_parameter(&mut value, cause, data);
        self.chunk(kind, flags, &value)
    }

    /// An INIT or INIT ACK; parameters may follow until the chunk is closed.
    pub(crate) fn init(&mut self, kind: u8, init: &Init<'_>) -> usize {
        let at = self.open_chunk(kind, 0);
        init.write(&mut self.bytes);
        self.bytes.extend_from_slice(init.parameters);
        at
    }

    pub(crate) fn parameter(&mut self, kind: u16, value: &[u8]) {
        put_parameter(&mut self.bytes, kind, value);
    }

    pub(crate) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(ip) => self.parameter(parameter::IPV4, &ip.octets()),
            IpAddr::V6(ip) => self.parameter(parameter::IPV6, &ip.octets()),
        }
    }

    fn open_chunk(&mut self, kind: u8, flags: u8) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[kind, flags, 0, 0]);
        at
    }

    /// Writes the length of the chunk that was opened at `at` and pads it.
    pub(crate) fn close_chunk(&mut self, at: usize) {
        let length = u16::try_from(self.bytes.len() - at).unwrap_or(u16::MAX);
        self.bytes[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
        self.bytes.resize(padded(self.bytes.len()), 0);
    }

    /// The packet with its checksum.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        seal(&mut self.bytes);
        self.bytes
    }

    /// The packet without a checksum, for a reader that does not look at it.
    pub(crate) fn finish_unsealed(self) -> Vec<u8> {
        self.bytes
    }
}

/// Writes a parameter and pads it to four bytes.
pub(crate) fn put_parameter(into: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    into.extend_from_slice(&kind.to_be_bytes());
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(value);
    into.resize(padded(into.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_packet_has_a_checksum_that_holds() {
        let packet = Packet::new(3863, 9901, 7).chunk(kind::COOKIE_ACK, 0, &[]).finish();
        assert_eq!(packet.len(), PACKET_MIN);
        assert!(checksum_holds(&packet));
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!checksum_holds(&flipped), "bit {bit}");
        }
    }

    #[test]
    fn chunks_end_where_a_length_lies() {
        let mut packet = Packet::new(1, 2, 3);
        packet.raw(&[kind::SHUTDOWN_ACK, 0, 0, 4]);
        packet.raw(&[kind::DATA, 0, 0xff, 0xff]);
        let bytes = packet.finish();
        let mut chunks = Chunks::of(&bytes);
        assert_eq!(chunks.next().map(|chunk| chunk.kind), Some(kind::SHUTDOWN_ACK));
        assert!(chunks.next().is_none());
        assert!(!chunks.is_finished());
    }

    #[test]
    fn a_chunk_shorter_than_its_header_ends_the_packet() {
        for length in 0..4 {
            let mut packet = Packet::new(1, 2, 3);
            packet.raw(&[kind::DATA, 0, 0, length]);
            assert!(Chunks::of(&packet.finish()).next().is_none());
        }
    }

    #[test]
    fn addresses_round_trip_through_an_init() {
        let mut packet = Packet::new(1, 2, 0);
        let init = Init { tag: 9, window: 1500, outbound: 1, inbound: 2, tsn: 5, parameters: &[] };
        let at = packet.init(kind::INIT, &init);
        packet.address("192.0.2.1".parse().unwrap());
        packet.address("2001:db8::1".parse().unwrap());
        packet.close_chunk(at);
        let bytes = packet.finish();
        let chunk = Chunks::of(&bytes).next().unwrap();
        let read = Init::read(chunk.value).unwrap();
        assert_eq!(
            (read.tag, read.window, read.outbound, read.inbound, read.tsn),
            (9, 1500, 1, 2, 5)
        );
        let found: Vec<String> = parameters(read.parameters)
            .filter_map(address)
            .map(|address| address.to_string())
            .collect();
        assert_eq!(found, ["192.0.2.1", "2001:db8::1"]);
    }
}
