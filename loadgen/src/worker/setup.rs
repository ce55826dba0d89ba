//! How a client thread is started, and what it does in each phase.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Waker};
use rserpool_codec::LengthForm;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{
    ASSOCIATIONS, Command, Counters, Disruption, Failover, Failure, Legacy, News, TIMER, WAKER,
    Worker,
};
use crate::associations::Associations;
use crate::clock::{Clock, Timer};
use crate::connection::{Connection, SCRATCH_BYTES};
use crate::draw::{Purpose, draw};
use crate::model::{Model, Rules};
use crate::pacer::Pacer;
use crate::plan::{Compat, Plan};
use crate::population::Population;
use crate::recorder::Recorder;
use crate::stage::{Audit, Burst, BurstKind, Crowd, Phase, Stage, Steady, SteadyConfig};
use crate::workload::Workload;

/// Unanswered requests of one connection in a burst.
const BURST_IN_FLIGHT: usize = 32;
const SECOND: Duration = Duration::from_secs(1);

/// What a client thread is started with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) plan: Arc<Plan>,
    /// Where the registrars are, in the order in which they are tried.
    pub(crate) addresses: Arc<[SocketAddr]>,
    /// The first address of each target.
    pub(crate) firsts: Arc<[usize]>,
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
    let coordinator =
        Coordinator { counters: Arc::clone(&counters), commands: receiver, news: news.clone() };
    let name = format!("client-{}", setup.thread);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        match Worker::new(setup, population, poll, coordinator) {
            Ok(mut worker) => {
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
pub(super) struct Coordinator {
    pub(super) counters: Arc<Counters>,
    pub(super) commands: Receiver<Command>,
    pub(super) news: Sender<News>,
}

impl Worker {
    fn new(
        setup: Setup,
        population: Population,
        poll: Poll,
        coordinator: Coordinator,
    ) -> Result<Self, Failure> {
        let host = |error: io::Error| Failure::host(&error);
        if setup.plan.pin {
            pin(setup.thread).map_err(host)?;
        }
        let timer = Timer::new().map_err(host)?;
        let descriptor = timer.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        poll.registry().register(&mut source, TIMER, Interest::READABLE).map_err(host)?;
        let associations = Associations::new(setup.plan.transport).map_err(host)?;
        if let Some(associations) = &associations {
            let descriptor = associations.descriptor();
            let mut source = SourceFd(&descriptor);
            poll.registry()
                .register(&mut source, ASSOCIATIONS, Interest::READABLE)
                .map_err(host)?;
        }
        let form = match setup.plan.compat {
            Compat::Rfc => LengthForm::Rfc,
            Compat::Rsplib => LengthForm::Padded,
        };
        let count = setup.element_connections + setup.user_connections;
        let connections = (0..count).map(|index| {
            let first = setup.firsts[index % setup.firsts.len()];
            Connection::new(first, setup.plan.answer_timeout, form)
        });
        let rules = Rules { rotation: !setup.shares_pools(), alone: !setup.plan.is_group() };
        Ok(Self {
            connections: connections.collect(),
            associations,
            more: false,
            happened: Vec::new(),
            to_connect: (0..count).collect(),
            to_connect_later: Vec::new(),
            connecting: 0,
            turn: 0,
            dirty: Vec::new(),
            unread: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into(),
            model: Model::new(population, rules),
            stage: Stage::Idle,
            phase: Phase::Connect,
            phase_began: Duration::ZERO,
            pending: Vec::new(),
            free: Vec::new(),
            rescue: VecDeque::new(),
            recorder: Recorder::new(),
            patrolled: Duration::ZERO,
            keep_alives: 0,
            unsent: 0,
            failover: Failover::default(),
            disruption: Disruption::default(),
            answered: Vec::new(),
            known: Vec::new(),
            setup,
            poll,
            timer,
            coordinator,
        })
    }

    /// Begins the phase that was entered.
    pub(super) fn begin_phase(&mut self) {
        match self.phase {
            Phase::Audit => self.failover.acknowledged = self.model.acknowledged(),
            Phase::Deregister | Phase::Empty => self.model.settle_group(),
            Phase::Connect | Phase::Register | Phase::Steady => {}
        }
        self.stage = self.setup.stage(self.phase, &self.model);
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
    /// Whether each pool is resolved over all associations of pool users, not
    /// over one.
    pub(super) fn shares_pools(&self) -> bool {
        self.plan.workload == Workload::HugePool
    }

    /// Unanswered registrations at most, where they go as fast as they can.
    pub(super) const fn element_window(&self) -> usize {
        self.element_connections * BURST_IN_FLIGHT
    }

    /// The stage of a phase.
    pub(super) fn stage(&self, phase: Phase, model: &Model) -> Stage {
        let elements = self.element_window();
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
        let third = plan.duration / 3;
        let crowd = (plan.workload == Workload::FlashCrowd).then(|| Crowd {
            from: third,
            until: 2 * third,
            resolutions: share(u64::from(plan.rate) * (Workload::CROWD - 1), SECOND),
        });
        SteadyConfig {
            duration: plan.duration,
            pace: plan.pace,
            users: self.user_connections,
            shares_pools: self.shares_pools(),
            crowd,
            items: plan.items.clone(),
            resolutions: share(u64::from(plan.rate), SECOND),
            reregistrations: share(u64::from(plan.elements), plan.reregistration_interval),
            churn: share(2 * u64::from(plan.churn), SECOND),
            absence: (plan.churn / plan.threads) as usize,
            seed: draw(plan.seed, Purpose::Churn, thread),
        }
    }
}
