//! The record of a pool: two cache lines, so that a resolution finds handle
//! and selection order with the first miss.

use crate::arena::Arena;
use crate::order::Order;
use crate::roster::Roster;
use crate::slab::Vacant;
use crate::{ChannelUse, PeChecksum, Policy, PoolHandle, TransportKind};

/// Longer handles are stored apart.
const INLINE: usize = 32;

/// The record. Its first line is enough to find an element, its second has
/// what a selection needs.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub(crate) struct Pool {
    /// 0 if the slot is vacant.
    handle_len: u16,
    /// Of its service.
    pub(crate) transport: TransportKind,
    pub(crate) channel_use: ChannelUse,
    /// The elements, or the next vacant slot.
    pub(crate) len: u32,
    /// The bytes, or the number of the block that has them.
    handle: [u8; INLINE],
    /// Of its handle.
    pub(crate) hash: u64,
    /// The words of the handle, for the checksum of each element.
    words: u32,
    pub(crate) roster: Roster,
    pub(crate) order: Order,
    /// The policy of the first element.
    pub(crate) policy: Policy,
}

const _: () = assert!(core::mem::offset_of!(Pool, order) == 64, "a line for each use");
const _: () = assert!(size_of::<Pool>() == 128);

impl Default for Pool {
    fn default() -> Self {
        Self {
            handle_len: 0,
            transport: TransportKind::Sctp,
            channel_use: ChannelUse::Data,
            handle: [0; INLINE],
            order: Order::new(crate::PolicyKind::RoundRobin),
            roster: Roster::EMPTY,
            hash: 0,
            len: 0,
            words: 0,
            policy: Policy::RoundRobin,
        }
    }
}

impl Vacant for Pool {
    fn set_next_vacant(&mut self, next: u32) {
        self.len = next;
    }

    fn next_vacant(&self) -> u32 {
        self.len
    }
}

impl Pool {
    /// The record of a new pool without elements. The handle is not empty.
    pub(crate) fn new(
        bytes: &mut Arena<u8>,
        handle: PoolHandle<'_>,
        hash: u64,
        policy: Policy,
        transport: TransportKind,
        channel_use: ChannelUse,
    ) -> Self {
        let name = handle.as_bytes();
        let mut stored = [0; INLINE];
        if name.len() <= INLINE {
            stored[..name.len()].copy_from_slice(name);
        } else {
            let block = bytes.allocate(name.len());
            bytes.get_mut(block, name.len()).copy_from_slice(name);
            stored[..4].copy_from_slice(&block.to_le_bytes());
        }
        Self {
            handle_len: u16::try_from(name.len()).unwrap_or(u16::MAX),
            transport,
            channel_use,
            handle: stored,
            order: Order::new(policy.kind()),
            roster: Roster::EMPTY,
            hash,
            len: 0,
            words: PeChecksum::words_of_handle(handle),
            policy,
        }
    }

    /// Gives back what the handle took, and marks the slot as vacant.
    pub(crate) fn close(&mut self, bytes: &mut Arena<u8>) {
        if usize::from(self.handle_len) > INLINE {
            bytes.free(self.block());
        }
        self.handle_len = 0;
    }

    pub(crate) const fn is_there(&self) -> bool {
        self.handle_len != 0
    }

    /// Whether the handle is stored apart.
    pub(crate) const fn is_apart(&self) -> bool {
        self.handle_len as usize > INLINE
    }

    fn block(&self) -> u32 {
        let [a, b, c, d, ..] = self.handle;
        u32::from_le_bytes([a, b, c, d])
    }

    /// The pool handle.
    #[inline]
    pub(crate) fn handle<'a>(&'a self, bytes: &'a Arena<u8>) -> PoolHandle<'a> {
        let len = usize::from(self.handle_len);
        PoolHandle::new(if len <= INLINE {
            &self.handle[..len]
        } else {
            bytes.get(self.block(), len)
        })
    }

    /// Whether this is its pool handle.
    #[inline]
    pub(crate) fn is_named(&self, bytes: &Arena<u8>, handle: PoolHandle<'_>) -> bool {
        let name = handle.as_bytes();
        if name.len() != usize::from(self.handle_len) {
            return false;
        }
        match self.handle.get(..name.len()) {
            // Word by word: a call of memcmp costs more than a short handle.
            Some(mine) => {
                let ((mine, my_end), (name, end)) = (mine.as_chunks::<8>(), name.as_chunks::<8>());
                mine.iter().zip(name).all(|(one, other)| one == other)
                    && my_end.iter().zip(end).all(|(one, other)| one == other)
            }
            None => bytes.get(self.block(), name.len()) == name,
        }
    }

    /// The share of one of its elements in the PE checksum of its home.
    #[inline]
    pub(crate) fn share(&self, names: &Arena<u8>, pe: u32) -> PeChecksum {
        // The bytes behind a short handle are zero.
        let bytes = if self.is_apart() {
            PeChecksum::bytes_of(self.handle(names).as_bytes())
        } else {
            PeChecksum::bytes_of(&self.handle)
        };
        PeChecksum::of_parts(self.words, bytes, pe)
    }
}
