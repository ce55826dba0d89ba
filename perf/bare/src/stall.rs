//! How soon a shard that has more to do than it can serves what another shard
//! hands it: few requests that cross to it, at times that are due, beside a
//! closed loop that keeps it busy.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rserpool_registrar::Host;
use rustix::net::RecvFlags;
use serde::Serialize;

use crate::client::{drive, endless};
use crate::registrar::request;
use crate::server::{Sizes, keep_to};
use crate::sharded::{Sharded, shard_time};

/// Elements of an answer to the closed loop: much for the shard, and nothing
/// for who counts its bytes.
const ITEMS: u32 = 10;

/// Options of the subcommand `stall`.
#[derive(Debug, clap::Args)]
pub struct StallOptions {
    /// Milliseconds that each case is measured
    #[arg(long, value_name = "MS", default_value_t = 5000,
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    time: u64,
    /// Connections of the closed loop
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Unanswered requests of each
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pipelined: u32,
    /// Requests a second whose answers are timed
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
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

/// Which way the timed requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// They arrive at the other shard and cross.
    Across,
    /// They arrive at the pool's shard.
    Straight,
}

/// One case. Times are in microseconds since a request was due.
#[derive(Clone, Debug, Serialize)]
struct Row {
    host: String,
    saturated: bool,
    crossing: bool,
    /// Of one core, of the pools' shard.
    busy: f64,
    per_second: f64,
    timed: usize,
    p50: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

/// Measures and prints a table.
///
/// # Errors
/// A host with one core, a registrar that does not start or breaks, or
/// figures that cannot be written.
pub fn stall(options: &StallOptions) -> io::Result<()> {
    let mut rows = Vec::new();
    for host in &options.hosts {
        let sharded = Sharded::start(*host, 2, false)?;
        for saturated in [false, true] {
            for way in [Way::Straight, Way::Across] {
                rows.push(once(options, *host, &sharded, saturated, way)?);
            }
        }
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    write!(io::stdout(), "{}", table(&rows))
}

fn once(
    options: &StallOptions,
    host: Host,
    sharded: &Sharded,
    saturated: bool,
    way: Way,
) -> io::Result<Row> {
    let mut streams = sharded.connect(options.connections as usize + 1)?;
    let mut of_pools = streams.pop().unwrap_or_default();
    let of_other = streams.pop().unwrap_or_default();
    let timed = match way {
        Way::Straight => of_pools.pop(),
        Way::Across => of_other.into_iter().next(),
    };
    let timed = timed.ok_or_else(|| io::Error::other("no connection"))?;
    of_pools.truncate(options.connections as usize);
    let pool = sharded.pools_of(1)[0];
    let answer = sharded.ask(&timed, pool, ITEMS)?;
    let sizes = Sizes { request: sharded.sizes.request, answer };
    let requests: Vec<u8> =
        sharded.pools_of(1).iter().flat_map(|&pool| request(pool, ITEMS)).collect();
    let over = AtomicBool::new(false);
    let time = Duration::from_millis(options.time);
    let small = sharded.sizes;
    let window = options.pipelined as usize;
    thread::scope(|scope| {
        // Both clients keep to the core of the other shard: the one that is to
        // be saturated has its core for itself.
        let timing = scope.spawn(|| {
            keep_to(&[0])?;
            time_answers(timed, pool, small, options.rate, &over)
        });
        let loading = scope.spawn(move || {
            keep_to(&[0])?;
            let mut spent = Vec::new();
            if saturated {
                let requests = endless(&requests, window, sizes);
                let peers = of_pools.into_iter().map(|it| (it, Rc::clone(&requests))).collect();
                let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
                let loaded = drive(peers, window, sizes, time, flags, || spent.push(shard_time()))?;
                return Ok((loaded.answers, loaded.time, spent));
            }
            spent.push(shard_time());
            let began = Instant::now();
            thread::sleep(time);
            spent.push(shard_time());
            Ok::<_, io::Error>((0, began.elapsed(), spent))
        });
        let loaded = loading.join();
        over.store(true, Ordering::Relaxed);
        let mut times = timing.join().map_err(|_| io::Error::other("timing broke"))??;
        let loaded = loaded.map_err(|_| io::Error::other("the closed loop broke"))?;
        let (answers, took, mut spent) = loaded?;
        times.sort_unstable();
        let shard = |spent: io::Result<Vec<Duration>>| {
            Ok::<_, io::Error>(spent?.get(1).copied().unwrap_or_default())
        };
        let (Some(after), Some(before)) = (spent.pop(), spent.pop()) else {
            return Err(io::Error::other("it was not measured"));
        };
        let busy = shard(after)?.saturating_sub(shard(before)?);
        let at = |part: f64| quantile(&times, part);
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let answers = answers as f64;
        Ok(Row {
            host: host.to_string(),
            saturated,
            crossing: way == Way::Across,
            busy: busy.as_secs_f64() / took.as_secs_f64(),
            per_second: answers / took.as_secs_f64(),
            timed: times.len(),
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            max: at(1.0),
        })
    })
}

/// Asks when it is due, and notes how long after that the answer was there.
fn time_answers(
    mut stream: TcpStream,
    pool: u32,
    sizes: Sizes,
    rate: u32,
    over: &AtomicBool,
) -> io::Result<Vec<Duration>> {
    let request = request(pool, 1);
    let mut answer = vec![0; sizes.answer];
    let mut times = Vec::new();
    let began = Instant::now();
    let between = Duration::from_secs(1) / rate;
    let mut due = between;
    while !over.load(Ordering::Relaxed) {
        if let Some(early) = due.checked_sub(began.elapsed()) {
            thread::sleep(early);
        }
        stream.write_all(&request)?;
        stream.read_exact(&mut answer)?;
        times.push(began.elapsed().saturating_sub(due));
        due += between;
    }
    // The closed loop warms up meanwhile.
    let warm = times.len() / 10;
    Ok(times.split_off(warm))
}

fn quantile(sorted: &[Duration], part: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let place = (sorted.len() as f64 * part).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the count")]
    let place = (place as usize).saturating_sub(1);
    sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| host | the pool's shard | its core busy | answers/s of the closed loop | timed requests | p50 us | p99 us | p99.9 us | max us |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let written = writeln!(
            table,
            "| {} | {} | {:.0} % | {:.0} | {}, {} | {:.0} | {:.0} | {:.0} | {:.0} |",
            row.host,
            if row.saturated { "saturated" } else { "idle" },
            100.0 * row.busy,
            row.per_second,
            row.timed,
            if row.crossing { "crossing" } else { "not crossing" },
            row.p50,
            row.p99,
            row.p99_9,
            row.max,
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    table
}
