//! Calls that wait for each other against batch calls.

use std::hint::black_box;

use rserpool_engine::{ElementKey, PeId, PoolHandle, Question, Registration};

use super::Space;
use crate::measure::Measured;
use crate::population::Prepared;

/// Makes `calls` calls, of which each begins when the result of the one before
/// is known, as those of a caller who handles one message after the other: the
/// number of the next call is computed from the key that `call` gives, without
/// a branch that a processor could guess. Returns how many gave a key.
fn dependent(calls: usize, mut call: impl FnMut(usize) -> Option<ElementKey>) -> u64 {
    let nobody = black_box(ElementKey::default());
    let (mut index, mut sum) = (0, 0);
    while index < calls {
        let key = call(index).unwrap_or_default();
        sum += 1;
        // Of a registered element no key is the default one.
        index += black_box(1 + usize::from(key == nobody));
    }
    sum
}

impl Space {
    /// Finds elements and acknowledges their keep-alives.
    pub(super) fn touch_dependent(&mut self, measured: &mut Measured) {
        let drawn = self.draw();
        let names = self.names(&drawn);
        let before = measured.sum;
        measured.time(names.len() as u64, || {
            dependent(names.len(), |index| {
                let key = self.handlespace.find(names[index].handle.get(), names[index].pe)?;
                self.handlespace.keep_alive_acked(self.now, key);
                Some(key)
            })
        });
        assert_eq!(measured.sum - before, names.len() as u64, "every element is found");
    }

    pub(super) fn touch_batch(&mut self, measured: &mut Measured) {
        let drawn = self.draw();
        let names = self.names(&drawn);
        let names: Vec<(PoolHandle<'_>, PeId)> =
            names.iter().map(|name| (name.handle.get(), name.pe)).collect();
        let before = measured.sum;
        measured.time(names.len() as u64, || {
            let mut found = 0;
            self.handlespace
                .touch_many(self.now, &names, |_, key| found += u64::from(key.is_some()));
            found
        });
        assert_eq!(measured.sum - before, names.len() as u64, "every element is found");
    }

    pub(super) fn reregister_dependent(&mut self, measured: &mut Measured) {
        let prepared = self.changes();
        measured.time(prepared.len() as u64, || {
            dependent(prepared.len(), |index| {
                let new = prepared[index].registration();
                Some(self.handlespace.register(self.now, &new).ok()?.key)
            })
        });
    }

    pub(super) fn reregister_batch(&mut self, measured: &mut Measured) {
        let prepared = self.changes();
        let registrations: Vec<Registration<'_>> =
            prepared.iter().map(Prepared::registration).collect();
        let before = measured.sum;
        measured.time(prepared.len() as u64, || {
            let mut registered = 0;
            self.handlespace.register_many(self.now, &registrations, |_, result| {
                registered += u64::from(result.is_ok());
            });
            registered
        });
        assert_eq!(measured.sum - before, prepared.len() as u64, "every element registers");
    }

    /// Changed registrations of a chunk of elements.
    fn changes(&mut self) -> Vec<Prepared> {
        let drawn = self.draw();
        drawn.iter().map(|&element| self.prepare_changed(element)).collect()
    }

    pub(super) fn resolve_dependent(&mut self, measured: &mut Measured) {
        let handles = self.handles();
        measured.time(handles.len() as u64, || {
            dependent(handles.len(), |index| {
                let into = &mut self.resolution;
                let resolved = self.handlespace.resolve(self.now, handles[index].get(), 3, into);
                resolved.ok()?;
                into.elements.last().copied()
            })
        });
        self.selected(handles.len() as u64 * 3);
    }

    pub(super) fn resolve_batch(&mut self, measured: &mut Measured) {
        let handles = self.handles();
        let questions: Vec<Question<'_>> =
            handles.iter().map(|handle| Question::new(handle.get(), 3)).collect();
        let before = measured.sum;
        measured.time(handles.len() as u64, || {
            let (mut selected, into) = (0, &mut self.resolution);
            self.handlespace.resolve_many(self.now, &questions, into, |_, answer| {
                selected += answer.map_or(0, |answer| black_box(answer).elements.len() as u64);
            });
            selected
        });
        let each = u64::from(self.shape.elements_per_pool.min(3));
        assert_eq!(measured.sum - before, handles.len() as u64 * each, "every answer is complete");
        self.selected(handles.len() as u64 * 3);
    }
}
