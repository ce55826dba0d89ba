//! Fields of messages that were not read as a whole.

use rserpool_engine::{PeId, PoolHandle};

use super::{FLAG, code};
use crate::parameter::kind;
use crate::reader::{Header, Tlv};

/// The type and the pool handle of a message that has one, without a look at
/// the rest: where a message belongs is known before it is read. Found in every
/// message that [`Message::parse`](super::Message::parse) reads and that has
/// one. `None` if there is none or it cannot be found.
#[must_use]
pub fn peek_handle(bytes: &[u8]) -> Option<(u8, PoolHandle<'_>)> {
    let (code, handle, _) = find_handle(bytes)?;
    Some((code, handle))
}

/// What a Handle Resolution asks for (RFC 5352, 2.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolve<'a> {
    /// The pool.
    pub handle: PoolHandle<'a>,
    /// The S bit: changes of the pool are to be told.
    pub subscribe: bool,
    /// Most elements wanted, if that is said.
    pub items: Option<u32>,
}

/// A Handle Resolution that has a pool handle, perhaps how many elements are
/// wanted, and nothing else. It is what [`Message::parse`](super::Message::parse)
/// reads, without the room that all messages and their errors take. `None`:
/// another message, or one that only the whole reader can judge.
#[inline]
#[must_use]
pub fn peek_resolve(bytes: &[u8]) -> Option<Resolve<'_>> {
    if bytes.first() != Some(&code::HANDLE_RESOLUTION) {
        return None;
    }
    let header = Header::read(bytes).ok()?;
    let mut rest = header.body;
    let handle = Tlv::take(&mut rest).ok()??;
    if handle.kind != kind::POOL_HANDLE {
        return None;
    }
    let mut items = None;
    if let Some(tlv) = Tlv::take(&mut rest).ok()? {
        if tlv.kind != kind::ITEMS || !rest.is_empty() {
            return None;
        }
        items = Some(u32::from_be_bytes(tlv.value.try_into().ok()?));
    }
    let handle = PoolHandle::new(handle.value);
    Some(Resolve { handle, subscribe: header.flags & FLAG != 0, items })
}

/// The pool handle and the PE identifier of a message about one element,
/// without a look at the rest: a registration that could not be read is
/// rejected with them. `None` if they cannot be found.
#[must_use]
pub fn peek_element(bytes: &[u8]) -> Option<(PoolHandle<'_>, PeId)> {
    let (code, handle, mut rest) = find_handle(bytes)?;
    let many = [code::HANDLE_RESOLUTION, code::HANDLE_RESOLUTION_RESPONSE, code::BUSINESS_CARD];
    if many.contains(&code) {
        return None;
    }
    loop {
        let tlv = Tlv::take(&mut rest).ok()??;
        if matches!(tlv.kind, kind::POOL_ELEMENT | kind::PE_IDENTIFIER) {
            return Some((handle, PeId::new(u32::from_be_bytes(*tlv.value.first_chunk()?))));
        }
        if kind::is_known(tlv.kind) {
            return None;
        }
    }
}

/// The type, the pool handle and what follows it.
#[inline]
fn find_handle(bytes: &[u8]) -> Option<(u8, PoolHandle<'_>, &[u8])> {
    let header = Header::read(bytes).ok()?;
    let mut rest = match header.code {
        code::REGISTRATION..=code::HANDLE_RESOLUTION_RESPONSE
        | code::KEEP_ALIVE_ACK
        | code::UNREACHABLE
        | code::BUSINESS_CARD => header.body,
        code::KEEP_ALIVE => header.body.get(4..)?,
        _ => return None,
    };
    loop {
        let tlv = Tlv::take(&mut rest).ok()??;
        if tlv.kind == kind::POOL_HANDLE {
            return Some((header.code, PoolHandle::new(tlv.value), rest));
        }
        if kind::is_known(tlv.kind) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRATION: &[u8] = b"\x01\x00\x00\x1c\x00\x09\x00\x09abcde\0\0\0\
        \x00\x0a\x00\x0c\x11\x22\x33\x44\x00\x00\x00\x00";

    #[test]
    fn a_registration_that_cannot_be_read_still_names_its_element() {
        assert!(super::super::Message::parse(REGISTRATION).is_err());
        let handle = PoolHandle::new(b"abcde");
        assert_eq!(peek_handle(REGISTRATION), Some((1, handle)));
        assert_eq!(peek_element(REGISTRATION), Some((handle, PeId::new(0x1122_3344))));
    }

    #[test]
    fn the_handle_is_found_behind_a_registrar_and_an_option() {
        let keep_alive = b"\x07\x01\x00\x0e\xaa\xbb\xcc\xdd\x00\x09\x00\x06ab";
        assert_eq!(peek_handle(keep_alive), Some((7, PoolHandle::new(b"ab"))));
        assert_eq!(peek_element(keep_alive), None);
        let resolution = b"\x05\x00\x00\x12\x80\x3f\x00\x08\x00\x00\x00\x01\x00\x09\x00\x06ab";
        assert_eq!(peek_handle(resolution), Some((5, PoolHandle::new(b"ab"))));
    }

    /// What is peeked is what is parsed, whatever bytes are changed; and what
    /// pool users send is found that way.
    #[test]
    fn a_resolution_is_peeked_as_it_is_parsed() {
        let plain = b"\x05\x01\x00\x0a\x00\x09\x00\x06ab\0\0".as_slice();
        let few = b"\x05\x00\x00\x14\x00\x09\x00\x06ab\0\0\x80\x3f\x00\x08\x00\x00\x00\x03";
        let handle = PoolHandle::new(b"ab");
        let resolve = Resolve { handle, subscribe: true, items: None };
        assert_eq!(peek_resolve(plain), Some(resolve));
        let resolve = Resolve { handle, subscribe: false, items: Some(3) };
        assert_eq!(peek_resolve(few), Some(resolve));
        let mut peeked = 0;
        for whole in [plain, few.as_slice()] {
            for (at, end) in
                (0..whole.len()).flat_map(|at| (at..=whole.len()).map(move |e| (at, e)))
            {
                for value in 0..=u8::MAX {
                    let mut bytes = whole.to_vec();
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
                    bytes.truncate(end);
                    let Some(Resolve { handle, subscribe, items }) = peek_resolve(&bytes) else {
                        continue;
                    };
                    peeked += 1;
                    let parsed =
                        super::super::Message::parse_reporting(&bytes).map(|(message, rest)| {
                            assert!(rest.causes().is_none());
                            message
                        });
                    let expected =
                        super::super::Message::HandleResolution { handle, subscribe, items };
                    assert_eq!(parsed, Ok(expected), "{bytes:?}");
                }
            }
        }
        assert!(peeked > 1000, "{peeked}");
    }

    #[test]
    fn messages_without_a_handle_have_none() {
        assert_eq!(peek_handle(b"\x0a\x00\x00\x08\xaa\xbb\xcc\xdd"), None);
        assert_eq!(peek_handle(b"\x0e\x00\x00\x0c\x00\x0c\x00\x08\x00\x00\x00\x04"), None);
        assert_eq!(peek_handle(b"\x05\x00\x00\x04"), None);
        assert_eq!(peek_handle(b"\x05\x00"), None);
        assert_eq!(peek_handle(b""), None);
    }
}
