//! Keep-alives, reports, expiry and takeover.

use std::time::Duration;

use rserpool_engine::RegistrationLife;

use super::{Due, ElementKey, KEEP_ALIVE_INTERVAL, Space};
use crate::measure::Measured;
use crate::population::OTHER;
use crate::random::Random;

/// The time of one turn of the timing wheel's first level: 4,096 buckets of
/// 2,048 microseconds.
const WHEEL_TURN: Duration = Duration::from_micros(4096 * 2048);

/// Elements taken over at a time.
const TAKEOVER_BATCH: usize = 256;

impl Space {
    /// How many elements one window has.
    fn window_size(&self) -> usize {
        (self.order.len() / 4).clamp(1, super::CHUNK as usize)
    }

    /// Lets time pass until so many keep-alives were asked for, and answers
    /// none of them.
    fn due_keep_alives(&mut self, count: usize) -> Vec<ElementKey> {
        let mut keys = Vec::with_capacity(count);
        while keys.len() < count {
            match self.next_due() {
                Some(Due::KeepAlive(key)) => keys.push(key),
                Some(due) => panic!("nothing but keep-alives is due: {due:?}"),
                None => self.pass(self.time_of_due(count)),
            }
        }
        keys
    }

    /// The time in which about so many keep-alives become due.
    fn time_of_due(&self, count: usize) -> Duration {
        let share = count as f64 / self.order.len() as f64;
        KEEP_ALIVE_INTERVAL.mul_f64(share) + Duration::from_millis(1)
    }

    /// Elements acknowledge a keep-alive in random order.
    pub(super) fn timer_rearm(&mut self, measured: &mut Measured) {
        let mut keys = self.due_keep_alives(self.window_size());
        shuffle(&mut keys, &mut self.random);
        let before = measured.sum;
        measured.time(keys.len() as u64, || {
            let acked =
                keys.iter().filter(|&&key| self.handlespace.keep_alive_acked(self.now, key));
            acked.count() as u64
        });
        assert_eq!(measured.sum - before, keys.len() as u64, "every element is there");
    }

    /// The whole of a keep-alive: it becomes due, and the element answers. For
    /// a turn of the timing wheel, so that its share of what happens once a
    /// turn is in every measurement.
    pub(super) fn keep_alive_step(&mut self, measured: &mut Measured) {
        self.answer_keep_alives();
        let step = self.time_of_due(self.window_size());
        let mut passed = Duration::ZERO;
        while passed < WHEEL_TURN {
            self.pass(step);
            passed += step;
            let mut answered = 0;
            measured.time(0, || {
                while let Some(Due::KeepAlive(key)) = self.next_due() {
                    answered += u64::from(self.handlespace.keep_alive_acked(self.now, key));
                }
                answered
            });
            measured.calls += answered;
        }
    }

    /// Reports elements unreachable, not often enough to remove them.
    pub(super) fn report_unreachable(&mut self, measured: &mut Measured) {
        let window = self.window();
        let names = self.names(&window);
        let before = measured.sum;
        measured.time(names.len() as u64, || {
            let mut counted = 0;
            for name in &names {
                if let Some(key) = self.handlespace.find(name.handle.get(), name.pe) {
                    counted += u64::from(self.handlespace.report_unreachable(key).is_some());
                }
            }
            counted
        });
        assert_eq!(measured.sum - before, names.len() as u64, "every report counts");
        self.restore(&window);
    }

    /// Elements whose registration life ends are found and removed.
    pub(super) fn expiry(&mut self, measured: &mut Measured) {
        self.answer_keep_alives();
        let window = self.window();
        for &element in &window {
            let mut prepared = self.prepare(element);
            prepared.life = RegistrationLife::For(Duration::from_millis(1));
            let registered = self.handlespace.register(self.now, &prepared.registration());
            assert!(registered.is_ok(), "the element was registered before");
        }
        self.now = self.now.after(Duration::from_millis(2));
        let mut expired = 0;
        measured.time(0, || {
            while let Some(due) = self.next_due() {
                match due {
                    Due::Expired(key) => expired += u64::from(self.handlespace.remove(key)),
                    Due::KeepAlive(key) => {
                        self.handlespace.keep_alive_acked(self.now, key);
                    }
                    Due::Silent(_) => {}
                }
            }
            expired
        });
        assert_eq!(expired, window.len() as u64, "every element expires in time");
        measured.calls += expired;
        self.restore(&window);
    }

    /// Elements of another registrar are taken over in bounded batches.
    pub(super) fn take_over(&mut self, measured: &mut Measured) {
        let window = self.window();
        for &element in &window {
            assert!(self.handlespace.set_home(self.now, self.keys[element as usize], OTHER));
        }
        let mut taken = 0;
        measured.time(window.len() as u64, || {
            loop {
                let batch = self.handlespace.take_over(self.now, OTHER, TAKEOVER_BATCH);
                taken += batch as u64;
                if batch < TAKEOVER_BATCH {
                    return taken;
                }
            }
        });
        assert_eq!(taken, window.len() as u64, "every element is taken over");
        self.answer_keep_alives();
    }
}

fn shuffle(keys: &mut [ElementKey], random: &mut Random) {
    for last in (1..keys.len()).rev() {
        let other = random.below_wide(last as u64 + 1);
        keys.swap(last, usize::try_from(other).unwrap_or(0));
    }
}
