//! Power of two choices: an array of elements with their loads. Nothing is
//! sorted, so a report of a load is one write.

use crate::ElementKey;
use crate::arena::Arena;
use crate::array::{Array, Lot};
use crate::chance::Chance;
use crate::element::Element;
use crate::lots::exchange;
use crate::mode::Call;
use crate::order::{Orders, Selected};
use crate::paged::{Paged, WORDS};
use crate::policy::{Family, Rule, Standing};
use crate::slab::Slab;

/// The elements of one pool. The weight of a lot is the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choices {
    all: Array,
    degrades: bool,
    /// The policy is a random one.
    is_drawn: bool,
}

/// What the policy goes by: the load, with degradation and distance.
const fn load(standing: Standing) -> u32 {
    match standing {
        Standing::Key(load) => load,
        // What the load is short of 100 %.
        Standing::Weight(free) => !free,
        Standing::Turn | Standing::Turns(_) => 0,
    }
}

impl Choices {
    pub(super) const fn new(rule: Rule) -> Self {
        let is_drawn = matches!(rule.family, Family::Lots);
        Self { all: Array::EMPTY, degrades: rule.degrades, is_drawn }
    }

    /// What a load means to the policy.
    pub(super) const fn standing(&self, load: u32) -> Standing {
        if self.is_drawn { Standing::Weight(!load) } else { Standing::Key(load) }
    }

    pub(super) fn insert(
        &mut self,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        key: ElementKey,
        standing: Standing,
    ) {
        places[key.index] = self.all.len();
        self.all.push(words, Lot { key, weight: load(standing) });
    }

    /// Removes an element; returns its load.
    pub(super) fn remove(
        &mut self,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        slot: u32,
    ) -> u32 {
        let place = places[slot];
        let removed = self.all.get(words, place);
        if let Some(moved) = self.all.swap_remove(words, place) {
            places[moved.key.index] = place;
        }
        removed.weight
    }

    /// Replaces the load of an element.
    pub(super) fn reload(
        &self,
        words: &mut Arena<u32>,
        places: &Paged<u32, WORDS>,
        slot: u32,
        standing: Standing,
    ) {
        let lot = self.all.get(words, places[slot]);
        self.all.set(words, places[slot], Lot { weight: load(standing), ..lot });
    }

    /// Calls `take` with up to `items` different elements.
    fn draw(
        &self,
        chance: &mut Chance,
        words: &mut Arena<u32>,
        places: &mut Paged<u32, WORDS>,
        items: u32,
        mut take: impl FnMut(ElementKey),
    ) {
        let items = items.min(self.all.len());
        for left in (1..=items).rev() {
            // The taken ones are behind those that remain.
            let remaining = self.all.len() - (items - left);
            let one = chance.index_below(remaining);
            let mut at = one;
            let mut lot = self.all.get(words, one);
            if remaining > 1 {
                let other = chance.index_below(remaining - 1);
                let other = other + u32::from(other >= one);
                let candidate = self.all.get(words, other);
                if candidate.weight < lot.weight {
                    (at, lot) = (other, candidate);
                }
            }
            take(lot.key);
            if left > 1 && at != remaining - 1 {
                exchange(self.all, words, places, 0, (at, lot), remaining - 1);
            }
        }
    }

    /// Checks places; returns the blocks and calls `visit` with each element.
    pub(super) fn assert_invariants(
        &self,
        words: &Arena<u32>,
        places: &Paged<u32, WORDS>,
        mut visit: impl FnMut(ElementKey),
    ) -> u32 {
        for index in 0..self.all.len() {
            let lot = self.all.get(words, index);
            assert_eq!(places[lot.key.index], index, "places agree");
            visit(lot.key);
        }
        self.all.blocks()
    }
}

impl Orders {
    pub(super) fn select_choices(
        &mut self,
        choices: &Choices,
        elements: &mut Slab<Element>,
        call: &Call,
        into: &mut Selected,
    ) {
        let (chance, words, places) = (&mut self.urn.chance, &mut self.words, &mut self.places);
        choices.draw(chance, words, places, call.items, |key| into.push(key));
        if choices.degrades {
            for key in into.iter().take(call.advance as usize) {
                let place = places[key.index];
                let lot = choices.all.get(words, place);
                let mut load = lot.weight.saturating_add(elements[key.index].degrade());
                if choices.is_drawn {
                    // A full element is unlikely, not drained.
                    load = load.min(u32::MAX - 1);
                }
                choices.all.set(words, place, Lot { weight: load, ..lot });
            }
        }
    }
}
