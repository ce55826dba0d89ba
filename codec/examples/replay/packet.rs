//! The ASAP and ENRP messages in a packet.

use rserpool_codec::{asap, enrp};

use crate::Protocol;
use crate::capture::Link;

/// The port of SCTP over UDP (RFC 6951).
const SCTP_OVER_UDP: u16 = 9899;

/// The type of a DATA chunk, and the flags of one that holds a whole message.
const DATA: u8 = 0;
const WHOLE: u8 = 0b11;

/// The messages in a packet.
pub(crate) fn messages(link: Link, packet: &[u8]) -> Vec<(Protocol, &[u8])> {
    network(link, packet).and_then(transport).unwrap_or_default()
}

/// What comes after the link's header.
fn network(link: Link, packet: &[u8]) -> Option<&[u8]> {
    let header = match link {
        0 => 4,
        1 if half(packet, 12)? == 0x8100 => 18,
        1 => 14,
        101 => 0,
        113 => 16,
        276 => 20,
        _ => return None,
    };
    packet.get(header..)
}

fn transport(packet: &[u8]) -> Option<Vec<(Protocol, &[u8])>> {
    let (protocol, payload) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet.first()? & 0xf) * 4;
            let end = usize::from(half(packet, 2)?);
            (*packet.get(9)?, packet.get(header..end)?)
        }
        6 => {
            let end = 40 + usize::from(half(packet, 4)?);
            (*packet.get(6)?, packet.get(40..end)?)
        }
        _ => return None,
    };
    match protocol {
        132 => Some(sctp(payload)),
        17 => udp(payload),
        _ => None,
    }
}

fn udp(datagram: &[u8]) -> Option<Vec<(Protocol, &[u8])>> {
    let (from, to) = (half(datagram, 0)?, half(datagram, 2)?);
    let payload = datagram.get(8..usize::from(half(datagram, 4)?))?;
    if from == SCTP_OVER_UDP || to == SCTP_OVER_UDP {
        Some(sctp(payload))
    } else if to == asap::PORT {
        Some(vec![(Protocol::Asap, payload)])
    } else if to == enrp::PORT {
        Some(vec![(Protocol::Enrp, payload)])
    } else {
        None
    }
}

/// The user messages in a packet; those that span several are left out.
fn sctp(packet: &[u8]) -> Vec<(Protocol, &[u8])> {
    let mut messages = Vec::new();
    let mut rest = packet.get(12..).unwrap_or_default();
    while let Some(length) = half(rest, 2).map(usize::from).filter(|length| *length >= 4) {
        if let Some(chunk) = rest.get(16..length)
            && rest.first() == Some(&DATA)
            && rest.get(1).is_some_and(|flags| flags & WHOLE == WHOLE)
        {
            match word(rest, 12) {
                Some(asap::PPID) => messages.push((Protocol::Asap, chunk)),
                Some(enrp::PPID) => messages.push((Protocol::Enrp, chunk)),
                _ => {}
            }
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
