//! What the tasks of one executor share: the shard, its connections, and the
//! way of every submission to the task that carries it out.

use core::cell::{Cell, RefCell};
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::any::Any;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rserpool_engine::{ShardId, Timestamp};

use super::bell::Bell;
use super::connection::Connection;
use super::mesh::Inbox;
use super::pace::Pace;
use super::sctp::Sctp;
use crate::shard::Shard;
use crate::stats::ShardStats;
use crate::turn::{Completion, LinkId, Submission};

/// One read takes at most this many bytes.
const SCRATCH_BYTES: usize = 64 << 10;

/// Serving failed inside the registrar; it is logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panicked;

/// One executor's part of the host.
pub(super) struct Host {
    pub(super) number: ShardId,
    /// Every shard's inbox, in order, this one's included.
    pub(super) inboxes: Vec<Arc<Inbox>>,
    pub(super) scratch: RefCell<Box<[u8]>>,
    pub(super) pace: Pace<Connection>,
    /// The links that carry SCTP associations.
    pub(super) carriers: Vec<Rc<Sctp>>,
    /// For the task that sends batches to other shards.
    pub(super) postman: Bell,
    /// For the task that waits for deadlines.
    pub(super) clock: Bell,
    /// When that task wakes by itself.
    pub(super) wakes_at: Cell<Timestamp>,
    /// The registrar stops: accept nothing.
    pub(super) stopping: Cell<bool>,
    /// All is answered or given up: every task ends.
    pub(super) over: Cell<bool>,
    /// For the task that stops the shard.
    pub(super) stop: Bell,
    shard: RefCell<Shard>,
    connections: RefCell<Vec<Option<Rc<Connection>>>>,
    /// Tasks that serve a connection.
    serving: Cell<usize>,
    submissions: RefCell<Vec<Submission>>,
    mesh_due: RefCell<Vec<ShardId>>,
    epoch: Instant,
    panics: Cell<u64>,
}

impl Host {
    pub(super) fn new(
        number: ShardId,
        shard: Shard,
        inboxes: Vec<Arc<Inbox>>,
        carriers: Vec<Rc<Sctp>>,
        epoch: Instant,
    ) -> Self {
        Self {
            number,
            inboxes,
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            pace: Pace::new(),
            carriers,
            postman: Bell::default(),
            clock: Bell::default(),
            wakes_at: Cell::new(Timestamp::MAX),
            stopping: Cell::new(false),
            over: Cell::new(false),
            stop: Bell::default(),
            shard: RefCell::new(shard),
            connections: RefCell::new(Vec::new()),
            serving: Cell::new(0),
            submissions: RefCell::new(Vec::new()),
            mesh_due: RefCell::new(Vec::new()),
            epoch,
            panics: Cell::new(0),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let micros = u64::try_from(self.epoch.elapsed().as_micros());
        Timestamp::from_micros(micros.unwrap_or(u64::MAX))
    }

    /// This shard's inbox.
    pub(super) fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inboxes.get(usize::from(self.number.0))
    }

    /// A turn of the shard. A panic in it is logged and stays here: whoever
    /// asked for the turn decides what it ends.
    #[expect(single_use_lifetimes, reason = "`impl Trait<'_>` is not stable")]
    pub(super) fn turn<'a>(
        &self,
        completions: impl IntoIterator<Item = Completion<'a>>,
    ) -> Result<(), Panicked> {
        self.guarded(|| {
            let now = self.now();
            let mut submissions = self.submissions.take();
            let mut shard = self.shard.borrow_mut();
            let more = shard.turn(now, completions, &mut submissions);
            let next = if more { Some(now) } else { shard.next_timeout() };
            drop(shard);
            self.carry_out(now, submissions, next);
        })
    }

    /// A turn of the shard with what a link of SCTP associations told.
    pub(super) fn turn_carrier(&self, sctp: &Sctp) -> Result<(), Panicked> {
        self.guarded(|| {
            let now = self.now();
            let mut submissions = self.submissions.take();
            let mut shard = self.shard.borrow_mut();
            let mut carrier = sctp.carrier.borrow_mut();
            let turned = carrier.turn(now, self.instant(now), &mut shard, &mut submissions);
            let next = if turned.more { Some(now) } else { shard.next_timeout() };
            drop((shard, carrier));
            self.carry_out(now, submissions, next);
        })
    }

    /// Carries out what a turn submitted; the next one is due at `next`.
    fn carry_out(&self, now: Timestamp, mut submissions: Vec<Submission>, next: Option<Timestamp>) {
        for submission in submissions.drain(..) {
            self.submit(now, submission);
        }
        self.submissions.replace(submissions);
        if let Some(next) = next.filter(|&next| next < self.wakes_at.get()) {
            self.wakes_at.set(next);
            self.clock.ring();
        }
    }

    /// The moment a time of the shard is.
    fn instant(&self, now: Timestamp) -> Instant {
        self.epoch + Duration::from_micros(now.as_micros())
    }

    /// Runs something on the shard. A turn has to follow.
    pub(super) fn with_shard<T>(
        &self,
        call: impl FnOnce(&mut Shard, Timestamp) -> T,
    ) -> Result<T, Panicked> {
        let now = self.now();
        self.guarded(|| call(&mut self.shard.borrow_mut(), now))
    }

    /// Keeps a panic from the executor, which would end with all connections.
    pub(super) fn guarded<T>(&self, work: impl FnOnce() -> T) -> Result<T, Panicked> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            self.panics.set(self.panics.get() + 1);
            log::error!("shard {}: bug: {}", self.number.0, message(&*panic));
            Panicked
        })
    }

    fn submit(&self, now: Timestamp, submission: Submission) {
        let mut left = Some(submission);
        for sctp in &self.carriers {
            let Some(submission) = left.take() else { return };
            left = sctp.carrier.borrow_mut().submit(self.instant(now), submission);
            if left.is_none() && !sctp.working.get() {
                sctp.bell.ring();
            }
        }
        let Some(submission) = left else { return };
        match submission {
            Submission::Send(id, bytes) => {
                self.with_connection(id, |connection| connection.write(bytes));
            }
            // The shard was told that nothing can be called.
            Submission::Connect(..) => {}
            Submission::Pause(id) => self.with_connection(id, Connection::pause),
            Submission::Resume(id) => self.with_connection(id, Connection::resume),
            Submission::Close(id, reason) => {
                self.with_connection(id, |connection| connection.close(reason));
                self.remove(id);
            }
            Submission::Mesh(to) => {
                self.mesh_due.borrow_mut().push(to);
                self.postman.ring();
            }
        }
    }

    fn with_connection(&self, id: LinkId, act: impl FnOnce(&Connection)) {
        let connections = self.connections.borrow();
        let found = connections.get(id.index as usize).and_then(Option::as_ref);
        if let Some(connection) = found.filter(|connection| connection.id() == id) {
            act(connection);
        }
    }

    pub(super) fn add(&self, connection: &Rc<Connection>) {
        let mut connections = self.connections.borrow_mut();
        let slot = connection.id().index as usize;
        if connections.len() <= slot {
            connections.resize(slot + 1, None);
        }
        if let Some(entry) = connections.get_mut(slot) {
            *entry = Some(Rc::clone(connection));
        }
        self.serving.set(self.serving.get() + 1);
    }

    fn remove(&self, id: LinkId) {
        if let Some(entry) = self.connections.borrow_mut().get_mut(id.index as usize)
            && entry.as_ref().is_some_and(|connection| connection.id() == id)
        {
            *entry = None;
        }
    }

    /// A connection's task ends.
    pub(super) fn served(&self, id: LinkId) {
        self.remove(id);
        self.serving.set(self.serving.get() - 1);
        if self.serving.get() == 0 && self.stopping.get() {
            self.stop.ring();
        }
    }

    /// Connections whose tasks run, and associations.
    pub(super) fn serving(&self) -> usize {
        let associations = self.carriers.iter().map(|sctp| sctp.carrier.borrow().associations());
        self.serving.get() + associations.sum::<usize>()
    }

    /// Ends all associations that are left.
    pub(super) fn abort_associations(&self) {
        let at = self.instant(self.now());
        for sctp in &self.carriers {
            // A panic is logged, and an error comes again with the next poll.
            let _logged = self.guarded(|| {
                let mut carrier = sctp.carrier.borrow_mut();
                carrier.abort_all(at);
                carrier.flush(at)
            });
        }
    }

    /// The shards there are batches for.
    pub(super) fn take_mesh_due(&self) -> Vec<ShardId> {
        self.mesh_due.take()
    }

    /// These are still to be sent.
    pub(super) fn keep_mesh_due(&self, shards: Vec<ShardId>) {
        self.mesh_due.borrow_mut().extend(shards);
    }

    pub(super) fn stats(&self) -> ShardStats {
        ShardStats::of(&self.shard.borrow(), self.panics.get())
    }
}

/// The text of a panic.
pub(super) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
