//! Finding an element by its pool handle and PE identifier.

use std::hint::black_box;

use rserpool_engine::PeId;

use super::{CHUNK, Space};
use crate::measure::Measured;
use crate::population::{Handle, pe};

/// What a message names an element by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) handle: Handle,
    pub(super) pe: PeId,
}

impl Space {
    /// The names of elements.
    pub(super) fn names(&self, elements: &[u32]) -> Vec<Name> {
        let name = |&element: &u32| Name {
            handle: Handle::of(element % self.shape.pools),
            pe: pe(element),
        };
        elements.iter().map(name).collect()
    }

    /// A chunk of random elements, some perhaps twice.
    pub(super) fn draw(&mut self) -> Vec<u32> {
        let elements = self.elements();
        (0..CHUNK).map(|_| self.random.below(elements)).collect()
    }

    pub(super) fn find(&mut self, measured: &mut Measured) {
        let drawn = self.draw();
        let names = self.names(&drawn);
        let before = measured.sum;
        measured.time(names.len() as u64, || {
            let found = names.iter().filter(|name| {
                black_box(self.handlespace.find(name.handle.get(), name.pe)).is_some()
            });
            found.count() as u64
        });
        assert_eq!(measured.sum - before, names.len() as u64, "every element is found");
    }

    /// Finds an element and looks at its record.
    pub(super) fn find_and_read(&mut self, measured: &mut Measured) {
        let drawn = self.draw();
        let names = self.names(&drawn);
        measured.time(names.len() as u64, || {
            let mut sum = 0;
            for name in &names {
                let key = self.handlespace.find(name.handle.get(), name.pe);
                let element = key.and_then(|key| self.handlespace.get(key));
                sum += element.map_or(0, |element| u64::from(element.record()[7]));
            }
            sum
        });
    }
}
