//! The messages of a session over a byte stream.

/// The bytes of a frame before its message.
pub const FRAME_HEADER_BYTES: usize = 8;

/// The front of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A whole message. `bytes` is how long its frame is.
    #[expect(missing_docs, reason = "described above")]
    Whole { ppid: u32, message: &'a [u8], bytes: usize },
    /// More bytes are needed.
    Incomplete,
    /// A message longer than is taken: nothing can be read after it.
    TooLong,
}

/// Appends a message with its payload protocol identifier. `false`: it is 4 GiB
/// or longer, and nothing was appended.
#[must_use]
pub fn emit_frame(out: &mut Vec<u8>, ppid: u32, message: &[u8]) -> bool {
    let Ok(length) = u32::try_from(message.len()) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&ppid.to_be_bytes());
    out.extend_from_slice(message);
    true
}

/// Reads the message at the front of a stream.
#[must_use]
pub fn read_frame(bytes: &[u8], message_max: usize) -> Framed<'_> {
    let Some((&[l0, l1, l2, l3, p0, p1, p2, p3], rest)) = bytes.split_first_chunk() else {
        return Framed::Incomplete;
    };
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if length > message_max {
        return Framed::TooLong;
    }
    let ppid = u32::from_be_bytes([p0, p1, p2, p3]);
    match rest.get(..length) {
        Some(message) => Framed::Whole { ppid, message, bytes: FRAME_HEADER_BYTES + length },
        None => Framed::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_length_then_identifier_then_message() {
        let mut out = Vec::new();
        assert!(emit_frame(&mut out, 0x0102_0304, b"abc"));
        assert_eq!(out, b"\0\0\0\x03\x01\x02\x03\x04abc");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_wherever_the_stream_is_cut(
            messages in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut stream = Vec::new();
            for (ppid, message) in &messages {
                prop_assert!(emit_frame(&mut stream, *ppid, message));
            }
            let cut = cut.index(stream.len() + 1);
            let mut rest = &stream[..cut];
            let mut read = Vec::new();
            while let Framed::Whole { ppid, message, bytes } = read_frame(rest, 40) {
                read.push((ppid, message.to_vec()));
                rest = &rest[bytes..];
            }
            prop_assert_eq!(read_frame(rest, 40), Framed::Incomplete);
            prop_assert_eq!(&read[..], &messages[..read.len()]);
            prop_assert!(cut < stream.len() || read.len() == messages.len());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            match read_frame(&bytes, 16) {
                Framed::Whole { message, bytes: whole, .. } => {
                    prop_assert!(message.len() <= 16 && whole <= bytes.len());
                }
                Framed::Incomplete | Framed::TooLong => {}
            }
        }
    }
}
