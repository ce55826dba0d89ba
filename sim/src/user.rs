//! A pool user: resolves pool handles at one registrar after the other, talks
//! to what it finds, and reports what does not answer.

use std::collections::VecDeque;

use rserpool_codec::Elements;
use rserpool_engine::{PeId, PoolHandle};
use rserpool_proto::endpoint::{self, Conversation, Event};

use crate::cluster::Cx;
use crate::ledger::Ledger;
use crate::messages::Messages;
use crate::network::{LinkId, Micros, NodeId, Side};
use crate::selection;
use crate::settings::SECOND;
use crate::trace::trace;

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a pool user")]
enum Link {
    Waits(Micros),
    Connecting(LinkId, usize),
    Up { link: LinkId, registrar: usize, conversation: Conversation, ledger: Ledger },
}

/// A pool user.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    known: VecDeque<usize>,
    link: Link,
    pause: Micros,
    request_timeout: core::time::Duration,
    /// When it asks next.
    asks: Micros,
    /// When it has had enough of its registrar.
    leaves: Micros,
    /// Pool elements of its last answer.
    found: Vec<(usize, PeId)>,
    alarm: Option<Micros>,
    tokens: u64,
}

impl User {
    pub(crate) fn new(cx: &mut Cx, node: NodeId, name: String, known: VecDeque<usize>) -> Self {
        Self {
            node,
            name,
            known,
            link: Link::Waits(cx.chance.below(2 * SECOND)),
            pause: cx.settings.user_pause,
            request_timeout: cx.settings.request_timeout,
            asks: 0,
            leaves: 20 * SECOND + cx.chance.below(100 * SECOND),
            found: Vec::new(),
            alarm: None,
            tokens: 0,
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
        let local = cx.local(self.node);
        self.alarm = None;
        if matches!(self.link, Link::Waits(until) if until <= now)
            && let Some(registrar) = self.known.front().copied()
        {
            self.known.rotate_left(1);
            let link = cx.net.connect(self.node, cx.registrar_node(registrar));
            self.link = Link::Connecting(link, registrar);
        }
        if self.asks <= now && matches!(self.link, Link::Up { .. }) {
            self.ask(cx);
            let asks = if cx.chance.one_in(4) { 0 } else { cx.chance.below(2 * self.pause) };
            self.asks = now + asks;
        }
        if let Link::Up { link, registrar, conversation, ledger } = &mut self.link {
            let mut unanswered = false;
            while conversation.handle_timeout(local).is_some() {
                unanswered = true;
                ledger.overdue(cx, &self.name, self.node, *registrar, *link);
            }
            if unanswered {
                cx.net.abort(*link, Side::From);
                self.lost(cx);
            } else if self.leaves <= now {
                self.leaves = now + 20 * SECOND + cx.chance.below(100 * SECOND);
                cx.net.close(*link, Side::From);
                self.lost(cx);
            }
        }
        self.settle(cx);
    }

    /// Asks for a pool; now and then also says that an element of the last
    /// answer is unreachable, which is true or not.
    fn ask(&mut self, cx: &mut Cx) {
        let local = cx.local(self.node);
        let Link::Up { conversation, ledger, .. } = &mut self.link else { return };
        let before = conversation.output().len();
        for _ in 0..=cx.chance.index(3) {
            let pool = cx.chance.index(cx.model.pools.len());
            let Some(pool) = cx.model.pools.get(pool) else { continue };
            let items = match cx.chance.below(6) {
                0 => None,
                1 => Some(0),
                items => Some(u32::try_from(items).unwrap_or(1)),
            };
            self.tokens += 1;
            let handle = PoolHandle::new(pool.name.as_bytes());
            let _ = conversation.resolve(local, self.tokens, handle, items, false);
        }
        let found = core::mem::take(&mut self.found);
        if let Some((pool, pe)) = cx.chance.pick(&found)
            && let Some(pool) = cx.model.pools.get(pool)
        {
            let handle = PoolHandle::new(pool.name.as_bytes());
            if cx.is_silent(self.node, handle, pe) || cx.chance.one_in(20) {
                let _ = conversation.report_unreachable(handle, pe);
            } else if cx.chance.one_in(20) {
                self.tokens += 1;
                // It has no right to, and is to be refused.
                let _ = conversation.deregister(local, self.tokens, handle, pe);
            }
        }
        ledger.note_all(cx, conversation.output(), before, &[]);
    }

    fn lost(&mut self, cx: &mut Cx) {
        self.link = Link::Waits(cx.net.now() + SECOND / 4 + cx.chance.below(SECOND));
    }

    /// The connection it asked for is there.
    pub(crate) fn connected_by(&mut self, cx: &mut Cx, link: LinkId) {
        if let Link::Connecting(expected, registrar) = self.link
            && expected == link
        {
            let timeout = self.request_timeout;
            let conversation = Conversation::new(endpoint::Config {
                resolution_timeout: timeout,
                registration_timeout: timeout,
                deregistration_timeout: timeout,
                ..endpoint::Config::default()
            });
            let ledger = Ledger::default();
            self.link = Link::Up { link, registrar, conversation, ledger };
            self.settle(cx);
        }
    }

    /// The link is gone, or was never there.
    pub(crate) fn closed(&mut self, cx: &mut Cx, gone: LinkId) {
        match self.link {
            Link::Connecting(link, _) | Link::Up { link, .. } if link == gone => {
                self.lost(cx);
                self.settle(cx);
            }
            Link::Connecting(..) | Link::Up { .. } | Link::Waits(_) => {}
        }
    }

    /// Messages of the registrar arrived.
    pub(crate) fn arrived(&mut self, cx: &mut Cx, from: LinkId, bytes: &[u8]) {
        let local = cx.local(self.node);
        for message in Messages(bytes) {
            let Link::Up { link, registrar, conversation, ledger } = &mut self.link else { return };
            if *link != from {
                return;
            }
            let registrar = *registrar;
            ledger.answer(cx, &self.name, message);
            let event = conversation.receive(local, message);
            trace!(cx, "{} <- R{}: {event:?}", self.name, registrar + 1);
            if let Event::Resolved { handle, elements, error: None, .. } = event {
                self.resolved(cx, registrar, handle, elements);
            }
        }
        self.settle(cx);
    }

    fn resolved(
        &mut self,
        cx: &mut Cx,
        registrar: usize,
        handle: PoolHandle<'_>,
        elements: Elements<'_>,
    ) {
        selection::check_answer(cx, &self.name, registrar, handle, elements);
        self.found.clear();
        for element in elements.iter() {
            let Some(number) = cx.model.find(handle, element.pe) else { continue };
            let Some(known) = cx.model.get(number) else { continue };
            self.found.push((known.pool, element.pe));
        }
    }

    fn settle(&mut self, cx: &mut Cx) {
        let next = match &mut self.link {
            Link::Waits(until) => Some(*until),
            Link::Connecting(..) => None,
            Link::Up { link, conversation, .. } => {
                if !conversation.output().is_empty() && cx.net.has_room(*link, Side::From) {
                    let mut bytes = cx.net.buffer();
                    core::mem::swap(&mut bytes, conversation.output());
                    cx.net.send(*link, Side::From, bytes);
                }
                let due = conversation.next_timeout().map(|at| cx.when(self.node, at));
                due.into_iter().chain([self.asks, self.leaves]).min()
            }
        };
        if let Some(next) = next
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            cx.set_wake(next, self.node);
        }
    }

    /// There is room to send again.
    pub(crate) fn writable(&mut self, cx: &mut Cx) {
        self.settle(cx);
    }

    /// Its process died.
    pub(crate) fn died(&mut self) {
        self.link = Link::Waits(Micros::MAX / 2);
        self.alarm = None;
    }

    /// It starts again.
    pub(crate) fn restart(&mut self, cx: &mut Cx) {
        self.link = Link::Waits(cx.net.now());
        self.settle(cx);
    }
}
