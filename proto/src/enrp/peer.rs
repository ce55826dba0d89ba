//! The other registrars, as this one knows them.

use core::net::{IpAddr, SocketAddr};

use rserpool_codec::enrp::extension::Kin;
use rserpool_engine::{RegistrarId, Timestamp, TransportKind};

use super::audit::Audit;
use super::config::Target;
use super::link::LinkId;

/// Whether a registrar is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was heard of, and has not spoken itself.
    Hearsay { until: Timestamp },
    /// It speaks.
    Alive,
    /// It was silent for too long, or its link broke: it was asked.
    Probed { until: Timestamp },
    /// This registrar takes it over as soon as those consent, or then.
    Taking { waiting: Vec<RegistrarId>, until: Timestamp },
    /// This registrar consented that `to` takes it over.
    Yielded { to: RegistrarId, until: Timestamp },
}

/// One of them.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: RegistrarId,
    pub(super) state: State,
    /// Where it takes ENRP by its own word, and where its messages came from.
    pub(super) addresses: Vec<IpAddr>,
    /// Where its datagrams come from: the last resort.
    pub(super) source: Option<IpAddr>,
    pub(super) sctp_port: Option<u16>,
    /// What it says of its kind; `None`: it is of another kind.
    pub(super) kin: Option<Kin>,
    /// It said in a presence who it is: its kind is known.
    pub(super) introduced: bool,
    pub(super) heard: Timestamp,
    /// What this registrar sends goes over this link.
    pub(super) link: Option<LinkId>,
    /// The link this registrar opens.
    pub(super) dialing: Option<LinkId>,
    /// Not to be called before.
    pub(super) dial_at: Timestamp,
    pub(super) dial_failures: u32,
    pub(super) audit: Audit,
    /// Its peer list was asked for.
    pub(super) listed: bool,
    /// The PE checksum it told last over a link.
    pub(super) checksum: Option<u16>,
}

/// Whether a registrar is there, as [`PeerView`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Others know it; it has not spoken to this registrar.
    Hearsay,
    /// It speaks.
    Alive,
    /// It was asked whether it is there.
    Probed,
    /// This registrar takes its elements over.
    Taking,
    /// Another registrar takes its elements over.
    Yielded,
}

/// A registrar of the group, to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Its identifier.
    pub id: RegistrarId,
    /// Whether it is there.
    pub liveness: Liveness,
    /// Whether it is of our own kind.
    pub kin: bool,
    /// Whether there is a link that messages may be sent over.
    pub linked: bool,
    /// When it was heard last.
    pub heard: Timestamp,
    /// Whether its elements are being compared with what is known of them.
    pub auditing: bool,
    /// Where it takes ENRP, or where its messages come from.
    pub address: Option<(TransportKind, SocketAddr)>,
    /// The PE checksum it told last over a link.
    pub checksum: Option<u16>,
}

impl Peer {
    pub(super) const fn new(now: Timestamp, id: RegistrarId, state: State) -> Self {
        Self {
            id,
            state,
            addresses: Vec::new(),
            source: None,
            sctp_port: None,
            kin: None,
            introduced: false,
            heard: now,
            link: None,
            dialing: None,
            dial_at: now,
            dial_failures: 0,
            audit: Audit::new(),
            listed: false,
            checksum: None,
        }
    }

    pub(super) fn view(&self, address: Option<(TransportKind, SocketAddr)>) -> PeerView {
        let liveness = match self.state {
            State::Hearsay { .. } => Liveness::Hearsay,
            State::Alive => Liveness::Alive,
            State::Probed { .. } => Liveness::Probed,
            State::Taking { .. } => Liveness::Taking,
            State::Yielded { .. } => Liveness::Yielded,
        };
        PeerView {
            id: self.id,
            liveness,
            kin: self.kin.is_some(),
            linked: self.link.is_some(),
            heard: self.heard,
            auditing: self.audit.is_running(),
            address,
            checksum: self.checksum,
        }
    }

    pub(super) const fn is_kin(&self) -> bool {
        self.kin.is_some()
    }

    /// Whether its word counts: it is there and said who it is.
    pub(super) const fn is_established(&self) -> bool {
        self.introduced && matches!(self.state, State::Alive)
    }

    /// Where it is: where it says, then where its messages come from.
    pub(super) fn known_addresses(&self) -> Vec<IpAddr> {
        let source = self.source.filter(|source| !self.addresses.contains(source));
        self.addresses.iter().copied().chain(source).collect()
    }

    /// Where to call it, given what this registrar speaks.
    pub(super) fn target(&self, sctp: bool, tcp: bool) -> Option<Target> {
        let tcp_port = self.kin.filter(|kin| tcp && kin.tcp_port != 0).map(|kin| kin.tcp_port);
        let may_sctp = sctp && self.kin.is_none_or(|kin| kin.sctp);
        // Of one that others told of, the kind is not known: perhaps it is ours,
        // and takes TCP at the same port.
        let may_tcp = tcp && self.kin.is_none() && !self.introduced;
        let turn = self.dial_failures % 2 == 1 || !may_sctp;
        let (transport, port) = match (tcp_port, self.sctp_port) {
            (Some(port), _) => (TransportKind::Tcp, port),
            (None, Some(port)) if may_tcp && turn => (TransportKind::Tcp, port),
            (None, Some(port)) if may_sctp => (TransportKind::Sctp, port),
            (None, _) => return None,
        };
        let addresses = self.known_addresses().into_iter();
        let addresses: Vec<_> = addresses.map(|it| SocketAddr::new(it, port)).collect();
        (!addresses.is_empty()).then_some(Target { transport, addresses })
    }
}
