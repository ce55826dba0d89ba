//! From a captured packet to what TCP, UDP or SCTP carry.

use std::net::IpAddr;

use etherparse::defrag::IpDefragPool;
use etherparse::{
    EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket, TcpSlice, UdpSlice,
};

use crate::file::{Link, Packet};

/// Parts of datagrams are kept for so many packets.
const FRAGMENTS_KEPT: u64 = 1000;

/// What an IP datagram carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) content: Content<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Sctp(&'a [u8]),
    Udp { from: u16, to: u16, bytes: &'a [u8] },
    Tcp { from: u16, to: u16, segment: Segment<'a> },
}

/// A piece of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) sequence: u32,
    pub(crate) syn: bool,
    /// It is over: FIN or RST.
    pub(crate) end: bool,
    pub(crate) bytes: &'a [u8],
}

/// Puts fragments together.
#[derive(Debug, Default)]
pub(crate) struct Network {
    fragments: IpDefragPool<u64, ()>,
    last_cleared: u64,
}

impl Network {
    /// Gives what a packet carries, if it is complete and one of the three.
    pub(crate) fn receive(&mut self, packet: &Packet<'_>, take: impl FnOnce(Datagram<'_>)) {
        // Strictly first: what has a wrong length is no fragment to keep.
        if let Some(sliced) = sliced(packet)
            && sliced.is_ip_payload_fragmented()
        {
            self.fragment(packet.number, &sliced, take);
            return;
        }
        // A packet that the network card cut up later has no length.
        if let Some(sliced) = lax(packet)
            && let Some((from, to)) = lax_addresses(&sliced)
            && let Some(ip) = sliced.ip_payload()
            && !ip.fragmented
            && let Some(content) = content(ip.ip_number, ip.payload)
        {
            take(Datagram { from, to, content });
        }
    }

    fn fragment(
        &mut self,
        number: u64,
        sliced: &SlicedPacket<'_>,
        take: impl FnOnce(Datagram<'_>),
    ) {
        if number > self.last_cleared + FRAGMENTS_KEPT {
            let oldest = number - FRAGMENTS_KEPT;
            self.fragments.retain(|last| *last >= oldest);
            self.last_cleared = number;
        }
        // Those that do not fit together are none of ours.
        if let Ok(Some(whole)) = self.fragments.process_sliced_packet(sliced, number, ()) {
            if let Some((from, to)) = addresses(sliced)
                && let Some(content) = content(whole.ip_number, &whole.payload)
            {
                take(Datagram { from, to, content });
            }
            self.fragments.return_buf(whole);
        }
    }
}

/// Where the network layer is, and what it is where that is said elsewhere.
enum Inside<'a> {
    Ethernet(&'a [u8]),
    Typed(EtherType, &'a [u8]),
    Ip(&'a [u8]),
}

fn inside<'a>(packet: &Packet<'a>) -> Option<Inside<'a>> {
    let bytes = packet.bytes;
    match packet.link {
        Link::Ethernet => Some(Inside::Ethernet(bytes)),
        Link::Cooked => typed(bytes, 14, 16),
        Link::Cooked2 => typed(bytes, 0, 20),
        Link::Loopback => Some(Inside::Ip(bytes.get(4..)?)),
        Link::Raw => Some(Inside::Ip(bytes)),
        Link::Unknown(_) => None,
    }
}

/// After a header of so many bytes, which has the EtherType somewhere.
fn typed(bytes: &[u8], kind_at: usize, header: usize) -> Option<Inside<'_>> {
    let kind = bytes.get(kind_at..)?.first_chunk()?;
    Some(Inside::Typed(EtherType(u16::from_be_bytes(*kind)), bytes.get(header..)?))
}

fn sliced<'a>(packet: &Packet<'a>) -> Option<SlicedPacket<'a>> {
    match inside(packet)? {
        Inside::Ethernet(bytes) => SlicedPacket::from_ethernet(bytes).ok(),
        Inside::Typed(kind, bytes) => SlicedPacket::from_ether_type(kind, bytes).ok(),
        Inside::Ip(bytes) => SlicedPacket::from_ip(bytes).ok(),
    }
}

fn lax<'a>(packet: &Packet<'a>) -> Option<LaxSlicedPacket<'a>> {
    match inside(packet)? {
        Inside::Ethernet(bytes) => LaxSlicedPacket::from_ethernet(bytes).ok(),
        Inside::Typed(kind, bytes) => Some(LaxSlicedPacket::from_ether_type(kind, bytes)),
        Inside::Ip(bytes) => LaxSlicedPacket::from_ip(bytes).ok(),
    }
}

fn addresses(sliced: &SlicedPacket<'_>) -> Option<(IpAddr, IpAddr)> {
    match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        NetSlice::Arp(_) => None,
    }
}

fn lax_addresses(sliced: &LaxSlicedPacket<'_>) -> Option<(IpAddr, IpAddr)> {
    match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

fn content(kind: IpNumber, bytes: &[u8]) -> Option<Content<'_>> {
    match kind {
        IpNumber::SCTP => Some(Content::Sctp(bytes)),
        IpNumber::UDP => {
            let udp = UdpSlice::from_slice_lax(bytes).ok()?;
            let (from, to) = (udp.source_port(), udp.destination_port());
            Some(Content::Udp { from, to, bytes: udp.payload() })
        }
        IpNumber::TCP => {
            let tcp = TcpSlice::from_slice(bytes).ok()?;
            let segment = Segment {
                sequence: tcp.sequence_number(),
                syn: tcp.syn(),
                end: tcp.fin() || tcp.rst(),
                bytes: tcp.payload(),
            };
            let (from, to) = (tcp.source_port(), tcp.destination_port());
            Some(Content::Tcp { from, to, segment })
        }
        _ => None,
    }
}
