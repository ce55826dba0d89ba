//! One client thread: its connections, its share of the pools, and the loop
//! that sends what is due and checks what comes back.

mod messages;
mod setup;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use mio::{Events, Poll, Token};
use rserpool_codec::{Addresses, Element, Frame, Transport, frame};
use rserpool_engine::{PoolHandle, RegistrarId};

use crate::clock::{Timer, timestamp};
use crate::connection::{Connection, ReadOutcome};
use crate::fault::Faults;
use crate::model::{Answered, Model, Spread, Ticket};
use crate::recorder::{Interval, Recorder};
use crate::stage::{Phase, Request, Stage, Step, Subject};

use setup::Link;
pub(crate) use setup::{Handle, Setup, spawn};

/// The registration life on the wire. It ends after no run, whether the
/// registrar takes it for milliseconds (an hour) or seconds (41 days).
const LIFE: i32 = 3_600_000;
/// Requests sent in one go before answers are read.
const SENDS_MAX: usize = 256;
/// Reads of one connection in one go.
const READS_MAX: usize = 4;
/// More bytes than all requests of a client thread can have. What keeps more
/// waiting sends faster than it reads.
const UNSENT_BYTES_MAX: usize = 16 << 20;
/// How often overdue answers are looked for.
const PATROL: Duration = Duration::from_millis(100);

const TIMER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// What the coordinator wants.
#[derive(Debug)]
pub(crate) enum Command {
    /// Enter this phase.
    Enter(Phase),
    /// End.
    Stop,
}

/// What a client thread tells.
#[derive(Debug)]
pub(crate) enum News {
    /// It is connected, or all of the phase it entered is answered.
    Ready(Phase),
    /// What happened in a second.
    Interval(Box<Interval>),
    /// It cannot go on.
    Failed(Failure),
}

/// Why a client thread cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Connect(String),
    Closed,
    Broken(String),
    Garbage,
    Unread,
    Silent(&'static str, Duration),
    Host(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Closed => f.write_str("the registrar closed the connection"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Garbage => f.write_str("the registrar sends bytes that are not ASAP"),
            Self::Unread => f.write_str("the registrar does not read what it makes us send"),
            Self::Silent(request, patience) => {
                let seconds = patience.as_secs();
                write!(f, "the registrar did not answer a {request} within {seconds} s")
            }
            Self::Host(error) => write!(f, "this host: {error}"),
        }
    }
}

/// Counts that the coordinator may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) answers: AtomicU64,
    pub(crate) selected: AtomicU64,
    pub(crate) faults: AtomicU64,
}

/// What is left when a client thread ends.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    pub(crate) faults: Faults,
    pub(crate) spread: Spread,
    pub(crate) checked: u64,
    pub(crate) keep_alives: u64,
    pub(crate) unsent: u64,
}

/// An unanswered request.
#[derive(Clone, Copy, Debug)]
struct Pending {
    request: Request,
    /// When it should have been sent, since the run began.
    intended: Duration,
    ticket: Option<Ticket>,
}

struct Worker {
    setup: Setup,
    poll: Poll,
    timer: Timer,
    /// The first ones are those of elements, the others those of pool users.
    connections: Vec<Connection>,
    /// Connections with bytes to be sent, and with bytes perhaps to be read.
    dirty: Vec<usize>,
    unread: Vec<usize>,
    model: Model,
    stage: Stage,
    phase: Phase,
    phase_began: Duration,
    pending: Vec<Option<Pending>>,
    free: Vec<usize>,
    recorder: Recorder,
    patrolled: Duration,
    keep_alives: u64,
    unsent: u64,
    /// Working memory: the elements of an answer as sent, and as known.
    answered: Vec<Answered>,
    known: Vec<u32>,
    link: Link,
}

impl Worker {
    /// Runs until it is told to stop.
    fn run(&mut self) -> Result<(), Failure> {
        let host = |error: io::Error| Failure::Host(error.to_string());
        let mut events = Events::with_capacity(1024);
        loop {
            if !self.obey() {
                return Ok(());
            }
            let wake = self.send_due()?;
            self.flush()?;
            let rest = match wake {
                _ if !self.unread.is_empty() => Duration::ZERO,
                Some(at) => at.saturating_sub(self.setup.clock.now()).min(PATROL),
                None => PATROL,
            };
            let finer_than_epoll = !rest.is_zero() && rest < PATROL;
            if finer_than_epoll {
                self.timer.set(rest).map_err(host)?;
            }
            match self.poll.poll(&mut events, Some(if finer_than_epoll { PATROL } else { rest })) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(host(error));
                }
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                let connection = event.token().0;
                if connection >= self.connections.len() {
                    continue;
                }
                if event.is_writable() {
                    self.connections[connection].unblock();
                    self.dirty.push(connection);
                }
                if event.is_readable() {
                    self.unread.push(connection);
                }
            }
            self.receive()?;
            self.patrol()?;
        }
    }

    /// Follows the coordinator's commands; `false` to stop.
    fn obey(&mut self) -> bool {
        loop {
            match self.link.commands.try_recv() {
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) | Ok(Command::Stop) => return false,
                Ok(Command::Enter(phase)) => {
                    self.phase = phase;
                    self.phase_began = self.setup.clock.now();
                    self.stage = self.setup.stage(phase, &self.model);
                    self.hand_over();
                }
            }
        }
    }

    /// Sends what is due; when there is more, if that is known.
    fn send_due(&mut self) -> Result<Option<Duration>, Failure> {
        let now = self.setup.clock.now();
        for _ in 0..SENDS_MAX {
            let elapsed = now.saturating_sub(self.phase_began);
            match self.stage.next(elapsed, self.in_flight(), &mut self.model) {
                Step::Send(request) => self.send(request, now)?,
                Step::At(at) => return Ok(Some(self.phase_began + at)),
                Step::Wait => return Ok(None),
                Step::Done => {
                    if self.in_flight() == 0 {
                        self.finish(elapsed);
                    }
                    return Ok(None);
                }
            }
        }
        Ok(Some(now))
    }

    fn finish(&mut self, elapsed: Duration) {
        if let Stage::Steady(steady) = &self.stage {
            self.unsent += steady.unsent(elapsed);
        }
        self.stage = Stage::Idle;
        self.hand_over();
        self.tell(News::Ready(self.phase));
    }

    fn in_flight(&self) -> usize {
        self.pending.len() - self.free.len()
    }

    fn send(&mut self, request: Request, now: Duration) -> Result<(), Failure> {
        let intended = match request.intended {
            Some(intended) => {
                let intended = self.phase_began + intended;
                self.recorder.sent_late(now.saturating_sub(intended));
                intended
            }
            None => now,
        };
        let index = self.free.pop().unwrap_or(self.pending.len());
        let (connection, ticket, sent) = match request.subject {
            Subject::Register { element, value } => {
                self.register(index as u64, element, value, now)
            }
            Subject::Deregister { element } => self.deregister(index as u64, element, now),
            Subject::Resolve { pool, items } => self.resolve(index as u64, pool, items, now),
        };
        sent.map_err(|error| Failure::Host(error.to_string()))?;
        self.dirty.push(connection);
        let pending = Some(Pending { request, intended, ticket });
        match self.pending.get_mut(index) {
            Some(slot) => *slot = pending,
            None => self.pending.push(pending),
        }
        Ok(())
    }

    fn register(&mut self, token: u64, element: u32, value: u32, now: Duration) -> Sent {
        self.model.register_sent(element, value);
        let connection = self.connection_of(element);
        let population = self.model.population();
        let pool = population.pool(population.pool_of(element));
        let (address, port) = population.transport(element);
        let addresses = [address];
        let parameter = Element {
            pe: population.pe(element),
            home: RegistrarId::default(),
            life: LIFE,
            user_transport: Transport::tcp(port, Addresses::List(&addresses)),
            policy: pool.policy.with(value),
            asap_transport: None,
        };
        let handle = PoolHandle::new(&pool.handle);
        let conversation = &mut self.connections[connection].conversation;
        let sent = conversation.register(timestamp(now), token, handle, &parameter);
        (connection, None, sent)
    }

    fn deregister(&mut self, token: u64, element: u32, now: Duration) -> Sent {
        self.model.deregister_sent(element);
        let connection = self.connection_of(element);
        let population = self.model.population();
        let handle = PoolHandle::new(&population.pool(population.pool_of(element)).handle);
        let conversation = &mut self.connections[connection].conversation;
        let sent = conversation.deregister(timestamp(now), token, handle, population.pe(element));
        (connection, None, sent)
    }

    fn resolve(&mut self, token: u64, pool: u32, items: u32, now: Duration) -> Sent {
        let ticket = self.model.resolve_sent(pool, items);
        let users = self.connections.len() - self.setup.element_connections;
        let connection = self.setup.element_connections + pool as usize % users;
        let handle = PoolHandle::new(&self.model.population().pool(pool).handle);
        let conversation = &mut self.connections[connection].conversation;
        let sent = conversation.resolve(timestamp(now), token, handle, Some(items), false);
        (connection, Some(ticket), sent)
    }

    /// The connection by which an element registers.
    fn connection_of(&self, element: u32) -> usize {
        element as usize % self.setup.element_connections
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.dirty.sort_unstable();
        self.dirty.dedup();
        let mut dirty = std::mem::take(&mut self.dirty);
        for connection in dirty.drain(..) {
            let flushed = self.connections[connection].flush();
            flushed.map_err(|error| Failure::Broken(error.to_string()))?;
        }
        self.dirty = dirty;
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Failure> {
        self.unread.sort_unstable();
        self.unread.dedup();
        for connection in std::mem::take(&mut self.unread) {
            let mut outcome = ReadOutcome::More;
            for _ in 0..READS_MAX {
                outcome = self.connections[connection]
                    .read()
                    .map_err(|error| Failure::Broken(error.to_string()))?;
                self.digest(connection)?;
                if outcome != ReadOutcome::More {
                    break;
                }
            }
            match outcome {
                ReadOutcome::More => self.unread.push(connection),
                ReadOutcome::Drained => {}
                ReadOutcome::Closed => return Err(Failure::Closed),
            }
        }
        Ok(())
    }

    /// Takes the whole messages out of a connection's input.
    fn digest(&mut self, connection: usize) -> Result<(), Failure> {
        let now = self.setup.clock.now();
        let (input, filled) = self.connections[connection].take_input();
        let mut done = 0;
        let result = loop {
            match frame(&input[done..filled]) {
                Frame::Incomplete => break Ok(()),
                Frame::Malformed => break Err(Failure::Garbage),
                Frame::Whole(bytes) => {
                    self.message(connection, now, &input[done..done + bytes]);
                    done += bytes;
                }
            }
        };
        let connection = &mut self.connections[connection];
        connection.return_input(input, done);
        if connection.conversation.output().len() > UNSENT_BYTES_MAX {
            return Err(Failure::Unread);
        }
        result
    }

    /// Looks for overdue answers, and hands over what happened.
    fn patrol(&mut self) -> Result<(), Failure> {
        let now = self.setup.clock.now();
        if let Some(interval) = self.recorder.turn(now, self.phase) {
            self.tell(News::Interval(Box::new(interval)));
        }
        if now.saturating_sub(self.patrolled) < PATROL {
            return Ok(());
        }
        self.patrolled = now;
        self.link.counters.faults.store(self.model.faults.total(), Ordering::Relaxed);
        for connection in &mut self.connections {
            if let Some(late) = connection.conversation.handle_timeout(timestamp(now)) {
                let request = messages::request_name(late.request);
                return Err(Failure::Silent(request, self.setup.plan.answer_timeout));
            }
        }
        Ok(())
    }

    /// Hands over what happened in this phase, though its second is not over.
    fn hand_over(&mut self) {
        if let Some(interval) = self.recorder.hand_over(self.setup.clock.now(), self.phase) {
            self.tell(News::Interval(Box::new(interval)));
        }
    }

    fn tell(&self, news: News) {
        // Without a coordinator there is nobody to tell.
        let _ = self.link.news.send(news);
    }

    fn legacy(&mut self) -> Legacy {
        Legacy {
            faults: std::mem::take(&mut self.model.faults),
            spread: *self.model.spread(),
            checked: self.model.checked(),
            keep_alives: self.keep_alives,
            unsent: self.unsent,
        }
    }
}

type Sent = (usize, Option<Ticket>, Result<(), rserpool_proto::endpoint::Full>);
