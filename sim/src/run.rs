//! One seed from the start to the verdict.

use core::fmt;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checks;
use crate::cluster::Cluster;
use crate::network::Micros;
use crate::rule::Rule;
use crate::settings::{SECOND, Settings, micros};
use crate::trace::Keep;

/// How to run a seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Simulated time. The last faults end early enough to see them healed.
    pub time: Duration,
    /// The rule to break.
    pub broken: Option<Rule>,
    /// What to write down.
    pub tracing: Tracing,
}

impl Default for Options {
    fn default() -> Self {
        Self { time: Duration::from_secs(600), broken: None, tracing: Tracing::Failure }
    }
}

/// What a run writes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// The last lines before a failure; a seed that fails runs twice for it.
    Failure,
    /// Everything.
    Everything,
}

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Things that happened to nodes.
    pub events: u64,
    /// Faults.
    pub faults: u64,
    /// Connections made or tried.
    pub connections: u64,
    /// Checks made.
    pub checks: u64,
    /// What happened, if [`Tracing::Everything`] was asked for.
    pub trace: Vec<String>,
}

impl Summary {
    /// Adds the counts of another run.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.faults += other.faults;
        self.connections += other.connections;
        self.checks += other.checks;
    }
}

/// Something was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What.
    pub what: String,
    /// When, since the start.
    pub at: Duration,
    /// What happened, up to then.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "after {:?}: {}", self.at, self.what)
    }
}

impl core::error::Error for Failure {}

/// Runs a seed.
///
/// # Errors
/// What was wrong first.
pub fn run_seed(seed: u64, options: &Options) -> Result<Summary, Failure> {
    match options.tracing {
        Tracing::Everything => run_once(seed, options, Keep::Everything),
        Tracing::Failure => run_once(seed, options, Keep::Nothing)
            .map_err(|first| run_once(seed, options, Keep::Tail).err().unwrap_or(first)),
    }
}

fn run_once(seed: u64, options: &Options, keep: Keep) -> Result<Summary, Failure> {
    let mut cluster = Cluster::new(Settings::draw(seed), options.broken, keep);
    let end = micros(options.time);
    // An assertion of the product that does not hold is a failure like others.
    let ran = catch_unwind(AssertUnwindSafe(|| play(&mut cluster, end)));
    let panicked = ran.err().map(|panic| panic_text(panic.as_ref()));
    let at = Duration::from_micros(cluster.cx.net.now());
    let what = panicked.or_else(|| cluster.cx.model.failure.take());
    let (faults, events) = (cluster.faults.total, cluster.events);
    let (connections, checks) = (cluster.cx.net.connections, cluster.cx.model.checks);
    let trace = cluster.cx.trace.into_lines();
    match what {
        Some(what) => Err(Failure { what, at, trace }),
        None => Ok(Summary { events, faults, connections, checks, trace }),
    }
}

/// Faults and calm in turns, until the time is over.
fn play(cluster: &mut Cluster, end: Micros) {
    let healing = cluster.cx.settings.healing();
    cluster.draw_faults();
    while cluster.cx.model.failure.is_none() {
        let now = cluster.cx.net.now();
        let storm = cluster.cx.chance.between(10 * SECOND, 120 * SECOND);
        let storm = storm.min(end.saturating_sub(now + healing));
        cluster.unleash();
        cluster.run(now + storm);
        cluster.heal();
        // All have told their checksums thrice in the end.
        let last = 4 * micros(cluster.cx.settings.group.heartbeat);
        cluster.run(now + storm + healing - last);
        let before = checks::mismatches(cluster);
        cluster.run(now + storm + healing);
        if cluster.cx.model.failure.is_none() {
            checks::check_healed(cluster, &before);
        }
        if cluster.cx.net.now() + healing + 10 * SECOND > end {
            return;
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("without a message"))
}
