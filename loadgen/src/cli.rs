//! The command line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::plan::{Pace, Plan, Target};
use crate::population::CheckedPolicy;
use crate::report::{self, Report, Verdict};
use crate::run::run;
use crate::{engine, inside, process};

const EXAMPLES: &str = "\
Examples:
  rserpool-loadgen
      Start a registrar on loopback and run the canonical workload against it.
  rserpool-loadgen --target tcp://192.0.2.1:3863 --rate 100000
      Load a registrar that runs already.
  rserpool-loadgen --closed 256 --duration 10
      How much it can do: always 256 requests unanswered.
  rserpool-loadgen engine
      The handlespace alone, in this process.

Exit status: 0 if every answer was right, 1 if one was not or the run could not
be completed, 2 if the command line is wrong.";

/// Simulates huge pools against a Reliable Server Pooling registrar, checks
/// every answer, and measures registration and selection.
#[derive(Debug, Parser)]
#[command(name = "rserpool-loadgen", version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    load: Load,
}

/// What to do instead of loading a registrar.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure the engine alone: nanoseconds per operation
    Engine(engine::EngineOptions),
    /// The registrar inside
    #[command(hide = true, name = inside::SUBCOMMAND)]
    Serve {
        #[arg(long, value_parser = milliseconds)]
        keep_alive_interval: Duration,
    },
}

#[derive(Debug, clap::Args)]
struct Load {
    /// Load this registrar [default: one that is started for the run]
    #[arg(long, value_name = "tcp://HOST:PORT", value_parser = target)]
    target: Option<Target>,

    /// Pool elements, of all pools together
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    elements: u32,

    /// Pools, of mixed sizes: one has a fifth of all elements
    /// [default: a hundredth of the elements]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pools: Option<u32>,

    /// The policies that the pools have in turn
    #[arg(long, value_name = "POLICY,...", value_delimiter = ',',
          default_value = "least-used,round-robin,weighted-random", value_parser = policy)]
    policies: Vec<CheckedPolicy>,

    /// How many items pool users ask for, each number equally often
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,3,10",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    items: Vec<u32>,

    /// Most elements that the registrar puts into one answer
    #[arg(long, value_name = "N", default_value_t = 128,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    items_max: u32,

    /// Seconds of steady state
    #[arg(long, value_name = "S", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: u32,

    /// Resolutions a second in the steady state, whatever the registrar does
    #[arg(long, value_name = "N", default_value_t = 40_000, conflicts_with = "closed",
          value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    rate: u32,

    /// Keep so many requests unanswered in the steady state, instead of a rate
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    closed: Option<u32>,

    /// Seconds between two re-registrations of an element
    #[arg(long, value_name = "S", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    reregister_every: u32,

    /// Elements a second that deregister, and register again a second later
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    churn: u32,

    /// TCP connections: half of them for pool elements, half for pool users
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(2..=60_000))]
    connections: u32,

    /// Client threads [default: half as many as cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,

    /// Keep each client thread to one core, from the last one
    #[arg(long)]
    pin: bool,

    /// Seconds between two keep-alives of the registrar that is started
    #[arg(long, value_name = "S", default_value_t = 10, conflicts_with = "target",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    keep_alive_every: u32,

    /// Seconds after which a registrar that does not answer is given up
    #[arg(long, value_name = "S", default_value_t = 15,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    answer_timeout: u32,

    /// Measure this process on this host as the registrar
    #[arg(long, value_name = "PID", requires = "target",
          value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,

    /// Equal seeds make equal loads
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Where report.json, report.html and latency.hlog go
    #[arg(long, value_name = "DIR", default_value = "loadgen-report")]
    out: PathBuf,

    /// Show no progress
    #[arg(long)]
    no_progress: bool,

    /// Print report.json instead of the screen
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Does it: the whole of the program `rserpool-loadgen`.
    #[must_use]
    pub fn main(self) -> ExitCode {
        match &self.command {
            Some(Command::Engine(options)) => return engine::measure(options),
            Some(Command::Serve { keep_alive_interval }) => {
                return inside::serve(*keep_alive_interval);
            }
            None => {}
        }
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(error) => error.exit(),
        };
        match show(&plan, run(&plan)) {
            Ok(Verdict::Passed) => ExitCode::SUCCESS,
            Ok(Verdict::Failed | Verdict::Aborted) | Err(_) => ExitCode::FAILURE,
        }
    }

    /// What to do.
    ///
    /// # Errors
    /// Options that contradict each other; [`clap::Error::exit`] says so with
    /// exit status 2.
    pub fn plan(&self) -> Result<Plan, clap::Error> {
        let load = &self.load;
        let pools = load.pools.unwrap_or_else(|| (load.elements / 100).clamp(1, 1_000_000));
        let threads = load.threads.unwrap_or_else(|| (process::cores() / 2).max(1));
        if pools > load.elements {
            return Err(contradiction(format!(
                "--pools {pools} is more than --elements {}; allowed: 1 to {}",
                load.elements, load.elements
            )));
        }
        if threads > pools {
            return Err(contradiction(format!(
                "--threads {threads} is more than --pools {pools}, which are dealt to threads; \
                 allowed: 1 to {pools}"
            )));
        }
        if load.connections < 2 * threads {
            return Err(contradiction(format!(
                "--connections {} is too few for --threads {threads}; allowed: {} to 60000",
                load.connections,
                2 * threads
            )));
        }
        if let Some(items) = load.items.iter().find(|&&items| items > load.items_max) {
            return Err(contradiction(format!(
                "--items {items} is more than --items-max {}; allowed: 1 to {}",
                load.items_max, load.items_max
            )));
        }
        if let Some(pid) = load.pid.filter(|&pid| process::usage(pid).is_none()) {
            return Err(contradiction(format!(
                "--pid {pid}: there is no such process; allowed: one of this host"
            )));
        }
        let seconds = |seconds| Duration::from_secs(u64::from(seconds));
        Ok(Plan {
            target: load.target.clone().unwrap_or(Target::Inside),
            elements: load.elements,
            pools,
            policies: load.policies.clone(),
            items: load.items.clone(),
            items_max: load.items_max,
            duration: seconds(load.duration),
            pace: load.closed.map_or(Pace::Open, Pace::Closed),
            rate: load.rate,
            reregistration_interval: seconds(load.reregister_every),
            churn: load.churn,
            connections: load.connections,
            threads,
            pin: load.pin,
            keep_alive_interval: seconds(load.keep_alive_every),
            answer_timeout: seconds(load.answer_timeout),
            pid: load.pid,
            seed: load.seed,
            out: load.out.clone(),
            progress: !load.no_progress,
            json: load.json,
        })
    }
}

/// Prints what came out: the screen or JSON, and why a run was broken off.
fn show(plan: &Plan, outcome: Result<Report, String>) -> io::Result<Verdict> {
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            return Ok(Verdict::Aborted);
        }
    };
    if plan.json {
        let json = serde_json::to_string_pretty(&report)?;
        writeln!(io::stdout(), "{json}")?;
    } else {
        write!(io::stdout(), "{}", report::text(&report, &plan.out))?;
    }
    if let Some(aborted) = &report.aborted {
        let (target, phase) = (&report.registrar.target, &aborted.phase);
        writeln!(io::stderr(), "error: {target} while {phase}: {}", aborted.reason)?;
    }
    Ok(report.result)
}

fn contradiction(message: String) -> clap::Error {
    Cli::command().error(ErrorKind::ValueValidation, message)
}

fn target(text: &str) -> Result<Target, String> {
    const ALLOWED: &str = "allowed: tcp://HOST:PORT, such as tcp://192.0.2.1:3863";
    let rest = text.strip_prefix("tcp://").ok_or(ALLOWED)?;
    let (host, port) = rest.rsplit_once(':').ok_or(ALLOWED)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match port.parse() {
        Ok(port) if port > 0 && !host.is_empty() => Ok(Target::Tcp(host.to_owned(), port)),
        Ok(_) | Err(_) => Err(ALLOWED.to_owned()),
    }
}

fn policy(text: &str) -> Result<CheckedPolicy, String> {
    let named = CheckedPolicy::ALL.into_iter().find(|policy| policy.name() == text);
    named.ok_or_else(|| {
        let names: Vec<_> = CheckedPolicy::ALL.iter().map(|policy| policy.name()).collect();
        format!("allowed: {}", names.join(", "))
    })
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| "allowed: milliseconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &[&str]) -> Result<Plan, clap::Error> {
        let program = std::iter::once(&"rserpool-loadgen");
        Cli::try_parse_from(program.chain(line))?.plan()
    }

    #[test]
    fn no_option_is_the_canonical_workload() {
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.elements, plan.pools), (100_000, 1000));
        assert_eq!((plan.target, plan.pace), (Target::Inside, Pace::Open));
        assert_eq!(plan.items, [1, 3, 10]);
        assert_eq!(plan.policies.len(), 3);
    }

    #[test]
    fn targets_are_hosts_and_ports() {
        for (text, host, port) in [
            ("tcp://192.0.2.1:3863", "192.0.2.1", 3863),
            ("tcp://registrar.example:1", "registrar.example", 1),
            ("tcp://[2001:db8::1]:3863", "2001:db8::1", 3863),
        ] {
            let target = plan(&["--target", text]).unwrap().target;
            assert_eq!(target, Target::Tcp(host.to_owned(), port));
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn wrong_options_are_refused_by_name_with_what_is_allowed() {
        for (line, option, allowed) in [
            (&["--elements", "0"][..], "--elements", "1..=10000000"),
            (&["--pools", "7", "--elements", "5"], "--pools", "1 to 5"),
            (&["--closed", "5", "--rate", "10"], "--closed", "--rate"),
            (&["--target", "sctp://[::1]:3863"], "--target", "tcp://HOST:PORT"),
            (&["--target", "tcp://host"], "--target", "tcp://HOST:PORT"),
            (&["--target", "tcp://host:0"], "--target", "tcp://HOST:PORT"),
            (&["--policies", "fastest"], "--policies", "round-robin, weighted-random, least-used"),
            (&["--items", "10,0"], "--items", "1..=1024"),
            (&["--items", "10", "--items-max", "5"], "--items", "1 to 5"),
            (&["--connections", "3", "--threads", "2"], "--connections", "4 to 60000"),
            (&["--threads", "9", "--elements", "80", "--pools", "8"], "--threads", "1 to 8"),
            (&["--pid", "1"], "--pid", "--target"),
            (&["--pid", "4294967295", "--target", "tcp://h:1"], "--pid", "one of this host"),
            (&["--keep-alive-every", "3", "--target", "tcp://h:1"], "--keep-alive", "--target"),
            (&["--bogus"], "--bogus", "Usage"),
            (&["engine", "--bogus"], "--bogus", "Usage"),
            (&["--json", "engine"], "engine", "Usage"),
        ] {
            let error = plan(line).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2, "{line:?}: {text}");
            assert!(text.contains(option) && text.contains(allowed), "{line:?}: {text}");
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
