//! The record of a pool element: one cache line, everything a request needs.

use core::time::Duration;

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
}

/// Deadline of what never happens.
pub(crate) const NEVER: u64 = u64::MAX;

/// The record.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
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
    /// The block of its stored record.
    pub(crate) record: u32,
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
}

const _: () = assert!(size_of::<Element>() == 64 && align_of::<Element>() == 64);

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
        let mut new = Self { pe, generation, keep_alive: NEVER, ..Self::default() };
        new.pool.set_slot(pool);
        new.position.set_slot(position);
        (new.earlier, new.later) = (NONE, NONE);
        new.set_association(None);
        new
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

    pub(crate) const fn set_record_len(&mut self, len: u16) {
        let [low, high] = len.to_le_bytes();
        self.home.set_byte(low);
        self.association.set_byte(high);
    }

    pub(crate) const fn life(&self) -> RegistrationLife {
        decode(self.life)
    }

    /// Starts a registration life at `now`.
    pub(crate) fn start_life(&mut self, now: Timestamp, life: RegistrationLife) {
        self.life = encode(life);
        self.life_end = match life {
            RegistrationLife::For(life) => now.after(life).as_micros(),
            RegistrationLife::Infinite => NEVER,
        };
    }

    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.life_end.min(self.keep_alive)
    }
}

const SECONDS: u32 = 1 << 31;

/// A life in four bytes: milliseconds below 2^31, seconds from there on.
fn encode(life: RegistrationLife) -> u32 {
    let RegistrationLife::For(life) = life else { return u32::MAX };
    let milliseconds = life.as_micros().div_ceil(1000);
    match u32::try_from(milliseconds) {
        Ok(milliseconds) if milliseconds < SECONDS => milliseconds,
        Ok(_) | Err(_) => {
            let seconds = milliseconds.div_ceil(1000).min(u128::from(SECONDS - 2));
            SECONDS | u32::try_from(seconds).unwrap_or(SECONDS - 2)
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
