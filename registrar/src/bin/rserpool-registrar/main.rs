//! `rserpool-registrar`: a registrar for Reliable Server Pooling.
//!
//! With no option it takes ASAP (RFC 5352) over TCP on port 3863 of all
//! addresses, runs one shard a core, prints what it bound in one block, and
//! says `ready`. SIGINT and SIGTERM stop it: it accepts no more, answers what
//! was asked, and exits with status 0 after at most little more than a second;
//! a second signal ends it at once.
//!
//! | exit status | meaning |
//! |---|---|
//! | 0 | stopped by a signal; or `--check`: it would start |
//! | 1 | it could not start, or failed; stderr says why |
//! | 2 | the command line is wrong; or `--check`: it would not start |
//! | 130, 143 | ended by a second SIGINT, SIGTERM |

mod logger;
mod signal;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::Parser;
use rserpool_registrar::{
    AdminAddress, Bound, EnrpAddress, Options, Running, Summary, check, parse_or_exit, start,
};

const EXAMPLES: &str = "\
Examples:
  rserpool-registrar
      Take ASAP on TCP port 3863 of all addresses, one shard a core.
  rserpool-registrar --listen 192.0.2.1 --id 0xaabbccdd
      The same on one address, with an identifier that stays.
  rserpool-registrar --asap tcp://127.0.0.1:0 --shards 1
      A port that the system chooses, for a test; the first lines name it.
  rserpool-registrar --check --shards 4
      Say whether it would start here, and with what; bind nothing for long.";

/// A registrar for Reliable Server Pooling (RFC 5351 to 5356).
#[derive(Debug, Parser)]
#[command(name = "rserpool-registrar", version, after_help = EXAMPLES)]
struct Line {
    #[command(flatten)]
    options: Options,

    /// Where operators look, over HTTP: pools, counts, metrics; 'off' for nowhere
    /// [default: 127.0.0.1:8363 if that is free]
    #[arg(long, value_name = "ADDR:PORT|off", value_parser = admin_address)]
    admin: Option<AdminAddress>,

    /// Only check the options and what this host can do: exit status 0 or 2
    #[arg(long)]
    check: bool,

    /// How log lines on stderr look
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: logger::Format,

    /// From which level on log lines are written
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info")]
    log_level: logger::Level,
}

/// Where the admin server is if nothing else is said.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8363);

fn admin_address(text: &str) -> Result<AdminAddress, String> {
    if text == "off" {
        return Ok(AdminAddress::Off);
    }
    let wrong = || format!("not an IP address with a port, such as {ADMIN_DEFAULT}, and not 'off'");
    text.parse().map(AdminAddress::At).map_err(|_| wrong())
}

fn main() -> ExitCode {
    let mut line: Line = parse_or_exit();
    let group = &mut line.options.group;
    if group.enrp.is_empty() && group.peer.is_empty() && line.options.asap.is_empty() {
        group.enrp.push(EnrpAddress::IfFree);
    }
    line.options.admin = line.admin.unwrap_or(AdminAddress::IfFree(ADMIN_DEFAULT));
    logger::install(line.log_format, line.log_level);
    if let Err(contradiction) = line.options.validate() {
        return fail(&contradiction, ExitCode::from(2));
    }
    if line.check {
        return match check(&line.options) {
            Ok(bound) => say(&Block("would bind", &bound)).map_or(ExitCode::FAILURE, |()| OK),
            Err(error) => fail(&error, ExitCode::from(2)),
        };
    }
    let signals = match signal::first() {
        Ok(signals) => signals,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    match start(&line.options) {
        Ok(running) => serve(running, &signals),
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

const OK: ExitCode = ExitCode::SUCCESS;

fn serve(mut running: Running, signals: &mpsc::Receiver<i32>) -> ExitCode {
    let ready = format!("{}ready", Block("rserpool-registrar", running.bound()));
    if let Err(error) = say(&ready) {
        return fail(&format!("cannot write to stdout: {error}"), ExitCode::FAILURE);
    }
    loop {
        if signals.recv_timeout(Duration::from_millis(200)).is_ok() {
            break;
        }
        if let Some(failure) = running.failure(Duration::ZERO) {
            return fail(&failure, ExitCode::FAILURE);
        }
    }
    match running.stop() {
        // It served until it was told to stop; a stdout that is gone by then
        // is no failure.
        Ok(summary) => say(&Stopped(&summary)).map_or(OK, |()| OK),
        Err(failure) => fail(&failure, ExitCode::FAILURE),
    }
}

/// What is bound, in one block.
struct Block<'a>(&'a str, &'a Bound);

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(title, bound) = self;
        writeln!(f, "{title} {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  id           {}", bound.id)?;
        writeln!(f, "  shards       {} on CPUs {:?}", bound.cpus.len(), bound.cpus)?;
        for address in &bound.asap_tcp {
            writeln!(f, "  asap         tcp://{address}")?;
        }
        for address in &bound.asap_sctp {
            writeln!(f, "  asap         sctp://{address}")?;
        }
        for address in &bound.asap_sctp_udp {
            let port = rserpool_registrar::ASAP_PORT;
            writeln!(f, "  asap         sctp-udp://{address} (SCTP port {port} inside)")?;
        }
        for address in &bound.enrp_tcp {
            writeln!(f, "  enrp         tcp://{address}")?;
        }
        for address in &bound.enrp_sctp {
            writeln!(f, "  enrp         sctp://{address}")?;
        }
        for address in &bound.enrp_sctp_udp {
            let port = rserpool_registrar::ENRP_PORT;
            writeln!(f, "  enrp         sctp-udp://{address} (SCTP port {port} inside)")?;
        }
        for group in &bound.announces {
            writeln!(f, "  announces    {group}")?;
        }
        for without in &bound.without {
            writeln!(f, "  without      {}: {}", without.address, without.why)?;
        }
        match &bound.io_uring_refused {
            None => writeln!(f, "  host         {}", bound.host)?,
            Some(reason) => writeln!(f, "  host         {} ({reason})", bound.host)?,
        }
        match bound.admin {
            Some(address) => writeln!(f, "  admin        http://{address}/")?,
            None => writeln!(f, "  admin        off")?,
        }
        writeln!(f, "  connections  at most {}", bound.connections_max)
    }
}

struct Stopped<'a>(&'a Summary);

impl fmt::Display for Stopped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { ran, stats } = self.0;
        let traffic = stats.traffic();
        write!(
            f,
            "stopped after {:.1} s: {} connections, {} messages, {} pool elements in {} pools",
            ran.as_secs_f64(),
            traffic.accepted,
            traffic.messages,
            stats.elements(),
            stats.pools()
        )
    }
}

/// A block of text on stdout.
fn say(text: &dyn fmt::Display) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

fn fail(error: &dyn fmt::Display, status: ExitCode) -> ExitCode {
    // There is nowhere to say that stderr is gone.
    let _lost = writeln!(std::io::stderr(), "rserpool-registrar: {error}");
    status
}
