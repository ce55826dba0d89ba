//! Runs seeds, or one seed again.

#![expect(clippy::print_stdout, reason = "the verdicts are what it is for")]

use core::num::NonZero;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Parser;
use rserpool_sim::scenario::run_scenario;
use rserpool_sim::{Failure, Options, Rule, Tracing, run_seed, run_seeds};

/// Runs simulated clusters of registrars, pool elements and pool users with
/// faults, and checks that nothing is lost. Equal seeds give equal runs.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct CommandLine {
    /// Run the seeds from A on, up to and without B
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..500",
          conflicts_with_all = ["seed", "scenario"])]
    seeds: Seeds,
    /// Run this seed only
    #[arg(long, conflicts_with = "scenario")]
    seed: Option<u64>,
    /// Simulated minutes a seed
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Seeds to run at the same time; as many as there are cores by default
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Run a scenario file, as those in sim/scenarios
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Print everything that happens; with --seed only
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Break a rule of the protocol, to see that it is noticed
    #[arg(long = "break", value_name = "RULE", value_parser = rule)]
    broken: Option<Rule>,
}

#[derive(Clone, Copy, Debug)]
struct Seeds {
    first: u64,
    end: u64,
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let wanted = || "write two numbers, the second one larger, as in 0..500".to_owned();
    let (first, end) = text.split_once("..").ok_or_else(wanted)?;
    let first = first.parse().map_err(|_| wanted())?;
    let end = end.parse().map_err(|_| wanted())?;
    if first < end { Ok(Seeds { first, end }) } else { Err(wanted()) }
}

fn rule(text: &str) -> Result<Rule, String> {
    Rule::named(text).ok_or_else(|| {
        let names: Vec<_> = Rule::ALL.into_iter().map(Rule::name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// The command that runs a seed again.
fn replay(seed: u64, line: &CommandLine) -> String {
    let broken = line.broken.map(|rule| format!(" --break {}", rule.name())).unwrap_or_default();
    let minutes = line.minutes;
    format!(
        "cargo run --release -p rserpool-sim -- --seed {seed} --minutes {minutes}{broken} --trace"
    )
}

fn report(seed: u64, failure: &Failure, line: &CommandLine) {
    println!("{failure}");
    println!("seed {seed} failed; to see all of it:\n  {}", replay(seed, line));
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let tracing = if line.trace { Tracing::Everything } else { Tracing::Failure };
    let time = Duration::from_secs(60 * line.minutes);
    let options = Options { time, broken: line.broken, tracing };
    // Panics are failures, and told as such.
    std::panic::set_hook(Box::new(|_| ()));
    if let Some(path) = &line.scenario {
        return run_file(path);
    }
    if let Some(seed) = line.seed {
        return match run_seed(seed, &options) {
            Ok(summary) => {
                for line in &summary.trace {
                    println!("{line}");
                }
                println!(
                    "seed {seed} is fine: {} events, {} faults, {} connections, {} checks",
                    summary.events, summary.faults, summary.connections, summary.checks
                );
                ExitCode::SUCCESS
            }
            Err(failure) => {
                report(seed, &failure, &line);
                ExitCode::FAILURE
            }
        };
    }
    run_many(&line, &options)
}

#[expect(clippy::disallowed_methods, reason = "says how long it took; no run sees it")]
fn run_many(line: &CommandLine, options: &Options) -> ExitCode {
    let cores = || thread::available_parallelism().ok().and_then(|it| u16::try_from(it.get()).ok());
    let jobs = line.jobs.or_else(cores).and_then(NonZero::new).unwrap_or(NonZero::<u16>::MIN);
    let started = Instant::now();
    let fleet = run_seeds(line.seeds.first..line.seeds.end, jobs, options);
    let (count, sum) = (fleet.seeds, &fleet.sum);
    println!(
        "{count} seeds in {:.1?}: {} events, {} faults, {} connections, {} checks",
        started.elapsed(),
        sum.events,
        sum.faults,
        sum.connections,
        sum.checks
    );
    match fleet.failed {
        Some((seed, failure)) => {
            report(seed, &failure, line);
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Exit status 2: the file cannot be read.
fn run_file(path: &Path) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            println!("{}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    match run_scenario(&text) {
        Ok(()) => {
            println!("{} ends as it says", path.display());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}
