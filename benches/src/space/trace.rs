//! Single calls, each timed alone: to find the slowest.

use std::time::Duration;

use super::{CHUNK, Due, Space};
use crate::measure::nanoseconds;
use crate::population::{OTHER, Prepared};

/// A call that is timed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The clock is read twice and nothing is called: the machine's own worst.
    Nothing,
    /// `find`.
    Find,
    /// `register` of an element that is not there.
    RegisterNew,
    /// `register` of an element that is there, with changes.
    ReregisterChanged,
    /// `remove`.
    Remove,
    /// `resolve` of ten elements.
    Resolve10,
    /// `poll_due`.
    PollDue,
    /// `keep_alive_acked`.
    KeepAliveAcked,
    /// `take_over` of up to 128 elements.
    TakeOver128,
    /// `handle_table` with a page of 128 elements.
    HandleTable128,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Nothing,
        Self::Find,
        Self::RegisterNew,
        Self::ReregisterChanged,
        Self::Remove,
        Self::Resolve10,
        Self::PollDue,
        Self::KeepAliveAcked,
        Self::TakeOver128,
        Self::HandleTable128,
    ];

    /// How many elements one call is about.
    #[must_use]
    pub const fn elements(self) -> usize {
        match self {
            Self::TakeOver128 | Self::HandleTable128 => 128,
            Self::Nothing
            | Self::Find
            | Self::RegisterNew
            | Self::ReregisterChanged
            | Self::Remove
            | Self::Resolve10
            | Self::PollDue
            | Self::KeepAliveAcked => 1,
        }
    }
}

impl Space {
    /// Makes some calls, and appends the nanoseconds of each to `times`. Equal
    /// spaces make equal calls in the same order.
    pub fn trace(&mut self, call: Call, times: &mut Vec<u32>) {
        match call {
            Call::Nothing => times.extend((0..CHUNK).map(|_| nanoseconds(|| ()))),
            Call::Find => {
                let drawn = self.draw();
                for name in self.names(&drawn) {
                    let find = || self.handlespace.find(name.handle.get(), name.pe);
                    times.push(nanoseconds(find));
                }
            }
            Call::RegisterNew => {
                let window = self.window();
                for &element in &window {
                    self.handlespace.remove(self.keys[element as usize]);
                }
                self.trace_registrations(&window, times);
            }
            Call::ReregisterChanged => {
                let drawn = self.draw();
                for &element in &drawn {
                    let version = &mut self.versions[element as usize];
                    *version = version.wrapping_add(1);
                }
                self.trace_registrations(&drawn, times);
            }
            Call::Remove => {
                let window = self.window();
                for &element in &window {
                    let key = self.keys[element as usize];
                    times.push(nanoseconds(|| self.handlespace.remove(key)));
                }
                self.restore(&window);
            }
            Call::Resolve10 => self.trace_selections(times),
            Call::PollDue | Call::KeepAliveAcked => self.trace_keep_alives(call, times),
            Call::TakeOver128 => self.trace_takeover(times),
            Call::HandleTable128 => {
                for _ in 0..CHUNK / 16 {
                    let (cursor, page) = (&mut self.cursor, &mut self.page);
                    let table = || self.handlespace.handle_table(cursor, None, 128, page);
                    times.push(nanoseconds(table));
                    if self.page.len() < 128 {
                        self.cursor = super::TableCursor::default();
                    }
                }
            }
        }
        self.pass(Duration::from_millis(1));
    }

    fn trace_registrations(&mut self, elements: &[u32], times: &mut Vec<u32>) {
        let prepared: Vec<Prepared> =
            elements.iter().map(|&element| self.prepare(element)).collect();
        for (prepared, &element) in prepared.iter().zip(elements) {
            let mut registered = None;
            times.push(nanoseconds(|| {
                registered = self.handlespace.register(self.now, &prepared.registration()).ok();
            }));
            if let Some(registered) = registered {
                self.keys[element as usize] = registered.key;
            }
        }
    }

    fn trace_selections(&mut self, times: &mut Vec<u32>) {
        for handle in self.handles() {
            let into = &mut self.resolution;
            times.push(nanoseconds(|| {
                self.handlespace.resolve(self.now, handle.get(), 10, into).is_ok()
            }));
        }
        self.selected(u64::from(CHUNK) * 10);
    }

    fn trace_keep_alives(&mut self, call: Call, times: &mut Vec<u32>) {
        let share = f64::from(CHUNK) / f64::from(self.elements());
        self.pass(super::KEEP_ALIVE_INTERVAL.mul_f64(share.min(1.0)));
        let mut due = None;
        loop {
            let poll = nanoseconds(|| due = self.handlespace.poll_due(self.now));
            if call == Call::PollDue {
                times.push(poll);
            }
            if let Some(Due::KeepAlive(key)) = due {
                let acked = nanoseconds(|| self.handlespace.keep_alive_acked(self.now, key));
                if call == Call::KeepAliveAcked {
                    times.push(acked);
                }
            } else if self.handlespace.next_deadline().is_none_or(|at| at > self.now) {
                return;
            }
        }
    }

    fn trace_takeover(&mut self, times: &mut Vec<u32>) {
        for element in self.window() {
            self.handlespace.set_home(self.now, self.keys[element as usize], OTHER);
        }
        let mut taken = 128;
        while taken == 128 {
            times.push(nanoseconds(|| taken = self.handlespace.take_over(self.now, OTHER, 128)));
        }
        self.answer_keep_alives();
    }
}
