//! A registrar: the shards of the product, the mesh between them, and the
//! host that carries bytes between them and the network.

mod group;
mod spoil;

use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};

use rserpool_codec::LengthForm;
use rserpool_codec::asap::Message;
use rserpool_engine::{
    AssociationId, Handlespace, PeId, PoolHandle, RegistrarId, ShardId, ShardMap, TransportKind,
};
use rserpool_proto::enrp;
use rserpool_proto::registrar::{Config, Loopback, Output, Peer, Shard};

use crate::cluster::Cx;
use crate::messages::Messages;
use crate::model::ElementNo;
use crate::network::{Alarm, Health, LinkId, Micros, NodeId, Side};
use crate::rule::Rule;
use crate::settings::SECOND;
use crate::trace::trace;

use group::Wire;
pub(crate) use group::{address, node_at};
use spoil::{Spoiler, without_values};

/// Batches under way between two shards; the host leaves more where they are.
const BATCHES_MAX: usize = 4;
/// The port pool elements' hosts take ASAP at.
const CLIENT_PORT: u16 = 40_000;
/// Alarms within 10 ms that are too many.
const WAKES_MAX: u32 = 2_000;
/// Pool elements that time-outs are handled for at once.
const BUDGET: usize = 8;

/// An association with a pool element or pool user.
#[derive(Debug)]
struct Client {
    shard: usize,
    association: AssociationId,
    /// `From`: this registrar called it.
    side: Side,
    /// Whole messages that the shard does not want yet.
    unfed: Vec<u8>,
    spoiler: Spoiler,
}

/// A registrar.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) node: NodeId,
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) id: RegistrarId,
    config: Config,
    shards: Vec<Shard>,
    /// Shards that do nothing for now, and until when they did.
    stalled: Vec<bool>,
    /// The end of the last stall of any shard.
    pub(crate) stalled_last: Micros,
    /// Batches under way, `from * shards + to`.
    mesh: Vec<VecDeque<Vec<u8>>>,
    mesh_delay: Micros,
    clients: BTreeMap<LinkId, Client>,
    links: BTreeMap<AssociationId, LinkId>,
    /// Associations with other registrars.
    wires: BTreeMap<LinkId, Wire>,
    wire_links: BTreeMap<enrp::LinkId, LinkId>,
    /// Registrars it is told of.
    mentors: Vec<NodeId>,
    /// It takes pool elements and pool users.
    pub(crate) serving: bool,
    /// When it started last.
    pub(crate) started: Micros,
    /// When the last association went.
    pub(crate) closed_last: Micros,
    alarm: Option<Micros>,
    /// Alarms in a short time; too many and it does nothing else.
    wakes: u32,
    busy_since: Micros,
    /// Links that broke, if a rule about takeovers is broken.
    undead: Vec<(enrp::LinkId, Vec<u8>)>,
    /// Elements it took over, if a rule about them is broken.
    moved: Vec<PeId>,
}

impl Registrar {
    pub(crate) fn new(cx: &mut Cx, node: NodeId, index: usize) -> Self {
        let settings = &cx.settings;
        let mut config = Config {
            map: ShardMap::new(settings.shards, settings.seed),
            loopback: Loopback::Refused,
            report_grace: settings.report_grace,
            ..Config::default()
        };
        config.engine.pools_max = 64;
        config.engine.elements_max = 1024;
        config.engine.elements_per_pool_max = 1024;
        config.engine.keep_alive_interval = settings.keep_alive_interval;
        config.engine.keep_alive_timeout = settings.keep_alive_timeout;
        let mesh_delay = settings.mesh_delay;
        let mut registrar = Self {
            node,
            index,
            name: format!("R{}", index + 1),
            id: draw_id(cx, index),
            config,
            shards: Vec::new(),
            stalled: Vec::new(),
            stalled_last: 0,
            mesh: Vec::new(),
            mesh_delay,
            clients: BTreeMap::new(),
            links: BTreeMap::new(),
            wires: BTreeMap::new(),
            wire_links: BTreeMap::new(),
            mentors: cx.settings.mentors_of(index).map(|it| cx.registrar_node(it)).collect(),
            serving: false,
            started: 0,
            closed_last: 0,
            alarm: None,
            wakes: 0,
            busy_since: 0,
            undead: Vec::new(),
            moved: Vec::new(),
        };
        registrar.start(cx);
        registrar
    }

    /// Makes the shards, empty.
    fn start(&mut self, cx: &mut Cx) {
        let mut config = self.config.clone();
        config.engine.registrar = self.id;
        if cx.broken == Some(Rule::ForgottenKeepAlive) {
            config.engine.keep_alive_interval = core::time::Duration::ZERO;
        }
        let count = config.map.shards();
        self.shards = (0..count)
            .map(|number| {
                config.shard = ShardId(number);
                config.engine.seed = cx.chance.number();
                Shard::new(config.clone())
            })
            .collect();
        self.stalled = vec![false; usize::from(count)];
        self.mesh = (0..count * count).map(|_| VecDeque::new()).collect();
        trace!(cx, "{} starts as {} with {count} shards", self.name, self.id);
        self.serving = false;
        self.started = cx.net.now();
        self.join(cx);
    }

    /// The handlespaces of its shards.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &Handlespace> {
        self.shards.iter().map(Shard::handlespace)
    }

    /// Whether an association is open.
    pub(crate) fn has(&self, association: AssociationId) -> bool {
        self.links.contains_key(&association)
    }

    /// Whether all shards work.
    pub(crate) fn is_running(&self) -> bool {
        !self.stalled.contains(&true)
    }

    /// Somebody connects.
    pub(crate) fn accept(&mut self, cx: &mut Cx, link: LinkId) {
        let from = cx.net.node_at(link, Side::From);
        if from.index() < cx.settings.registrars {
            return self.accept_wire(cx, link, from);
        }
        if !self.serving {
            return cx.net.abort(link, Side::To);
        }
        let shard = cx.chance.index(self.shards.len());
        let address = SocketAddr::new(address(from), CLIENT_PORT);
        // Who uses TCP cannot be called by a registrar.
        let transport =
            if cx.settings.uses_sctp(from) { TransportKind::Sctp } else { TransportKind::Tcp };
        let local = cx.local(self.node);
        let Some(shards) = self.shards.get_mut(shard) else { return };
        let Some(association) = shards.open(local, Peer { address, transport }) else {
            return cx.net.abort(link, Side::To);
        };
        self.add_client(link, shard, association, Side::To);
    }

    fn add_client(&mut self, link: LinkId, shard: usize, association: AssociationId, side: Side) {
        let (unfed, spoiler) = (Vec::new(), Spoiler::default());
        self.clients.insert(link, Client { shard, association, side, unfed, spoiler });
        self.links.insert(association, link);
    }

    /// Calls a pool element.
    fn call(&mut self, cx: &mut Cx, at: usize, association: AssociationId) {
        let Some(shard) = self.shards.get_mut(at) else { return };
        let node = shard.peer(association).and_then(|peer| node_at(peer.address.ip()));
        let Some(node) = node else { return };
        let link = cx.net.connect(self.node, node);
        self.add_client(link, at, association, Side::From);
    }

    /// The connection it asked for is there.
    pub(crate) fn connected_by(&mut self, cx: &mut Cx, link: LinkId) {
        if let Some(client) = self.clients.get(&link) {
            let (shard, association) = (client.shard, client.association);
            self.flush(cx, shard, association);
        }
        self.wire_connected(cx, link);
    }

    /// Messages arrived.
    pub(crate) fn arrived(&mut self, cx: &mut Cx, link: LinkId, bytes: Vec<u8>) {
        if let Some(client) = self.clients.get_mut(&link) {
            client.unfed.extend_from_slice(&bytes);
            self.feed(cx, link);
            self.turn(cx);
        } else {
            self.wire_arrived(cx, link, &bytes);
        }
        cx.net.recycle(bytes);
    }

    /// Gives a shard the messages of an association that it wants.
    fn feed(&mut self, cx: &mut Cx, link: LinkId) {
        let local = cx.local(self.node);
        let Some(client) = self.clients.get_mut(&link) else { return };
        let (at, association, side) = (client.shard, client.association, client.side);
        if self.stalled.get(at) == Some(&true) {
            return;
        }
        let bytes = core::mem::take(&mut client.unfed);
        let mut fed = 0;
        for message in Messages(&bytes) {
            let Some(shard) = self.shards.get_mut(at) else { break };
            if !shard.wants_more(association) {
                break;
            }
            fed += message.len();
            // An element that answers a call has its registration back.
            cx.model.heard_asap(self.index, local, message, side == Side::From);
            if cx.broken.is_some() {
                self.feed_spoiled(cx, link, message);
            } else {
                shard.receive(local, association, message);
            }
        }
        if let Some(client) = self.clients.get_mut(&link) {
            client.unfed = bytes;
            client.unfed.drain(..fed);
        }
    }

    /// The link is gone.
    pub(crate) fn closed(&mut self, cx: &mut Cx, link: LinkId) {
        if self.wire_closed(cx, link) {
            return;
        }
        let local = cx.local(self.node);
        let Some(client) = self.clients.remove(&link) else { return };
        self.links.remove(&client.association);
        self.closed_last = cx.net.now();
        if cx.broken == Some(Rule::KeptAssociation) {
            return;
        }
        if let Some(shard) = self.shards.get_mut(client.shard) {
            shard.close(local, client.association);
        }
        self.turn(cx);
    }

    /// There is room to send again.
    pub(crate) fn writable(&mut self, cx: &mut Cx, link: LinkId) {
        if let Some(client) = self.clients.get(&link) {
            let (shard, association) = (client.shard, client.association);
            self.flush(cx, shard, association);
        }
        if let Some(wire) = self.wires.get(&link) {
            let wire = wire.link;
            self.flush_wire(cx, wire);
        }
        self.turn(cx);
    }

    /// An alarm rang; one that was set before a later one means nothing.
    pub(crate) fn ring(&mut self, cx: &mut Cx) {
        if self.alarm.is_some_and(|alarm| alarm <= cx.net.now()) {
            self.wake(cx);
        }
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, cx: &mut Cx) {
        let local = cx.local(self.node);
        self.alarm = None;
        let now = cx.net.now();
        if now > self.busy_since + SECOND / 100 {
            (self.busy_since, self.wakes) = (now, 0);
        }
        self.wakes += 1;
        if self.wakes > WAKES_MAX {
            let due: Vec<_> = self.shards.iter().map(Shard::next_timeout).collect();
            let name = &self.name;
            cx.model.fail(|| format!("{name} is never done: at {local:?}, due are {due:?}"));
        }
        if !self.undead.is_empty() {
            self.raise_dead(cx);
        }
        for (shard, stalled) in self.shards.iter_mut().zip(&self.stalled) {
            if !stalled && shard.next_timeout().is_some_and(|next| next <= local) {
                shard.handle_timeout(local, BUDGET);
            }
        }
        self.turn(cx);
    }

    /// The oldest batch between two shards arrives.
    pub(crate) fn mesh(&mut self, cx: &mut Cx, from: u16, to: u16) {
        if self.stalled.get(usize::from(to)) == Some(&true) {
            return;
        }
        let local = cx.local(self.node);
        let count = self.shards.len();
        let pair = usize::from(from) * count + usize::from(to);
        let Some(batch) = self.mesh.get_mut(pair).and_then(VecDeque::pop_front) else { return };
        let is_lost = cx.broken == Some(Rule::LostBatch) && cx.chance.one_in(20);
        if let Some(shard) = self.shards.get_mut(usize::from(to))
            && !is_lost
        {
            shard.receive_mesh(local, ShardId(from), &batch);
        }
        cx.net.recycle(batch);
        if self.stalled.get(usize::from(from)) != Some(&true) {
            self.flush_mesh(cx, usize::from(from), ShardId(to));
        }
        self.turn(cx);
    }

    /// Does what the shards say, and sets the next alarm.
    pub(crate) fn turn(&mut self, cx: &mut Cx) {
        for at in 0..self.shards.len() {
            if self.stalled.get(at) == Some(&true) {
                continue;
            }
            while let Some(output) = self.shards.get_mut(at).and_then(Shard::poll_output) {
                match output {
                    Output::Send(association) => self.flush(cx, at, association),
                    Output::Close(association, reason) => {
                        trace!(cx, "{} closes {association:?}: {reason:?}", self.name);
                        if let Some(link) = self.links.remove(&association)
                            && let Some(client) = self.clients.remove(&link)
                        {
                            self.closed_last = cx.net.now();
                            cx.net.abort(link, client.side);
                        }
                    }
                    Output::Mesh(to) => self.flush_mesh(cx, at, to),
                    Output::Connect(association) => self.call(cx, at, association),
                    Output::Group(output) => self.group_output(cx, output),
                    Output::Resume(association) => {
                        if let Some(&link) = self.links.get(&association) {
                            self.feed(cx, link);
                        }
                    }
                }
            }
        }
        self.set_alarm(cx);
    }

    /// Sends what a shard has for an association, if there is room.
    fn flush(&mut self, cx: &mut Cx, at: usize, association: AssociationId) {
        let Some(&link) = self.links.get(&association) else {
            if cx.broken == Some(Rule::KeptAssociation)
                && let Some(shard) = self.shards.get_mut(at)
            {
                shard.take_send(association, &mut Vec::new());
            }
            return;
        };
        let Some(side) = self.clients.get(&link).map(|client| client.side) else { return };
        let Some(shard) = self.shards.get_mut(at) else { return };
        if shard.output_pending(association) == 0
            || !cx.net.is_up(link, side)
            || !cx.net.has_room(link, side)
        {
            return;
        }
        let mut bytes = cx.net.buffer();
        shard.take_send(association, &mut bytes);
        if cx.broken.is_some()
            && let Some(client) = self.clients.get_mut(&link)
        {
            bytes = client.spoiler.spoil(cx.broken, &mut cx.chance, &bytes);
        }
        cx.net.send(link, side, bytes);
    }

    /// Hands a batch to another shard, if the way is free.
    fn flush_mesh(&mut self, cx: &mut Cx, from: usize, to: ShardId) {
        let pair = from * self.shards.len() + usize::from(to.0);
        let Some(batches) = self.mesh.get_mut(pair) else { return };
        if batches.len() >= BATCHES_MAX {
            return;
        }
        let mut batch = cx.net.buffer();
        if let Some(shard) = self.shards.get_mut(from) {
            shard.take_mesh(to, &mut batch);
        }
        if batch.is_empty() {
            return cx.net.recycle(batch);
        }
        batches.push_back(batch);
        let from = u16::try_from(from).unwrap_or(u16::MAX);
        let at = cx.net.now() + self.mesh_delay;
        cx.net.set_alarm(at, Alarm::Mesh(self.node, from, to.0));
    }

    fn set_alarm(&mut self, cx: &mut Cx) {
        let shards = self.shards.iter().zip(&self.stalled).filter(|(_, stalled)| !**stalled);
        let Some(next) = shards.filter_map(|(shard, _)| shard.next_timeout()).min() else { return };
        // Never at once: what is due already had its turn.
        let next = cx.when(self.node, next).max(cx.net.now() + 1);
        if self.alarm.is_none_or(|alarm| next < alarm) {
            self.alarm = Some(next);
            cx.set_wake(next, self.node);
        }
    }

    /// One of its shards stops, or goes on.
    pub(crate) fn stall(&mut self, cx: &mut Cx, shard: usize, stalled: bool) {
        let Some(now) = self.stalled.get_mut(shard) else { return };
        if core::mem::replace(now, stalled) == stalled {
            return;
        }
        trace!(cx, "{}: shard {shard} {}", self.name, if stalled { "stops" } else { "goes on" });
        self.stalled_last = cx.net.now();
        if !stalled {
            self.resume(cx);
        }
    }

    /// Goes on after a stall: nothing that came meanwhile is lost.
    pub(crate) fn resume(&mut self, cx: &mut Cx) {
        self.alarm = None;
        let count = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        for from in 0..count {
            for to in 0..count {
                let pair = usize::from(from) * usize::from(count) + usize::from(to);
                let waiting = self.mesh.get(pair).map_or(0, VecDeque::len);
                for _ in 0..waiting {
                    self.mesh(cx, from, to);
                }
            }
        }
        let links: Vec<_> = self.clients.keys().copied().collect();
        for link in links {
            self.feed(cx, link);
        }
        let links: Vec<_> = self.wires.keys().copied().collect();
        for link in links {
            self.feed_wire(cx, link);
        }
        self.wake(cx);
    }

    /// Its process died: what it knew is gone.
    pub(crate) fn died(&mut self, cx: &mut Cx) {
        self.clients.clear();
        self.links.clear();
        self.wires.clear();
        self.undead.clear();
        self.wire_links.clear();
        self.serving = false;
        self.shards.clear();
        self.stalled.clear();
        self.mesh.clear();
        self.alarm = None;
        cx.model.forgot(self.index);
    }

    /// It starts again, with its identifier or another.
    pub(crate) fn restart(&mut self, cx: &mut Cx, new_id: bool) {
        if new_id {
            self.id = draw_id(cx, self.index + 100);
        }
        self.start(cx);
        self.turn(cx);
    }

    /// Resolves a pool handle several times at this moment, over an
    /// association of its own with the pool's shard.
    pub(crate) fn resolve_now(
        &mut self,
        cx: &mut Cx,
        handle: PoolHandle<'_>,
        items: u32,
        times: usize,
    ) -> Vec<Vec<PeId>> {
        let local = cx.local(self.node);
        let home = usize::from(self.config.map.shard_of(handle).0);
        let Some(shard) = self.shards.get_mut(home) else { return Vec::new() };
        let peer =
            Peer { address: SocketAddr::from(([10, 0, 0, 1], 1)), transport: TransportKind::Tcp };
        let Some(association) = shard.open(local, peer) else { return Vec::new() };
        let mut bytes = cx.net.buffer();
        let request = Message::HandleResolution { handle, subscribe: false, items: Some(items) };
        let _ = request.emit(&mut bytes, LengthForm::Rfc);
        // A rule that is broken for pool users is broken here.
        let repeats = if cx.broken == Some(Rule::DoubleSelection) { 2 } else { 1 };
        for _ in 0..times * repeats {
            shard.receive(local, association, &bytes);
        }
        shard.take_send(association, &mut bytes);
        shard.close(local, association);
        let answers =
            Messages(&bytes).step_by(repeats).map(|message| match Message::parse(message) {
                Ok(Message::HandleResolutionResponse { elements, .. }) => {
                    elements.iter().map(|element| element.pe).collect()
                }
                _ => Vec::new(),
            });
        let answers = answers.collect();
        cx.net.recycle(bytes);
        self.set_alarm(cx);
        answers
    }

    /// The same once, for a pool by its number.
    pub(crate) fn resolve_pool(&mut self, cx: &mut Cx, pool: usize, items: u32) -> Vec<PeId> {
        let Some(name) = cx.model.pools.get(pool).map(|pool| pool.name.clone()) else {
            return Vec::new();
        };
        let found = self.resolve_now(cx, PoolHandle::new(name.as_bytes()), items, 1);
        found.into_iter().flatten().collect()
    }

    /// So many pool users report an element as unreachable.
    pub(crate) fn report(&mut self, cx: &mut Cx, number: ElementNo, times: usize) {
        let local = cx.local(self.node);
        let Some(known) = cx.model.get(number) else { return };
        let Some(pool) = cx.model.pool_of(number) else { return };
        let handle = PoolHandle::new(pool.name.as_bytes());
        let mut bytes = Vec::new();
        let _ = Message::Unreachable { handle, pe: known.pe }.emit(&mut bytes, LengthForm::Rfc);
        let at = usize::from(self.config.map.shard_of(handle).0);
        let Some(shard) = self.shards.get_mut(at) else { return };
        let peer =
            Peer { address: SocketAddr::from(([10, 0, 0, 1], 1)), transport: TransportKind::Tcp };
        for association in (0..times).filter_map(|_| shard.open(local, peer)).collect::<Vec<_>>() {
            shard.receive(local, association, &bytes);
            shard.close(local, association);
        }
        self.turn(cx);
    }

    /// Fails if something grew beyond its bound, or an invariant is broken.
    pub(crate) fn check_bounds(&self, cx: &mut Cx) {
        if cx.net.health(self.node) != Health::Up {
            return;
        }
        let config = &self.config;
        for shard in &self.shards {
            shard.handlespace().assert_invariants();
            if shard.associations() > self.clients.len() && cx.broken.is_none() {
                let name = &self.name;
                cx.model.fail(|| format!("{name} keeps associations that are gone"));
            }
        }
        for client in self.clients.values() {
            let Some(shard) = self.shards.get(client.shard) else { continue };
            if shard.output_pending(client.association) > config.output_bytes_max {
                let name = &self.name;
                cx.model.fail(|| format!("{name} queues more than its bound for one association"));
            }
        }
    }
}

/// An identifier; its number if registrars are numbered.
fn draw_id(cx: &mut Cx, index: usize) -> RegistrarId {
    let number = u32::try_from(index + 1).unwrap_or(1);
    if cx.settings.numbered {
        return RegistrarId::new(number);
    }
    RegistrarId::new(u32::try_from(cx.chance.between(1, u32::MAX.into())).unwrap_or(1))
}
