//! Slow start: who is new is passed over, with a probability that falls.

use core::time::Duration;

use crate::Timestamp;
use crate::element::Element;
use crate::mode::Call;
use crate::order::{Order, Orders, Selected};
use crate::slab::Slab;

/// How many elements more than asked for a selection looks at.
const BEYOND: u32 = 16;

/// The slow start of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ramp {
    /// In microseconds, not 0.
    length: u64,
    /// When all elements have their full share.
    over: u64,
}

impl Ramp {
    pub(super) fn new(length: Duration) -> Self {
        let length = u64::try_from(length.as_micros()).unwrap_or(u64::MAX).max(1);
        Self { length, over: 0 }
    }

    /// The slow start of an element begins; returns when it ends.
    pub(super) fn begin(&mut self, now: Timestamp) -> u64 {
        let end = now.as_micros().saturating_add(self.length);
        self.over = self.over.max(end);
        end
    }

    pub(super) const fn is_over(&self, now: Timestamp) -> bool {
        self.over <= now.as_micros()
    }
}

impl Orders {
    pub(super) fn select_slowly(
        &mut self,
        ramp: Ramp,
        base: &mut Order,
        elements: &mut Slab<Element>,
        call: &Call,
        into: &mut Selected,
    ) {
        let mut listed = core::mem::take(&mut self.modes.listed);
        listed.clear();
        let looks = call.items.saturating_add(BEYOND).min(call.members);
        self.list(base, looks, &mut listed);
        let items = call.items as usize;
        // `listed` becomes: those looked at, the passed over ones first in the
        // order that they have had.
        let (mut looked, mut passed, mut turns) = (0, 0, 0);
        while looked < listed.len() && into.len() < items {
            let key = listed[looked];
            let wait = self.modes.settled[key.index].saturating_sub(call.now.as_micros());
            if wait > 0 && self.urn.chance.below(ramp.length) < wait {
                listed[passed] = key;
                passed += 1;
            } else {
                into.push(key);
                if into.len() == call.advance as usize {
                    // Who was passed over up to here has had its turn as well.
                    turns = passed;
                }
            }
            looked += 1;
        }
        let missing = (items - into.len()).min(passed);
        into.extend_from_slice(&listed[..missing]);
        if base.has_turns() {
            for &key in &listed[..turns] {
                self.advance(base, elements, key);
            }
        }
        for &key in into.iter().take(call.advance as usize) {
            self.advance(base, elements, key);
        }
        self.modes.listed = listed;
    }
}
