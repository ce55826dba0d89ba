//! What both hosts of a shard do: they give it what happened on its sockets,
//! carry out what it submits, pass batches between shards, and stop. The only
//! thing that waits is [`Sockets::wait`], or the host instead of it.
//!
//! A cycle after a wait: all that happened goes to the shard in turns, each
//! turn's submissions are carried out together; then the batches of other
//! shards, then what is due. Every part of a cycle is bounded.

mod carriers;
mod stop;
#[cfg(test)]
mod tests;

use core::cell::Cell;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use rserpool_engine::{ShardId, Timestamp, TransportKind};
use rserpool_proto::registrar::Peer;

use super::ShardPlan;
use super::mesh::{Control, Inbox, Migrant};
use super::sockets::{Event, Sockets, log_sometimes};
use crate::sctp::Endpoint;
use crate::shard::{Departure, Shard};
use crate::stats::ShardStats;
use crate::turn::{Completion, LinkId, Submission};
use carriers::Carriers;
use stop::Stop;

/// Events taken in one cycle,
const EVENTS_A_CYCLE: usize = 256;
/// unless they bring more bytes than this.
const BYTES_A_CYCLE: usize = 64 << 10;
/// Batches of one other shard taken in one cycle.
const BATCHES_A_CYCLE: usize = 8;
/// Until there is room in another shard's inbox, or the others have drained.
const RETRY: Duration = Duration::from_millis(1);

/// Serving failed inside the registrar; it is logged.
#[derive(Clone, Copy, Debug)]
struct Panicked;

/// One shard and everything that happens to it.
pub(super) struct Reactor<S> {
    pub(super) sockets: S,
    number: ShardId,
    shard: Shard,
    /// Every shard's inbox, in order, this one's included.
    inboxes: Vec<Arc<Inbox>>,
    carriers: Carriers,
    submissions: Vec<Submission>,
    mesh_due: Vec<ShardId>,
    /// The shard has more to do without any completion.
    more: bool,
    /// A batch found no room, or the end of others is waited for.
    retry: bool,
    /// A batch came or went in the last cycle: more may be on its way.
    meshing: bool,
    stop: Stop,
    undrained: Arc<AtomicU32>,
    epoch: Instant,
    /// When this cycle began. The clock is read once a cycle: where that is a
    /// system call, reading it at each step cost as much as the messages.
    at: Instant,
    panics: u64,
    logged: Cell<Option<Instant>>,
}

impl<S: Sockets> Reactor<S> {
    pub(super) fn new(
        plan: &ShardPlan,
        endpoints: Vec<Endpoint>,
        mut sockets: S,
    ) -> io::Result<Self> {
        if let Some(inbox) = plan.inboxes.get(usize::from(plan.number.0)) {
            sockets.watch_inbox(inbox.descriptor())?;
        }
        Ok(Self {
            number: plan.number,
            shard: Shard::new(plan.shard.clone()),
            inboxes: plan.inboxes.clone(),
            carriers: Carriers::open(endpoints, &mut sockets)?,
            sockets,
            submissions: Vec::new(),
            mesh_due: Vec::new(),
            more: false,
            retry: false,
            meshing: false,
            stop: Stop::default(),
            undrained: Arc::clone(&plan.undrained),
            epoch: plan.epoch,
            at: Instant::now(),
            panics: 0,
            logged: Cell::new(None),
        })
    }

    /// Whether something happened already, as far as a look without a wait
    /// tells; [`Reactor::work`] has to follow. While batches go to and fro:
    /// shards that only look are not woken by each other, and most looks find
    /// something then. Otherwise a look is one system call too many.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        Ok(self.meshing && self.sockets.look()?)
    }

    /// How long to wait now, or longer by what the last cycle took.
    /// [`Reactor::work`] has to follow the wait.
    pub(super) fn patience(&self) -> Option<Duration> {
        if self.more || !self.inbox().is_none_or(|inbox| inbox.fall_asleep()) {
            return Some(Duration::ZERO);
        }
        let now = self.at;
        let deadline = self.shard.next_timeout().map(|at| self.instant(at).max(now + RETRY));
        let sockets = self.sockets.due(now);
        let carriers = self.carriers.due_at(now);
        let retry = (self.retry || self.stop.is_begun()).then(|| now + RETRY);
        let due = [deadline, sockets, carriers, retry].into_iter().flatten().min();
        due.map(|due| due.saturating_duration_since(now))
    }

    /// A cycle: does what there is to do after a wait.
    pub(super) fn work(&mut self) {
        if let Some(inbox) = self.inbox() {
            inbox.awake();
        }
        self.at = Instant::now();
        self.retry = false;
        self.meshing = false;
        self.serve();
        self.hear();
        let at = self.at;
        self.sockets.tend(at);
        if self.more || self.shard.next_timeout().is_some_and(|next| self.instant(next) <= at) {
            // A panic is logged; the next turn is due when something happens.
            let _logged = self.turn(None);
        }
        // After all that may have something to send.
        self.work_carriers();
        self.send_batches();
        self.stop_on();
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.is_over()
    }

    pub(super) fn stats(&self) -> ShardStats {
        ShardStats::of(&self.shard, self.panics)
    }

    fn now(&self) -> Timestamp {
        let since = self.at.saturating_duration_since(self.epoch);
        let micros = u64::try_from(since.as_micros());
        Timestamp::from_micros(micros.unwrap_or(u64::MAX))
    }

    /// The moment a time of the shard is.
    fn instant(&self, at: Timestamp) -> Instant {
        self.epoch + Duration::from_micros(at.as_micros().min(u64::MAX / 4))
    }

    /// This shard's inbox.
    fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inboxes.get(usize::from(self.number.0))
    }

    /// Gives the shard what happened, and carries out what it wants for all of
    /// it together. What is written at once is heard of at once.
    fn serve(&mut self) {
        let (mut events, mut bytes) = (0, 0);
        while events < EVENTS_A_CYCLE
            && bytes < BYTES_A_CYCLE
            && let Some(first) = self.sockets.next()
        {
            let now = self.now();
            let _logged = self.guarded(|reactor| reactor.shard.begin(now));
            let mut next = Some(first);
            while let Some(event) = next {
                events += 1;
                bytes += match &event {
                    Event::Received(_, received) | Event::Message(_, received) => received.length,
                    Event::Accepted(..)
                    | Event::Sent(..)
                    | Event::Ended(_)
                    | Event::Failed(_)
                    | Event::Detached(..)
                    | Event::Inbox
                    | Event::Carrier(_) => 0,
                };
                self.take(now, event);
                let more = events < EVENTS_A_CYCLE && bytes < BYTES_A_CYCLE;
                next = if more { self.sockets.next() } else { None };
            }
            // A panic is logged; the next turn is due when something happens.
            let _logged = self.finish(now);
        }
    }

    /// Within a turn: something happened.
    fn take(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Received(link, received) => {
                let taken = self.guarded(|reactor| {
                    let bytes = reactor.sockets.bytes(&received);
                    reactor.shard.complete(now, Completion::Received(link, bytes));
                });
                self.sockets.give_back(received);
                self.fail_if(now, link, taken);
            }
            Event::Sent(link, buffer) => {
                let taken = self.complete(now, Completion::Sent(link, buffer));
                self.fail_if(now, link, taken);
            }
            Event::Ended(link) => {
                let taken = self.complete(now, Completion::Ended(link));
                self.fail_if(now, link, taken);
            }
            Event::Failed(link) => {
                // If this panics, it is logged; the connection is over.
                let _logged = self.complete(now, Completion::Failed(link));
            }
            Event::Accepted(stream, peer) => self.admit(now, stream, peer),
            Event::Detached(link, stream) => self.pass_on(now, link, stream),
            // Every cycle hears what the others say.
            Event::Inbox => {}
            Event::Carrier(number) => self.carriers.ready(number),
            Event::Message(number, received) => {
                let at = self.at;
                // If this panics, it is logged; the message is lost.
                let _logged = self.guarded(|reactor| {
                    if let Some(message) = reactor.sockets.message(&received) {
                        reactor.carriers.take(at, number, &message);
                    }
                });
                self.sockets.give_back(received);
            }
        }
    }

    fn complete(&mut self, now: Timestamp, completion: Completion<'_>) -> Result<(), Panicked> {
        self.guarded(|reactor| reactor.shard.complete(now, completion))
    }

    /// A connection is over if serving it panicked.
    fn fail_if(&mut self, now: Timestamp, link: LinkId, taken: Result<(), Panicked>) {
        if let Err(Panicked) = taken {
            self.fail(now, link);
        }
    }

    fn fail(&mut self, now: Timestamp, link: LinkId) {
        self.sockets.remove(link);
        // If this panics as well, it is logged; the connection is over.
        let _logged = self.complete(now, Completion::Failed(link));
    }

    fn admit(&mut self, now: Timestamp, stream: TcpStream, peer: SocketAddr) {
        let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let peer = Peer { address, transport: TransportKind::Tcp };
        let Ok(admitted) = self.guarded(|reactor| reactor.shard.accept(now, peer)) else { return };
        // Closes what made room, before the new one gets its place.
        let _logged = self.finish(now);
        let _logged = self.guarded(|reactor| reactor.shard.begin(now));
        let Some(link) = admitted else {
            return log_sometimes(&self.logged, || {
                log::warn!("no room for more connections, tcp://{address} refused");
            });
        };
        self.watch(now, link, stream);
    }

    fn watch(&mut self, now: Timestamp, link: LinkId, stream: TcpStream) {
        if let Err(error) = self.sockets.add(link, stream) {
            log::warn!("cannot watch a connection: {error}");
            self.fail(now, link);
        }
    }

    /// A connection goes to the shard of its pools.
    fn pass_on(&mut self, now: Timestamp, link: LinkId, stream: TcpStream) {
        let departed = self.guarded(|reactor| reactor.shard.depart(now, link));
        if let Ok(Some(Departure { to, peer, bytes })) = departed
            && let Some(inbox) = self.inboxes.get(usize::from(to.0))
        {
            inbox.tell(Control::Adopt(Box::new(Migrant { stream, peer, bytes })));
        }
    }

    /// Takes a connection of another shard.
    fn adopt(&mut self, migrant: Migrant) {
        let Migrant { stream, peer, bytes } = migrant;
        let now = self.now();
        let admitted = self.guarded(|reactor| {
            reactor.shard.begin(now);
            reactor.shard.adopt(now, peer, bytes)
        });
        // Closes what made room, before this one gets its place.
        let _logged = self.finish(now);
        let Ok(Some(link)) = admitted else {
            return log_sometimes(&self.logged, || {
                log::warn!("no room for more connections, tcp://{} refused", peer.address);
            });
        };
        self.watch(now, link, stream);
        // What came with it is fed now. A panic is logged.
        let _logged = self.turn(None);
    }

    /// A turn of the shard, and what it submits. A panic in it is logged and
    /// stays here: whoever asked for the turn decides what it ends.
    fn turn(&mut self, completion: Option<Completion<'_>>) -> Result<(), Panicked> {
        let now = self.now();
        let begun = self.guarded(|reactor| {
            reactor.shard.begin(now);
            if let Some(completion) = completion {
                reactor.shard.complete(now, completion);
            }
        });
        let finished = self.finish(now);
        begun.and(finished)
    }

    /// The end of a turn.
    fn finish(&mut self, now: Timestamp) -> Result<(), Panicked> {
        let mut submissions = core::mem::take(&mut self.submissions);
        let finished = self.guarded(|reactor| {
            reactor.more = reactor.shard.finish(now, &mut submissions);
        });
        self.carry_out(now, submissions);
        finished
    }

    fn carry_out(&mut self, now: Timestamp, mut submissions: Vec<Submission>) {
        for submission in submissions.drain(..) {
            let submission = if self.carriers.is_empty() {
                submission
            } else {
                let at = self.instant(now);
                let Some(submission) = self.carriers.submit(at, submission) else { continue };
                submission
            };
            match submission {
                Submission::Mesh(to) => self.mesh_due.push(to),
                Submission::Send(link, bytes) => self.sockets.send(link, bytes),
                // The shard was told that nothing can be called.
                Submission::Connect(..) => {}
                Submission::Pause(link) => self.sockets.pause(link),
                Submission::Resume(link) => self.sockets.resume(link),
                Submission::Leave(link) => self.sockets.detach(link),
                Submission::Close(link, reason) => self.sockets.close(link, reason),
            }
        }
        self.submissions = submissions;
    }

    /// Keeps a panic from the thread, which would end with all connections.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, Panicked> {
        catch_unwind(AssertUnwindSafe(|| work(self))).map_err(|panic| {
            self.panics += 1;
            log::error!("shard {}: bug: {}", self.number.0, message(&*panic));
            Panicked
        })
    }

    /// What the other shards and the registrar say.
    fn hear(&mut self) {
        let Some(inbox) = self.inbox().map(Arc::clone) else { return };
        for control in inbox.told() {
            match control {
                // Nobody waits for the answer any more if it cannot be sent.
                Control::Stats(answer) => drop(answer.send(self.stats())),
                // A panic is logged, and nobody gets an answer.
                Control::Look(look) => drop(self.guarded(|reactor| look(&reactor.shard))),
                Control::Group(event) => {
                    let now = self.now();
                    // A panic is logged; the other side finds out by silence.
                    let heard = self.guarded(|reactor| reactor.shard.hear_group(now, event));
                    let _logged = heard.and_then(|()| self.turn(None));
                }
                Control::Adopt(migrant) => self.adopt(*migrant),
                Control::Stop => self.begin_stop(),
            }
        }
        for from in (0..).map(ShardId).take(self.inboxes.len()) {
            for _ in 0..BATCHES_A_CYCLE {
                let Some(batch) = inbox.receive(from) else { break };
                self.meshing = true;
                // A panic is logged; what the batch asked for stays unanswered.
                let _logged = self.turn(Some(Completion::Mesh(from, &batch)));
                inbox.recycle(from, batch);
            }
        }
    }

    /// Sends the batches for other shards: what all connections of a cycle
    /// have for another shard leaves in one.
    fn send_batches(&mut self) {
        if self.mesh_due.is_empty() {
            return;
        }
        let mut due = core::mem::take(&mut self.mesh_due);
        for to in due.drain(..) {
            let Some(inbox) = self.inboxes.get(usize::from(to.0)).map(Arc::clone) else { continue };
            if !inbox.has_room(self.number) {
                self.mesh_due.push(to);
                self.retry = true;
                continue;
            }
            let mut batch = inbox.empty(self.number);
            let taken = self.guarded(|reactor| reactor.shard.take_mesh(to, &mut batch));
            if taken.is_ok() && !batch.is_empty() {
                self.meshing = true;
                inbox.send(self.number, batch);
            }
        }
        if self.mesh_due.is_empty() {
            // Nobody has to wait: keep the capacity.
            self.mesh_due = due;
        }
        // Connections that waited for room toward a shard go on.
        let _logged = self.turn(None);
    }
}

/// The text of a panic.
pub(super) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
