//! Calls one after the other against batch calls.

use std::hint::black_box;

use super::Space;
use crate::measure::Measured;

impl Space {
    /// Finds elements one after the other: which comes next depends on what
    /// was read of the one before.
    pub(super) fn touch_dependent(&mut self, measured: &mut Measured) {
        let drawn = self.draw();
        let names = self.names(&drawn);
        let none = black_box(0_u32);
        measured.time(names.len() as u64, || {
            let (mut index, mut sum) = (0, 0);
            while let Some(name) = names.get(index) {
                let key = self.handlespace.find(name.handle.get(), name.pe);
                let read = key.and_then(|key| self.handlespace.get(key));
                let read = read.map_or(0, |element| u32::from(element.record()[7]));
                sum += u64::from(read);
                index += 1 + (read & none) as usize;
            }
            sum
        });
    }
}
