//! The registrar group, as the admin server shows it.

use rserpool_engine::{PeChecksum, RegistrarId, Timestamp, TransportKind};
use rserpool_proto::enrp::{Group, Liveness, PeerView, Phase};
use serde::Serialize;

use super::view::{Silent, View};
use crate::shard::Shard;

/// The registrars of a group, as one of them sees it.
#[derive(Debug, Serialize)]
pub(super) struct Peers {
    identifier: String,
    /// `alone` in no group, `starting`, or `serving`.
    state: &'static str,
    /// Of its own elements.
    checksum: String,
    elements: u64,
    peers: Vec<PeerLine>,
}

/// One of the others.
#[derive(Debug, Serialize)]
struct PeerLine {
    identifier: String,
    /// Where it takes ENRP, if that is known.
    address: Option<String>,
    state: &'static str,
    /// Whether it is of our own kind.
    kin: bool,
    /// Whether there is an association with it.
    linked: bool,
    /// Whether its elements are being compared with what is known of them.
    auditing: bool,
    /// Elements it is the home of, as far as they are known here.
    elements: u64,
    /// The PE checksum of those.
    checksum: String,
    /// The PE checksum it told last: another one if it knows of other elements.
    checksum_told: Option<String>,
    /// Milliseconds since its last message; `null` if there was none.
    last_heard_ms: Option<u64>,
}

/// What a shard holds of a home.
#[derive(Clone, Copy, Default)]
struct Holding {
    elements: u64,
    sum: PeChecksum,
}

impl View {
    /// The registrar group.
    pub(super) fn peers(&self) -> Result<Peers, Silent> {
        let views: Option<(Phase, Vec<PeerView>)> = self.ask(0, |seen| {
            let group: &Group = seen.protocol().group()?;
            Some((group.phase(), group.peers().collect()))
        })?;
        // The shards' clock began with the registrar.
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let now = Timestamp::from_micros(now);
        let state = match views {
            None => "alone",
            Some((Phase::Starting, _)) => "starting",
            Some((Phase::Serving, _)) => "serving",
        };
        let views = views.map(|(_, views)| views).unwrap_or_default();
        let mut homes: Vec<RegistrarId> = views.iter().map(|view| view.id).collect();
        homes.push(self.bound.id);
        let mut held = vec![Holding::default(); homes.len()];
        for shard in self.shards() {
            let homes = homes.clone();
            let here = self.ask(shard, move |seen| holdings(seen, &homes))?;
            for (sum, here) in held.iter_mut().zip(here) {
                sum.elements += here.elements;
                sum.sum.add(here.sum);
            }
        }
        let own = held.pop().unwrap_or_default();
        let peers = views.iter().zip(held).map(|(view, held)| PeerLine::of(now, view, held));
        Ok(Peers {
            identifier: self.bound.id.to_string(),
            state,
            checksum: hex(own.sum.finish()),
            elements: own.elements,
            peers: peers.collect(),
        })
    }
}

fn holdings(seen: &Shard, homes: &[RegistrarId]) -> Vec<Holding> {
    let space = seen.protocol().handlespace();
    let of = |home: &RegistrarId| Holding {
        elements: space.elements_of_home(*home).into(),
        sum: space.checksum(*home),
    };
    homes.iter().map(of).collect()
}

impl PeerLine {
    fn of(now: Timestamp, view: &PeerView, held: Holding) -> Self {
        let state = match view.liveness {
            Liveness::Hearsay => "hearsay",
            Liveness::Alive => "alive",
            Liveness::Probed => "probed",
            Liveness::Taking => "taking over",
            Liveness::Yielded => "being taken over",
        };
        let heard = (view.liveness != Liveness::Hearsay).then(|| now.since(view.heard));
        Self {
            identifier: view.id.to_string(),
            address: view.address.map(|(transport, address)| {
                let scheme = if transport == TransportKind::Tcp { "tcp" } else { "sctp" };
                format!("{scheme}://{address}")
            }),
            state,
            kin: view.kin,
            linked: view.linked,
            auditing: view.auditing,
            elements: held.elements,
            checksum: hex(held.sum.finish()),
            checksum_told: view.checksum.map(hex),
            last_heard_ms: heard.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

fn hex(checksum: u16) -> String {
    format!("{checksum:#06x}")
}
