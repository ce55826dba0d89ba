//! The end of a shard: it accepts no more, answers what came, waits for the
//! others that may need its answers, and closes all connections.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::super::connection::LINGER_STOP;
use super::super::executor::DRAIN;
use super::Reactor;
use crate::shard::Shard;

/// How far the stop is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody asked for it.
    #[default]
    No,
    /// Connections take their last answers, at most until then.
    Draining(Instant),
    /// Others still drain, at most until then.
    Waiting(Instant),
    /// All is answered or given up.
    Over,
}

impl Stop {
    pub(super) fn is_begun(self) -> bool {
        self != Self::No
    }

    pub(super) fn is_over(self) -> bool {
        self == Self::Over
    }
}

impl Reactor {
    pub(super) fn begin_stop(&mut self) {
        if self.stop.is_begun() {
            return;
        }
        let now = Instant::now();
        self.stop = Stop::Draining(now + DRAIN);
        // Closes them: nobody is accepted any more.
        self.listeners.clear();
        self.connections.hurry(now, LINGER_STOP);
        let at = self.now();
        let _logged = self.guarded(|reactor| Shard::drain(&mut reactor.shard, at));
        let _logged = self.turn(None);
    }

    /// Takes the next step of a stop when its time has come.
    pub(super) fn stop_on(&mut self, undrained: &AtomicU32) {
        let now = Instant::now();
        let open = self.connections.len() + self.carriers.associations();
        let empty = open == 0;
        match self.stop {
            Stop::Draining(deadline) if empty || now >= deadline => {
                if !empty {
                    let at = self.now();
                    let _logged = self.guarded(|reactor| Shard::abandon(&mut reactor.shard, at));
                    let _logged = self.turn(None);
                    self.carriers.abort_all(now);
                    self.work_carriers();
                }
                // Others may still need this shard's answers.
                undrained.fetch_sub(1, Ordering::AcqRel);
                self.stop = Stop::Waiting(deadline);
            }
            Stop::Waiting(deadline) => {
                let others = undrained.load(Ordering::Acquire) > 0 && now < deadline;
                if !others && (empty || now >= deadline + DRAIN) {
                    if !empty {
                        log::error!("shard {}: bug: {open} connections stay open", self.number.0);
                    }
                    self.stop = Stop::Over;
                }
            }
            Stop::No | Stop::Draining(_) | Stop::Over => {}
        }
    }
}
