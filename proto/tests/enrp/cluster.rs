//! Registrars, the network between them, and pool elements that answer.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Element, Frame, LengthForm, Transport, frame};
use rserpool_engine::{
    AssociationId, ChannelUse, PeId, Policy, PoolHandle, RegistrarId, ShardId, ShardMap, Timestamp,
    TransportKind,
};
use rserpool_proto::enrp::{self, Group, LinkId, Target};
use rserpool_proto::registrar::{Config, Output, Peer, Shard};

pub(crate) const PORT: u16 = 9901;
const LATENCY: Duration = Duration::from_millis(1);

/// A registrar.
pub(crate) struct Node {
    pub(crate) id: RegistrarId,
    pub(crate) shards: Vec<Shard>,
    mesh: BTreeMap<(u16, u16), VecDeque<Vec<u8>>>,
    pub(crate) serving: bool,
    /// It does nothing, as if its host had stopped.
    frozen: bool,
    seed: u64,
}

/// An association between two registrars.
struct Wire {
    ends: [(usize, LinkId); 2],
    /// Toward the second end, and toward the first.
    queues: [VecDeque<(Timestamp, Vec<u8>)>; 2],
}

/// A pool element, at its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agent {
    /// It acknowledges keep-alives.
    pub(crate) alive: bool,
    /// The registrar that asked it to take it as home last.
    pub(crate) home: Option<RegistrarId>,
}

pub(crate) struct Cluster {
    pub(crate) now: Timestamp,
    pub(crate) nodes: Vec<Node>,
    wires: Vec<Wire>,
    /// Ways that carry nothing, for now.
    cut: BTreeSet<(usize, usize)>,
    pub(crate) agents: BTreeMap<SocketAddr, Agent>,
    /// Registrars that agents cannot be reached from.
    pub(crate) agents_cut: BTreeSet<usize>,
    pub(crate) multicast: bool,
    change: fn(&mut enrp::Config),
    shards: u16,
}

pub(crate) fn host(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(node + 1).unwrap()))
}

impl Cluster {
    /// Registrars with the identifiers 1 to `count`, not started.
    pub(crate) fn new(count: usize) -> Self {
        Self::with(count, 1, |_| ())
    }

    pub(crate) fn with(count: usize, shards: u16, change: fn(&mut enrp::Config)) -> Self {
        let mut cluster = Self {
            now: Timestamp::from_micros(1_000_000),
            nodes: Vec::new(),
            wires: Vec::new(),
            cut: BTreeSet::new(),
            agents: BTreeMap::new(),
            agents_cut: BTreeSet::new(),
            multicast: true,
            change,
            shards,
        };
        for number in 0..count {
            let id = RegistrarId::new(u32::try_from(number + 1).unwrap());
            let node = Node {
                id,
                shards: Vec::new(),
                mesh: BTreeMap::new(),
                serving: false,
                frozen: false,
                seed: number as u64,
            };
            cluster.nodes.push(node);
        }
        cluster
    }

    /// All started, and in service.
    pub(crate) fn serving(count: usize) -> Self {
        let mut cluster = Self::new(count);
        cluster.start_all();
        cluster
    }

    pub(crate) fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        self.pass(Duration::from_secs(12));
        for node in &self.nodes {
            assert!(node.serving, "{} is in service", node.id);
        }
    }

    /// Starts a registrar, without any memory.
    pub(crate) fn start(&mut self, node: usize) {
        let map = ShardMap::new(self.shards, 7);
        let registrar = &mut self.nodes[node];
        registrar.seed += 1000;
        let shard = |number| {
            let mut config =
                Config { shard: ShardId(number), map: map.clone(), ..Config::default() };
            config.engine.registrar = registrar.id;
            config.engine.seed = registrar.seed + u64::from(number);
            Shard::new(config)
        };
        registrar.shards = (0..self.shards).map(shard).collect();
        registrar.serving = false;
        registrar.frozen = false;
        let mut config = enrp::Config {
            seed: registrar.seed,
            addresses: vec![host(node)],
            tcp_port: Some(PORT),
            ..enrp::Config::default()
        };
        (self.change)(&mut config);
        registrar.shards[0].join(self.now, config);
        self.settle();
    }

    /// A target for [`enrp::Config::mentors`].
    pub(crate) fn target(node: usize) -> Target {
        let addresses = vec![SocketAddr::new(host(node), PORT)];
        Target { transport: TransportKind::Tcp, addresses }
    }

    /// Ends a registrar: its associations break at once.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].shards.clear();
        self.nodes[node].mesh.clear();
        self.nodes[node].serving = false;
        self.break_wires(|wire| wire.ends.iter().any(|end| end.0 == node));
        self.settle();
    }

    /// Stops a registrar without a word.
    pub(crate) fn freeze(&mut self, node: usize) {
        self.nodes[node].frozen = true;
    }

    pub(crate) fn is_frozen(&self, node: usize) -> bool {
        self.nodes[node].frozen
    }

    pub(crate) fn thaw(&mut self, node: usize) {
        self.nodes[node].frozen = false;
        self.settle();
    }

    /// Nothing passes between two registrars any more; what is on its way
    /// waits.
    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a, b));
        self.cut.insert((b, a));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.settle();
    }

    /// What is on its way between two registrars is lost, without a sign of it.
    pub(crate) fn lose(&mut self, a: usize, b: usize) {
        for wire in &mut self.wires {
            let ends = [wire.ends[0].0, wire.ends[1].0];
            if ends == [a, b] || ends == [b, a] {
                wire.queues.iter_mut().for_each(VecDeque::clear);
            }
        }
    }

    /// The associations between two registrars break.
    pub(crate) fn disconnect(&mut self, a: usize, b: usize) {
        self.break_wires(|wire| {
            let ends = [wire.ends[0].0, wire.ends[1].0];
            ends == [a, b] || ends == [b, a]
        });
        self.settle();
    }

    fn break_wires(&mut self, which: impl Fn(&Wire) -> bool) {
        let (broken, kept) = core::mem::take(&mut self.wires).into_iter().partition(|it| which(it));
        self.wires = kept;
        let now = self.now;
        let broken: Vec<Wire> = broken;
        for (node, link) in broken.into_iter().flat_map(|wire| wire.ends) {
            if let Some(shard) = self.nodes[node].shards.first_mut() {
                shard.close_link(now, link);
            }
        }
    }

    pub(crate) fn group(&self, node: usize) -> &Group {
        self.nodes[node].shards[0].group().unwrap()
    }

    // The network.

    fn outputs(&mut self, node: usize) -> bool {
        let now = self.now;
        let mut any = false;
        for number in 0..self.nodes[node].shards.len() {
            while let Some(output) = self.nodes[node].shards[number].poll_output() {
                any = true;
                let from = u16::try_from(number).unwrap();
                let shard = &mut self.nodes[node].shards[number];
                match output {
                    Output::Send(id) => {
                        let mut bytes = Vec::new();
                        shard.take_send(id, &mut bytes);
                        self.tell_agent(node, number, id, &bytes);
                    }
                    Output::Connect(id) => {
                        let peer = shard.peer(id).unwrap();
                        let unreachable = self.agents_cut.contains(&node)
                            || !self.agents.contains_key(&peer.address);
                        if unreachable {
                            shard.close(now, id);
                        }
                    }
                    Output::Close(..) | Output::Resume(_) => {}
                    Output::Mesh(to) => {
                        let mut batch = Vec::new();
                        shard.take_mesh(to, &mut batch);
                        let mesh = &mut self.nodes[node].mesh;
                        mesh.entry((from, to.0)).or_default().push_back(batch);
                    }
                    Output::Group(output) => self.group_output(node, output),
                }
            }
        }
        let mesh = core::mem::take(&mut self.nodes[node].mesh);
        for ((from, to), batches) in mesh {
            for batch in batches {
                any = true;
                self.nodes[node].shards[usize::from(to)].receive_mesh(now, ShardId(from), &batch);
            }
        }
        any
    }

    fn group_output(&mut self, node: usize, output: enrp::Output) {
        let now = self.now;
        match output {
            enrp::Output::Connect(link) => {
                let target = self.group(node).target(link).unwrap().clone();
                let other = target.addresses.iter().find_map(|address| {
                    (0..self.nodes.len()).find(|other| {
                        SocketAddr::new(host(*other), PORT) == *address
                            && !self.nodes[*other].shards.is_empty()
                    })
                });
                let other = other.filter(|other| {
                    !self.cut.contains(&(node, *other)) && !self.cut.contains(&(*other, node))
                });
                let accepted = other.and_then(|other| {
                    let address = SocketAddr::new(host(node), 50_000);
                    let peer = Peer { address, transport: TransportKind::Tcp };
                    Some((other, self.nodes[other].shards[0].accept_link(now, peer)?))
                });
                match accepted {
                    Some(accepted) => {
                        let queues = [VecDeque::new(), VecDeque::new()];
                        self.wires.push(Wire { ends: [(node, link), accepted], queues });
                        self.nodes[node].shards[0].link_connected(now, link);
                    }
                    None => self.nodes[node].shards[0].close_link(now, link),
                }
            }
            enrp::Output::Send(link) => {
                let mut bytes = Vec::new();
                self.nodes[node].shards[0].take_link(now, link, &mut bytes);
                let due = now.after(LATENCY);
                for wire in &mut self.wires {
                    for (end, queue) in wire.queues.iter_mut().enumerate() {
                        if wire.ends[end] == (node, link) {
                            queue.push_back((due, bytes.clone()));
                        }
                    }
                }
            }
            enrp::Output::Close(link) => {
                let at = self.wires.iter().position(|wire| wire.ends.contains(&(node, link)));
                if let Some(at) = at {
                    let wire = self.wires.remove(at);
                    let other = wire.ends.iter().find(|end| **end != (node, link)).unwrap();
                    if let Some(shard) = self.nodes[other.0].shards.first_mut() {
                        shard.close_link(now, other.1);
                    }
                }
            }
            enrp::Output::Multicast => {
                let mut bytes = Vec::new();
                self.nodes[node].shards[0].take_multicast(&mut bytes);
                let from = SocketAddr::new(host(node), PORT);
                for other in 0..self.nodes.len() {
                    let lost = other == node
                        || !self.multicast
                        || self.nodes[other].frozen
                        || self.cut.contains(&(node, other));
                    if let (false, Some(shard)) = (lost, self.nodes[other].shards.first_mut()) {
                        shard.receive_multicast(now, from, &bytes);
                    }
                }
            }
            enrp::Output::Resume(_) => {}
            enrp::Output::InService => self.nodes[node].serving = true,
        }
    }

    /// Lets everything run that needs no time.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut any = false;
            for node in 0..self.nodes.len() {
                if !self.nodes[node].frozen {
                    any |= self.outputs(node);
                }
            }
            any |= self.deliver();
            if !any {
                return;
            }
        }
    }

    fn deliver(&mut self) -> bool {
        let now = self.now;
        let mut arrived = Vec::new();
        for wire in &mut self.wires {
            for (end, queue) in wire.queues.iter_mut().enumerate() {
                let (from, to) = (wire.ends[end], wire.ends[1 - end]);
                if self.cut.contains(&(from.0, to.0)) || self.nodes[to.0].frozen {
                    continue;
                }
                while queue.front().is_some_and(|(due, _)| *due <= now) {
                    arrived.push((to, queue.pop_front().unwrap().1));
                }
            }
        }
        let any = !arrived.is_empty();
        for ((node, link), bytes) in arrived {
            let mut rest = bytes.as_slice();
            while let Frame::Whole(length) = frame(rest) {
                let (message, after) = rest.split_at(length);
                rest = after;
                if let Some(shard) = self.nodes[node].shards.first_mut() {
                    shard.receive_link(now, link, message);
                }
            }
            assert!(rest.is_empty(), "whole messages only");
        }
        any
    }

    fn next(&self) -> Option<Timestamp> {
        let nodes = self.nodes.iter().filter(|node| !node.frozen);
        let timeouts = nodes.flat_map(|node| node.shards.iter()).filter_map(Shard::next_timeout);
        let wires = self.wires.iter().flat_map(|wire| {
            (0..2).filter_map(|end| {
                let (from, to) = (wire.ends[end].0, wire.ends[1 - end].0);
                let stopped = self.cut.contains(&(from, to)) || self.nodes[to].frozen;
                wire.queues[end].front().filter(|_| !stopped).map(|(due, _)| *due)
            })
        });
        timeouts.chain(wires).min()
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        loop {
            let next = self.next().filter(|next| *next <= end);
            self.now = self.now.max(next.unwrap_or(end));
            let now = self.now;
            for node in self.nodes.iter_mut().filter(|node| !node.frozen) {
                for shard in &mut node.shards {
                    shard.handle_timeout(now, 64);
                }
            }
            self.settle();
            if next.is_none() {
                return;
            }
        }
    }

    // Pool elements.

    /// A pool element registers; its association.
    pub(crate) fn register(&mut self, node: usize, handle: &str, pe: u32) -> AssociationId {
        self.register_with(node, handle, pe, Policy::RoundRobin)
    }

    pub(crate) fn register_with(
        &mut self,
        node: usize,
        handle: &str,
        pe: u32,
        policy: Policy,
    ) -> AssociationId {
        let address = agent_address(pe);
        let agent = Agent { alive: true, home: None };
        self.agents.entry(address).or_insert(agent).alive = true;
        let peer = Peer { address, transport: TransportKind::Sctp };
        let id = self.nodes[node].shards[0].open(self.now, peer).unwrap();
        self.register_over(node, id, handle, pe, policy);
        id
    }

    /// A pool element registers that nobody can call.
    pub(crate) fn register_over_tcp(
        &mut self,
        node: usize,
        handle: &str,
        pe: u32,
    ) -> AssociationId {
        let address = agent_address(pe);
        self.agents.insert(address, Agent { alive: true, home: None });
        let peer = Peer { address, transport: TransportKind::Tcp };
        let id = self.nodes[node].shards[0].open(self.now, peer).unwrap();
        self.register_over(node, id, handle, pe, Policy::RoundRobin);
        id
    }

    /// A pool element (re-)registers over its association.
    pub(crate) fn register_over(
        &mut self,
        node: usize,
        id: AssociationId,
        handle: &str,
        pe: u32,
        policy: Policy,
    ) {
        let handle = PoolHandle::new(handle.as_bytes());
        let element = element(pe, policy);
        self.say(node, id, &Message::Registration { handle, element });
    }

    pub(crate) fn deregister(&mut self, node: usize, id: AssociationId, handle: &str, pe: u32) {
        let handle = PoolHandle::new(handle.as_bytes());
        self.say(node, id, &Message::Deregistration { handle, pe: PeId::new(pe) });
    }

    /// A pool user reports an element as unreachable.
    pub(crate) fn report(&mut self, node: usize, user: u8, handle: &str, pe: u32) {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, user)), 5000);
        let peer = Peer { address, transport: TransportKind::Tcp };
        let id = self.nodes[node].shards[0].open(self.now, peer).unwrap();
        let handle = PoolHandle::new(handle.as_bytes());
        self.say(node, id, &Message::Unreachable { handle, pe: PeId::new(pe) });
    }

    fn say(&mut self, node: usize, id: AssociationId, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes, LengthForm::Padded).unwrap();
        let now = self.now;
        self.nodes[node].shards[0].receive(now, id, &bytes);
        self.settle();
    }

    /// What a registrar sends to an element: keep-alives are answered.
    fn tell_agent(&mut self, node: usize, shard: usize, id: AssociationId, bytes: &[u8]) {
        let now = self.now;
        let mut rest = bytes;
        while let Frame::Whole(length) = frame(rest) {
            let (message, after) = rest.split_at(length);
            rest = after;
            let Ok(Message::KeepAlive { registrar, take_home, handle, pe: Some(pe) }) =
                Message::parse(message)
            else {
                continue;
            };
            let Some(agent) = self.agents.get_mut(&agent_address(pe.get())) else { continue };
            if !agent.alive || self.agents_cut.contains(&node) {
                continue;
            }
            if take_home {
                agent.home = Some(registrar);
            }
            let mut ack = Vec::new();
            Message::KeepAliveAck { handle, pe }.emit(&mut ack, LengthForm::Padded).unwrap();
            self.nodes[node].shards[shard].receive(now, id, &ack);
        }
    }

    // What registrars know.

    /// Every element a registrar knows, and its home.
    pub(crate) fn elements(&self, node: usize) -> BTreeMap<(String, u32), u32> {
        let shards = self.nodes[node].shards.iter();
        let pools = shards.flat_map(|shard| shard.handlespace().pools());
        let elements = pools.flat_map(|pool| pool.elements());
        let describe = |element: rserpool_engine::ElementRef<'_>| {
            ((element.handle().to_string(), element.pe().get()), element.home().get())
        };
        elements.map(describe).collect()
    }

    pub(crate) fn policy(&self, node: usize, handle: &str, pe: u32) -> Option<Policy> {
        let handle = PoolHandle::new(handle.as_bytes());
        self.nodes[node].shards.iter().find_map(|shard| {
            let space = shard.handlespace();
            Some(space.get(space.find(handle, PeId::new(pe))?)?.policy())
        })
    }

    /// All registrars that run know the same elements with the same homes.
    #[track_caller]
    pub(crate) fn assert_equal(&self) {
        let mut running = (0..self.nodes.len()).filter(|node| !self.nodes[*node].shards.is_empty());
        let first = running.next().unwrap();
        for other in running {
            assert_eq!(self.elements(first), self.elements(other), "at {first} and {other}");
        }
        for node in &self.nodes {
            for shard in &node.shards {
                shard.handlespace().assert_invariants();
            }
        }
    }
}

/// Where an element takes ASAP.
pub(crate) fn agent_address(pe: u32) -> SocketAddr {
    let [_, a, b, c] = pe.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(172, a, b, c)), 40_000)
}

pub(crate) const SERVICE: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))];

pub(crate) const fn element(pe: u32, policy: Policy) -> Element<'static> {
    Element {
        pe: PeId::new(pe),
        home: RegistrarId::new(0),
        life: 90,
        user_transport: Transport::sctp(7777, ChannelUse::DataAndControl, Addresses::List(SERVICE)),
        policy,
        asap_transport: None,
    }
}
