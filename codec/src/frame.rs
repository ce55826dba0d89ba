//! Message lengths (RFC 5354, 2 and 4) and the delimiting of messages in a
//! byte stream.

/// Whether an outer length counts the padding of the last parameter in it.
/// Both are understood; they differ only where that parameter has padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LengthForm {
    /// It does not, as RFC 5354, 2 says.
    Rfc,
    /// It does, as rsplib writes it.
    #[default]
    Padded,
}

/// What the start of a byte stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Less than one message; read on.
    Incomplete,
    /// One message of this many bytes, padding included.
    Whole(usize),
    /// Not a message: the stream cannot be delimited any more.
    Malformed,
}

/// Finds the end of the first message in `buf`. Padding is part of the message
/// on a stream.
#[must_use]
pub const fn frame(buf: &[u8]) -> Frame {
    let [_, _, high, low, ..] = buf else {
        return Frame::Incomplete;
    };
    let length = u16::from_be_bytes([*high, *low]) as usize;
    if length < 4 {
        return Frame::Malformed;
    }
    let whole = padded(length);
    if buf.len() < whole { Frame::Incomplete } else { Frame::Whole(whole) }
}

/// The length with padding to a multiple of 4.
pub(crate) const fn padded(length: usize) -> usize {
    (length + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_after_its_padding() {
        let abcde = [5, 0, 0, 13, 0, 9, 0, 9, b'a', b'b', b'c', b'd', b'e', 0, 0, 0, 5, 0, 0];
        for end in 0..16 {
            assert_eq!(frame(abcde.get(..end).unwrap()), Frame::Incomplete);
        }
        for end in 16..=abcde.len() {
            assert_eq!(frame(abcde.get(..end).unwrap()), Frame::Whole(16));
        }
    }

    #[test]
    fn a_length_below_the_header_cannot_be_delimited() {
        for length in 0..4 {
            assert_eq!(frame(&[5, 0, 0, length]), Frame::Malformed);
        }
        assert_eq!(frame(&[5, 0, 0, 4]), Frame::Whole(4));
    }

    #[test]
    fn the_longest_message_has_65536_bytes_on_a_stream() {
        let mut longest = vec![0; 65536];
        longest.splice(..4, [5, 0, 0xff, 0xff]);
        assert_eq!(frame(&longest), Frame::Whole(65536));
        assert_eq!(frame(longest.get(..65535).unwrap()), Frame::Incomplete);
    }
}
