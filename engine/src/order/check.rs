//! The invariants of selection orders.

use super::{Order, Orders};
use crate::ElementKey;

/// What the orders of pools add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    ring_blocks: u32,
    sorted_blocks: u32,
    word_blocks: u32,
    classes: u32,
    modes: u32,
}

impl Orders {
    /// Checks the order of a pool of which `linked` elements are selectable;
    /// calls `visit` with each of them.
    pub(crate) fn assert_order(
        &self,
        order: &Order,
        linked: u32,
        counts: &mut Counts,
        visit: &mut dyn FnMut(ElementKey),
    ) {
        let places = &self.places;
        match order {
            Order::Circle(ring) => {
                counts.ring_blocks += ring.assert_invariants(&self.blocks, places, visit);
            }
            Order::Sorted { sorted, .. } | Order::Turns { sorted, .. } => {
                counts.sorted_blocks += sorted.assert_invariants(&self.sorted, places, visit);
            }
            Order::Lots { lots, .. } => {
                counts.word_blocks +=
                    lots.assert_invariants(&self.urn, &self.words, places, |lot| visit(lot.key));
                counts.classes += u32::from(lots.has_classes());
            }
            Order::Moded(number) => {
                counts.modes += 1;
                let moded = self.modes.record(*number);
                counts.word_blocks += moded.assert_invariants(self, linked, &mut *visit);
                self.assert_order(&moded.base, linked, counts, visit);
            }
        }
    }

    /// Checks that nothing is kept that no pool has.
    pub(crate) fn assert_counts(&self, counts: Counts) {
        assert_eq!(counts.ring_blocks, self.blocks.len(), "ring blocks are accounted for");
        assert_eq!(counts.sorted_blocks, self.sorted.len(), "so are sorted ones");
        assert_eq!(counts.classes, self.urn.len(), "classes are accounted for");
        assert_eq!(counts.modes, self.modes.len(), "so are pools in a mode");
        let words = self.words.assert_invariants();
        assert_eq!(counts.word_blocks, words, "blocks of words are accounted for");
    }
}
