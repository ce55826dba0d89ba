//! The end of a shard: it accepts no more, answers what came, waits for the
//! others that may need its answers, and closes all connections.

use core::time::Duration;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Reactor;
use crate::rt::sockets::Sockets;
use crate::shard::Shard;

/// How long the connections have to take their last answers at a stop.
const DRAIN: Duration = Duration::from_secs(1);

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

impl<S: Sockets> Reactor<S> {
    pub(super) fn begin_stop(&mut self) {
        if self.stop.is_begun() {
            return;
        }
        let now = Instant::now();
        self.stop = Stop::Draining(now + DRAIN);
        self.sockets.stop(now);
        let at = self.now();
        let _logged = self.guarded(|reactor| Shard::drain(&mut reactor.shard, at));
        let _logged = self.turn(None);
    }

    /// Takes the next step of a stop when its time has come.
    pub(super) fn stop_on(&mut self) {
        if !self.stop.is_begun() {
            return;
        }
        let now = Instant::now();
        let open = self.sockets.len() + self.carriers.associations();
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
                self.undrained.fetch_sub(1, Ordering::AcqRel);
                self.stop = Stop::Waiting(deadline);
            }
            Stop::Waiting(deadline) => {
                let others = self.undrained.load(Ordering::Acquire) > 0 && now < deadline;
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
