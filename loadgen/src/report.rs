//! The report of a run, as `report.json` has it. Its schema is
//! `schema/report.schema.json`.

mod chart;
mod html;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod units;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::recorder::Latencies;
use crate::stage::Phase;

pub use html::html;
pub use text::text;
pub(crate) use units::{count, duration, rounded};

/// What `schema` says in reports of this version.
pub const SCHEMA: &str = "rserpool-loadgen report 2";

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the load generator.
    pub version: String,
    /// When the run began, in seconds since 1970.
    pub started: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How it ended.
    pub result: Verdict,
    /// Why it was broken off, if it was.
    pub aborted: Option<Aborted>,
    /// Where it ran.
    pub host: Host,
    /// What it loaded.
    pub registrar: Registrar,
    /// What it did.
    pub workload: Workload,
    /// What happened in each phase.
    pub phases: Vec<PhaseReport>,
    /// What was selected in the steady state.
    pub selections: Selections,
    /// What the workload is about, beside throughput and latency.
    pub findings: Vec<Finding>,
    /// How a group of registrars stood in for each other.
    pub failover: Option<FailoverReport>,
    /// What the load generator can do at most here, if that was measured.
    pub ceiling: Option<Ceiling>,
    /// The registrar's memory, if it could be measured.
    pub memory: Option<Memory>,
    /// What was checked and what was wrong.
    pub checks: Checks,
    /// What limits the meaning of the numbers.
    pub warnings: Vec<String>,
    /// What happened in each second.
    pub series: Vec<Second>,
    /// What was used in each second.
    pub usage: Vec<UsageSecond>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every answer was right.
    Passed,
    /// Some answers were wrong.
    Failed,
    /// It could not be completed.
    Aborted,
}

/// Why a run was broken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aborted {
    /// In which phase.
    pub phase: String,
    /// Why.
    pub reason: String,
}

/// Where a run ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The name of the processor.
    pub processor: String,
    /// Its cores that could be used.
    pub cores: u32,
    /// The kernel.
    pub kernel: String,
}

/// What a run loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registrar {
    /// Where it takes ASAP; several of a group with spaces between them.
    pub target: String,
    /// What carries ASAP.
    pub transport: String,
    /// What was asked of it: `rfc` or `rsplib`.
    pub compat: String,
    /// Whether it was started for the run.
    pub inside: bool,
    /// Its processes that were measured.
    pub pids: Vec<u32>,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Pool elements.
    pub elements: u32,
    /// Pools.
    pub pools: u32,
    /// Their policies, in turn.
    pub policies: Vec<String>,
    /// Numbers of items asked for.
    pub items: Vec<u32>,
    /// Seconds of steady state.
    pub duration_seconds: f64,
    /// Resolutions a second that were due; none in a closed loop.
    pub rate: Option<u32>,
    /// Unanswered resolutions of each association of pool users in a closed
    /// loop; none in an open one.
    pub closed: Option<u32>,
    /// Seconds between re-registrations of an element.
    pub reregistration_seconds: f64,
    /// Deregistrations a second.
    pub churn: u32,
    /// Associations: half of them for elements, half for pool users.
    pub connections: u32,
    /// Client threads.
    pub threads: u32,
    /// The seed.
    pub seed: u64,
}

/// What happened in a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// When it began, in seconds since the run began.
    pub began: f64,
    /// How long it took.
    pub seconds: f64,
    /// What was done.
    pub operations: Vec<OperationReport>,
    /// How late requests were sent that were due at a time.
    pub send_lag_us: Option<Latency>,
    /// Requests that were due but never sent.
    pub unsent: u64,
    /// Processor seconds of the registrar, if it was measured.
    pub registrar_cpu_seconds: Option<f64>,
    /// Processor seconds of the load generator.
    pub loadgen_cpu_seconds: f64,
}

/// What happened to one operation in a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationReport {
    /// Its name.
    pub name: String,
    /// How often it was answered.
    pub count: u64,
    /// That by the seconds of the phase.
    pub per_second: f64,
    /// Pool elements in the answers.
    pub selected: u64,
    /// From the time a request was due to its answer.
    pub latency_us: Latency,
    /// Pairs of a quantile and its latency in microseconds.
    pub distribution: Vec<(f64, f64)>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// Something a workload finds out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What.
    pub name: String,
    /// How much; none if it did not happen.
    pub value: Option<f64>,
    /// In what unit: `s`, `us`, or none for a count.
    pub unit: String,
}

/// How a group of registrars stood in for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailoverReport {
    /// Associations that were lost.
    pub lost_associations: u64,
    /// Associations that were set up again.
    pub moved_associations: u64,
    /// Requests that were sent again.
    pub repeated_requests: u64,
    /// Resolutions that were not answered over the association they were sent
    /// on, and had to be sent again.
    pub failed_resolutions: u64,
    /// The longest time from the loss of an association to the first answer
    /// over the one in its place.
    pub recovery_seconds_max: f64,
    /// Answers that lacked elements another registrar had acknowledged.
    pub lagging_answers: u64,
    /// Elements with an acknowledged registration when the audit began.
    pub acknowledged_elements: u64,
    /// Of those, the ones that the audit did not find.
    pub lost_elements: u64,
}

/// What the load generator can do at most on its host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Resolutions a second, of a server that answers at once.
    pub per_second: f64,
    /// Processor time of the load generator for each, in microseconds.
    pub loadgen_cpu_us: f64,
    /// The same of that server.
    pub server_cpu_us: f64,
}

/// What was selected in the steady state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selections {
    /// Resolutions answered.
    pub resolutions: u64,
    /// Pool elements in the answers.
    pub elements: u64,
    /// Resolutions a second.
    pub resolutions_per_second: f64,
    /// Pool elements a second.
    pub elements_per_second: f64,
}

/// The registrar's memory: resident, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// With all connections open, before the first registration.
    pub before_bytes: u64,
    /// After the last registration.
    pub registered_bytes: u64,
    /// The difference by the number of elements, buffers of connections
    /// included.
    pub bytes_per_element: f64,
}

/// What was checked and what was wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Answers of all kinds.
    pub answers: u64,
    /// Pool elements in answers.
    pub elements: u64,
    /// Keep-alives acknowledged.
    pub keep_alives: u64,
    /// How far Weighted Random was from its weights, in standard deviations.
    pub weighted_random_deviation: Option<f64>,
    /// Errors of all kinds.
    pub errors: u64,
    /// Errors by kind, those that happened.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// The first errors in words.
    pub samples: Vec<String>,
}

/// What happened in one second, or in the part of it that belongs to a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    /// Which second since the run began.
    pub second: u64,
    /// The phase.
    pub phase: String,
    /// Pool elements selected.
    pub selected: u64,
    /// What was answered.
    pub operations: Vec<OperationSecond>,
}

/// What happened to one operation in a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationSecond {
    /// Its name.
    pub name: String,
    /// How often it was answered.
    pub count: u64,
    /// From the time a request was due to its answer.
    pub latency_us: Latency,
}

/// What was used in one second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageSecond {
    /// When it ended, in seconds since the run began.
    pub at: f64,
    /// Cores the registrar used, if it was measured.
    pub registrar_cores: Option<f64>,
    /// Its resident memory.
    pub registrar_bytes: Option<u64>,
    /// Cores the load generator used.
    pub loadgen_cores: f64,
}

impl Report {
    /// The steady state, if the run came so far.
    pub(crate) fn steady(&self) -> Option<&PhaseReport> {
        self.phases.iter().find(|phase| phase.name == Phase::Steady.name())
    }
}

impl Finding {
    /// Its value with its unit.
    pub(crate) fn told(&self) -> String {
        match (self.value, self.unit.as_str()) {
            (None, _) => "never".to_owned(),
            (Some(value), "") => rounded(value),
            (Some(value), "us") => duration(value),
            (Some(value), "s") => duration(value * 1e6),
            (Some(value), unit) => format!("{value} {unit}"),
        }
    }
}

impl Latency {
    /// Those of a histogram in nanoseconds.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let at = |quantile| micros(latencies.value_at_quantile(quantile));
        if latencies.is_empty() {
            return Self::default();
        }
        Self {
            min: micros(latencies.min()),
            mean: tenths(latencies.mean() / 1000.0),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(latencies.max()),
        }
    }
}

/// Quantiles and latencies in microseconds, closer together toward 1.
pub(crate) fn distribution(latencies: &Latencies) -> Vec<(f64, f64)> {
    const STEPS_PER_HALVING: u32 = 4;
    let points = latencies.iter_quantiles(STEPS_PER_HALVING);
    points.map(|point| (point.quantile_iterated_to(), micros(point.value_iterated_to()))).collect()
}

/// Nanoseconds as microseconds with one decimal.
fn micros(nanos: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 ns")]
    tenths(nanos as f64 / 1000.0)
}

/// Rounded to one decimal.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
