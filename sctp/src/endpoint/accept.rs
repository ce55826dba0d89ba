//! The passive side of a handshake: INIT and COOKIE ECHO, from strangers and
//! from peers there already is an association with (RFC 9260 sections 5.1 and
//! 5.2). Nothing is kept of a peer before its cookie has come back.

use std::net::IpAddr;
use std::time::Instant;

use super::cookie::{
    BadCookie, COOKIE_MIN, Kind, Minted, Offer, claimed_peer_tag, is_about_an_association,
    staleness,
};
use super::offered::Offered;
use super::open::{Identity, Open};
use super::path::{Path, PeerPorts, may_be_listed};
use super::{Association, Endpoint, Phase, ShortInit, key};
use crate::link::{AssocId, DownReason, Event, Side};
use crate::wire::{Header, Init, Packet, cause, kind, padded, parameter};

/// Bytes of an INIT ACK with a cookie that has no further addresses.
const INIT_ACK_MIN: usize = 12 + 20 + 4 + COOKIE_MIN;

/// In which situation an INIT or a cookie came.
enum Situation {
    /// We know nothing of the peer.
    Stranger,
    /// We are setting an association up with it ourselves.
    Opening,
    /// There is an association with it.
    Open { tags: (u32, u32) },
}

impl Endpoint {
    /// Answers an INIT, alone in its packet.
    pub(super) fn init(
        &mut self,
        now: Instant,
        from: Path,
        header: Header,
        packet: &[u8],
        value: &[u8],
    ) {
        let Some(init) = Init::read(value).filter(|_| header.tag == 0) else { return };
        let peer = ports(from, header);
        let found = self.peers.get(&peer.key()).copied();
        let listening = self.shared.config.listen.contains(&header.destination_port);
        if found.is_none() && !listening {
            return self.out_of_the_blue_init(now, from, header, init.tag);
        }
        self.shared.output.stats.inits += 1;
        if !self.init_rate.allows(now, from.remote.ip()) {
            self.shared.output.stats.inits_limited += 1;
            return;
        }
        let offered = Offered::read(init.parameters);
        if offered.host_name {
            return self.refuse(from, header, init.tag, cause::UNRESOLVABLE_ADDRESS);
        }
        if found.is_none() && !self.has_room(from.remote.ip()) {
            self.shared.output.stats.associations_refused += 1;
            return self.refuse(from, header, init.tag, cause::OUT_OF_RESOURCE);
        }
        if self.adds_addresses(from, header, found, &offered.addresses) {
            return self.refuse(from, header, init.tag, cause::RESTART_WITH_NEW_ADDRESSES);
        }
        if packet.len() < INIT_ACK_MIN && self.shared.config.short_init == ShortInit::Ignore {
            self.shared.output.stats.inits_short += 1;
            return;
        }
        self.init_ack(now, from, header, &init, &offered, found, packet.len());
    }

    /// An INIT to a port nobody listens on.
    fn out_of_the_blue_init(&mut self, now: Instant, from: Path, header: Header, tag: u32) {
        self.shared.output.stats.out_of_the_blue += 1;
        if self.abort_rate.allows(now, from.remote.ip()) {
            let packet = Packet::reply(header, tag).chunk(kind::ABORT, 0, &[]);
            self.shared.output.transmit(from, packet.finish());
        } else {
            self.shared.output.stats.out_of_the_blue_limited += 1;
        }
    }

    fn refuse(&mut self, to: Path, header: Header, tag: u32, cause: u16) {
        let packet = Packet::reply(header, tag).cause(kind::ABORT, 0, cause, &[]);
        self.shared.output.transmit(to, packet.finish());
    }

    fn has_room(&self, source: IpAddr) -> bool {
        self.table.len() < self.shared.config.tuning.associations_max
            && self.sources.has_room(source)
    }

    /// A restart must come from the addresses the association has (RFC 9260
    /// section 5.2.2): otherwise it would be a way to take one over.
    fn adds_addresses(
        &self,
        from: Path,
        header: Header,
        found: Option<AssocId>,
        listed: &[IpAddr],
    ) -> bool {
        let open = |id: AssocId| match &self.table.get(id)?.phase {
            Phase::Open(open) => Some(open),
            Phase::Opening(_) => None,
        };
        match found {
            Some(id) => open(id).is_some_and(|open| !listed.iter().all(|ip| open.paths.knows(*ip))),
            // It may be the peer of another association, come from elsewhere.
            None => listed
                .iter()
                .filter(|ip| **ip != from.remote.ip())
                .any(|ip| self.peers.get(&key(*ip, header)).is_some_and(|id| open(*id).is_some())),
        }
    }

    fn situation(&self, found: Option<AssocId>) -> Situation {
        let Some(association) = found.and_then(|id| self.table.get(id)) else {
            return Situation::Stranger;
        };
        match &association.phase {
            Phase::Opening(_) => Situation::Opening,
            Phase::Open(open) => {
                Situation::Open { tags: (association.identity.local_tag, open.peer_tag) }
            }
        }
    }

    /// Sends an INIT ACK of at most `budget` bytes, so far as it can be.
    #[expect(clippy::too_many_arguments, reason = "the parts of one INIT and where it came from")]
    fn init_ack(
        &mut self,
        now: Instant,
        from: Path,
        header: Header,
        init: &Init<'_>,
        offered: &Offered<'_>,
        found: Option<AssocId>,
        budget: usize,
    ) {
        let source = from.remote.ip();
        let mut offer = Offer {
            tag: init.tag,
            tsn: init.tsn,
            window: init.window,
            streams: init.inbound,
            addresses: Vec::new(),
        };
        let mut spent = 0;
        for ip in &offered.addresses {
            let bytes = if ip.is_ipv4() { 5 } else { 17 };
            let fits = INIT_ACK_MIN + padded(spent + bytes) <= budget;
            if *ip != source && may_be_listed(*ip, source) && fits {
                offer.addresses.push(*ip);
                spent += bytes;
            }
        }
        let (minted, identity) = self.mint(now, &ports(from, header), &offer, found);
        let tuning = &self.shared.config.tuning;
        let answer = Init {
            tag: identity.local_tag,
            window: u32::try_from(tuning.receive_window).unwrap_or(u32::MAX),
            outbound: tuning.streams,
            inbound: tuning.streams,
            tsn: identity.local_tsn,
            parameters: &[],
        };
        let mut packet = Packet::reply(header, init.tag);
        let at = packet.init(kind::INIT_ACK, &answer);
        packet.parameter(parameter::STATE_COOKIE, &minted.bytes);
        for ip in &self.shared.config.addresses {
            let bytes = if ip.is_ipv4() { 8 } else { 20 };
            if Some(*ip) != from.local && packet.len() + bytes <= budget {
                packet.address(*ip);
            }
        }
        for whole in &offered.unrecognized {
            if packet.len() + 4 + padded(whole.len()) <= budget {
                packet.parameter(parameter::UNRECOGNIZED, whole);
            }
        }
        packet.close_chunk(at);
        self.shared.output.transmit(from, packet.finish());
    }

    /// The cookie, and the tag and TSN that go with it.
    fn mint(
        &self,
        now: Instant,
        peer: &PeerPorts,
        offer: &Offer,
        found: Option<AssocId>,
    ) -> (Minted, Identity) {
        let association = found.and_then(|id| self.table.get(id));
        let (minted, tag, tsn) = match (self.situation(found), association) {
            (Situation::Opening, Some(association)) => {
                // Both INITs crossed: ours stays what it is (section 5.2.1).
                let Identity { local_tag: local, local_tsn: tsn, .. } = association.identity;
                (self.cookies.mint(now, peer, offer, Kind::Collision { local }), local, tsn)
            }
            (Situation::Open { tags: (local, remote) }, _) => {
                let kind = Kind::Restart { local, peer: remote };
                let minted = self.cookies.mint(now, peer, offer, kind);
                let (tag, tsn) = (minted.tag, minted.tsn);
                (minted, tag, tsn)
            }
            (Situation::Stranger | Situation::Opening, _) => {
                let minted = self.cookies.mint(now, peer, offer, Kind::Fresh);
                let (tag, tsn) = (minted.tag, minted.tsn);
                (minted, tag, tsn)
            }
        };
        let identity = Identity {
            local_port: peer.local_port,
            peer_port: peer.peer_port,
            local_tag: tag,
            local_tsn: tsn,
        };
        (minted, identity)
    }

    /// Takes a cookie back, and what came along with it.
    pub(super) fn cookie_echo(
        &mut self,
        now: Instant,
        from: Path,
        header: Header,
        packet: &[u8],
        cookie: &[u8],
    ) {
        let peer = ports(from, header);
        let found = self.peers.get(&peer.key()).copied();
        let situation = self.situation(found);
        let tags = match (&situation, found.and_then(|id| self.table.get(id))) {
            (Situation::Stranger, _) | (_, None) => None,
            (Situation::Opening | Situation::Open { .. }, Some(association)) => {
                Some((association.identity.local_tag, association.peer_tag()))
            }
        };
        if tags.is_none() && is_about_an_association(cookie) {
            // The association is over, and the cookie cannot be checked: its
            // sender had better begin again.
            self.shared.output.stats.cookies_stale += 1;
            return self.stale(now, from, header, claimed_peer_tag(cookie), [0; 4]);
        }
        let opened = match self.cookies.open(now, &peer, cookie, header.tag, tags) {
            Ok(opened) => opened,
            Err(BadCookie::Forged) => {
                self.shared.output.stats.cookies_forged += 1;
                return;
            }
            Err(BadCookie::Stale { peer_tag, by }) => {
                // Late repetitions of a cookie that was taken are harmless.
                if tags == Some((header.tag, peer_tag)) {
                    return self.cookie_ack(now, from, header, packet, found, peer_tag);
                }
                self.shared.output.stats.cookies_stale += 1;
                return self.stale(now, from, header, peer_tag, staleness(by));
            }
        };
        match (situation, found) {
            (Situation::Stranger, _) | (_, None) => {
                self.accept(now, from, header, packet, &opened.offer, opened.tsn);
            }
            (Situation::Opening, Some(id)) => {
                let ours = tags.is_some_and(|(local, _)| local == header.tag);
                if opened.collision && ours && self.establish(now, id, &opened.offer, from) {
                    self.cookie_ack(now, from, header, packet, Some(id), opened.offer.tag);
                }
            }
            (Situation::Open { tags: (local, remote) }, Some(id)) => {
                let same = local == header.tag && remote == opened.offer.tag;
                if same {
                    self.cookie_ack(now, from, header, packet, found, remote);
                } else if opened.restart && local != header.tag && remote != opened.offer.tag {
                    self.restart(now, id, from, header, packet, &opened.offer, opened.tsn);
                }
                // Everything else is late and without effect (section 5.2.4).
            }
        }
    }

    fn stale(&mut self, now: Instant, from: Path, header: Header, tag: u32, by: [u8; 4]) {
        if self.abort_rate.allows(now, from.remote.ip()) {
            let packet = Packet::reply(header, tag).cause(kind::ERROR, 0, cause::STALE_COOKIE, &by);
            self.shared.output.transmit(from, packet.finish());
        } else {
            self.shared.output.stats.out_of_the_blue_limited += 1;
        }
    }

    /// Says COOKIE ACK, and hands on what came with the cookie.
    fn cookie_ack(
        &mut self,
        now: Instant,
        from: Path,
        header: Header,
        packet: &[u8],
        id: Option<AssocId>,
        peer_tag: u32,
    ) {
        let answer = Packet::reply(header, peer_tag).chunk(kind::COOKIE_ACK, 0, &[]);
        self.shared.output.transmit(from, answer.finish());
        if let Some(id) = id {
            self.dispatch(now, id, from, packet);
        }
    }

    /// A stranger's cookie is good: there is an association.
    fn accept(
        &mut self,
        now: Instant,
        from: Path,
        header: Header,
        packet: &[u8],
        offer: &Offer,
        tsn: u32,
    ) {
        if self.tags.contains_key(&header.tag) || self.retired.contains(now, header.tag) {
            self.shared.output.stats.cookies_replayed += 1;
            return;
        }
        let source = from.remote.ip();
        if !self.has_room(source) {
            self.shared.output.stats.associations_refused += 1;
            return self.refuse(from, header, offer.tag, cause::OUT_OF_RESOURCE);
        }
        let identity = identity(header, tsn);
        let Some(open) = Open::new(now, &mut self.shared, identity, offer, from) else { return };
        self.sources.add(source);
        let id = self.insert(Association {
            identity,
            side: Side::Accepted,
            source,
            phase: Phase::Open(Box::new(open)),
            armed: None,
        });
        self.announce(id, from);
        self.cookie_ack(now, from, header, packet, Some(id), offer.tag);
    }

    /// The peer lost its state and has set the association up again.
    #[expect(clippy::too_many_arguments, reason = "the parts of one packet and its cookie")]
    fn restart(
        &mut self,
        now: Instant,
        id: AssocId,
        from: Path,
        header: Header,
        packet: &[u8],
        offer: &Offer,
        tsn: u32,
    ) {
        if self.tags.contains_key(&header.tag) || self.retired.contains(now, header.tag) {
            self.shared.output.stats.cookies_replayed += 1;
            return;
        }
        let closing = self.open(id).is_some_and(|(open, _)| open.is_closing());
        if closing {
            // The old one was about to end; this one is new.
            self.after(now, id, Some(DownReason::Closed));
            return self.accept(now, from, header, packet, offer, tsn);
        }
        let identity = identity(header, tsn);
        let Some(open) = Open::new(now, &mut self.shared, identity, offer, from) else { return };
        self.unlist(id);
        let Some(association) = self.table.get_mut(id) else { return };
        let old_tag = association.identity.local_tag;
        association.identity = identity;
        if let Phase::Open(old) = &mut association.phase {
            old.resume(now, id, &mut self.shared);
            old.forget_cost(&mut self.shared);
        }
        association.phase = Phase::Open(Box::new(open));
        self.tags.remove(&old_tag);
        self.retired.retire(now, old_tag);
        self.tags.insert(header.tag, id);
        self.list(id);
        self.shared.output.stats.restarts += 1;
        self.shared.output.events.push_back(Event::Restarted { id });
        self.cookie_ack(now, from, header, packet, Some(id), offer.tag);
    }
}

fn ports(from: Path, header: Header) -> PeerPorts {
    PeerPorts {
        remote: from.remote,
        peer_port: header.source_port,
        local_port: header.destination_port,
    }
}

fn identity(header: Header, tsn: u32) -> Identity {
    Identity {
        local_port: header.destination_port,
        peer_port: header.source_port,
        local_tag: header.tag,
        local_tsn: tsn,
    }
}
