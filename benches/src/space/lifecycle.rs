//! Registration, re-registration and deregistration.

use super::{Outcome, Space};
use crate::measure::Measured;
use crate::population::Prepared;

impl Space {
    /// Removes some elements, then measures how they are registered anew.
    pub(super) fn register_new(&mut self, measured: &mut Measured) {
        let window = self.window();
        for &element in &window {
            assert!(self.handlespace.remove(self.keys[element as usize]));
        }
        let prepared: Vec<Prepared> = window.iter().map(|&element| self.prepare(element)).collect();
        self.register(measured, &window, &prepared, Outcome::Created);
    }

    pub(super) fn reregister_unchanged(&mut self, measured: &mut Measured) {
        let drawn = self.draw();
        let prepared: Vec<Prepared> = drawn.iter().map(|&element| self.prepare(element)).collect();
        self.register(measured, &drawn, &prepared, Outcome::Renewed);
    }

    /// With other policy parameters, where the policy has any, and another
    /// transport address.
    pub(super) fn reregister_changed(&mut self, measured: &mut Measured) {
        let drawn = self.draw();
        let prepared: Vec<Prepared> =
            drawn.iter().map(|&element| self.prepare_changed(element)).collect();
        self.register(measured, &drawn, &prepared, Outcome::Changed);
    }

    fn register(
        &mut self,
        measured: &mut Measured,
        elements: &[u32],
        prepared: &[Prepared],
        expected: Outcome,
    ) {
        let before = measured.sum;
        measured.time(prepared.len() as u64, || {
            let mut as_expected = 0;
            for (prepared, &element) in prepared.iter().zip(elements) {
                let registered = self.handlespace.register(self.now, &prepared.registration());
                if let Ok(registered) = registered {
                    as_expected += u64::from(registered.outcome == expected);
                    self.keys[element as usize] = registered.key;
                }
            }
            as_expected
        });
        assert_eq!(measured.sum - before, prepared.len() as u64, "all are {expected:?}");
    }

    /// Finds and removes elements, as a deregistration does; registers them
    /// again afterwards, untimed.
    pub(super) fn deregister(&mut self, measured: &mut Measured) {
        let window = self.window();
        let names = self.names(&window);
        let before = measured.sum;
        measured.time(names.len() as u64, || {
            let mut removed = 0;
            for name in &names {
                if let Some(key) = self.handlespace.find(name.handle.get(), name.pe) {
                    removed += u64::from(self.handlespace.remove(key));
                }
            }
            removed
        });
        assert_eq!(measured.sum - before, names.len() as u64, "every element is removed");
        self.restore(&window);
    }
}
