//! Everything of a run, and what happens to it.

use std::collections::VecDeque;

use rserpool_engine::{PeId, PoolHandle, Timestamp};

use crate::chance::Chance;
use crate::checks;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::model::{KnownPool, Model};
use crate::network::{Alarm, Happening, Health, LinkId, Micros, Network, NodeId, Side};
use crate::registrar::Registrar;
use crate::rule::Rule;
use crate::settings::{SECOND, Settings};
use crate::station::{Identity, Station};
use crate::trace::{Keep, Trace, trace};
use crate::user::User;

/// What every node works with.
#[derive(Debug)]
pub(crate) struct Cx {
    pub(crate) net: Network,
    pub(crate) model: Model,
    pub(crate) trace: Trace,
    pub(crate) chance: Chance,
    pub(crate) settings: Settings,
    pub(crate) broken: Option<Rule>,
    /// Elements leave the group and themselves alone.
    pub(crate) calm: bool,
    clocks: Vec<Clock>,
}

impl Cx {
    /// What the clock of a node shows.
    pub(crate) fn local(&self, node: NodeId) -> Timestamp {
        self.clock(node).read(self.net.now())
    }

    /// When the clock of a node shows this.
    pub(crate) fn when(&self, node: NodeId, local: Timestamp) -> Micros {
        self.clock(node).when(self.net.now(), local)
    }

    fn clock(&self, node: NodeId) -> Clock {
        self.clocks.get(node.index()).copied().unwrap_or_default()
    }

    pub(crate) fn set_wake(&mut self, at: Micros, node: NodeId) {
        self.net.set_alarm(at, Alarm::Wake(node));
    }

    /// The node of a registrar.
    #[expect(
        clippy::unused_self,
        clippy::cast_possible_truncation,
        reason = "registrars are first"
    )]
    pub(crate) const fn registrar_node(&self, registrar: usize) -> NodeId {
        NodeId(registrar as u16)
    }

    /// Whether a pool user could not reach an element.
    pub(crate) fn is_silent(&self, user: NodeId, handle: PoolHandle<'_>, pe: PeId) -> bool {
        let known = self.model.find(handle, pe).and_then(|number| self.model.get(number));
        known.is_none_or(|known| {
            !self.net.is_whole(user, known.node) || self.net.health(known.node) != Health::Up
        })
    }
}

/// Everything of a run.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) cx: Cx,
    pub(crate) registrars: Vec<Registrar>,
    pub(crate) stations: Vec<Station>,
    pub(crate) users: Vec<User>,
    pub(crate) faults: Faults,
    /// What frozen nodes will find.
    deferred: Vec<(NodeId, Happening)>,
    /// Events so far.
    pub(crate) events: u64,
}

impl Cluster {
    pub(crate) fn new(settings: Settings, broken: Option<Rule>, keep: Keep) -> Self {
        let mut chance = Chance::new(settings.seed ^ 0x5e5e_5e5e);
        let nodes = settings.registrars + settings.stations.len() + settings.users;
        let mut net = Network::new(nodes, settings.delay, settings.jitter, chance.fork());
        (net.weather, net.patience) = (settings.weather, settings.patience);
        let pools = settings.pools.iter();
        let pools = pools.map(|pool| KnownPool { name: pool.name.clone(), kind: pool.kind });
        let pools: Vec<_> = pools.collect();
        let salt = u32::try_from(chance.number() >> 32).unwrap_or(0);
        let clocks = (0..nodes).map(|_| {
            let drift = chance.below(2 * settings.drift.unsigned_abs() + 1).cast_signed();
            Clock::new(chance.below(1000 * SECOND), drift - settings.drift)
        });
        let clocks = clocks.collect();
        let model = Model::new(pools, settings.registrars, nodes, salt);
        let trace = Trace::new(keep);
        let mut cx = Cx { net, model, trace, chance, settings, broken, calm: false, clocks };
        let node = |number: usize| NodeId(u16::try_from(number).unwrap_or(u16::MAX));
        let group = cx.settings.registrars;
        let registrars = (0..group).map(|index| Registrar::new(&mut cx, node(index), index));
        let registrars: Vec<_> = registrars.collect();
        let known = |cx: &mut Cx| -> VecDeque<usize> {
            let mut known: VecDeque<usize> = (0..group).collect();
            known.rotate_left(cx.chance.index(group));
            known
        };
        let count = cx.settings.stations.len();
        let stations = (0..count).filter_map(|number| {
            let settings = cx.settings.stations.get(number)?.clone();
            let known = known(&mut cx);
            let name = format!("E{}", number + 1);
            Some(Station::new(&mut cx, node(group + number), name, settings, known))
        });
        let stations: Vec<_> = stations.collect();
        let users = (0..cx.settings.users).map(|number| {
            let known = known(&mut cx);
            let name = format!("U{}", number + 1);
            User::new(&mut cx, node(group + count + number), name, known)
        });
        let users = users.collect();
        let mut cluster = Self {
            cx,
            registrars,
            stations,
            users,
            faults: Faults::default(),
            deferred: Vec::new(),
            events: 0,
        };
        cluster.begin();
        cluster
    }

    fn begin(&mut self) {
        for registrar in &mut self.registrars {
            registrar.wake(&mut self.cx);
        }
        for station in &mut self.stations {
            station.settle(&mut self.cx);
        }
        for user in &mut self.users {
            user.wake(&mut self.cx);
        }
        self.cx.net.set_alarm(SECOND, Alarm::Check);
    }

    /// Lets everything happen until `end`, or until something is wrong.
    pub(crate) fn run(&mut self, end: Micros) {
        while self.cx.model.failure.is_none() {
            let Some(happening) = self.cx.net.next(end) else { return };
            self.events += 1;
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let node = match &happening {
            Happening::Alarm(Alarm::Check) => {
                checks::check(self);
                let pause = SECOND / 4 + self.cx.chance.below(3 * SECOND);
                return self.cx.net.set_alarm(self.cx.net.now() + pause, Alarm::Check);
            }
            Happening::Alarm(Alarm::Act(number)) => return self.act(*number),
            Happening::Alarm(Alarm::Wake(node) | Alarm::Mesh(node, ..)) => *node,
            Happening::Alarm(Alarm::Writable(link, side))
            | Happening::Closed { link, side }
            | Happening::Arrived { link, side, .. } => self.cx.net.node_at(*link, *side),
            Happening::Accept { link } => self.cx.net.node_at(*link, Side::To),
            Happening::Connected { link } => self.cx.net.node_at(*link, Side::From),
            Happening::Datagram { to, .. } => *to,
        };
        match self.cx.net.health(node) {
            Health::Up => self.happen_to(node, happening),
            Health::Frozen => self.deferred.push((node, happening)),
            Health::Dead | Health::Off => {}
        }
    }

    fn happen_to(&mut self, node: NodeId, happening: Happening) {
        let cx = &mut self.cx;
        let group = self.registrars.len();
        let hosts = self.stations.len();
        let at = node.index();
        if let Some(registrar) = self.registrars.get_mut(at) {
            match happening {
                Happening::Alarm(Alarm::Mesh(_, from, to)) => registrar.mesh(cx, from, to),
                Happening::Alarm(Alarm::Writable(link, _)) => registrar.writable(cx, link),
                Happening::Alarm(_) => registrar.ring(cx),
                Happening::Accept { link } => registrar.accept(cx, link),
                Happening::Arrived { link, bytes, .. } => registrar.arrived(cx, link, bytes),
                Happening::Closed { link, .. } => registrar.closed(cx, link),
                Happening::Connected { link } => registrar.connected_by(cx, link),
                Happening::Datagram { from, bytes, .. } => {
                    registrar.multicast_arrived(cx, from, &bytes);
                    cx.net.recycle(bytes);
                }
            }
        } else if let Some(station) = at.checked_sub(group).and_then(|at| self.stations.get_mut(at))
        {
            match happening {
                Happening::Alarm(Alarm::Wake(_)) => station.ring(cx),
                Happening::Alarm(_) => station.settle(cx),
                Happening::Connected { link } => station.connected_by(cx, link),
                Happening::Arrived { link, bytes, .. } => {
                    station.arrived(cx, link, &bytes);
                    cx.net.recycle(bytes);
                }
                Happening::Closed { link, .. } => station.closed(cx, link),
                Happening::Accept { link } => station.called(cx, link),
                Happening::Datagram { .. } => {}
            }
        } else if let Some(user) =
            at.checked_sub(group + hosts).and_then(|at| self.users.get_mut(at))
        {
            match happening {
                Happening::Alarm(Alarm::Wake(_)) => user.ring(cx),
                Happening::Alarm(_) => user.writable(cx),
                Happening::Connected { link } => user.connected_by(cx, link),
                Happening::Arrived { link, bytes, .. } => {
                    user.arrived(cx, link, &bytes);
                    cx.net.recycle(bytes);
                }
                Happening::Closed { link, .. } => user.closed(cx, link),
                Happening::Accept { .. } | Happening::Datagram { .. } => {}
            }
        }
    }

    /// Since when nothing is wrong with and between registrars, if nothing is.
    pub(crate) fn group_quiet(&self) -> Option<Micros> {
        let nodes = || self.registrars.iter().map(|registrar| registrar.node);
        let pairs = nodes().flat_map(|a| nodes().map(move |b| (a, b)));
        pairs
            .map(|(a, b)| self.cx.model.quiet_since(a, b))
            .try_fold(0, |latest, since| since.map(|since| latest.max(since)))
    }

    /// The name of a node.
    pub(crate) fn name(&self, node: NodeId) -> &str {
        let names = self.registrars.iter().map(|it| it.name.as_str());
        let names = names.chain(self.stations.iter().map(|it| it.name.as_str()));
        let mut names = names.chain(self.users.iter().map(|it| it.name.as_str()));
        names.nth(node.index()).unwrap_or("nobody")
    }

    /// Stops a node's process, with everything it has as it is.
    pub(crate) fn freeze(&mut self, node: NodeId) {
        trace!(self.cx, "{} is frozen", self.name(node));
        self.cx.net.fell(node, Health::Frozen);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self, node: NodeId) {
        if self.cx.net.health(node) != Health::Frozen {
            return;
        }
        trace!(self.cx, "{} goes on", self.name(node));
        self.cx.net.fell(node, Health::Up);
        let (now, later) = core::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|(deferred, _)| *deferred == node);
        self.deferred = later;
        if let Some(registrar) = self.registrars.get(node.index()) {
            self.cx.model.heard_again(registrar.index, self.cx.local(node));
        }
        let now: Vec<(NodeId, Happening)> = now;
        for (_, happening) in now {
            self.happen_to(node, happening);
        }
        let cx = &mut self.cx;
        let at = node.index();
        let (group, hosts) = (self.registrars.len(), self.stations.len());
        if let Some(registrar) = self.registrars.get_mut(at) {
            registrar.wake(cx);
        } else if let Some(station) = self.stations.get_mut(at - group) {
            station.wake(cx);
        } else if let Some(user) = self.users.get_mut(at - group - hosts) {
            user.wake(cx);
        }
    }

    /// Ends a node's process, or its whole machine.
    pub(crate) fn kill(&mut self, node: NodeId, health: Health) {
        trace!(self.cx, "{} is {health:?}", self.name(node));
        self.cx.net.fell(node, health);
        self.deferred.retain(|(deferred, _)| *deferred != node);
        let cx = &mut self.cx;
        let at = node.index();
        let (group, hosts) = (self.registrars.len(), self.stations.len());
        if let Some(registrar) = self.registrars.get_mut(at) {
            registrar.died(cx);
        } else if let Some(station) = self.stations.get_mut(at - group) {
            station.died(cx);
        } else if let Some(user) = self.users.get_mut(at - group - hosts) {
            user.died();
        }
    }

    /// Starts it again.
    pub(crate) fn restart(&mut self, node: NodeId, identity: Identity) {
        if !matches!(self.cx.net.health(node), Health::Dead | Health::Off) {
            return;
        }
        self.cx.net.fell(node, Health::Up);
        trace!(self.cx, "{} starts again ({identity:?})", self.name(node));
        let cx = &mut self.cx;
        let at = node.index();
        let (group, hosts) = (self.registrars.len(), self.stations.len());
        if let Some(registrar) = self.registrars.get_mut(at) {
            registrar.restart(cx, identity == Identity::New);
        } else if let Some(station) = self.stations.get_mut(at - group) {
            station.restart(cx, identity);
        } else if let Some(user) = self.users.get_mut(at - group - hosts) {
            user.restart(cx);
        }
    }

    /// Stops a shard of a registrar, or lets it go on.
    pub(crate) fn stall(&mut self, registrar: usize, shard: usize, stalled: bool) {
        let Some(found) = self.registrars.get_mut(registrar) else { return };
        if self.cx.net.health(found.node) == Health::Up {
            if !stalled {
                let local = self.cx.local(found.node);
                self.cx.model.heard_again(registrar, local);
            }
            found.stall(&mut self.cx, shard, stalled);
        }
    }

    /// A link that has both ends.
    pub(crate) fn any_link(&mut self) -> Option<LinkId> {
        let live = self.cx.net.live().to_vec();
        let link = self.cx.chance.pick(&live)?;
        self.cx.net.is_open(link).then_some(link)
    }
}
