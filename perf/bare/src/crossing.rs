//! What it costs that a request crosses from the shard of its connection to
//! the shard of its pool: the same load with another share of such requests.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rserpool_registrar::Host;
use rustix::net::RecvFlags;
use serde::Serialize;

use crate::client::{drive, endless};
use crate::measure::median;
use crate::registrar::request;
use crate::server::{cores, keep_to};
use crate::sharded::{Sharded, shard_time};

/// Requests of a connection, which it sends over and over.
const REQUESTS: usize = 1000;
/// A load lasts as long before it is measured, and as long after that.
const SLACK: Duration = Duration::from_millis(400);

/// Options of the subcommand `crossing`.
#[derive(Debug, clap::Args)]
pub struct CrossingOptions {
    /// Rounds; each load is measured once in each
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=101))]
    rounds: u32,
    /// Milliseconds that a load is measured in a round
    #[arg(long, value_name = "MS", default_value_t = 600,
          value_parser = clap::value_parser!(u64).range(100..=60_000))]
    time: u64,
    /// Connections of each shard
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Unanswered requests of each connection
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pipelined: Vec<u32>,
    /// Shards that one shard is compared with, each on a core of its own
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(2..=64))]
    shards: u16,
    /// Percent of the requests that cross
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "0,10,50,100",
          value_parser = clap::value_parser!(u32).range(0..=100))]
    crossing: Vec<u32>,
    /// What drives the shards
    #[arg(
        long,
        value_enum,
        value_name = "HOST,...",
        value_delimiter = ',',
        default_value = "io_uring,epoll"
    )]
    hosts: Vec<Host>,
    /// Write the figures there as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is loaded: so many registrars beside one another, of so many shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Setup {
    registrars: u16,
    shards: u16,
    /// Connections move to the shard that they ask.
    moves: bool,
}

/// One load in all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    host: String,
    pipelined: u32,
    setup: Setup,
    /// Percent of the requests that were to cross, and that did.
    crossing: u32,
    crossed: f64,
    /// By round: microseconds of the shards' processor time for a request,
    /// and requests a second.
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
}

/// What one load came to in one round.
struct Outcome {
    cpu_us: f64,
    per_second: f64,
    crossed: f64,
}

/// Measures and prints a table.
///
/// # Errors
/// Fewer cores than shards, a registrar that does not start or breaks, or
/// figures that cannot be written.
pub fn crossing(options: &CrossingOptions) -> io::Result<()> {
    let cores = cores()?;
    if cores.len() < usize::from(options.shards) {
        return Err(io::Error::other(format!(
            "{} shards on a core each, and {} cores",
            options.shards,
            cores.len()
        )));
    }
    let one = Setup { registrars: 1, shards: 1, moves: false };
    // What as many shards cost that have nothing to do with each other: what
    // is the machine's, whose cores share caches and more, is told from it.
    let apart = Setup { registrars: options.shards, shards: 1, moves: false };
    let together = Setup { registrars: 1, shards: options.shards, moves: false };
    let moving = Setup { moves: true, ..together };
    let mut rows: Vec<Row> = Vec::new();
    for round in 0..options.rounds {
        let mut row = 0;
        for host in &options.hosts {
            for setup in [one, apart, together, moving] {
                let registrars = start(*host, setup, &cores)?;
                let shares = match setup {
                    it if it == together => &options.crossing[..],
                    // All requests would, if the connections stayed.
                    it if it == moving => &[100],
                    _ => &[0],
                };
                for &pipelined in &options.pipelined {
                    for &crossing in shares {
                        let outcome =
                            once(options, &registrars, &cores, setup, pipelined, crossing)?;
                        if round == 0 {
                            let (crossed, cpu_us, per_second) = (0.0, Vec::new(), Vec::new());
                            let host = host.to_string();
                            rows.push(Row {
                                host,
                                pipelined,
                                setup,
                                crossing,
                                crossed,
                                cpu_us,
                                per_second,
                            });
                        }
                        rows[row].crossed = outcome.crossed;
                        rows[row].cpu_us.push(outcome.cpu_us);
                        rows[row].per_second.push(outcome.per_second);
                        row += 1;
                    }
                }
            }
        }
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    write!(io::stdout(), "{}", table(&rows))
}

/// The registrars, each shard on a core of its own.
fn start(host: Host, setup: Setup, cores: &[usize]) -> io::Result<Vec<Sharded>> {
    let mut registrars = Vec::new();
    for cores in cores.chunks(usize::from(setup.shards)).take(usize::from(setup.registrars)) {
        // A registrar takes the cores of the thread that starts it.
        let started = thread::scope(|scope| {
            let starting = scope.spawn(|| {
                keep_to(cores)?;
                Sharded::start(host, setup.shards, setup.moves)
            });
            starting.join()
        });
        registrars.push(started.map_err(|_| io::Error::other("starting broke"))??);
    }
    Ok(registrars)
}

/// One load in one round. Each shard shares its core with a client of its own,
/// which has its connections: more shards have more cores and more clients,
/// and nothing else changes.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn once(
    options: &CrossingOptions,
    registrars: &[Sharded],
    cores: &[usize],
    setup: Setup,
    pipelined: u32,
    share: u32,
) -> io::Result<Outcome> {
    let window = pipelined as usize;
    let mut clients = Vec::new();
    for registrar in registrars {
        let of_shards = registrar.connect(options.connections as usize)?;
        for (shard, streams) in of_shards.into_iter().enumerate() {
            let numbered = streams.into_iter().enumerate();
            let peers = numbered.map(|(number, stream)| {
                let number = number * registrar.shards() + shard;
                (stream, requests(registrar, shard, number, share))
            });
            // Where all requests cross and connections may move, they do so
            // to the next shard.
            let place = if setup.moves { (shard + 1) % registrar.shards() } else { clients.len() };
            let core = cores.get(place).copied().unwrap_or_default();
            clients.push((core, peers.collect::<Vec<_>>(), registrar.sizes));
        }
    }
    let time = Duration::from_millis(options.time);
    let counts = || {
        registrars.iter().map(Sharded::counts).fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    };
    let ready = Barrier::new(clients.len() + 1);
    let [before, after] = thread::scope(|scope| {
        let mut loading = Vec::new();
        for (core, peers, sizes) in clients {
            let ready = &ready;
            loading.push(scope.spawn(move || {
                let kept = keep_to(&[core]);
                let peers = peers.into_iter();
                let peers = peers.map(|(stream, it)| (stream, endless(&it, window, sizes)));
                let peers = peers.collect();
                ready.wait();
                kept?;
                drive(peers, window, sizes, time + SLACK, RecvFlags::DONTWAIT, || ())
            }));
        }
        ready.wait();
        let seen = [SLACK, time].map(|time| {
            thread::sleep(time);
            (Instant::now(), shard_time(), counts())
        });
        for loading in loading {
            loading.join().map_err(|_| io::Error::other("a client broke"))??;
        }
        Ok::<_, io::Error>(seen)
    })?;
    let mut spent = Duration::ZERO;
    for (after, before) in after.1?.into_iter().zip(before.1?) {
        spent += after.saturating_sub(before);
    }
    let [answers, crossed] =
        [after.2.0 - before.2.0, after.2.1 - before.2.1].map(|count| count as f64);
    if answers < 1.0 {
        return Err(io::Error::other("nothing was answered"));
    }
    Ok(Outcome {
        cpu_us: spent.as_secs_f64() * 1e6 / answers,
        per_second: answers / (after.0 - before.0).as_secs_f64(),
        crossed: 100.0 * crossed / answers,
    })
}

/// The requests of a connection of this shard. Those that cross are a fixed
/// part of any hundred, at places that differ from connection to connection.
/// They are for the next shard.
fn requests(sharded: &Sharded, shard: usize, connection: usize, share: u32) -> Vec<u8> {
    let mut requests = Vec::new();
    let own = sharded.pools_of(shard);
    let next = sharded.pools_of((shard + 1) % sharded.shards());
    for number in 0..REQUESTS {
        let number = number + connection * 7919;
        // 37 and 100 have no divisor in common: each place of a hundred once.
        let crosses = number * 37 % 100 < share as usize;
        let pool = if crosses { next[number % next.len()] } else { own[number % own.len()] };
        requests.extend(request(pool, 1));
    }
    requests
}

/// A table in Markdown: medians of the rounds, and of the ratios in each round.
fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| host | pipelined | registrars x shards | percent crossing | us each | to one shard | to as many apart | requests/s | a crossing, us |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let pairs = |row: &Row, base: &Row, work: fn(f64, f64) -> f64| {
        let pairs = row.cpu_us.iter().zip(&base.cpu_us);
        median(&pairs.map(|(&a, &b)| work(a, b)).collect::<Vec<_>>())
    };
    for row in rows {
        let base = |is: fn(Setup, Setup) -> bool| {
            rows.iter().find(|other| {
                other.host == row.host
                    && other.pipelined == row.pipelined
                    && other.crossing == 0
                    && is(other.setup, row.setup)
            })
        };
        let ratio = |base: Option<&Row>| {
            base.map_or_else(String::new, |it| format!("{:.2}", pairs(row, it, |a, b| a / b)))
        };
        let to_one = ratio(base(|it, _| it.registrars * it.shards == 1));
        let apart = |it: Setup, row: Setup| it.shards == 1 && it.registrars == row.shards;
        let to_apart = ratio(base(apart).filter(|_| row.setup.shards > 1));
        let each = base(|it, row| it == row)
            .filter(|_| row.crossing > 0 && !row.setup.moves)
            .map(|none| pairs(row, none, |a, b| a - b) * 100.0 / f64::from(row.crossing));
        let written = writeln!(
            table,
            "| {} | {} | {} x {}{} | {:.1} | {:.2} | {to_one} | {to_apart} | {:.0} | {} |",
            row.host,
            row.pipelined,
            row.setup.registrars,
            row.setup.shards,
            if row.setup.moves { ", moving" } else { "" },
            row.crossed,
            median(&row.cpu_us),
            median(&row.per_second),
            each.map_or_else(String::new, |each| format!("{each:.2}")),
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    table
}
