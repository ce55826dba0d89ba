//! The content of a Handle Table Response (RFC 5353, 2.3).

use rserpool_engine::{PoolHandle, RegistrarId};

use crate::{Elements, LengthForm};

/// A pool, or a part of it, with its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool<'a> {
    /// Its handle.
    pub handle: PoolHandle<'a>,
    /// Its elements, at least one.
    pub elements: Elements<'a>,
}

/// A sequence of pools. Equal if they yield equal pools.
#[derive(Clone, Copy, Debug)]
pub struct Pools<'a>(&'a [u8]);

impl<'a> Pools<'a> {
    /// No pools.
    pub const EMPTY: Self = Self(&[]);

    /// Pools to be written.
    #[must_use]
    pub const fn list(list: &'a [Pool<'a>]) -> Self {
        todo!()
    }

    /// The pools in their order.
    pub fn iter(&self) -> impl Iterator<Item = Pool<'a>> + use<'a> {
        todo!();
        #[expect(unreachable_code, reason = "signatures first")]
        core::iter::empty()
    }
}

impl PartialEq for Pools<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Pools<'_> {}

/// A Handle Table Response being written from stored records.
#[derive(Debug)]
#[must_use = "the message has no length before `finish`"]
pub struct HandleTableResponse {
    start: usize,
}

impl HandleTableResponse {
    /// Starts a response at the end of `out`.
    pub fn begin(
        out: &mut Vec<u8>,
        form: LengthForm,
        sender: RegistrarId,
        receiver: RegistrarId,
    ) -> Self {
        todo!()
    }

    /// Appends an element: its whole Pool Element parameter with this home
    /// registrar, and before it the pool's handle, if the element before was
    /// of another pool. `false`: the message would be longer than `limit`
    /// bytes (or 65,535), or the record is not a parameter; nothing was
    /// written.
    pub fn element(
        &mut self,
        out: &mut Vec<u8>,
        limit: usize,
        handle: PoolHandle<'_>,
        record: &[u8],
        home: RegistrarId,
    ) -> bool {
        todo!()
    }

    /// Ends the response; `more` is the M bit.
    pub fn finish(self, out: &mut Vec<u8>, more: bool) {
        todo!()
    }
}
