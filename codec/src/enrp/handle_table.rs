//! The content of a Handle Table Response (RFC 5353, 2.3).

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use rserpool_engine::{PoolHandle, RegistrarId};

use super::{FLAG, MORE, code};
use crate::element::{self, Elements};
use crate::error::{DecodeError, EmitError, Fault};
use crate::frame::LengthForm;
use crate::parameter::kind;
use crate::reader::{Reader, Tlv};
use crate::writer::{LENGTH_OFFSET, MESSAGE_MAX, Writer, patch};

/// A pool, or a part of it, with its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool<'a> {
    /// Its handle.
    pub handle: PoolHandle<'a>,
    /// Its elements, at least one.
    pub elements: Elements<'a>,
}

impl<'a> Pool<'a> {
    /// Reads the parameter, which has to be a Pool Handle, and the Pool
    /// Elements that come next.
    fn read(tlv: &Tlv<'a>, reader: &mut Reader<'a, '_>) -> Result<Self, DecodeError<'a>> {
        if tlv.kind != kind::POOL_HANDLE {
            return Err(tlv.invalid(Fault::Misplaced));
        }
        let elements = Elements::read(reader)?;
        if elements.is_empty() {
            // Fails, for this is what is missing.
            reader.expect(kind::POOL_ELEMENT)?;
        }
        Ok(Self { handle: PoolHandle::new(tlv.value), elements })
    }
}

/// A sequence of pools. Equal if they yield equal pools.
#[derive(Clone, Copy)]
pub struct Pools<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [Pool<'a>]),
}

impl<'a> Pools<'a> {
    /// No pools.
    pub const EMPTY: Self = Self::list(&[]);

    /// Pools to be written.
    #[must_use]
    pub const fn list(list: &'a [Pool<'a>]) -> Self {
        Self(Source::List(list))
    }

    /// The pools in their order.
    pub fn iter(&self) -> impl Iterator<Item = Pool<'a>> + use<'a> {
        let (mut rest, list) = match self.0 {
            Source::Wire(bytes) => (bytes, [].as_slice()),
            Source::List(list) => ([].as_slice(), list),
        };
        let read = core::iter::from_fn(move || {
            let mut reportable = false;
            let mut reader = Reader::new(rest, &mut reportable);
            let tlv = reader.next().ok()??;
            let pool = Pool::read(&tlv, &mut reader).ok()?;
            rest = reader.rest();
            Some(pool)
        });
        read.chain(list.iter().copied())
    }

    /// Reads all parameters that are left.
    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Result<Self, DecodeError<'a>> {
        let all = reader.rest();
        while let Some(tlv) = reader.next()? {
            Pool::read(&tlv, reader)?;
        }
        Ok(Self(Source::Wire(all)))
    }

    /// Appends the pools.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        for pool in self.iter() {
            if pool.elements.is_empty() {
                return Err(EmitError::Empty);
            }
            w.leaf(kind::POOL_HANDLE, pool.handle.as_bytes())?;
            pool.elements.write(w)?;
        }
        Ok(())
    }
}

impl PartialEq for Pools<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Pools<'_> {}

impl fmt::Debug for Pools<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A Handle Table Response being written from stored records.
#[derive(Debug)]
#[must_use = "the message has no length before `finish`"]
pub struct HandleTableResponse {
    start: usize,
    /// Where the handle of the last pool is.
    handle: Range<usize>,
}

impl HandleTableResponse {
    /// Starts a response at the end of `out`. Nothing else may be appended to
    /// `out` before [`finish`](Self::finish).
    pub fn begin(out: &mut Vec<u8>, sender: RegistrarId, receiver: RegistrarId) -> Self {
        let start = out.len();
        out.extend_from_slice(&[code::HANDLE_TABLE_RESPONSE, 0, 0, 0]);
        out.extend_from_slice(&sender.get().to_be_bytes());
        out.extend_from_slice(&receiver.get().to_be_bytes());
        Self { start, handle: 0..0 }
    }

    /// Appends an element: its whole Pool Element parameter, padding included,
    /// with this home registrar, and before it the pool's handle, if the
    /// element before was of another pool. `false`: the message would be longer
    /// than `limit` bytes (or than a message can be), or the record is not a
    /// Pool Element parameter; nothing was written.
    pub fn element(
        &mut self,
        out: &mut Vec<u8>,
        limit: usize,
        handle: PoolHandle<'_>,
        record: &[u8],
        home: RegistrarId,
    ) -> bool {
        let end = self.start + limit.min(MESSAGE_MAX);
        let before = out.len();
        let same = !self.handle.is_empty()
            && out.get(self.handle.clone()).is_some_and(|last| last == handle.as_bytes());
        if !same {
            // Ends with padding, and so is the same in both length forms.
            let written = Writer::append(out, LengthForm::Rfc, |w| {
                w.leaf(kind::POOL_HANDLE, handle.as_bytes())
            });
            if written.is_err() {
                return false;
            }
        }
        if element::copy(out, end, record, home).is_none() {
            out.truncate(before);
            return false;
        }
        if !same {
            let start = before + 4;
            self.handle = start..start + handle.as_bytes().len();
        }
        true
    }

    /// Ends the response; `more` is the M bit.
    ///
    /// # Panics
    /// In debug builds, if `out` is not the vector it was begun in.
    pub fn finish(self, out: &mut [u8], more: bool) {
        let length = u16::try_from(out.len().saturating_sub(self.start));
        debug_assert!(length.is_ok(), "`out` was appended to by others");
        patch(out, self.start + 1, [u8::from(more) * MORE]);
        patch(out, self.start + LENGTH_OFFSET, length.unwrap_or(u16::MAX).to_be_bytes());
    }

    /// Appends a whole response that rejects the request.
    pub fn rejected(out: &mut Vec<u8>, sender: RegistrarId, receiver: RegistrarId) {
        let response = Self::begin(out, sender, receiver);
        let start = response.start;
        response.finish(out, false);
        patch(out, start + 1, [FLAG]);
    }
}
