//! Clocks that neither agree nor run equally fast.

use rserpool_engine::Timestamp;

/// The clock of one node: where it stood at the start, and how much faster or
/// slower than true time it runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    offset: u64,
    /// Parts of a million by which it is fast.
    drift: i64,
}

impl Clock {
    pub(crate) const fn new(offset: u64, drift: i64) -> Self {
        Self { offset, drift }
    }

    const fn local(self, time: u64) -> u64 {
        let gained = time.cast_signed() * self.drift / 1_000_000;
        (self.offset + time).saturating_add_signed(gained)
    }

    /// What it shows at a true time.
    pub(crate) const fn read(self, time: u64) -> Timestamp {
        Timestamp::from_micros(self.local(time))
    }

    /// The first true time from `now` on at which it shows `local` or later.
    pub(crate) fn when(self, now: u64, local: Timestamp) -> u64 {
        let local = local.as_micros();
        if local <= self.local(now) {
            return now;
        }
        // A drift is so small that this is off by little.
        let wait = u128::from(local - self.local(now)) * 1_000_000;
        let rate = u128::from(1_000_000_u64.saturating_add_signed(self.drift));
        let mut time = now.saturating_add(u64::try_from(wait / rate).unwrap_or(u64::MAX / 4));
        while time > now && self.local(time - 1) >= local {
            time -= 1;
        }
        while self.local(time) < local {
            time += 1;
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_at_the_first_moment_its_clock_shows_it() {
        for drift in [-20_000, -1, 0, 1, 20_000] {
            let clock = Clock::new(12_345, drift);
            for local in [12_345_u64, 12_346, 1_012_345, 601_234_567] {
                let time = clock.when(0, Timestamp::from_micros(local));
                assert!(clock.local(time) >= local);
                assert!(time == 0 || clock.local(time - 1) < local, "{drift} {local}");
            }
        }
    }
}
