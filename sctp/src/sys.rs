//! The system calls that no safe wrapper has: socket options as bytes,
//! messages with control data, several datagrams at once. The only file of
//! this crate with unsafe code.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, c_void, iovec, mmsghdr, msghdr, socklen_t};

use crate::link::Received;

/// Bytes of the longest address: that of IPv6.
const NAME: usize = 28;
/// Bytes of control data a message may come or leave with.
const CONTROL: usize = 128;
/// Control messages begin at multiples of this.
const WORD: usize = size_of::<usize>();
/// Bytes of a control message's header.
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();

/// Sets a socket option; the bytes are what the kernel reads.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let pointer = value.as_ptr().cast::<c_void>();
    // SAFETY: the kernel reads `length` bytes at `pointer`, which is `value`.
    // No option that callers pass holds an address.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) })?;
    Ok(())
}

/// Sets a socket option that is an `int`.
pub(crate) fn set_int(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    set_option(fd, level, name, &native(value))
}

/// Reads a socket option, given what is to be found in it; its length.
pub(crate) fn get_option(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &mut [u8],
) -> io::Result<usize> {
    let mut length = socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let pointer = value.as_mut_ptr().cast::<c_void>();
    // SAFETY: the kernel reads and writes at most `length` bytes at `pointer`,
    // which is `value`, and writes how many it wrote to `length`.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, pointer, &raw mut length) })?;
    Ok(usize::try_from(length).unwrap_or(0).min(value.len()))
}

/// Lets a classic BPF program choose among the sockets of a port; its result
/// is the number of the socket, in the order they were bound.
pub(crate) fn attach_reuseport_filter(
    fd: BorrowedFd<'_>,
    program: &[libc::sock_filter],
) -> io::Result<()> {
    // SAFETY: both fields of a `sock_fprog` may be zero.
    let mut filter: libc::sock_fprog = unsafe { zeroed() };
    filter.len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    filter.filter = program.as_ptr().cast_mut();
    let length = socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or(0);
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
    let pointer = (&raw const filter).cast::<c_void>();
    // SAFETY: `filter` describes `program`, which the kernel only reads, and
    // only during the call; both outlive it.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) })?;
    Ok(())
}

/// What `SCTP_SOCKOPT_CONNECTX3` takes and gives: in, the addresses and how
/// many bytes they have; out, the association.
#[repr(C)]
struct Connect {
    association: i32,
    bytes: c_int,
    addresses: *const u8,
}

/// Begins an association from a one-to-many SCTP socket, without waiting for
/// it, and tells its identifier. `addresses` are packed `sockaddr`s.
pub(crate) fn connect_sctp(fd: BorrowedFd<'_>, name: c_int, addresses: &[u8]) -> io::Result<i32> {
    let mut request = Connect {
        association: 0,
        bytes: c_int::try_from(addresses.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        addresses: addresses.as_ptr(),
    };
    let mut length = socklen_t::try_from(size_of::<Connect>()).unwrap_or(0);
    let pointer = (&raw mut request).cast::<c_void>();
    let (fd, level) = (fd.as_raw_fd(), libc::IPPROTO_SCTP);
    // SAFETY: `request` has the layout of `struct sctp_getaddrs_old`, and its
    // pointer leads to as many bytes as it says, which the kernel only reads.
    // The kernel writes at most `length` bytes to it.
    match check(unsafe { libc::getsockopt(fd, level, name, pointer, &raw mut length) }) {
        Ok(_) => Ok(request.association),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(request.association),
        Err(error) => Err(error),
    }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Bytes at an address that any structure of the kernel may have.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
struct Aligned<const N: usize>([u8; N]);

/// A socket address as the kernel has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    bytes: Aligned<NAME>,
    length: usize,
}

impl Name {
    const fn empty() -> Self {
        Self { bytes: Aligned([0; NAME]), length: 0 }
    }

    /// `mapped`: an IPv4 address as an IPv6 socket wants it.
    pub(crate) fn of(address: SocketAddr, mapped: bool) -> Self {
        let mut name = Self::empty();
        let bytes = &mut name.bytes.0;
        match address {
            SocketAddr::V4(v4) if !mapped => {
                bytes[..2].copy_from_slice(&family(libc::AF_INET));
                bytes[2..4].copy_from_slice(&v4.port().to_be_bytes());
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                name.length = 16;
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => {
                let (ip, scope) = match address {
                    SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
                    SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
                };
                bytes[..2].copy_from_slice(&family(libc::AF_INET6));
                bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
                bytes[8..24].copy_from_slice(&ip.octets());
                bytes[24..28].copy_from_slice(&native_u32(scope));
                name.length = 28;
            }
        }
        name
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes.0[..self.length]
    }

    fn address(&self) -> Option<SocketAddr> {
        address(self.bytes())
    }
}

/// The address in a `sockaddr`; IPv4 in IPv6 clothes is IPv4.
pub(crate) fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    if bytes[..2] == family(libc::AF_INET) {
        let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        return Some(SocketAddr::new(Ipv4Addr::from(octets).into(), port));
    }
    if bytes[..2] == family(libc::AF_INET6) {
        let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
        let ip = Ipv6Addr::from(octets);
        let scope = word(bytes.get(24..28)?.try_into().ok()?);
        return Some(match ip.to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), port),
            None => SocketAddrV6::new(ip, port, 0, scope).into(),
        });
    }
    None
}

/// Control data of one message.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    bytes: Aligned<CONTROL>,
    length: usize,
}

impl Control {
    pub(crate) const fn empty() -> Self {
        Self { bytes: Aligned([0; CONTROL]), length: 0 }
    }

    /// Appends a control message, if it fits.
    pub(crate) fn put(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        let begin = self.length;
        let end = begin + (CONTROL_HEADER + data.len()).next_multiple_of(WORD);
        let Some(bytes) = self.bytes.0.get_mut(begin..end) else { return };
        bytes.fill(0);
        bytes[..WORD].copy_from_slice(&native_size(CONTROL_HEADER + data.len()));
        bytes[CONTROL_HEADER - 8..CONTROL_HEADER - 4].copy_from_slice(&native(level));
        bytes[CONTROL_HEADER - 4..CONTROL_HEADER].copy_from_slice(&native(kind));
        bytes[CONTROL_HEADER..CONTROL_HEADER + data.len()].copy_from_slice(data);
        self.length = end;
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.0.get(..self.length).unwrap_or_default()
    }

    /// The data of the first control message of this kind.
    fn find(&self, level: c_int, kind: c_int) -> Option<&[u8]> {
        find_control(self.bytes(), level, kind)
    }

    /// From which of our addresses a datagram is to leave.
    fn put_source(&mut self, source: IpAddr, mapped: bool) {
        match source {
            IpAddr::V4(ip) if !mapped => {
                // struct in_pktinfo: interface, source, destination.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                self.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V4(_) | IpAddr::V6(_) => {
                let ip = match source {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                // struct in6_pktinfo: address, interface.
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                self.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// To which of our addresses a datagram came; `None` also if it came to a
    /// group or to everybody.
    fn destination(&self) -> Option<IpAddr> {
        if let Some(info) = self.find(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
            let octets: [u8; 16] = info.get(..16)?.try_into().ok()?;
            let ip = IpAddr::from(octets).to_canonical();
            return (!ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)).then_some(ip);
        }
        let info = self.find(libc::IPPROTO_IP, libc::IP_PKTINFO)?;
        let local: [u8; 4] = info.get(4..8)?.try_into().ok()?;
        let addressed: [u8; 4] = info.get(8..12)?.try_into().ok()?;
        (local == addressed).then(|| IpAddr::from(local))
    }
}

/// The data of the first control message of this kind.
pub(crate) fn find_control(mut rest: &[u8], level: c_int, kind: c_int) -> Option<&[u8]> {
    loop {
        let header = rest.get(..CONTROL_HEADER)?;
        let length = size(header.get(..WORD)?.try_into().ok()?);
        let data = rest.get(CONTROL_HEADER..length)?;
        let has = |at: usize, value: c_int| header[at..at + 4] == native(value);
        if has(CONTROL_HEADER - 8, level) && has(CONTROL_HEADER - 4, kind) {
            return Some(data);
        }
        rest = rest.get(length.next_multiple_of(WORD)..)?;
    }
}

/// Whether further messages follow at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    Follow,
    None,
}

/// Sends one message whole, or not at all, without waiting.
pub(crate) fn send_message(
    fd: BorrowedFd<'_>,
    data: &[u8],
    control: &Control,
    more: More,
) -> io::Result<()> {
    let mut vector = iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut header = header(&raw mut vector);
    header.msg_control = control.bytes.0.as_ptr().cast_mut().cast();
    header.msg_controllen = control.length;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let flags = if more == More::Follow { flags | libc::MSG_MORE } else { flags };
    // SAFETY: `header` points to `control` and `vector`, and `vector` to
    // `data`, with their true lengths. The kernel only reads them, although
    // the structure says otherwise.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A message header with one vector and nothing else.
fn header(vector: *mut iovec) -> msghdr {
    // SAFETY: all of a `msghdr`'s fields may be zero.
    let mut header: msghdr = unsafe { zeroed() };
    header.msg_iov = vector;
    header.msg_iovlen = 1;
    header
}

/// Datagrams or messages received or sent by one system call.
pub(crate) const BATCH: usize = 32;
/// Bytes of the longest datagram.
pub(crate) const DATAGRAM_MAX: usize = 65_536;

/// Room for a batch of received datagrams or messages.
#[derive(Debug)]
pub(crate) struct ReceiveBatch {
    buffers: Vec<u8>,
    /// Bytes of each buffer.
    room: usize,
    names: Vec<Name>,
    controls: Vec<Control>,
    lengths: [usize; BATCH],
    flags: [c_int; BATCH],
}

impl ReceiveBatch {
    /// With so many bytes for each, at least one.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            buffers: vec![0; BATCH * room],
            room,
            names: vec![Name::empty(); BATCH],
            controls: vec![Control::empty(); BATCH],
            lengths: [0; BATCH],
            flags: [0; BATCH],
        }
    }

    /// Receives what there is, up to a batch, without waiting; how many. None:
    /// 0.
    pub(crate) fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.receive_with(fd, libc::MSG_DONTWAIT)
    }

    /// Receives what the network said of datagrams we sent, up to a batch.
    /// Only sockets with `IP_RECVERR` or `IPV6_RECVERR` are told.
    pub(crate) fn receive_errors(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.receive_with(fd, libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE)
    }

    fn receive_with(&mut self, fd: BorrowedFd<'_>, flags: c_int) -> io::Result<usize> {
        let mut vectors = [iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        for (vector, buffer) in vectors.iter_mut().zip(self.buffers.chunks_mut(self.room)) {
            *vector = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        }
        let mut headers = batch(&mut vectors);
        for ((header, name), control) in
            headers.iter_mut().zip(&mut self.names).zip(&mut self.controls)
        {
            header.msg_hdr.msg_name = name.bytes.0.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = socklen_t::try_from(NAME).unwrap_or(0);
            header.msg_hdr.msg_control = control.bytes.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL;
        }
        let (pointer, count) = (headers.as_mut_ptr(), u32::try_from(BATCH).unwrap_or(0));
        let (fd, forever) = (fd.as_raw_fd(), ptr::null_mut());
        // SAFETY: each header points to a name, a control buffer and a vector,
        // and each vector to a buffer, with their true lengths. All belong to
        // `self` or this function and outlive the call; no time-out is given.
        let count = unsafe { libc::recvmmsg(fd, pointer, count, flags, forever) };
        let count = match check(count) {
            Ok(count) => usize::try_from(count).unwrap_or(0).min(BATCH),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        for (index, header) in headers.iter().enumerate().take(count) {
            self.lengths[index] = usize::try_from(header.msg_len).unwrap_or(0).min(self.room);
            self.flags[index] = header.msg_hdr.msg_flags;
            let name = usize::try_from(header.msg_hdr.msg_namelen).unwrap_or(0);
            self.names[index].length = name.min(NAME);
            self.controls[index].length = header.msg_hdr.msg_controllen.min(CONTROL);
        }
        Ok(count)
    }

    /// A received datagram: from where, to which of our addresses, its bytes.
    /// `None` if it is for more than us.
    pub(crate) fn datagram(&self, index: usize) -> Option<(SocketAddr, IpAddr, &[u8])> {
        let from = self.names.get(index)?.address()?;
        let to = self.controls[index].destination()?;
        let begin = index * self.room;
        Some((from, to, self.buffers.get(begin..begin + self.lengths[index])?))
    }

    /// A received error, if it is "port unreachable": where our datagram went
    /// to, and as much of its bytes as was quoted.
    pub(crate) fn port_unreachable(&self, index: usize) -> Option<(SocketAddr, &[u8])> {
        let control = self.controls.get(index)?;
        // An IPv6 socket uses its own form, of ICMP for IPv4 as well.
        let error = control
            .find(libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            .or_else(|| control.find(libc::IPPROTO_IP, libc::IP_RECVERR))?;
        // struct sock_extended_err: number, origin, type, code.
        let said = error.get(4..7)?;
        if said != [libc::SO_EE_ORIGIN_ICMP, 3, 3] && said != [libc::SO_EE_ORIGIN_ICMP6, 1, 4] {
            return None;
        }
        let begin = index * self.room;
        let quoted = self.buffers.get(begin..begin + self.lengths[index])?;
        Some((self.names[index].address()?, quoted))
    }

    /// A received message, with what came beside it.
    pub(crate) fn message(&self, index: usize) -> Option<Received<'_>> {
        let begin = index * self.room;
        Some(Received {
            bytes: self.buffers.get(begin..begin + self.lengths.get(index)?)?,
            flags: self.flags[index],
            name: self.names[index].bytes(),
            control: self.controls[index].bytes(),
        })
    }
}

/// A datagram to send: to where, from which of our addresses, its bytes.
pub(crate) type Datagram<'a> = (SocketAddr, Option<IpAddr>, &'a [u8]);

/// Sends datagrams, up to a batch; how many the kernel took. `mapped`: the
/// socket is an IPv6 one.
pub(crate) fn send_batch(
    fd: BorrowedFd<'_>,
    datagrams: &[Datagram<'_>],
    mapped: bool,
) -> io::Result<usize> {
    let mut names = [Name::empty(); BATCH];
    let mut controls = [const { Control::empty() }; BATCH];
    let mut vectors = [iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    let count = datagrams.len().min(BATCH);
    for (index, (to, from, data)) in datagrams.iter().enumerate().take(count) {
        names[index] = Name::of(*to, mapped);
        if let Some(from) = from {
            controls[index].put_source(*from, mapped);
        }
        vectors[index] = iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    }
    let mut headers = batch(&mut vectors);
    for ((header, name), control) in headers.iter_mut().zip(&mut names).zip(&mut controls) {
        header.msg_hdr.msg_name = name.bytes.0.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = socklen_t::try_from(name.length).unwrap_or(0);
        header.msg_hdr.msg_control = control.bytes.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = control.length;
    }
    let (pointer, count) = (headers.as_mut_ptr(), u32::try_from(count).unwrap_or(0));
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point to names, control data and
    // vectors, and the vectors to the callers' bytes, with their true lengths.
    // The kernel reads them and writes nothing but the headers' lengths.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), pointer, count, flags) };
    check(sent).map(|sent| usize::try_from(sent).unwrap_or(0))
}

/// Sends messages whole, up to a batch, without waiting; how many the kernel
/// took. The error is that of the first one.
pub(crate) fn send_messages(
    fd: BorrowedFd<'_>,
    messages: &[(&[u8], Control)],
    more: More,
) -> io::Result<usize> {
    let mut vectors = [iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    for (vector, (data, _)) in vectors.iter_mut().zip(messages) {
        *vector = iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    }
    let mut headers = batch(&mut vectors);
    for (header, (_, control)) in headers.iter_mut().zip(messages) {
        header.msg_hdr.msg_control = control.bytes.0.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_controllen = control.length;
    }
    let count = u32::try_from(messages.len().min(BATCH)).unwrap_or(0);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let flags = if more == More::Follow { flags | libc::MSG_MORE } else { flags };
    // SAFETY: the first `count` headers point to control data and vectors, and
    // the vectors to the callers' bytes, with their true lengths. The kernel
    // reads them and writes nothing but the headers' lengths.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, flags) };
    check(sent).map(|sent| usize::try_from(sent).unwrap_or(0))
}

/// A header for each vector.
fn batch(vectors: &mut [iovec; BATCH]) -> [mmsghdr; BATCH] {
    // SAFETY: all of an `mmsghdr`'s fields may be zero.
    let mut headers: [mmsghdr; BATCH] = unsafe { zeroed() };
    for (header, vector) in headers.iter_mut().zip(vectors) {
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    headers
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
pub(crate) fn native(value: c_int) -> [u8; 4] {
    value.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
pub(crate) fn native_u32(value: u32) -> [u8; 4] {
    value.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
pub(crate) fn native_u16(value: u16) -> [u8; 2] {
    value.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
fn native_size(value: usize) -> [u8; WORD] {
    value.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
fn size(bytes: [u8; WORD]) -> usize {
    usize::from_ne_bytes(bytes)
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
pub(crate) fn word(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
pub(crate) fn half_word(bytes: [u8; 2]) -> u16 {
    u16::from_ne_bytes(bytes)
}

/// The first field of a `sockaddr`.
fn family(family: c_int) -> [u8; 2] {
    native_u16(u16::try_from(family).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    #[test]
    fn addresses_survive_the_kernels_form() {
        for text in ["192.0.2.1:9899", "[2001:db8::1]:9899", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Name::of(address, false).address(), Some(address));
            assert_eq!(Name::of(address, true).address(), Some(address));
        }
        assert_eq!(address(&[]), None);
        assert_eq!(address(&[0; 28]), None);
        let mut short = Name::of("[2001:db8::1]:1".parse().unwrap(), false);
        short.length = 20;
        assert_eq!(short.address(), None);
    }

    #[test]
    fn control_messages_are_found_and_lies_end_the_search() {
        let mut control = Control::empty();
        control.put(1, 2, b"one");
        control.put(3, 4, b"another");
        assert_eq!(control.find(1, 2), Some(&b"one"[..]));
        assert_eq!(control.find(3, 4), Some(&b"another"[..]));
        assert_eq!(control.find(1, 4), None);
        for length in [0, 1, 15, 4096, usize::MAX - 7] {
            let mut lie = control.clone();
            lie.bytes.0[..WORD].copy_from_slice(&native_size(length));
            assert_eq!(lie.find(3, 4), None, "{length}");
        }
        for _ in 0..100 {
            control.put(5, 6, &[0; 20]);
        }
        assert!(control.length <= CONTROL);
    }

    #[test]
    fn a_batch_goes_out_and_comes_in_with_its_addresses() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        set_int(receiver.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, 1).unwrap();
        let to = receiver.local_addr().unwrap();
        let data: Vec<Vec<u8>> = (0..40).map(|n| vec![n; usize::from(n) * 100 + 1]).collect();
        let from = Some(IpAddr::from([127, 0, 0, 1]));
        let datagrams: Vec<Datagram<'_>> = data.iter().map(|data| (to, from, &data[..])).collect();
        assert_eq!(send_batch(sender.as_fd(), &datagrams, false).unwrap(), BATCH);
        assert_eq!(send_batch(sender.as_fd(), &datagrams[BATCH..], false).unwrap(), 8);
        let mut batch = ReceiveBatch::new(DATAGRAM_MAX);
        let mut received = Vec::new();
        for _ in 0..3 {
            let count = batch.receive(receiver.as_fd()).unwrap();
            for index in 0..count {
                let (source, local, bytes) = batch.datagram(index).unwrap();
                assert_eq!(source, sender.local_addr().unwrap());
                assert_eq!(local, IpAddr::from([127, 0, 0, 1]));
                received.push(bytes.to_vec());
            }
        }
        assert_eq!(received, data);
        assert_eq!(batch.receive(receiver.as_fd()).unwrap(), 0);
    }

    #[test]
    fn a_closed_port_is_told_with_the_datagram_that_went_there() {
        for ip in ["127.0.0.1", "::1"] {
            let Ok(sender) = UdpSocket::bind((ip, 0)) else { continue };
            let (level, name) = match sender.local_addr().unwrap() {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
            };
            set_int(sender.as_fd(), level, name, 1).unwrap();
            let closed = UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap();
            let mut batch = ReceiveBatch::new(DATAGRAM_MAX);
            assert_eq!(batch.receive_errors(sender.as_fd()).unwrap(), 0);
            sender.send_to(b"anybody there?", closed).unwrap();
            assert_eq!(batch.receive_errors(sender.as_fd()).unwrap(), 1);
            assert_eq!(batch.port_unreachable(0), Some((closed, &b"anybody there?"[..])));
            assert_eq!(batch.port_unreachable(BATCH), None);
        }
    }

    #[test]
    fn messages_go_out_and_come_in_together() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let none = Control::empty();
        let texts = [(&b"hello"[..], none.clone()), (&b"you"[..], none.clone())];
        assert_eq!(send_messages(sender.as_fd(), &texts, More::None).unwrap(), 2);
        send_message(sender.as_fd(), b"there", &none, More::None).unwrap();
        let mut batch = ReceiveBatch::new(3);
        assert_eq!(batch.receive(receiver.as_fd()).unwrap(), 3);
        let received: Vec<_> = (0..3).map(|index| batch.message(index).unwrap()).collect();
        let bytes: Vec<_> = received.iter().map(|received| received.bytes).collect();
        assert_eq!(bytes, [&b"hel"[..], b"you", b"the"]);
        let cut: Vec<_> = received.iter().map(|it| it.flags & libc::MSG_TRUNC != 0).collect();
        assert_eq!(cut, [true, false, true]);
        assert!(received.iter().all(|it| address(it.name) == sender.local_addr().ok()));
        assert_eq!(batch.receive(receiver.as_fd()).unwrap(), 0);
        assert!(batch.message(BATCH).is_none());
        let many = vec![(&b"much"[..], none); BATCH + 1];
        assert_eq!(send_messages(sender.as_fd(), &many, More::None).unwrap(), BATCH);
        // Nobody listens here any more, which the second message is told.
        drop(receiver);
        assert_eq!(send_messages(sender.as_fd(), &texts, More::None).unwrap(), 1);
    }

    #[test]
    fn options_are_set_and_read() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        set_int(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, 3).unwrap();
        let mut value = [0; 4];
        get_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, &mut value).unwrap();
        assert_eq!(value, native(3));
        assert!(set_int(socket.as_fd(), libc::SOL_SOCKET, 9999, 0).is_err());
    }
}
