//! A run from its start to its report: the registrar, the client threads, the
//! phases, and what is measured around them.

mod ceiling;
mod findings;
mod outcome;
mod warnings;

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::inside::Inside;
use crate::listener;
use crate::plan::{Compat, Pace, Plan, Transport};
use crate::population::Layout;
use crate::process::{self, Usage};
use crate::progress::Progress;
use crate::report::{Aborted, Ceiling, Report, UsageSecond, count};
use crate::stage::{Phase, operation_names};
use crate::timeline::{LogFile, Timeline};
use crate::worker::{Command, Failure, Handle, Legacy, News, Setup, spawn};

/// How often the run is looked at.
const TICK: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
/// How long a dead registrar's process may take to be known as dead.
const DEATH: Duration = Duration::from_secs(1);
/// How long a group of registrars has to tell each other everything.
const SETTLE: Duration = Duration::from_secs(5);

/// A phase as it went by.
#[derive(Clone, Copy, Debug)]
struct Span {
    phase: Phase,
    began: Duration,
    ended: Duration,
    registrar_cpu: Option<Duration>,
    loadgen_cpu: Duration,
}

/// What is counted at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    at: Duration,
    answers: u64,
    selected: u64,
    faults: u64,
}

/// What the processes have used at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    at: Duration,
    registrar: Option<Usage>,
    loadgen: Usage,
}

/// A run under way.
#[derive(Debug)]
struct Run<'l> {
    plan: Arc<Plan>,
    target: String,
    clock: Clock,
    started: SystemTime,
    inside: Option<Inside>,
    /// The processes that are measured as the registrars.
    pids: Vec<u32>,
    ceiling: Option<Ceiling>,
    clients: Vec<Handle>,
    news: Receiver<News>,
    timeline: Option<Timeline<'l>>,
    progress: Progress,
    /// What was counted and used when the phase began, and a second ago.
    phase_counted: Counted,
    last_counted: Counted,
    last_used: Used,
    spans: Vec<Span>,
    usage: Vec<UsageSecond>,
    /// The registrar's resident memory when it was empty and when it was full.
    memory: [Option<u64>; 2],
}

/// Runs a plan and writes the report's files.
///
/// # Errors
/// Nothing could be measured, or the report not be written.
pub fn run(plan: &Plan) -> Result<Report, String> {
    let plan = Arc::new(plan.clone());
    let mut file = None;
    let ceiling = match plan.pace {
        Pace::Closed(window) => ceiling::measure(&plan, window)?,
        Pace::Open => None,
    };
    let mut run = Run::start(&plan)?;
    run.ceiling = ceiling;
    if let Err(aborted) = run.await_phase(Phase::Connect) {
        run.progress.close();
        return Err(format!("{} while {}: {}", run.target, aborted.phase, aborted.reason));
    }
    let unwritten = |error: io::Error| format!("{}: {error}", plan.out.display());
    fs::create_dir_all(&plan.out).map_err(unwritten)?;
    let log = File::create(plan.out.join("latency.hlog")).map_err(unwritten)?;
    let log = file.insert(LogFile::new(log));
    let names = operation_names(&plan.items);
    run.timeline = Some(Timeline::new(log, names, run.started).map_err(unwritten)?);
    let aborted = run.phases().err();
    let report = run.finish(aborted);
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    fs::write(plan.out.join("report.json"), json + "\n").map_err(unwritten)?;
    fs::write(plan.out.join("report.html"), crate::report::html(&report)).map_err(unwritten)?;
    Ok(report)
}

impl Run<'_> {
    /// Starts the registrar, if it is to be inside, and the client threads.
    fn start(plan: &Arc<Plan>) -> Result<Self, String> {
        let mut progress = Progress::new(plan.progress);
        progress.begin(Phase::Connect.name(), u64::from(plan.connections));
        let inside = if plan.targets.is_empty() {
            let inside = Inside::start(plan)?;
            progress.say(format_args!("registrar {inside}, process {}", inside.pid()));
            Some(inside)
        } else {
            None
        };
        let (addresses, firsts) = match &inside {
            Some(inside) => (vec![inside.address()], vec![0]),
            None => resolved(plan)?,
        };
        let target = match &inside {
            Some(inside) => inside.to_string(),
            None => plan.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        let pids = match (&inside, plan.pid) {
            (Some(inside), _) => vec![inside.pid()],
            (None, Some(pid)) => vec![pid],
            (None, None) => listening(plan.transport, &addresses),
        };
        let clock = Clock::start();
        let (clients, news) = start_clients(plan, &addresses, &firsts, clock)?;
        let mut run = Self {
            plan: Arc::clone(plan),
            target,
            clock,
            started: SystemTime::now(),
            inside,
            pids,
            ceiling: None,
            clients,
            news,
            timeline: None,
            progress,
            phase_counted: Counted::default(),
            last_counted: Counted::default(),
            last_used: Used::default(),
            spans: Vec::new(),
            usage: Vec::new(),
            memory: [None; 2],
        };
        run.last_used = run.used();
        Ok(run)
    }

    /// Goes through all phases.
    fn phases(&mut self) -> Result<(), Aborted> {
        // The registrar has accepted all connections by then.
        self.watch(Phase::Connect, TICK)?;
        self.memory[0] = self.resident();
        for phase in Phase::RUN {
            if self.plan.is_group() && matches!(phase, Phase::Audit | Phase::Empty) {
                self.watch(phase, SETTLE)?;
            }
            self.enter(phase);
            let ended = self.await_phase(phase);
            self.leave(phase);
            ended?;
            if phase == Phase::Register {
                self.memory[1] = self.resident();
            }
        }
        Ok(())
    }

    fn resident(&self) -> Option<u64> {
        self.registrar_usage().map(|usage| usage.resident)
    }

    /// What all measured processes have used; nothing if one is gone.
    fn registrar_usage(&self) -> Option<Usage> {
        let all: Option<Vec<Usage>> = self.pids.iter().map(|&pid| process::usage(pid)).collect();
        all?.into_iter()
            .reduce(|a, b| Usage { cpu: a.cpu + b.cpu, resident: a.resident + b.resident })
    }

    fn used(&self) -> Used {
        let at = self.clock.now();
        let registrar = self.registrar_usage();
        let loadgen = process::usage(std::process::id()).unwrap_or_default();
        Used { at, registrar, loadgen }
    }

    fn counted(&self) -> Counted {
        let mut counted = Counted { at: self.clock.now(), ..Counted::default() };
        for client in &self.clients {
            counted.answers += client.counters.answers.load(Ordering::Relaxed);
            counted.selected += client.counters.selected.load(Ordering::Relaxed);
            counted.faults += client.counters.faults.load(Ordering::Relaxed);
        }
        counted
    }

    fn enter(&mut self, phase: Phase) {
        let (began, used) = (self.clock.now(), self.used());
        self.spans.push(Span {
            phase,
            began,
            ended: began,
            registrar_cpu: used.registrar.map(|usage| usage.cpu),
            loadgen_cpu: used.loadgen.cpu,
        });
        self.phase_counted = self.counted();
        self.last_counted = self.phase_counted;
        self.progress.begin(phase.name(), self.length(phase));
        for client in &self.clients {
            client.command(Command::Enter(phase));
        }
    }

    fn leave(&mut self, phase: Phase) {
        let used = self.used();
        let (answers, selected) = {
            let counted = self.counted();
            let before = self.phase_counted;
            (counted.answers - before.answers, counted.selected - before.selected)
        };
        let Some(span) = self.spans.last_mut() else { return };
        span.ended = used.at;
        let spent = |before: Duration, now: Duration| now.saturating_sub(before);
        span.registrar_cpu =
            span.registrar_cpu.zip(used.registrar).map(|(before, usage)| spent(before, usage.cpu));
        span.loadgen_cpu = spent(span.loadgen_cpu, used.loadgen.cpu);
        let seconds = (span.ended - span.began).as_secs_f64();
        let (answers, selected) = (count(answers), count(selected));
        self.progress.end(
            phase.name(),
            format_args!("{answers} answers, {selected} elements selected in {seconds:.1} s"),
        );
    }

    /// How far a phase goes, in the unit of [`Run::position`].
    fn length(&self, phase: Phase) -> u64 {
        match phase {
            Phase::Connect => u64::from(self.plan.connections),
            Phase::Register | Phase::Audit | Phase::Deregister => u64::from(self.plan.elements),
            Phase::Steady => millis(self.plan.duration),
            Phase::Empty => u64::from(self.plan.pools),
        }
    }

    /// How far a phase has gone.
    fn position(&self, phase: Phase, counted: &Counted) -> u64 {
        let began = self.phase_counted;
        match phase {
            Phase::Connect => 0,
            Phase::Register | Phase::Deregister | Phase::Empty => counted.answers - began.answers,
            Phase::Steady => millis(counted.at.saturating_sub(began.at)),
            Phase::Audit => (counted.selected - began.selected).min(self.length(phase)),
        }
    }

    /// Waits until all client threads are done with a phase.
    fn await_phase(&mut self, phase: Phase) -> Result<(), Aborted> {
        let mut ready = 0;
        while ready < self.clients.len() {
            match self.news.recv_timeout(TICK) {
                Ok(News::Ready(of)) if of == phase => ready += 1,
                Ok(News::Ready(_)) => {}
                Ok(News::Interval(interval)) => self.add(phase, &interval)?,
                Ok(News::Failed(failure)) => return Err(self.failed(phase, &failure)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.tick(phase)?;
        }
        Ok(())
    }

    /// Watches for a while in which nothing is to happen.
    fn watch(&mut self, phase: Phase, time: Duration) -> Result<(), Aborted> {
        let until = self.clock.now() + time;
        while let Some(left) = until.checked_sub(self.clock.now()) {
            match self.news.recv_timeout(left) {
                Ok(News::Failed(failure)) => return Err(self.failed(phase, &failure)),
                Ok(News::Interval(interval)) => self.add(phase, &interval)?,
                Ok(News::Ready(_))
                | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, phase: Phase, interval: &crate::recorder::Interval) -> Result<(), Aborted> {
        let Some(timeline) = &mut self.timeline else { return Ok(()) };
        timeline.add(interval).map_err(|error| {
            let reason = format!("{}: {error}", self.plan.out.display());
            Aborted { phase: phase.name().to_owned(), reason }
        })
    }

    /// Looks at the processes and shows progress.
    fn tick(&mut self, phase: Phase) -> Result<(), Aborted> {
        let now = self.clock.now();
        if now.saturating_sub(self.last_used.at) >= SECOND {
            let used = self.used();
            self.note_usage(&used);
            self.last_used = used;
        }
        let lost = self.inside.as_mut().and_then(|inside| inside.ended(Duration::ZERO));
        if lost.is_some() {
            return Err(self.failed(phase, &Failure::Closed));
        }
        if self.clients.iter().any(Handle::has_ended) {
            // It has told why, unless it panicked.
            self.watch(phase, TICK)?;
            let reason = "a client thread panicked: a bug of the load generator".to_owned();
            return Err(Aborted { phase: phase.name().to_owned(), reason });
        }
        let counted = self.counted();
        let seconds = counted.at.saturating_sub(self.last_counted.at).as_secs_f64().max(1e-3);
        let per_second = |now: u64, before: u64| rate(now.saturating_sub(before), seconds);
        let answers = per_second(counted.answers, self.last_counted.answers);
        let selected = per_second(counted.selected, self.last_counted.selected);
        let (position, faults) = (self.position(phase, &counted), count(counted.faults));
        let told = format_args!("{answers} answers/s, {selected} selections/s, {faults} errors");
        self.progress.update(position, told);
        if counted.at.saturating_sub(self.last_counted.at) >= SECOND {
            self.last_counted = counted;
        }
        Ok(())
    }

    fn note_usage(&mut self, used: &Used) {
        let last = &self.last_used;
        let seconds = used.at.saturating_sub(last.at).as_secs_f64().max(1e-3);
        let cores = |now: Usage, before: Usage| {
            (now.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds * 100.0).round() / 100.0
        };
        self.usage.push(UsageSecond {
            at: used.at.as_secs_f64(),
            registrar_cores: used.registrar.map(|now| cores(now, last.registrar.unwrap_or(now))),
            registrar_bytes: used.registrar.map(|now| now.resident),
            loadgen_cores: cores(used.loadgen, last.loadgen),
        });
    }

    /// Why a run is broken off. Where the registrar inside died, that is why.
    fn failed(&mut self, phase: Phase, failure: &Failure) -> Aborted {
        let end = match (&mut self.inside, failure) {
            (Some(inside), Failure::Closed | Failure::Broken(_) | Failure::Connect(_)) => {
                let pid = inside.pid();
                inside.ended(DEATH).map(|end| format!("the registrar (process {pid}) {end}"))
            }
            _ => None,
        };
        let reason = end.unwrap_or_else(|| failure.to_string());
        Aborted { phase: phase.name().to_owned(), reason }
    }

    fn stop_clients(&mut self) -> Vec<Legacy> {
        for client in &self.clients {
            client.command(Command::Stop);
        }
        std::mem::take(&mut self.clients).into_iter().map(Handle::join).collect()
    }

    /// Ends the client threads and the registrar.
    fn finish(mut self, aborted: Option<Aborted>) -> Report {
        let legacies = self.stop_clients();
        while let Ok(news) = self.news.try_recv() {
            if let (News::Interval(interval), Some(timeline)) = (news, &mut self.timeline) {
                // Where the log cannot be written, the report says so.
                let _ = timeline.add(&interval);
            }
        }
        let seconds = self.clock.now();
        let stopped = match (&mut self.inside, &aborted) {
            (Some(inside), None) => inside.stop(),
            (Some(_) | None, _) => Ok(()),
        };
        self.progress.close();
        let aborted = aborted.or_else(|| {
            let phase = "stopping".to_owned();
            stopped.err().map(|reason| Aborted { phase, reason })
        });
        self.report(seconds, aborted, legacies)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn rate(number: u64, seconds: f64) -> String {
    crate::report::rounded(number as f64 / seconds)
}

/// The addresses of all targets, and which is the first of each.
fn resolved(plan: &Plan) -> Result<(Vec<SocketAddr>, Vec<usize>), String> {
    let (mut addresses, mut firsts) = (Vec::new(), Vec::new());
    for target in &plan.targets {
        let found = (target.host.as_str(), target.port).to_socket_addrs();
        let found = found.map_err(|error| format!("{target}: {error}"))?;
        firsts.push(addresses.len());
        addresses.extend(found);
    }
    Ok((addresses, firsts))
}

/// The processes on this host that listen at these addresses.
fn listening(transport: Transport, addresses: &[SocketAddr]) -> Vec<u32> {
    let pids = addresses.iter().filter_map(|&address| listener::pid(transport, address));
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Our address on the way to another one.
fn own_address(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Starts the client threads: the pools and connections dealt to them.
fn start_clients(
    plan: &Arc<Plan>,
    addresses: &[SocketAddr],
    firsts: &[usize],
    clock: Clock,
) -> Result<(Vec<Handle>, Receiver<News>), String> {
    let run = getrandom::u32().map_err(|error| error.to_string())?;
    let rsplib = plan.compat == Compat::Rsplib;
    let layout = Layout {
        elements: plan.elements,
        pools: plan.pools,
        shape: plan.shape,
        policies: plan.policies.clone(),
        own_address: addresses.first().filter(|_| rsplib).and_then(|&to| own_address(to)),
        least_weight: u32::from(rsplib),
        seed: plan.seed,
        run,
    };
    let (sender, news) = mpsc::channel();
    let (elements, users) = (plan.connections / 2, plan.connections.div_ceil(2));
    let mut clients = Vec::new();
    for (population, thread) in layout.populations(plan.threads as usize).into_iter().zip(0..) {
        let share =
            |all: u32| (all / plan.threads + u32::from(thread < all % plan.threads)) as usize;
        let setup = Setup {
            plan: Arc::clone(plan),
            addresses: addresses.into(),
            firsts: firsts.into(),
            clock,
            thread,
            element_connections: share(elements),
            user_connections: share(users),
        };
        let client = spawn(setup, population, sender.clone()).map_err(|error| error.to_string())?;
        clients.push(client);
    }
    Ok((clients, news))
}
