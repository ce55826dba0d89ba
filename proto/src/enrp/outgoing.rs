//! What this registrar sends: presences, updates, and calls to others.

use core::net::IpAddr;
use core::time::Duration;

use rserpool_codec::enrp::extension::{Claim, Extensions};
use rserpool_codec::enrp::{Body, Message, Server};
use rserpool_codec::{Addresses, Causes, Element, LengthForm, Transport, parameter};
use rserpool_engine::{ChannelUse, PoolHandle, RegistrarId, Timestamp, TransportKind};

use super::config::{ChecksumForm, Suggestions};
use super::exchange::{News, Order};
use super::group::{Group, Output, Purpose};
use super::link::LinkId;
use super::peer::State;

/// How lengths are written: as rsplib does, which everybody reads.
pub(super) const FORM: LengthForm = LengthForm::Padded;

impl Group {
    /// Appends to the output of a link, and tells the host.
    pub(super) fn send(&mut self, id: LinkId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(link) = self.links.get_mut(id).filter(|link| link.up) else { return };
        write(&mut link.output);
        if !link.announced && !link.output.is_empty() {
            link.announced = true;
            self.outputs.push_back(Output::Send(id));
        }
    }

    /// Cuts off links whose registrar does not read.
    pub(super) fn cut_slow(&mut self, now: Timestamp) {
        let max = self.config.link_bytes_max;
        let slow = |group: &Self| {
            group.links.iter().find(|link| link.output.len() > max).map(|link| link.id)
        };
        while let Some(id) = slow(self) {
            self.stats.links_slow += 1;
            self.shut(now, id);
        }
    }

    /// Sends a message of a few fields.
    pub(super) fn say(&mut self, link: LinkId, receiver: RegistrarId, body: Body<'_>) {
        let message = Message { sender: self.id, receiver, body };
        self.send(link, |out| {
            let written = message.emit(out, FORM);
            debug_assert!(written.is_ok(), "it is short enough");
        });
    }

    /// Says something to every peer there is a link with.
    pub(super) fn say_all(&mut self, body: Body<'_>) {
        for (link, receiver) in self.linked() {
            self.say(link, receiver, body);
        }
    }

    /// The links this registrar sends over, and to whom.
    pub(super) fn linked(&self) -> Vec<(LinkId, RegistrarId)> {
        self.peers.iter().filter_map(|peer| Some((peer.link?, peer.id))).collect()
    }

    pub(super) fn complain(&mut self, link: LinkId, receiver: RegistrarId, causes: Causes<'_>) {
        self.stats.errors_sent += 1;
        self.say(link, receiver, Body::Error { causes });
    }

    // Presences.

    fn write_presence(&self, out: &mut Vec<u8>, receiver: RegistrarId, reply_required: bool) {
        let port = self.config.sctp_port.or(self.config.tcp_port).unwrap_or(0);
        let addresses = Addresses::List(&self.config.addresses);
        let transport = Transport::sctp(port, ChannelUse::Data, addresses);
        let has_transport = port != 0 && !self.config.addresses.is_empty();
        let server = has_transport.then_some(Server { registrar: self.id, transport });
        let tally = self.tally();
        let is_kin = self.peer(receiver).is_some_and(super::peer::Peer::is_kin);
        let wrapped = !is_kin && self.config.checksum_form == ChecksumForm::Wrapped;
        let sum = tally.checksum;
        let checksum = Some(if wrapped { sum.finish_wrapped() } else { sum.finish() });
        let values = is_kin.then_some(tally.values);
        let body = Body::Presence { reply_required, checksum, server };
        let start = out.len();
        let written = Message { sender: self.id, receiver, body }.emit(out, FORM);
        let extensions = Extensions { kin: Some(self.kin), values, ..Extensions::default() };
        let written = written.and_then(|()| extensions.insert(out, start));
        debug_assert!(written.is_ok(), "a presence is short enough");
    }

    pub(super) fn send_presence(&mut self, link: LinkId, receiver: RegistrarId, reply: bool) {
        let mut presence = core::mem::take(&mut self.scratch);
        presence.clear();
        self.write_presence(&mut presence, receiver, reply);
        self.stats.presences_sent += 1;
        self.send(link, |out| out.extend_from_slice(&presence));
        self.scratch = presence;
    }

    /// Presences to all peers, and one by multicast.
    pub(super) fn heartbeat(&mut self, now: Timestamp) {
        let eighth = self.config.heartbeat / 8;
        let wait = self.config.heartbeat - eighth + self.jitter(eighth * 2);
        self.heartbeat_at = now.after(wait);
        self.appear();
        // Two that joined at the same time may know each other by others only.
        let linked = self.linked();
        let chosen = self.choose(linked.len());
        if let Some((link, peer)) = chosen.and_then(|at| linked.get(at).copied()) {
            self.say(link, peer, Body::ListRequest);
        }
        if self.startup.is_none()
            && let Some(token) = self.begin_round(self.map.shards(), Purpose::Homes)
        {
            self.order_all(&Order::Sums { token });
        }
        self.cut_slow(now);
    }

    /// Shows that this registrar is there.
    pub(super) fn appear(&mut self) {
        for (link, receiver) in self.linked() {
            self.send_presence(link, receiver, false);
        }
        if self.startup.is_none() {
            let mut presence = core::mem::take(&mut self.multicast);
            presence.clear();
            self.write_presence(&mut presence, RegistrarId::default(), false);
            self.multicast = presence;
            self.stats.presences_sent += 1;
            if !self.multicast_announced {
                self.multicast_announced = true;
                self.outputs.push_back(Output::Multicast);
            }
        }
    }

    // Updates.

    /// Tells all peers of a change of an own element (RFC 5353, 3.3). Those of
    /// our own kind hear nothing of renewals; others count on them.
    pub(super) fn spread(&mut self, now: Timestamp, news: &News<'_>) {
        let News::Update { deleted, renewal, claim, handle, record, .. } = *news else { return };
        let mut kin = core::mem::take(&mut self.scratch);
        let mut others = Vec::new();
        kin.clear();
        if !renewal {
            self.write_update(&mut kin, deleted, handle, record, Some(claim));
        }
        if self.renewals && may_tell_others(handle, record, self.config.handle_bytes_others) {
            self.write_update(&mut others, deleted, handle, record, None);
        }
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers.get(at) else { break };
            let Some(link) = peer.link.filter(|_| peer.introduced) else { continue };
            let update = if peer.is_kin() { &kin } else { &others };
            if update.is_empty() {
                continue;
            }
            let receiver = peer.id.get().to_be_bytes();
            self.stats.updates_sent += 1;
            let Some(to) = self.links.get_mut(link) else { continue };
            let start = to.output.len();
            to.output.extend_from_slice(update);
            if let Some(field) = to.output.get_mut(start + 8..start + 12) {
                field.copy_from_slice(&receiver);
            }
            if !to.announced {
                to.announced = true;
                self.outputs.push_back(Output::Send(link));
            }
        }
        if !deleted && !renewal && self.config.suggestions == Suggestions::Exchange {
            self.suggest(news, &kin, &others);
        }
        self.scratch = kin;
        self.cut_slow(now);
    }

    /// Suggests the element of an update to the registrar that suits it best.
    fn suggest(&mut self, news: &News<'_>, kin: &[u8], others: &[u8]) {
        const SUGGESTED: u8 = 1;
        let News::Update { pe, .. } = *news else { return };
        let rank = |id: RegistrarId| id.get() ^ pe.get();
        let alive = self.peers.iter().filter(|peer| peer.is_established());
        let Some(best) = alive.max_by_key(|peer| rank(peer.id)) else { return };
        let (Some(link), id) = (best.link, best.id) else { return };
        if rank(id) <= rank(self.id) {
            return;
        }
        let update = if best.is_kin() { kin } else { others };
        let receiver = id.get().to_be_bytes();
        self.send(link, |out| {
            let start = out.len();
            out.extend_from_slice(update);
            if let Some(&mut [_, ref mut flags, _, _, _, _, _, _, ref mut to @ ..]) =
                out.get_mut(start..start + 12)
            {
                *flags |= SUGGESTED;
                to.copy_from_slice(&receiver);
            }
        });
    }

    fn write_update(
        &self,
        out: &mut Vec<u8>,
        deleted: bool,
        handle: PoolHandle<'_>,
        record: &[u8],
        claim: Option<Claim>,
    ) {
        const HANDLE_UPDATE: u8 = 4;
        out.extend_from_slice(&[HANDLE_UPDATE, 0, 0, 0]);
        out.extend_from_slice(&self.id.get().to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, 0, deleted.into(), 0, 0]);
        Extensions { claim, ..Extensions::default() }.append(out);
        let written = parameter::emit_pool_handle(handle, out).is_ok();
        let whole = written && write_element(out, record, self.id, claim.is_some(), None);
        match u16::try_from(out.len()) {
            Ok(length) if whole => {
                if let Some(field) = out.get_mut(2..4) {
                    field.copy_from_slice(&length.to_be_bytes());
                }
            }
            Ok(_) | Err(_) => out.clear(),
        }
    }

    /// Whether a peer of another kind is there, for whom shards report
    /// renewals.
    pub(super) fn update_renewals(&mut self) {
        let renewals = self.peers.iter().any(|peer| peer.introduced && !peer.is_kin());
        if renewals != self.renewals {
            self.renewals = renewals;
            self.order_all(&Order::Journal { renewals });
        }
    }

    // Calls.

    /// Opens links to mentors and peers that have none.
    pub(super) fn run_dials(&mut self, now: Timestamp) {
        self.mentors
            .retain(|mentor| mentor.link.is_some() || mentor.until.is_none_or(|until| until > now));
        for at in 0..self.mentors.len() {
            let Some(mentor) = self.mentors.get(at) else { break };
            if mentor.next().is_none_or(|due| due > now) {
                continue;
            }
            let target = mentor.target.clone();
            let known = self
                .links
                .iter()
                .find(|link| link.registrar.is_some() && link.dialed && link.target == target);
            let link = match known {
                Some(link) => Some(link.id),
                None => self.dial(now, target),
            };
            if let Some(mentor) = self.mentors.get_mut(at) {
                match link {
                    Some(_) => mentor.link = link,
                    None => mentor.at = now.after(Duration::from_secs(1)),
                }
            }
        }
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers.get(at) else { break };
            if !Self::wants_dial(peer) || peer.dial_at > now {
                continue;
            }
            let target =
                peer.target(self.config.sctp_port.is_some(), self.config.tcp_port.is_some());
            let link = target.and_then(|target| self.dial(now, target));
            if let Some(peer) = self.peers.get_mut(at) {
                peer.dialing = link;
                if link.is_none() {
                    peer.dial_at = now.after(Duration::from_secs(1));
                }
            }
        }
    }

    fn dial(&mut self, now: Timestamp, target: super::Target) -> Option<LinkId> {
        let link = self.links.open(now, target, true)?;
        self.outputs.push_back(Output::Connect(link));
        Some(link)
    }

    /// Whether a peer is one to call: it is there, or ought to be.
    pub(super) fn wants_dial(peer: &super::peer::Peer) -> bool {
        peer.link.is_none()
            && peer.dialing.is_none()
            && !matches!(peer.state, State::Yielded { .. })
    }
}

/// The Pool Element parameter of a record: its first parameter.
pub(crate) fn split_record(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[_, _, high, low] = record.first_chunk::<4>()?;
    record.split_at_checked(usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4))
}

/// Whether others than our own kind understand an element: rsplib ends at a
/// longer handle, and drops a whole message that has another transport.
pub(crate) fn may_tell_others(handle: PoolHandle<'_>, record: &[u8], bytes_max: usize) -> bool {
    const SCTP: u8 = TransportKind::Sctp as u8;
    const UDP: u8 = TransportKind::Udp as u8;
    let kind = record.get(16..18);
    handle.as_bytes().len() <= bytes_max && matches!(kind, Some([0, SCTP..=UDP]))
}

/// Appends a record's element for a peer: with this home, with its ASAP
/// transport inside, and with the claim, if any. An element that came over TCP
/// has no ASAP transport; one for another kind (`kin` is false) gets one made
/// up of its user transport, for rsplib demands it. `false`: the record is
/// none, or too long; nothing was written.
pub(crate) fn write_element(
    out: &mut Vec<u8>,
    record: &[u8],
    home: RegistrarId,
    kin: bool,
    claim: Option<Claim>,
) -> bool {
    let Some((element, asap)) = split_record(record) else { return false };
    let start = out.len();
    out.extend_from_slice(element);
    out.extend_from_slice(asap);
    if asap.is_empty()
        && !kin
        && let Ok(element) = Element::parse(element)
        && element.user_transport.kind != TransportKind::Opaque
    {
        let addresses: Vec<IpAddr> = element.user_transport.addresses.iter().collect();
        let port = element.user_transport.port;
        let made_up = Transport::sctp(port, ChannelUse::Data, Addresses::List(&addresses));
        let _ = made_up.emit(out, FORM);
    }
    let length = u16::try_from(out.len() - start).ok();
    let (Some(length), Some(field)) = (length, out.get_mut(start + 2..start + 12)) else {
        out.truncate(start);
        return false;
    };
    let [l0, l1] = length.to_be_bytes();
    let [h0, h1, h2, h3] = home.get().to_be_bytes();
    let &mut [_, _, p0, p1, p2, p3, ..] = field else { return false };
    field.copy_from_slice(&[l0, l1, p0, p1, p2, p3, h0, h1, h2, h3]);
    if let Some(claim) = claim {
        claim.append_to_element(out, start);
    }
    true
}
