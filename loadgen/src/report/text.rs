//! The screen at the end of a run.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::units::{bytes, count, duration, rounded};
use super::{PhaseReport, Report, Verdict};

/// The report on one screen. `out` is where its files are.
#[must_use]
pub fn text(report: &Report, out: &Path) -> String {
    let mut screen = String::new();
    let written = write(&mut screen, report, out);
    debug_assert!(written.is_ok(), "a string takes everything");
    screen
}

fn write(screen: &mut String, report: &Report, out: &Path) -> fmt::Result {
    head(screen, report)?;
    table(screen, report)?;
    writeln!(screen)?;
    totals(screen, report)?;
    for finding in &report.findings {
        entry(screen, "finding", &format!("{}: {}", finding.name, finding.told()))?;
    }
    if let Some(failover) = &report.failover {
        let (lost, moved) = (failover.lost_associations, failover.moved_associations);
        let (failed, lagging) = (failover.failed_resolutions, failover.lagging_answers);
        let told = format!(
            "{} associations lost, {} set up again within {:.2} s, {} resolutions failed, {} answers behind, \
             {} of {} acknowledged elements lost",
            count(lost),
            count(moved),
            failover.recovery_seconds_max,
            count(failed),
            count(lagging),
            count(failover.lost_elements),
            count(failover.acknowledged_elements)
        );
        entry(screen, "failover", &told)?;
    }
    if let Some(ceiling) = &report.ceiling {
        let told = format!(
            "{}/s against a server that answers at once ({} us of processor each)",
            rounded(ceiling.per_second),
            ceiling.loadgen_cpu_us
        );
        entry(screen, "ceiling", &told)?;
    }
    for warning in &report.warnings {
        entry(screen, "note", warning)?;
    }
    checks(screen, report)?;
    let files = out.display();
    writeln!(screen, "  {:<15}{files}/report.html, report.json, latency.hlog", "files")?;
    if let Some(aborted) = &report.aborted {
        let reason = format!("while {}: {}", aborted.phase, aborted.reason);
        entry(screen, "broken off", &reason)?;
    }
    let result = match report.result {
        Verdict::Passed => "PASSED",
        Verdict::Failed => "FAILED",
        Verdict::Aborted => "ABORTED",
    };
    writeln!(screen, "  {:<15}{result} after {:.1} s", "result", report.seconds)
}

fn head(screen: &mut String, report: &Report) -> fmt::Result {
    let (workload, host, registrar) = (&report.workload, &report.host, &report.registrar);
    let (elements, pools) = (count(workload.elements.into()), count(workload.pools.into()));
    let name = &workload.name;
    writeln!(screen)?;
    writeln!(
        screen,
        "rserpool-loadgen {}: {name}, {elements} pool elements in {pools} pools",
        report.version
    )?;
    let place = match (registrar.inside, registrar.pids.is_empty()) {
        (true, _) => ", started for this run",
        (false, false) => ", measured on this host",
        (false, true) => "",
    };
    writeln!(screen, "  {:<15}{}{place}", "registrar", registrar.target)?;
    let (threads, connections) = (workload.threads, workload.connections);
    let (cores, kernel, processor) = (host.cores, &host.kernel, &host.processor);
    writeln!(screen, "  {:<15}{processor}, {cores} cores, {kernel}", "host")?;
    let pace = match (workload.closed, workload.rate) {
        (Some(window), _) => {
            format!("closed loop, {} resolutions unanswered each", count(window.into()))
        }
        (None, rate) => {
            format!("open loop, {} resolutions/s due", count(rate.unwrap_or(0).into()))
        }
    };
    let plural = if threads == 1 { "" } else { "s" };
    writeln!(
        screen,
        "  {:<15}{pace}, {connections} connections, {threads} client thread{plural}, seed {}",
        "load", workload.seed
    )
}

fn table(screen: &mut String, report: &Report) -> fmt::Result {
    let columns = ["answers", "per second", "p50", "p99", "p99.9", "max"];
    writeln!(screen)?;
    write!(screen, "  {:<14}{:<16}", "phase", "operation")?;
    let [answers, rate, quantiles @ ..] = columns;
    write!(screen, "{answers:>11}{rate:>12}")?;
    for quantile in quantiles {
        write!(screen, "{quantile:>10}")?;
    }
    writeln!(screen)?;
    for phase in &report.phases {
        let mut name = phase.name.as_str();
        for operation in &phase.operations {
            let latency = &operation.latency_us;
            write!(screen, "  {name:<14}{:<16}{:>11}", operation.name, count(operation.count))?;
            write!(screen, "{:>12}", rounded(operation.per_second))?;
            for value in [latency.p50, latency.p99, latency.p99_9, latency.max] {
                write!(screen, "{:>10}", duration(value))?;
            }
            writeln!(screen)?;
            name = "";
        }
    }
    Ok(())
}

fn totals(screen: &mut String, report: &Report) -> fmt::Result {
    let registrations = report
        .phases
        .iter()
        .find_map(|phase| phase.operations.iter().find(|operation| operation.name == "register"));
    if let Some(registrations) = registrations {
        let (number, rate) = (count(registrations.count), rounded(registrations.per_second));
        writeln!(screen, "  {:<15}{rate}/s ({number})", "registrations")?;
    }
    let selections = &report.selections;
    writeln!(
        screen,
        "  {:<15}{}/s pool elements in {}/s resolutions ({} in {})",
        "selections",
        rounded(selections.elements_per_second),
        rounded(selections.resolutions_per_second),
        count(selections.elements),
        count(selections.resolutions)
    )?;
    if let Some(memory) = &report.memory {
        let growth = memory.registered_bytes.saturating_sub(memory.before_bytes);
        writeln!(
            screen,
            "  {:<15}{:.0} bytes per pool element (registrar {}, {} of it since it was empty)",
            "memory",
            memory.bytes_per_element,
            bytes(memory.registered_bytes),
            bytes(growth)
        )?;
    }
    if let Some(steady) = report.steady() {
        writeln!(screen, "  {:<15}{}", "processor", processor(steady))?;
    }
    Ok(())
}

fn processor(steady: &PhaseReport) -> String {
    let cores = |seconds: f64| seconds / steady.seconds.max(1e-9);
    let loadgen = cores(steady.loadgen_cpu_seconds);
    let registrar = steady.registrar_cpu_seconds.map(|seconds| {
        let resolved: u64 = steady.operations.iter().map(|operation| operation.count).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
        let each = duration(seconds * 1e6 / resolved.max(1) as f64);
        format!("registrar {:.2} cores ({each} a request), ", cores(seconds))
    });
    let registrar = registrar.unwrap_or_default();
    format!("{registrar}load generator {loadgen:.2} cores, in the steady state")
}

fn checks(screen: &mut String, report: &Report) -> fmt::Result {
    let checks = &report.checks;
    writeln!(
        screen,
        "  {:<15}{} answers with {} pool elements checked, {} keep-alives acknowledged",
        "checks",
        count(checks.answers),
        count(checks.elements),
        count(checks.keep_alives)
    )?;
    let kinds: Vec<_> = checks
        .errors_by_kind
        .iter()
        .map(|(kind, number)| format!("{kind} {}", count(*number)))
        .collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    writeln!(screen, "  {:<15}{}{kinds}", "errors", count(checks.errors))?;
    checks.samples.iter().try_for_each(|sample| entry(screen, "", sample))
}

/// A line with a label, wrapped at words where it would be too long.
fn entry(screen: &mut String, label: &str, text: &str) -> fmt::Result {
    const WIDTH: usize = 96;
    let (mut label, mut line) = (label, String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(screen, "  {label:<15}{line}")?;
            (label, line) = ("", String::new());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(screen, "  {label:<15}{line}")
}
