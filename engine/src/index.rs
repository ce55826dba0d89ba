//! A hash index of slots that grows one bucket at a time.
//!
//! Linear hashing: an insertion splits at most one bucket, so that no request
//! ever pays for a rehash of everything. A bucket is one cache line of
//! fourteen slots, each with eight bits of its hash, which keep nearly all
//! comparisons away from the records, and a link to an overflow bucket. The
//! tags of a bucket are compared in two words, without branches: where an
//! entry is in its bucket is not to be foreseen.
//! The hash itself is not stored: who calls computes it again on a split.

use crate::paged::{NONE, Paged, narrow};
use crate::slab::{Slab, Vacant};

const ENTRIES: usize = 14;
/// A split follows when there are more entries a bucket than this. Buckets
/// that are not split yet have up to twice as many.
const LOAD: u32 = 9;
/// Buckets of a page.
const PAGE: usize = 64;

/// Fourteen entries, without gaps.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    /// A byte for each entry; 0: free.
    tags: [u64; 2],
    /// Three bytes for each entry, then the link.
    slots: [u8; 48],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// Where the link is: the overflow bucket, or the next vacant one.
const LINK: usize = 3 * ENTRIES;

/// A byte of ones for each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each byte that is 0.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x7f * EACH;
    !(((word & LOW) + LOW) | word | LOW)
}

impl Default for Bucket {
    fn default() -> Self {
        let mut bucket = Self { tags: [0; 2], slots: [0; 48] };
        bucket.set_link(NONE);
        bucket
    }
}

impl Vacant for Bucket {
    fn set_next_vacant(&mut self, next: u32) {
        *self = Self::default();
        self.set_link(next);
    }

    fn next_vacant(&self) -> u32 {
        self.link()
    }
}

impl Bucket {
    #[inline]
    const fn link(&self) -> u32 {
        let [a, b, c, d] =
            [self.slots[LINK], self.slots[LINK + 1], self.slots[LINK + 2], self.slots[LINK + 3]];
        u32::from_le_bytes([a, b, c, d])
    }

    fn set_link(&mut self, link: u32) {
        self.slots[LINK..LINK + 4].copy_from_slice(&link.to_le_bytes());
    }

    #[inline]
    const fn slot(&self, at: usize) -> u32 {
        let at = at % 16 * 3;
        u32::from_le_bytes([self.slots[at], self.slots[at + 1], self.slots[at + 2], 0])
    }

    /// The tag of an entry, as it is compared.
    #[inline]
    const fn tag(&self, at: usize) -> u8 {
        (self.tags[at / 8 % 2] >> (at % 8 * 8) & 0xff) as u8
    }

    #[inline]
    const fn set(&mut self, at: usize, tag: u8, slot: u32) {
        let shift = at % 8 * 8;
        let word = &mut self.tags[at / 8 % 2];
        *word = *word & !(0xff << shift) | (tag as u64) << shift;
        let at = at % 16 * 3;
        [self.slots[at], self.slots[at + 1], self.slots[at + 2], _] = slot.to_le_bytes();
    }

    /// A bit for each entry with this tag, the lowest of two bits.
    #[inline]
    fn tagged(&self, tag: u8) -> u64 {
        let wanted = u64::from(tag) * EACH;
        let [low, high] = self.tags.map(|tags| zero_bytes(tags ^ wanted) >> 7);
        low | high << 1
    }

    /// The entry of the lowest bit of a mask of [`Self::tagged`].
    #[inline]
    const fn entry_of(mask: u64) -> usize {
        let bit = mask.trailing_zeros() as usize;
        bit / 8 + bit % 2 * 8
    }

    /// The number of entries.
    #[inline]
    const fn len(&self) -> usize {
        // Entries are dense: the first free tag is behind the last entry.
        let [low, high] = [zero_bytes(self.tags[0]), zero_bytes(self.tags[1])];
        if low != 0 {
            (low.trailing_zeros() / 8) as usize
        } else {
            8 + (high.trailing_zeros() / 8) as usize
        }
    }

    /// The entry with this slot.
    #[inline]
    fn position(&self, tag: u8, slot: u32) -> Option<usize> {
        let mut candidates = self.tagged(tag);
        while candidates != 0 {
            let at = Self::entry_of(candidates);
            if self.slot(at) == slot {
                return Some(at);
            }
            candidates &= candidates - 1;
        }
        None
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
    buckets: Paged<Bucket, PAGE>,
    overflow: Slab<Bucket>,
    /// The buckets of this round: a power of two.
    round: u32,
    /// The buckets of this round that are split already.
    split: u32,
    len: u32,
}

/// The tag of a hash: 1 to 255.
#[inline]
const fn tag(hash: u64) -> u8 {
    let tag = (hash >> 56) as u8;
    if tag == 0 { 1 } else { tag }
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
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut bucket = &self.buckets[self.home(hash)];
        loop {
            let mut candidates = bucket.tagged(tag(hash));
            while candidates != 0 {
                let slot = bucket.slot(Bucket::entry_of(candidates));
                if is_it(slot) {
                    return Some(slot);
                }
                candidates &= candidates - 1;
            }
            if bucket.link() == NONE {
                return None;
            }
            bucket = &self.overflow[bucket.link()];
        }
    }

    /// Reads the bucket of a hash, for batches.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u64 {
        self.buckets[self.home(hash)].tags[0]
    }

    /// The first slot that may be the one with this hash: which it is only
    /// its record says. For batches, which fetch the records of many before
    /// they look into any.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> Option<u32> {
        let bucket = &self.buckets[self.home(hash)];
        let candidates = bucket.tagged(tag(hash));
        (candidates != 0).then(|| bucket.slot(Bucket::entry_of(candidates)))
    }

    /// Adds a slot. `hash_of` gives the hash of any slot of this index.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let home = self.home(hash);
        self.put(home, tag(hash), slot);
        self.len += 1;
        if self.len > (self.round + self.split).saturating_mul(LOAD) {
            self.split_one(hash_of);
        }
    }

    #[inline]
    fn put(&mut self, home: u32, tag: u8, slot: u32) {
        let bucket = &mut self.buckets[home];
        let len = bucket.len();
        if len < ENTRIES {
            bucket.set(len, tag, slot);
        } else {
            self.put_behind(home, tag, slot);
        }
    }

    #[cold]
    fn put_behind(&mut self, home: u32, tag: u8, slot: u32) {
        let mut at = At::Main(home);
        loop {
            let bucket = self.at_mut(at);
            let len = bucket.len();
            if len < ENTRIES {
                bucket.set(len, tag, slot);
                return;
            }
            at = match bucket.link() {
                NONE => {
                    let fresh = self.overflow.take();
                    self.overflow[fresh] = Bucket::default();
                    self.at_mut(at).set_link(fresh);
                    At::Overflow(fresh)
                }
                next => At::Overflow(next),
            };
        }
    }

    /// Removes a slot that is in the index under this hash.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let home = self.home(hash);
        let bucket = &mut self.buckets[home];
        match bucket.position(tag(hash), slot) {
            Some(hole) if bucket.link() == NONE => {
                // The last entry fills the hole: buckets stay dense.
                let last = bucket.len() - 1;
                bucket.set(hole, bucket.tag(last), bucket.slot(last));
                bucket.set(last, 0, 0);
            }
            _ => self.remove_behind(home, tag(hash), slot),
        }
        self.len -= 1;
    }

    #[cold]
    fn remove_behind(&mut self, home: u32, tag: u8, slot: u32) {
        let mut hole = None;
        let mut before = None;
        let mut at = At::Main(home);
        loop {
            let bucket = self.at(at);
            if hole.is_none() {
                hole = bucket.position(tag, slot).map(|it| (at, it));
            }
            if bucket.link() == NONE {
                break;
            }
            before = Some(at);
            at = At::Overflow(bucket.link());
        }
        let Some((hole_at, hole)) = hole else { unreachable!("the index has each slot in use") };
        // The last entry of the last bucket fills the hole.
        let last = self.at_mut(at);
        let end = last.len() - 1;
        let (moved_tag, moved) = (last.tag(end), last.slot(end));
        last.set(end, 0, 0);
        if (at, end) != (hole_at, hole) {
            self.at_mut(hole_at).set(hole, moved_tag, moved);
        }
        if let (0, At::Overflow(empty), Some(before)) = (end, at, before) {
            self.at_mut(before).set_link(NONE);
            self.overflow.give_back(empty);
        }
    }

    #[inline(never)]
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
            let len = bucket.len();
            for (at, hash) in hashes[..len].iter_mut().enumerate() {
                *hash = hash_of(bucket.slot(at));
            }
            for (at, &hash) in hashes[..len].iter().enumerate() {
                self.put(self.home(hash), bucket.tag(at), bucket.slot(at));
            }
            let overflow = bucket.link();
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
                let end = bucket.len();
                assert!((end..16).all(|at| bucket.tag(at) == 0), "a bucket has no gap");
                assert!(bucket.link() == NONE || end == ENTRIES, "only a full bucket overflows");
                for at in 0..end {
                    let hash = hash_of(bucket.slot(at));
                    assert_eq!(self.home(hash), home, "an entry is in the bucket of its hash");
                    assert_eq!(tag(hash), bucket.tag(at), "an entry has its hash's tag");
                }
                len += narrow(end);
                if bucket.link() == NONE {
                    break;
                }
                overflow += 1;
                bucket = &self.overflow[bucket.link()];
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
