//! The command line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use rserpool_registrar::Host;

use crate::plan::{Compat, Pace, Plan, Target, Transport};
use crate::population::CheckedPolicy;
use crate::report::{self, Report, Verdict};
use crate::run::run;
use crate::workload::Workload;
use crate::{compare, engine, inside, process};

const EXAMPLES: &str = "\
Workloads (--workload NAME); other options change what they bring:
  canonical        mixed pool sizes and policies; what runs without options
  huge-pool        a million elements in one pool, asked for by all pool users
  tiny-pools       a million pools of two elements each
  churn-storm      20,000 elements a second deregister and come back a second later
  flash-crowd      ten times the resolutions, all of one pool, for a third of the time
  mass-failure     half of the elements' associations are lost at once, and come back
  re-registration  a million elements re-registered every 30 s, few resolutions

Examples:
  rserpool-loadgen
      Start a registrar on loopback and run the canonical workload against it.
  rserpool-loadgen --target tcp://192.0.2.1:3863 --rate 100000
      Load a registrar that runs already.
  rserpool-loadgen --target sctp://192.0.2.1:3863 --target sctp://192.0.2.2:3863
      Load a group of registrars that stand in for each other.
  rserpool-loadgen --closed 16 --duration 10
      How much it can do: always 16 resolutions unanswered on each association.
  rserpool-loadgen compare before.json after.json
      Whether the second report is better or worse than the first one.
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
    /// Compare two reports: what got better or worse, and what is noise
    Compare(compare::CompareOptions),
    /// The registrar inside
    #[command(hide = true, name = inside::SUBCOMMAND)]
    Serve(inside::ServeOptions),
    /// The null server
    #[command(hide = true, name = inside::NULL)]
    ServeNull,
}

#[derive(Debug, clap::Args)]
struct Load {
    /// Load this registrar [default: one that is started for the run]
    ///
    /// Given more than once: a group of registrars. Associations that are lost
    /// go to the next one. PORT is the TCP or SCTP port, of sctp-udp the UDP
    /// port. The registrar is measured if it runs on this host.
    #[arg(long, value_name = "tcp|sctp|sctp-udp://HOST:PORT", value_parser = target)]
    target: Vec<Target>,

    /// What carries ASAP to the registrar that is started [default: tcp]
    #[arg(long, value_name = "tcp|sctp|sctp-udp", value_parser = transport,
          conflicts_with = "target")]
    transport: Option<Transport>,

    /// What the registrar is held to: the RFCs, or what rsplib's does
    #[arg(long, value_name = "rfc|rsplib", value_parser = compat, default_value = "rfc",
          requires_if("rsplib", "target"))]
    compat: Compat,

    /// What load it is; they are listed below
    #[arg(long, value_name = "NAME", value_parser = workload, default_value = "canonical")]
    workload: Workload,

    /// Pool elements, of all pools together [default: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    elements: Option<u32>,

    /// Pools, of mixed sizes: one has a fifth of all elements
    /// [default: a hundredth of the elements]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
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

    /// Seconds of steady state [default: 20]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: Option<u32>,

    /// Resolutions a second in the steady state, whatever the registrar does
    /// [default: 40000]
    #[arg(long, value_name = "N", conflicts_with = "closed",
          value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    rate: Option<u32>,

    /// Keep so many resolutions unanswered on each association of pool users
    /// in the steady state, instead of a rate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    closed: Option<u32>,

    /// Seconds between two re-registrations of an element [default: 30]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    reregister_every: Option<u32>,

    /// Elements a second that deregister, and register again a second later
    /// [default: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    churn: Option<u32>,

    /// Associations: half of them for pool elements, half for pool users
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(2..=60_000))]
    connections: u32,

    /// Client threads [default: half as many as cores]
    #[arg(long, value_name = "N", visible_alias = "threads",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: Option<u32>,

    /// Keep each client thread to one core, from the last one
    #[arg(long)]
    pin: bool,

    /// Seconds between two keep-alives of the registrar that is started
    #[arg(long, value_name = "S", default_value_t = 10, conflicts_with = "target",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    keep_alive_every: u32,

    /// Shards of the registrar that is started [default: one a core]
    #[arg(long, value_name = "N", conflicts_with = "target",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Option<u16>,

    /// What drives the shards of the registrar that is started
    /// [default: io_uring where this system allows it, else epoll]
    #[arg(long, value_enum, value_name = "HOST", conflicts_with = "target")]
    host: Option<Host>,

    /// Seconds after which a registrar that does not answer is given up
    #[arg(long, value_name = "S", default_value_t = 15,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    answer_timeout: u32,

    /// Seconds in which a registrar has to forget elements whose association
    /// was lost
    #[arg(long, value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    forget_within: u32,

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
            Some(Command::Compare(options)) => return compare::compare(options),
            Some(Command::Serve(options)) => return inside::serve(options),
            Some(Command::ServeNull) => return inside::serve_null(),
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
        let defaults = load.workload.defaults();
        let seconds = |seconds| Duration::from_secs(u64::from(seconds));
        let elements = load.elements.unwrap_or(defaults.elements);
        let usual = (elements / 100).clamp(1, 1_000_000);
        let pools = load.pools.or_else(|| defaults.pools.map(|pools| pools.min(elements)));
        let pools = pools.unwrap_or(usual);
        let threads = (process::cores() / 2).clamp(1, pools.max(1));
        let plan = Plan {
            transport: match load.target.first() {
                Some(target) => target.transport,
                None => load.transport.unwrap_or_default(),
            },
            targets: load.target.clone(),
            compat: load.compat,
            workload: load.workload,
            elements,
            pools,
            shape: defaults.shape,
            policies: load.policies.clone(),
            items: load.items.clone(),
            items_max: load.items_max,
            duration: seconds(load.duration.unwrap_or(defaults.duration)),
            pace: load.closed.map_or(Pace::Open, Pace::Closed),
            rate: load.rate.unwrap_or(defaults.rate),
            reregistration_interval: seconds(
                load.reregister_every.unwrap_or(defaults.reregister_every),
            ),
            churn: load.churn.unwrap_or(defaults.churn),
            connections: load.connections,
            threads: load.clients.unwrap_or(threads),
            pin: load.pin,
            keep_alive_interval: seconds(load.keep_alive_every),
            answer_timeout: seconds(load.answer_timeout),
            forget_within: seconds(load.forget_within),
            pid: load.pid,
            shards: load.shards,
            host: load.host,
            seed: load.seed,
            out: load.out.clone(),
            progress: !load.no_progress,
            json: load.json,
        };
        contradictions(&plan).map_or(Ok(plan), |told| Err(contradiction(told)))
    }
}

/// What of a plan contradicts itself.
fn contradictions(plan: &Plan) -> Option<String> {
    let Plan { pools, elements, threads, connections, workload, .. } = *plan;
    let name = workload.name();
    if pools > elements {
        let told = format!("--pools {pools} is more than --elements {elements}");
        return Some(format!("{told}; allowed: 1 to {elements}"));
    }
    if threads > pools {
        let told = format!("--clients {threads} is more than --pools {pools}, which are dealt");
        return Some(format!("{told} to client threads; allowed: 1 to {pools}"));
    }
    if connections < 2 * threads {
        let told = format!("--connections {connections} is too few for --clients {threads}");
        return Some(format!("{told}; allowed: {} to 60000", 2 * threads));
    }
    if let Some(items) = plan.items.iter().find(|&&items| items > plan.items_max) {
        let max = plan.items_max;
        return Some(format!(
            "--items {items} is more than --items-max {max}; allowed: 1 to {max}"
        ));
    }
    if let Some(pid) = plan.pid.filter(|&pid| process::usage(pid).is_none()) {
        return Some(format!("--pid {pid}: there is no such process; allowed: one of this host"));
    }
    if let Some(other) = plan.targets.iter().find(|target| target.transport != plan.transport) {
        let allowed = plan.transport.name();
        return Some(format!(
            "--target {other}: the registrars of a group are reached in one way; \
             allowed: {allowed}://HOST:PORT"
        ));
    }
    let closed = matches!(plan.pace, Pace::Closed(_));
    if closed && workload == Workload::FlashCrowd {
        return Some(format!("--closed with --workload {name}, which has a rate; allowed: --rate"));
    }
    if workload == Workload::MassFailure && plan.churn > 0 {
        return Some(format!("--churn {} with --workload {name}; allowed: 0", plan.churn));
    }
    if workload == Workload::MassFailure && plan.is_group() {
        return Some(format!("--workload {name} with several --target; allowed: one"));
    }
    None
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
    const ALLOWED: &str = "allowed: tcp://HOST:PORT, sctp://HOST:PORT and sctp-udp://HOST:PORT, \
                           such as tcp://192.0.2.1:3863";
    let (scheme, rest) = text.split_once("://").ok_or(ALLOWED)?;
    let transport = transport(scheme).map_err(|_| ALLOWED)?;
    let (host, port) = rest.rsplit_once(':').ok_or(ALLOWED)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match port.parse() {
        Ok(port) if port > 0 && !host.is_empty() => {
            Ok(Target { transport, host: host.to_owned(), port })
        }
        Ok(_) | Err(_) => Err(ALLOWED.to_owned()),
    }
}

/// The one of these that has this name, or which names are allowed.
fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    all.iter().copied().find(|&one| name(one) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|&one| name(one)).collect();
        format!("allowed: {}", names.join(", "))
    })
}

pub(crate) fn transport(text: &str) -> Result<Transport, String> {
    named(&Transport::ALL, Transport::name, text)
}

fn compat(text: &str) -> Result<Compat, String> {
    named(&Compat::ALL, Compat::name, text)
}

fn workload(text: &str) -> Result<Workload, String> {
    named(&Workload::ALL, Workload::name, text)
}

fn policy(text: &str) -> Result<CheckedPolicy, String> {
    named(&CheckedPolicy::ALL, CheckedPolicy::name, text)
}

pub(crate) fn milliseconds(text: &str) -> Result<Duration, String> {
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
        assert_eq!((plan.rate, plan.churn, plan.duration.as_secs()), (40_000, 200, 20));
        assert_eq!((plan.targets.len(), plan.pace), (0, Pace::Open));
        assert_eq!((plan.transport, plan.compat), (Transport::Tcp, Compat::Rfc));
        assert_eq!(plan.items, [1, 3, 10]);
        assert_eq!(plan.policies.len(), 3);
    }

    #[test]
    fn targets_are_transports_hosts_and_ports() {
        for (text, transport, host) in [
            ("tcp://192.0.2.1:3863", Transport::Tcp, "192.0.2.1"),
            ("sctp://registrar.example:1", Transport::Sctp, "registrar.example"),
            ("sctp-udp://[2001:db8::1]:9899", Transport::SctpUdp, "2001:db8::1"),
        ] {
            let plan = plan(&["--target", text]).unwrap();
            assert_eq!((plan.transport, plan.targets[0].host.as_str()), (transport, host));
            assert_eq!(plan.targets[0].to_string(), text);
        }
        let group = plan(&["--target", "tcp://a:1", "--target", "tcp://b:1"]).unwrap();
        assert!(group.is_group());
    }

    #[test]
    fn workloads_bring_their_defaults_and_options_change_them() {
        let plan = |line: &[&str]| plan(line).unwrap();
        let tiny = plan(&["--workload", "tiny-pools"]);
        assert_eq!((tiny.elements, tiny.pools), (2_000_000, 1_000_000));
        let tiny = plan(&["--workload", "tiny-pools", "--elements", "500", "--rate", "7"]);
        assert_eq!((tiny.elements, tiny.pools, tiny.rate), (500, 500, 7));
        let huge = plan(&["--workload", "huge-pool"]);
        assert_eq!((huge.pools, huge.threads), (1, 1));
        for workload in Workload::ALL {
            let line = format!("  {:<17}{}", workload.name(), workload.summary());
            assert!(EXAMPLES.contains(&line), "{line}");
            plan(&["--workload", workload.name()]);
        }
    }

    #[test]
    fn wrong_options_are_refused_by_name_with_what_is_allowed() {
        for (line, option, allowed) in [
            (&["--elements", "0"][..], "--elements", "1..=10000000"),
            (&["--pools", "7", "--elements", "5"], "--pools", "1 to 5"),
            (&["--closed", "5", "--rate", "10"], "--closed", "--rate"),
            (&["--target", "udp://[::1]:3863"], "--target", "tcp://HOST:PORT"),
            (&["--target", "tcp://a:1", "--target", "sctp://b:1"], "--target", "tcp://HOST:PORT"),
            (&["--transport", "udp"], "--transport", "tcp, sctp, sctp-udp"),
            (&["--transport", "tcp", "--target", "tcp://a:1"], "--transport", "--target"),
            (&["--compat", "old"], "--compat", "rfc, rsplib"),
            (&["--compat", "rsplib"], "--target", "--compat"),
            (&["--workload", "heavy"], "--workload", "canonical, huge-pool, tiny-pools"),
            (&["--workload", "flash-crowd", "--closed", "3"], "--closed", "--rate"),
            (&["--workload", "mass-failure", "--churn", "3"], "--churn", "allowed: 0"),
            (&["--workload", "huge-pool", "--clients", "2"], "--clients", "1 to 1"),
            (&["--shards", "0"], "--shards", "1..=1024"),
            (&["--host", "kqueue"], "--host", "io_uring, epoll"),
            (&["--target", "tcp://host"], "--target", "tcp://HOST:PORT"),
            (&["--target", "tcp://host:0"], "--target", "tcp://HOST:PORT"),
            (&["--policies", "fastest"], "--policies", "round-robin, weighted-random, least-used"),
            (&["--items", "10,0"], "--items", "1..=1024"),
            (&["--items", "10", "--items-max", "5"], "--items", "1 to 5"),
            (&["--connections", "3", "--clients", "2"], "--connections", "4 to 60000"),
            (&["--threads", "9", "--elements", "80", "--pools", "8"], "--clients", "1 to 8"),
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
