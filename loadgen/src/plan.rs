//! What a run does: the options, checked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rserpool_registrar::Host;

use crate::population::{CheckedPolicy, Shape};
use crate::workload::Workload;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The registrars, of one group if there are several. None: one is started
    /// for the run.
    pub targets: Vec<Target>,
    /// How the registrars are reached.
    pub transport: Transport,
    /// What registrars of this kind promise.
    pub compat: Compat,
    /// Which load it is.
    pub workload: Workload,
    /// Pool elements in all pools together.
    pub elements: u32,
    /// Pools, at most as many as elements.
    pub pools: u32,
    /// How the elements spread over the pools.
    pub shape: Shape,
    /// The pools take these policies in turn.
    pub policies: Vec<CheckedPolicy>,
    /// The numbers of items that pool users ask for, equally often.
    pub items: Vec<u32>,
    /// Most elements that the registrar puts into one answer.
    pub items_max: u32,
    /// The length of the steady state.
    pub duration: Duration,
    /// Open or closed loop in the steady state.
    pub pace: Pace,
    /// Resolutions a second, of all client threads together. In a closed loop
    /// it says only how many resolutions there are for each re-registration.
    pub rate: u32,
    /// Each element is re-registered this often.
    pub reregistration_interval: Duration,
    /// Deregistrations a second in the steady state, and as many
    /// registrations of those elements again.
    pub churn: u32,
    /// Associations, half of them for elements and half for pool users.
    pub connections: u32,
    /// Client threads.
    pub threads: u32,
    /// Whether each client thread keeps to one core, the last one first.
    pub pin: bool,
    /// How often the registrar inside asks each element whether it is alive.
    pub keep_alive_interval: Duration,
    /// A registrar that takes longer to answer is given up.
    pub answer_timeout: Duration,
    /// Elements whose association is lost may be in answers for so long.
    pub forget_within: Duration,
    /// The process of a registrar on this host that is to be measured.
    pub pid: Option<u32>,
    /// How many shards the registrar inside has; none: one a core.
    pub shards: Option<u16>,
    /// What drives them; none: what this host allows.
    pub host: Option<Host>,
    /// The same seed makes the same load.
    pub seed: u64,
    /// Where the files of the report go.
    pub out: PathBuf,
    /// Whether progress is shown while it runs.
    pub progress: bool,
    /// Whether the report goes to standard output as JSON.
    pub json: bool,
}

impl Plan {
    /// Whether several registrars stand in for each other.
    #[must_use]
    pub const fn is_group(&self) -> bool {
        self.targets.len() > 1
    }
}

/// A registrar that runs already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How it is reached.
    pub transport: Transport,
    /// Its name or address.
    pub host: String,
    /// Its TCP or SCTP port, or the UDP port of SCTP over UDP, whose SCTP port
    /// is 3863.
    pub port: u16,
}

/// What carries ASAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// SCTP of the kernel.
    Sctp,
    /// SCTP in user space over UDP (RFC 6951).
    SctpUdp,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Sctp, Self::SctpUdp];

    /// Its name in options and URLs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Sctp => "sctp",
            Self::SctpUdp => "sctp-udp",
        }
    }
}

/// What is asked of a registrar beside what every one promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// What the RFCs say.
    #[default]
    Rfc,
    /// What rsplib's registrar does: an element serves at an address of its
    /// association, no weight is 0, padding counts in lengths, and an element
    /// may change its place in the rotation when it re-registers.
    Rsplib,
}

impl Compat {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rfc, Self::Rsplib];

    /// Its name in options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Rsplib => "rsplib",
        }
    }
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the times they are due, whatever the registrar does.
    Open,
    /// So many are unanswered at any time on each association of pool users.
    Closed(u32),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.transport.name(), &self.host, self.port);
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}
