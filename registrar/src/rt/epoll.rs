//! The second host of a shard: a plain pinned thread on epoll, for where
//! io_uring is refused. It drives the same turn as the glommio host and needs
//! none of that one's rules: nothing here waits but in one call.
//!
//! A cycle: wait until a socket, another shard or a deadline wants something;
//! read each connection that has bytes once, give them to the shard, write
//! its answers at once; then the batches of other shards, then what is due.
//! Every part of a cycle is bounded.

mod carriers;
mod connections;
mod poller;
mod stop;
#[cfg(test)]
mod tests;

use core::cell::Cell;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::Instant;

use rserpool_engine::{ShardId, Timestamp, TransportKind};
use rserpool_proto::registrar::Peer;

use super::accept::{is_of_one_connection, log_sometimes};
use super::cpu::pin;
use super::executor::ShardPlan;
use super::host::{Panicked, message};
use super::mesh::{Control, Inbox};
use crate::sctp::Endpoint;
use crate::shard::Shard;
use crate::stats::ShardStats;
use crate::turn::{Completion, LinkId, Submission};
use carriers::Carriers;
use connections::{Connections, Moved};
use poller::{Poller, Ready};
use stop::Stop;

/// One read takes at most this many bytes.
const SCRATCH_BYTES: usize = 64 << 10;
/// Connections accepted from one listener in one cycle.
const ACCEPTS_A_CYCLE: usize = 64;
/// Batches of one other shard taken in one cycle.
const BATCHES_A_CYCLE: usize = 8;
/// The wait after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Until there is room in another shard's inbox, or the others have drained.
const RETRY: Duration = Duration::from_millis(1);

/// A shard's thread.
pub(super) type ShardThread = thread::JoinHandle<ShardStats>;

/// Starts a shard's thread.
pub(super) fn spawn(mut plan: ShardPlan) -> Result<ShardThread, String> {
    let endpoints = core::mem::take(&mut plan.endpoints);
    let run = move || -> ShardStats {
        let ShardPlan { ready, ended, cpu, .. } = &plan;
        // Told when this thread is at its end, however it comes to it.
        let _ended = ended;
        pin(*cpu, plan.number);
        let ready = ready.clone();
        match Reactor::new(&plan, endpoints) {
            Ok(mut reactor) => {
                // Nobody waits for it any more if the start was given up.
                let _given_up = ready.send(());
                reactor.run(&plan.undrained);
                reactor.stats()
            }
            Err(error) => {
                log::error!("shard {}: {error}", plan.number.0);
                ShardStats::default()
            }
        }
    };
    thread::Builder::new()
        .name("rserpool-shard".to_owned())
        .spawn(run)
        .map_err(|error| error.to_string())
}

struct Listener {
    socket: TcpListener,
    /// Accepting failed; again from here on.
    again: Option<Instant>,
}

/// One shard and everything that happens to it.
struct Reactor {
    number: ShardId,
    shard: Shard,
    /// Every shard's inbox, in order, this one's included.
    inboxes: Vec<Arc<Inbox>>,
    poller: Poller,
    listeners: Vec<Listener>,
    connections: Connections,
    carriers: Carriers,
    scratch: Box<[u8]>,
    submissions: Vec<Submission>,
    /// Written buffers and failures that the shard has not heard of.
    moved: Vec<Moved>,
    mesh_due: Vec<ShardId>,
    /// The shard has more to do without any completion.
    more: bool,
    /// A batch found no room, or the end of others is waited for.
    retry: bool,
    stop: Stop,
    epoch: Instant,
    panics: u64,
    logged: Cell<Option<Instant>>,
}

impl Reactor {
    fn new(plan: &ShardPlan, endpoints: Vec<Endpoint>) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut listeners = Vec::new();
        for (number, listener) in plan.listeners.iter().enumerate() {
            let socket = listener.try_clone()?;
            socket.set_nonblocking(true)?;
            poller.add_listener(&socket, number)?;
            listeners.push(Listener { socket, again: None });
        }
        if let Some(inbox) = plan.inboxes.get(usize::from(plan.number.0)) {
            poller.add_inbox(inbox.descriptor())?;
        }
        Ok(Self {
            number: plan.number,
            shard: Shard::new(plan.shard.clone()),
            inboxes: plan.inboxes.clone(),
            carriers: Carriers::open(endpoints, &poller)?,
            poller,
            listeners,
            connections: Connections::default(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            submissions: Vec::new(),
            moved: Vec::new(),
            mesh_due: Vec::new(),
            more: false,
            retry: false,
            stop: Stop::default(),
            epoch: plan.epoch,
            panics: 0,
            logged: Cell::new(None),
        })
    }

    fn run(&mut self, undrained: &AtomicU32) {
        while !self.stop.is_over() {
            if let Err(error) = self.cycle() {
                log::error!("shard {}: waiting for its sockets: {error}", self.number.0);
                thread::sleep(RETRY);
            }
            self.stop_on(undrained);
        }
    }

    fn cycle(&mut self) -> io::Result<()> {
        let asleep = self.inbox().is_none_or(|inbox| inbox.fall_asleep());
        let patience = if asleep { self.patience() } else { Some(Duration::ZERO) };
        self.poller.wait(patience)?;
        if let Some(inbox) = self.inbox() {
            inbox.awake();
        }
        self.retry = false;
        self.tell_moved();
        for at in 0..self.poller.len() {
            match self.poller.ready(at) {
                Ready::Listener(number) => self.accept(number),
                Ready::Inbox => self.inbox().map_or((), |inbox| inbox.hush()),
                Ready::Carrier(number) => self.carriers.ready(number),
                Ready::Connection { slot, readable, writable } => {
                    self.serve(slot, readable, writable);
                }
            }
        }
        self.accept_again();
        self.hear();
        if self.more || self.shard.next_timeout().is_some_and(|next| next <= self.now()) {
            // A panic is logged; the next turn is due when something happens.
            let _logged = self.turn(None);
        }
        // After all that may have something to send.
        self.work_carriers();
        self.send_batches();
        self.connections.end_lingering(Instant::now());
        Ok(())
    }

    /// How long to wait when nothing happens.
    fn patience(&self) -> Option<Duration> {
        if self.more || !self.moved.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let until = |at: Instant| at.saturating_duration_since(now);
        let deadline = self.shard.next_timeout().map(|at| {
            let at = self.epoch + Duration::from_micros(at.as_micros().min(u64::MAX / 4));
            until(at).max(RETRY)
        });
        let again = self.listeners.iter().filter_map(|listener| listener.again).min().map(until);
        let lingering = self.connections.lingers_until().map(|at| until(at).max(RETRY));
        let carriers = self
            .carriers
            .due_at(now)
            .map(|at| if at > now { until(at).max(RETRY) } else { Duration::ZERO });
        let retry = (self.retry || self.stop.is_begun()).then_some(RETRY);
        [deadline, again, lingering, carriers, retry].into_iter().flatten().min()
    }

    fn now(&self) -> Timestamp {
        let micros = u64::try_from(self.epoch.elapsed().as_micros());
        Timestamp::from_micros(micros.unwrap_or(u64::MAX))
    }

    /// This shard's inbox.
    fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inboxes.get(usize::from(self.number.0))
    }

    /// A turn of the shard, and what it submits. A panic in it is logged and
    /// stays here: whoever asked for the turn decides what it ends.
    fn turn(&mut self, completion: Option<Completion<'_>>) -> Result<(), Panicked> {
        let turned = self.turn_once(completion);
        // What was written at once may let the shard write again. Bounded: a
        // link whose answers are out has nothing more to say.
        for _ in 0..4 {
            if self.moved.is_empty() {
                break;
            }
            self.tell_moved();
        }
        turned
    }

    fn tell_moved(&mut self) {
        for moved in core::mem::take(&mut self.moved) {
            let completion = match moved {
                Moved::Written(link, buffer) => Completion::Sent(link, buffer),
                Moved::Broken(link) => Completion::Failed(link),
            };
            // If this panics as well, it is logged; the connection is over.
            let _logged = self.turn_once(Some(completion));
        }
    }

    fn turn_once(&mut self, completion: Option<Completion<'_>>) -> Result<(), Panicked> {
        let now = self.now();
        let mut submissions = core::mem::take(&mut self.submissions);
        let turned = self.guarded(|reactor| {
            reactor.more = reactor.shard.turn(now, completion, &mut submissions);
        });
        self.carry_out(submissions);
        turned
    }

    fn carry_out(&mut self, mut submissions: Vec<Submission>) {
        let at = self.instant(self.now());
        for submission in submissions.drain(..) {
            let Some(submission) = self.carriers.submit(at, submission) else { continue };
            match submission {
                Submission::Mesh(to) => self.mesh_due.push(to),
                Submission::Send(link, bytes) => {
                    self.connections.send(&self.poller, link, bytes, &mut self.moved);
                }
                // The shard was told that nothing can be called.
                Submission::Connect(..) => {}
                Submission::Pause(link) => self.connections.pause(&self.poller, link),
                Submission::Resume(link) => self.connections.resume(&self.poller, link),
                Submission::Close(link, reason) => {
                    self.connections.close(&self.poller, link, reason);
                }
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

    fn accept(&mut self, number: usize) {
        for _ in 0..ACCEPTS_A_CYCLE {
            let Some(listener) = self.listeners.get_mut(number) else { return };
            match listener.socket.accept() {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    listener.again = Some(Instant::now() + ACCEPT_PAUSE);
                    self.poller.rest(&listener.socket);
                    log_sometimes(&self.logged, || {
                        log::warn!("cannot accept a connection: {error}");
                    });
                    return;
                }
            }
        }
    }

    /// Listeners that rested after an error go on.
    fn accept_again(&mut self) {
        let now = Instant::now();
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            if listener.again.is_some_and(|again| again <= now) {
                listener.again = None;
                if let Err(error) = self.poller.add_listener(&listener.socket, number) {
                    log::error!("cannot accept any more: {error}");
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        // It may be gone already.
        let (Ok(()), Ok(())) = (stream.set_nonblocking(true), stream.set_nodelay(true)) else {
            return;
        };
        let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let peer = Peer { address, transport: TransportKind::Tcp };
        let now = self.now();
        let Ok(admitted) = self.guarded(|reactor| reactor.shard.accept(now, peer)) else { return };
        // Closes what made room, before the new one gets its place.
        let _logged = self.turn(None);
        let Some(link) = admitted else {
            return log_sometimes(&self.logged, || {
                log::warn!("no room for more connections, tcp://{address} refused");
            });
        };
        if let Err(error) = self.connections.add(&self.poller, link, stream) {
            log::warn!("cannot watch a connection: {error}");
            self.fail(link);
        }
    }

    /// Reads and writes what can be, once.
    fn serve(&mut self, slot: u64, readable: bool, writable: bool) {
        if writable {
            self.connections.write_rest(&self.poller, slot, &mut self.moved);
            self.tell_moved();
        }
        if !readable {
            return;
        }
        let mut scratch = core::mem::take(&mut self.scratch);
        let read = self.connections.read(&self.poller, slot, &mut scratch);
        let turned = match read {
            connections::Read::Bytes(link, length) => {
                let bytes = scratch.get(..length).unwrap_or_default();
                self.turn(Some(Completion::Received(link, bytes))).map_err(|Panicked| link)
            }
            connections::Read::End(link) => {
                self.turn(Some(Completion::Ended(link))).map_err(|Panicked| link)
            }
            connections::Read::Broken(link) => Err(link),
            connections::Read::Nothing => Ok(()),
        };
        self.scratch = scratch;
        if let Err(link) = turned {
            self.fail(link);
        }
    }

    /// A connection is over: it broke, or serving it panicked.
    fn fail(&mut self, link: LinkId) {
        self.connections.remove(&self.poller, link);
        let _logged = self.turn(Some(Completion::Failed(link)));
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
                Control::Stop => self.begin_stop(),
            }
        }
        for from in (0..).map(ShardId).take(self.inboxes.len()) {
            for _ in 0..BATCHES_A_CYCLE {
                let Some(batch) = inbox.receive(from) else { break };
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
        for to in core::mem::take(&mut self.mesh_due) {
            let Some(inbox) = self.inboxes.get(usize::from(to.0)).map(Arc::clone) else { continue };
            if !inbox.has_room(self.number) {
                self.mesh_due.push(to);
                self.retry = true;
                continue;
            }
            let mut batch = inbox.empty(self.number);
            let taken = self.guarded(|reactor| reactor.shard.take_mesh(to, &mut batch));
            if taken.is_ok() && !batch.is_empty() {
                inbox.send(self.number, batch);
            }
        }
        // Connections that waited for room toward a shard go on.
        let _logged = self.turn(None);
    }

    fn stats(&self) -> ShardStats {
        ShardStats::of(&self.shard, self.panics)
    }
}
