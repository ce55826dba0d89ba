//! What registrars of our own kind tell each other beyond RFC 5353, in
//! parameters whose action bits make everybody else skip them.
//!
//! rsplib tolerates such a parameter right after the fixed header of a
//! presence, so that is where [`Kin`] is; the others are sent to registrars
//! that said they understand them only.

use alloc::vec::Vec;

use rserpool_engine::{PeId, PoolHandle};

use super::fields;
use crate::error::EmitError;
use crate::frame::padded;
use crate::reader::Tlv;
use crate::writer::{LENGTH_OFFSET, MESSAGE_MAX, patch};

const KIN: u16 = 0xb5e0;
const CLAIM: u16 = 0xb5e1;
const SESSION: u16 = 0xb5e2;
const BUCKETS: u16 = 0xb5e3;
const DIGEST: u16 = 0xb5e4;
const VALUES: u16 = 0xb5e5;

/// In a presence: the sender is a registrar of our own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kin {
    /// What it understands of these parameters: 1.
    pub version: u8,
    /// Whether it takes ENRP over SCTP at the transport of its Server
    /// Information.
    pub sctp: bool,
    /// The TCP port it takes ENRP at, at the addresses of its Server
    /// Information; 0: none.
    pub tcp_port: u16,
    /// Changes when the registrar restarts.
    pub incarnation: u32,
}

/// With an element, in an update and in a handle table: how strong the home's
/// claim to it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// How often the element changed its home.
    pub term: u32,
    /// The home took the element over and has not heard from it yet.
    pub provisional: bool,
    /// In a delete: the element left by itself, or its registration life was
    /// over; it did not just fall silent.
    pub left: bool,
    /// The element has no ASAP transport: the one in the parameter is made up.
    pub unreachable: bool,
    /// The home is of another kind, and does not tell of the end of the
    /// registration life: every registrar watches it.
    pub lapses: bool,
}

/// Which part of a handle table is asked for, or given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// A number of the requester's choice, in the responses, too.
    pub number: u32,
}

/// The number of buckets that elements fall into for audits.
pub const BUCKETS_LEN: usize = 512;
/// A set of buckets.
pub type BucketSet = [u8; BUCKETS_LEN / 8];

/// The bucket of an element: the same at all registrars.
#[must_use]
pub fn bucket_of(handle: PoolHandle<'_>, pe: PeId) -> usize {
    let hash = identity_hash(handle, pe);
    usize::try_from(hash >> 32).unwrap_or(0) % BUCKETS_LEN
}

/// A hash of an element's name: the same at all registrars.
#[must_use]
pub fn identity_hash(handle: PoolHandle<'_>, pe: PeId) -> u64 {
    hash_bytes(handle.as_bytes(), u64::from(pe.get()))
}

/// A hash of bytes: the same at all registrars. It is no defense against
/// bytes that are chosen to collide; whoever does that hides from audits what
/// nobody but himself said.
#[must_use]
pub fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut step = |word: u64| {
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
        hash ^= hash >> 29;
    };
    for word in words {
        step(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    step(u64::from_le_bytes(last));
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

/// The extensions of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    /// In a presence.
    pub kin: Option<Kin>,
    /// In a presence to our own kind: the wrapping sum of the digests of the
    /// sender's elements.
    pub values: Option<u64>,
    /// In an update.
    pub claim: Option<Claim>,
    /// In a handle-table request or response.
    pub session: Option<Session>,
    /// In a handle-table response: it has the elements of these buckets only,
    /// where the requester's digests are others than the sender's.
    pub buckets: Option<&'a BucketSet>,
    /// In a handle-table request: what the requester has of the receiver's
    /// elements, a digest of 8 bytes for each bucket.
    pub digest: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    /// The extensions right after the fixed header of a message that was read
    /// before. Whatever is none is passed over.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Self {
        let mut extensions = Self::default();
        let Some(code) = message.first() else { return extensions };
        let Some(mut rest) = message.get(4 + fields(*code)..) else { return extensions };
        while let Ok(Some(tlv)) = Tlv::take(&mut rest) {
            match tlv.kind {
                KIN => extensions.kin = Kin::read(tlv.value),
                CLAIM => extensions.claim = Claim::read(tlv.value),
                SESSION => extensions.session = Session::read(tlv.value),
                BUCKETS => extensions.buckets = tlv.value.try_into().ok(),
                VALUES => {
                    extensions.values = tlv.value.try_into().ok().map(u64::from_be_bytes);
                }
                DIGEST => extensions.digest = Some(tlv.value),
                _ => break,
            }
        }
        extensions
    }

    /// Puts the extensions into the message that starts at `start` and is the
    /// last in `out`.
    ///
    /// # Errors
    /// The message would be too long; `out` is as it was.
    pub fn insert(&self, out: &mut Vec<u8>, start: usize) -> Result<(), EmitError> {
        let at = start + 4 + out.get(start).map_or(0, |code| fields(*code));
        let before = out.len();
        self.append(out);
        let added = out.len() - before;
        if out.len() - start > MESSAGE_MAX {
            out.truncate(before);
            return Err(EmitError::TooLong);
        }
        if let Some(moved) = out.get_mut(at..) {
            moved.rotate_right(added);
        }
        if let Some(&[high, low]) = out.get(start + LENGTH_OFFSET..).and_then(|it| it.first_chunk())
        {
            let length = usize::from(u16::from_be_bytes([high, low])) + added;
            let length = u16::try_from(length).unwrap_or(u16::MAX);
            patch(out, start + LENGTH_OFFSET, length.to_be_bytes());
        }
        Ok(())
    }

    /// Appends the parameters.
    pub fn append(&self, out: &mut Vec<u8>) {
        if let Some(kin) = self.kin {
            let [p0, p1] = kin.tcp_port.to_be_bytes();
            let [i0, i1, i2, i3] = kin.incarnation.to_be_bytes();
            put(out, KIN, &[kin.version, u8::from(kin.sctp), p0, p1, i0, i1, i2, i3]);
        }
        if let Some(values) = self.values {
            put(out, VALUES, &values.to_be_bytes());
        }
        if let Some(claim) = self.claim {
            claim.append(out);
        }
        if let Some(session) = self.session {
            put(out, SESSION, &session.number.to_be_bytes());
        }
        if let Some(buckets) = self.buckets {
            put(out, BUCKETS, buckets);
        }
        if let Some(digest) = self.digest {
            put(out, DIGEST, digest);
        }
    }
}

/// A parameter whose value is a multiple of 4 bytes.
fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    debug_assert_eq!(value.len() % 4, 0, "rsplib does not skip padding");
    out.extend_from_slice(&kind.to_be_bytes());
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

impl Kin {
    fn read(value: &[u8]) -> Option<Self> {
        let &[version, sctp, p0, p1, i0, i1, i2, i3] = value.first_chunk()?;
        (version != 0).then_some(Self {
            version,
            sctp: sctp & 1 == 1,
            tcp_port: u16::from_be_bytes([p0, p1]),
            incarnation: u32::from_be_bytes([i0, i1, i2, i3]),
        })
    }
}

impl Session {
    fn read(value: &[u8]) -> Option<Self> {
        Some(Self { number: u32::from_be_bytes(*value.first_chunk()?) })
    }
}

const PROVISIONAL: u32 = 1;
const LEFT: u32 = 2;
const UNREACHABLE: u32 = 4;
const LAPSES: u32 = 8;

impl Claim {
    /// The bytes a claim takes in a message or element.
    pub const BYTES: usize = 12;

    fn read(value: &[u8]) -> Option<Self> {
        let &[t0, t1, t2, t3, f0, f1, f2, f3] = value.first_chunk()?;
        let flags = u32::from_be_bytes([f0, f1, f2, f3]);
        Some(Self {
            term: u32::from_be_bytes([t0, t1, t2, t3]),
            provisional: flags & PROVISIONAL != 0,
            left: flags & LEFT != 0,
            unreachable: flags & UNREACHABLE != 0,
            lapses: flags & LAPSES != 0,
        })
    }

    fn append(self, out: &mut Vec<u8>) {
        let [t0, t1, t2, t3] = self.term.to_be_bytes();
        let flags = (u32::from(self.provisional) * PROVISIONAL)
            | (u32::from(self.left) * LEFT)
            | (u32::from(self.unreachable) * UNREACHABLE)
            | (u32::from(self.lapses) * LAPSES);
        let [f0, f1, f2, f3] = flags.to_be_bytes();
        put(out, CLAIM, &[t0, t1, t2, t3, f0, f1, f2, f3]);
    }

    /// The claim in a whole Pool Element parameter, which was read before.
    #[must_use]
    pub fn in_element(element: &[u8]) -> Option<Self> {
        let mut rest = element.get(16..)?;
        let mut claim = None;
        while let Ok(Some(tlv)) = Tlv::take(&mut rest) {
            if tlv.kind == CLAIM {
                claim = Self::read(tlv.value);
            }
        }
        claim
    }

    /// Appends the claim to the whole Pool Element parameter that starts at
    /// `start` and is the last in `out`.
    pub fn append_to_element(self, out: &mut Vec<u8>, start: usize) {
        let before = out.len();
        if let Some(&[high, low]) = out.get(start + LENGTH_OFFSET..).and_then(|it| it.first_chunk())
        {
            let length = usize::from(u16::from_be_bytes([high, low]));
            debug_assert_eq!(start + padded(length), before, "the element is the last");
            self.append(out);
            let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
            patch(out, start + LENGTH_OFFSET, length.to_be_bytes());
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests may panic")]
mod tests {
    use rserpool_engine::RegistrarId;

    use super::super::{Body, Message};
    use super::*;
    use crate::frame::LengthForm;

    fn presence() -> Message<'static> {
        let body = Body::Presence { reply_required: true, checksum: Some(0x4deb), server: None };
        Message { sender: RegistrarId::new(1), receiver: RegistrarId::new(2), body }
    }

    #[test]
    fn a_message_with_extensions_reads_as_the_one_without() {
        for form in [LengthForm::Rfc, LengthForm::Padded] {
            let mut bytes = vec![0xa5; 3];
            presence().emit(&mut bytes, form).unwrap();
            let kin = Kin { version: 1, sctp: true, tcp_port: 9901, incarnation: 7 };
            let claim = Claim { term: 9, provisional: true, unreachable: true, ..Claim::default() };
            let extensions = Extensions {
                kin: Some(kin),
                values: Some(1 << 60 | 3),
                claim: Some(claim),
                session: Some(Session { number: 5 }),
                buckets: Some(&[0x11; BUCKETS_LEN / 8]),
                digest: Some(&[1; 8]),
            };
            extensions.insert(&mut bytes, 3).unwrap();
            assert_eq!(Message::parse(&bytes[3..]), Ok(presence()));
            assert_eq!(Extensions::of(&bytes[3..]), extensions);
        }
    }

    #[test]
    fn no_prefix_of_extensions_is_read_beyond_its_end() {
        let mut bytes = Vec::new();
        presence().emit(&mut bytes, LengthForm::Padded).unwrap();
        let kin = Kin { version: 1, sctp: false, tcp_port: 1, incarnation: 2 };
        Extensions { kin: Some(kin), ..Extensions::default() }.insert(&mut bytes, 0).unwrap();
        for end in 0..bytes.len() {
            let read = Extensions::of(&bytes[..end]).kin;
            assert!(read.is_none() || read == Some(kin), "cut at {end}");
        }
    }
}
