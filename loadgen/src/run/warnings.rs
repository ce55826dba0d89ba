//! What limits the meaning of a run's numbers.

use crate::report::{Ceiling, Host, PhaseReport, count, duration};
use crate::stage::Phase;

/// A load generator that sends later than this, one time in a hundred, adds to
/// the latencies that it measures.
const LATE_US: f64 = 5_000.0;
/// A run that does not send one in so many requests is short of load.
const UNSENT_SHARE: u64 = 100;
/// So near to its ceiling, the load generator may be what limits a run.
const NEAR: f64 = 0.8;
/// A thread, or all cores together, so busy has nothing left.
const BUSY: f64 = 0.9;

/// In words.
pub(super) fn warnings(
    phases: &[PhaseReport],
    host: &Host,
    threads: u32,
    ceiling: Option<Ceiling>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(steady) = phases.iter().find(|phase| phase.name == Phase::Steady.name()) else {
        return warnings;
    };
    if let Some(lag) = steady.send_lag_us.filter(|lag| lag.p99 > LATE_US) {
        let p99 = duration(lag.p99);
        let late = format!("the load generator sent late (p99 {p99}), which counts as latency");
        warnings.push(format!("{late}: {}", bottleneck(steady, host, threads)));
    }
    warnings.extend(ceiling.and_then(|ceiling| near_ceiling(steady, host, ceiling)));
    let answers: u64 = steady.operations.iter().map(|operation| operation.count).sum();
    if steady.unsent > answers / UNSENT_SHARE {
        let unsent = count(steady.unsent);
        warnings.push(format!("{unsent} requests were due but not sent before the end"));
    }
    warnings
}

/// Whether the load generator, not the registrar, was the bottleneck of a
/// closed loop.
fn near_ceiling(steady: &PhaseReport, host: &Host, ceiling: Ceiling) -> Option<String> {
    let seconds = steady.seconds.max(1e-9);
    let rate: f64 = steady.operations.iter().map(|operation| operation.per_second).sum();
    let share = rate / ceiling.per_second.max(1.0);
    let idle = steady.registrar_cpu_seconds.is_some_and(|used| used / seconds < BUSY);
    let all = steady.loadgen_cpu_seconds + steady.registrar_cpu_seconds.unwrap_or(0.0);
    let crowded = all / seconds >= BUSY * f64::from(host.cores);
    let ceiling = crate::report::rounded(ceiling.per_second);
    let told = format!("at {:.0} % of the {ceiling}/s it can do here", share * 100.0);
    match (share >= NEAR, idle && !crowded) {
        (true, _) => Some(format!("the load generator was the bottleneck: {told}")),
        (false, true) => Some(format!("neither was busy: {told}; give it a larger --closed")),
        (false, false) => None,
    }
}

fn bottleneck(steady: &PhaseReport, host: &Host, threads: u32) -> String {
    let seconds = steady.seconds.max(1e-9);
    let loadgen = steady.loadgen_cpu_seconds / seconds;
    let registrar = steady.registrar_cpu_seconds.map(|used| used / seconds);
    let cores = f64::from(host.cores);
    if loadgen + registrar.unwrap_or(0.0) >= BUSY * cores {
        return format!("it and the registrar had all {cores} cores in use; lower --rate");
    }
    if loadgen >= BUSY * f64::from(threads) {
        return "it was the bottleneck, not the registrar; give it more --threads".to_owned();
    }
    "neither it nor the registrar was busy, so something else on the host was".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Latency, OperationReport};

    fn told(lag: f64, loadgen: f64, registrar: Option<f64>, unsent: u64) -> String {
        let steady = PhaseReport {
            name: Phase::Steady.name().to_owned(),
            began: 1.0,
            seconds: 10.0,
            operations: Vec::new(),
            send_lag_us: Some(Latency { p99: lag, ..Latency::default() }),
            unsent,
            registrar_cpu_seconds: registrar,
            loadgen_cpu_seconds: loadgen,
        };
        let host = Host { processor: String::new(), cores: 4, kernel: String::new() };
        warnings(&[steady], &host, 1, None).join("\n")
    }

    #[test]
    fn a_load_generator_in_time_warns_of_nothing() {
        assert_eq!(told(900.0, 9.9, Some(30.0), 0), "");
        assert_eq!(
            warnings(
                &[],
                &Host { processor: String::new(), cores: 1, kernel: String::new() },
                1,
                None
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_closed_loop_at_its_ceiling_says_that_the_load_generator_limits_it() {
        let told = |rate: f64, registrar: f64| {
            let operation = OperationReport {
                name: "resolve 1".to_owned(),
                count: 10,
                per_second: rate,
                selected: 10,
                latency_us: Latency::default(),
                distribution: Vec::new(),
            };
            let steady = PhaseReport {
                name: Phase::Steady.name().to_owned(),
                began: 1.0,
                seconds: 10.0,
                operations: vec![operation],
                send_lag_us: None,
                unsent: 0,
                registrar_cpu_seconds: Some(registrar),
                loadgen_cpu_seconds: 5.0,
            };
            let host = Host { processor: String::new(), cores: 4, kernel: String::new() };
            let ceiling =
                Ceiling { per_second: 100_000.0, loadgen_cpu_us: 5.0, server_cpu_us: 1.0 };
            warnings(&[steady], &host, 1, Some(ceiling)).join("\n")
        };
        assert!(told(90_000.0, 9.9).contains("the bottleneck: at 90 % of the 100,000/s"));
        assert!(told(50_000.0, 3.0).contains("neither was busy"));
        assert_eq!(told(50_000.0, 9.9), "");
    }

    #[test]
    fn who_was_the_bottleneck_is_told() {
        assert!(told(9000.0, 9.9, Some(2.0), 0).contains("it was the bottleneck"));
        assert!(told(9000.0, 9.9, Some(29.0), 0).contains("all 4 cores"));
        assert!(told(9000.0, 2.0, None, 0).contains("something else"));
        assert!(told(0.0, 2.0, None, 1234).contains("1,234 requests"));
    }
}
