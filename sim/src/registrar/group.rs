//! The registrar's side toward the other registrars of its group.

use core::net::{IpAddr, SocketAddr};

use rserpool_codec::enrp::extension::Extensions;
use rserpool_codec::enrp::{Body, Message};
use rserpool_engine::{PeChecksum, RegistrarId, TransportKind};
use rserpool_proto::enrp::{self, Liveness, Output, Target};
use rserpool_proto::registrar::Peer;

use super::Registrar;
use crate::cluster::Cx;
use crate::messages::Messages;
use crate::network::{LinkId, NodeId, Side};
use crate::rule::Rule;
use crate::trace::trace;

/// The port registrars take ENRP at.
const PORT: u16 = 9901;

const PRESENCE: u8 = 1;

/// An association with another registrar.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) link: enrp::LinkId,
    side: Side,
    /// Whole messages the group does not want yet.
    unfed: Vec<u8>,
    /// The last presence, if a rule about takeovers is broken.
    presence: Vec<u8>,
}

/// Where a node is.
pub(crate) fn address(node: NodeId) -> IpAddr {
    let [high, low] = (node.0 + 1).to_be_bytes();
    IpAddr::from([10, 0, high, low])
}

/// The node at an address.
pub(crate) fn node_at(address: IpAddr) -> Option<NodeId> {
    let IpAddr::V4(address) = address else { return None };
    let [_, _, high, low] = address.octets();
    u16::from_be_bytes([high, low]).checked_sub(1).map(NodeId)
}

impl Registrar {
    /// Becomes a member of the group.
    pub(super) fn join(&mut self, cx: &mut Cx) {
        let local = cx.local(self.node);
        let mut config = cx.settings.group.clone();
        config.seed = cx.chance.number();
        config.addresses = vec![address(self.node)];
        config.mentors = self
            .mentors
            .iter()
            .map(|&mentor| Target {
                transport: TransportKind::Tcp,
                addresses: vec![SocketAddr::new(address(mentor), PORT)],
            })
            .collect();
        config.tcp_port = Some(PORT);
        config.sctp_port = Some(PORT);
        if let Some(shard) = self.shards.first_mut() {
            shard.join(local, config);
        }
    }

    /// Whether a node's connection is another registrar's.
    pub(super) fn accept_wire(&mut self, cx: &mut Cx, link: LinkId, from: NodeId) {
        let local = cx.local(self.node);
        let peer =
            Peer { address: SocketAddr::new(address(from), 50_000), transport: TransportKind::Tcp };
        let accepted = self.shards.first_mut().and_then(|shard| shard.accept_link(local, peer));
        match accepted {
            Some(wire) => self.add_wire(link, wire, Side::To),
            None => cx.net.abort(link, Side::To),
        }
        self.turn(cx);
    }

    fn add_wire(&mut self, link: LinkId, wire: enrp::LinkId, side: Side) {
        self.wires.insert(link, Wire { link: wire, side, unfed: Vec::new(), presence: Vec::new() });
        self.wire_links.insert(wire, link);
    }

    /// A link with another registrar is connected.
    pub(super) fn wire_connected(&mut self, cx: &mut Cx, link: LinkId) {
        let local = cx.local(self.node);
        if let (Some(wire), Some(shard)) = (self.wires.get(&link), self.shards.first_mut()) {
            shard.link_connected(local, wire.link);
            self.turn(cx);
        }
    }

    /// A link with another registrar is gone. `false`: it was none.
    pub(super) fn wire_closed(&mut self, cx: &mut Cx, link: LinkId) -> bool {
        let local = cx.local(self.node);
        let Some(wire) = self.wires.remove(&link) else { return false };
        self.wire_links.remove(&wire.link);
        if cx.broken == Some(Rule::ForgottenTakeover) && !wire.presence.is_empty() {
            self.undead.push((wire.link, wire.presence));
            return true;
        }
        if let Some(shard) = self.shards.first_mut() {
            shard.close_link(local, wire.link);
        }
        self.turn(cx);
        true
    }

    /// Messages of another registrar arrived.
    pub(super) fn wire_arrived(&mut self, cx: &mut Cx, link: LinkId, bytes: &[u8]) {
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.unfed.extend_from_slice(bytes);
            self.feed_wire(cx, link);
            self.turn(cx);
        }
    }

    /// Gives the group the messages of a link that it wants.
    pub(super) fn feed_wire(&mut self, cx: &mut Cx, link: LinkId) {
        let local = cx.local(self.node);
        if self.stalled.first() == Some(&true) {
            return;
        }
        let Some(wire) = self.wires.get_mut(&link) else { return };
        let id = wire.link;
        let bytes = core::mem::take(&mut wire.unfed);
        let mut fed = 0;
        for message in Messages(&bytes) {
            let wants = self.shards.first_mut().is_some_and(|shard| shard.link_wants_more(id));
            if !wants {
                break;
            }
            fed += message.len();
            trace!(cx, "{} <= {}", self.name, plain(message));
            if cx.broken == Some(Rule::ForgottenTakeover)
                && message.first() == Some(&PRESENCE)
                && let Some(wire) = self.wires.get_mut(&link)
            {
                wire.presence = message.to_vec();
            }
            if cx.broken.is_some() && self.spoil_wire(cx, message) {
                continue;
            }
            if let Some(shard) = self.shards.first_mut() {
                shard.receive_link(local, id, message);
            }
        }
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.unfed = bytes;
            wire.unfed.drain(..fed);
        }
    }

    /// A datagram of another registrar arrived.
    pub(crate) fn multicast_arrived(&mut self, cx: &mut Cx, from: NodeId, bytes: &[u8]) {
        let local = cx.local(self.node);
        if self.stalled.first() == Some(&true) {
            return;
        }
        if let Some(shard) = self.shards.first_mut() {
            shard.receive_multicast(local, SocketAddr::new(address(from), PORT), bytes);
            self.turn(cx);
        }
    }

    /// Does what the group says.
    pub(super) fn group_output(&mut self, cx: &mut Cx, output: Output) {
        match output {
            Output::Connect(wire) => self.dial(cx, wire),
            Output::Send(wire) => self.flush_wire(cx, wire),
            Output::Close(wire) => {
                if let Some(link) = self.wire_links.remove(&wire)
                    && let Some(wire) = self.wires.remove(&link)
                {
                    cx.net.close(link, wire.side);
                }
            }
            Output::Multicast => {
                let mut bytes = cx.net.buffer();
                if let Some(shard) = self.shards.first_mut() {
                    shard.take_multicast(&mut bytes);
                }
                if cx.settings.multicast {
                    for other in 0..cx.settings.registrars {
                        let other = cx.registrar_node(other);
                        if other != self.node {
                            cx.net.datagram(self.node, other, &bytes);
                        }
                    }
                }
                cx.net.recycle(bytes);
            }
            Output::Resume(wire) => {
                if let Some(&link) = self.wire_links.get(&wire) {
                    self.feed_wire(cx, link);
                }
            }
            Output::InService => {
                trace!(cx, "{} is in service", self.name);
                self.serving = true;
            }
        }
    }

    fn dial(&mut self, cx: &mut Cx, wire: enrp::LinkId) {
        let group = self.shards.first().and_then(|shard| shard.group());
        let target = group.and_then(|group| group.target(wire)?.addresses.first().copied());
        let node = target.and_then(|target| node_at(target.ip()));
        match node.filter(|node| *node != self.node && node.index() < cx.settings.registrars) {
            Some(node) => {
                let link = cx.net.connect(self.node, node);
                self.add_wire(link, wire, Side::From);
            }
            None => {
                let local = cx.local(self.node);
                if let Some(shard) = self.shards.first_mut() {
                    shard.close_link(local, wire);
                }
            }
        }
    }

    /// Sends what the group has for a link, if there is room.
    pub(super) fn flush_wire(&mut self, cx: &mut Cx, wire: enrp::LinkId) {
        let local = cx.local(self.node);
        let Some(&link) = self.wire_links.get(&wire) else { return };
        let Some(side) = self.wires.get(&link).map(|wire| wire.side) else { return };
        let Some(shard) = self.shards.first_mut() else { return };
        let pending = shard.group().map_or(0, |group| group.output_pending(wire));
        if pending == 0 || !cx.net.has_room(link, side) {
            return;
        }
        let mut bytes = cx.net.buffer();
        shard.take_link(local, wire, &mut bytes);
        if cx.broken == Some(Rule::StaleChecksum) {
            self.spoil_checksum(&mut bytes);
        }
        if cx.broken == Some(Rule::LostHandleUpdate) {
            bytes = super::without_values(&bytes);
        }
        cx.net.send(link, side, bytes);
    }

    /// What the shards' elements of this home add up to.
    pub(crate) fn sum(&self) -> PeChecksum {
        let mut sum = PeChecksum::default();
        let elements = self.spaces().flat_map(|space| space.pools()).flat_map(|it| it.elements());
        for element in elements.filter(|element| element.home() == self.id) {
            sum.add(PeChecksum::of(element.handle(), element.pe()));
        }
        sum
    }

    /// The checksum it tells, and how often one of others was unexpected.
    pub(crate) fn told(&self) -> Option<(u16, u64)> {
        let group = self.shards.first().and_then(|shard| shard.group())?;
        Some((group.checksum(), group.stats().mismatches))
    }

    /// Whether no batch is under way between its shards.
    pub(crate) fn is_settled(&self) -> bool {
        self.shards.len() == 1 || self.is_running() && self.mesh.iter().all(|it| it.is_empty())
    }

    /// What it thinks of another registrar, if it knows it.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (RegistrarId, Liveness)> + '_ {
        let group = self.shards.first().and_then(|shard| shard.group());
        group.into_iter().flat_map(|group| group.peers()).map(|peer| (peer.id, peer.liveness))
    }
}

/// A message in words.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others say it themselves")]
fn plain(message: &[u8]) -> String {
    let Ok(Message { sender, body, .. }) = Message::parse(message) else {
        return "what cannot be read".to_owned();
    };
    match body {
        Body::Presence { reply_required, checksum, .. } => {
            let asks = if reply_required { ", asks" } else { "" };
            format!("{sender} is there{asks}, checksum {checksum:x?}")
        }
        Body::HandleTableResponse { rejected, more, pools } => {
            let elements = pools.iter().flat_map(|pool| pool.elements.iter());
            let elements: Vec<_> = elements.map(|it| format!("{} of {}", it.pe, it.home)).collect();
            format!("{sender}: table, rejected {rejected}, more {more}, {elements:?}")
        }
        Body::HandleUpdate { action, handle, element, .. } => {
            let claim = Extensions::of(message).claim;
            format!(
                "{sender}: {action:?} {} of {handle}, {:?}, {claim:?}",
                element.pe, element.policy
            )
        }
        body => format!("{sender}: {body:?}"),
    }
}
