//! The network between the nodes: paths that are cut and slow, associations
//! that are ordered and reliable until they break, as those of SCTP and TCP,
//! and datagrams that are none of that. It also is the only queue of events.

mod link;
mod queue;

use link::{Link, Packet};
pub(crate) use link::{LinkId, Side};
pub(crate) use queue::Alarm;
use queue::{Event, Queue};

use crate::chance::Chance;

/// Microseconds.
pub(crate) type Micros = u64;

/// The longest a connection attempt takes.
const CONNECT_TIMEOUT: Micros = 3_000_000;
/// More bytes than this on their way in one direction of a link: its sender
/// has to wait.
const WINDOW: usize = 32 << 10;

/// A node: registrar, pool elements' host or pool user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u16);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It works.
    Up,
    /// Its process is stopped. Its kernel takes what arrives, up to a window.
    Frozen,
    /// Its process is gone. Its kernel refuses connections.
    Dead,
    /// The whole machine is gone: nothing answers.
    Off,
}

/// What happens to a node next.
#[derive(Debug)]
pub(crate) enum Happening {
    /// An alarm that was set rings.
    Alarm(Alarm),
    /// Somebody connects.
    Accept { link: LinkId },
    /// The connection is there.
    Connected { link: LinkId },
    /// Whole messages arrived.
    Arrived { link: LinkId, side: Side, bytes: Vec<u8> },
    /// The link is gone, or never was there.
    Closed { link: LinkId, side: Side },
    /// A datagram arrived.
    Datagram { from: NodeId, to: NodeId, bytes: Vec<u8> },
}

/// The way from one node to another.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    delay: Micros,
    jitter: Micros,
    /// What a slow path takes beyond that.
    slow: Micros,
    cut: bool,
}

/// What befalls datagrams, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) dropped: u64,
    pub(crate) doubled: u64,
    /// Held up by as much as a second, and so overtaken.
    pub(crate) late: u64,
}

/// The network.
#[derive(Debug)]
pub(crate) struct Network {
    now: Micros,
    queue: Queue,
    nodes: Vec<Health>,
    paths: Vec<Path>,
    links: Vec<Link>,
    /// Links that have an end yet.
    live: Vec<LinkId>,
    datagrams: Vec<Option<(NodeId, NodeId, Vec<u8>)>>,
    vacant: Vec<u32>,
    buffers: Vec<Vec<u8>>,
    chance: Chance,
    pub(crate) weather: Weather,
    /// The range of the time after which a link breaks that gets nothing
    /// across.
    pub(crate) patience: (Micros, Micros),
    /// Links ever made.
    pub(crate) connections: u64,
}

impl Network {
    /// `nodes` nodes, each `delay` plus up to `jitter` away from the others.
    pub(crate) fn new(nodes: usize, delay: Micros, jitter: Micros, chance: Chance) -> Self {
        let path = Path { delay, jitter, ..Path::default() };
        Self {
            now: 0,
            queue: Queue::default(),
            nodes: vec![Health::Up; nodes],
            paths: vec![path; nodes * nodes],
            links: Vec::new(),
            live: Vec::new(),
            datagrams: Vec::new(),
            vacant: Vec::new(),
            buffers: Vec::new(),
            chance,
            weather: Weather::default(),
            patience: (4_000_000, 12_000_000),
            connections: 0,
        }
    }

    /// True time.
    pub(crate) const fn now(&self) -> Micros {
        self.now
    }

    /// An empty buffer.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Takes back a buffer.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && self.buffers.len() < 64 {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Sets an alarm; it cannot be taken back.
    pub(crate) fn set_alarm(&mut self, at: Micros, alarm: Alarm) {
        self.queue.push(at.max(self.now), Event::Alarm(alarm));
    }

    fn path(&self, from: NodeId, to: NodeId) -> Path {
        self.paths.get(from.index() * self.nodes.len() + to.index()).copied().unwrap_or_default()
    }

    fn path_mut(&mut self, from: NodeId, to: NodeId) -> Option<&mut Path> {
        let nodes = self.nodes.len();
        self.paths.get_mut(from.index() * nodes + to.index())
    }

    /// How a node is.
    pub(crate) fn health(&self, node: NodeId) -> Health {
        self.nodes.get(node.index()).copied().unwrap_or(Health::Off)
    }

    /// Whether a node can get something to another now.
    pub(crate) fn reaches(&self, from: NodeId, to: NodeId) -> bool {
        !self.path(from, to).cut && self.health(to) != Health::Off
    }

    /// Whether two nodes can have a link: both ways work.
    pub(crate) fn is_whole(&self, a: NodeId, b: NodeId) -> bool {
        self.reaches(a, b) && self.reaches(b, a)
    }

    fn delay(&mut self, from: NodeId, to: NodeId) -> Micros {
        let path = self.path(from, to);
        path.delay + path.slow + self.chance.below(path.jitter + 1)
    }

    fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(id.index())
    }

    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(id.index())
    }

    /// The node at an end of a link.
    pub(crate) fn node_at(&self, id: LinkId, side: Side) -> NodeId {
        self.link(id).map_or(NodeId(u16::MAX), |link| link.node(side))
    }

    /// Whether both ends of a link are there.
    pub(crate) fn is_open(&self, id: LinkId) -> bool {
        self.link(id).is_some_and(|link| link.is_open(Side::From) && link.is_open(Side::To))
    }

    /// Whether an end of a link is there.
    pub(crate) fn is_up(&self, id: LinkId, side: Side) -> bool {
        self.link(id).is_some_and(|link| link.is_open(side))
    }

    /// Begins to connect. [`Happening::Connected`] or [`Happening::Closed`]
    /// tells how it ended.
    pub(crate) fn connect(&mut self, from: NodeId, to: NodeId) -> LinkId {
        let id = LinkId::new(self.links.len());
        let (shortest, longest) = self.patience;
        let patience = self.chance.between(shortest, longest);
        self.links.push(Link::new(from, to, patience));
        self.live.push(id);
        self.connections += 1;
        let at = self.now + self.delay(from, to);
        self.queue.push(at, Event::Syn(id));
        self.queue.push(self.now + CONNECT_TIMEOUT, Event::ConnectTimeout(id));
        id
    }

    /// Whether more may be sent.
    pub(crate) fn has_room(&mut self, id: LinkId, side: Side) -> bool {
        let Some(link) = self.link_mut(id) else { return true };
        let direction = link.direction_mut(side);
        direction.wanted = direction.bytes > WINDOW;
        !direction.wanted
    }

    /// Sends whole messages. To a link that is gone they are lost.
    pub(crate) fn send(&mut self, id: LinkId, side: Side, bytes: Vec<u8>) {
        let Some(link) = self.link(id) else { return };
        if !link.is_open(side) {
            return self.recycle(bytes);
        }
        let (from, to) = (link.node(side), link.node(side.other()));
        let ready = self.now + self.delay(from, to);
        if let Some(link) = self.link_mut(id) {
            link.direction_mut(side).push(ready, Packet::Data(bytes));
        }
        self.pump(id, side);
    }

    /// Closes a link in good order: what was sent before still arrives.
    pub(crate) fn close(&mut self, id: LinkId, side: Side) {
        let Some(link) = self.link_mut(id) else { return };
        if !link.is_open(side) {
            return;
        }
        link.leave(side);
        let (from, to) = (link.node(side), link.node(side.other()));
        let ready = self.now + self.delay(from, to);
        if let Some(link) = self.link_mut(id) {
            link.direction_mut(side).push(ready, Packet::End);
        }
        self.pump(id, side);
        self.watch(id);
    }

    /// Breaks a link as an aborting end does: nothing more arrives.
    pub(crate) fn abort(&mut self, id: LinkId, side: Side) {
        let Some(link) = self.link_mut(id) else { return };
        link.leave(side);
        link.lose(side);
        self.tell_other_end(id, side);
    }

    /// An end is gone: the other hears of it soon if it can, and else finds
    /// out by itself.
    fn tell_other_end(&mut self, id: LinkId, gone: Side) {
        let Some(link) = self.link(id) else { return };
        if !link.is_open(gone.other()) {
            return;
        }
        let (from, to) = (link.node(gone), link.node(gone.other()));
        if self.reaches(from, to) && self.health(from) != Health::Off {
            let at = self.now + self.delay(from, to);
            self.queue.push(at, Event::Reset(id, gone.other()));
        } else {
            self.watch(id);
        }
    }

    /// Sends a datagram. It may come twice, late, or not at all.
    pub(crate) fn datagram(&mut self, from: NodeId, to: NodeId, bytes: &[u8]) {
        if self.chance.below(100) < self.weather.dropped || !self.reaches(from, to) {
            return;
        }
        let copies = 1 + u64::from(self.chance.below(100) < self.weather.doubled);
        for _ in 0..copies {
            let mut at = self.now + self.delay(from, to);
            if self.chance.below(100) < self.weather.late {
                at += self.chance.below(1_000_000);
            }
            let mut copy = self.buffer();
            copy.extend_from_slice(bytes);
            let datagram = Some((from, to, copy));
            let place = match self.vacant.pop() {
                Some(place) => {
                    if let Some(slot) = self.datagrams.get_mut(place as usize) {
                        *slot = datagram;
                    }
                    place
                }
                None => {
                    self.datagrams.push(datagram);
                    u32::try_from(self.datagrams.len() - 1).unwrap_or(u32::MAX)
                }
            };
            self.queue.push(at, Event::Datagram(place));
        }
    }

    /// Makes the front of a direction arrive when it is due, if it can.
    fn pump(&mut self, id: LinkId, side: Side) {
        let Some(link) = self.link(id) else { return };
        let (from, to) = (link.node(side), link.node(side.other()));
        let direction = link.direction(side);
        if direction.due || direction.stalled || direction.severed || !self.reaches(from, to) {
            return;
        }
        if matches!(self.health(to), Health::Frozen | Health::Off) {
            return;
        }
        let Some(ready) = direction.front() else { return };
        if let Some(link) = self.link_mut(id) {
            link.direction_mut(side).due = true;
        }
        self.queue.push(ready.max(self.now), Event::Deliver(id, side));
    }

    /// The next thing that happens, if it is before `end`. Otherwise it is
    /// `end` now.
    pub(crate) fn next(&mut self, end: Micros) -> Option<Happening> {
        while let Some((at, event)) = self.queue.pop(end) {
            self.now = at;
            if let Some(happening) = self.happen(event) {
                return Some(happening);
            }
        }
        self.now = end;
        None
    }

    fn happen(&mut self, event: Event) -> Option<Happening> {
        match event {
            Event::Alarm(alarm) => Some(Happening::Alarm(alarm)),
            Event::Deliver(id, side) => self.deliver(id, side),
            Event::Syn(id) => self.syn(id),
            Event::SynAck(id) => self.syn_ack(id),
            Event::ConnectTimeout(id) => {
                let link = self.link_mut(id)?;
                link.is_connecting().then(|| link.leave(Side::From))?;
                self.tell_other_end(id, Side::From);
                Some(Happening::Closed { link: id, side: Side::From })
            }
            Event::Reset(id, side) => {
                let (near, far) = (self.node_at(id, side), self.node_at(id, side.other()));
                let severed = self.link(id)?.direction(side).severed;
                if severed || self.reaches(far, near) { self.broken(id, side) } else { None }
            }
            Event::Impatient(id, side, trouble) => {
                let link = self.link(id)?;
                if link.trouble() == Some(trouble) { self.broken(id, side) } else { None }
            }
            Event::Datagram(place) => {
                let (from, to, bytes) = self.datagrams.get_mut(place as usize)?.take()?;
                self.vacant.push(place);
                let arrives = self.health(to) == Health::Up;
                arrives.then_some(Happening::Datagram { from, to, bytes })
            }
        }
    }

    fn syn(&mut self, id: LinkId) -> Option<Happening> {
        let link = self.link(id)?;
        let (from, to) = (link.node(Side::From), link.node(Side::To));
        if !link.is_connecting() || !self.is_whole(from, to) {
            return None;
        }
        let at = self.now + self.delay(to, from);
        if self.health(to) == Health::Dead {
            self.queue.push(at, Event::Reset(id, Side::From));
            return None;
        }
        self.link_mut(id)?.accept();
        self.queue.push(at, Event::SynAck(id));
        Some(Happening::Accept { link: id })
    }

    fn syn_ack(&mut self, id: LinkId) -> Option<Happening> {
        let link = self.link(id)?;
        let (from, to) = (link.node(Side::From), link.node(Side::To));
        if !link.is_connecting() || !self.reaches(to, from) || self.health(from) != Health::Up {
            return None;
        }
        self.link_mut(id)?.establish();
        self.pump(id, Side::To);
        Some(Happening::Connected { link: id })
    }

    fn deliver(&mut self, id: LinkId, side: Side) -> Option<Happening> {
        let link = self.link_mut(id)?;
        let (from, to) = (link.node(side), link.node(side.other()));
        link.direction_mut(side).due = false;
        let is_open = link.is_open(side.other());
        let direction = link.direction(side);
        let is_stopped = direction.stalled || direction.severed || link.is_connecting();
        if is_stopped || !self.reaches(from, to) || self.health(to) == Health::Frozen {
            return None;
        }
        let direction = self.link_mut(id)?.direction_mut(side);
        let packet = direction.pop()?;
        let writable = direction.wanted && direction.bytes <= WINDOW / 2;
        direction.wanted &= !writable;
        if writable {
            self.queue.push(self.now, Event::Alarm(Alarm::Writable(id, side)));
        }
        self.pump(id, side);
        match packet {
            Packet::Data(bytes) if is_open => {
                Some(Happening::Arrived { link: id, side: side.other(), bytes })
            }
            Packet::Data(bytes) => {
                self.recycle(bytes);
                // An end that is gone says so.
                self.tell_other_end(id, side.other());
                None
            }
            Packet::End => self.broken(id, side.other()),
        }
    }

    /// An end finds that the link is gone.
    fn broken(&mut self, id: LinkId, side: Side) -> Option<Happening> {
        let link = self.link_mut(id)?;
        let is_there = link.is_open(side) || (side == Side::From && link.is_connecting());
        if !is_there {
            return None;
        }
        link.leave(side);
        link.lose(side);
        self.tell_other_end(id, side);
        Some(Happening::Closed { link: id, side })
    }
}

/// Faults.
impl Network {
    /// Links that have an end yet.
    pub(crate) fn live(&mut self) -> &[LinkId] {
        let links = &self.links;
        self.live.retain(|id| links.get(id.index()).is_some_and(|link| !link.is_gone()));
        &self.live
    }

    fn live_between(&mut self, touches: impl Fn(&Link) -> bool) -> Vec<LinkId> {
        let all = self.live().to_vec();
        all.into_iter().filter(|&id| self.link(id).is_some_and(&touches)).collect()
    }

    /// Looks whether a link gets anything across, and lets its ends lose
    /// patience if not.
    fn watch(&mut self, id: LinkId) {
        let Some(link) = self.link(id) else { return };
        let is_whole = self.is_whole(link.node(Side::From), link.node(Side::To));
        let stuck = !is_whole;
        let half = link.is_open(Side::From) != link.is_open(Side::To);
        let patience = link.patience();
        let Some(link) = self.link_mut(id) else { return };
        if stuck && link.trouble().is_none() {
            let trouble = link.enter_trouble();
            for side in [Side::From, Side::To] {
                let at = self.now + patience + self.chance.below(patience / 4 + 1);
                self.queue.push(at, Event::Impatient(id, side, trouble));
            }
        } else if !stuck {
            link.leave_trouble();
            let ended = |side: Side| link.direction(side).is_ending();
            if half && !ended(Side::From) && !ended(Side::To) {
                let gone = if link.is_open(Side::From) { Side::To } else { Side::From };
                self.tell_other_end(id, gone);
            }
            self.pump(id, Side::From);
            self.pump(id, Side::To);
        }
    }

    /// Cuts or mends the way from one node to another.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId, cut: bool) {
        let Some(path) = self.path_mut(from, to) else { return };
        if path.cut == cut {
            return;
        }
        path.cut = cut;
        for id in self.live_between(|link| link.is_between(from, to)) {
            self.watch(id);
        }
    }

    /// Makes a path slower by `slow`, or as it was with 0.
    pub(crate) fn slow(&mut self, from: NodeId, to: NodeId, slow: Micros) {
        if let Some(path) = self.path_mut(from, to) {
            path.slow = slow;
        }
    }

    /// Stops one direction of a link, or lets it go on, with nobody noticing.
    pub(crate) fn stall(&mut self, id: LinkId, side: Side, stalled: bool) {
        if let Some(link) = self.link_mut(id) {
            link.direction_mut(side).stalled = stalled;
        }
        self.pump(id, side);
    }

    /// Breaks a link without a reason; both ends find out.
    pub(crate) fn break_link(&mut self, id: LinkId) {
        let Some(link) = self.link_mut(id) else { return };
        for side in [Side::From, Side::To] {
            link.lose(side);
            link.direction_mut(side).severed = true;
        }
        for side in [Side::From, Side::To] {
            let at = self.now + self.chance.below(50_000);
            self.queue.push(at, Event::Reset(id, side));
        }
    }

    /// Changes how a node is. The links of one that dies are gone on its side.
    pub(crate) fn fell(&mut self, node: NodeId, health: Health) {
        let Some(now) = self.nodes.get_mut(node.index()) else { return };
        let before = core::mem::replace(now, health);
        for id in self.live_between(|link| link.touches(node)) {
            let Some(link) = self.link_mut(id) else { continue };
            let side = if link.node(Side::From) == node { Side::From } else { Side::To };
            if matches!(health, Health::Dead | Health::Off) && before != health {
                let was_open = link.is_open(side);
                link.leave(side);
                if health == Health::Off {
                    link.lose(side);
                }
                if was_open && health == Health::Dead {
                    self.tell_other_end(id, side);
                }
            }
            self.watch(id);
        }
    }
}
