//! What a run does: the options, checked.

use std::path::PathBuf;
use std::time::Duration;

use crate::population::CheckedPolicy;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The registrar.
    pub target: Target,
    /// Pool elements in all pools together.
    pub elements: u32,
    /// Pools, at most as many as elements.
    pub pools: u32,
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
    /// TCP connections, half of them for elements and half for pool users.
    pub connections: u32,
    /// Client threads.
    pub threads: u32,
    /// Whether each client thread keeps to one core, the last one first.
    pub pin: bool,
    /// How often the registrar inside asks each element whether it is alive.
    pub keep_alive_interval: Duration,
    /// A registrar that takes longer to answer is given up.
    pub answer_timeout: Duration,
    /// The process of a registrar on this host that is to be measured.
    pub pid: Option<u32>,
    /// The same seed makes the same load.
    pub seed: u64,
    /// Where the files of the report go.
    pub out: PathBuf,
    /// Whether progress is shown while it runs.
    pub progress: bool,
    /// Whether the report goes to standard output as JSON.
    pub json: bool,
}

/// The registrar to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One that is started for the run, in a process of its own.
    Inside,
    /// One that runs already, at this host and port.
    Tcp(String, u16),
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the times they are due, whatever the registrar does.
    Open,
    /// So many are unanswered at any time.
    Closed(u32),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inside => f.write_str("inside"),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp://{host}:{port}"),
        }
    }
}
