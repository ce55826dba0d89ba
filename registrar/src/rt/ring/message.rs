//! What a multishot receive of messages writes to a buffer
//! (`struct io_uring_recvmsg_out`): four numbers, room for the address, room
//! for control data, then the data.

use rserpool_sctp::Received;

/// Room for an address: `struct sockaddr_in6`.
const NAME: usize = 28;
/// Room for control data.
const CONTROL: usize = 128;
/// Bytes of each number.
const WORD: usize = size_of::<u32>();

/// The header that says how much room there is. It stays where it is.
pub(super) struct Layout(Box<libc::msghdr>);

impl Layout {
    pub(super) fn new() -> Self {
        Self(Box::new(super::header(NAME, CONTROL)))
    }

    pub(super) fn header(&self) -> *const libc::msghdr {
        &raw const *self.0
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at * WORD..)?.first_chunk()?;
    usize::try_from(native(*bytes)).ok()
}

#[expect(clippy::host_endian_bytes, reason = "the kernel's structures are in host order")]
const fn native(bytes: [u8; WORD]) -> u32 {
    u32::from_ne_bytes(bytes)
}

/// Reads a buffer. `None`: it is too short for what every message has.
pub(super) fn read(buffer: &[u8]) -> Option<Received<'_>> {
    let (name, control) = (number(buffer, 0)?, number(buffer, 1)?);
    let (length, flags) = (number(buffer, 2)?, number(buffer, 3)?);
    let (room, rest) = buffer.get(4 * WORD..)?.split_at_checked(NAME)?;
    let name = room.get(..name).unwrap_or_default();
    let (room, rest) = rest.split_at_checked(CONTROL)?;
    let control = room.get(..control).unwrap_or_default();
    let flags = u32::try_from(flags).unwrap_or(0).cast_signed();
    Some(Received { name, control, bytes: rest.get(..length).unwrap_or(rest), flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(numbers: [u32; 4], data: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        bytes.extend([1; NAME]);
        bytes.extend([2; CONTROL]);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn a_message_is_found_in_its_buffer() {
        let bytes = buffer([16, 48, 5, 0x80], b"hello");
        let read = read(&bytes).unwrap();
        assert_eq!((read.name, read.control), (&[1; 16][..], &[2; 48][..]));
        assert_eq!((read.bytes, read.flags), (&b"hello"[..], 0x80));
    }

    #[test]
    fn lengths_beyond_the_buffer_are_no_lengths() {
        let bytes = buffer([u32::MAX; 4], b"hello");
        let message = read(&bytes).unwrap();
        assert_eq!(
            (message.name, message.control, message.bytes),
            (&[][..], &[][..], &b"hello"[..])
        );
        assert!(read(&bytes[..171]).is_none());
        assert!(read(&[]).is_none());
    }
}
