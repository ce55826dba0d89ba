//! The deadlines of all elements: a hierarchical timing wheel.
//!
//! Four levels of 4,096 buckets; a bucket of the first level is 2.048 ms. An
//! element is in the wheel once, no later than its earliest deadline. A
//! deadline that moves into the future leaves it where it is: when its bucket
//! comes, it is put where it belongs by then. So acknowledging a keep-alive is
//! one write. Within the current bucket deadlines are exact to a microsecond.

use crate::element::{Element, Flag, NEVER};
use crate::paged::{NONE, narrow};
use crate::slab::Slab;

const TICK_BITS: u32 = 11;
const LEVELS: u32 = 4;
const LEVEL_BITS: u32 = 12;
const BUCKETS: u32 = 1 << LEVEL_BITS;
/// In an element's `earlier` link: it is the first of the bucket named.
const FIRST_OF: u32 = 1 << 31;
/// The number of the first list that is being worked off: one for each level.
const WORKING: u32 = LEVELS * BUCKETS;
const WORDS: usize = BUCKETS as usize / 64;

/// The wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// First element of each bucket, level by level, then of the lists that are
    /// being worked off.
    heads: Box<[u32]>,
    /// Which buckets have elements; a word of the summary has a bit for each
    /// word of its level.
    occupied: [[u64; WORDS]; LEVELS as usize],
    summary: [u64; LEVELS as usize],
    /// The tick of the current bucket. All before are empty.
    clock: u64,
    /// No element of the current bucket is due before.
    current: u64,
    len: u32,
}

/// The digit of a time on a level: its bucket there.
const fn digit(time: u64) -> u32 {
    (time & 0xfff) as u32
}

const fn tick(deadline: u64) -> u64 {
    deadline >> TICK_BITS
}

impl Wheel {
    pub(crate) fn new() -> Self {
        let heads = vec![NONE; (WORKING + LEVELS) as usize].into_boxed_slice();
        Self {
            heads,
            occupied: [[0; WORDS]; LEVELS as usize],
            summary: [0; LEVELS as usize],
            clock: 0,
            current: NEVER,
            len: 0,
        }
    }

    /// Puts an element into the bucket of its deadline.
    #[inline]
    pub(crate) fn arm(&mut self, elements: &mut Slab<Element>, now: u64, slot: u32) {
        let element = &mut elements[slot];
        let deadline = element.deadline();
        if deadline == NEVER {
            return;
        }
        element.set(Flag::Armed);
        if self.len == 0 {
            (self.clock, self.current) = (self.clock.max(tick(now)), NEVER);
        }
        self.len += 1;
        let due = tick(deadline).max(self.clock);
        let away = due - self.clock;
        let bucket = if away < u64::from(BUCKETS) {
            if away == 0 {
                self.current = self.current.min(deadline);
            }
            digit(due)
        } else {
            let farthest = (1 << (LEVELS * LEVEL_BITS)) - 1;
            let due = self.clock + away.min(farthest);
            let level = away.min(farthest).ilog2() / LEVEL_BITS;
            level * BUCKETS + digit(due >> (level * LEVEL_BITS))
        };
        self.push(elements, bucket, slot);
    }

    /// Moves an element to the bucket of its deadline.
    #[inline(never)]
    pub(crate) fn rearm(&mut self, elements: &mut Slab<Element>, now: u64, slot: u32) {
        self.disarm(elements, slot);
        self.arm(elements, now, slot);
    }

    /// Takes an element out, if it is in.
    #[inline]
    pub(crate) fn disarm(&mut self, elements: &mut Slab<Element>, slot: u32) {
        let element = &mut elements[slot];
        if !element.has(Flag::Armed) {
            return;
        }
        self.len -= 1;
        let (earlier, later) = (element.earlier, element.later);
        element.clear(Flag::Armed);
        (element.earlier, element.later) = (NONE, NONE);
        if later != NONE {
            elements[later].earlier = earlier;
        }
        if earlier & FIRST_OF == 0 {
            elements[earlier].later = later;
        } else {
            let bucket = earlier & !FIRST_OF;
            self.heads[bucket as usize] = later;
            if later == NONE {
                self.mark_empty(bucket);
            }
        }
    }

    #[inline]
    fn push(&mut self, elements: &mut Slab<Element>, bucket: u32, slot: u32) {
        let later = core::mem::replace(&mut self.heads[bucket as usize], slot);
        let element = &mut elements[slot];
        (element.earlier, element.later) = (FIRST_OF | bucket, later);
        if later == NONE {
            let (level, word, bit) = Self::bit(bucket);
            self.occupied[level][word] |= 1 << bit;
            self.summary[level] |= 1 << word;
        } else {
            elements[later].earlier = slot;
        }
    }

    const fn bit(bucket: u32) -> (usize, usize, u32) {
        let digit = bucket % BUCKETS;
        ((bucket / BUCKETS) as usize, (digit / 64) as usize, digit % 64)
    }

    const fn mark_empty(&mut self, bucket: u32) {
        if bucket < WORKING {
            let (level, word, bit) = Self::bit(bucket);
            self.occupied[level][word] &= !(1 << bit);
            if self.occupied[level][word] == 0 {
                self.summary[level] &= !(1 << word);
            }
        }
    }

    /// The distance from bucket `from` on, cyclically, to one with elements.
    fn distance(&self, level: usize, from: u32) -> Option<u64> {
        if self.summary[level] == 0 {
            return None;
        }
        let words = &self.occupied[level];
        let (word, bit) = ((from / 64) as usize, from % 64);
        let here = words[word] >> bit;
        if here != 0 {
            return Some(u64::from(here.trailing_zeros()));
        }
        // The words after this one, then round to it again.
        let turned = self.summary[level].rotate_right(narrow(word) + 1);
        let words_on = turned.trailing_zeros() + 1;
        let found = words[(word + words_on as usize) % WORDS];
        Some(u64::from(words_on * 64 + found.trailing_zeros() - bit))
    }

    /// The next tick after the current one at which a bucket begins that has
    /// elements.
    fn next_event(&self) -> Option<u64> {
        let mut next: Option<u64> = None;
        for level in 0..LEVELS {
            let shift = level * LEVEL_BITS;
            let after = (self.clock >> shift) + 1;
            let from = digit(after);
            if let Some(distance) = self.distance(level as usize, from) {
                let at = (after + distance) << shift;
                next = Some(next.map_or(at, |earliest| earliest.min(at)));
            }
        }
        next
    }

    const fn current_bucket(&self) -> u32 {
        digit(self.clock)
    }

    /// When there is something to do: not later than the earliest deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        if self.working().is_some() {
            return Some(self.clock << TICK_BITS);
        }
        if self.heads[self.current_bucket() as usize] != NONE {
            return Some(self.current.max(self.clock << TICK_BITS));
        }
        self.next_event().map(|at| at << TICK_BITS)
    }

    /// The next element to look at until `now`. It is taken out; whoever takes
    /// it arms it again if its deadline is later.
    pub(crate) fn pop(&mut self, elements: &mut Slab<Element>, now: u64) -> Option<u32> {
        loop {
            if let Some(slot) = self.working() {
                self.disarm(elements, slot);
                return Some(slot);
            }
            let here = self.current_bucket();
            if self.heads[here as usize] != NONE && self.current <= now {
                self.current = NEVER;
                self.work_off(elements, 0);
                continue;
            }
            let Some(at) = self.next_event().filter(|&at| at <= tick(now)) else {
                // An occupied current bucket ends with its tick only.
                if self.heads[here as usize] == NONE {
                    self.clock = self.clock.max(tick(now));
                    self.current = NEVER;
                }
                return None;
            };
            if self.heads[here as usize] != NONE {
                // The clock leaves this bucket: all in it are due.
                self.current = NEVER;
                self.work_off(elements, 0);
                continue;
            }
            self.clock = at;
            self.current = NEVER;
            // Of each level that has a bucket that begins now.
            for level in (0..LEVELS).take_while(|level| at.trailing_zeros() >= level * LEVEL_BITS) {
                self.work_off(elements, level);
            }
        }
    }

    /// An element of the lists that are being worked off.
    fn working(&self) -> Option<u32> {
        self.heads[WORKING as usize..].iter().copied().find(|&slot| slot != NONE)
    }

    /// Takes all of the current bucket of a level into the list that is being
    /// worked off.
    fn work_off(&mut self, elements: &mut Slab<Element>, level: u32) {
        let bucket = level * BUCKETS + digit(self.clock >> (level * LEVEL_BITS));
        let first = core::mem::replace(&mut self.heads[bucket as usize], NONE);
        if first != NONE {
            self.mark_empty(bucket);
            self.heads[(WORKING + level) as usize] = first;
            elements[first].earlier = FIRST_OF | (WORKING + level);
        }
    }

    /// Checks that each element is armed where it is found in time; returns
    /// their number.
    pub(crate) fn assert_invariants(&self, elements: &Slab<Element>) -> u32 {
        let mut len = 0;
        let mut marked = 0;
        for (bucket, &head) in (0..).zip(&self.heads) {
            if head == NONE {
                continue;
            }
            if bucket < WORKING {
                let (level, word, bit) = Self::bit(bucket);
                assert_eq!(self.occupied[level][word] >> bit & 1, 1, "occupied buckets are marked");
                assert_eq!(self.summary[level] >> word & 1, 1, "and in the summary");
                marked += 1;
            }
            len += self.assert_bucket(elements, bucket);
        }
        let ones = self.occupied.iter().flatten().map(|word| word.count_ones()).sum::<u32>();
        assert_eq!(marked, ones, "and no others");
        assert_eq!(len, self.len, "the wheel counts its elements");
        len
    }

    fn assert_bucket(&self, elements: &Slab<Element>, bucket: u32) -> u32 {
        let level = bucket / BUCKETS;
        let shift = level * LEVEL_BITS;
        let first = (self.clock >> shift) + u64::from(level > 0);
        let turns = u64::from(bucket % BUCKETS).wrapping_sub(first) % u64::from(BUCKETS);
        let opens = if bucket >= WORKING { 0 } else { (first + turns) << shift };
        let (mut len, mut earlier, mut at) = (0, FIRST_OF | bucket, self.heads[bucket as usize]);
        while at != NONE {
            let element = &elements[at];
            assert!(element.is_there() && element.has(Flag::Armed), "an armed one is there");
            assert_eq!(element.earlier, earlier, "links go both ways");
            let due = tick(element.deadline()).max(self.clock);
            assert!(opens <= due, "an element is found before its deadline");
            if bucket == self.current_bucket() {
                assert!(self.current <= element.deadline(), "the next deadline is not late");
            }
            len += 1;
            (earlier, at) = (at, element.later);
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(deadlines: &[u64]) -> (Wheel, Slab<Element>) {
        let (mut wheel, mut elements) = (Wheel::new(), Slab::for_slots(1 << 12));
        for &deadline in deadlines {
            let slot = elements.take();
            elements[slot] = Element::new(1, 1, 0, 0);
            elements[slot].life_end = deadline;
            wheel.arm(&mut elements, 0, slot);
        }
        (wheel, elements)
    }

    #[test]
    fn each_element_comes_when_it_is_due_and_not_before() {
        let spread = |n: u64| crate::chance::mix(n) >> (n % 60);
        let deadlines: Vec<u64> = (0..2000).map(spread).collect();
        let (mut wheel, mut elements) = armed(&deadlines);
        let mut left = deadlines;
        let mut now = 0;
        while let Some(next) = wheel.next() {
            assert!(left.iter().all(|&it| next <= it.max(now)), "never late");
            now = next.max(now);
            while let Some(slot) = wheel.pop(&mut elements, now) {
                let deadline = elements[slot].deadline();
                if deadline > now {
                    wheel.arm(&mut elements, 0, slot);
                } else {
                    elements[slot].life_end = NEVER;
                    left.swap_remove(left.iter().position(|&it| it == deadline).unwrap());
                }
            }
            assert!(left.iter().all(|&it| it > now), "all that is due has come");
            wheel.assert_invariants(&elements);
        }
        assert!(left.is_empty());
    }

    #[test]
    fn buckets_of_two_levels_that_begin_together_are_both_found() {
        let tick = |ticks: u64| ticks << TICK_BITS;
        // Far away when they are armed, and one that moves the clock.
        let (mut wheel, mut elements) = armed(&[tick(8192), tick(1 << 24), tick(5000)]);
        let pop = |wheel: &mut Wheel, elements: &mut Slab<Element>, now| {
            let slot = wheel.pop(elements, now)?;
            if elements[slot].deadline() > now {
                wheel.arm(elements, now, slot);
            }
            Some(slot)
        };
        while pop(&mut wheel, &mut elements, tick(5000)).is_some() {}
        // Near, for the same tick.
        let near = elements.take();
        elements[near] = Element::new(1, 1, 0, 0);
        elements[near].life_end = tick(8192);
        wheel.arm(&mut elements, tick(5000), near);
        let due = std::iter::from_fn(|| pop(&mut wheel, &mut elements, tick(8192)));
        let mut found: Vec<u32> = due.collect();
        found.sort_unstable();
        assert_eq!(found, [0, near]);
        wheel.assert_invariants(&elements);
    }

    #[test]
    fn a_jump_over_everything_finds_everything() {
        let deadlines: Vec<u64> = (1..50).map(|bit| 1 << bit).collect();
        let (mut wheel, mut elements) = armed(&deadlines);
        let mut found = 0;
        while let Some(slot) = wheel.pop(&mut elements, u64::MAX - 1) {
            if elements[slot].deadline() > u64::MAX - 1 {
                wheel.arm(&mut elements, 0, slot);
            } else {
                found += 1;
            }
        }
        assert_eq!((found, wheel.next()), (49, None));
    }
}
