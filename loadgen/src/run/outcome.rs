//! The report of what a run measured.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::{Run, Span, findings, warnings};
use crate::fault::{Fault, Faults};
use crate::model::Spread;
use crate::plan::Pace;
use crate::process;
use crate::recorder::Tally;
use crate::report::{
    Aborted, Checks, FailoverReport, Host, Latency, Memory, OperationReport, PhaseReport,
    Registrar, Report, SCHEMA, Selections, Verdict, Workload, distribution,
};
use crate::stage::{Operation, Phase, operation_names};
use crate::timeline::PhaseTotals;
use crate::worker::Legacy;

impl Run<'_> {
    /// The report, `elapsed` after the run began.
    pub(super) fn report(
        mut self,
        elapsed: Duration,
        aborted: Option<Aborted>,
        legacies: Vec<Legacy>,
    ) -> Report {
        let mut totals = BTreeMap::new();
        let mut series = Vec::new();
        if let Some(mut timeline) = self.timeline.take() {
            // Where the log cannot be written, the run was broken off before.
            let _ = timeline.settle(u64::MAX);
            (totals, series) = (timeline.phases, timeline.seconds);
        }
        let unsent = legacies.iter().map(|legacy| legacy.unsent).sum();
        let phases: Vec<PhaseReport> = self
            .spans
            .iter()
            .map(|span| self.phase(span, totals.get(&span.phase), unsent))
            .collect();
        let answers = phases.iter().flat_map(|phase| &phase.operations).map(|o| o.count).sum();
        let findings = findings::findings(&self.plan, &self.spans, &series, &legacies);
        let failover = self.plan.is_group().then(|| failover(&legacies));
        let checks = checks(answers, legacies);
        let steady = self.spans.iter().find(|span| span.phase == Phase::Steady);
        let result = match (&aborted, checks.errors) {
            (Some(_), _) => Verdict::Aborted,
            (None, 0) => Verdict::Passed,
            (None, _) => Verdict::Failed,
        };
        let host = Host {
            processor: process::processor(),
            cores: process::cores(),
            kernel: process::kernel(),
        };
        Report {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            seconds: rounded(elapsed),
            result,
            aborted,
            warnings: warnings::warnings(&phases, &host, self.plan.threads, self.ceiling),
            findings,
            failover,
            ceiling: self.ceiling,
            host,
            registrar: Registrar {
                target: self.target.clone(),
                transport: self.plan.transport.name().to_owned(),
                compat: self.plan.compat.name().to_owned(),
                inside: self.inside.is_some(),
                pids: self.pids.clone(),
            },
            workload: self.workload(),
            selections: selections(steady, totals.get(&Phase::Steady)),
            memory: self.memory_report(),
            phases,
            checks,
            series,
            usage: self.usage,
        }
    }

    fn workload(&self) -> Workload {
        let plan = &self.plan;
        Workload {
            name: plan.workload.name().to_owned(),
            elements: plan.elements,
            pools: plan.pools,
            policies: plan.policies.iter().map(|policy| policy.name().to_owned()).collect(),
            items: plan.items.clone(),
            duration_seconds: plan.duration.as_secs_f64(),
            rate: (plan.pace == Pace::Open).then_some(plan.rate),
            closed: match plan.pace {
                Pace::Open => None,
                Pace::Closed(window) => Some(window),
            },
            reregistration_seconds: plan.reregistration_interval.as_secs_f64(),
            churn: plan.churn,
            connections: plan.connections,
            threads: plan.threads,
            seed: plan.seed,
        }
    }

    fn memory_report(&self) -> Option<Memory> {
        let [Some(before), Some(registered)] = self.memory else { return None };
        #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^52")]
        let growth = registered.saturating_sub(before) as f64;
        Some(Memory {
            before_bytes: before,
            registered_bytes: registered,
            bytes_per_element: (growth / f64::from(self.plan.elements) * 10.0).round() / 10.0,
        })
    }

    fn phase(&self, span: &Span, totals: Option<&PhaseTotals>, unsent: u64) -> PhaseReport {
        let names = operation_names(&self.plan.items);
        let seconds = (span.ended - span.began).as_secs_f64();
        let operation = |(index, tally): (usize, &Tally)| {
            let count = tally.latencies.len();
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            let per_second = count as f64 / seconds.max(1e-9);
            OperationReport {
                name: names.get(index).cloned().unwrap_or_default(),
                count,
                per_second: (per_second * 10.0).round() / 10.0,
                selected: tally.selected,
                latency_us: Latency::of(&tally.latencies),
                distribution: distribution(&tally.latencies),
            }
        };
        let operations = totals.map(|totals| totals.operations.iter().map(operation).collect());
        let lag = totals.and_then(|totals| totals.lag.as_ref());
        PhaseReport {
            name: span.phase.name().to_owned(),
            began: rounded(span.began),
            seconds: rounded(span.ended - span.began),
            operations: operations.unwrap_or_default(),
            send_lag_us: lag.map(Latency::of),
            unsent: if span.phase == Phase::Steady { unsent } else { 0 },
            registrar_cpu_seconds: span.registrar_cpu.map(rounded),
            loadgen_cpu_seconds: rounded(span.loadgen_cpu),
        }
    }
}

/// Seconds with three decimals.
fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// What was selected in the steady state.
fn selections(span: Option<&Span>, totals: Option<&PhaseTotals>) -> Selections {
    let (Some(span), Some(totals)) = (span, totals) else { return Selections::default() };
    let resolving = |&(index, _): &(usize, &Tally)| Operation(index).is_resolution();
    let (mut resolutions, mut elements) = (0, 0);
    for (_, tally) in totals.operations.iter().filter(resolving) {
        resolutions += tally.latencies.len();
        elements += tally.selected;
    }
    let seconds = (span.ended - span.began).as_secs_f64().max(1e-9);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let per_second = |number: u64| (number as f64 / seconds * 10.0).round() / 10.0;
    Selections {
        resolutions,
        elements,
        resolutions_per_second: per_second(resolutions),
        elements_per_second: per_second(elements),
    }
}

fn failover(legacies: &[Legacy]) -> FailoverReport {
    let mut sum = FailoverReport::default();
    for legacy in legacies {
        let failover = legacy.failover;
        sum.lost_associations += failover.lost;
        sum.moved_associations += failover.moved;
        sum.repeated_requests += failover.repeated;
        sum.failed_resolutions += failover.failed;
        let recovery = rounded(failover.recovery);
        sum.recovery_seconds_max = sum.recovery_seconds_max.max(recovery);
        sum.lagging_answers += failover.lagging;
        sum.acknowledged_elements += failover.acknowledged;
        sum.lost_elements += legacy.faults.count(Fault::Lost);
    }
    sum
}

fn checks(answers: u64, legacies: Vec<Legacy>) -> Checks {
    let (mut faults, mut spread) = (Faults::default(), Spread::default());
    let (mut elements, mut keep_alives) = (0, 0);
    for legacy in legacies {
        faults.merge(&legacy.faults);
        spread.merge(&legacy.spread);
        elements += legacy.checked;
        keep_alives += legacy.keep_alives;
    }
    if let Some(deviation) = spread.deviation().filter(|_| spread.is_wrong()) {
        let what = format_args!("the weights are missed by {deviation:.1} standard deviations");
        faults.add(Fault::Spread, what);
    }
    let kinds = Fault::ALL.into_iter().map(|kind| (kind.name().to_owned(), faults.count(kind)));
    Checks {
        answers,
        elements,
        keep_alives,
        weighted_random_deviation: spread.deviation().map(|by| (by * 100.0).round() / 100.0),
        errors: faults.total(),
        errors_by_kind: kinds.filter(|&(_, count)| count > 0).collect(),
        samples: faults.samples().to_vec(),
    }
}
