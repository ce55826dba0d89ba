//! Wakes every executor from outside. glommio 0.9 may park a thread although
//! it has tasks that can run: `run_task_queues` takes an expired preemption
//! timer or a stale event for "nothing to do". A task of the executor cannot
//! help, it may be the one that is stuck; a wake from another thread does. It
//! may park again before it ran any task, so it is woken until one has run.

use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::{Poll, Waker};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// How long an executor can be parked wrongly.
const PERIOD: Duration = Duration::from_millis(25);
/// Periods without a beat after which a shard is reported.
const SILENCE: u32 = 80;

/// Wakes that one beat may leave unanswered. Each is held by the executor until
/// it runs, in a count of 16 bits.
const UNANSWERED_MAX: u32 = 8_000;

/// The sign of life of one executor.
#[derive(Debug, Default)]
pub(crate) struct Heart {
    state: Mutex<State>,
    beats: AtomicU64,
    cycles: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waker: Option<Waker>,
    unanswered: u32,
    stopped: bool,
}

impl Heart {
    /// Runs on the executor until [`Heart::stop`].
    pub(super) async fn beat(&self) {
        poll_fn(|cx| {
            self.beats.fetch_add(1, Ordering::Relaxed);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.stopped {
                return Poll::Ready(());
            }
            state.unanswered = 0;
            if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                state.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// The shard begins a cycle, and need not be woken.
    pub(super) fn count(&self) {
        self.cycles.fetch_add(1, Ordering::Relaxed);
    }

    /// No wake from outside reaches the executor after this.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn wake(&self) {
        // Under the lock: the executor is there until `stop` had it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unanswered < UNANSWERED_MAX
            && let Some(waker) = &state.waker
        {
            waker.wake_by_ref();
            state.unanswered += 1;
        }
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }
}

/// The thread that wakes the executors; ends when dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to wake these executors.
    pub(crate) fn start(hearts: Vec<Arc<Heart>>) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = thread::Builder::new()
            .name("rserpool-watchdog".to_owned())
            .spawn(move || watch(&hearts, &seen))?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that panics, and there is nobody to tell.
            drop(thread.join());
        }
    }
}

fn watch(hearts: &[Arc<Heart>], over: &AtomicBool) {
    let mut last = vec![Seen::default(); hearts.len()];
    while !over.load(Ordering::Relaxed) {
        thread::park_timeout(PERIOD);
        for (shard, (heart, seen)) in hearts.iter().zip(&mut last).enumerate() {
            let cycles = heart.cycles.load(Ordering::Relaxed);
            let beats = heart.beats.load(Ordering::Relaxed);
            let silent = cycles == seen.cycles && beats == seen.beats && !heart.is_stopped();
            if cycles == seen.cycles {
                heart.wake();
            }
            *seen = Seen { cycles, beats, silent: if silent { seen.silent + 1 } else { 0 } };
            if seen.silent == SILENCE {
                log::warn!("shard {shard} has not run for {} s", (PERIOD * SILENCE).as_secs());
            }
        }
    }
}

/// What was seen of a shard in the last period.
#[derive(Clone, Copy, Default)]
struct Seen {
    cycles: u64,
    beats: u64,
    /// Periods in which nothing was.
    silent: u32,
}
