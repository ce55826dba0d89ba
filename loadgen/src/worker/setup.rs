//! How a client thread is started, and what it does in each phase.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token, Waker};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{Command, Counters, Failure, Legacy, News, TIMER, WAKER, Worker};
use crate::clock::{Clock, Timer};
use crate::connection::Connection;
use crate::draw::{Purpose, draw};
use crate::model::Model;
use crate::pacer::Pacer;
use crate::plan::{Pace, Plan};
use crate::population::Population;
use crate::recorder::Recorder;
use crate::stage::{Audit, Burst, BurstKind, Phase, Stage, Steady, SteadyConfig};

/// Unanswered requests of one connection in a burst.
const BURST_IN_FLIGHT: usize = 32;
const SECOND: Duration = Duration::from_secs(1);

/// What a client thread is started with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) plan: Arc<Plan>,
    pub(crate) addresses: Arc<[SocketAddr]>,
    pub(crate) clock: Clock,
    /// Which client thread this is.
    pub(crate) thread: u32,
    /// How many of its connections are those of elements, and of pool users.
    pub(crate) element_connections: usize,
    pub(crate) user_connections: usize,
}

/// A client thread as the coordinator sees it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) counters: Arc<Counters>,
    commands: Sender<Command>,
    waker: Arc<Waker>,
    thread: JoinHandle<Legacy>,
}

impl Handle {
    /// Tells the thread what to do. One that ended has told why.
    pub(crate) fn command(&self, command: Command) {
        let sent = self.commands.send(command).is_ok();
        let woken = self.waker.wake().is_ok();
        debug_assert!(!sent || woken, "an eventfd can be written to");
    }

    /// Whether it ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    pub(crate) fn join(self) -> Legacy {
        self.thread.join().unwrap_or_default()
    }
}

/// Starts a client thread, which connects and then waits for commands.
pub(crate) fn spawn(
    setup: Setup,
    population: Population,
    news: Sender<News>,
) -> io::Result<Handle> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let counters = Arc::new(Counters::default());
    let (commands, receiver) = mpsc::channel();
    let link = Link { counters: Arc::clone(&counters), commands: receiver, news: news.clone() };
    let name = format!("client-{}", setup.thread);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        match Worker::new(setup, population, poll, link) {
            Ok(mut worker) => {
                worker.tell(News::Ready(Phase::Connect));
                if let Err(failure) = worker.run() {
                    worker.hand_over();
                    worker.tell(News::Failed(failure));
                }
                worker.legacy()
            }
            Err(failure) => {
                // Without a coordinator there is nobody to tell.
                let _ = news.send(News::Failed(failure));
                Legacy::default()
            }
        }
    })?;
    Ok(Handle { counters, commands, waker, thread })
}

/// A client thread's ends of what connects it to the coordinator.
pub(super) struct Link {
    pub(super) counters: Arc<Counters>,
    pub(super) commands: Receiver<Command>,
    pub(super) news: Sender<News>,
}

impl Worker {
    fn new(setup: Setup, population: Population, poll: Poll, link: Link) -> Result<Self, Failure> {
        let host = |error: io::Error| Failure::Host(error.to_string());
        if setup.plan.pin {
            pin(setup.thread).map_err(host)?;
        }
        let timer = Timer::new().map_err(host)?;
        let descriptor = timer.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        poll.registry().register(&mut source, TIMER, Interest::READABLE).map_err(host)?;
        let mut connections = Vec::new();
        for index in 0..setup.element_connections + setup.user_connections {
            let opened = Connection::open(&setup.addresses, setup.plan.answer_timeout);
            let mut connection = opened.map_err(|error| Failure::Connect(error.to_string()))?;
            connection.register(poll.registry(), Token(index)).map_err(host)?;
            connections.push(connection);
        }
        Ok(Self {
            setup,
            poll,
            timer,
            connections,
            dirty: Vec::new(),
            unread: Vec::new(),
            model: Model::new(population),
            stage: Stage::Idle,
            phase: Phase::Connect,
            phase_began: Duration::ZERO,
            pending: Vec::new(),
            free: Vec::new(),
            recorder: Recorder::new(),
            patrolled: Duration::ZERO,
            keep_alives: 0,
            unsent: 0,
            answered: Vec::new(),
            known: Vec::new(),
            link,
        })
    }
}

/// Keeps this thread to one of the cores it may run on, from the last.
fn pin(thread: u32) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    cores.reverse();
    let mut chosen = CpuSet::new();
    if let Some(&core) = cores.iter().cycle().nth(thread as usize) {
        chosen.set(core);
        sched_setaffinity(None, &chosen)?;
    }
    Ok(())
}

impl Setup {
    /// The stage of a phase.
    pub(super) fn stage(&self, phase: Phase, model: &Model) -> Stage {
        let elements = self.element_connections * BURST_IN_FLIGHT;
        let users = self.user_connections * BURST_IN_FLIGHT;
        match phase {
            Phase::Connect => Stage::Idle,
            Phase::Register => Stage::Burst(Burst::new(BurstKind::Register, model, elements)),
            Phase::Steady => Stage::Steady(Box::new(Steady::new(self.steady(), model))),
            Phase::Audit => Stage::Audit(Audit::new(model, self.plan.items_max, users)),
            Phase::Deregister => Stage::Burst(Burst::new(BurstKind::Deregister, model, elements)),
            Phase::Empty => Stage::Burst(Burst::new(BurstKind::Resolve, model, users)),
        }
    }

    /// This thread's share of the steady state.
    fn steady(&self) -> SteadyConfig {
        let plan = &self.plan;
        let (thread, threads) = (u64::from(self.thread), u64::from(plan.threads));
        let share = |count: u64, period| Pacer::new(count, period).share(thread, threads);
        let pace = match plan.pace {
            Pace::Open => Pace::Open,
            Pace::Closed(window) => {
                let (each, rest) = (window / plan.threads, window % plan.threads);
                Pace::Closed(each + u32::from(self.thread < rest))
            }
        };
        SteadyConfig {
            duration: plan.duration,
            pace,
            items: plan.items.clone(),
            resolutions: share(u64::from(plan.rate), SECOND),
            reregistrations: share(u64::from(plan.elements), plan.reregistration_interval),
            churn: share(2 * u64::from(plan.churn), SECOND),
            absence: (plan.churn / plan.threads) as usize,
            seed: draw(plan.seed, Purpose::Churn, thread),
        }
    }
}
