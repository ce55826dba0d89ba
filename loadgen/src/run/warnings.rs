//! What limits the meaning of a run's numbers.

use crate::report::{Host, PhaseReport, count, duration};
use crate::stage::Phase;

/// A load generator that sends later than this, one time in a hundred, adds to
/// the latencies that it measures.
const LATE_US: f64 = 5_000.0;
/// A run that does not send one in so many requests is short of load.
const UNSENT_SHARE: u64 = 100;
/// A thread, or all cores together, so busy has nothing left.
const BUSY: f64 = 0.9;

/// In words.
pub(super) fn warnings(phases: &[PhaseReport], host: &Host, threads: u32) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(steady) = phases.iter().find(|phase| phase.name == Phase::Steady.name()) else {
        return warnings;
    };
    if let Some(lag) = steady.send_lag_us.filter(|lag| lag.p99 > LATE_US) {
        let p99 = duration(lag.p99);
        let late = format!("the load generator sent late (p99 {p99}), which counts as latency");
        warnings.push(format!("{late}: {}", bottleneck(steady, host, threads)));
    }
    let answers: u64 = steady.operations.iter().map(|operation| operation.count).sum();
    if steady.unsent > answers / UNSENT_SHARE {
        let unsent = count(steady.unsent);
        warnings.push(format!("{unsent} requests were due but not sent before the end"));
    }
    warnings
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
    use crate::report::Latency;

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
        warnings(&[steady], &host, 1).join("\n")
    }

    #[test]
    fn a_load_generator_in_time_warns_of_nothing() {
        assert_eq!(told(900.0, 9.9, Some(30.0), 0), "");
        assert_eq!(
            warnings(&[], &Host { processor: String::new(), cores: 1, kernel: String::new() }, 1),
            [""; 0]
        );
    }

    #[test]
    fn who_was_the_bottleneck_is_told() {
        assert!(told(9000.0, 9.9, Some(2.0), 0).contains("it was the bottleneck"));
        assert!(told(9000.0, 9.9, Some(29.0), 0).contains("all 4 cores"));
        assert!(told(9000.0, 2.0, None, 0).contains("something else"));
        assert!(told(0.0, 2.0, None, 1234).contains("1,234 requests"));
    }
}
