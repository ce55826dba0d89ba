//! The way to a registrar: the addresses that were named, and announces.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use clap::Args;
use rserpool_client::{Config, Discovery, Endpoint, Error, RegistrarUrl};
use tokio::time::Instant;

use crate::command_line::Line;
use crate::outcome::Failure;

/// Where a registrar is looked for without a word about it.
const DEFAULT: &str = "tcp://127.0.0.1:3863";
/// The pause between two looks whether one has announced itself.
const PAUSE: Duration = Duration::from_millis(50);

/// How a registrar is found.
#[derive(Debug, Args)]
pub(crate) struct Registrars {
    /// A registrar: tcp://HOST:PORT, sctp:// or sctp-udp://; may be given more than once
    ///
    /// HOST is an address or a DNS name; all addresses of a name are tried. Without a port it is
    /// 3863, or 9899 for sctp-udp. The registrars are tried side by side; another one is looked
    /// for when the one in use is lost.
    ///
    /// [default: tcp://127.0.0.1:3863, or none with --discover]
    #[arg(
        long,
        short,
        global = true,
        value_name = "URL",
        env = "RSP_REGISTRAR",
        value_delimiter = ',',
        help_heading = "Finding a registrar"
    )]
    registrar: Vec<RegistrarUrl>,

    /// Use registrars that announce themselves, to the usual groups or to these
    ///
    /// Announces are not authenticated: whoever can send to a group can have its registrars
    /// tried.
    #[arg(
        long,
        global = true,
        value_name = "ADDR:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "usual",
        value_delimiter = ',',
        value_parser = groups,
        help_heading = "Finding a registrar"
    )]
    discover: Vec<Groups>,

    /// The address of the network interface to hear announces at [default: the system chooses]
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        requires = "discover",
        help_heading = "Finding a registrar"
    )]
    interface: Option<Ipv4Addr>,
}

/// Where announces are heard.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Groups {
    /// Where our registrar and rsplib's announce themselves.
    Usual,
    At(SocketAddr),
}

fn groups(text: &str) -> Result<Groups, String> {
    if text == "usual" {
        return Ok(Groups::Usual);
    }
    text.parse()
        .map(Groups::At)
        .map_err(|_| format!("{text:?} is no ADDR:PORT, such as 239.0.0.50:3863"))
}

/// An endpoint, and what it hears announces by.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) endpoint: Endpoint,
    _discovery: Option<Discovery>,
}

impl Registrars {
    /// The addresses that are known from the start.
    pub(crate) fn known(&self) -> Vec<RegistrarUrl> {
        if self.registrar.is_empty() && self.discover.is_empty() {
            return DEFAULT.parse().into_iter().collect();
        }
        self.registrar.clone()
    }

    /// The address of this host that is used toward a registrar.
    pub(crate) fn local_address(&self) -> Option<IpAddr> {
        if let Some(interface) = self.interface {
            return Some(interface.into());
        }
        let known = self.known().into_iter().map(|url| (url.host, url.port));
        let groups = self.groups().into_iter().map(|group| (group.ip().to_string(), group.port()));
        known.chain(groups).find_map(|(host, port)| {
            let any = if host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(any).ok()?;
            // Nothing is sent: the system only chooses a route.
            socket.connect((host.as_str(), port)).ok()?;
            Some(socket.local_addr().ok()?.ip())
        })
    }

    fn groups(&self) -> Vec<SocketAddr> {
        let each = self.discover.iter().flat_map(|groups| match groups {
            Groups::Usual => Discovery::groups(),
            Groups::At(group) => vec![*group],
        });
        each.collect()
    }

    /// An endpoint that begins to look for a registrar.
    pub(crate) fn look(&self, config: Config) -> Result<Access, Failure> {
        let endpoint = Endpoint::new(self.known(), config);
        let groups = self.groups();
        let discovery = if groups.is_empty() {
            None
        } else {
            let heard = endpoint.discover(&groups, self.interface);
            let failed = |error| Failure::no_registrar(format!("announces are not heard: {error}"));
            Some(heard.map_err(failed)?)
        };
        Ok(Access { endpoint, _discovery: discovery })
    }

    /// Finds a registrar in time.
    async fn find(&self, config: Config, patience: Duration) -> Result<Access, Failure> {
        let access = self.look(config)?;
        let until = Instant::now() + patience;
        let found = tokio::time::timeout_at(until, async {
            loop {
                match access.endpoint.ready().await {
                    // One may announce itself yet.
                    Err(Error::NoRegistrar(_)) if !self.discover.is_empty() => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    found => return found,
                }
            }
        });
        match found.await {
            Ok(found) => drop(found?),
            Err(_) if self.known().is_empty() => {
                return Err(Failure::no_registrar("no registrar has announced itself"));
            }
            Err(_) => return Err(Error::TimedOut.into()),
        }
        Ok(access)
    }
}

/// The times of a command.
pub(crate) fn config(line: &Line) -> Config {
    let mut config = Config::default();
    config.requests.resolution_timeout = line.timeout;
    config.requests.registration_timeout = line.timeout;
    config.requests.deregistration_timeout = line.timeout;
    config
}

/// Finds a registrar within the time-out.
pub(crate) async fn find(line: &Line) -> Result<Access, Failure> {
    line.registrars.find(config(line), line.timeout).await
}
