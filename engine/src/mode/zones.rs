//! Zone first: for each zone of a pool an order of its own, by the pool's
//! policy, beside that of all.

use core::ops::{Index, IndexMut};

use crate::chance::mix;
use crate::element::{Element, Flag};
use crate::index;
use crate::mode::{Call, ZoneId};
use crate::order::{Order, Orders, Selected};
use crate::paged::{NONE, Sparse};
use crate::policy::Standing;
use crate::slab::{Slab, Vacant};
use crate::{ElementKey, PolicyKind};

/// The zone of an element. It is that of the generation named only.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    generation: u32,
    zone: u32,
}

/// A zone of a pool that has selectable elements.
#[derive(Clone, Copy, Debug)]
struct Zone {
    /// The record of the pool.
    number: u32,
    zone: u32,
    order: Order,
    /// Elements, or the next vacant record.
    len: u32,
}

impl Default for Zone {
    fn default() -> Self {
        Self { number: NONE, zone: 0, order: Order::new(PolicyKind::RoundRobin), len: 0 }
    }
}

impl Vacant for Zone {
    fn set_next_vacant(&mut self, next: u32) {
        self.len = next;
    }

    fn next_vacant(&self) -> u32 {
        self.len
    }
}

/// The orders of all zones.
#[derive(Debug)]
struct ByZone {
    orders: Orders,
    zones: Slab<Zone>,
    /// Zones by pool and number.
    index: index::Index,
    /// For elements with turns: those of the round in their zone.
    passed: Sparse<u32>,
}

/// The zones of all elements.
#[derive(Debug)]
pub(crate) struct Zones {
    slots: u32,
    seed: u64,
    places: Sparse<Place>,
    /// From the first pool on that needs it.
    by_zone: Option<Box<ByZone>>,
}

/// An element as the order of its zone sees it.
struct Shadow(Element);

impl Index<u32> for Shadow {
    type Output = Element;

    fn index(&self, _: u32) -> &Element {
        &self.0
    }
}

impl IndexMut<u32> for Shadow {
    fn index_mut(&mut self, _: u32) -> &mut Element {
        &mut self.0
    }
}

const fn hash(number: u32, zone: u32) -> u64 {
    mix((number as u64) << 32 | zone as u64)
}

impl Zones {
    pub(crate) fn for_slots(slots: u32, seed: u64) -> Self {
        Self { slots, seed, places: Sparse::new(), by_zone: None }
    }

    /// Makes sure that there can be orders of zones, of elements below `end`.
    pub(super) fn open(&mut self, end: u32) {
        let (slots, seed) = (self.slots, self.seed);
        let by_zone = self.by_zone.get_or_insert_with(|| Box::new(ByZone::for_slots(slots, seed)));
        by_zone.orders.reserve(end);
    }

    /// Makes sure that the element in `slot` can be linked.
    pub(crate) fn reserve(&mut self, slot: u32) {
        if let Some(by_zone) = &mut self.by_zone {
            by_zone.orders.reserve(slot);
        }
    }

    /// The zone of an element.
    pub(crate) fn zone(&self, element: &Element, slot: u32) -> Option<ZoneId> {
        let place = self.places.get(slot)?;
        (place.generation == element.generation).then_some(ZoneId(place.zone))
    }

    /// Gives an element that is in no order of a zone another zone.
    pub(super) fn place(&mut self, key: ElementKey, zone: Option<ZoneId>) {
        if zone.is_none() && self.places.get(key.index).is_none() {
            return;
        }
        self.places.reserve(key.index);
        self.places[key.index] = zone
            .map_or_else(Place::default, |zone| Place { generation: key.generation, zone: zone.0 });
    }

    /// Links an element into the order of its zone, if it has one.
    pub(super) fn link(
        &mut self,
        number: u32,
        base: &Order,
        element: &Element,
        key: ElementKey,
        standing: Standing,
    ) {
        let Some(zone) = self.zone(element, key.index) else { return };
        let Some(by_zone) = self.by_zone.as_deref_mut() else {
            unreachable!("a pool that minds zones opened them")
        };
        let record = by_zone.record_for(number, zone, base);
        by_zone.zones[record].len += 1;
        by_zone.change(record, *element, key.index, |orders, order, shadow| {
            shadow.clear(Flag::Linked);
            orders.link(order, shadow, key, standing, crate::Timestamp::ZERO);
        });
    }

    /// Unlinks a linked element from the order of its zone, if it has one.
    pub(super) fn unlink(&mut self, number: u32, element: &Element, slot: u32) {
        let Some((record, by_zone)) = self.linked_in(number, element, slot) else { return };
        by_zone.change(record, *element, slot, |orders, order, shadow| {
            orders.unlink(order, shadow, slot);
        });
        by_zone.zones[record].len -= 1;
        if by_zone.zones[record].len == 0 {
            let Zone { number, zone, .. } = by_zone.zones[record];
            by_zone.index.remove(hash(number, zone), record);
            by_zone.zones.give_back(record);
        }
    }

    /// Places a linked element that registered again, in the order of its zone.
    pub(super) fn relink(
        &mut self,
        number: u32,
        element: &Element,
        key: ElementKey,
        standing: Standing,
        before: u32,
        is_changed: bool,
    ) {
        let slot = key.index;
        let Some((record, by_zone)) = self.linked_in(number, element, slot) else { return };
        by_zone.change(record, *element, slot, |orders, order, shadow| {
            let now = crate::Timestamp::ZERO;
            orders.relink(order, shadow, key, standing, before, is_changed, now);
        });
    }

    fn advance(&mut self, number: u32, elements: &Slab<Element>, key: ElementKey) {
        let element = &elements[key.index];
        let Some((record, by_zone)) = self.linked_in(number, element, key.index) else { return };
        by_zone.change(record, *element, key.index, |orders, order, shadow| {
            let mut shadows = Shadow(*shadow);
            orders.advance(order, &mut shadows, key);
            *shadow = shadows.0;
        });
    }

    /// The record of the zone that has a linked element.
    fn linked_in(
        &mut self,
        number: u32,
        element: &Element,
        slot: u32,
    ) -> Option<(u32, &mut ByZone)> {
        let zone = self.zone(element, slot)?;
        let by_zone = self.by_zone.as_deref_mut()?;
        Some((by_zone.find(number, zone)?, by_zone))
    }

    /// Checks all orders of zones; calls `visit` with the number of the pool's
    /// record, the zone and each element. Returns how many zones there are.
    pub(crate) fn assert_invariants(&self, mut visit: impl FnMut(u32, ZoneId, ElementKey)) {
        let Some(by_zone) = &self.by_zone else { return };
        let mut counts = crate::order::Counts::default();
        let mut found = 0;
        for slot in 0..by_zone.zones.end() {
            let Zone { number, zone, order, len } = by_zone.zones[slot];
            if by_zone.find(number, ZoneId(zone)) == Some(slot) {
                found += 1;
                let mut members = 0;
                by_zone.orders.assert_order(&order, 0, &mut counts, &mut |key| {
                    members += 1;
                    visit(number, ZoneId(zone), key);
                });
                assert_eq!(members, len, "a zone counts its elements");
                assert!(len > 0, "a zone goes with its last element");
            }
        }
        assert_eq!(found, by_zone.zones.len(), "each zone is in the index");
        by_zone.orders.assert_counts(counts);
    }
}

impl ByZone {
    fn for_slots(slots: u32, seed: u64) -> Self {
        Self {
            orders: Orders::for_slots(slots, seed),
            zones: Slab::for_slots(0),
            index: index::Index::for_slots(0),
            passed: Sparse::new(),
        }
    }

    fn find(&self, number: u32, zone: ZoneId) -> Option<u32> {
        self.index.find(hash(number, zone.0), |slot| {
            (self.zones[slot].number, self.zones[slot].zone) == (number, zone.0)
        })
    }

    fn record_for(&mut self, number: u32, zone: ZoneId, base: &Order) -> u32 {
        if let Some(slot) = self.find(number, zone) {
            return slot;
        }
        let slot = self.zones.take();
        self.zones[slot] = Zone { number, zone: zone.0, order: base.emptied(), len: 0 };
        let zones = &self.zones;
        self.index.insert(hash(number, zone.0), slot, |it| hash(zones[it].number, zones[it].zone));
        slot
    }

    /// Changes the order of a zone by what `change` does to an element, whose
    /// turns in the zone are its own.
    fn change(
        &mut self,
        record: u32,
        element: Element,
        slot: u32,
        change: impl FnOnce(&mut Orders, &mut Order, &mut Element),
    ) {
        let mut order = self.zones[record].order;
        let mut shadow = element;
        let has_count = matches!(order, Order::Turns { .. });
        if has_count {
            self.passed.reserve(slot);
            shadow.second = self.passed[slot];
        }
        change(&mut self.orders, &mut order, &mut shadow);
        if has_count {
            self.passed[slot] = shadow.second;
        }
        self.zones[record].order = order;
    }
}

impl Orders {
    pub(super) fn select_by_zone(
        &mut self,
        number: u32,
        base: &mut Order,
        elements: &mut Slab<Element>,
        call: &Call,
        into: &mut Selected,
    ) {
        let by_zone = self.modes.zones.by_zone.as_deref_mut();
        let found = call
            .caller
            .zone
            .zip(by_zone)
            .and_then(|(zone, by_zone)| Some((by_zone.find(number, zone)?, zone, by_zone)));
        let Some((record, zone, by_zone)) = found else {
            self.select(base, elements, call.items, call.advance, into);
            if base.degrades() {
                for &key in into.iter().take(call.advance as usize) {
                    self.modes.zones.advance(number, elements, key);
                }
            }
            return;
        };
        let Zone { order, len, .. } = by_zone.zones[record];
        by_zone.orders.list(&order, call.items.min(len), into);
        let near = into.len();
        if near < call.items as usize {
            // All of the zone are given, so that among as many as asked for
            // there are enough others.
            let mut listed = core::mem::take(&mut self.modes.listed);
            listed.clear();
            self.list(base, call.items, &mut listed);
            let zones = &self.modes.zones;
            let others = listed
                .iter()
                .copied()
                .filter(|key| zones.zone(&elements[key.index], key.index) != Some(zone));
            into.extend(others.take(call.items as usize - near));
            self.modes.listed = listed;
        }
        for (index, &key) in into.iter().take(call.advance as usize).enumerate() {
            let is_near = index < near;
            if !is_near || base.degrades() {
                self.advance(base, elements, key);
            }
            if is_near || base.degrades() {
                self.modes.zones.advance(number, elements, key);
            }
        }
    }

    /// Gives an element another zone, and in a pool of
    /// [`SelectionMode::ZoneFirst`](crate::SelectionMode::ZoneFirst) its place
    /// there.
    pub(crate) fn place_in_zone(
        &mut self,
        order: &Order,
        element: &Element,
        key: ElementKey,
        zone: Option<ZoneId>,
    ) {
        if self.modes.zones.zone(element, key.index) == zone {
            return;
        }
        let pool = match *order {
            Order::Moded(number) if element.has(Flag::Linked) => {
                let moded = *self.modes.record(number);
                moded.has_zones().then_some((number, moded.base))
            }
            Order::Moded(_)
            | Order::Circle(_)
            | Order::Sorted { .. }
            | Order::Turns { .. }
            | Order::Lots { .. } => None,
        };
        if let Some((number, _)) = pool {
            self.modes.zones.unlink(number, element, key.index);
        }
        self.modes.zones.place(key, zone);
        if let Some((number, base)) = pool {
            let standing = self.standing(&base, element, key.index);
            self.modes.zones.link(number, &base, element, key, standing);
        }
    }
}
