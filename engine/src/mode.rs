//! Selection modes: ways to select that a pool's registrar chooses, on top of
//! the pool's policy. No peer has to know of them.
//!
//! A pool in a mode has a record with the order of its policy and what the
//! mode keeps beside it. A pool in none has no record: it is served as if
//! there were no modes.

mod continuum;
mod slow_start;
mod two_choices;
mod zones;

use core::fmt;
use core::time::Duration;

use crate::PolicyKind;
use crate::element::{Element, Flag};
use crate::order::{Order, Orders, Selected};
use crate::paged::{NONE, Sparse};
use crate::policy::Standing;
use crate::slab::{Slab, Vacant};
use crate::{ElementKey, Timestamp};

use continuum::Continuum;
pub(crate) use slow_start::Ramp;
use two_choices::Choices;
pub(crate) use zones::Zones;

/// How the elements of a pool are selected. Set it with
/// [`Handlespace::select_by`](crate::Handlespace::select_by).
///
/// Every mode keeps the rules of all policies: an answer has no element twice,
/// and a drained element (weight 0) is in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectionMode {
    /// By the pool's policy alone (RFC 5356).
    #[default]
    ByPolicy,
    /// Power of two choices: two elements are drawn, each as likely as the
    /// others, and the one of less load is selected; so for each element of an
    /// answer. O(1) an element.
    ///
    /// For policies with a load. Use it where loads are reported late: the
    /// least used element of a strict order gets all requests until its next
    /// report, and then another one does; of two drawn ones none gets more
    /// than twice its share.
    TwoChoices,
    /// Consistent hashing by the key of the caller
    /// ([`Caller::key`]): the same key gives the same element, as long as it
    /// is there. When an element comes or goes, only its own keys move, which
    /// are about one in n. A caller without a key is served by the policy.
    ///
    /// The order of an answer is that in which elements would take over the
    /// key. It depends on seed, key and the PE identifiers in the pool only:
    /// registrars with the same seed give the same answers, and an element
    /// that comes back gets its keys back. Elements are equal, whatever their
    /// weight or load. A selection changes nothing but that a degradation
    /// counts. O(1) an element on average.
    ///
    /// Use it for sessions, caches and shards.
    ConsistentHash {
        /// The same for all registrars that shall agree. Who knows it can
        /// choose PE identifiers that get many keys.
        seed: u64,
    },
    /// The elements of the caller's zone ([`Caller::zone`]) first, by the
    /// pool's policy among them; if they are too few, the others follow by the
    /// policy. A caller without a zone, or in one that has no element, is
    /// served by the policy from all.
    ///
    /// Zones are given to elements by
    /// [`Handlespace::place_in_zone`](crate::Handlespace::place_in_zone). A
    /// selection moves the order that it came from, that of the zone or that
    /// of all; a degradation counts in both. O(1) or O(log n) an element, as
    /// the policy.
    ///
    /// Use it where crossing a zone costs time or money.
    ZoneFirst,
    /// An element that is new, or was drained until now, gets its share step
    /// by step: in the order of the policy it is passed over with a
    /// probability that falls from 1 to 0 within `ramp`. One that is passed
    /// over stands behind the others of the answer, and has had its turn where
    /// the policy has turns. Elements that were there when the mode was set
    /// have their full share.
    ///
    /// An answer looks at 16 elements more than asked for, while any is new:
    /// if nearly all are, they share as the policy says.
    ///
    /// Use it where a server has caches to fill, and with the least used
    /// policies, which send everything to a server without load.
    SlowStart {
        /// From the first selection that is possible to the full share; not
        /// zero.
        ramp: Duration,
    },
}

/// Who asks: what the selection modes of pools may go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Its key, for [`SelectionMode::ConsistentHash`].
    pub key: Option<SelectionKey>,
    /// Its zone, for [`SelectionMode::ZoneFirst`].
    pub zone: Option<ZoneId>,
}

/// A key for consistent hashing. It need not be evenly spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectionKey(pub u64);

impl SelectionKey {
    /// The key of these bytes (FNV-1a, 64 bits): a session, user or file name.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

/// A zone: a rack, site or region, numbered as the embedder likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub u32);

/// Why a selection mode was refused. The pool is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeError {
    /// No pool has this handle.
    UnknownPool,
    /// The pool's policy has no load to choose by.
    WithoutLoad(PolicyKind),
    /// The ramp is zero.
    WithoutRamp,
}

impl fmt::Display for ModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPool => f.write_str("no pool has this handle"),
            Self::WithoutLoad(kind) => write!(f, "the pool's policy {kind:?} has no load"),
            Self::WithoutRamp => f.write_str("the ramp of a slow start is zero"),
        }
    }
}

impl core::error::Error for ModeError {}

/// What a mode keeps of a pool beside the order of the policy.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The order of the policy is empty.
    Choices(Choices),
    Continuum(Continuum),
    /// The orders of the zones are kept apart.
    Zones,
    Ramp(Ramp),
}

/// A pool in a mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moded {
    /// The order of the policy.
    pub(crate) base: Order,
    way: Way,
    mode: SelectionMode,
    next_vacant: u32,
}

impl Default for Moded {
    fn default() -> Self {
        let base = Order::new(PolicyKind::RoundRobin);
        Self { base, way: Way::Zones, mode: SelectionMode::ByPolicy, next_vacant: NONE }
    }
}

impl Vacant for Moded {
    fn set_next_vacant(&mut self, next: u32) {
        self.next_vacant = next;
    }

    fn next_vacant(&self) -> u32 {
        self.next_vacant
    }
}

/// What the modes of all pools share.
#[derive(Debug)]
pub(crate) struct Modes {
    records: Slab<Moded>,
    pub(crate) zones: Zones,
    /// When an element has its full share: 0, or in a pool with slow start
    /// perhaps later.
    settled: Sparse<u64>,
    /// The latest selection from a continuum that an element was in.
    marks: Sparse<u64>,
    selections: u64,
    /// For what is listed and not all given.
    listed: Selected,
}

impl Modes {
    pub(crate) fn for_slots(slots: u32, seed: u64) -> Self {
        Self {
            records: Slab::for_slots(0),
            zones: Zones::for_slots(slots, seed),
            settled: Sparse::new(),
            marks: Sparse::new(),
            selections: 0,
            listed: Selected::new(),
        }
    }

    /// The record of a pool.
    pub(crate) fn record(&self, number: u32) -> &Moded {
        &self.records[number]
    }

    /// The number of pools in a mode, for checks.
    pub(crate) const fn len(&self) -> u32 {
        self.records.len()
    }
}

impl Moded {
    pub(crate) const fn mode(&self) -> SelectionMode {
        self.mode
    }

    const fn has_zones(&self) -> bool {
        matches!(self.way, Way::Zones)
    }

    /// Checks what the mode keeps; returns its blocks of words and calls
    /// `visit` with each element that only it has.
    pub(crate) fn assert_invariants(
        &self,
        orders: &Orders,
        linked: u32,
        visit: impl FnMut(ElementKey),
    ) -> u32 {
        match &self.way {
            Way::Choices(choices) => {
                choices.assert_invariants(&orders.words, &orders.places, visit)
            }
            Way::Continuum(continuum) => {
                assert_eq!(continuum.members(), linked, "each element is on the continuum");
                continuum.assert_invariants(&orders.words)
            }
            Way::Zones | Way::Ramp(_) => 0,
        }
    }
}

impl Orders {
    /// Puts a pool whose elements are `members` into a mode, or takes it out
    /// of the one it is in.
    pub(crate) fn set_mode(
        &mut self,
        order: &mut Order,
        mode: SelectionMode,
        rule: crate::policy::Rule,
        elements: &mut Slab<Element>,
        members: &[ElementKey],
    ) {
        if let Order::Moded(number) = *order {
            let mut moded = self.modes.records[number];
            for &key in members {
                self.leave(&mut moded, number, &mut elements[key.index], key);
            }
            self.modes.records.give_back(number);
            *order = moded.base;
        }
        let way = match mode {
            SelectionMode::ByPolicy => return,
            SelectionMode::TwoChoices => Way::Choices(Choices::new(rule)),
            SelectionMode::ConsistentHash { seed } => Way::Continuum(Continuum::new(seed)),
            SelectionMode::ZoneFirst => {
                self.modes.zones.open(elements.end());
                Way::Zones
            }
            SelectionMode::SlowStart { ramp } => Way::Ramp(Ramp::new(ramp)),
        };
        let number = self.modes.records.take();
        let mut moded = Moded { base: *order, way, mode, next_vacant: NONE };
        for &key in members {
            let slot = key.index;
            let element = &mut elements[slot];
            if element.has(Flag::Linked) {
                let standing = self.standing(&moded.base, element, slot);
                if let Way::Choices(choices) = &mut moded.way {
                    self.unlink(&mut moded.base, element, slot);
                    choices.insert(&mut self.words, &mut self.places, key, standing);
                    element.set(Flag::Linked);
                } else {
                    self.enter(&mut moded, number, element, key, None);
                }
            }
        }
        self.modes.records[number] = moded;
        *order = Order::Moded(number);
    }

    /// A linked element leaves what the mode keeps; the order of the policy
    /// has it then.
    fn leave(&mut self, moded: &mut Moded, number: u32, element: &mut Element, key: ElementKey) {
        let slot = key.index;
        if !element.has(Flag::Linked) {
            return;
        }
        match &mut moded.way {
            Way::Choices(choices) => {
                let load = choices.remove(&mut self.words, &mut self.places, slot);
                element.clear(Flag::Linked);
                let standing = choices.standing(load);
                self.link(&mut moded.base, element, key, standing, Timestamp::ZERO);
            }
            Way::Continuum(continuum) => continuum.remove(&mut self.words, element.pe, slot),
            Way::Zones => self.modes.zones.unlink(number, element, slot),
            Way::Ramp(_) => {}
        }
    }

    /// An element that was linked into the order of the policy enters what the
    /// mode keeps; `now`, if it was not linked before.
    fn enter(
        &mut self,
        moded: &mut Moded,
        number: u32,
        element: &Element,
        key: ElementKey,
        now: Option<Timestamp>,
    ) {
        match &mut moded.way {
            Way::Choices(_) => {}
            Way::Continuum(continuum) => {
                self.modes.marks.reserve(key.index);
                continuum.insert(&mut self.words, element.pe, key);
            }
            Way::Zones => {
                let standing = self.standing(&moded.base, element, key.index);
                self.modes.zones.link(number, &moded.base, element, key, standing);
            }
            Way::Ramp(ramp) => {
                self.modes.settled.reserve(key.index);
                self.modes.settled[key.index] = now.map_or(0, |now| ramp.begin(now));
            }
        }
    }

    /// What the present place of a linked element means.
    fn standing(&self, order: &Order, element: &Element, slot: u32) -> Standing {
        match order {
            Order::Circle(_) => Standing::Turn,
            // Keys of sorted policies have 32 bits.
            Order::Sorted { .. } => Standing::Key((self.key(slot) & 0xffff_ffff) as u32),
            Order::Turns { .. } => Standing::Turns(element.first),
            Order::Lots { lots, .. } => {
                Standing::Weight(lots.weight(&self.urn, &self.words, &self.places, slot))
            }
            Order::Moded(number) => self.standing(&self.modes.records[*number].base, element, slot),
        }
    }

    /// [`Orders::link`] in a mode.
    #[cold]
    #[inline(never)]
    pub(crate) fn link_moded(
        &mut self,
        number: u32,
        element: &mut Element,
        key: ElementKey,
        standing: Standing,
        now: Timestamp,
    ) {
        let mut moded = self.modes.records[number];
        if let Way::Choices(choices) = &mut moded.way {
            choices.insert(&mut self.words, &mut self.places, key, standing);
            element.set(Flag::Linked);
        } else {
            self.link(&mut moded.base, element, key, standing, now);
            if element.has(Flag::Linked) {
                self.enter(&mut moded, number, element, key, Some(now));
            }
        }
        self.modes.records[number] = moded;
    }

    /// [`Orders::unlink`] in a mode.
    #[cold]
    #[inline(never)]
    pub(crate) fn unlink_moded(&mut self, number: u32, element: &mut Element, slot: u32) {
        let mut moded = self.modes.records[number];
        if let Way::Choices(choices) = &mut moded.way {
            choices.remove(&mut self.words, &mut self.places, slot);
            element.clear(Flag::Linked);
        } else {
            let key = ElementKey { index: slot, generation: element.generation };
            self.leave(&mut moded, number, element, key);
            self.unlink(&mut moded.base, element, slot);
        }
        self.modes.records[number] = moded;
    }

    /// [`Orders::relink`] in a mode.
    #[expect(clippy::too_many_arguments, reason = "those of the order, and the time")]
    #[cold]
    #[inline(never)]
    pub(crate) fn relink_moded(
        &mut self,
        number: u32,
        element: &mut Element,
        key: ElementKey,
        standing: Standing,
        before: u32,
        is_changed: bool,
        now: Timestamp,
    ) {
        let mut moded = self.modes.records[number];
        let was_linked = element.has(Flag::Linked);
        let is_drained = matches!(standing, Standing::Weight(0) | Standing::Turns(0));
        match &mut moded.way {
            Way::Choices(choices) => {
                choices.reload(&mut self.words, &self.places, key.index, standing);
                return;
            }
            Way::Zones if was_linked && !is_drained => {
                self.modes.zones.relink(number, element, key, standing, before, is_changed);
            }
            Way::Continuum(_) | Way::Zones | Way::Ramp(_) => {
                if was_linked && is_drained {
                    self.leave(&mut moded, number, element, key);
                }
            }
        }
        self.relink(&mut moded.base, element, key, standing, before, is_changed, now);
        if !was_linked && element.has(Flag::Linked) {
            self.enter(&mut moded, number, element, key, Some(now));
        }
        self.modes.records[number] = moded;
    }

    /// Gives back the record of a pool without elements.
    pub(crate) fn close_moded(&mut self, order: &Order) {
        if let Order::Moded(number) = *order {
            self.modes.records.give_back(number);
        }
    }

    /// [`Orders::select`] in a mode.
    #[inline(never)]
    pub(crate) fn select_moded(
        &mut self,
        number: u32,
        elements: &mut Slab<Element>,
        call: &Call,
        into: &mut Selected,
    ) {
        let mut moded = self.modes.records[number];
        let Moded { base, way, .. } = &mut moded;
        match way {
            Way::Choices(choices) => self.select_choices(choices, elements, call, into),
            Way::Continuum(continuum) => match call.caller.key {
                Some(key) => self.select_by_key(base, *continuum, elements, call, key, into),
                None => self.select(base, elements, call.items, call.advance, into),
            },
            Way::Zones => self.select_by_zone(number, base, elements, call, into),
            Way::Ramp(ramp) if ramp.is_over(call.now) => {
                self.select(base, elements, call.items, call.advance, into);
            }
            Way::Ramp(ramp) => self.select_slowly(*ramp, base, elements, call, into),
        }
        self.modes.records[number] = moded;
    }

    fn select_by_key(
        &mut self,
        base: &mut Order,
        continuum: Continuum,
        elements: &mut Slab<Element>,
        call: &Call,
        key: SelectionKey,
        into: &mut Selected,
    ) {
        self.modes.selections += 1;
        let (marks, selection) = (&mut self.modes.marks, self.modes.selections);
        continuum.select(&self.words, key, call.items, |key| {
            let is_new = core::mem::replace(&mut marks[key.index], selection) != selection;
            if is_new {
                into.push(key);
            }
            is_new
        });
        if base.degrades() {
            for &key in into.iter().take(call.advance as usize) {
                self.advance(base, elements, key);
            }
        }
    }
}

/// A selection from a pool in a mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) now: Timestamp,
    pub(crate) caller: Caller,
    /// Not more than there are members.
    pub(crate) items: u32,
    /// The elements of the pool.
    pub(crate) members: u32,
    pub(crate) advance: u32,
}
