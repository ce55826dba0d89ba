//! What a registrar is told about its group.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rserpool_engine::TransportKind;

/// Who wins if two registrars take over the same one (RFC 5353, 3.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arbitration {
    /// The smaller identifier, as every implementation has it.
    #[default]
    SmallerId,
    /// The larger identifier, by the letter of the RFC.
    LargerId,
}

/// How the PE checksum is told to registrars of other kinds (RFC 5353, 3.6.2).
/// Either form of a peer's checksum is taken for right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumForm {
    /// As rsplib sums it up, in 32 bits: another one with thousands of
    /// elements would have it download the handlespace for ever.
    #[default]
    Wrapped,
    /// By the letter of the RFC.
    Exact,
}

/// Who may be in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// Whoever speaks ENRP.
    #[default]
    Anybody,
    /// Only registrars at an address of [`Config::mentors`].
    Listed,
}

/// Whether registrars suggest each other as homes, so that elements spread
/// evenly (the takeover suggestion draft, the T bit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suggestions {
    /// None is made, and none is followed, as is rsplib's default.
    #[default]
    Ignore,
    /// An element is suggested to the registrar whose identifier, combined
    /// with the element's by exclusive or, is greatest; those of others are
    /// followed by asking the element to move.
    Exchange,
}

/// Where a registrar takes ENRP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What carries the messages: `Sctp` or `Tcp`.
    pub transport: TransportKind,
    /// Its addresses, the best first. SCTP may use them all at once.
    pub addresses: Vec<SocketAddr>,
}

/// What a registrar is told about its group.
#[derive(Clone, Debug)]
pub struct Config {
    /// Draw it from the operating system: the registrar's incarnation and the
    /// jitter of its timers come of it.
    pub seed: u64,
    /// Where this registrar takes ENRP, as others see it: what it announces.
    pub addresses: Vec<IpAddr>,
    /// The port it takes ENRP at over SCTP.
    pub sctp_port: Option<u16>,
    /// The port it takes ENRP at over TCP, from registrars of our own kind.
    pub tcp_port: Option<u16>,
    /// Registrars to start from, the best mentor first. They are called again
    /// and again for as long as this registrar runs.
    pub mentors: Vec<Target>,
    /// Who may be in the group.
    pub admission: Admission,
    /// Who wins a take-over.
    pub arbitration: Arbitration,
    /// The form of the PE checksum toward others.
    pub checksum_form: ChecksumForm,
    /// Whether elements are suggested to other registrars.
    pub suggestions: Suggestions,
    /// How long a starting registrar listens for others before it goes into
    /// service alone, and how long it hopes for a table in all.
    pub startup: Duration,
    /// Time between two presences (PEER-HEARTBEAT-CYCLE), spread by an eighth.
    pub heartbeat: Duration,
    /// A peer that said nothing for so long is asked (MAX-TIME-LAST-HEARD).
    pub last_heard: Duration,
    /// How long an answer may take (MAX-TIME-NO-RESPONSE).
    pub no_response: Duration,
    /// How long a take-over waits for the consent of other registrars.
    pub takeover_patience: Duration,
    /// How long the checksum of a peer must differ before its elements are
    /// compared with what is known of them. Twice that after an audit that
    /// did not help, and so on.
    pub audit_pause: Duration,
    /// Most registrars known.
    pub peers_max: usize,
    /// Most associations with registrars.
    pub links_max: usize,
    /// Most bytes queued toward one registrar. One that lets more pile up is
    /// cut off, and its tables are compared when it comes back.
    pub link_bytes_max: usize,
    /// Longest handle-table response to a registrar of our own kind, in bytes.
    pub page_bytes: usize,
    /// Longest handle-table response to others.
    pub page_bytes_others: usize,
    /// Handle-table requests under way at once with our own kind.
    pub window: u16,
    /// Longest pool handle that others than our own kind are told of: a longer
    /// one ends an rsplib registrar.
    pub handle_bytes_others: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            addresses: Vec::new(),
            sctp_port: None,
            tcp_port: None,
            mentors: Vec::new(),
            admission: Admission::default(),
            arbitration: Arbitration::default(),
            checksum_form: ChecksumForm::default(),
            suggestions: Suggestions::default(),
            startup: Duration::from_secs(5),
            heartbeat: Duration::from_millis(2400),
            last_heard: Duration::from_secs(5),
            no_response: Duration::from_secs(2),
            takeover_patience: Duration::from_millis(500),
            audit_pause: Duration::from_secs(1),
            peers_max: 64,
            links_max: 256,
            link_bytes_max: 16 << 20,
            page_bytes: 16 << 10,
            page_bytes_others: 1400,
            window: 8,
            handle_bytes_others: 32,
        }
    }
}
