//! What other registrars say, and the answers.

use core::net::{IpAddr, SocketAddr};

use rserpool_codec::enrp::extension::{Extensions, Kin};
use rserpool_codec::enrp::{Body, Message, Server, Servers, UpdateAction};
use rserpool_codec::{Addresses, Causes, Element, Reply, Transport};
use rserpool_engine::{ChannelUse, PoolHandle, RegistrarId, Timestamp};

use super::audit::Response;
use super::config::{Admission, Suggestions};
use super::exchange::{Apply, Order, Source};
use super::group::Group;
use super::link::LinkId;
use super::peer::{Peer, State};

/// Addresses kept of one registrar.
const ADDRESSES_MAX: usize = 16;
/// Links with one registrar: each side may have opened one at the same time,
/// and one may be dying.
const LINKS_OF_ONE_MAX: usize = 3;

impl Group {
    /// One whole message arrived over a link.
    pub(crate) fn receive(&mut self, now: Timestamp, id: LinkId, bytes: &[u8]) {
        let read = Message::parse_reporting(bytes);
        let (message, unrecognized) = match read {
            Ok(read) => read,
            Err(error) => {
                self.stats.malformed += 1;
                let receiver = self.links.get(id).and_then(|link| link.registrar);
                if let (Reply::Report, Some(receiver)) = (error.reply, receiver) {
                    self.complain(id, receiver, Causes::list(&[error.cause]));
                }
                return;
            }
        };
        let sender = message.sender;
        if !self.is_from(now, id, sender, bytes) {
            self.stats.refused += 1;
            self.settle();
            return;
        }
        if let Some(causes) = unrecognized.causes() {
            self.complain(id, sender, causes);
        }
        self.heard(now, sender);
        self.act(now, id, sender, &message.body, bytes);
        self.cut_slow(now);
        self.settle();
    }

    /// Whether a message over this link may be from this registrar. The first
    /// message binds the link to its sender, and makes the sender a peer.
    fn is_from(&mut self, now: Timestamp, id: LinkId, sender: RegistrarId, bytes: &[u8]) -> bool {
        let Some(link) = self.links.get(id) else { return false };
        match link.registrar {
            Some(bound) => return bound == sender,
            None if sender.is_none() => return false,
            None if sender == self.id => {
                // This registrar's own address was given to it as a mentor's.
                for mentor in &mut self.mentors {
                    mentor.is_self |= mentor.link == Some(id);
                }
                self.shut(now, id);
                return false;
            }
            None => {}
        }
        let Some(address) = link.address() else { return false };
        if !self.may_bind(now, id, sender, address) {
            self.shut(now, id);
            return false;
        }
        let no_response = self.config.no_response;
        if self.peer(sender).is_none() {
            if !self.may_join(id, address) {
                self.shut(now, id);
                return false;
            }
            let state = State::Hearsay { until: now.after(no_response * 2) };
            self.peers.push(Peer::new(now, sender, state));
        }
        if let Some(link) = self.links.get_mut(id) {
            link.registrar = Some(sender);
        }
        // It is back: peers are called without being told to.
        self.mentors.retain(|mentor| mentor.until.is_none() || mentor.link != Some(id));
        self.bind(now, id, sender, Extensions::of(bytes).kin);
        true
    }

    /// Nobody may pass for a registrar that speaks from somewhere else.
    fn may_bind(&self, now: Timestamp, id: LinkId, who: RegistrarId, from: SocketAddr) -> bool {
        let others = || {
            let links = self.links.iter();
            links.filter(|link| link.registrar == Some(who) && link.id != id && link.up)
        };
        let silence = self.config.last_heard;
        let elsewhere = others().any(|link| {
            let ip = link.address().map(|address| address.ip().to_canonical());
            ip != Some(from.ip().to_canonical()) && link.heard.after(silence) > now
        });
        !elsewhere && others().count() < LINKS_OF_ONE_MAX
    }

    /// Whether a registrar that is not known may become a peer.
    fn may_join(&self, id: LinkId, from: SocketAddr) -> bool {
        let listed = || {
            let ip = from.ip().to_canonical();
            self.mentors.iter().any(|mentor| {
                mentor.link == Some(id)
                    || mentor.target.addresses.iter().any(|it| it.ip().to_canonical() == ip)
            })
        };
        self.peers.len() < self.config.peers_max
            && (self.config.admission == Admission::Anybody || listed())
    }

    /// A link turned out to be this registrar's.
    fn bind(&mut self, now: Timestamp, id: LinkId, who: RegistrarId, kin: Option<Kin>) {
        let Some(peer) = self.peer_mut(who) else { return };
        if peer.dialing == Some(id) {
            peer.dialing = None;
            peer.dial_failures = 0;
        }
        let restarted = match (peer.kin, kin) {
            (Some(before), Some(kin)) => before.incarnation != kin.incarnation,
            _ => false,
        };
        let before = peer.link;
        if let Some(before) = before.filter(|_| restarted) {
            // It forgot the links it had.
            peer.introduced = false;
            self.shut(now, before);
        }
        // A registrar that calls has lost the link there was, even if this end
        // has not noticed: what would go there would not arrive. Unless both
        // called at the same time.
        let dialed = self.links.get(id).is_some_and(|link| link.dialed);
        let lost = self.peer(who).and_then(|peer| peer.link).filter(|old| *old != id && !dialed);
        let patience = self.config.no_response;
        let old = lost.and_then(|old| self.links.get(old));
        if let Some(old) = old.filter(|old| old.since.after(patience) <= now).map(|old| old.id) {
            self.shut(now, old);
        }
        let Some(peer) = self.peer_mut(who) else { return };
        if peer.link.is_none() || peer.link == Some(id) {
            peer.link = Some(id);
            peer.audit.reset();
            peer.audit.want(now);
        }
        if !self.links.get(id).is_some_and(|link| link.dialed) {
            // Whoever is not known is asked who he is.
            self.send_presence(id, who, true);
        }
    }

    /// A registrar spoke.
    fn heard(&mut self, now: Timestamp, id: RegistrarId) {
        for link in self.links.iter_mut().filter(|link| link.registrar == Some(id)) {
            link.heard = now;
        }
        let Some(peer) = self.peer_mut(id) else { return };
        peer.heard = now;
        match peer.state {
            State::Alive => {}
            State::Hearsay { .. } | State::Probed { .. } => peer.state = State::Alive,
            State::Taking { .. } => {
                peer.state = State::Alive;
                peer.audit.want(now);
                self.stats.takeovers_aborted += 1;
            }
            State::Yielded { .. } => {
                peer.state = State::Alive;
                peer.audit.want(now);
            }
        }
    }

    fn act(
        &mut self,
        now: Timestamp,
        id: LinkId,
        from: RegistrarId,
        body: &Body<'_>,
        bytes: &[u8],
    ) {
        match *body {
            Body::Presence { reply_required, checksum, server } => {
                self.stats.presences_received += 1;
                let Extensions { kin, values, .. } = Extensions::of(bytes);
                let address = self.links.get(id).and_then(super::link::Link::address);
                self.introduce(now, from, server, kin, address.map(|it| it.ip()));
                if reply_required {
                    self.send_presence(id, from, false);
                }
                if let Some(checksum) = checksum {
                    if let Some(peer) = self.peer_mut(from) {
                        peer.checksum = Some(checksum);
                    }
                    self.check(from, checksum, values.filter(|_| kin.is_some()));
                }
                self.introduced(now, from);
            }
            Body::HandleTableRequest { own_only } => {
                self.table_requested(id, from, own_only, &Extensions::of(bytes));
            }
            Body::HandleTableResponse { rejected, more, pools } => {
                let extensions = Extensions::of(bytes);
                let response = Response { rejected, more, pools, extensions };
                self.table_received(now, id, from, &response);
            }
            Body::HandleUpdate { action, takeover_suggested, handle, element } => {
                let deleted = action == UpdateAction::Delete;
                self.updated(from, deleted, takeover_suggested, handle, &element, bytes);
            }
            Body::ListRequest => self.list(id, from),
            Body::ListResponse { rejected, servers } => {
                self.listed(now, from, rejected, servers);
            }
            Body::InitTakeover { target } => self.takeover_begun(now, id, from, target),
            Body::InitTakeoverAck { target } => self.takeover_acked(now, from, target),
            Body::TakeoverServer { target } => self.taken_over(now, from, target),
            Body::Error { .. } => self.stats.errors_received += 1,
        }
    }

    /// A datagram arrived by multicast: a presence, or nothing for us.
    pub(crate) fn receive_multicast(&mut self, now: Timestamp, from: SocketAddr, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            self.stats.malformed += 1;
            return;
        };
        let Body::Presence { server, .. } = message.body else {
            self.stats.refused += 1;
            return;
        };
        let sender = message.sender;
        if sender == self.id || sender.is_none() {
            return;
        }
        self.stats.presences_received += 1;
        let kin = Extensions::of(bytes).kin;
        if self.peer(sender).is_none() {
            let listed = self.config.admission == Admission::Anybody;
            if !listed || self.peers.len() >= self.config.peers_max {
                self.stats.refused += 1;
                return;
            }
            let until = now.after(self.config.no_response * 2);
            let jitter = if self.id < sender {
                core::time::Duration::ZERO
            } else {
                // Both hear each other about now. One call is enough.
                self.config.no_response / 4
            };
            let mut peer = Peer::new(now, sender, State::Hearsay { until });
            peer.dial_at = now.after(jitter);
            self.peers.push(peer);
        }
        let source = Some(from.ip().to_canonical());
        let patience = self.config.no_response * 2;
        if let Some(peer) = self.peer_mut(sender) {
            peer.source = source;
            // What a datagram says is anybody's word: it tells where to call,
            // no more, and keeps nobody alive whose link is broken.
            if !peer.introduced {
                Self::note_transport(peer, server, kin, source);
            }
            if matches!(peer.state, State::Hearsay { .. }) {
                peer.state = State::Hearsay { until: now.after(patience) };
            }
        }
        self.run_dials(now);
        self.settle();
    }

    /// A registrar said in a presence who and where it is.
    fn introduce(
        &mut self,
        now: Timestamp,
        id: RegistrarId,
        server: Option<Server<'_>>,
        kin: Option<Kin>,
        source: Option<IpAddr>,
    ) {
        let Some(peer) = self.peer_mut(id) else { return };
        let server = server.filter(|server| server.registrar == id);
        let is_other = peer.introduced && peer.is_kin() != kin.is_some();
        Self::note_transport(peer, server, kin, source);
        peer.source = source.or(peer.source);
        peer.kin = kin;
        let first = !peer.introduced;
        peer.introduced = true;
        if first || is_other {
            peer.audit.reset();
            peer.audit.want(now);
            self.update_renewals();
        }
    }

    /// Where a registrar takes ENRP, by its own word. An address that leads
    /// nowhere from here is passed over: rsplib announces 127.0.0.1, too, which
    /// counts from a registrar of this host only.
    fn note_transport(
        peer: &mut Peer,
        server: Option<Server<'_>>,
        kin: Option<Kin>,
        source: Option<IpAddr>,
    ) {
        let is_local = source.is_some_and(|source| source.is_loopback());
        if let Some(server) = server {
            let leads = |address: &IpAddr| {
                let link_local = match address {
                    IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
                    IpAddr::V6(address) => address.is_unicast_link_local(),
                };
                !address.is_unspecified()
                    && !address.is_multicast()
                    && !link_local
                    && (is_local || !address.is_loopback())
            };
            let addresses = server.transport.addresses.iter().filter(leads);
            peer.addresses = addresses.take(ADDRESSES_MAX).collect();
            peer.sctp_port = Some(server.transport.port);
        }
        if let Some(kin) = kin {
            peer.kin = Some(kin);
        }
    }

    /// What follows from a presence, beside the answer.
    fn introduced(&mut self, now: Timestamp, from: RegistrarId) {
        let Some(peer) = self.peer_mut(from) else { return };
        let ask = !peer.listed;
        if let (true, Some(link)) = (ask, peer.link) {
            // Whom it knows, we want to know.
            peer.listed = true;
            self.say(link, from, Body::ListRequest);
        }
        self.run_startup(now);
        self.run_audits(now);
    }

    // Lists.

    fn list(&mut self, id: LinkId, from: RegistrarId) {
        if self.startup.is_some() {
            self.say(id, from, Body::ListResponse { rejected: true, servers: Servers::EMPTY });
            return;
        }
        let known = self.peers.iter().filter(|peer| peer.id != from && peer.introduced);
        let known: Vec<_> =
            known.map(|peer| (peer.id, peer.sctp_port, peer.known_addresses())).collect();
        let servers = known.iter().filter_map(|(registrar, port, addresses)| {
            if addresses.is_empty() {
                return None;
            }
            let transport = Transport::sctp((*port)?, ChannelUse::Data, Addresses::List(addresses));
            Some(Server { registrar: *registrar, transport })
        });
        let servers: Vec<_> = servers.collect();
        let servers = Servers::list(&servers);
        self.say(id, from, Body::ListResponse { rejected: false, servers });
    }

    fn listed(&mut self, now: Timestamp, from: RegistrarId, rejected: bool, servers: Servers<'_>) {
        if rejected {
            if let Some(peer) = self.peer_mut(from) {
                peer.listed = false;
            }
            self.list_rejected(now, from);
            return;
        }
        if self.config.admission == Admission::Anybody {
            let link = self.peer(from).and_then(|peer| self.links.get(peer.link?));
            let teller = link.and_then(super::link::Link::address).map(|it| it.ip());
            let patience = self.config.no_response * 2;
            for server in servers.iter() {
                // rsplib lists those it was configured with as 0, and us, too.
                let id = server.registrar;
                let full = self.peers.len() >= self.config.peers_max;
                if id.is_none() || id == self.id || full || self.peer(id).is_some() {
                    continue;
                }
                let state = State::Hearsay { until: now.after(patience) };
                let mut peer = Peer::new(now, id, state);
                Self::note_transport(&mut peer, Some(server), None, teller);
                // Which kind it is, it says itself; ours takes TCP at the port
                // it takes SCTP at, unless it was told otherwise.
                self.peers.push(peer);
            }
        }
        self.list_received(now, from);
        self.run_dials(now);
    }

    // Updates.

    /// A Handle Update (RFC 5353, 3.3): only the home of an element speaks of
    /// it.
    fn updated(
        &mut self,
        from: RegistrarId,
        deleted: bool,
        suggested: bool,
        handle: PoolHandle<'_>,
        element: &Element<'_>,
        bytes: &[u8],
    ) {
        self.stats.updates_received += 1;
        let Some(peer) = self.peer(from) else { return };
        if element.home != from || !peer.introduced {
            self.stats.updates_foreign += 1;
            return;
        }
        let claim = Extensions::of(bytes).claim.filter(|_| peer.is_kin());
        let suggested = suggested && self.config.suggestions == Suggestions::Exchange;
        let Some(raw) = element_of_update(bytes) else { return };
        let apply = Apply {
            from,
            source: Source::Home,
            kin: peer.is_kin(),
            deleted,
            suggested,
            stamp: peer.audit.stamp,
            claim,
            handle,
            element: raw,
        };
        let shard = self.map.shard_of(handle);
        self.order(shard, &Order::Apply(apply));
    }
}

/// The whole Pool Element parameter of a Handle Update that was read before:
/// its last but for what was skipped.
fn element_of_update(bytes: &[u8]) -> Option<&[u8]> {
    const POOL_ELEMENT: u16 = 0x000a;
    let mut rest = bytes.get(16..)?;
    loop {
        let &[t0, t1, l0, l1] = rest.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if u16::from_be_bytes([t0, t1]) == POOL_ELEMENT {
            return rest.get(..length);
        }
        rest = rest.get(length.next_multiple_of(4).max(4)..)?;
    }
}
