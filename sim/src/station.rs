//! A host of pool elements: one association with a registrar, which all of
//! its elements share, and the hunt for another registrar.

use std::collections::VecDeque;

use rserpool_engine::{Policy, PoolHandle, Timestamp};
use rserpool_proto::element::{self, PoolElement, Progress, Service};
use rserpool_proto::endpoint::{self, Conversation, Event, Request};

use crate::cluster::Cx;
use crate::ledger::{Asked, Ledger};
use crate::messages::Messages;
use crate::model::{ElementNo, Standing};
use crate::network::{LinkId, Micros, NodeId, Side};
use crate::settings::{SECOND, StationSettings, draw_policy};
use crate::trace::trace;

/// Calls of registrars it keeps.
const CALLS_MAX: usize = 8;

/// Where its association stands.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a host")]
enum Link {
    /// It tries to connect at this time.
    Waits(Micros),
    Connecting(LinkId, usize),
    Up {
        link: LinkId,
        registrar: usize,
        side: Side,
        conversation: Conversation,
        ledger: Ledger,
    },
}

/// An element of a station.
#[derive(Debug)]
struct Member {
    number: ElementNo,
    machine: PoolElement,
    /// When it changes its mind next.
    moves: Option<Micros>,
}

/// A host of pool elements.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    settings: StationSettings,
    request_timeout: core::time::Duration,
    churn: bool,
    /// Registrars it knows of, the next to try first.
    known: VecDeque<usize>,
    link: Link,
    members: Vec<Member>,
    /// Associations that registrars opened to call its elements.
    calls: Vec<(LinkId, Conversation)>,
    /// Failed attempts since it last was registered.
    attempts: u32,
    /// When its earliest alarm rings.
    alarm: Option<Micros>,
}

impl Station {
    pub(crate) fn new(
        cx: &mut Cx,
        node: NodeId,
        name: String,
        settings: StationSettings,
        known: VecDeque<usize>,
    ) -> Self {
        let mut station = Self {
            node,
            name,
            settings,
            request_timeout: cx.settings.request_timeout,
            churn: cx.settings.churn,
            known,
            link: Link::Waits(cx.settings.element_start + cx.chance.below(SECOND / 2)),
            members: Vec::new(),
            calls: Vec::new(),
            attempts: 0,
            alarm: None,
        };
        if let Some(first) = station.settings.first {
            station.prefer(first);
        }
        station.populate(cx);
        station
    }

    /// Makes this registrar the next one to try.
    fn prefer(&mut self, registrar: usize) {
        self.known.retain(|&known| known != registrar);
        self.known.push_front(registrar);
    }

    /// Gets its elements, with identifiers nobody had before.
    fn populate(&mut self, cx: &mut Cx) {
        for pool in self.settings.elements.clone() {
            let Some(kind) = cx.model.pools.get(pool).map(|pool| pool.kind) else { continue };
            let policy = draw_policy(kind, &mut cx.chance);
            let number = cx.model.add(pool, self.node, self.settings.life, policy);
            let moves = self.churn.then(|| cx.net.now() + cx.chance.below(30 * SECOND));
            if let Some(machine) = self.machine(cx, number, policy) {
                self.members.push(Member { number, machine, moves });
            }
        }
    }

    fn machine(&self, cx: &Cx, number: ElementNo, policy: Policy) -> Option<PoolElement> {
        let known = cx.model.get(number)?;
        let handle = cx.model.pools.get(known.pool)?.name.as_bytes();
        let config = element::Config {
            life: known.life,
            reregistration_interval: self.settings.interval,
            ..element::Config::default()
        };
        let address = [crate::registrar::address(self.node)];
        let transport = rserpool_codec::Transport::sctp(
            7000,
            rserpool_engine::ChannelUse::DataAndControl,
            rserpool_codec::Addresses::List(&address),
        );
        let service = Service::from(&transport);
        let token = number.0 as u64;
        Some(PoolElement::new(config, token, PoolHandle::new(handle), known.pe, service, policy))
    }

    /// The numbers of its elements.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = ElementNo> + '_ {
        self.members.iter().map(|member| member.number)
    }

    /// The registrar it is connected with, and the link.
    pub(crate) const fn connected(&self) -> Option<(usize, LinkId)> {
        match self.link {
            Link::Up { registrar, link, .. } => Some((registrar, link)),
            Link::Waits(_) | Link::Connecting(..) => None,
        }
    }

    /// An alarm rang; one that was set before a later one means nothing.
    pub(crate) fn ring(&mut self, cx: &mut Cx) {
        if self.alarm.is_some_and(|alarm| alarm <= cx.net.now()) {
            self.wake(cx);
        }
    }

    /// Does what is due, and sets the next alarm.
    pub(crate) fn wake(&mut self, cx: &mut Cx) {
        let now = cx.net.now();
        self.alarm = None;
        if matches!(self.link, Link::Waits(until) if until <= now) {
            self.connect(cx);
        }
        let local = cx.local(self.node);
        for at in 0..self.members.len() {
            self.live(cx, local, at);
        }
        self.give_up(cx, local);
        self.settle(cx);
    }

    fn connect(&mut self, cx: &mut Cx) {
        let Some(registrar) = self.known.front().copied() else { return };
        if self.settings.hunts {
            self.known.rotate_left(1);
        }
        let link = cx.net.connect(self.node, cx.registrar_node(registrar));
        self.link = Link::Connecting(link, registrar);
    }

    /// What an element does by itself: registers again in time, and, if the
    /// run has churn, changes, leaves and comes back.
    fn live(&mut self, cx: &mut Cx, local: Timestamp, at: usize) {
        let Link::Up { conversation, ledger, .. } = &mut self.link else { return };
        let Some(member) = self.members.get_mut(at) else { return };
        let now = cx.net.now();
        let before = conversation.output().len();
        let _ = member.machine.handle_timeout(local, conversation);
        if member.moves.is_some_and(|moves| moves <= now) && !cx.calm {
            member.moves = Some(now + SECOND + cx.chance.below(40 * SECOND));
            let wanted = cx.model.get(member.number).is_some_and(|known| known.wanted);
            match cx.chance.below(4) {
                0 if wanted && member.machine.is_registered() => {
                    let _ = member.machine.deregister(local, conversation);
                    set_wanted(cx, member.number, false);
                }
                _ if wanted => {
                    let kind = member.machine.policy().kind();
                    let policy = draw_policy(kind, &mut cx.chance);
                    let _ = member.machine.update(local, conversation, policy);
                }
                _ => {
                    set_wanted(cx, member.number, true);
                    let _ = member.machine.register(local, conversation);
                }
            }
        }
        if conversation.output().len() > before {
            ledger.note_all(cx, conversation.output(), before, &[member.number]);
        }
    }

    /// Gives up requests that are overdue.
    fn give_up(&mut self, cx: &mut Cx, local: Timestamp) {
        let Link::Up { conversation, registrar, ledger, link, .. } = &mut self.link else { return };
        let (registrar, link) = (*registrar, *link);
        let mut unanswered = false;
        while let Some(timed_out) = conversation.handle_timeout(local) {
            unanswered = true;
            for member in &mut self.members {
                let _ = member.machine.timed_out(timed_out);
            }
            trace!(cx, "{}: no answer to a {:?}", self.name, timed_out.request);
            ledger.overdue(cx, &self.name, self.node, registrar, link);
        }
        if unanswered {
            self.hunt(cx);
        }
    }

    /// Leaves its registrar, for another one.
    pub(crate) fn hunt(&mut self, cx: &mut Cx) {
        if let Link::Up { link, side, .. } = self.link {
            cx.net.abort(link, side);
        }
        self.lost(cx);
    }

    fn lost(&mut self, cx: &mut Cx) {
        for member in &mut self.members {
            member.machine.disconnected();
        }
        self.attempts += 1;
        let wait = (SECOND / 10) << self.attempts.min(4);
        self.link = Link::Waits(cx.net.now() + wait / 2 + cx.chance.below(wait));
    }

    /// The connection it asked for is there.
    pub(crate) fn connected_by(&mut self, cx: &mut Cx, link: LinkId) {
        let Link::Connecting(expected, registrar) = self.link else { return };
        if expected != link {
            return;
        }
        self.up(cx, link, registrar, Side::From);
        self.settle(cx);
    }

    /// Registers everything over a new link.
    fn up(&mut self, cx: &mut Cx, link: LinkId, registrar: usize, side: Side) {
        trace!(cx, "{} is connected with R{}", self.name, registrar + 1);
        let timeout = self.request_timeout;
        let mut conversation = Conversation::new(endpoint::Config {
            resolution_timeout: timeout,
            registration_timeout: timeout,
            deregistration_timeout: timeout,
            ..endpoint::Config::default()
        });
        let local = cx.local(self.node);
        let mut ledger = Ledger::default();
        for member in &mut self.members {
            member.machine.disconnected();
            if cx.model.get(member.number).is_some_and(|known| known.wanted) {
                let before = conversation.output().len();
                let _ = member.machine.register(local, &mut conversation);
                ledger.note_all(cx, conversation.output(), before, &[member.number]);
            }
        }
        self.link = Link::Up { link, registrar, side, conversation, ledger };
    }

    /// A registrar opened an association.
    pub(crate) fn called(&mut self, cx: &mut Cx, link: LinkId) {
        if self.calls.len() >= CALLS_MAX {
            let (oldest, _) = self.calls.remove(0);
            cx.net.close(oldest, Side::To);
        }
        self.calls.push((link, Conversation::new(endpoint::Config::default())));
    }

    /// A registrar that took over called. Its elements go with it.
    fn call_arrived(&mut self, cx: &mut Cx, at: usize, bytes: &[u8]) {
        let local = cx.local(self.node);
        let mut moves = false;
        let Some((link, conversation)) = self.calls.get_mut(at) else { return };
        let link = *link;
        for message in Messages(bytes) {
            let event = conversation.receive(local, message);
            trace!(cx, "{} <- a call: {event:?}", self.name);
            // What else comes is for an association that was left: a notice
            // that a life is over there would make the element register there,
            // over a call that nobody waits for answers on.
            if !matches!(event, Event::KeepAlive { .. }) {
                continue;
            }
            for member in &mut self.members {
                let progress = member.machine.receive(local, conversation, &event);
                moves |= matches!(progress, Some(Progress::NewHome(_)));
            }
        }
        if !conversation.output().is_empty() {
            let mut bytes = cx.net.buffer();
            core::mem::swap(&mut bytes, conversation.output());
            cx.net.send(link, Side::To, bytes);
        }
        let registrar = cx.net.node_at(link, Side::From).index();
        let is_there = self.connected().is_some_and(|(other, _)| other == registrar);
        if moves && !is_there {
            self.calls.remove(at);
            let before = core::mem::replace(&mut self.link, Link::Waits(0));
            self.up(cx, link, registrar, Side::To);
            if let Link::Up { link, side, .. } = before {
                cx.net.close(link, side);
            } else if let Link::Connecting(link, _) = before {
                cx.net.abort(link, Side::From);
            }
        }
        self.settle(cx);
    }

    /// The link is gone, or was never there.
    pub(crate) fn closed(&mut self, cx: &mut Cx, gone: LinkId) {
        self.calls.retain(|(link, _)| *link != gone);
        match self.link {
            Link::Connecting(link, _) | Link::Up { link, .. } if link == gone => {}
            Link::Connecting(..) | Link::Up { .. } | Link::Waits(_) => return,
        }
        trace!(cx, "{} lost its link", self.name);
        self.lost(cx);
        self.settle(cx);
    }

    /// Messages of the registrar arrived.
    pub(crate) fn arrived(&mut self, cx: &mut Cx, from: LinkId, bytes: &[u8]) {
        if let Some(at) = self.calls.iter().position(|(link, _)| *link == from) {
            return self.call_arrived(cx, at, bytes);
        }
        let local = cx.local(self.node);
        for message in Messages(bytes) {
            let Link::Up { link, registrar, conversation, ledger, .. } = &mut self.link else {
                return;
            };
            if *link != from {
                return;
            }
            let answered = ledger.answer(cx, &self.name, message);
            let event = conversation.receive(local, message);
            trace!(cx, "{} <- R{}: {event:?}", self.name, *registrar + 1);
            let registrar = *registrar;
            for member in &mut self.members {
                let before = conversation.output().len();
                let progress = member.machine.receive(local, conversation, &event);
                if conversation.output().len() > before {
                    ledger.note_all(cx, conversation.output(), before, &[member.number]);
                }
                if let Some(progress) = progress {
                    self.attempts = 0;
                    if matches!(progress, Progress::NotDeregistered(_)) {
                        // It is still there; it tries again some other time.
                        set_wanted(cx, member.number, true);
                        let before = conversation.output().len();
                        let _ = member.machine.register(local, conversation);
                        ledger.note_all(cx, conversation.output(), before, &[member.number]);
                    }
                    note(cx, self.node, registrar, member.number, answered.as_ref(), &progress);
                }
            }
        }
        self.settle(cx);
    }

    /// Sends what is to be sent, and sets the next alarm.
    pub(crate) fn settle(&mut self, cx: &mut Cx) {
        let mut next = match &mut self.link {
            Link::Waits(until) => Some(*until),
            Link::Connecting(..) => None,
            Link::Up { link, side, conversation, .. } => {
                if !conversation.output().is_empty() && cx.net.has_room(*link, *side) {
                    let mut bytes = cx.net.buffer();
                    core::mem::swap(&mut bytes, conversation.output());
                    cx.net.send(*link, *side, bytes);
                }
                conversation.next_timeout().map(|at| cx.when(self.node, at))
            }
        };
        if matches!(self.link, Link::Up { .. }) {
            for member in &self.members {
                let due = member.machine.next_timeout().map(|at| cx.when(self.node, at));
                let moves = member.moves.filter(|_| !cx.calm);
                for at in [due, moves].into_iter().flatten() {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
        }
        if let Some(next) = next
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            cx.set_wake(next, self.node);
        }
    }

    /// Its process died. What it knew is gone.
    pub(crate) fn died(&mut self, cx: &mut Cx) {
        for member in &mut self.members {
            member.machine.disconnected();
            set_wanted(cx, member.number, false);
        }
        self.link = Link::Waits(Micros::MAX / 2);
        self.calls.clear();
        self.alarm = None;
    }

    /// It starts again, with the elements it had or with new ones.
    pub(crate) fn restart(&mut self, cx: &mut Cx, anew: Identity) {
        self.link = Link::Waits(cx.net.now());
        self.attempts = 0;
        match anew {
            Identity::Kept => {
                for member in &mut self.members {
                    set_wanted(cx, member.number, true);
                }
            }
            Identity::New => {
                self.members.clear();
                self.populate(cx);
            }
        }
        self.settle(cx);
    }

    /// Goes to this registrar next, at once.
    pub(crate) fn go_to(&mut self, cx: &mut Cx, registrar: usize) {
        self.prefer(registrar);
        self.hunt(cx);
        self.link = Link::Waits(cx.net.now());
        self.settle(cx);
    }

    /// Deregisters or registers one of its elements.
    pub(crate) fn want(&mut self, cx: &mut Cx, number: ElementNo, wanted: Wanted) {
        let local = cx.local(self.node);
        set_wanted(cx, number, wanted == Wanted::Registered);
        let Some(member) = self.members.iter_mut().find(|member| member.number == number) else {
            return;
        };
        if let Link::Up { conversation, ledger, .. } = &mut self.link {
            let before = conversation.output().len();
            let _ = match wanted {
                Wanted::Registered => member.machine.register(local, conversation),
                Wanted::Deregistered => member.machine.deregister(local, conversation),
            };
            ledger.note_all(cx, conversation.output(), before, &[number]);
        }
        self.settle(cx);
    }

    /// Registers one of its elements again with other policy values.
    pub(crate) fn update(&mut self, cx: &mut Cx, number: ElementNo, policy: Policy) {
        let local = cx.local(self.node);
        let found = self.members.iter_mut().find(|member| member.number == number);
        if let (Some(member), Link::Up { conversation, ledger, .. }) = (found, &mut self.link) {
            let before = conversation.output().len();
            let _ = member.machine.update(local, conversation, policy);
            ledger.note_all(cx, conversation.output(), before, &[number]);
        }
        self.settle(cx);
    }
}

/// Whether a process that starts again is who it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Kept,
    New,
}

/// What an element is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Registered,
    Deregistered,
}

fn set_wanted(cx: &mut Cx, number: ElementNo, wanted: bool) {
    if let Some(known) = cx.model.get_mut(number) {
        known.wanted = wanted;
        if !wanted {
            known.standing = Standing::Unknown;
        }
    }
}

/// Notes in the model what the registrar said.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is new fails")]
fn note(
    cx: &mut Cx,
    node: NodeId,
    registrar: usize,
    number: ElementNo,
    answered: Option<&Asked>,
    progress: &Progress<'_>,
) {
    let quiet = cx.model.quiet_since(node, cx.registrar_node(registrar));
    let now = cx.net.now();
    let name = |cx: &Cx| cx.model.name(number);
    match progress {
        Progress::Registered => {
            let Some(asked) = answered else { return };
            if let Some(known) = cx.model.get_mut(number) {
                known.acknowledged = asked.policy;
                if known.wanted {
                    known.standing = Standing::Registered { registrar, sent: asked.sent };
                }
            }
        }
        Progress::Deregistered => {
            if let Some(known) = cx.model.get_mut(number) {
                known.acknowledged = None;
                known.standing = Standing::Deregistered { registrar, at: now };
            }
        }
        Progress::Expired => {
            let solid = cx.model.get(number).is_some_and(|known| match known.standing {
                Standing::Registered { sent, .. } => quiet.is_some_and(|quiet| sent >= quiet),
                Standing::Unknown | Standing::Deregistered { .. } => false,
            });
            if solid {
                let name = name(cx);
                cx.model.fail(|| format!("{name} expired although it is alive"));
            }
            if let Some(known) = cx.model.get_mut(number) {
                known.standing = Standing::Unknown;
            }
        }
        Progress::Rejected(causes) => {
            let name = name(cx);
            cx.model.fail(|| format!("the registration of {name} is rejected: {causes:?}"));
        }
        Progress::NotDeregistered(_) => {
            if let Some(known) = cx.model.get_mut(number) {
                known.standing = Standing::Unknown;
            }
        }
        Progress::NewHome(_)
        | Progress::Unanswered(
            Request::Registration | Request::Deregistration | Request::Resolution,
        ) => {}
        other => {
            let name = name(cx);
            cx.model.fail(|| format!("{name}: {other:?} is new"));
        }
    }
}
