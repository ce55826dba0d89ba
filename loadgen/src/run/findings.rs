//! What a workload is about, beside throughput and latency.

use std::time::Duration;

use super::Span;
use crate::plan::Plan;
use crate::report::{Finding, Second};
use crate::stage::Phase;
use crate::worker::Legacy;
use crate::workload::Workload;

/// Latency is back to what it was when it is at most so many times that.
const RECOVERED: f64 = 2.0;

/// What this workload found out.
pub(super) fn findings(
    plan: &Plan,
    spans: &[Span],
    series: &[Second],
    legacies: &[Legacy],
) -> Vec<Finding> {
    let Some(steady) = spans.iter().find(|span| span.phase == Phase::Steady) else {
        return Vec::new();
    };
    match plan.workload {
        Workload::FlashCrowd => flash_crowd(plan.duration, steady, series),
        Workload::MassFailure => mass_failure(legacies),
        Workload::Canonical
        | Workload::HugePool
        | Workload::TinyPools
        | Workload::ChurnStorm
        | Workload::Reregistration => Vec::new(),
    }
}

fn finding(name: &str, value: Option<f64>, unit: &str) -> Finding {
    let value = value.map(|value| (value * 1000.0).round() / 1000.0);
    Finding { name: name.to_owned(), value, unit: unit.to_owned() }
}

/// The worst 99th percentile of usual resolutions before, in and after the
/// crowd, and how long it took until latency was as before.
fn flash_crowd(duration: Duration, steady: &Span, series: &[Second]) -> Vec<Finding> {
    let third = duration.as_secs_f64() / 3.0;
    let began = steady.began.as_secs_f64();
    // Whole seconds within the steady state: where they begin, and the worst.
    let mut seconds = Vec::new();
    for second in series.iter().filter(|second| second.phase == steady.phase.name()) {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        let at = second.second as f64 - began;
        let usual = second.operations.iter().filter(|operation| {
            operation.name.starts_with("resolve ") && !operation.name.contains('(')
        });
        let worst = usual.map(|operation| operation.latency_us.p99).fold(0.0, f64::max);
        if at >= 0.0 && at + 1.0 <= duration.as_secs_f64() {
            seconds.push((at, worst));
        }
    }
    let part = |from: f64, until: f64| {
        let within = seconds.iter().filter(move |&&(at, _)| at >= from && at + 1.0 <= until);
        let mut values: Vec<f64> = within.map(|&(_, worst)| worst).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let (before, crowd, after) =
        (part(0.0, third), part(third, 2.0 * third), part(2.0 * third, 3.0 * third));
    let recovered = before.and_then(|before| {
        let calm = |&&(at, worst): &&(f64, f64)| at >= 2.0 * third && worst <= RECOVERED * before;
        seconds.iter().find(calm).map(|&(at, _)| (at - 2.0 * third).max(0.0))
    });
    vec![
        finding("p99 of resolutions before the crowd", before, "us"),
        finding("p99 of resolutions in the crowd", crowd, "us"),
        finding("p99 of resolutions after the crowd", after, "us"),
        finding("from the end of the crowd to a second as before", recovered, "s"),
    ]
}

fn mass_failure(legacies: &[Legacy]) -> Vec<Finding> {
    let all = || legacies.iter().map(|legacy| &legacy.disruption);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (elements, selections) = (
        all().map(|d| d.elements).sum::<u64>() as f64,
        all().map(|d| d.selections).sum::<u64>() as f64,
    );
    let since = |from: Option<Duration>, to: Option<Duration>| {
        to.zip(from).map(|(to, from)| to.saturating_sub(from).as_secs_f64())
    };
    let selected = all().filter_map(|d| since(d.cut_at, d.selected_last)).reduce(f64::max);
    let returns: Option<Vec<f64>> = all().map(|d| since(d.back_at, d.returned_at)).collect();
    let returned = returns.and_then(|times| times.into_iter().reduce(f64::max));
    vec![
        finding("elements whose association was lost", Some(elements), ""),
        finding("selections of them afterward", Some(selections), ""),
        finding("from the loss to the last of these", selected.or(Some(0.0)), "s"),
        finding("from the reconnection to all registered again", returned, "s"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Latency, OperationSecond};

    #[test]
    fn a_flash_crowd_tells_how_soon_latency_is_as_before() {
        let second = |second: u64| {
            let p99 = match second {
                12..22 => 9000.0,
                22 => 5000.0,
                _ => 100.0,
            };
            Second {
                second,
                phase: Phase::Steady.name().to_owned(),
                selected: 1,
                operations: vec![OperationSecond {
                    name: "resolve 3".to_owned(),
                    count: 1,
                    latency_us: Latency { p99, ..Latency::default() },
                }],
            }
        };
        let series: Vec<_> = (2..32).map(second).collect();
        let at = Duration::from_secs;
        let steady = Span {
            phase: Phase::Steady,
            began: at(2),
            ended: at(32),
            registrar_cpu: None,
            loadgen_cpu: at(1),
        };
        let found = flash_crowd(at(30), &steady, &series);
        let values: Vec<_> = found.iter().map(|finding| finding.value).collect();
        assert_eq!(values, [Some(100.0), Some(9000.0), Some(100.0), Some(1.0)]);
    }
}
