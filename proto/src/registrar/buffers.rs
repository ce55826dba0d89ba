//! Emptied buffers, kept for the next use: a shard in its steady state does
//! not allocate, and an idle association holds no buffer.

use std::collections::VecDeque;

use super::answers::Slot;

/// The capacity kept in all, in bytes.
const TOTAL_MAX: usize = 16 << 20;
/// A buffer that grew beyond this is given back to the allocator.
const SINGLE_MAX: usize = 256 << 10;
/// Queues kept.
const QUEUES_MAX: usize = 1024;
/// A queue that grew beyond this many slots is given back to the allocator.
const QUEUE_SLOTS_MAX: usize = 4096;

/// Emptied buffers and queues of slots.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    bytes: Vec<Vec<u8>>,
    total: usize,
    queues: Vec<VecDeque<Slot>>,
}

impl Buffers {
    /// An empty buffer, one that was used before if there is one.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let buffer = self.bytes.pop().unwrap_or_default();
        self.total -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer for later. Its content is dropped.
    pub(super) fn put(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if (1..=SINGLE_MAX).contains(&capacity) && self.total + capacity <= TOTAL_MAX {
            buffer.clear();
            self.total += capacity;
            self.bytes.push(buffer);
        }
    }

    /// An empty queue.
    pub(super) fn take_queue(&mut self) -> VecDeque<Slot> {
        self.queues.pop().unwrap_or_default()
    }

    /// Keeps an empty queue for later.
    pub(super) fn put_queue(&mut self, queue: VecDeque<Slot>) {
        debug_assert!(queue.is_empty(), "only empty queues are kept");
        if (1..=QUEUE_SLOTS_MAX).contains(&queue.capacity()) && self.queues.len() < QUEUES_MAX {
            self.queues.push(queue);
        }
    }
}
