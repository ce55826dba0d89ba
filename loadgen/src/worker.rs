//! One client thread: its connections, its share of the pools, and the loop
//! that sends what is due and checks what comes back.

mod disruption;
mod messages;
mod sending;
mod setup;
mod standing;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use mio::{Events, Poll, Token};
use rserpool_codec::{Frame, frame};

use crate::associations::{Associations, Happened};
use crate::clock::{Timer, timestamp};
use crate::connection::{Connection, ReadOutcome, Standing};
use crate::fault::Faults;
use crate::model::{Answered, Model, Spread, Ticket};
use crate::recorder::{Interval, Recorder};
use crate::stage::{Phase, Request, Stage};

use disruption::Disruption;
use setup::Coordinator;
pub(crate) use setup::{Handle, Setup, spawn};

/// Reads of one connection in one go.
const READS_MAX: usize = 4;
/// More bytes than all requests of a client thread can have. What keeps more
/// waiting sends faster than it reads.
const UNSENT_BYTES_MAX: usize = 16 << 20;
/// How often overdue answers are looked for.
const PATROL: Duration = Duration::from_millis(100);

const TIMER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const ASSOCIATIONS: Token = Token(usize::MAX - 2);

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

impl Failure {
    fn host(error: &io::Error) -> Self {
        Self::Host(error.to_string())
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
    pub(crate) failover: Failover,
    pub(crate) disruption: Disruption,
}

/// How a group of registrars stood in for each other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failover {
    /// Associations that were lost, and set up again elsewhere.
    pub(crate) lost: u64,
    pub(crate) moved: u64,
    /// Requests that were sent again because their association was lost.
    pub(crate) repeated: u64,
    /// Resolutions that were not answered in time, or whose answer lacked
    /// what had been acknowledged elsewhere.
    pub(crate) failed: u64,
    pub(crate) lagging: u64,
    /// The longest time from the loss of an association to the first answer
    /// over the one in its place.
    pub(crate) recovery: Duration,
    /// Acknowledged elements when the audit began.
    pub(crate) acknowledged: u64,
}

/// An unanswered request.
#[derive(Clone, Copy, Debug)]
struct Pending {
    request: Request,
    connection: usize,
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
    associations: Option<Associations>,
    /// Associations may have more to read.
    more: bool,
    happened: Vec<Happened>,
    /// Connections to be set up, and how many are being.
    to_connect: VecDeque<usize>,
    /// Those that no address took, until the next patrol.
    to_connect_later: Vec<usize>,
    connecting: usize,
    /// The connection that is used next where all are alike.
    turn: usize,
    /// Connections with bytes to be sent, and with bytes perhaps to be read.
    dirty: Vec<usize>,
    unread: Vec<usize>,
    /// Where what is read lies while it is digested.
    scratch: Box<[u8]>,
    model: Model,
    stage: Stage,
    phase: Phase,
    phase_began: Duration,
    pending: Vec<Option<Pending>>,
    free: Vec<usize>,
    /// Elements that have to register again, whatever the stage wants.
    rescue: VecDeque<u32>,
    recorder: Recorder,
    patrolled: Duration,
    keep_alives: u64,
    unsent: u64,
    failover: Failover,
    disruption: Disruption,
    /// Working memory: the elements of an answer as sent, and as known.
    answered: Vec<Answered>,
    known: Vec<u32>,
    coordinator: Coordinator,
}

impl Worker {
    /// Runs until it is told to stop.
    fn run(&mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        loop {
            if !self.obey() {
                return Ok(());
            }
            self.connect()?;
            self.disrupt();
            let wake = self.send_due()?;
            self.flush()?;
            let rest = self.rest(wake);
            let finer_than_epoll = !rest.is_zero() && rest < PATROL;
            if finer_than_epoll {
                self.timer.set(rest).map_err(|error| Failure::host(&error))?;
            }
            match self.poll.poll(&mut events, Some(if finer_than_epoll { PATROL } else { rest })) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Failure::host(&error));
                }
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                if event.token() == ASSOCIATIONS {
                    self.more = true;
                }
                let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
                if event.is_writable() {
                    if matches!(connection.standing, Standing::Up) {
                        connection.unblock();
                    }
                    self.dirty.push(event.token().0);
                }
                if event.is_readable() {
                    self.unread.push(event.token().0);
                }
            }
            self.finish_connecting()?;
            self.receive()?;
            self.look_at_associations()?;
            self.patrol()?;
        }
    }

    /// How long to wait when the next request is due at `wake`.
    fn rest(&self, wake: Option<Duration>) -> Duration {
        if !self.unread.is_empty() || self.more {
            return Duration::ZERO;
        }
        let due = wake.map_or(PATROL, |at| at.saturating_sub(self.setup.clock.now()));
        let timeout = self.associations.as_ref().and_then(Associations::timeout);
        due.min(timeout.unwrap_or(PATROL)).min(PATROL)
    }

    /// Follows the coordinator's commands; `false` to stop.
    fn obey(&mut self) -> bool {
        loop {
            match self.coordinator.commands.try_recv() {
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) | Ok(Command::Stop) => return false,
                Ok(Command::Enter(phase)) => {
                    self.phase = phase;
                    self.phase_began = self.setup.clock.now();
                    self.begin_phase();
                    self.hand_over();
                }
            }
        }
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

    fn receive(&mut self) -> Result<(), Failure> {
        self.unread.sort_unstable();
        self.unread.dedup();
        for index in std::mem::take(&mut self.unread) {
            let mut outcome = Ok(ReadOutcome::Drained);
            for _ in 0..READS_MAX {
                if self.connections[index].standing != Standing::Up {
                    break;
                }
                outcome = match self.connections[index].read(&mut self.scratch) {
                    Ok((outcome, filled)) => self.digest(index, filled).map(|()| outcome),
                    Err(error) => Err(Failure::Broken(error.to_string())),
                };
                if !matches!(outcome, Ok(ReadOutcome::More)) {
                    break;
                }
            }
            match outcome {
                Ok(ReadOutcome::More) => self.unread.push(index),
                Ok(ReadOutcome::Drained) => {}
                Ok(ReadOutcome::Closed) => self.lost(index, Failure::Closed)?,
                Err(failure) => self.lost(index, failure)?,
            }
        }
        Ok(())
    }

    /// Takes the whole messages out of what was read of a stream.
    fn digest(&mut self, index: usize, filled: usize) -> Result<(), Failure> {
        let now = self.setup.clock.now();
        let scratch = std::mem::take(&mut self.scratch);
        let mut rest = &scratch[..filled];
        let result = loop {
            match frame(rest) {
                Frame::Incomplete => break Ok(()),
                Frame::Malformed => break Err(Failure::Garbage),
                Frame::Whole(bytes) => {
                    let (message, after) = rest.split_at(bytes);
                    self.message(index, now, message);
                    rest = after;
                }
            }
        };
        let connection = &mut self.connections[index];
        connection.keep(rest);
        let unsent = connection.conversation.output().len();
        self.scratch = scratch;
        if unsent > UNSENT_BYTES_MAX {
            return Err(Failure::Unread);
        }
        result
    }

    /// Takes what happened to SCTP associations.
    fn look_at_associations(&mut self) -> Result<(), Failure> {
        let Some(associations) = &mut self.associations else { return Ok(()) };
        let due = associations.timeout().is_some_and(|rest| rest.is_zero());
        if !self.more && !due {
            return Ok(());
        }
        let mut happened = std::mem::take(&mut self.happened);
        let polled = associations.poll(&mut happened);
        self.more = polled.map_err(|error| Failure::host(&error))?;
        let now = self.setup.clock.now();
        for event in happened.drain(..) {
            match event {
                Happened::Up(index) => self.is_up(index),
                Happened::Message(index, bytes) => {
                    self.message(index, now, &bytes);
                    if self.connections[index].conversation.output().len() > UNSENT_BYTES_MAX {
                        return Err(Failure::Unread);
                    }
                }
                Happened::Writable(index) => {
                    self.connections[index].unblock();
                    self.dirty.push(index);
                }
                Happened::Lost(index, reason) => {
                    let connecting = self.connections[index].standing != Standing::Up;
                    let failure = if connecting { Failure::Connect } else { Failure::Broken };
                    self.lost(index, failure(reason))?;
                }
            }
        }
        self.happened = happened;
        Ok(())
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
        self.to_connect.extend(self.to_connect_later.drain(..));
        // A wake-up that was missed costs this much, and not the run.
        self.more = self.associations.is_some();
        self.coordinator.counters.faults.store(self.model.faults.total(), Ordering::Relaxed);
        for index in 0..self.connections.len() {
            let late = self.connections[index].conversation.handle_timeout(timestamp(now));
            if let Some(late) = late {
                let request = messages::request_name(late.request);
                self.lost(index, Failure::Silent(request, self.setup.plan.answer_timeout))?;
            }
        }
        self.give_up_connecting(now)
    }

    /// Hands over what happened in this phase, though its second is not over.
    fn hand_over(&mut self) {
        if let Some(interval) = self.recorder.hand_over(self.setup.clock.now(), self.phase) {
            self.tell(News::Interval(Box::new(interval)));
        }
    }

    fn tell(&self, news: News) {
        // Without a coordinator there is nobody to tell.
        let _ = self.coordinator.news.send(news);
    }

    fn legacy(&mut self) -> Legacy {
        let lagging = self.model.lagging();
        Legacy {
            faults: std::mem::take(&mut self.model.faults),
            spread: *self.model.spread(),
            checked: self.model.checked(),
            keep_alives: self.keep_alives,
            unsent: self.unsent,
            failover: Failover { lagging, ..self.failover },
            disruption: std::mem::take(&mut self.disruption),
        }
    }
}
