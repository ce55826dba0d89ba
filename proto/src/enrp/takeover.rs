//! Take-overs of dead registrars (RFC 5353, 3.5).
//!
//! A take-over completes when all other registrars consented, or after
//! [`Config::takeover_patience`](super::Config): whoever does not answer does
//! not keep elements from a home. A target that speaks ends it.

use rserpool_codec::enrp::Body;
use rserpool_engine::{RegistrarId, Timestamp};

use super::config::Arbitration;
use super::exchange::Order;
use super::group::{Group, Purpose};
use super::link::LinkId;
use super::peer::{Peer, State};
use super::tally::Tally;

impl Group {
    /// When something is due for a peer.
    pub(super) fn peer_deadline(&self, peer: &Peer) -> Timestamp {
        let state = match &peer.state {
            State::Alive => peer.heard.after(self.config.last_heard),
            State::Hearsay { until }
            | State::Probed { until }
            | State::Taking { until, .. }
            | State::Yielded { until, .. } => *until,
        };
        let mut next = state;
        if Self::wants_dial(peer) {
            next = next.min(peer.dial_at);
        }
        if self.startup.is_none()
            && let Some(at) = peer.audit.next()
        {
            next = next.min(at);
        }
        next
    }

    /// Watches over the peers.
    pub(super) fn run_peers(&mut self, now: Timestamp) {
        let ids: Vec<_> = self.peers.iter().map(|peer| peer.id).collect();
        for id in ids {
            let Some(peer) = self.peer(id) else { continue };
            match peer.state {
                State::Alive if peer.heard.after(self.config.last_heard) <= now => {
                    self.probe_peer(now, id);
                }
                State::Probed { until } | State::Hearsay { until } if until <= now => {
                    self.peer_died(now, id);
                }
                State::Taking { until, .. } if until <= now => self.complete_takeover(now, id),
                // Whoever wanted to take it over did not.
                State::Yielded { until, .. } if until <= now => self.peer_died(now, id),
                State::Alive
                | State::Probed { .. }
                | State::Hearsay { .. }
                | State::Taking { .. }
                | State::Yielded { .. } => {}
            }
        }
    }

    fn probe_peer(&mut self, now: Timestamp, id: RegistrarId) {
        let until = now.after(self.config.no_response);
        let Some(peer) = self.peer_mut(id) else { return };
        peer.state = State::Probed { until };
        if let Some(link) = peer.link {
            self.send_presence(link, id, true);
        }
    }

    /// A peer does not answer: its elements need another home.
    fn peer_died(&mut self, now: Timestamp, id: RegistrarId) {
        if self.startup.is_some() {
            // A registrar that knows little of the others takes nothing over.
            let until = now.after(self.config.no_response);
            if let Some(peer) = self.peer_mut(id) {
                peer.state = State::Hearsay { until };
            }
            return;
        }
        let until = now.after(self.config.takeover_patience);
        let others = self.peers.iter().filter(|peer| peer.id != id && peer.is_established());
        let waiting: Vec<_> = others.map(|peer| peer.id).collect();
        self.stats.takeovers += 1;
        let complete = waiting.is_empty();
        if let Some(peer) = self.peer_mut(id) {
            peer.state = State::Taking { waiting, until };
        }
        self.say_all(Body::InitTakeover { target: id });
        if complete {
            self.complete_takeover(now, id);
        }
    }

    /// Another registrar wants to take over `target`.
    pub(super) fn takeover_begun(
        &mut self,
        now: Timestamp,
        link: LinkId,
        from: RegistrarId,
        target: RegistrarId,
    ) {
        if !self.peer(from).is_some_and(Peer::is_established) || target == from {
            self.stats.refused += 1;
            return;
        }
        if target == self.id {
            self.appear();
            return;
        }
        let until = now.after(self.config.takeover_patience * 4 + self.config.no_response);
        let wins = match self.config.arbitration {
            Arbitration::SmallerId => self.id < from,
            Arbitration::LargerId => self.id > from,
        };
        let mut yields = false;
        if let Some(peer) = self.peer_mut(target) {
            match &peer.state {
                State::Taking { .. } if wins => return,
                State::Taking { .. } => yields = true,
                State::Alive if peer.link.is_some() => {
                    // It is there, as far as this registrar knows: no consent
                    // before it was asked.
                    self.probe_peer(now, target);
                    return;
                }
                State::Alive
                | State::Probed { .. }
                | State::Hearsay { .. }
                | State::Yielded { .. } => {}
            }
            peer.state = State::Yielded { to: from, until };
        }
        self.stats.takeovers_yielded += u64::from(yields);
        self.say(link, from, Body::InitTakeoverAck { target });
    }

    /// Another registrar consented.
    pub(super) fn takeover_acked(
        &mut self,
        now: Timestamp,
        from: RegistrarId,
        target: RegistrarId,
    ) {
        let Some(peer) = self.peer_mut(target) else { return };
        let State::Taking { waiting, .. } = &mut peer.state else { return };
        waiting.retain(|id| *id != from);
        if waiting.is_empty() {
            self.complete_takeover(now, target);
        }
    }

    /// The elements of `target` are this registrar's from now on.
    fn complete_takeover(&mut self, now: Timestamp, target: RegistrarId) {
        self.stats.takeovers_completed += 1;
        self.part_from(now, target);
        self.say_all(Body::TakeoverServer { target });
        let purpose = Purpose::Moving { target, to: self.id };
        if let Some(token) = self.begin_round(self.map.shards(), purpose) {
            self.order_all(&Order::Take { token, from: target });
        }
    }

    /// A registrar is taken over, and no peer any more.
    fn part_from(&mut self, now: Timestamp, id: RegistrarId) {
        let (sctp, tcp) = (self.config.sctp_port.is_some(), self.config.tcp_port.is_some());
        let target = self.peer(id).and_then(|peer| peer.target(sctp, tcp));
        self.drop_peer(now, id);
        if let Some(target) = target {
            self.call_on(now, target);
        }
    }

    /// Another registrar took over `target`. It is believed only by those to
    /// whom the target is not there, either.
    pub(super) fn taken_over(&mut self, now: Timestamp, from: RegistrarId, target: RegistrarId) {
        if !self.peer(from).is_some_and(Peer::is_established) || target == from {
            self.stats.refused += 1;
            return;
        }
        if target == self.id {
            self.appear();
            return;
        }
        if self.peer(target).is_some_and(|peer| matches!(peer.state, State::Alive)) {
            self.stats.refused += 1;
            return;
        }
        self.part_from(now, target);
        let kin = self.peer(from).is_some_and(Peer::is_kin);
        let purpose = Purpose::Moving { target, to: from };
        if let Some(token) = self.begin_round(self.map.shards(), purpose) {
            self.order_all(&Order::Rehome { token, from: target, to: from, kin });
        }
    }

    /// Whether elements are getting another home right now. What is known of
    /// homes is half of one and half of the other then: nobody is told of it,
    /// and nobody is compared with it.
    pub(super) fn is_moving(&self) -> bool {
        self.rounds.iter().any(|round| matches!(round.purpose, Purpose::Moving { .. }))
    }

    /// The elements have their new home. What that knew of them before, this
    /// registrar may have refused as the word of somebody who was not.
    pub(super) fn moved(&mut self, now: Timestamp, to: RegistrarId) {
        if let Some(peer) = self.peer_mut(to) {
            peer.audit.want(now);
        }
        if self.is_moving() {
            return;
        }
        let links: Vec<_> = self.links.iter().map(|link| link.id).collect();
        for link in links {
            self.serve_more(link);
        }
        self.run_audits(now);
    }

    /// Elements whose home nobody knows get one: the home is looked for, and
    /// taken over when it is not found.
    pub(super) fn adopt_orphans(&mut self, now: Timestamp, homes: &[(RegistrarId, Tally)]) {
        let until = now.after(self.config.no_response * 2);
        for &(home, _) in homes {
            let moving = self.rounds.iter().any(
                |round| matches!(round.purpose, Purpose::Moving { target, .. } if target == home),
            );
            let full = self.peers.len() >= self.config.peers_max;
            if home == self.id || moving || full || self.peer(home).is_some() {
                continue;
            }
            self.peers.push(Peer::new(now, home, State::Hearsay { until }));
        }
    }
}
