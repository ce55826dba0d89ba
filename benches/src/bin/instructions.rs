//! Counts the instructions of the engine's main operations under callgrind and
//! compares them with the counts in the repository. Unlike times, counts are
//! nearly the same on every run, so a change in them is a change of the code.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use clap::Parser;
use rserpool_benches::options::write_json;

/// Counts the instructions of the engine's main operations under callgrind and
/// compares them with the counts in the repository. Exits with 1 if one grew
/// by more than the tolerance.
#[derive(Parser)]
struct Options {
    /// The counts to compare with.
    #[arg(long, default_value = "perf/instructions.json")]
    baseline: PathBuf,
    /// Write the counts there instead of comparing.
    #[arg(long)]
    update: bool,
    /// How much a count may grow, in percent.
    #[arg(long, default_value_t = 5.0)]
    tolerance: f64,
    /// Only operations whose name contains one of these.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    cells: Vec<String>,
}

/// Counted with each of the policies that differ in them.
const BY_POLICY: [&str; 6] =
    ["register new", "reregister changed", "deregister", "resolve 1", "resolve 3", "resolve 10"];
const POLICIES: [&str; 4] = ["RoundRobin", "Random", "WeightedRandom", "LeastUsed"];
/// The same with every policy.
const ONCE: [&str; 8] = [
    "find",
    "reregister unchanged",
    "timer rearm",
    "keep-alive step",
    "expiry",
    "takeover per element",
    "walk per element",
    "checksum",
];

/// Instructions a call, by operation and policy.
type Counts = BTreeMap<String, f64>;

fn main() -> Result<ExitCode, String> {
    let options = Options::parse();
    let mut counts = Counts::new();
    let by_policy = BY_POLICY.iter().flat_map(|&name| POLICIES.map(|policy| (name, policy)));
    for (operation, policy) in by_policy.chain(ONCE.map(|name| (name, "LeastUsed"))) {
        let name = format!("{operation}/{policy}");
        if options.cells.is_empty() || options.cells.iter().any(|part| name.contains(part)) {
            counts.insert(name, count(operation, policy)?);
        }
    }
    if counts.is_empty() {
        return Err("--cells matches no operation".to_owned());
    }
    if options.update {
        write_json(&options.baseline, &counts).map_err(|error| error.to_string())?;
    }
    let text = fs::read_to_string(&options.baseline)
        .map_err(|error| format!("{}: {error}", options.baseline.display()))?;
    let baseline: Counts = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let grown = compare(&counts, &baseline, options.tolerance);
    Ok(if grown == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the table; says how many operations grew too much or are missing in
/// the baseline.
fn compare(counts: &Counts, baseline: &Counts, tolerance: f64) -> usize {
    let mut grown = 0;
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{:40} {:>10} {:>10} {:>8}", "instructions a call", "now", "before", "%");
    for (name, &now) in counts {
        let (before, change, verdict) = match baseline.get(name) {
            Some(&before) if now > before * (1.0 + tolerance / 100.0) + 0.5 => {
                (before, now / before - 1.0, "GREW")
            }
            Some(&before) => (before, now / before - 1.0, ""),
            None => (f64::NAN, f64::NAN, "is not in the baseline"),
        };
        grown += usize::from(!verdict.is_empty());
        let change = change * 100.0;
        let _ = writeln!(out, "{name:40} {now:10.1} {before:10.1} {change:+8.1} {verdict}");
    }
    grown
}

/// Instructions a call of one operation.
fn count(operation: &str, policy: &str) -> Result<f64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?.with_file_name("counted");
    let directory = env::temp_dir().join(format!("rserpool-counted-{}", std::process::id()));
    let profile = directory.with_extension("callgrind");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured_region*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&program)
        .args(["--operation", operation, "--policy", policy])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let instructions = summary(&profile);
    let _ = fs::remove_file(&profile);
    let calls = String::from_utf8_lossy(&output.stdout).trim().parse::<u32>();
    match (output.status.success(), instructions, calls) {
        (true, Some(instructions), Ok(calls)) if instructions > 0.0 && calls > 0 => {
            Ok((instructions / f64::from(calls) * 10.0).round() / 10.0)
        }
        _ => Err(format!(
            "{operation}/{policy}: nothing was counted; {} said:\n{}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The total in a callgrind profile.
fn summary(profile: &Path) -> Option<f64> {
    let text = fs::read_to_string(profile).ok()?;
    let total = |line: &str| {
        line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")).map(str::to_owned)
    };
    text.lines().find_map(total)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, f64)]) -> Counts {
        pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn growth_and_unknown_operations_are_reported_and_shrinking_is_not() {
        let baseline = counts(&[("find", 100.0), ("walk", 10.0), ("mix", 50.0)]);
        let within = counts(&[("find", 105.0), ("walk", 10.9), ("mix", 20.0)]);
        assert_eq!(compare(&within, &baseline, 5.0), 0);
        let grown = counts(&[("find", 106.0), ("walk", 11.5), ("new", 1.0)]);
        assert_eq!(compare(&grown, &baseline, 5.0), 3);
    }
}
