//! A hash index of slots that grows one bucket at a time.
//!
//! Linear hashing: an insertion splits at most one bucket, so that no request
//! ever pays for a rehash of everything. A bucket is one cache line of fifteen
//! entries and a link to an overflow bucket. An entry is a slot with eight
//! bits of its hash, which keep nearly all comparisons away from the records.
//! The hash itself is not stored: who calls computes it again on a split.

use crate::paged::{NONE, Paged, SLOTS_MAX};
use crate::slab::{Slab, Vacant};

const ENTRIES: usize = 15;
/// A split follows when there are more entries a bucket than this.
const LOAD: u32 = 10;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    entries: [u32; ENTRIES],
    /// The overflow bucket, or the next vacant one.
    next: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Default for Bucket {
    fn default() -> Self {
        Self { entries: [NONE; ENTRIES], next: NONE }
    }
}

impl Vacant for Bucket {
    fn set_next_vacant(&mut self, next: u32) {
        *self = Self { next, ..Self::default() };
    }

    fn next_vacant(&self) -> u32 {
        self.next
    }
}

/// Where a bucket is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Main(u32),
    Overflow(u32),
}

/// Slots by hash.
#[derive(Debug)]
pub(crate) struct Index {
    buckets: Paged<Bucket>,
    overflow: Slab<Bucket>,
    /// The buckets of this round: a power of two.
    round: u32,
    /// The buckets of this round that are split already.
    split: u32,
    len: u32,
}

const fn entry(hash: u64, slot: u32) -> u32 {
    ((hash >> 56) as u32) << 24 | slot
}

impl Index {
    pub(crate) fn for_slots(slots: u32) -> Self {
        let mut buckets = Paged::for_slots(slots / LOAD + 1);
        buckets.reserve(0);
        Self { buckets, overflow: Slab::for_slots(slots / LOAD), round: 1, split: 0, len: 0 }
    }

    /// The number of entries.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    const fn home(&self, hash: u64) -> u32 {
        let low = (hash & 0xffff_ffff) as u32;
        let bucket = low & (self.round - 1);
        if bucket < self.split { low & (2 * self.round - 1) } else { bucket }
    }

    #[inline]
    fn at(&self, at: At) -> &Bucket {
        match at {
            At::Main(bucket) => &self.buckets[bucket],
            At::Overflow(bucket) => &self.overflow[bucket],
        }
    }

    #[inline]
    fn at_mut(&mut self, at: At) -> &mut Bucket {
        match at {
            At::Main(bucket) => &mut self.buckets[bucket],
            At::Overflow(bucket) => &mut self.overflow[bucket],
        }
    }

    /// The slot with this hash that `is_it`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = entry(hash, 0);
        let mut bucket = &self.buckets[self.home(hash)];
        loop {
            for &it in &bucket.entries {
                let slot = it ^ tag;
                if slot < SLOTS_MAX && is_it(slot) {
                    return Some(slot);
                }
            }
            if bucket.next == NONE {
                return None;
            }
            bucket = &self.overflow[bucket.next];
        }
    }

    /// Adds a slot. `hash_of` gives the hash of any slot of this index.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let home = self.home(hash);
        self.put(home, entry(hash, slot));
        self.len += 1;
        if self.len > (self.round + self.split).saturating_mul(LOAD) {
            self.split_one(hash_of);
        }
    }

    fn put(&mut self, home: u32, entry: u32) {
        let mut at = At::Main(home);
        loop {
            let bucket = self.at_mut(at);
            if let Some(free) = bucket.entries.iter_mut().find(|it| **it == NONE) {
                *free = entry;
                return;
            }
            at = match bucket.next {
                NONE => {
                    let fresh = self.overflow.take();
                    self.overflow[fresh] = Bucket::default();
                    self.at_mut(at).next = fresh;
                    At::Overflow(fresh)
                }
                next => At::Overflow(next),
            };
        }
    }

    /// Removes a slot that is in the index under this hash.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let entry = entry(hash, slot);
        let mut hole = None;
        let mut before = None;
        let mut at = At::Main(self.home(hash));
        loop {
            let bucket = self.at(at);
            if hole.is_none() {
                hole = bucket.entries.iter().position(|&it| it == entry).map(|it| (at, it));
            }
            if bucket.next == NONE {
                break;
            }
            before = Some(at);
            at = At::Overflow(bucket.next);
        }
        let Some((hole_at, hole)) = hole else { unreachable!("the index has each slot in use") };
        // The last entry of the last bucket fills the hole: buckets stay dense.
        let last = self.at_mut(at);
        let end = last.entries.iter().position(|&it| it == NONE).unwrap_or(ENTRIES) - 1;
        let moved = core::mem::replace(&mut last.entries[end], NONE);
        if (at, end) != (hole_at, hole) {
            self.at_mut(hole_at).entries[hole] = moved;
        }
        if let (0, At::Overflow(empty), Some(before)) = (end, at, before) {
            self.at_mut(before).next = NONE;
            self.overflow.give_back(empty);
        }
        self.len -= 1;
    }

    fn split_one(&mut self, hash_of: impl Fn(u32) -> u64) {
        let from = self.split;
        self.buckets.reserve(self.round + from);
        self.split += 1;
        if self.split == self.round {
            self.round *= 2;
            self.split = 0;
        }
        let mut bucket = core::mem::take(&mut self.buckets[from]);
        loop {
            // The hashes first: their records are independent loads.
            let mut hashes = [0_u64; ENTRIES];
            for (hash, &it) in hashes.iter_mut().zip(&bucket.entries) {
                if it != NONE {
                    *hash = hash_of(it & SLOTS_MAX);
                }
            }
            for (&hash, &it) in hashes.iter().zip(&bucket.entries) {
                if it != NONE {
                    self.put(self.home(hash), it);
                }
            }
            let overflow = bucket.next;
            if overflow == NONE {
                break;
            }
            bucket = self.overflow[overflow];
            self.overflow.give_back(overflow);
        }
    }

    /// Checks that each of its slots is found where its hash says.
    pub(crate) fn assert_invariants(&self, hash_of: impl Fn(u32) -> u64) {
        let mut len = 0;
        let mut overflow = 0;
        for home in 0..self.round + self.split {
            let mut bucket = &self.buckets[home];
            loop {
                let end = bucket.entries.iter().position(|&it| it == NONE).unwrap_or(ENTRIES);
                assert!(bucket.entries[end..].iter().all(|&it| it == NONE), "a bucket has no gap");
                assert!(bucket.next == NONE || end == ENTRIES, "only a full bucket overflows");
                for &it in &bucket.entries[..end] {
                    let hash = hash_of(it & SLOTS_MAX);
                    assert_eq!(self.home(hash), home, "an entry is in the bucket of its hash");
                    assert_eq!(entry(hash, it & SLOTS_MAX), it, "an entry has its hash's tag");
                    len += 1;
                }
                if bucket.next == NONE {
                    break;
                }
                overflow += 1;
                bucket = &self.overflow[bucket.next];
            }
        }
        assert_eq!(len, self.len, "the index counts its entries");
        assert_eq!(overflow, self.overflow.len(), "each overflow bucket is linked once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::mix;

    #[test]
    fn slots_are_found_until_they_are_removed() {
        let hash = |slot: u32| mix(u64::from(slot));
        let mut index = Index::for_slots(1 << 16);
        for slot in 0..20_000 {
            index.insert(hash(slot), slot, hash);
        }
        index.assert_invariants(hash);
        for slot in (0..20_000).step_by(3) {
            index.remove(hash(slot), slot);
        }
        index.assert_invariants(hash);
        for slot in 0..20_000 {
            let found = index.find(hash(slot), |it| it == slot);
            assert_eq!(found, (slot % 3 != 0).then_some(slot));
        }
    }

    #[test]
    fn equal_hashes_chain_and_unchain() {
        let hash = |_: u32| 0xab00_0000_0000_0001;
        let mut index = Index::for_slots(1 << 10);
        for slot in 0..200 {
            index.insert(hash(slot), slot, hash);
        }
        index.assert_invariants(hash);
        for slot in 0..200 {
            assert_eq!(index.find(hash(slot), |it| it == slot), Some(slot));
            index.remove(hash(slot), slot);
            assert_eq!(index.find(hash(slot), |it| it == slot), None);
        }
        index.assert_invariants(hash);
        assert_eq!((index.len(), index.overflow.len()), (0, 0));
    }
}
