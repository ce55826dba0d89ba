//! What can be said to `rsp-demo`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rserpool_client::session::SctpCarrier;
use rserpool_client::{PeId, Policy, RegistrarUrl};
use rserpool_demos::{calc_app, chargen, daytime, discard, echo, fractal, ping_pong};

const EXAMPLES: &str = "\
Examples:
  rsp-demo serve ping-pong
      A pool element at a free TCP port of 127.0.0.1.
  rsp-demo serve ping-pong --listen sctp://192.0.2.1:0
      The same over the kernel's SCTP, for clients of rsplib, too.
  rsp-demo ping-pong --count 10
      A session with whoever serves; kill it meanwhile.
  rsp-demo fractal mandelbrot.png
Exit status: 0 done, 1 failed, 2 wrong command line, 3 no registrar.";

/// Demonstration services of Reliable Server Pooling, and their clients
#[derive(Debug, Parser)]
#[command(name = "rsp-demo", version, after_help = EXAMPLES)]
pub(crate) struct Line {
    /// A registrar: tcp://HOST:PORT, sctp:// or sctp-udp://; may be given more than once
    #[arg(
        long,
        short,
        global = true,
        value_name = "URL",
        env = "RSP_REGISTRAR",
        value_delimiter = ',',
        default_value = "tcp://127.0.0.1:3863"
    )]
    pub(crate) registrar: Vec<RegistrarUrl>,

    /// The pool handle; the usual one of the service without
    #[arg(long, global = true, value_name = "HANDLE")]
    pub(crate) pool: Option<String>,

    /// How clients reach elements over SCTP: any, kernel, udp:PORT
    #[arg(long, global = true, value_name = "HOW", default_value = "any", value_parser = carrier)]
    pub(crate) sctp: SctpCarrier,

    /// How long a peer may acknowledge nothing, in milliseconds
    #[arg(long, global = true, value_name = "MS", default_value = "5000", value_parser = millis)]
    pub(crate) silence: Duration,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be a pool element until a signal
    Serve(Serve),
    #[command(flatten)]
    Use(Use),
}

/// A client of a service.
#[derive(Debug, Subcommand)]
pub(crate) enum Use {
    /// Send lines, and print them as they come back
    Echo,
    /// Send lines that nobody answers
    Discard,
    /// Print the time of an element
    Daytime,
    /// Read characters
    Chargen {
        /// How many at least
        #[arg(long, value_name = "N", default_value_t = 1_000_000)]
        bytes: u64,
    },
    /// Send Pings, and say if a reply was lost or came twice
    PingPong {
        /// How many; without, until a signal
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// Time from one to the next, in milliseconds
        #[arg(long, value_name = "MS", default_value = "500", value_parser = millis)]
        interval: Duration,
    },
    /// Have jobs calculated, one after another
    CalcApp {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1)]
        jobs: u32,
        /// Calculations of each
        #[arg(long, value_name = "N", default_value_t = 5_000_000)]
        size: u64,
        /// How long an element may show no sign of life, in milliseconds
        #[arg(long, value_name = "MS", default_value = "5000", value_parser = millis)]
        keep_alive: Duration,
    },
    /// Draw a part of the Mandelbrot set
    Fractal {
        /// The PNG to write
        file: PathBuf,
        /// Points a line
        #[arg(long, value_name = "N", default_value_t = 400, value_parser = side())]
        width: u32,
        /// Lines
        #[arg(long, value_name = "N", default_value_t = 300, value_parser = side())]
        height: u32,
        /// Steps until a point counts as one of the set
        #[arg(long, value_name = "N", default_value_t = 255,
              value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        steps: u32,
        /// The exponent, 2 for the common set
        #[arg(long, value_name = "N")]
        exponent: Option<f64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Which service
    pub(crate) service: Service,
    /// Where: tcp://ADDR:PORT, sctp://ADDR:PORT or sctp-udp://ADDR:UDP-PORT; port 0 is a free one
    #[arg(long, value_name = "URL", default_value = "tcp://127.0.0.1:0")]
    pub(crate) listen: Listen,
    /// The PE identifier, as 0x1234 or a number; drawn without
    #[arg(long, value_name = "ID", value_parser = pe)]
    pub(crate) id: Option<PeId>,
    /// The policy: rr, random or lu
    #[arg(long, value_name = "POLICY", default_value = "rr", value_parser = policy)]
    pub(crate) policy: Policy,
    /// calc-app: calculations a second of all jobs together
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) capacity: u32,
    /// calc-app: most jobs at once
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs_max: u16,
    /// fractal: pause after each message, in milliseconds, so that there is time to kill it
    #[arg(long, value_name = "MS", default_value = "0", value_parser = millis)]
    pub(crate) pause: Duration,
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    Echo,
    Discard,
    Daytime,
    Chargen,
    PingPong,
    CalcApp,
    Fractal,
}

impl Service {
    /// Its usual pool handle.
    pub(crate) const fn pool(self) -> &'static str {
        match self {
            Self::Echo => echo::POOL,
            Self::Discard => discard::POOL,
            Self::Daytime => daytime::POOL,
            Self::Chargen => chargen::POOL,
            Self::PingPong => ping_pong::POOL,
            Self::CalcApp => calc_app::POOL,
            Self::Fractal => fractal::POOL,
        }
    }
}

/// Where a service listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Tcp(SocketAddr),
    Sctp(SocketAddr),
    /// The port is that of UDP.
    SctpUdp(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = "allowed: tcp://ADDR:PORT, sctp://ADDR:PORT, sctp-udp://ADDR:UDP-PORT";
        let (scheme, rest) = text.split_once("://").ok_or(allowed)?;
        let address: SocketAddr = rest.parse().map_err(|_| allowed)?;
        if address.ip().is_unspecified() {
            return Err(format!("clients cannot connect to {}", address.ip()));
        }
        match scheme {
            "tcp" => Ok(Self::Tcp(address)),
            "sctp" => Ok(Self::Sctp(address)),
            "sctp-udp" if address.port() != 0 => Ok(Self::SctpUdp(address)),
            "sctp-udp" => Err("clients have to know the UDP port: 9899 is usual".to_owned()),
            _ => Err(allowed.to_owned()),
        }
    }
}

fn side() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=4096)
}

fn millis(text: &str) -> Result<Duration, String> {
    let number: Option<u32> = text.parse().ok();
    number
        .map(|number| Duration::from_millis(number.into()))
        .ok_or_else(|| format!("allowed: 0 to {} milliseconds", u32::MAX))
}

fn carrier(text: &str) -> Result<SctpCarrier, String> {
    let allowed = || "allowed: any, kernel, udp:PORT".to_owned();
    match (text, text.strip_prefix("udp:")) {
        ("any", _) => Ok(SctpCarrier::Any),
        ("kernel", _) => Ok(SctpCarrier::Kernel),
        (_, Some(port)) => match port.parse() {
            Ok(0) | Err(_) => Err(allowed()),
            Ok(port) => Ok(SctpCarrier::Udp { port }),
        },
        _ => Err(allowed()),
    }
}

fn pe(text: &str) -> Result<PeId, String> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    match number {
        Ok(0) | Err(_) => Err("allowed: 1 to 0xffffffff".to_owned()),
        Ok(number) => Ok(PeId::new(number)),
    }
}

fn policy(text: &str) -> Result<Policy, String> {
    match text {
        "rr" => Ok(Policy::RoundRobin),
        "random" => Ok(Policy::Random),
        "lu" => Ok(Policy::LeastUsed { load: 0 }),
        _ => Err("allowed: rr, random, lu".to_owned()),
    }
}
