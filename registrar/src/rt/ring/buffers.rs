//! The buffers that the kernel picks from when bytes arrive.
#![expect(unsafe_code, reason = "listed in docs/unsafe.md")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering};
use std::io;

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// The group of buffers that receives name.
pub(super) const GROUP: u16 = 0;
/// How many there are: a power of two, at most 2^15.
const BUFFERS: u16 = 512;
/// The bytes of each. Together they fit a core's cache: the kernel goes through
/// all of them in turn.
const BUFFER_BYTES: u32 = 2 << 10;

/// The kernel wants the list of buffers to begin with a page.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

const ENTRIES_PER_PAGE: usize = size_of::<Page>() / size_of::<BufRingEntry>();
const PAGES: usize = (BUFFERS as usize).div_ceil(ENTRIES_PER_PAGE);

/// The buffers of one ring. The kernel writes to them at any time, so they are
/// reached by pointers only, and read only between a completion that names
/// one and its return.
pub(super) struct Buffers {
    /// `PAGES` pages: the entries the kernel takes buffers from.
    list: NonNull<Page>,
    /// `BUFFERS` buffers of `BUFFER_BYTES`.
    memory: NonNull<u8>,
    tail: u16,
    leaked: bool,
}

impl Buffers {
    /// Makes buffers and gives them all to the kernel.
    pub(super) fn new(uring: &IoUring) -> io::Result<Self> {
        let list = Box::leak(vec![Page([0; 4096]); PAGES].into_boxed_slice());
        let memory = vec![0_u8; usize::from(BUFFERS) * BUFFER_BYTES as usize].into_boxed_slice();
        let memory = Box::leak(memory);
        let mut buffers = Self {
            list: NonNull::from(list).cast(),
            memory: NonNull::from(memory).cast(),
            tail: 0,
            leaked: false,
        };
        let address = buffers.list.as_ptr() as u64;
        // SAFETY: the list is page-aligned, has `BUFFERS` entries, and lives
        // until the ring is closed: `Ring` drops its ring first.
        unsafe { uring.submitter().register_buf_ring_with_flags(address, BUFFERS, GROUP, 0) }?;
        for number in 0..BUFFERS {
            buffers.give_back(number);
        }
        Ok(buffers)
    }

    /// The start of a buffer.
    fn start(&self, number: u16) -> NonNull<u8> {
        let offset = usize::from(number % BUFFERS) * BUFFER_BYTES as usize;
        // SAFETY: the offset is below the size of the memory.
        unsafe { self.memory.add(offset) }
    }

    /// What the kernel wrote to a buffer that a completion named.
    pub(super) fn bytes(&self, number: u16, length: usize) -> &[u8] {
        let start = self.start(number);
        // SAFETY: the buffer has `BUFFER_BYTES`, all initialized; the kernel
        // does not write to it until it is given back, which needs `&mut`.
        unsafe { core::slice::from_raw_parts(start.as_ptr(), length.min(BUFFER_BYTES as usize)) }
    }

    /// Gives a buffer to the kernel.
    pub(super) fn give_back(&mut self, number: u16) {
        let start = self.start(number).as_ptr() as u64;
        let entries: NonNull<BufRingEntry> = self.list.cast();
        // SAFETY: the index is below `BUFFERS`, so within the list.
        let mut entry = unsafe { entries.add(usize::from(self.tail % BUFFERS)) };
        // SAFETY: entries from the tail on are ours until the tail moves; the
        // tail itself, in the first one, is not touched by these setters.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(start);
        entry.set_len(BUFFER_BYTES);
        entry.set_bid(number);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the list's first entry is there.
        let tail = unsafe { BufRingEntry::tail(entries.as_ptr()) };
        // SAFETY: aligned, and only this thread and the kernel use it, both
        // atomically.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// Never frees the memory.
    pub(super) fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        let list = core::ptr::slice_from_raw_parts_mut(self.list.as_ptr(), PAGES);
        // SAFETY: it was leaked from a box of this length, and no operation
        // that could use it is under way.
        drop(unsafe { Box::from_raw(list) });
        let bytes = usize::from(BUFFERS) * BUFFER_BYTES as usize;
        let memory = core::ptr::slice_from_raw_parts_mut(self.memory.as_ptr(), bytes);
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(memory) });
    }
}
