//! Slices of work. While any task can run, glommio 0.9 polls no socket, timer
//! or descriptor until its preemption timer fires (100 ms, and smaller values
//! make it park for good). So a shard that worked for [`SLICE`] lets its
//! connections wait for a real timer of [`PAUSE`]: then nothing can run, and
//! the executor looks at all of them.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use glommio::{executor, timer};

use super::bell::Bell;

/// How long connections are served in one go.
const SLICE: Duration = Duration::from_micros(200);
/// The shortest timer that makes glommio look at its rings.
const PAUSE: Duration = Duration::from_micros(20);

/// Where something stands that has work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// It did not have to wait.
    #[default]
    Anywhere,
    /// In the queue.
    Queued,
    /// At the head of the queue: it may work.
    Called,
}

/// Something that has work.
pub(super) trait Waiter {
    fn place(&self) -> &Cell<Place>;
    fn wake(&self);
}

/// The slices of one shard.
#[derive(Debug)]
pub(super) struct Pace<W> {
    started: Cell<Instant>,
    closed: Cell<bool>,
    waiting: RefCell<VecDeque<Rc<W>>>,
    bell: Bell,
}

impl<W: Waiter> Pace<W> {
    pub(super) fn new() -> Self {
        Self {
            started: Cell::new(Instant::now()),
            closed: Cell::new(false),
            waiting: RefCell::new(VecDeque::new()),
            bell: Bell::default(),
        }
    }

    /// A task begins to run. If the executor has looked at its rings since
    /// the last one, so does a slice.
    pub(super) fn begin(&self) {
        // Counted anew by each call; one pass over the tasks follows a look.
        if executor().executor_stats().scheduler_runs() > 0 {
            self.started.set(Instant::now());
        }
    }

    /// Whether this one may do a piece of work now. If not, it is woken when
    /// it may: nobody overtakes who waits.
    pub(super) fn admits(&self, waiter: &Rc<W>) -> bool {
        let open = !self.closed.get() && !self.is_over();
        let place = waiter.place().get();
        let first = match place {
            Place::Anywhere => self.waiting.borrow().is_empty(),
            Place::Queued => false,
            Place::Called => true,
        };
        if open && first {
            waiter.place().set(Place::Anywhere);
            return true;
        }
        if place != Place::Queued {
            waiter.place().set(Place::Queued);
            let mut waiting = self.waiting.borrow_mut();
            if place == Place::Called {
                waiting.push_front(Rc::clone(waiter));
            } else {
                waiting.push_back(Rc::clone(waiter));
            }
        }
        if !open {
            self.closed.set(true);
        }
        self.bell.ring();
        false
    }

    /// Some work is done.
    pub(super) fn done(&self) {
        if !self.closed.get() && !self.is_over() {
            self.let_in();
        }
    }

    /// Waits for the rings to be looked at if the slice is over: for tasks
    /// that are not connections and need not stand in their queue.
    pub(super) async fn breathe(&self) {
        if self.is_over() {
            timer::sleep(PAUSE).await;
        }
        self.begin();
    }

    /// Opens slice after slice while somebody waits; runs until dropped.
    pub(super) async fn run(&self) {
        loop {
            self.bell.rung().await;
            while self.closed.get() || !self.waiting.borrow().is_empty() {
                timer::sleep(PAUSE).await;
                self.begin();
                self.closed.set(false);
                self.let_in();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.started.get().elapsed() > SLICE
    }

    /// Calls the next one. It lets in another when it is done; where that
    /// fails, the next slice begins with another.
    fn let_in(&self) {
        let next = self.waiting.borrow_mut().pop_front();
        if let Some(waiter) = next {
            waiter.place().set(Place::Called);
            waiter.wake();
        }
    }
}
