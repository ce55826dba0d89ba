//! What goes wrong: each seed draws its own mix, and when which of it begins
//! and ends.

use crate::cluster::Cluster;
use crate::network::{Alarm, Health, LinkId, Micros, NodeId, Side};
use crate::settings::SECOND;
use crate::station::Identity;
use crate::trace::trace;

/// Something that is wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing gets from the one to the other.
    OneWay(NodeId, NodeId),
    /// Nothing gets across in both directions.
    Cut(NodeId, NodeId),
    /// Everything takes longer.
    Slow(NodeId, NodeId, Micros),
    /// A direction of a link stands still.
    Standstill(LinkId, Side),
    /// A node's process is stopped.
    Frozen(NodeId),
    /// A node's process or machine is gone.
    Gone(NodeId, Health, Identity),
    /// A shard does nothing.
    Stalled(usize, usize),
}

/// The kinds of faults a seed chooses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OneWay,
    Cut,
    /// Some nodes are cut off from all others.
    Partition,
    Slow,
    Standstill,
    Break,
    Frozen,
    StationGone,
    RegistrarGone,
    Stalled,
    UserGone,
}

const KINDS: [Kind; 11] = [
    Kind::OneWay,
    Kind::Cut,
    Kind::Partition,
    Kind::Slow,
    Kind::Standstill,
    Kind::Break,
    Kind::Frozen,
    Kind::StationGone,
    Kind::RegistrarGone,
    Kind::Stalled,
    Kind::UserGone,
];

/// The faults of a run.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    kinds: Vec<Kind>,
    /// Between two faults, on average.
    pause: Micros,
    /// The longest a fault lasts.
    longest: Micros,
    /// Those that are there; the number is that of the alarm that ends it.
    active: Vec<(u32, Fault)>,
    count: u32,
    /// Faults so far.
    pub(crate) total: u64,
}

/// The number of the alarm that begins the next fault.
const NEXT: u32 = 0;

impl Cluster {
    /// Draws the mix of faults.
    pub(crate) fn draw_faults(&mut self) {
        let chance = &mut self.cx.chance;
        let share = chance.between(1, 5);
        let kinds = KINDS.into_iter().filter(|_| chance.below(6) <= share);
        self.faults.kinds = kinds.collect();
        self.faults.pause = [SECOND / 2, 2 * SECOND, 5 * SECOND, 15 * SECOND][chance.index(4)];
        self.faults.longest = [SECOND, 5 * SECOND, 20 * SECOND, 40 * SECOND][chance.index(4)];
    }

    /// Faults begin.
    pub(crate) fn unleash(&mut self) {
        self.cx.calm = false;
        trace!(self.cx, "faults begin: {:?}", self.faults.kinds);
        self.plan_next();
        // Who waits for the calm to end has no alarm.
        for station in &mut self.stations {
            station.settle(&mut self.cx);
        }
    }

    fn plan_next(&mut self) {
        let wait = self.cx.chance.below(2 * self.faults.pause + 1);
        self.cx.net.set_alarm(self.cx.net.now() + wait, Alarm::Act(NEXT));
    }

    /// All faults end.
    pub(crate) fn heal(&mut self) {
        trace!(self.cx, "all faults end");
        self.cx.calm = true;
        while let Some((number, _)) = self.faults.active.first().copied() {
            self.act(number);
        }
    }

    /// A fault begins or ends.
    pub(crate) fn act(&mut self, number: u32) {
        if number == NEXT {
            if !self.cx.calm {
                self.strike();
                self.plan_next();
            }
            return;
        }
        let active = &mut self.faults.active;
        let Some(at) = active.iter().position(|&(other, _)| other == number) else { return };
        let (_, fault) = active.swap_remove(at);
        self.end(fault);
    }

    fn any_node(&mut self) -> NodeId {
        let nodes = self.registrars.len() + self.stations.len() + self.users.len();
        NodeId(u16::try_from(self.cx.chance.index(nodes)).unwrap_or(0))
    }

    /// A registrar and another node.
    fn any_path(&mut self) -> Option<(NodeId, NodeId)> {
        let registrar = self.cx.chance.index(self.registrars.len());
        let a = self.registrars.get(registrar)?.node;
        let b = self.any_node();
        if a == b {
            return None;
        }
        Some(if self.cx.chance.one_in(2) { (a, b) } else { (b, a) })
    }

    fn strike(&mut self) {
        let kinds = core::mem::take(&mut self.faults.kinds);
        let kind = self.cx.chance.pick(&kinds);
        self.faults.kinds = kinds;
        let Some(kind) = kind else { return };
        let last = self.cx.chance.between(SECOND / 100, self.faults.longest);
        let fault = match kind {
            Kind::OneWay => self.any_path().map(|(a, b)| Fault::OneWay(a, b)),
            Kind::Cut => self.any_path().map(|(a, b)| Fault::Cut(a, b)),
            Kind::Partition => return self.partition(last),
            Kind::Slow => {
                let slow = self.cx.chance.between(SECOND / 20, 2 * SECOND);
                self.any_path().map(|(a, b)| Fault::Slow(a, b, slow))
            }
            Kind::Standstill => {
                let side = if self.cx.chance.one_in(2) { Side::From } else { Side::To };
                self.any_link().map(|link| Fault::Standstill(link, side))
            }
            Kind::Break => return self.break_any_link(),
            Kind::Frozen => Some(Fault::Frozen(self.any_node())),
            Kind::StationGone | Kind::RegistrarGone | Kind::UserGone => self.any_death(kind),
            Kind::Stalled => {
                let registrar = self.cx.chance.index(self.registrars.len());
                let shards = self.cx.settings.shards;
                let shard = self.cx.chance.index(usize::from(shards));
                Some(Fault::Stalled(registrar, shard))
            }
        };
        if let Some(fault) = fault {
            self.strike_with(fault, last);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only deaths are asked for")]
    fn any_death(&mut self, kind: Kind) -> Option<Fault> {
        let group = self.registrars.len();
        let (first, count) = match kind {
            Kind::RegistrarGone => (0, group),
            Kind::StationGone => (group, self.stations.len()),
            _ => (group + self.stations.len(), self.users.len()),
        };
        if count == 0 {
            return None;
        }
        let node = NodeId(u16::try_from(first + self.cx.chance.index(count)).ok()?);
        let health = if self.cx.chance.one_in(2) { Health::Dead } else { Health::Off };
        let identity = if self.cx.chance.one_in(2) { Identity::Kept } else { Identity::New };
        Some(Fault::Gone(node, health, identity))
    }

    fn partition(&mut self, last: Micros) {
        let nodes = self.registrars.len() + self.stations.len() + self.users.len();
        let sides = self.cx.chance.number();
        let all = || (0..nodes).map(|node| NodeId(u16::try_from(node).unwrap_or(0)));
        for a in all() {
            for b in all().filter(|&b| b > a) {
                let apart = (sides >> (a.0 % 64) ^ sides >> (b.0 % 64)) & 1 == 1;
                if apart {
                    self.strike_with(Fault::Cut(a, b), last);
                }
            }
        }
    }

    fn break_any_link(&mut self) {
        let Some(link) = self.any_link() else { return };
        let a = self.cx.net.node_at(link, Side::From);
        let b = self.cx.net.node_at(link, Side::To);
        trace!(self.cx, "the link of {} and {} breaks", self.name(a), self.name(b));
        self.faults.total += 1;
        self.cx.net.break_link(link);
        self.cx.model.trouble(a, b);
        self.cx.model.relief(self.cx.net.now() + SECOND / 10, a, b);
    }

    /// A fault begins, and ends after `last`.
    fn strike_with(&mut self, fault: Fault, last: Micros) {
        if self.begin_fault(fault) {
            let number = self.faults.count;
            self.cx.net.set_alarm(self.cx.net.now() + last, Alarm::Act(number));
        }
    }

    /// Whom a fault is about.
    fn parties(&self, fault: Fault) -> (NodeId, NodeId) {
        match fault {
            Fault::OneWay(a, b) | Fault::Cut(a, b) | Fault::Slow(a, b, _) => (a, b),
            Fault::Standstill(link, _) => {
                (self.cx.net.node_at(link, Side::From), self.cx.net.node_at(link, Side::To))
            }
            Fault::Frozen(node) | Fault::Gone(node, ..) => (node, node),
            Fault::Stalled(registrar, _) => {
                let node = self.cx.registrar_node(registrar);
                (node, node)
            }
        }
    }

    /// A fault begins, unless another of the same nodes is there.
    pub(crate) fn begin_fault(&mut self, fault: Fault) -> bool {
        let (a, b) = self.parties(fault);
        let same = |other: Fault| {
            let (c, d) = self.parties(other);
            (c, d) == (a, b) || (d, c) == (a, b)
        };
        if self.faults.active.iter().any(|&(_, other)| same(other)) {
            return false;
        }
        if a == b && self.cx.net.health(a) != Health::Up {
            return false;
        }
        self.faults.total += 1;
        self.faults.count += 1;
        self.faults.active.push((self.faults.count, fault));
        self.cx.model.trouble(a, b);
        trace!(self.cx, "{} and {} suffer {fault:?}", self.name(a), self.name(b));
        match fault {
            Fault::OneWay(from, to) => self.cx.net.cut(from, to, true),
            Fault::Cut(a, b) => {
                self.cx.net.cut(a, b, true);
                self.cx.net.cut(b, a, true);
            }
            Fault::Slow(a, b, slow) => {
                self.cx.net.slow(a, b, slow);
                self.cx.net.slow(b, a, slow);
            }
            Fault::Standstill(link, side) => self.cx.net.stall(link, side, true),
            Fault::Frozen(node) => self.freeze(node),
            Fault::Gone(node, health, _) => self.kill(node, health),
            Fault::Stalled(registrar, shard) => self.stall(registrar, shard, true),
        }
        true
    }

    /// Whether a node that is gone comes back as who it was.
    pub(crate) fn set_identity(&mut self, node: NodeId, identity: Identity) {
        for (_, fault) in &mut self.faults.active {
            if let Fault::Gone(other, _, kept) = fault
                && *other == node
            {
                *kept = identity;
            }
        }
    }

    /// A fault ends that began.
    pub(crate) fn end_fault(&mut self, wanted: impl Fn(Fault) -> bool) -> bool {
        let active = &mut self.faults.active;
        let Some(at) = active.iter().position(|&(_, fault)| wanted(fault)) else { return false };
        let (_, fault) = active.remove(at);
        self.end(fault);
        true
    }

    fn end(&mut self, fault: Fault) {
        let (a, b) = self.parties(fault);
        trace!(self.cx, "{} and {} no longer suffer {fault:?}", self.name(a), self.name(b));
        match fault {
            Fault::OneWay(from, to) => self.cx.net.cut(from, to, false),
            Fault::Cut(a, b) => {
                self.cx.net.cut(a, b, false);
                self.cx.net.cut(b, a, false);
            }
            Fault::Slow(a, b, _) => {
                self.cx.net.slow(a, b, 0);
                self.cx.net.slow(b, a, 0);
            }
            Fault::Standstill(link, side) => self.cx.net.stall(link, side, false),
            Fault::Frozen(node) => self.thaw(node),
            Fault::Gone(node, _, identity) => self.restart(node, identity),
            Fault::Stalled(registrar, shard) => self.stall(registrar, shard, false),
        }
        // What was sent while a path was slow is still on its way.
        let after = if let Fault::Slow(_, _, slow) = fault { slow } else { 0 };
        self.cx.model.relief(self.cx.net.now() + after, a, b);
    }
}
