//! What can be said to `rsp`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rserpool_client::{PeId, Policy};

use crate::access::Registrars;
use crate::admin::AdminUrl;
use crate::health::Check;
use crate::load::Source;
use crate::policy;
use crate::service::ServiceAddress;

/// The longest pool handle that our registrars take, in bytes.
const HANDLE_MAX: usize = 4096;

const EXAMPLES: &str = "\
Examples:
  rsp resolve EchoPool
      Which pool elements a client would get.
  rsp serve --pool Web --service 127.0.0.1:8080 --check http:/ -- ./server
      Run a server as a pool element, for as long as it is healthy.
  rsp proxy --pool Web --listen 127.0.0.1:8000
      Let clients that know nothing of pools use one.
  rsp watch
      See pools and elements come and go.
  rsp decode capture.pcapng
      Read the messages of a capture.
Exit status: 0 done, 1 failed or refused, 2 wrong command line, 3 no registrar.";

/// Reliable Server Pooling (RFC 5351 to 5356) on the command line.
#[derive(Debug, Parser)]
#[command(name = "rsp", version, after_help = EXAMPLES)]
pub(crate) struct Line {
    #[command(flatten)]
    pub(crate) registrars: Registrars,

    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// How long a registrar has to answer, such as 500ms, 5s or 1m
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) timeout: Duration,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Resolve a pool handle: print the elements the registrar selects
    Resolve(Resolve),
    /// Register a pool element, and keep it registered until a signal
    Register(Register),
    /// Report a pool element as unreachable
    Report(Report),
    /// Show pools and elements as they come, go and change
    Watch(Watch),
    /// Make an unmodified server a pool element, for as long as it is healthy
    Serve(Serve),
    /// Let unmodified clients use a pool over TCP
    Proxy(Proxy),
    /// List the pools of a registrar
    Pools(Admin),
    /// List all elements of a pool, with what the registrar knows of them
    Pool(OnePool),
    /// Print everything a registrar holds, as JSON, one pool a line
    Dump(Admin),
    /// List all elements of all pools
    Elements(Admin),
    /// List the other registrars that a registrar knows
    Peers(Admin),
    /// Print the ASAP and ENRP messages of a capture file
    Decode(Decode),
    /// Measure what a registrar answers, for a few seconds
    Bench(Bench),
    /// Say what this host can do
    #[command(after_help = "\
Examples:
  rsp doctor
  rsp doctor --json")]
    Doctor,
    /// Print completions for a shell
    #[command(after_help = "\
Examples:
  rsp completions bash > /etc/bash_completion.d/rsp
  rsp completions zsh > /usr/local/share/zsh/site-functions/_rsp
  rsp completions fish > ~/.config/fish/completions/rsp.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages
    #[command(after_help = "\
Example:
  rsp man /usr/local/share/man/man1")]
    Man {
        /// Where to
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rsp resolve EchoPool
  rsp resolve EchoPool --items 1 --json")]
pub(crate) struct Resolve {
    /// The pool handle
    #[arg(value_parser = pool_handle)]
    pub(crate) handle: String,
    /// Most elements to ask for; 0 leaves it to the registrar
    #[arg(long, short = 'n', value_name = "N", default_value_t = 0)]
    pub(crate) items: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rsp register EchoPool --service tcp://192.0.2.1:7
  rsp register Web --service 192.0.2.1:80 --policy lu --load 25%")]
pub(crate) struct Register {
    /// The pool handle
    #[arg(value_parser = pool_handle)]
    pub(crate) handle: String,
    /// Where the service is: tcp://ADDR:PORT, udp:// or sctp://
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: ServiceAddress,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// The policy and what it has of this element [default: rr; with --load, lu]
    #[arg(long, value_name = "POLICY", value_parser = policy::parse, long_help = policy::HELP)]
    pub(crate) policy: Option<Policy>,
    /// The element's load, such as 25%, for a policy that has one
    #[arg(long, value_name = "LOAD", value_parser = policy::share)]
    pub(crate) load: Option<u32>,
}

/// What every registration has.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// The PE identifier [default: random]
    #[arg(long, value_name = "0xID", value_parser = pe_id)]
    pub(crate) id: Option<PeId>,
    /// The registration life; renewed well before its end
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = time)]
    pub(crate) life: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rsp report EchoPool 0x1a2b3c4d")]
pub(crate) struct Report {
    /// The pool handle
    #[arg(value_parser = pool_handle)]
    pub(crate) handle: String,
    /// The PE identifier
    #[arg(value_parser = pe_id)]
    pub(crate) id: PeId,
}

#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal it fills the screen: the pools of the registrar with their elements
and rates, by its --admin address; with a handle and without an admin address to
be reached, the pool as a client sees it. Keys: arrows or j and k to move, Enter or
right for the elements of a pool, Esc or left back, q to leave.

Elsewhere, with --lines or with --json it prints what came, went and changed: of
the pool that is named, as a client sees it, or of all pools, by the --admin
address. It only looks: it never becomes a peer of the registrar. A pool of more
elements than one answer has is seen in part by clients.

Examples:
  rsp watch
  rsp watch Web
  rsp watch Web --interval 200ms --json")]
pub(crate) struct Watch {
    /// The pool handle [default: all pools]
    #[arg(value_parser = pool_handle)]
    pub(crate) handle: Option<String>,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) interval: Duration,
    /// Stop after so many looks [default: never]
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Print lines, on a terminal too
    #[arg(long)]
    pub(crate) lines: bool,
    /// The admin address of the registrar
    #[arg(long, value_name = "URL", env = "RSP_ADMIN", default_value = "http://127.0.0.1:8363")]
    pub(crate) admin: AdminUrl,
}

/// Where a registrar shows itself.
#[derive(Debug, Args)]
#[command(after_help = "\
The registrar's --admin address is asked: who uses pools only need not see it.

Examples:
  rsp pools
  rsp elements --json
  rsp peers
  rsp dump --admin http://192.0.2.8:8363")]
pub(crate) struct Admin {
    /// The admin address of the registrar
    #[arg(long, value_name = "URL", env = "RSP_ADMIN", default_value = "http://127.0.0.1:8363")]
    pub(crate) admin: AdminUrl,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rsp pool EchoPool")]
pub(crate) struct OnePool {
    /// The pool handle
    #[arg(value_parser = pool_handle)]
    pub(crate) handle: String,
    #[command(flatten)]
    pub(crate) admin: Admin,
}

#[derive(Debug, Args)]
#[command(after_help = "\
It reads pcap and pcapng files: SCTP with the payload protocol identifiers 11
and 12, SCTP over UDP, TCP connections and UDP datagrams of the registered ports
and of those that are named. Messages in several chunks, segments or IP fragments
are put together; what is missing is told.

The exit status is 1 if a message is malformed, or the file ends in the middle.

Examples:
  rsp decode capture.pcapng
  rsp decode capture.pcap --asap-port 4863 --json | jq .message")]
pub(crate) struct Decode {
    /// The capture file
    pub(crate) file: PathBuf,
    /// A TCP or UDP port of ASAP besides 3863
    #[arg(long, value_name = "PORT", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) asap_port: Vec<u16>,
    /// A TCP or UDP port of ENRP besides 9901
    #[arg(long, value_name = "PORT", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) enrp_port: Vec<u16>,
    /// A UDP port of SCTP over UDP besides 9899
    #[arg(long, value_name = "PORT", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) sctp_udp_port: Vec<u16>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With --elements, it registers so many elements of its own in the pool first, and
deregisters them afterwards. Requests go through one association, and are made as
by a pool user or a pool element of the client library: what is measured is this
process and the registrar together. rserpool-loadgen measures a registrar alone,
with many associations, and checks its answers.

With --rate, latency counts from when a request was due, whether or not it could
be made then.

Examples:
  rsp bench EchoPool
  rsp bench Try --elements 1000 --duration 10s
  rsp bench Try --elements 100 --operation register --rate 500 --json")]
pub(crate) struct Bench {
    /// The pool handle
    #[arg(value_parser = pool_handle)]
    pub(crate) handle: String,
    /// What is asked for
    #[arg(long, value_enum, value_name = "OPERATION", default_value = "resolve")]
    pub(crate) operation: Operation,
    /// Elements to register in the pool for the time of the measurement
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) elements: u32,
    /// Most elements of an answer
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) items: u32,
    /// How long it measures
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) duration: Duration,
    /// Requests under way at once
    #[arg(long, short, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) concurrency: u32,
    /// Requests due each second [default: the next with each answer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Operation {
    /// Handle resolutions
    Resolve,
    /// Re-registrations of the elements of --elements
    Register,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With a command, it is run with PORT in its environment, and {port} in its
arguments replaced; without --service, a free port is chosen for it. The element
is registered when its check passes, deregistered when it fails, and registered
again when it passes again. When the command ends, so does rsp, with status 1.

SIGTERM or SIGINT drains: the element is deregistered, the server goes on until
its connections are gone or --drain is over, and then the command gets SIGTERM.

Examples:
  rsp serve --pool Web -- python3 -m http.server {port}
  rsp serve --pool Web --service 192.0.2.1:80 --check http:/health
  rsp serve --pool Web --load connections:100 -- ./server --port {port}")]
pub(crate) struct Serve {
    /// The pool handle
    #[arg(long, short, value_name = "HANDLE", value_parser = pool_handle)]
    pub(crate) pool: String,
    /// Where the service is: ADDR:PORT
    #[arg(long, short, value_name = "SERVICE", required_unless_present = "run")]
    pub(crate) service: Option<ServiceAddress>,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// The policy [default: rr; with --load, lu]
    #[arg(long, value_name = "POLICY", value_parser = policy::parse, long_help = policy::HELP)]
    pub(crate) policy: Option<Policy>,
    /// Whether it is healthy: tcp, http:/PATH, command:CMD or none
    #[arg(long, value_name = "CHECK", default_value = "tcp")]
    pub(crate) check: Check,
    /// How often to check, and to look at the load
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) interval: Duration,
    /// How many checks in a row have to fail
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) failures: u32,
    /// Its load: connections:MAX, system or command:CMD (which prints 0 to 100)
    #[arg(long, value_name = "SOURCE")]
    pub(crate) load: Option<Source>,
    /// How long open connections may take when it drains
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) drain: Duration,
    /// The server to run
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) run: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each connection goes to one element, selected by the pool's policy. One that
cannot be connected to is reported to the registrar, and another one is tried.
With --replay, so is one that ends the connection before it has answered
anything: what the client has sent is sent again. That may have it done twice.

An element that dies without a word, because its host or its network does, is
noticed within --silence, and a second: it is reported, and the connection ends.
One that accepts and then does nothing, because its process is stopped, is noticed
within --answer-timeout, which goes with --replay: another one gets the request.

SIGTERM or SIGINT drains: no new connections, and the end when the open ones are
gone or --drain is over.

Examples:
  rsp proxy --pool Web --listen 127.0.0.1:8000
  rsp proxy --pool Web --listen [::]:80 --replay 65536 --answer-timeout 3s
  rsp proxy --pool Web --listen 127.0.0.1:8000 --stats 10s --json")]
pub(crate) struct Proxy {
    /// The pool handle
    #[arg(long, short, value_name = "HANDLE", value_parser = pool_handle)]
    pub(crate) pool: String,
    /// Where clients connect to
    #[arg(long, short, value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// How long an element has to accept a connection
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub(crate) connect_timeout: Duration,
    /// How long to look for an element that accepts
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) patience: Duration,
    /// Most bytes of a client that are kept to be sent again; 0 for never
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) replay: usize,
    /// How long an element may take to begin its answer to what is kept [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) answer_timeout: Option<Duration>,
    /// How long the other side of a connection may acknowledge nothing
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) silence: Duration,
    /// Most connections at once
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
    /// Print statistics so often [default: at the end only]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) stats: Option<Duration>,
    /// How long open connections may take when it drains
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) drain: Duration,
}

/// A positive time with its unit: ms, s, m or h.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: say 500ms, 5s, 1m or 1h");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(millis) {
        Some(millis @ 1..=31_536_000_000) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("{text:?} is not between 1ms and a year")),
    }
}

/// A PE identifier as it is printed, or in decimal.
fn pool_handle(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > HANDLE_MAX {
        return Err(format!("a pool handle has 1 to {HANDLE_MAX} bytes"));
    }
    Ok(text.to_owned())
}

fn pe_id(text: &str) -> Result<PeId, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number
        .filter(|number| *number != 0)
        .map(PeId::new)
        .ok_or_else(|| format!("{text:?} is no identifier: say 0x1 to 0xffffffff"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn a_pool_handle_is_not_empty_and_not_endless() {
        assert_eq!(pool_handle("EchoPool"), Ok("EchoPool".to_owned()));
        assert_eq!(pool_handle(&"x".repeat(HANDLE_MAX)).map(|it| it.len()), Ok(HANDLE_MAX));
        for wrong in [String::new(), "x".repeat(HANDLE_MAX + 1)] {
            assert!(pool_handle(&wrong).is_err());
        }
        let commands: [&[&str]; 4] = [
            &["resolve", ""],
            &["watch", ""],
            &["report", "", "0x1"],
            &["proxy", "--pool", "", "--listen", "127.0.0.1:0"],
        ];
        for command in commands {
            let error = Line::try_parse_from([&["rsp"], command].concat()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{command:?}");
            assert!(error.to_string().contains("1 to 4096 bytes"), "{error}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "0s", "-1s", "1d", "99999999999999999999s", "10000h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn identifiers_are_read_as_they_are_printed() {
        assert_eq!(pe_id("0x1a2b3c4d"), Ok(PeId::new(0x1a2b_3c4d)));
        assert_eq!(pe_id(&PeId::new(7).to_string()), Ok(PeId::new(7)));
        for wrong in ["", "0", "0x0", "0x100000000", "x"] {
            assert!(pe_id(wrong).is_err(), "{wrong}");
        }
    }
}
