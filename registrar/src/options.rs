//! What a registrar is told at its start.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::num::IntErrorKind;
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;

use rserpool_engine::RegistrarId;

/// The port of ASAP over TCP and SCTP (RFC 5352, 6).
pub const ASAP_PORT: u16 = 3863;

/// Everything a registrar can be told. The command line of
/// `rserpool-registrar` is these fields; an embedder changes some of
/// [`Options::default`].
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// This registrar's identifier, 0x00000001 to 0xffffffff [default: random]
    ///
    /// Give it one that stays if peers or pool elements should know it again
    /// after a restart.
    #[arg(long, value_name = "0xID", value_parser = registrar_id)]
    pub id: Option<RegistrarId>,

    /// Take ASAP on port 3863 of this address only [default: all addresses]
    #[arg(long, value_name = "ADDR", conflicts_with = "asap")]
    pub listen: Option<IpAddr>,

    /// Take ASAP here instead; may be given more than once
    #[arg(long, value_name = "tcp://ADDR:PORT")]
    pub asap: Vec<AsapAddress>,

    /// Number of shards, one thread each [default: one a core]
    #[arg(long, value_name = "N", value_parser = count::<u16, 1, 1024>)]
    pub shards: Option<u16>,

    /// What drives the shards [default: io_uring where this system allows it,
    /// else epoll]
    #[arg(long, value_enum, value_name = "HOST")]
    pub host: Option<Host>,

    /// Milliseconds between two keep-alives to a pool element; 0 for none
    ///
    /// Without keep-alives a dead pool element is found by reports, by the
    /// loss of its association, or by the end of its registration life.
    #[arg(long, value_name = "MS", default_value = "5000",
          value_parser = milliseconds::<0, 86_400_000>)]
    pub keep_alive_interval: Duration,

    /// Milliseconds a pool element has to answer a keep-alive
    #[arg(long, value_name = "MS", default_value = "5000",
          value_parser = milliseconds::<10, 3_600_000>)]
    pub keep_alive_timeout: Duration,

    /// Milliseconds a peer has to complete a message it began, its first one
    /// included, or to read an answer
    #[arg(long, value_name = "MS", default_value = "30000",
          value_parser = milliseconds::<10, 86_400_000>)]
    pub message_timeout: Duration,

    /// Most pools a shard holds
    #[arg(long, value_name = "N", default_value_t = 1 << 20,
          value_parser = count::<u32, 1, 0x0100_0000>)]
    pub max_pools: u32,

    /// Most pool elements a shard holds
    #[arg(long, value_name = "N", default_value_t = 1 << 24,
          value_parser = count::<u32, 1, 0x4000_0000>)]
    pub max_elements: u32,

    /// Most pool elements of one pool
    #[arg(long, value_name = "N", default_value_t = 1 << 24,
          value_parser = count::<u32, 1, 0x4000_0000>)]
    pub max_elements_per_pool: u32,

    /// Most pool elements registered over one connection
    #[arg(long, value_name = "N", default_value_t = 1 << 20,
          value_parser = count::<u32, 1, 0x4000_0000>)]
    pub max_elements_per_connection: u32,

    /// Most connections of all shards [default: what RLIMIT_NOFILE allows]
    #[arg(long, value_name = "N", value_parser = count::<u32, 1, 0x0100_0000>)]
    pub max_connections: Option<u32>,

    /// Most pool elements in one answer to a handle resolution
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = count::<u32, 1, 1024>)]
    pub max_items: u32,

    /// The unreachability report that removes a pool element: its Nth
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count::<u8, 1, 255>)]
    pub max_bad_reports: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            id: None,
            listen: None,
            asap: Vec::new(),
            shards: None,
            host: None,
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_timeout: Duration::from_secs(5),
            message_timeout: Duration::from_secs(30),
            max_pools: 1 << 20,
            max_elements: 1 << 24,
            max_elements_per_pool: 1 << 24,
            max_elements_per_connection: 1 << 20,
            max_connections: None,
            max_items: 128,
            max_bad_reports: 3,
        }
    }
}

impl Options {
    /// Where ASAP is to be taken: what [`Options::asap`] says, else the IANA
    /// port of [`Options::listen`], else that of all addresses.
    #[must_use]
    pub fn asap_addresses(&self) -> Vec<SocketAddr> {
        if self.asap.is_empty() {
            let address = self.listen.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            return vec![SocketAddr::new(address, ASAP_PORT)];
        }
        self.asap.iter().map(|AsapAddress::Tcp(address)| *address).collect()
    }
}

/// What drives the shards of a registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Host {
    /// Executors of glommio on io_uring.
    #[value(name = "io_uring")]
    IoUring,
    /// Plain threads on epoll: works wherever Linux does.
    Epoll,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoUring => "io_uring via glommio",
            Self::Epoll => "epoll",
        })
    }
}

/// A transport address for ASAP, as a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsapAddress {
    /// `tcp://ADDR:PORT`. Port 0 is one the system chooses.
    Tcp(SocketAddr),
}

impl fmt::Display for AsapAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Tcp(address) = self;
        write!(f, "tcp://{address}")
    }
}

/// A text that is not an [`AsapAddress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsapAddressError {
    /// It names a transport that is not there.
    Transport(String),
    /// What follows `tcp://` is not an IP address and a port.
    Address(String),
}

impl fmt::Display for AsapAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(scheme) => write!(f, "{scheme}:// is not built; allowed: tcp://"),
            Self::Address(rest) => write!(
                f,
                "{rest:?} is not an IP address and a port; \
                 allowed: tcp://ADDR:PORT such as tcp://192.0.2.1:3863 or tcp://[::]:3863"
            ),
        }
    }
}

impl core::error::Error for AsapAddressError {}

impl FromStr for AsapAddress {
    type Err = AsapAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(AsapAddressError::Address(text.to_owned()));
        };
        if scheme != "tcp" {
            return Err(AsapAddressError::Transport(scheme.to_owned()));
        }
        rest.parse().map(Self::Tcp).map_err(|_| AsapAddressError::Address(rest.to_owned()))
    }
}

/// An identifier in hexadecimal with `0x` or in decimal.
fn registrar_id(text: &str) -> Result<RegistrarId, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match number {
        Ok(0) => Err("0 identifies nobody; allowed: 0x00000001 to 0xffffffff".to_owned()),
        Ok(number) => Ok(RegistrarId::new(number)),
        Err(_) => Err("not a 32-bit number; allowed: 0x00000001 to 0xffffffff".to_owned()),
    }
}

/// A number of `MIN..=MAX`.
fn count<T: TryFrom<u64>, const MIN: u64, const MAX: u64>(text: &str) -> Result<T, String> {
    let number = within(text, MIN..=MAX)?;
    T::try_from(number).map_err(|_| format!("allowed: {MIN} to {MAX}"))
}

/// A duration of `MIN..=MAX` milliseconds.
fn milliseconds<const MIN: u64, const MAX: u64>(text: &str) -> Result<Duration, String> {
    within(text, MIN..=MAX).map(Duration::from_millis)
}

fn within(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let allowed = || format!("allowed: {} to {}", range.start(), range.end());
    match text.parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        Err(error) if *error.kind() != IntErrorKind::PosOverflow => {
            Err(format!("not a number; {}", allowed()))
        }
        Ok(_) | Err(_) => Err(allowed()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(line: &[&str]) -> Result<Options, clap::Error> {
        let program = core::iter::once(&"rserpool-registrar");
        Line::try_parse_from(program.chain(line)).map(|line| line.options)
    }

    /// Asserts that the line is refused with exit status 2 by a message that
    /// has all of `parts`.
    fn assert_refused(line: &[&str], parts: &[&str]) {
        let error = parsed(line).unwrap_err();
        let message = error.to_string();
        assert_eq!(error.exit_code(), 2, "{message}");
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }

    #[test]
    fn no_option_means_the_default() {
        assert_eq!(parsed(&[]).unwrap(), Options::default());
        assert_eq!(
            Options::default().asap_addresses(),
            ["[::]:3863".parse::<SocketAddr>().unwrap()]
        );
    }

    #[test]
    fn options_are_what_was_given() {
        let options = parsed(&[
            "--id=0xAABBCCDD",
            "--asap=tcp://127.0.0.1:0",
            "--asap",
            "tcp://[::1]:3863",
            "--shards=2",
            "--keep-alive-interval=0",
            "--keep-alive-timeout=250",
            "--max-connections=12",
        ])
        .unwrap();
        assert_eq!(options.id, Some(RegistrarId::new(0xaabb_ccdd)));
        let addresses: Vec<String> =
            options.asap_addresses().iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1:0", "[::1]:3863"]);
        assert_eq!(options.shards, Some(2));
        assert_eq!(options.keep_alive_interval, Duration::ZERO);
        assert_eq!(options.keep_alive_timeout, Duration::from_millis(250));
        assert_eq!(options.max_connections, Some(12));
        let options = parsed(&["--listen", "192.0.2.1", "--id", "7"]).unwrap();
        assert_eq!(options.asap_addresses(), ["192.0.2.1:3863".parse::<SocketAddr>().unwrap()]);
        assert_eq!(options.id, Some(RegistrarId::new(7)));
    }

    #[test]
    fn wrong_values_are_refused_with_what_is_allowed() {
        assert_refused(&["--id=0"], &["--id", "identifies nobody", "0x00000001 to 0xffffffff"]);
        assert_refused(&["--id=0x1ffffffff"], &["--id", "0x00000001 to 0xffffffff"]);
        assert_refused(&["--id=-1"], &["--id", "0x00000001 to 0xffffffff"]);
        assert_refused(&["--shards=0"], &["--shards", "1 to 1024"]);
        assert_refused(&["--shards=99999999999999999999"], &["--shards", "1 to 1024"]);
        assert_refused(&["--shards=two"], &["--shards", "not a number", "1 to 1024"]);
        assert_refused(&["--keep-alive-timeout=1"], &["--keep-alive-timeout", "10 to 3600000"]);
        assert_refused(&["--max-bad-reports=256"], &["--max-bad-reports", "1 to 255"]);
        assert_refused(&["--listen=example.org"], &["--listen", "example.org"]);
    }

    #[test]
    fn transports_that_are_not_built_are_refused() {
        let allowed = "not built; allowed: tcp://";
        assert_refused(&["--asap=sctp://0.0.0.0:3863"], &["--asap", "sctp://", allowed]);
        assert_refused(&["--asap=sctp-udp://[::]:3863"], &["--asap", "sctp-udp://", allowed]);
        assert_refused(
            &["--asap=tcp://localhost:3863"],
            &["--asap", "localhost", "tcp://ADDR:PORT"],
        );
        assert_refused(&["--asap=127.0.0.1:3863"], &["--asap", "tcp://ADDR:PORT"]);
    }

    #[test]
    fn contradictions_and_unknown_options_are_refused() {
        let line = ["--listen=127.0.0.1", "--asap=tcp://127.0.0.1:1"];
        assert_refused(&line, &["--listen", "--asap"]);
        assert_refused(&["--peer=enrp://192.0.2.1"], &["--peer"]);
    }
}
