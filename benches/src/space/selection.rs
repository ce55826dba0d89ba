//! Handle resolution, alone and mixed with re-registrations.

use std::hint::black_box;

use super::{CHUNK, Space};
use crate::measure::Measured;
use crate::population::{Handle, Prepared};

impl Space {
    /// The handles of a chunk of random pools.
    pub(super) fn handles(&mut self) -> Vec<Handle> {
        let pools = self.shape.pools;
        (0..CHUNK).map(|_| Handle::of(self.random.below(pools))).collect()
    }

    pub(super) fn resolve(&mut self, items: u32, measured: &mut Measured) {
        let handles = self.handles();
        let before = measured.sum;
        measured.time(handles.len() as u64, || {
            let mut selected = 0;
            for handle in &handles {
                let into = &mut self.resolution;
                if self.handlespace.resolve(self.now, handle.get(), items, into).is_ok() {
                    selected += black_box(&*into).elements.len() as u64;
                }
            }
            selected
        });
        let expected = u64::from(CHUNK) * u64::from(items.min(self.shape.elements_per_pool));
        assert_eq!(measured.sum - before, expected, "every selection is complete");
        self.selected(u64::from(CHUNK) * u64::from(items));
    }

    /// What a registrar does for an answer: selects three elements and copies
    /// their records.
    pub(super) fn resolve_and_copy(&mut self, measured: &mut Measured) {
        let handles = self.handles();
        let mut answer: Vec<u8> = Vec::with_capacity(1024);
        measured.time(handles.len() as u64, || {
            let mut bytes = 0;
            for handle in &handles {
                answer.clear();
                let into = &mut self.resolution;
                if self.handlespace.resolve(self.now, handle.get(), 3, into).is_ok() {
                    let records = into.elements.iter().filter_map(|&key| self.handlespace.get(key));
                    for element in records {
                        answer.extend_from_slice(element.record());
                    }
                }
                bytes += black_box(&answer).len() as u64;
            }
            bytes
        });
        self.selected(u64::from(CHUNK) * 3);
    }

    /// Nine selections of three elements to one changed re-registration.
    pub(super) fn mix(&mut self, measured: &mut Measured) {
        let handles = self.handles();
        let mut changes: Vec<Prepared> = Vec::new();
        for element in self.draw().into_iter().take(handles.len().div_ceil(9)) {
            changes.push(self.prepare_changed(element));
        }
        let calls = (handles.len() + changes.len()) as u64;
        let before = measured.sum;
        measured.time(calls, || {
            let mut done = 0;
            for (handles, change) in handles.chunks(9).zip(&changes) {
                for handle in handles {
                    let into = &mut self.resolution;
                    let resolved = self.handlespace.resolve(self.now, handle.get(), 3, into);
                    done += u64::from(black_box(&*into).elements.len() >= 3 && resolved.is_ok());
                }
                let registered = self.handlespace.register(self.now, &change.registration());
                done += u64::from(black_box(registered).is_ok());
            }
            done
        });
        assert_eq!(measured.sum - before, calls, "every call of the mix succeeds");
        self.selected(u64::from(CHUNK) * 3);
    }
}
