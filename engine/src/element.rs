//! The record of a pool element: two cache lines that are fetched together.
//! The first has what every request needs; the second its neighbors in the
//! lists of its home and association, and its stored bytes where they fit.

use core::time::Duration;

use crate::arena::Arena;
use crate::paged::{NONE, SLOTS_MAX};
use crate::slab::Vacant;
use crate::{RegistrationLife, Timestamp};

/// A slot number and eight bits.
#[derive(Clone, Copy, Default)]
struct Packed(u32);

impl Packed {
    #[inline]
    const fn slot(self) -> u32 {
        self.0 & SLOTS_MAX
    }

    #[inline]
    const fn byte(self) -> u8 {
        (self.0 >> 24) as u8
    }

    #[inline]
    const fn set_slot(&mut self, slot: u32) {
        self.0 = self.0 & !SLOTS_MAX | slot & SLOTS_MAX;
    }

    #[inline]
    const fn set_byte(&mut self, byte: u8) {
        self.0 = self.0 & SLOTS_MAX | (byte as u32) << 24;
    }
}

/// States of an element.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Flag {
    /// A keep-alive was asked for and not acknowledged.
    Waiting = 1,
    /// It was given to this registrar by a take-over: it is kept alive
    /// although it has no association here.
    TakenOver = 2,
    /// It is in the timing wheel.
    Armed = 4,
    /// It is in the selection order of its pool: it is not drained.
    Linked = 8,
    /// Its policy has a distance.
    Delayed = 16,
    /// A selection changed its place: its degradation counts until it
    /// registers again.
    Degraded = 32,
}

/// The parameters that few policies have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) dpf: u32,
    pub(crate) distance: u32,
}

/// Deadline of what never happens.
pub(crate) const NEVER: u64 = u64::MAX;

/// The neighbors of an element in a list.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) previous: u32,
    pub(crate) next: u32,
}

impl Link {
    const ALONE: Self = Self { previous: NONE, next: NONE };
}

/// Bytes stored inside the record; more are stored apart.
const INLINE: usize = 48;
/// The same for an element that has a [`Delay`], which takes the rest.
const INLINE_DELAYED: usize = 40;

/// The record.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub(crate) struct Element {
    pub(crate) pe: u32,
    /// Odd while the element is there; counts up when it comes and goes.
    pub(crate) generation: u32,
    /// And the unreachability reports.
    pool: Packed,
    /// And the low byte of the length of its stored record.
    home: Packed,
    /// And the high byte.
    association: Packed,
    /// Its number in the roster of its pool, and the flags.
    position: Packed,
    /// The block of its stored bytes, if they are stored apart.
    block: u32,
    life: u32,
    /// Weight, load or priority.
    pub(crate) first: u32,
    /// Degradation; for Weighted Round Robin the copies that had their turn.
    pub(crate) second: u32,
    /// Neighbors in a bucket of the timing wheel.
    pub(crate) earlier: u32,
    pub(crate) later: u32,
    /// When the registration life ends, in microseconds.
    pub(crate) life_end: u64,
    /// When a keep-alive is to be sent, or ought to be answered.
    pub(crate) keep_alive: u64,
    /// Its neighbors in the lists of its home and of its association.
    pub(crate) links: [Link; 2],
    bytes: [u8; INLINE],
}

const _: () = assert!(size_of::<Element>() == 128 && align_of::<Element>() == 128);
const _: () = assert!(core::mem::offset_of!(Element, links) == 64, "hot and cold are apart");

impl Default for Element {
    fn default() -> Self {
        Self {
            pe: 0,
            generation: 0,
            pool: Packed(0),
            home: Packed(0),
            association: Packed(0),
            position: Packed(0),
            block: NONE,
            life: 0,
            first: 0,
            second: 0,
            earlier: NONE,
            later: NONE,
            life_end: 0,
            keep_alive: NEVER,
            links: [Link::ALONE; 2],
            bytes: [0; INLINE],
        }
    }
}

impl Vacant for Element {
    fn set_next_vacant(&mut self, next: u32) {
        self.later = next;
    }

    fn next_vacant(&self) -> u32 {
        self.later
    }
}

impl Element {
    /// The record of a new element of this generation; the caller fills it.
    pub(crate) fn new(generation: u32, pe: u32, pool: u32, position: u32) -> Self {
        let (pool, position) = (Packed(pool), Packed(position));
        let association = Packed(SLOTS_MAX);
        Self { pe, generation, pool, position, association, ..Self::default() }
    }

    #[inline]
    pub(crate) const fn is_there(&self) -> bool {
        self.generation & 1 == 1
    }

    #[inline]
    pub(crate) const fn pool(&self) -> u32 {
        self.pool.slot()
    }

    #[inline]
    pub(crate) const fn home(&self) -> u32 {
        self.home.slot()
    }

    pub(crate) const fn set_home(&mut self, home: u32) {
        self.home.set_slot(home);
    }

    #[inline]
    pub(crate) const fn association(&self) -> Option<u32> {
        let slot = self.association.slot();
        if slot == SLOTS_MAX { None } else { Some(slot) }
    }

    pub(crate) const fn set_association(&mut self, association: Option<u32>) {
        self.association.set_slot(match association {
            Some(slot) => slot,
            None => SLOTS_MAX,
        });
    }

    #[inline]
    pub(crate) const fn position(&self) -> u32 {
        self.position.slot()
    }

    #[inline]
    pub(crate) const fn has(&self, flag: Flag) -> bool {
        self.position.byte() & flag as u8 != 0
    }

    #[inline]
    pub(crate) const fn set(&mut self, flag: Flag) {
        self.position.set_byte(self.position.byte() | flag as u8);
    }

    #[inline]
    pub(crate) const fn clear(&mut self, flag: Flag) {
        self.position.set_byte(self.position.byte() & !(flag as u8));
    }

    #[inline]
    pub(crate) const fn reports(&self) -> u8 {
        self.pool.byte()
    }

    #[inline]
    pub(crate) const fn set_reports(&mut self, reports: u8) {
        self.pool.set_byte(reports);
    }

    #[inline]
    pub(crate) fn record_len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.home.byte(), self.association.byte()]))
    }

    const fn set_record_len(&mut self, len: u16) {
        let [low, high] = len.to_le_bytes();
        self.home.set_byte(low);
        self.association.set_byte(high);
    }

    #[inline]
    const fn inline(&self) -> usize {
        if self.has(Flag::Delayed) { INLINE_DELAYED } else { INLINE }
    }

    /// Its delay; none: 0.
    pub(crate) fn delay(&self) -> Delay {
        if !self.has(Flag::Delayed) {
            return Delay::default();
        }
        let word = |at: usize| {
            let bytes = self.bytes[at..].first_chunk::<4>();
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        Delay { dpf: word(INLINE_DELAYED), distance: word(INLINE_DELAYED + 4) }
    }

    /// Gives it a delay, before anything is stored; returns the one before.
    pub(crate) fn set_delay(&mut self, delay: Delay) -> Delay {
        let before = self.delay();
        self.set(Flag::Delayed);
        let (dpf, distance) = self.bytes[INLINE_DELAYED..].split_at_mut(4);
        dpf.copy_from_slice(&delay.dpf.to_le_bytes());
        distance.copy_from_slice(&delay.distance.to_le_bytes());
        before
    }

    /// Whether its stored bytes take a block.
    #[inline]
    pub(crate) fn is_apart(&self) -> bool {
        self.record_len() > self.inline()
    }

    /// Its stored bytes.
    #[inline]
    pub(crate) fn record<'a>(&'a self, bytes: &'a Arena<u8>) -> &'a [u8] {
        let len = self.record_len();
        if len <= self.inline() { &self.bytes[..len] } else { bytes.get(self.block, len) }
    }

    /// Stores a record; whether it is another one than before.
    #[inline]
    pub(crate) fn store(&mut self, bytes: &mut Arena<u8>, record: &[u8]) -> bool {
        let before = self.record_len();
        if before == record.len() && self.record(bytes) == record {
            return false;
        }
        if before.max(record.len()) <= self.inline() {
            self.bytes[..record.len()].copy_from_slice(record);
        } else {
            self.store_apart(bytes, record);
        }
        self.set_record_len(u16::try_from(record.len()).unwrap_or(u16::MAX));
        true
    }

    #[inline(never)]
    fn store_apart(&mut self, bytes: &mut Arena<u8>, record: &[u8]) {
        let fits = self.is_apart()
            && record.len() > self.inline()
            && bytes.capacity(self.block) == Arena::<u8>::capacity_for(record.len());
        if !fits {
            self.free_record(bytes);
            if record.len() <= self.inline() {
                self.bytes[..record.len()].copy_from_slice(record);
                return;
            }
            self.block = bytes.allocate(record.len());
        }
        bytes.get_mut(self.block, record.len()).copy_from_slice(record);
    }

    /// Gives back what its stored bytes took.
    #[inline]
    pub(crate) fn free_record(&self, bytes: &mut Arena<u8>) {
        if self.is_apart() {
            bytes.free(self.block);
        }
    }

    pub(crate) const fn life(&self) -> RegistrationLife {
        decode(self.life)
    }

    /// Starts a registration life at `now`: what was held against it before
    /// is forgotten.
    #[inline]
    pub(crate) fn renew(&mut self, now: Timestamp, life: RegistrationLife) {
        self.set_reports(0);
        let waiting = Flag::Waiting as u8 | Flag::TakenOver as u8;
        self.position.set_byte(self.position.byte() & !waiting);
        self.start_life(now, life);
    }

    /// Starts a registration life at `now`.
    #[inline]
    pub(crate) fn start_life(&mut self, now: Timestamp, life: RegistrationLife) {
        self.life = encode(life);
        self.life_end = match life {
            RegistrationLife::For(life) => now.after(life).as_micros(),
            RegistrationLife::Infinite => NEVER,
        };
    }

    /// Notes that a selection degrades it; says by how much.
    #[inline]
    pub(crate) const fn degrade(&mut self) -> u32 {
        self.set(Flag::Degraded);
        self.second
    }

    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.life_end.min(self.keep_alive)
    }
}

const SECONDS: u32 = 1 << 31;

/// A life in four bytes: milliseconds below 2^31, seconds from there on.
#[inline]
fn encode(life: RegistrationLife) -> u32 {
    let RegistrationLife::For(life) = life else { return u32::MAX };
    let part = life.subsec_micros().div_ceil(1000);
    let milliseconds = life.as_secs().saturating_mul(1000).saturating_add(part.into());
    match u32::try_from(milliseconds) {
        Ok(milliseconds) if milliseconds < SECONDS => milliseconds,
        Ok(_) | Err(_) => {
            let seconds = life.as_secs().saturating_add(u64::from(part > 0));
            SECONDS | u32::try_from(seconds.min(u64::from(SECONDS - 2))).unwrap_or(SECONDS - 2)
        }
    }
}

const fn decode(life: u32) -> RegistrationLife {
    match life {
        u32::MAX => RegistrationLife::Infinite,
        SECONDS.. => RegistrationLife::For(Duration::from_secs((life & (SECONDS - 1)) as u64)),
        _ => RegistrationLife::For(Duration::from_millis(life as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_of_the_wire_are_kept_exactly() {
        let keep = |life| decode(encode(RegistrationLife::For(life)));
        for seconds in [0, 1, 90, 2_147_483, 2_147_484, 2_147_483_646] {
            let life = Duration::from_secs(seconds);
            assert_eq!(keep(life), RegistrationLife::For(life));
        }
        for milliseconds in [1, 90_000, 2_147_483_647] {
            let life = Duration::from_millis(milliseconds);
            assert_eq!(keep(life), RegistrationLife::For(life));
        }
        assert_eq!(decode(encode(RegistrationLife::Infinite)), RegistrationLife::Infinite);
        assert_eq!(keep(Duration::from_micros(1)), RegistrationLife::For(Duration::from_millis(1)));
    }

    #[test]
    fn packed_fields_do_not_disturb_each_other() {
        let mut element = Element::new(1, 2, 0xab_cdef, 0x12_3456);
        element.set_record_len(0xfedc);
        element.set_home(5);
        element.set_association(Some(6));
        element.set_reports(7);
        element.set(Flag::Waiting);
        element.set(Flag::Linked);
        element.clear(Flag::Waiting);
        assert_eq!((element.pool(), element.position()), (0xab_cdef, 0x12_3456));
        assert_eq!((element.record_len(), element.reports()), (0xfedc, 7));
        assert_eq!((element.home(), element.association()), (5, Some(6)));
        assert!(element.has(Flag::Linked) && !element.has(Flag::Waiting));
        element.set_association(None);
        assert_eq!((element.association(), element.record_len()), (None, 0xfedc));
    }
}
