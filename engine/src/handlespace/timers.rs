//! Registration lives, keep-alives and unreachability reports.

use core::time::Duration;

use super::Handlespace;
use crate::element::{Element, Flag, NEVER};
use crate::{ElementKey, Timestamp};

/// 2^32 over the golden ratio: its multiples are spread evenly.
const GOLDEN: u32 = 0x9e37_79b9;

/// When elements are kept alive.
#[derive(Debug)]
pub(super) struct Watch {
    /// The list of the elements that are: those of this registrar.
    pub(super) own: u32,
    /// The least time to the next keep-alive, and what is added at most; all
    /// in microseconds. 0: there are none.
    least: u64,
    spread: u64,
    timeout: u64,
}

impl Watch {
    pub(super) fn new(own: u32, interval: Duration, timeout: Duration) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (interval, timeout) = (micros(interval), micros(timeout));
        Self { own, least: interval - interval / 4, spread: interval / 2, timeout }
    }

    /// The time of the next keep-alive, if the element gets any.
    ///
    /// Three quarters to five quarters of the interval from now, by slot: what
    /// registered together is not kept alive together. It is the same for an
    /// element each time, so that a renewal never makes it due earlier.
    #[inline]
    pub(super) fn keep_alive(&self, now: Timestamp, slot: u32, element: &Element) -> u64 {
        let is_watched = element.association().is_some() || element.has(Flag::TakenOver);
        if !is_watched || element.home() != self.own || self.least == 0 {
            return NEVER;
        }
        let spread = u128::from(slot.wrapping_mul(GOLDEN)) * u128::from(self.spread);
        let spread = u64::try_from(spread >> 32).unwrap_or(u64::MAX);
        now.as_micros().saturating_add(self.least).saturating_add(spread).min(NEVER - 1)
    }
}

/// How many elements one [`Handlespace::poll_due`] looks at: each may wait for
/// memory three times, and no call is to take longer than 10 microseconds.
const VISITS: u32 = 12;

/// What [`Handlespace::poll_due`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a keep-alive to this element of ours. Its time-out runs.
    KeepAlive(ElementKey),
    /// The element did not answer a keep-alive in time. The caller removes it.
    Silent(ElementKey),
    /// Its registration life is over. The caller removes it.
    Expired(ElementKey),
}

/// What an unreachability report did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It was counted; the element stays.
    Counted(u8),
    /// It was one too many. The caller removes the element.
    LimitReached,
}

impl Handlespace {
    /// Counts a report that the element is unreachable (RFC 5352, 3.5).
    /// `None` if it was removed before.
    pub fn report_unreachable(&mut self, key: ElementKey) -> Option<Reported> {
        if !self.is_there(key) {
            return None;
        }
        let element = &mut self.elements[key.index];
        let reports = element.reports().saturating_add(1);
        element.set_reports(reports);
        Some(if reports >= self.config.bad_reports_max {
            Reported::LimitReached
        } else {
            Reported::Counted(reports)
        })
    }

    /// Makes the next [`Handlespace::poll_due`] ask for a keep-alive to this
    /// element of ours, whatever the interval, unless one is under way.
    pub fn probe(&mut self, now: Timestamp, key: ElementKey) {
        if !self.is_there(key) {
            return;
        }
        let element = &self.elements[key.index];
        if !element.has(Flag::Waiting) && self.is_own(element) {
            let before = element.deadline();
            self.elements[key.index].keep_alive = now.as_micros();
            self.rearm(now, key.index, before);
        }
    }

    /// The element acknowledged a keep-alive: its time-out ends, the reports
    /// against it are forgotten. `false` if it was removed before.
    pub fn keep_alive_acked(&mut self, now: Timestamp, key: ElementKey) -> bool {
        if !self.is_there(key) {
            return false;
        }
        let element = &mut self.elements[key.index];
        let before = element.deadline();
        element.set_reports(0);
        element.clear(Flag::Waiting);
        element.keep_alive = self.watch.keep_alive(now, key.index, element);
        if element.deadline() < before || !element.has(Flag::Armed) {
            self.wheel.rearm(&mut self.elements, now.as_micros(), key.index);
        }
        true
    }

    /// Moves an element in the wheel, if its deadline is earlier than before.
    /// One that is later is moved when the earlier time comes.
    #[inline]
    pub(super) fn rearm(&mut self, now: Timestamp, slot: u32, before: u64) {
        let element = &self.elements[slot];
        if element.deadline() < before || !element.has(Flag::Armed) {
            self.wheel.rearm(&mut self.elements, now.as_micros(), slot);
        }
    }

    /// When [`Handlespace::poll_due`] has something to do; not later than the
    /// earliest deadline, perhaps earlier.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wheel.next().map(Timestamp::from_micros)
    }

    /// The next element whose deadline is over. Call it until `None`, or as
    /// often as the caller's turn allows. An element that is silent or expired
    /// is to be removed by the caller at once; it is not given again.
    ///
    /// A call looks at twelve elements at most. If it returns `None` and
    /// [`Handlespace::next_deadline`] is not later than `now`, there is more:
    /// call again.
    pub fn poll_due(&mut self, now: Timestamp) -> Option<Due> {
        let micros = now.as_micros();
        for _ in 0..VISITS {
            let slot = self.wheel.pop(&mut self.elements, micros)?;
            let key = self.key(slot);
            let element = &mut self.elements[slot];
            if element.life_end <= micros {
                return Some(Due::Expired(key));
            }
            if element.keep_alive > micros {
                self.wheel.arm(&mut self.elements, micros, slot);
                continue;
            }
            if element.has(Flag::Waiting) {
                return Some(Due::Silent(key));
            }
            element.set(Flag::Waiting);
            let ends = micros.saturating_add(self.watch.timeout);
            element.keep_alive = ends.min(NEVER - 1);
            self.wheel.arm(&mut self.elements, micros, slot);
            return Some(Due::KeepAlive(key));
        }
        None
    }
}
