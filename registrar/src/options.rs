//! What a registrar is told at its start.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::num::IntErrorKind;
use core::ops::RangeInclusive;
use core::time::Duration;

use rserpool_engine::RegistrarId;
use rserpool_proto::discovery;

use crate::announce::{Announce, interface_exists};

mod address;
mod compat;
mod enrp;
mod sctp;

pub use address::{AsapAddress, AsapAddressError};
pub use compat::Compat;
pub use enrp::{ENRP_PORT, EnrpAddress, EnrpAddressError, GroupOptions, PeerAddress};
pub use sctp::SctpOptions;

/// The port of ASAP over TCP and SCTP (RFC 5352, 6).
pub const ASAP_PORT: u16 = 3863;

/// The UDP port of SCTP over UDP (RFC 6951, 5.1).
pub const SCTP_UDP_PORT: u16 = 9899;

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

    /// Take ASAP on this address only [default: all addresses], by every
    /// transport this host has: TCP and SCTP on port 3863, SCTP over UDP on
    /// UDP port 9899
    #[arg(long, value_name = "ADDR", conflicts_with = "asap")]
    pub listen: Option<IpAddr>,

    /// Take ASAP here instead; may be given more than once
    ///
    /// tcp://ADDR:PORT, sctp://ADDR:PORT (the kernel's SCTP), or
    /// sctp-udp://ADDR:PORT (SCTP over UDP, RFC 6951: PORT is the UDP port, the
    /// SCTP port inside is 3863). Several addresses of SCTP with one port are
    /// one multi-homed endpoint.
    #[arg(long, value_name = "URL")]
    pub asap: Vec<AsapAddress>,

    /// Announce this registrar to this multicast group; may be given more than
    /// once; off for nowhere
    ///
    /// Without it: port 3863 of 239.0.0.50 and ff05::133, where rsplib's pool
    /// elements listen; with --compat rfc, of the registered 224.0.1.185 and
    /// ff05::133.
    #[arg(long, value_name = "GROUP|off")]
    pub announce: Vec<Announce>,

    /// Announce on this interface only; may be given more than once
    /// [default: every interface but loopback]
    #[arg(long, value_name = "NAME", value_parser = interface)]
    pub announce_interface: Vec<String>,

    /// Number of shards, one thread each [default: one a core]
    #[arg(long, value_name = "N", value_parser = count::<u16, 1, 1024>)]
    pub shards: Option<u16>,

    /// Whether a TCP connection that is for pools of one other shard only moves
    /// to that shard
    ///
    /// A pool element's does with its registration, a pool user's with its
    /// second request. Without it, their messages are handed over one by one.
    #[arg(long, value_name = "yes|no", default_value = "yes", value_parser = yes_or_no,
          action = clap::ArgAction::Set)]
    pub move_connections: bool,

    /// What drives the shards [default: io_uring where this system allows it,
    /// else epoll]
    #[arg(long, value_enum, value_name = "HOST")]
    pub host: Option<Host>,

    /// Where operators look, over HTTP. The command line has its own default.
    #[arg(skip)]
    pub admin: AdminAddress,

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

    /// Whose reading of the RFCs is followed where rsplib departs from them
    #[arg(long, value_enum, value_name = "WHOSE", default_value = "rsplib")]
    pub compat: Compat,

    /// The registrar group.
    #[command(flatten)]
    pub group: GroupOptions,

    /// Timers and retries of SCTP associations.
    #[command(flatten)]
    pub sctp: SctpOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            id: None,
            listen: None,
            asap: Vec::new(),
            announce: Vec::new(),
            announce_interface: Vec::new(),
            shards: None,
            move_connections: true,
            host: None,
            admin: AdminAddress::Off,
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
            compat: Compat::default(),
            group: GroupOptions::default(),
            sctp: SctpOptions::default(),
        }
    }
}

impl Options {
    /// Where ASAP is to be taken: what [`Options::asap`] says, else the
    /// registered ports of [`Options::listen`], else those of all addresses,
    /// with every transport there is.
    #[must_use]
    pub fn asap_addresses(&self) -> Vec<AsapAddress> {
        if !self.asap.is_empty() {
            return self.asap.clone();
        }
        let address = self.listen.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let asap = SocketAddr::new(address, ASAP_PORT);
        vec![
            AsapAddress::Tcp(asap),
            AsapAddress::Sctp(asap),
            AsapAddress::SctpUdp(SocketAddr::new(address, SCTP_UDP_PORT)),
        ]
    }

    /// The groups announces are sent to.
    #[must_use]
    pub fn announce_groups(&self) -> Vec<SocketAddr> {
        if self.announce.is_empty() {
            return match self.compat {
                Compat::Rsplib => discovery::RSPLIB_GROUPS.to_vec(),
                Compat::Rfc => discovery::RFC_GROUPS.to_vec(),
            };
        }
        let group = |announce: &Announce| match announce {
            Announce::Group(group) => Some(*group),
            Announce::Off => None,
        };
        self.announce.iter().filter_map(group).collect()
    }

    /// Whether this registrar is announced at all.
    pub(crate) fn announces(&self) -> bool {
        !self.announce.contains(&Announce::Off)
    }

    /// Whether the options make sense together. [`start`](crate::start) asks
    /// it, too.
    ///
    /// # Errors
    ///
    /// What contradicts what, for the operator.
    pub fn validate(&self) -> Result<(), String> {
        self.sctp.validate()?;
        self.group.validate()?;
        if self.announce.contains(&Announce::Off) {
            if self.announce.len() > 1 {
                return Err("--announce off contradicts another --announce: give one".to_owned());
            }
            if !self.announce_interface.is_empty() {
                return Err("--announce off contradicts --announce-interface".to_owned());
            }
        }
        let all = |ip: IpAddr| ip.is_unspecified();
        for (index, one) in self.asap.iter().enumerate() {
            let others = self.asap.iter().skip(index + 1);
            let beside = others.filter(|other| other.scheme() == one.scheme());
            for other in beside.filter(|other| other.address().port() == one.address().port()) {
                let [a, b] = [one.address().ip(), other.address().ip()];
                let families = a.is_ipv4() != b.is_ipv4();
                let covers = |wide: IpAddr| {
                    wide == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                        || wide == IpAddr::V4(Ipv4Addr::UNSPECIFIED) && !families
                };
                let clash = all(a) && covers(a) || all(b) && covers(b) || a == b;
                if clash && one.address().port() != 0 {
                    return Err(format!(
                        "--asap {one} and --asap {other} are the same place: an unspecified \
                         address stands for all addresses of its family, [::] for IPv4, too"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Where operators look at a registrar, over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AdminAddress {
    /// Nowhere.
    #[default]
    Off,
    /// Here. Port 0 is one the system chooses.
    At(SocketAddr),
    /// Here if it is free, else nowhere.
    IfFree(SocketAddr),
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

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("allowed: yes, no".to_owned()),
    }
}

/// The name of an interface of this host.
fn interface(text: &str) -> Result<String, String> {
    if interface_exists(text) {
        return Ok(text.to_owned());
    }
    Err("no interface of this host; `ip link` lists them".to_owned())
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

    fn urls(options: &Options) -> Vec<String> {
        options.asap_addresses().iter().map(ToString::to_string).collect()
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
            urls(&Options::default()),
            ["tcp://[::]:3863", "sctp://[::]:3863", "sctp-udp://[::]:9899"]
        );
    }

    #[test]
    fn options_are_what_was_given() {
        let options = parsed(&[
            "--id=0xAABBCCDD",
            "--asap=tcp://127.0.0.1:0",
            "--asap",
            "sctp://[::1]:3863",
            "--asap=sctp-udp://127.0.0.1:9899",
            "--sctp-heartbeat-interval=1000",
            "--shards=2",
            "--keep-alive-interval=0",
            "--keep-alive-timeout=250",
            "--max-connections=12",
            "--compat=rfc",
        ])
        .unwrap();
        assert_eq!(options.id, Some(RegistrarId::new(0xaabb_ccdd)));
        assert_eq!(
            urls(&options),
            ["tcp://127.0.0.1:0", "sctp://[::1]:3863", "sctp-udp://127.0.0.1:9899"]
        );
        assert_eq!(options.sctp.tuning(5).heartbeat_interval, Duration::from_secs(1));
        assert_eq!(options.shards, Some(2));
        assert_eq!(options.keep_alive_interval, Duration::ZERO);
        assert_eq!(options.keep_alive_timeout, Duration::from_millis(250));
        assert_eq!(options.max_connections, Some(12));
        assert_eq!(options.compat, Compat::Rfc);
        let options = parsed(&["--listen", "192.0.2.1", "--id", "7"]).unwrap();
        assert_eq!(
            urls(&options),
            ["tcp://192.0.2.1:3863", "sctp://192.0.2.1:3863", "sctp-udp://192.0.2.1:9899"]
        );
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
        assert_refused(&["--compat=rsp"], &["--compat", "rsplib, rfc"]);
        assert_refused(&["--announce=10.0.0.1"], &["--announce", "239.0.0.50", "off"]);
        assert_refused(&["--announce-interface=xyz9"], &["--announce-interface", "no interface"]);
        assert_refused(&["--listen=example.org"], &["--listen", "example.org"]);
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_one() {
        let allowed = ["tcp://ADDR:PORT", "sctp://ADDR:PORT", "sctp-udp://ADDR:PORT"];
        for wrong in ["quic://[::]:3863", "tcp://localhost:3863", "127.0.0.1:3863", "sctp://[::1]"]
        {
            assert_refused(&["--asap", wrong], &allowed);
        }
        assert_refused(&["--asap=udp://0.0.0.0:3863"], &["udp:// is no transport of ASAP"]);
    }

    #[test]
    fn announces_go_where_it_is_said_or_where_they_are_listened_for() {
        let groups = |line: &[&str]| -> Vec<String> {
            let groups = parsed(line).unwrap().announce_groups();
            groups.iter().map(ToString::to_string).collect()
        };
        assert_eq!(groups(&[]), ["239.0.0.50:3863", "[ff05::133]:3863"]);
        assert_eq!(groups(&["--compat=rfc"]), ["224.0.1.185:3863", "[ff05::133]:3863"]);
        assert_eq!(groups(&["--announce=off"]), Vec::<String>::new());
        let two = ["--announce=239.1.1.1:9", "--announce=ff02::1", "--announce-interface=lo"];
        assert_eq!(groups(&two), ["239.1.1.1:9", "[ff02::1]:3863"]);
    }

    #[test]
    fn values_that_contradict_each_other_are_told() {
        let wrong = |line: &[&str]| parsed(line).unwrap().validate().unwrap_err();
        let said = wrong(&["--sctp-rto-min=6000"]);
        assert!(said.contains("--sctp-rto-min") && said.contains("--sctp-rto-max"), "{said}");
        let said = wrong(&["--sctp-rto-initial=20"]);
        assert!(said.contains("--sctp-rto-initial") && said.contains("--sctp-rto-min"), "{said}");
        let same = ["--asap=sctp://[::]:3863", "--asap=sctp://10.0.0.1:3863"];
        assert!(wrong(&same).contains("are the same place"), "{}", wrong(&same));
        let off = "--announce=off";
        assert!(wrong(&[off, "--announce=239.0.0.50"]).contains("--announce off"));
        assert!(wrong(&[off, "--announce-interface=lo"]).contains("--announce-interface"));
        let fine = [
            "--asap=tcp://[::]:3863",
            "--asap=sctp://0.0.0.0:3863",
            "--asap=sctp://[::1]:3863",
            "--asap=sctp-udp://10.0.0.1:9899",
            "--asap=sctp-udp://10.0.1.1:9899",
            "--asap=tcp://127.0.0.1:0",
            "--asap=tcp://127.0.0.1:0",
        ];
        assert_eq!(parsed(&fine).unwrap().validate(), Ok(()));
    }

    #[test]
    fn contradictions_and_unknown_options_are_refused() {
        let line = ["--listen=127.0.0.1", "--asap=tcp://127.0.0.1:1"];
        assert_refused(&line, &["--listen", "--asap"]);
        assert_refused(
            &["--peer=enrp://192.0.2.1:9901"],
            &["--peer", "enrp://", "tcp://ADDR:PORT"],
        );
        assert_refused(&["--peer=tcp://0.0.0.0:9901"], &["--peer", "nobody is at"]);
        assert_refused(&["--enrp=udp://0.0.0.0:9901"], &["--enrp", "udp://", "off, tcp://"]);
        assert_refused(&["--peer-heartbeat=1"], &["--peer-heartbeat", "50 to 3600000"]);
    }
}
