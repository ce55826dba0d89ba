//! Consistent hashing with several points an element and several probes a
//! key.
//!
//! An element has eight points on a circle of 2^64 positions; so many because
//! what it gets depends on its distance from the point before. A key has eight
//! probes; an element is as near to the key as its nearest point is behind one
//! of the probes. Elements are selected from near to far, so that nothing but
//! the nearness of an element decides whether it is before another one: when
//! one comes or goes, all others stay in their order. Several probes (the
//! method of Appleton and O'Reilly) keep the largest share low.
//!
//! The circle is cut into equal arcs, eight points each on average at most, of which one
//! is halved or two are joined with a change. So a probe looks at one arc or
//! two, whatever their number.

use crate::ElementKey;
use crate::arena::Arena;
use crate::array::{Array, Lot};
use crate::chance::{Chance, mix};
use crate::mode::SelectionKey;
use crate::paged::{NONE, narrow};

/// Points of an element.
const POINTS: u32 = 8;
/// Probes of a key.
const PROBES: usize = 8;
/// An arc is halved when there are more points an arc than this on average (so
/// that there are no more arcs than elements),
/// and two are joined when there are less than half as many.
const LOAD: u32 = 8;
/// An arc takes no more points; only identifiers chosen by one who knows the
/// seed can be so many.
const POINTS_MAX: usize = 255;
/// Words of a point: its position, and the element.
const WORDS: usize = 4;

/// A point.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Point {
    at: u64,
    key: ElementKey,
}

/// The circle of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Continuum {
    seed: u64,
    /// The arcs. The index of a lot is the block of its points, the generation
    /// their number.
    arcs: Array,
    points: u32,
    members: u32,
}

/// The positions of the points of an element.
fn positions(seed: u64, pe: u32) -> impl Iterator<Item = u64> {
    let mut stream = Chance::new(mix(seed ^ mix(u64::from(pe))));
    (0..POINTS).map(move |_| stream.next())
}

fn probes(seed: u64, key: SelectionKey) -> [u64; PROBES] {
    let mut stream = Chance::new(mix(!seed ^ mix(key.0)));
    core::array::from_fn(|_| stream.next())
}

/// The largest power of two that is not above `number`.
const fn round(number: u32) -> u32 {
    1 << number.ilog2()
}

/// Where a search from a probe is.
#[derive(Clone, Copy)]
struct Walk {
    from: u64,
    arc: u32,
    index: usize,
    /// How far the point there is from the probe; none if all were visited.
    distance: Option<u64>,
    key: ElementKey,
}

impl Continuum {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, arcs: Array::EMPTY, points: 0, members: 0 }
    }

    pub(super) const fn members(&self) -> u32 {
        self.members
    }

    /// The arc of a position: its number are the upper bits of the position,
    /// the uppermost last, so that halving an arc adds one at the end.
    const fn arc_of(&self, at: u64) -> u32 {
        let reversed = (at.reverse_bits() & 0xffff_ffff) as u32;
        let round = round(self.arcs.len());
        let arc = reversed & (2 * round - 1);
        if arc < self.arcs.len() { arc } else { reversed & (round - 1) }
    }

    /// The first position behind an arc.
    const fn end(&self, arc: u32) -> u64 {
        let round = round(self.arcs.len());
        let is_half = arc >= round || arc + round < self.arcs.len();
        let arcs = if is_half { 2 * round } else { round };
        let start = (arc as u64).reverse_bits();
        // A single arc is all there is, and ends where it starts.
        if arcs == 1 { 0 } else { start.wrapping_add(1 << (64 - arcs.ilog2())) }
    }

    fn point(&self, words: &Arena<u32>, lot: Lot, index: usize) -> Point {
        let start = index * WORDS;
        let point = &words.get(lot.key.index, start + WORDS)[start..];
        Point {
            at: u64::from(point[0]) | u64::from(point[1]) << 32,
            key: ElementKey { index: point[2], generation: point[3] },
        }
    }

    fn set_point(words: &mut Arena<u32>, lot: Lot, index: usize, point: Point) {
        let start = index * WORDS;
        let stored = &mut words.get_mut(lot.key.index, start + WORDS)[start..];
        (stored[0], stored[1]) = ((point.at & 0xffff_ffff) as u32, (point.at >> 32) as u32);
        (stored[2], stored[3]) = (point.key.index, point.key.generation);
    }

    /// The number of points of an arc before a position.
    fn before(&self, words: &Arena<u32>, lot: Lot, at: u64) -> usize {
        let len = lot.key.generation as usize;
        (0..len).take_while(|&index| self.point(words, lot, index).at < at).count()
    }

    pub(super) fn insert(&mut self, words: &mut Arena<u32>, pe: u32, key: ElementKey) {
        if self.arcs.len() == 0 {
            self.arcs.push(words, EMPTY);
        }
        self.members += 1;
        for at in positions(self.seed, pe) {
            let arc = self.arc_of(at);
            let mut lot = self.arcs.get(words, arc);
            if lot.key.generation as usize >= POINTS_MAX {
                continue;
            }
            let place = self.before(words, lot, at);
            self.put(words, &mut lot, place, Point { at, key });
            self.arcs.set(words, arc, lot);
            self.points += 1;
        }
        while self.points > LOAD * self.arcs.len() {
            self.halve(words);
        }
    }

    /// Puts a point into an arc, before those from `place` on.
    fn put(&self, words: &mut Arena<u32>, lot: &mut Lot, place: usize, point: Point) {
        let len = lot.key.generation as usize;
        let capacity = if len == 0 { 0 } else { words.capacity(lot.key.index) };
        if (len + 1) * WORDS > capacity {
            let block = words.allocate((len + len / 2 + 2) * WORDS);
            let mut moved = *lot;
            moved.key.index = block;
            for index in 0..len {
                Self::set_point(words, moved, index, self.point(words, *lot, index));
            }
            if len > 0 {
                words.free(lot.key.index);
            }
            *lot = moved;
        }
        let used = words.get_mut(lot.key.index, (len + 1) * WORDS);
        used.copy_within(place * WORDS..len * WORDS, (place + 1) * WORDS);
        lot.key.generation += 1;
        Self::set_point(words, *lot, place, point);
    }

    pub(super) fn remove(&mut self, words: &mut Arena<u32>, pe: u32, slot: u32) {
        self.members -= 1;
        for at in positions(self.seed, pe) {
            let arc = self.arc_of(at);
            let mut lot = self.arcs.get(words, arc);
            let len = lot.key.generation as usize;
            let found = (0..len).find(|&index| {
                let point = self.point(words, lot, index);
                point.at == at && point.key.index == slot
            });
            let Some(place) = found else { continue };
            let used = words.get_mut(lot.key.index, len * WORDS);
            used.copy_within((place + 1) * WORDS..len * WORDS, place * WORDS);
            lot.key.generation -= 1;
            self.shrink(words, &mut lot);
            self.arcs.set(words, arc, lot);
            self.points -= 1;
        }
        while self.arcs.len() > 1 && 2 * self.points < LOAD * self.arcs.len() {
            if !self.join(words) {
                break;
            }
        }
        if self.points == 0 {
            while self.arcs.len() > 0 {
                self.arcs.swap_remove(words, self.arcs.len() - 1);
            }
        }
    }

    /// Gives back the block of an arc without points.
    fn shrink(&self, words: &mut Arena<u32>, lot: &mut Lot) {
        if lot.key.generation == 0 && lot.key.index != NONE {
            words.free(lot.key.index);
            lot.key.index = NONE;
        }
    }

    /// Moves the upper half of the next arc to a new one at the end.
    fn halve(&mut self, words: &mut Arena<u32>) {
        let new = self.arcs.len();
        let old = new - round(new);
        let mut lower = self.arcs.get(words, old);
        let mut upper = EMPTY;
        self.arcs.push(words, upper);
        let start = u64::from(new).reverse_bits();
        let kept = self.before(words, lower, start);
        let len = lower.key.generation as usize;
        for index in kept..len {
            let point = self.point(words, lower, index);
            self.put(words, &mut upper, index - kept, point);
        }
        lower.key.generation = narrow(kept);
        self.shrink(words, &mut lower);
        self.arcs.set(words, old, lower);
        self.arcs.set(words, new, upper);
    }

    /// Joins the last arc with that it was halved from; `false` if they have
    /// too many points.
    fn join(&mut self, words: &mut Arena<u32>) -> bool {
        let last = self.arcs.len() - 1;
        let old = last - round(last);
        let (mut lower, mut upper) = (self.arcs.get(words, old), self.arcs.get(words, last));
        let (len, more) = (lower.key.generation as usize, upper.key.generation as usize);
        if len + more > POINTS_MAX {
            return false;
        }
        for index in 0..more {
            let point = self.point(words, upper, index);
            self.put(words, &mut lower, len + index, point);
        }
        upper.key.generation = 0;
        self.shrink(words, &mut upper);
        self.arcs.set(words, old, lower);
        self.arcs.swap_remove(words, last);
        true
    }

    /// Calls `take` with elements from near to far until it took `items`, or
    /// all; `take` is false for one that it had before.
    pub(super) fn select(
        &self,
        words: &Arena<u32>,
        key: SelectionKey,
        items: u32,
        mut take: impl FnMut(ElementKey) -> bool,
    ) {
        let mut left = items.min(self.members);
        if left == 0 || self.points == 0 {
            return;
        }
        let mut walks = probes(self.seed, key).map(|from| self.start(words, from));
        while left > 0 {
            let nearest = walks.iter_mut().filter(|walk| walk.distance.is_some());
            let Some(walk) = nearest.min_by_key(|walk| walk.distance) else { return };
            left -= u32::from(take(walk.key));
            if left > 0 {
                self.go_on(words, walk);
            }
        }
    }

    fn start(&self, words: &Arena<u32>, from: u64) -> Walk {
        let arc = self.arc_of(from);
        let index = self.before(words, self.arcs.get(words, arc), from);
        let mut walk = Walk { from, arc, index, distance: None, key: ElementKey::default() };
        self.settle(words, &mut walk);
        walk
    }

    fn go_on(&self, words: &Arena<u32>, walk: &mut Walk) {
        let before = walk.distance;
        walk.index += 1;
        self.settle(words, walk);
        // Once around is all.
        if walk.distance <= before {
            walk.distance = None;
        }
    }

    /// Goes on to an arc that has a point there.
    #[inline]
    fn settle(&self, words: &Arena<u32>, walk: &mut Walk) {
        loop {
            let lot = self.arcs.get(words, walk.arc);
            if walk.index < lot.key.generation as usize {
                let point = self.point(words, lot, walk.index);
                walk.distance = Some(point.at.wrapping_sub(walk.from));
                walk.key = point.key;
                return;
            }
            walk.arc = self.arc_of(self.end(walk.arc));
            walk.index = 0;
        }
    }

    /// Checks arcs and points; returns the blocks.
    pub(super) fn assert_invariants(&self, words: &Arena<u32>) -> u32 {
        let (mut blocks, mut points) = (self.arcs.blocks(), 0);
        for arc in 0..self.arcs.len() {
            let lot = self.arcs.get(words, arc);
            blocks += u32::from(lot.key.index != NONE);
            assert_eq!(lot.key.index == NONE, lot.key.generation == 0, "no empty block");
            let mut earlier = None;
            for index in 0..lot.key.generation as usize {
                let point = self.point(words, lot, index);
                assert_eq!(self.arc_of(point.at), arc, "a point is on its arc");
                assert!(earlier.is_none_or(|it| it <= point.at), "points are in order");
                earlier = Some(point.at);
                points += 1;
            }
        }
        assert_eq!(points, self.points, "points are counted");
        assert!(points <= POINTS * self.members, "eight an element");
        blocks
    }
}

const EMPTY: Lot = Lot { key: ElementKey { index: NONE, generation: 0 }, weight: 0 };
