//! Whether one report is better or worse than another, or the difference is
//! noise.
//!
//! Figures that a report has for every second are compared by their medians
//! over the seconds of the steady state. How far these would be apart by
//! chance follows from how the seconds differ among themselves. It says
//! nothing of what differs from run to run; only more runs do.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::report::{Latency, Report, SCHEMA, Second};
use crate::stage::Phase;

/// So many standard errors apart is no chance.
const SURE: f64 = 4.0;
/// Seconds at the beginning and end that are left out: they are not whole.
const EDGE: usize = 1;
/// Fewer seconds say nothing about noise.
const SECONDS_MIN: usize = 4;
const EXIT_WORSE: u8 = 1;
const EXIT_UNUSABLE: u8 = 2;

/// Options of the subcommand `compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 if nothing got worse, 1 if something did, 2 if the command line
is wrong, a report cannot be read, or the two are of different loads.")]
pub(crate) struct CompareOptions {
    /// The report to compare with
    #[arg(value_name = "A.json")]
    before: PathBuf,
    /// The report to compare
    #[arg(value_name = "B.json")]
    after: PathBuf,
    /// Differences up to so many percent are no differences
    #[arg(long, value_name = "PERCENT", default_value_t = 5,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    tolerance: u8,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Reads, compares and prints.
pub(crate) fn compare(options: &CompareOptions) -> ExitCode {
    let read = |path: &Path| read(path).map_err(|error| format!("{}: {error}", path.display()));
    let reports = read(&options.before).and_then(|before| Ok((before, read(&options.after)?)));
    let reports = reports.and_then(|(before, after)| {
        let differences = differences(&before, &after);
        if differences.is_empty() {
            return Ok((before, after));
        }
        Err(format!("the reports are of different loads: {}", differences.join(", ")))
    });
    let (before, after) = match reports {
        Ok(reports) => reports,
        Err(error) => {
            // Where nobody reads it, the exit status tells.
            let _ = writeln!(io::stderr(), "error: {error}");
            return ExitCode::from(EXIT_UNUSABLE);
        }
    };
    let rows = rows(&before, &after, f64::from(options.tolerance) / 100.0);
    let told = if options.json {
        serde_json::to_string_pretty(&rows).map_err(io::Error::other)
    } else {
        Ok(table(&before, &after, &rows))
    };
    match told.and_then(|told| writeln!(io::stdout(), "{told}")) {
        Err(_) => ExitCode::from(EXIT_UNUSABLE),
        Ok(()) if rows.iter().any(|row| row.verdict == Change::Worse) => ExitCode::from(EXIT_WORSE),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn read(path: &Path) -> Result<Report, String> {
    let json = std::fs::read(path).map_err(|error| error.to_string())?;
    let report: Report = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    if report.schema != SCHEMA {
        return Err(format!("it is a {:?}, not a {SCHEMA:?}", report.schema));
    }
    Ok(report)
}

/// What makes the loads of two reports different. The registrar, its transport
/// and the host may differ: that is what one compares.
fn differences(before: &Report, after: &Report) -> Vec<String> {
    let loads = [before, after].map(|report| {
        let mut load = serde_json::to_value(&report.workload).unwrap_or_default();
        // Other client threads and another seed give the same load.
        for free in ["seed", "threads"] {
            load.as_object_mut().and_then(|load| load.remove(free));
        }
        load
    });
    let [Some(a), Some(b)] = [loads[0].as_object(), loads[1].as_object()] else {
        return Vec::new();
    };
    let different = a.iter().filter(|(name, value)| b.get(*name) != Some(*value));
    let told = different.map(|(name, value)| {
        let other = b.get(name).unwrap_or(&serde_json::Value::Null);
        format!("{name} {value} and {other}")
    });
    told.collect()
}

/// How a figure changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Better,
    Worse,
    /// Not by more than the tolerance.
    Same,
    /// By more than the tolerance, but within what chance does.
    Noise,
}

/// A figure of both reports.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    before: f64,
    after: f64,
    ratio: f64,
    /// The standard error of the ratio, as far as the seconds tell.
    error: Option<f64>,
    verdict: Change,
}

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Good {
    Less,
    More,
}

fn rows(before: &Report, after: &Report, tolerance: f64) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name: &str, good, of: &dyn Fn(&Report) -> Vec<f64>| {
        rows.extend(row(name, good, &of(before), &of(after), tolerance));
    };
    add("registrations/s", Good::More, &|report| registrations(report));
    if before.workload.closed.is_some() {
        add("resolutions/s", Good::More, &|report| {
            seconds(report, |second| sum(second, |name| name.starts_with("resolve")))
        });
    }
    add("registrar CPU us/answer", Good::Less, &|report| cpu(report, |used| used.registrar_cores));
    let mut names: Vec<&str> = Vec::new();
    for operation in before.steady().iter().flat_map(|steady| &steady.operations) {
        names.push(&operation.name);
    }
    for name in names {
        for (quantile, of) in QUANTILES {
            add(&format!("{name} {quantile} us"), Good::Less, &|report| {
                seconds(report, |second| {
                    let found = second.operations.iter().find(|operation| operation.name == name);
                    found.map(|operation| of(&operation.latency_us))
                })
            });
        }
    }
    add("bytes/element", Good::Less, &|report| {
        report.memory.iter().map(|memory| memory.bytes_per_element).collect()
    });
    add("errors", Good::Less, &|report| vec![errors(report)]);
    rows
}

/// A quantile and its name.
type Quantile = (&'static str, fn(&Latency) -> f64);

const QUANTILES: [Quantile; 2] = [("p50", |latency| latency.p50), ("p99", |latency| latency.p99)];

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn errors(report: &Report) -> f64 {
    report.checks.errors as f64
}

fn registrations(report: &Report) -> Vec<f64> {
    let phase = report.phases.iter().find(|phase| phase.name == Phase::Register.name());
    let operations = phase.iter().flat_map(|phase| &phase.operations);
    operations.map(|operation| operation.per_second).collect()
}

/// A figure of each whole second of the steady state.
fn seconds(report: &Report, of: impl Fn(&Second) -> Option<f64>) -> Vec<f64> {
    let steady: Vec<&Second> =
        report.series.iter().filter(|second| second.phase == Phase::Steady.name()).collect();
    let whole = steady.get(EDGE..steady.len().saturating_sub(EDGE)).unwrap_or_default();
    whole.iter().filter_map(|second| of(second)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn sum(second: &Second, counts: impl Fn(&str) -> bool) -> Option<f64> {
    let operations = second.operations.iter().filter(|operation| counts(&operation.name));
    Some(operations.map(|operation| operation.count as f64).sum())
}

/// Processor time by the answers of the same second.
fn cpu(report: &Report, of: impl Fn(&crate::report::UsageSecond) -> Option<f64>) -> Vec<f64> {
    seconds(report, |second| {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        let middle = second.second as f64 + 0.5;
        let used = report.usage.iter().find(|used| used.at >= middle && used.at < middle + 1.0)?;
        let answers = sum(second, |_| true).filter(|&answers| answers > 0.0)?;
        Some(of(used)? * 1e6 / answers)
    })
}

/// The median, and its standard error where there is enough to tell.
fn median(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let mut sorted = values.to_vec();
    let median = middle(&mut sorted)?;
    let mut apart: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    let apart = middle(&mut apart)?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    let count = values.len() as f64;
    // Of numbers spread as a normal distribution: 1.4826 times the median
    // distance is the deviation, and a median errs 1.2533 times as a mean.
    let error = 1.4826 * 1.2533 * apart / count.sqrt();
    Some((median, (values.len() >= SECONDS_MIN).then_some(error)))
}

fn row(name: &str, good: Good, before: &[f64], after: &[f64], tolerance: f64) -> Option<Row> {
    let ((a, error_a), (b, error_b)) = (median(before)?, median(after)?);
    let ratio = if a == b { 1.0 } else { b / a };
    let error = error_a.zip(error_b).map(|(error_a, error_b)| {
        let relative = |error: f64, value: f64| if value > 0.0 { error / value } else { 0.0 };
        ratio * relative(error_a, a).hypot(relative(error_b, b))
    });
    let change = (ratio - 1.0).abs();
    let more = ratio > 1.0;
    let verdict = match (good, more) {
        _ if change <= tolerance => Change::Same,
        _ if error.is_some_and(|error| change <= SURE * error) => Change::Noise,
        (Good::More, true) | (Good::Less, false) => Change::Better,
        (Good::More, false) | (Good::Less, true) => Change::Worse,
    };
    Some(Row { name: name.to_owned(), before: a, after: b, ratio, error, verdict })
}

fn table(before: &Report, after: &Report, rows: &[Row]) -> String {
    let told = |report: &Report| {
        let (host, registrar) = (&report.host, &report.registrar);
        format!("{} over {}, {} cores", report.workload.name, registrar.transport, host.cores)
    };
    let mut table = format!("A: {}\nB: {}\n\n", told(before), told(after));
    let mut line = |cells: [&str; 6]| {
        let [name, a, b, ratio, error, verdict] = cells;
        let written = writeln!(table, "  {name:<26}{a:>12}{b:>12}{ratio:>8}{error:>9}  {verdict}");
        debug_assert!(written.is_ok(), "a string takes everything");
    };
    line(["", "A", "B", "B/A", "+-", ""]);
    for row in rows {
        let error = row.error.map_or_else(|| "?".to_owned(), |error| format!("{error:.3}"));
        let verdict = match row.verdict {
            Change::Better => "better",
            Change::Worse => "WORSE",
            Change::Same => "same",
            Change::Noise => "noise",
        };
        let number = |value: f64| match value {
            _ if value >= 1000.0 => crate::report::rounded(value),
            _ => format!("{value:.1}"),
        };
        let (a, b) = (number(row.before), number(row.after));
        line([&row.name, &a, &b, &format!("{:.3}", row.ratio), &error, verdict]);
    }
    table.push_str(
        "\n+- is the standard error of B/A by the seconds of each run; runs differ more.",
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::full;

    #[test]
    fn what_changed_by_more_than_its_noise_is_better_or_worse() {
        let steady = |value: f64| [value - 1.0, value, value + 1.0, value, value];
        let verdict = |good, a: &[f64], b: &[f64]| row("", good, a, b, 0.05).unwrap().verdict;
        assert_eq!(verdict(Good::Less, &steady(100.0), &steady(130.0)), Change::Worse);
        assert_eq!(verdict(Good::Less, &steady(130.0), &steady(100.0)), Change::Better);
        assert_eq!(verdict(Good::More, &steady(100.0), &steady(130.0)), Change::Better);
        assert_eq!(verdict(Good::More, &steady(100.0), &steady(103.0)), Change::Same);
        let wild = [20.0, 180.0, 100.0, 60.0, 140.0];
        let wilder = [30.0, 200.0, 115.0, 60.0, 170.0];
        assert_eq!(verdict(Good::Less, &wild, &wilder), Change::Noise);
        assert_eq!(verdict(Good::Less, &[0.0], &[0.0]), Change::Same);
        assert_eq!(verdict(Good::Less, &[0.0], &[1.0]), Change::Worse);
        assert!(row("", Good::Less, &[], &[1.0], 0.05).is_none());
    }

    #[test]
    fn loads_that_differ_are_told_apart_and_registrars_may_differ() {
        let (before, mut after) = (full(), full());
        after.workload.seed = 9;
        after.registrar.transport = "sctp".to_owned();
        assert_eq!(differences(&before, &after), [""; 0]);
        after.workload.elements = 5;
        assert_eq!(differences(&before, &after), ["elements 100000 and 5"]);
    }

    #[test]
    fn the_table_is_aligned_and_says_what_it_compares() {
        let rows = rows(&full(), &full(), 0.05);
        let table = table(&full(), &full(), &rows);
        assert!(table.contains("registrations/s") && table.contains("errors"), "{table}");
        assert!(rows.iter().all(|row| row.verdict == Change::Same));
    }
}
