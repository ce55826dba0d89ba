//! The registrar inside, or the null server: this program again, in a process
//! of its own, so that what it uses is measured apart from what the load
//! generator uses.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use rserpool_registrar::{Announce, AsapAddress, Host, Options, Running, start};

use crate::null;
use crate::plan::{Plan, Transport};

/// The hidden subcommands that serve.
pub(crate) const SUBCOMMAND: &str = "serve";
pub(crate) const NULL: &str = "serve-null";
/// How long the registrar may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// What the line says that gives the address.
const READY: &str = "ready ";

/// A registrar in a process of its own.
#[derive(Debug)]
pub(crate) struct Inside {
    child: Child,
    /// The registrar serves until this is closed.
    life: Option<ChildStdin>,
    transport: Transport,
    address: SocketAddr,
}

/// What the registrar inside is told.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ServeOptions {
    #[arg(long, value_parser = crate::cli::milliseconds)]
    keep_alive_interval: Duration,
    #[arg(long, value_parser = crate::cli::transport)]
    transport: Transport,
    #[arg(long)]
    shards: Option<u16>,
    #[arg(long, value_enum)]
    host: Option<Host>,
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport.name(), self.address)
    }
}

impl Inside {
    /// Starts a registrar on a free port of the loopback address.
    pub(crate) fn start(plan: &Plan) -> Result<Self, String> {
        let milliseconds = plan.keep_alive_interval.as_millis().to_string();
        let mut arguments = vec![SUBCOMMAND.to_owned()];
        arguments.extend(["--keep-alive-interval".to_owned(), milliseconds]);
        arguments.extend(["--transport".to_owned(), plan.transport.name().to_owned()]);
        let shards = plan.shards.map(|shards| ["--shards".to_owned(), shards.to_string()]);
        arguments.extend(shards.into_iter().flatten());
        let host = plan.host.and_then(|host| Some(host.to_possible_value()?.get_name().to_owned()));
        arguments.extend(host.into_iter().flat_map(|host| ["--host".to_owned(), host]));
        Self::spawn(&arguments, plan.transport, "the registrar inside")
    }

    /// Starts a null server on a free port of the loopback address.
    pub(crate) fn null() -> Result<Self, String> {
        Self::spawn(&[NULL.to_owned()], Transport::Tcp, "the null server")
    }

    fn spawn(arguments: &[String], transport: Transport, name: &str) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{name} does not start: {error}");
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let life = child.stdin.take();
        let mut said = String::new();
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::new(output);
            output.read_line(&mut said).map_err(failed)?;
            if let Some(address) = said.trim_end().strip_prefix(READY) {
                let address = address.parse().map_err(|_| format!("what address is {said:?}?"))?;
                return Ok(Self { child, life, transport, address });
            }
            output.read_to_string(&mut said).map_err(failed)?;
        }
        let _ = child.wait();
        Err(format!("{name} does not start: {}", said.trim_end()))
    }

    /// Where it takes ASAP.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did within `patience`.
    pub(crate) fn ended(&mut self, patience: Duration) -> Option<String> {
        const LOOK: Duration = Duration::from_millis(10);
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(told(status)),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.life = None;
        match self.ended(STOP_TIMEOUT) {
            Some(end) if end == told(ExitStatus::default()) => Ok(()),
            Some(end) => Err(format!("the registrar inside {end} when it was to stop")),
            None => Err("the registrar inside does not stop".to_owned()),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.ended(Duration::ZERO).is_none() {
            // It is ours, and whoever wanted a clean end called `stop`.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => format!("was ended by signal {signal}"),
        None => format!("ended with exit status {}", status.code().unwrap_or(-1)),
    }
}

/// Serves as a registrar until standard input is closed.
pub(crate) fn serve(options: &ServeOptions) -> ExitCode {
    let transport = options.transport;
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let asap = match transport {
        Transport::Tcp => AsapAddress::Tcp(free),
        Transport::Sctp => AsapAddress::Sctp(free),
        Transport::SctpUdp => AsapAddress::SctpUdp(free),
    };
    let options = Options {
        asap: vec![asap],
        announce: vec![Announce::Off],
        shards: options.shards,
        host: options.host,
        keep_alive_interval: options.keep_alive_interval,
        // A host so busy that this program answers late is no dead element.
        keep_alive_timeout: Duration::from_secs(30),
        ..Options::default()
    };
    told_end(match start(&options) {
        Ok(running) => attend(running, transport),
        Err(error) => Err(error.to_string()),
    })
}

/// Serves as a null server until standard input is closed.
pub(crate) fn serve_null() -> ExitCode {
    std::thread::spawn(|| {
        // Its end, also by an error, is what is waited for.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    told_end(null::serve(ready).map_err(|error| error.to_string()))
}

fn ready(address: SocketAddr) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "{READY}{address}")?;
    output.flush()
}

fn told_end(ended: Result<(), String>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it, nobody is there to be told.
            let _ = writeln!(io::stdout(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn attend(mut running: Running, transport: Transport) -> Result<(), String> {
    const LOOK: Duration = Duration::from_millis(50);
    static CLOSED: AtomicBool = AtomicBool::new(false);
    let bound = match transport {
        Transport::Tcp => running.asap_tcp(),
        Transport::Sctp => &running.bound().asap_sctp,
        Transport::SctpUdp => running.asap_sctp_udp(),
    };
    let address = bound.first().copied().ok_or("it listens nowhere")?;
    ready(address).map_err(|error| error.to_string())?;
    std::thread::spawn(|| {
        // Its end, also by an error, is what is waited for.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        CLOSED.store(true, Ordering::Release);
    });
    while !CLOSED.load(Ordering::Acquire) {
        if let Some(failure) = running.failure(LOOK) {
            return Err(failure.to_string());
        }
    }
    running.stop().map(|_| ()).map_err(|failure| failure.to_string())
}
