//! The selection order of a pool: which structure a policy uses, and what a
//! registration and a selection do to it.

use smallvec::SmallVec;

mod check;

use core::ops::IndexMut;

use crate::ElementKey;
use crate::PolicyKind;
use crate::Timestamp;
use crate::arena::Arena;
use crate::array::Lot;
use crate::chance::mix;
use crate::element::{Element, Flag};
use crate::lots::{Lots, Urn};
use crate::mode::Modes;
use crate::paged::{Paged, WORDS};
use crate::policy::weighted_round_robin::Turn;
use crate::policy::{Family, Standing};
use crate::ring::{Blocks, Ring};
use crate::slab::Slab;
use crate::sorted::{self, Sorted};
use crate::tree::Tree;

pub(crate) use check::Counts;

/// Slots for which places are reserved ahead.
const AHEAD: u32 = 32;

/// Where selected elements go.
pub(crate) type Selected = SmallVec<[ElementKey; 16]>;

/// How far beyond the present an element may have its next turn: well within
/// what ranks can compare.
const AHEAD_MAX: u64 = 1 << 60;

/// The order of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Circle(Ring),
    Sorted {
        sorted: Sorted,
        degrades: bool,
    },
    /// By the time of the next turn.
    Turns {
        sorted: Sorted,
        /// The present time, which is that of the earliest turn of all when
        /// the latest was had. Nobody's turn is before it.
        time: u64,
    },
    Lots {
        lots: Lots,
        degrades: bool,
    },
    /// The pool is in a selection mode: the number of its record.
    Moded(u32),
}

impl Order {
    pub(crate) const fn new(kind: PolicyKind) -> Self {
        let sorted = Sorted::EMPTY;
        let degrades = kind.rule().degrades;
        match kind.rule().family {
            Family::Circle => Self::Circle(Ring::EMPTY),
            Family::Sorted => Self::Sorted { sorted, degrades },
            Family::Turns => Self::Turns { sorted, time: 0 },
            Family::EqualLots => Self::Lots { lots: Lots::new(true), degrades },
            Family::Lots => Self::Lots { lots: Lots::new(false), degrades },
        }
    }

    /// An order of the same policy without elements.
    pub(crate) const fn emptied(&self) -> Self {
        match *self {
            Self::Circle(_) => Self::Circle(Ring::EMPTY),
            Self::Sorted { degrades, .. } => Self::Sorted { sorted: Sorted::EMPTY, degrades },
            Self::Turns { .. } => Self::Turns { sorted: Sorted::EMPTY, time: 0 },
            Self::Lots { lots, degrades } => {
                Self::Lots { lots: Lots::new(lots.is_uniform()), degrades }
            }
            Self::Moded(number) => Self::Moded(number),
        }
    }

    /// Whether a selection counts for a degradation.
    pub(crate) const fn degrades(&self) -> bool {
        match *self {
            Self::Sorted { degrades, .. } | Self::Lots { degrades, .. } => degrades,
            Self::Circle(_) | Self::Turns { .. } | Self::Moded(_) => false,
        }
    }

    /// Whether an element that is passed over has had its turn.
    pub(crate) const fn has_turns(&self) -> bool {
        matches!(self, Self::Circle(_) | Self::Turns { .. })
    }
}

impl Order {
    /// The tree and the key by which an element goes to its place, if it does.
    pub(crate) fn way(&self, standing: Standing) -> Option<(Tree, u64)> {
        match (self, standing) {
            (Self::Sorted { sorted, .. }, Standing::Key(value)) => {
                Some((sorted.tree(), value.into()))
            }
            _ => None,
        }
    }
}

/// What the orders of all pools share.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) sorted: sorted::Blocks,
    pub(crate) blocks: Blocks,
    /// Where an element is in the structure of its pool's policy.
    pub(crate) places: Paged<u32, WORDS>,
    pub(crate) words: Arena<u32>,
    pub(crate) urn: Urn,
    pub(crate) modes: Modes,
}

impl Orders {
    pub(crate) fn for_slots(slots: u32, seed: u64) -> Self {
        Self {
            sorted: sorted::Blocks::for_slots(slots),
            blocks: Slab::for_slots(slots),
            places: Paged::for_slots(slots + AHEAD),
            words: Arena::new(),
            urn: Urn::for_slots(slots, seed),
            modes: Modes::for_slots(slots, mix(seed)),
        }
    }

    /// Makes sure that the element in `slot` can be linked.
    #[inline]
    pub(crate) fn reserve(&mut self, slot: u32) {
        if !self.places.is_reserved(slot + AHEAD) {
            self.reserve_more(slot);
        }
    }

    #[cold]
    fn reserve_more(&mut self, slot: u32) {
        // Some way ahead: the records of elements get their pages elsewhere.
        self.places.reserve(slot + AHEAD);
        self.modes.zones.reserve(slot);
    }

    /// Links an element that is not linked, unless it is drained.
    pub(crate) fn link(
        &mut self,
        order: &mut Order,
        element: &mut Element,
        key: ElementKey,
        standing: Standing,
        now: Timestamp,
    ) {
        match (order, standing) {
            (Order::Moded(number), _) => {
                return self.link_moded(*number, element, key, standing, now);
            }
            (Order::Circle(ring), _) => ring.insert(&mut self.blocks, &mut self.places, key),
            (Order::Sorted { sorted, .. }, Standing::Key(value)) => {
                sorted.insert(&mut self.sorted, &mut self.places, key, value.into());
            }
            (Order::Turns { sorted, time }, Standing::Turns(weight)) if weight > 0 => {
                let turn = Turn::new(*time, weight);
                element.second = turn.passed;
                sorted.insert(&mut self.sorted, &mut self.places, key, turn.time);
            }
            (Order::Lots { lots, .. }, Standing::Weight(weight)) if weight > 0 => {
                let lot = Lot { key, weight };
                lots.insert(&mut self.urn, &mut self.words, &mut self.places, lot);
            }
            // Drained.
            (Order::Sorted { .. } | Order::Turns { .. } | Order::Lots { .. }, _) => return,
        }
        element.set(Flag::Linked);
    }

    /// Unlinks an element, if it is linked.
    pub(crate) fn unlink(&mut self, order: &mut Order, element: &mut Element, slot: u32) {
        if !element.has(Flag::Linked) {
            return;
        }
        if let Order::Moded(number) = *order {
            return self.unlink_moded(number, element, slot);
        }
        element.clear(Flag::Linked);
        match order {
            Order::Moded(_) => {}
            Order::Circle(ring) => ring.remove(&mut self.blocks, &mut self.places, slot),
            Order::Sorted { sorted, .. } | Order::Turns { sorted, .. } => {
                sorted.remove(&mut self.sorted, &mut self.places, slot);
            }
            Order::Lots { lots, .. } => {
                lots.remove(&mut self.urn, &mut self.words, &mut self.places, slot);
            }
        }
    }

    /// Places an element that registered again. With unchanged values it keeps
    /// its place among its equals; with others it goes behind its new ones.
    /// `before` are its weight before, for turns.
    #[expect(clippy::too_many_arguments, reason = "all of a re-registration that matters here")]
    pub(crate) fn relink(
        &mut self,
        order: &mut Order,
        element: &mut Element,
        key: ElementKey,
        standing: Standing,
        before: u32,
        is_changed: bool,
        now: Timestamp,
    ) {
        let slot = key.index;
        let is_linked = element.has(Flag::Linked);
        match (&mut *order, standing) {
            (&mut Order::Moded(number), _) => {
                self.relink_moded(number, element, key, standing, before, is_changed, now);
            }
            (Order::Circle(_), _) => {}
            (Order::Sorted { sorted, .. }, Standing::Key(value)) => {
                // Also with unchanged values: a degradation ends.
                if is_changed || self.key(slot) != u64::from(value) {
                    sorted.change(&mut self.sorted, &mut self.places, slot, value.into());
                }
            }
            (Order::Turns { sorted, time }, Standing::Turns(weight)) if is_linked && weight > 0 => {
                if is_changed {
                    let turn = Turn { time: self.key(slot), passed: element.second };
                    let turn = turn.scaled(*time, before, weight);
                    element.second = turn.passed;
                    sorted.change(&mut self.sorted, &mut self.places, slot, turn.time);
                }
            }
            (Order::Lots { lots, .. }, Standing::Weight(weight)) if is_linked && weight > 0 => {
                self.reweigh(lots, key, weight);
            }
            (Order::Sorted { .. } | Order::Turns { .. } | Order::Lots { .. }, _) => {
                self.unlink(order, element, slot);
                self.link(order, element, key, standing, now);
            }
        }
    }

    /// The key of an element of a sorted order.
    #[inline]
    pub(crate) fn key(&self, slot: u32) -> u64 {
        Sorted::key(&self.sorted, &self.places, slot)
    }

    fn reweigh(&mut self, lots: &mut Lots, key: ElementKey, weight: u32) {
        if lots.weight(&self.urn, &self.words, &self.places, key.index) != weight {
            lots.remove(&mut self.urn, &mut self.words, &mut self.places, key.index);
            let lot = Lot { key, weight };
            lots.insert(&mut self.urn, &mut self.words, &mut self.places, lot);
        }
    }

    /// Reads what a selection begins with, for batches: what follows finds it
    /// near. Returns a number to keep the compiler from skipping it.
    #[inline]
    pub(crate) fn touch_front(&self, order: &Order) -> u32 {
        match order {
            Order::Circle(ring) => ring.touch(&self.blocks),
            Order::Sorted { sorted, .. } | Order::Turns { sorted, .. } => {
                sorted.touch_first(&self.sorted)
            }
            Order::Lots { lots, .. } => lots.touch(&self.urn, &self.words),
            Order::Moded(number) => self.modes.len() ^ number,
        }
    }

    /// Reads where an element is in an order, likewise, if it is linked.
    #[inline]
    pub(crate) fn touch_place(&self, order: &Order, element: &Element, slot: u32) -> u32 {
        if !element.has(Flag::Linked) {
            return 0;
        }
        let place = self.places[slot];
        match order {
            Order::Circle(_) => Ring::touch_block(&self.blocks, place),
            Order::Sorted { .. } | Order::Turns { .. } => Sorted::touch(&self.sorted, place),
            Order::Lots { lots, .. } => lots.weight(&self.urn, &self.words, &self.places, slot),
            Order::Moded(_) => place,
        }
    }

    /// Adds up to `items` elements in the order of the policy to `into`, and
    /// lets the first `advance` of them have had their turn.
    #[inline]
    pub(crate) fn select(
        &mut self,
        order: &mut Order,
        elements: &mut Slab<Element>,
        items: u32,
        advance: u32,
        into: &mut Selected,
    ) {
        if let Order::Circle(ring) = order {
            // All elements of a pool are in its circle: `items` are there.
            ring.select(&self.blocks, items, advance, |key| into.push(key));
            return;
        }
        let was_empty = into.is_empty();
        self.list(order, items, into);
        if let (Order::Sorted { sorted, degrades }, 1, true, Some(first)) =
            (&mut *order, advance, was_empty, into.first())
        {
            let step = if *degrades { elements[first.index].degrade() } else { 0 };
            let (blocks, places) = (&mut self.sorted, &mut self.places);
            sorted.advance_first(blocks, places, step.into(), u32::MAX.into());
            return;
        }
        let advance = (advance as usize).min(into.len());
        for index in 0..advance {
            self.advance(order, elements, into[index]);
        }
    }

    /// Adds up to `items` elements in the order of the policy to `into`.
    #[inline]
    pub(crate) fn list(&mut self, order: &Order, items: u32, into: &mut Selected) {
        match order {
            Order::Circle(ring) => {
                let mut ring = *ring;
                ring.select(&self.blocks, items, 0, |key| into.push(key));
            }
            Order::Sorted { sorted, .. } | Order::Turns { sorted, .. } => {
                sorted.list(&self.sorted, items, |key| into.push(key));
            }
            Order::Lots { lots, .. } => {
                let (urn, words, places) = (&mut self.urn, &mut self.words, &mut self.places);
                lots.select(urn, words, places, items, |key| into.push(key));
            }
            // The modes list the order of the policy.
            Order::Moded(_) => {}
        }
    }

    /// Lets a linked element have had its turn.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        order: &mut Order,
        elements: &mut impl IndexMut<u32, Output = Element>,
        key: ElementKey,
    ) {
        let slot = key.index;
        match order {
            // Who is in a mode advances in the order of its policy.
            Order::Moded(_) => {}
            Order::Circle(ring) => ring.pass(&self.blocks, &self.places, slot),
            Order::Sorted { sorted, degrades } => {
                let value = self.key(slot);
                let step = if *degrades { elements[slot].degrade() } else { 0 };
                let value = (value + u64::from(step)).min(u32::MAX.into());
                sorted.advance(&mut self.sorted, &mut self.places, slot, value);
            }
            Order::Turns { sorted, time } => {
                *time = sorted.first_key(&self.sorted).unwrap_or(*time);
                let element = &mut elements[slot];
                let mut turn = Turn { time: self.key(slot), passed: element.second };
                // Who is chosen out of turn does not run away from the others.
                if turn.time.wrapping_sub(*time) < AHEAD_MAX {
                    turn = turn.next(element.first);
                    element.second = turn.passed;
                }
                sorted.advance(&mut self.sorted, &mut self.places, slot, turn.time);
            }
            Order::Lots { lots, degrades } => {
                if *degrades {
                    let weight = lots.weight(&self.urn, &self.words, &self.places, slot);
                    let weight = weight.saturating_sub(elements[slot].degrade()).max(1);
                    self.reweigh(lots, key, weight);
                }
            }
        }
    }
}
