//! All servers in one run, in turn, several times.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;

use crate::client::{Load, load};
use crate::registrar;
use crate::server::{Kind, Sizes, keep_to};

/// Options of the subcommand `measure`.
#[derive(Debug, clap::Args)]
pub struct MeasureOptions {
    /// Rounds; each server is measured once in each
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=101))]
    rounds: u32,
    /// Milliseconds that a server is measured in a round
    #[arg(long, value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(100..=60_000))]
    time: u64,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Unanswered requests of each connection
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pipelined: Vec<u32>,
    /// The servers
    #[arg(long, value_name = "KIND,...", value_delimiter = ',', value_parser = Kind::parse,
          default_value = "uring,epoll,glommio,registrar,registrar-epoll")]
    servers: Vec<Kind>,
    /// The core of the servers; the client takes another one
    #[arg(long, value_name = "N", default_value_t = 0)]
    server_core: usize,
    /// The core of the client
    #[arg(long, value_name = "N", default_value_t = 1)]
    client_core: usize,
    /// Write the figures there as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What one server did in all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    server: &'static str,
    connections: usize,
    pipelined: usize,
    request_bytes: usize,
    answer_bytes: usize,
    /// By round.
    answers_per_second: Vec<f64>,
    answers_per_cpu_second: Vec<f64>,
}

/// Measures and prints a table.
///
/// # Errors
/// A server that does not start or breaks, or figures that cannot be written.
pub fn measure(options: &MeasureOptions) -> io::Result<()> {
    keep_to(&[options.client_core])?;
    let sizes = sizes(options)?;
    let requests = registrar::requests();
    let mut rows = Vec::new();
    for &pipelined in &options.pipelined {
        let first = rows.len();
        let connections = options.connections as usize;
        let load = Load { connections, pipelined: pipelined as usize };
        rows.extend(options.servers.iter().map(|kind| Row {
            server: kind.name(),
            connections,
            pipelined: pipelined as usize,
            request_bytes: sizes.request,
            answer_bytes: sizes.answer,
            answers_per_second: Vec::new(),
            answers_per_cpu_second: Vec::new(),
        }));
        for _ in 0..options.rounds {
            for (row, &kind) in rows[first..].iter_mut().zip(&options.servers) {
                let (wall, cpu) = once(options, kind, load, sizes, &requests)?;
                row.answers_per_second.push(wall);
                row.answers_per_cpu_second.push(cpu);
            }
        }
    }
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&rows)?;
        fs::write(path, json + "\n")?;
    }
    write!(io::stdout(), "{}", table(&rows))
}

/// The sizes of the registrar's messages.
fn sizes(options: &MeasureOptions) -> io::Result<Sizes> {
    let sizes = Sizes { request: 1, answer: 1 };
    let server = Server::start(Kind::Registrar, options.server_core, sizes)?;
    Ok(registrar::fill(server.address)?.1)
}

/// One server in one round: answers a second, and a second of its processor
/// time.
fn once(
    options: &MeasureOptions,
    kind: Kind,
    asked: Load,
    sizes: Sizes,
    requests: &[u8],
) -> io::Result<(f64, f64)> {
    let server = Server::start(kind, options.server_core, sizes)?;
    let _elements: Option<TcpStream> = match kind {
        Kind::Registrar | Kind::RegistrarEpoll => Some(registrar::fill(server.address)?.0),
        Kind::Uring | Kind::Epoll | Kind::Glommio => None,
    };
    let mut used = Vec::new();
    let time = Duration::from_millis(options.time);
    let pid = server.child.id();
    let loaded = load(server.address, asked, sizes, requests, time, || used.push(cpu(pid)))?;
    let [Some(before), Some(after)] = used[..] else {
        return Err(io::Error::other("the server's processor time cannot be read"));
    };
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let answers = loaded.answers as f64;
    let spent = (after - before).as_secs_f64().max(1e-9);
    Ok((answers / loaded.time.as_secs_f64(), answers / spent))
}

/// The processor time of all threads of a process, to the nanosecond.
fn cpu(pid: u32) -> Option<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        sum += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

/// A server in a process of its own.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(kind: Kind, core: usize, sizes: Sizes) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--kind", kind.name(), "--core", &core.to_string()])
            .args(["--request", &sizes.request.to_string()])
            .args(["--answer", &sizes.answer.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let failed = || io::Error::other(format!("the server {kind} does not start"));
        let address = line.trim().parse().map_err(|_| failed())?;
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours and has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// A table in Markdown: medians, and ratios to each bare server of the medians
/// of the ratios in each round.
fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| connections x pipelined | server | answers/s | answers per CPU second | us each | to uring | to epoll |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let to = |name: &str| {
            let same = |other: &&Row| other.server == name && other.pipelined == row.pipelined;
            let base = rows.iter().find(same)?;
            let pairs = row.answers_per_cpu_second.iter().zip(&base.answers_per_cpu_second);
            Some(median(&pairs.map(|(a, b)| a / b).collect::<Vec<_>>()))
        };
        let told = |ratio: Option<f64>| ratio.map_or_else(String::new, |it| format!("{it:.2}"));
        let cpu = median(&row.answers_per_cpu_second);
        let written = writeln!(
            table,
            "| {} x {} | {} | {:.0} | {cpu:.0} | {:.2} | {} | {} |",
            row.connections,
            row.pipelined,
            row.server,
            median(&row.answers_per_second),
            1e6 / cpu,
            told(to("uring")),
            told(to("epoll"))
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    table
}
