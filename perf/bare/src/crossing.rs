//! What it costs that a request crosses from the shard of its connection to
//! the shard of its pool: the same load with another share of such requests.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use rserpool_registrar::Host;
use rustix::net::RecvFlags;
use serde::Serialize;

use crate::client::{drive, endless};
use crate::measure::median;
use crate::registrar::request;
use crate::sharded::{Sharded, shard_time};

/// Requests of a connection, which it sends over and over.
const REQUESTS: usize = 1000;

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
    /// Connections, as many of each shard
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Unanswered requests of each connection
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pipelined: Vec<u32>,
    /// Shards that one shard is compared with
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

/// One load in all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    host: String,
    pipelined: u32,
    shards: u16,
    /// Percent of the requests that were to cross, and that did.
    crossing: u32,
    crossed: f64,
    /// By round: microseconds of the shards' processor time for a request,
    /// and requests a second.
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
}

/// Measures and prints a table.
///
/// # Errors
/// A registrar that does not start or breaks, or figures that cannot be
/// written.
pub fn crossing(options: &CrossingOptions) -> io::Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for round in 0..options.rounds {
        let mut row = 0;
        for host in &options.hosts {
            for shards in [1, options.shards] {
                let sharded = Sharded::start(*host, shards)?;
                let shares = if shards == 1 { &[0][..] } else { &options.crossing };
                for &pipelined in &options.pipelined {
                    for &share in shares {
                        let (cpu, per_second, crossed) = once(options, &sharded, pipelined, share)?;
                        if round == 0 {
                            rows.push(Row {
                                host: host.to_string(),
                                pipelined,
                                shards,
                                crossing: share,
                                crossed,
                                cpu_us: Vec::new(),
                                per_second: Vec::new(),
                            });
                        }
                        rows[row].cpu_us.push(cpu);
                        rows[row].per_second.push(per_second);
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

/// Processor microseconds of a request, requests a second, percent crossed.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn once(
    options: &CrossingOptions,
    sharded: &Sharded,
    pipelined: u32,
    share: u32,
) -> io::Result<(f64, f64, f64)> {
    let each = (options.connections as usize / sharded.shards()).max(1);
    let window = pipelined as usize;
    let mut peers = Vec::new();
    for (shard, streams) in sharded.connect(each)?.into_iter().enumerate() {
        for stream in streams {
            let requests = requests(sharded, shard, peers.len(), share);
            peers.push((stream, endless(&requests, window, sharded.sizes)));
        }
    }
    let (mut times, mut counts) = (Vec::new(), Vec::new());
    let time = Duration::from_millis(options.time);
    let loaded = drive(peers, window, sharded.sizes, time, RecvFlags::DONTWAIT, || {
        times.push(shard_time());
        counts.push(sharded.counts());
    })?;
    let mut spent = Duration::ZERO;
    let (Some(after), Some(before)) = (times.pop(), times.pop()) else {
        return Err(io::Error::other("it was not measured"));
    };
    for (after, before) in after?.into_iter().zip(before?) {
        spent += after.saturating_sub(before);
    }
    let [(all, crossed), (all_after, crossed_after)] = counts[..] else {
        return Err(io::Error::other("it was not counted"));
    };
    let answers = loaded.answers.max(1) as f64;
    let crossed = (crossed_after - crossed) as f64 / (all_after - all).max(1) as f64;
    let per_second = answers / loaded.time.as_secs_f64();
    Ok((spent.as_secs_f64() * 1e6 / answers, per_second, 100.0 * crossed))
}

/// The requests of a connection of this shard. Those that cross are a fixed
/// part of any hundred, at places that differ from connection to connection.
fn requests(sharded: &Sharded, shard: usize, connection: usize, share: u32) -> Vec<u8> {
    let mut requests = Vec::new();
    let own = sharded.pools_of(shard);
    for number in 0..REQUESTS {
        let number = number + connection * 7919;
        // 37 and 100 have no divisor in common: each place of a hundred once.
        let crosses = number * 37 % 100 < share as usize;
        let pool =
            if crosses { sharded.pool_elsewhere(shard, number) } else { own[number % own.len()] };
        requests.extend(request(pool, 1));
    }
    requests
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| host | pipelined | shards | percent crossing | us each | to one shard | requests/s | a crossing, us |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let pairs = |row: &Row, base: &Row, work: fn(f64, f64) -> f64| {
        let pairs = row.cpu_us.iter().zip(&base.cpu_us);
        median(&pairs.map(|(&a, &b)| work(a, b)).collect::<Vec<_>>())
    };
    for row in rows {
        let base = |shards: u16| {
            rows.iter().find(|other| {
                other.host == row.host
                    && other.pipelined == row.pipelined
                    && other.crossing == 0
                    && other.shards == shards
            })
        };
        let ratio = base(1).map_or(1.0, |one| pairs(row, one, |a, b| a / b));
        let each = base(row.shards)
            .filter(|_| row.crossing > 0)
            .map(|none| pairs(row, none, |a, b| a - b) * 100.0 / f64::from(row.crossing));
        let written = writeln!(
            table,
            "| {} | {} | {} | {:.1} | {:.2} | {ratio:.2} | {:.0} | {} |",
            row.host,
            row.pipelined,
            row.shards,
            row.crossed,
            median(&row.cpu_us),
            median(&row.per_second),
            each.map_or_else(String::new, |each| format!("{each:.2}")),
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    table
}
