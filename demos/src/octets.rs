//! Numbers in messages: big endian.

/// Reads a message from the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_be_bytes)
    }

    /// The next bytes, as many as are wanted.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(first)
    }
}

/// The four bytes that messages of ping-pong, CalcApp and fractal begin with:
/// type, flags, and the length of the message. Gives the type and what follows
/// the header, without anything behind the length.
pub(crate) fn open(message: &[u8]) -> Option<(u8, Reader<'_>)> {
    let mut reader = Reader(message);
    let (kind, _flags, length) = (reader.u8()?, reader.u8()?, reader.u16()?);
    let body = usize::from(length).checked_sub(4)?;
    Some((kind, Reader(reader.bytes(body)?)))
}

/// The same for a message that is to be sent; `None` where it is too long.
pub(crate) fn seal(kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(body.len() + 4).ok()?;
    let mut message = vec![kind, 0];
    message.extend(length.to_be_bytes());
    message.extend(body);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_lies_is_no_message() {
        assert!(open(&[1, 0, 0, 4]).is_some_and(|(kind, rest)| kind == 1 && rest.0.is_empty()));
        assert!(open(&[1, 0, 0, 5, 9, 9]).is_some_and(|(_, rest)| rest.0 == [9]));
        for bad in [&[1, 0, 0, 3][..], &[1, 0, 0, 5], &[1, 0, 0], &[]] {
            assert!(open(bad).is_none(), "{bad:?}");
        }
        assert_eq!(seal(2, &[7; 65_532]), None);
        assert_eq!(seal(2, &[7]), Some(vec![2, 0, 0, 5, 7]));
    }
}
