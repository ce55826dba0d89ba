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

/// Finds the end of the first message in `buf`.
#[must_use]
pub const fn frame(buf: &[u8]) -> Frame {
    todo!()
}
