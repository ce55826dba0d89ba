//! The socket options of the kernel's SCTP (RFC 6458 and `linux/sctp.h`), as
//! the bytes they are.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use libc::c_int;

use crate::sys::{
    Name, connect_sctp, get_option, native, native_u16, native_u32, set_int, set_option, word,
};
use crate::tuning::Tuning;

const SCTP: c_int = libc::IPPROTO_SCTP;
const RTOINFO: c_int = 0;
const ASSOCINFO: c_int = 1;
const INITMSG: c_int = 2;
const NODELAY: c_int = 3;
const AUTOCLOSE: c_int = 4;
const PEER_ADDR_PARAMS: c_int = 9;
const EVENTS: c_int = 11;
const FRAGMENT_INTERLEAVE: c_int = 18;
const RECVRCVINFO: c_int = 32;
const BINDX_ADD: c_int = 100;
const GET_PEER_ADDRS: c_int = 108;
const CONNECTX3: c_int = 111;
const EVENT: c_int = 127;
/// On Linux; elsewhere this number is another option.
const REMOTE_UDP_ENCAPS_PORT: c_int = 132;
/// The notification that everything sent was acknowledged.
const SENDER_DRY: u16 = 0x8009;
/// `SPP_HB_ENABLE`.
const HEARTBEATS_ON: u32 = 1;

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Puts bytes at a place of a structure.
fn put<const N: usize>(structure: &mut [u8], at: usize, bytes: [u8; N]) {
    structure[at..at + N].copy_from_slice(&bytes);
}

/// Sets everything of a socket that does not depend on its addresses.
pub(super) fn prepare(fd: BorrowedFd<'_>, tuning: &Tuning) -> io::Result<()> {
    // struct sctp_event_subscribe: data, association, address, send failure,
    // peer error, shutdown, partial delivery.
    set_option(fd, SCTP, EVENTS, &[0, 1, 0, 0, 0, 1, 1])?;
    set_int(fd, SCTP, RECVRCVINFO, 1)?;
    set_int(fd, SCTP, NODELAY, 1)?;
    set_int(fd, SCTP, AUTOCLOSE, 0)?;
    // A long message of one association does not hold up the others.
    set_int(fd, SCTP, FRAGMENT_INTERLEAVE, 1)?;

    // struct sctp_initmsg: streams out and in, attempts, longest time-out.
    let mut init = [0; 8];
    put(&mut init, 0, native_u16(tuning.streams));
    put(&mut init, 2, native_u16(tuning.streams));
    put(&mut init, 4, native_u16(tuning.init_retransmissions_max));
    let longest = u16::try_from(tuning.rto_max.as_millis()).unwrap_or(u16::MAX);
    put(&mut init, 6, native_u16(longest));
    set_option(fd, SCTP, INITMSG, &init)?;

    // struct sctp_rtoinfo: association, initial, maximum, minimum.
    let mut rto = [0; 16];
    put(&mut rto, 4, native_u32(milliseconds(tuning.rto_initial)));
    put(&mut rto, 8, native_u32(milliseconds(tuning.rto_max)));
    put(&mut rto, 12, native_u32(milliseconds(tuning.rto_min)));
    set_option(fd, SCTP, RTOINFO, &rto)?;

    // struct sctp_assocparams: association, retransmissions, and what we leave.
    // Without it a peer is given up by its paths' retransmissions added up.
    let mut association = [0; 20];
    put(&mut association, 4, native_u16(tuning.retransmissions_max));
    set_option(fd, SCTP, ASSOCINFO, &association)?;

    // struct sctp_paddrparams, packed: association, address, heartbeat
    // interval, retransmissions, path MTU, SACK delay, flags.
    let mut path = [0; 156];
    put(&mut path, 132, native_u32(milliseconds(tuning.heartbeat_interval)));
    put(&mut path, 136, native_u16(tuning.path_retransmissions_max));
    put(&mut path, 146, native_u32(HEARTBEATS_ON));
    set_option(fd, SCTP, PEER_ADDR_PARAMS, &path)
}

/// Sends everything to this UDP port of the peers (RFC 6951).
pub(super) fn encapsulate(fd: BorrowedFd<'_>, port: u16) -> io::Result<()> {
    // struct sctp_udpencaps: association, address, port in network order.
    let mut encapsulation = [0; 144];
    put(&mut encapsulation, 136, port.to_be_bytes());
    set_option(fd, SCTP, REMOTE_UDP_ENCAPS_PORT, &encapsulation)
}

/// Adds addresses to a bound socket.
pub(super) fn bind_more(fd: BorrowedFd<'_>, addresses: &[IpAddr], port: u16) -> io::Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    set_option(fd, SCTP, BINDX_ADD, &packed(addresses, port))
}

/// Begins an association with the peer that has these addresses.
pub(super) fn connect(fd: BorrowedFd<'_>, addresses: &[IpAddr], port: u16) -> io::Result<i32> {
    connect_sctp(fd, CONNECTX3, &packed(addresses, port))
}

/// The addresses as `sockaddr`s one behind the other.
fn packed(addresses: &[IpAddr], port: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28 * addresses.len());
    for address in addresses {
        let name = Name::of(SocketAddr::new(*address, port), false);
        bytes.extend_from_slice(name.bytes());
    }
    bytes
}

/// Asks to be told once when everything sent on an association has been
/// acknowledged, or not any more. Kernels before 5.0 cannot.
pub(super) fn tell_when_dry(fd: BorrowedFd<'_>, association: i32, on: bool) -> io::Result<()> {
    // struct sctp_event: association, type, on.
    let mut event = [0; 8];
    put(&mut event, 0, native(association));
    put(&mut event, 4, native_u16(SENDER_DRY));
    event[6] = u8::from(on);
    set_option(fd, SCTP, EVENT, &event)
}

/// The addresses of a peer.
pub(super) fn peer_addresses(fd: BorrowedFd<'_>, association: i32) -> Vec<SocketAddr> {
    // struct sctp_getaddrs: association, how many addresses, the addresses.
    let mut bytes = [0; 8 + 28 * 32];
    put(&mut bytes, 0, native(association));
    let Ok(length) = get_option(fd, SCTP, GET_PEER_ADDRS, &mut bytes) else { return Vec::new() };
    let mut count = [0; 4];
    count.copy_from_slice(&bytes[4..8]);
    unpacked(bytes.get(8..length.max(8)).unwrap_or_default(), word(count))
}

/// Up to so many `sockaddr`s one behind the other.
fn unpacked(mut rest: &[u8], count: u32) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for _ in 0..count {
        let Some(address) = crate::sys::address(rest) else { break };
        let v4 = Name::of(SocketAddr::from(([0; 4], 0)), false);
        let bytes = if rest[..2] == v4.bytes()[..2] { 16 } else { 28 };
        found.push(address);
        rest = rest.get(bytes..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_addresses_can_be_unpacked() {
        let addresses: Vec<IpAddr> =
            ["192.0.2.1", "2001:db8::1", "192.0.2.2"].map(|text| text.parse().unwrap()).to_vec();
        let bytes = packed(&addresses, 3863);
        assert_eq!(bytes.len(), 16 + 28 + 16);
        let found = unpacked(&bytes, 3);
        assert_eq!(found.iter().map(SocketAddr::ip).collect::<Vec<_>>(), addresses);
        assert!(found.iter().all(|address| address.port() == 3863));
        assert_eq!(unpacked(&bytes, 1).len(), 1);
        assert_eq!(unpacked(&bytes, 99).len(), 3);
        assert_eq!(unpacked(&bytes[..20], 3).len(), 1);
    }
}
