//! The drawing of the random policies: k different elements, each draw with
//! probabilities in proportion to the weights of those not drawn yet.
//!
//! Equal weights are one array: a drawn entry changes places with the last one
//! not drawn. Few elements are added up in order. Many elements of different
//! weights are in classes, a class for each power of two: a class is chosen by
//! its sum, an element in it by a guess that is right at least every other
//! time. So a draw costs the same in a pool of a hundred and of a million, a
//! change of weight likewise, and nothing is unlinked to draw without
//! repetition.

use crate::ElementKey;
use crate::arena::Arena;
use crate::array::{Array, Lot};
use crate::chance::Chance;
use crate::paged::{NONE, Paged, WORDS, narrow};
use crate::slab::{Slab, Vacant};

const CLASSES: usize = 32;
/// Up to this many elements of different weights are one array.
const SMALL: u32 = 64;
/// Up to this many of an array at least four times as long are drawn without
/// moving any.
const FEW: usize = 16;
/// Down to this many they become one again.
const SMALL_AGAIN: u32 = 32;
/// Of a place: the class is above the index.
const CLASS_SHIFT: u32 = 24;

/// The classes of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classes {
    /// The sums of the weights.
    sums: [u64; CLASSES],
    arrays: [Array; CLASSES],
    /// A bit for each class that has elements, or the next vacant record.
    occupied: u32,
}

impl Default for Classes {
    fn default() -> Self {
        Self { sums: [0; CLASSES], arrays: [Array::EMPTY; CLASSES], occupied: 0 }
    }
}

impl Vacant for Classes {
    fn set_next_vacant(&mut self, next: u32) {
        self.occupied = next;
    }

    fn next_vacant(&self) -> u32 {
        self.occupied
    }
}

/// What the lots of all pools share.
#[derive(Debug)]
pub(crate) struct Urn {
    classes: Slab<Classes, 16>,
    pub(crate) chance: Chance,
}

impl Urn {
    pub(crate) fn for_slots(slots: u32, seed: u64) -> Self {
        Self { classes: Slab::for_slots(slots / SMALL_AGAIN + 1), chance: Chance::new(seed) }
    }

    /// The number of pools with classes, for checks.
    pub(crate) const fn len(&self) -> u32 {
        self.classes.len()
    }
}

/// The lots of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lots {
    total: u64,
    all: Array,
    /// The classes, if there are any; `all` is empty then.
    classes: u32,
    len: u32,
    is_uniform: bool,
}

const fn class_of(weight: u32) -> u32 {
    weight.ilog2()
}

impl Lots {
    /// No lots. Uniform ones all have weight 1.
    pub(crate) const fn new(is_uniform: bool) -> Self {
        Self { total: 0, all: Array::EMPTY, classes: NONE, len: 0, is_uniform }
    }

    /// Adds an element of a weight that is not 0. `places` has the place of
    /// each.
    pub(crate) fn insert(
        &mut self,
        urn: &mut Urn,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        lot: Lot,
    ) {
        if self.classes == NONE && self.len == SMALL && !self.is_uniform {
            self.spread(urn, words, places);
        }
        self.len += 1;
        self.total += u64::from(lot.weight);
        if self.classes == NONE {
            places[lot.key.index] = self.all.len();
            self.all.push(words, lot);
        } else {
            urn.classes[self.classes].insert(words, places, lot);
        }
    }

    /// Removes an element; returns its lot.
    pub(crate) fn remove(
        &mut self,
        urn: &mut Urn,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        slot: u32,
    ) -> Lot {
        let lot = if self.classes == NONE {
            let place = places[slot];
            let lot = self.all.get(words, place);
            if let Some(moved) = self.all.swap_remove(words, place) {
                places[moved.key.index] = place;
            }
            lot
        } else {
            urn.classes[self.classes].remove(words, places, slot)
        };
        self.len -= 1;
        self.total -= u64::from(lot.weight);
        if self.classes != NONE && self.len == SMALL_AGAIN {
            self.gather(urn, words, places);
        }
        lot
    }

    /// The weight of an element.
    pub(crate) fn weight(
        &self,
        urn: &Urn,
        words: &Arena<u32>,
        places: &Paged<u32, WORDS>,
        slot: u32,
    ) -> u32 {
        let place = places[slot];
        if self.classes == NONE {
            self.all.get(words, place).weight
        } else {
            let array = urn.classes[self.classes].arrays[(place >> CLASS_SHIFT) as usize];
            array.get(words, index_of(place)).weight
        }
    }

    /// Distributes the elements over classes.
    fn spread(&mut self, urn: &mut Urn, words: &mut Arena<u32>, places: &mut Paged<u32, WORDS>) {
        self.classes = urn.classes.take();
        let classes = &mut urn.classes[self.classes];
        *classes = Classes::default();
        while self.all.len() > 0 {
            let last = self.all.len() - 1;
            let lot = self.all.get(words, last);
            self.all.swap_remove(words, last);
            classes.insert(words, places, lot);
        }
    }

    /// Brings the elements of all classes together.
    fn gather(&mut self, urn: &mut Urn, words: &mut Arena<u32>, places: &mut Paged<u32, WORDS>) {
        let classes = &mut urn.classes[self.classes];
        while classes.occupied != 0 {
            let array = &mut classes.arrays[classes.occupied.trailing_zeros() as usize];
            let last = array.get(words, array.len() - 1);
            classes.remove(words, places, last.key.index);
            places[last.key.index] = self.all.len();
            self.all.push(words, last);
        }
        urn.classes.give_back(self.classes);
        self.classes = NONE;
    }

    /// Reads the lots of a small pool, or where those of a larger one are; for
    /// batches.
    #[inline]
    pub(crate) fn touch(&self, urn: &Urn, words: &Arena<u32>) -> u32 {
        if self.classes != NONE {
            return urn.classes[self.classes].occupied;
        }
        let last = self.all.len().min(SMALL);
        let lot = |at: u32| self.all.get(words, at).weight;
        // Entries of 12 bytes: each fifth is in another cache line.
        (0..last).step_by(5).chain(last.checked_sub(1)).fold(0, |sum, at| sum ^ lot(at))
    }

    /// Calls `take` with up to `items` different elements in the order drawn.
    #[inline]
    pub(crate) fn select(
        &self,
        urn: &mut Urn,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        items: u32,
        take: impl FnMut(ElementKey),
    ) {
        let items = items.min(self.len);
        if self.is_uniform {
            self.draw_uniform(urn, words, places, items, take);
        } else if self.classes == NONE {
            self.draw_small(urn, words, items, take);
        } else {
            let classes = &urn.classes[self.classes];
            classes.draw(&mut urn.chance, words, places, items, self.total, take);
        }
    }

    #[inline]
    fn draw_uniform(
        &self,
        urn: &mut Urn,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        items: u32,
        mut take: impl FnMut(ElementKey),
    ) {
        if items as usize <= FEW && items <= self.len / 4 {
            // What is drawn again is drawn once more.
            let mut drawn = [NONE; FEW];
            for index in 0..items as usize {
                let mut at = urn.chance.index_below(self.len);
                while drawn[..index].iter().fold(false, |again, &it| again | (it == at)) {
                    at = urn.chance.index_below(self.len);
                }
                drawn[index] = at;
                take(self.all.get(words, at).key);
            }
            return;
        }
        for left in (1..=items).rev() {
            let remaining = self.len - (items - left);
            let at = urn.chance.index_below(remaining);
            let lot = self.all.get(words, at);
            take(lot.key);
            // The last draw needs to keep nothing away from later ones.
            if left > 1 && at != remaining - 1 {
                exchange(self.all, words, places, 0, (at, lot), remaining - 1);
            }
        }
    }

    fn draw_small(
        &self,
        urn: &mut Urn,
        words: &Arena<u32>,
        items: u32,
        mut take: impl FnMut(ElementKey),
    ) {
        let mut weights = [0_u32; SMALL as usize];
        for (index, weight) in (0..self.len).zip(&mut weights) {
            *weight = self.all.get(words, index).weight;
        }
        let mut total = self.total;
        for _ in 0..items {
            let mut left = urn.chance.below(total);
            let drawn = weights.iter().position(|&weight| {
                let here = left < u64::from(weight);
                left = left.wrapping_sub(u64::from(weight));
                here
            });
            let Some(drawn) = drawn else { unreachable!("the weights add up to the total") };
            total -= u64::from(core::mem::take(&mut weights[drawn]));
            take(self.all.get(words, narrow(drawn)).key);
        }
    }

    /// Whether all weights are 1.
    pub(crate) const fn is_uniform(&self) -> bool {
        self.is_uniform
    }

    /// Whether the elements are in classes, for checks.
    pub(crate) const fn has_classes(&self) -> bool {
        self.classes != NONE
    }

    /// Checks places and sums; returns the blocks of the arrays and calls
    /// `visit` with each lot.
    pub(crate) fn assert_invariants(
        &self,
        urn: &Urn,
        words: &Arena<u32>,
        places: &Paged<u32, WORDS>,
        mut visit: impl FnMut(Lot),
    ) -> u32 {
        let (mut len, mut total) = (0, 0);
        let mut check = |class: u32, array: Array| {
            let mut sum = 0;
            for index in 0..array.len() {
                let lot = array.get(words, index);
                assert_eq!(places[lot.key.index], class << CLASS_SHIFT | index, "places agree");
                assert!(lot.weight > 0 && (!self.is_uniform || lot.weight == 1), "weights fit");
                sum += u64::from(lot.weight);
                visit(lot);
                len += 1;
            }
            total += sum;
            sum
        };
        let mut blocks = self.all.blocks();
        check(0, self.all);
        if self.classes != NONE {
            assert_eq!(self.all.len(), 0, "elements are in classes or not");
            assert!(self.len > SMALL_AGAIN, "few elements have no classes");
            let classes = &urn.classes[self.classes];
            for (class, (array, &sum)) in (0..).zip(classes.arrays.iter().zip(&classes.sums)) {
                assert_eq!(check(class, *array), sum, "a class knows its sum");
                assert_eq!(classes.occupied >> class & 1 == 1, array.len() > 0, "and is marked");
                blocks += array.blocks();
            }
        }
        assert_eq!((len, total), (self.len, self.total), "lots know their number and sum");
        blocks
    }
}

const fn index_of(place: u32) -> u32 {
    place & ((1 << CLASS_SHIFT) - 1)
}

/// Two entries of an array change places.
#[inline]
pub(crate) fn exchange(
    array: Array,
    words: &mut Arena<u32>,
    places: &mut Paged<u32, WORDS>,
    class: u32,
    (at, lot): (u32, Lot),
    end: u32,
) {
    let other = array.get(words, end);
    array.set(words, at, other);
    array.set(words, end, lot);
    places[other.key.index] = class << CLASS_SHIFT | at;
    places[lot.key.index] = class << CLASS_SHIFT | end;
}

/// One of the first `len` lots of a class, in proportion to their weights: a
/// guess is right at least every other time.
#[inline]
fn draw_lot(
    array: Array,
    class: usize,
    len: u32,
    chance: &mut Chance,
    words: &Arena<u32>,
) -> (u32, Lot) {
    loop {
        let at = chance.index_below(len);
        let lot = array.get(words, at);
        if chance.next() >> (63 - class) < u64::from(lot.weight) {
            return (at, lot);
        }
    }
}

impl Classes {
    fn insert(&mut self, words: &mut Arena<u32>, places: &mut Paged<u32, WORDS>, lot: Lot) {
        let class = class_of(lot.weight);
        let array = &mut self.arrays[class as usize];
        places[lot.key.index] = class << CLASS_SHIFT | array.len();
        array.push(words, lot);
        self.sums[class as usize] += u64::from(lot.weight);
        self.occupied |= 1 << class;
    }

    fn remove(&mut self, words: &mut Arena<u32>, places: &mut Paged<u32, WORDS>, slot: u32) -> Lot {
        let place = places[slot];
        let class = place >> CLASS_SHIFT;
        let array = &mut self.arrays[class as usize];
        let lot = array.get(words, index_of(place));
        if let Some(moved) = array.swap_remove(words, index_of(place)) {
            places[moved.key.index] = place;
        }
        if array.len() == 0 {
            self.occupied &= !(1 << class);
        }
        self.sums[class as usize] -= u64::from(lot.weight);
        lot
    }

    fn draw(
        &self,
        chance: &mut Chance,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        items: u32,
        total: u64,
        mut take: impl FnMut(ElementKey),
    ) {
        // All drawn ones together have at most half of the weight, whichever
        // they are: what is drawn again is drawn once more, and none is moved.
        let heaviest = 2_u64 << (31 - self.occupied.leading_zeros());
        if items as usize <= FEW && u64::from(items) * heaviest <= total / 2 {
            let mut drawn = [(CLASSES, 0); FEW];
            for index in 0..items as usize {
                let (place, key) = loop {
                    let class = self.draw_class(&self.sums, chance.below(total));
                    let array = self.arrays[class];
                    let (at, lot) = draw_lot(array, class, array.len(), chance, words);
                    if !drawn[..index].contains(&(class, at)) {
                        break ((class, at), lot.key);
                    }
                };
                drawn[index] = place;
                take(key);
            }
            return;
        }
        // What is left of each class, in number and sum. The drawn ones of a
        // class are behind those left.
        let mut sums = self.sums;
        let mut drawn = [0_u32; CLASSES];
        let mut total = total;
        for left in (1..=items).rev() {
            let class = self.draw_class(&sums, chance.below(total));
            let array = self.arrays[class];
            let remaining = array.len() - drawn[class];
            let (at, lot) = draw_lot(array, class, remaining, chance, words);
            take(lot.key);
            if left > 1 {
                if at != remaining - 1 {
                    exchange(array, words, places, narrow(class), (at, lot), remaining - 1);
                }
                drawn[class] += 1;
                sums[class] -= u64::from(lot.weight);
                total -= u64::from(lot.weight);
            }
        }
    }

    /// The class at which the sums, added up from the heaviest, exceed `at`.
    #[inline]
    fn draw_class(&self, sums: &[u64; CLASSES], at: u64) -> usize {
        let (mut occupied, mut at) = (self.occupied, at);
        loop {
            let class = (31 - occupied.leading_zeros()) as usize;
            if at < sums[class] {
                return class;
            }
            at -= sums[class];
            occupied &= !(1 << class);
        }
    }
}
