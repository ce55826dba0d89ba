//! The registrar group on its shard: between the protocol and the thread that
//! carries the associations with other registrars.

use core::mem;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rserpool_codec::{Frame, frame};
use rserpool_engine::Timestamp;
use rserpool_proto::enrp::{self, LinkId};

use super::Shard;
use crate::group::{Command, Event, Port};

/// Messages of one registrar that are taken in one turn, in bytes: a page of
/// a handle table holds some hundred elements.
const BYTES_A_TURN: usize = 24 << 10;

/// What a shard is told if the group lives on it.
#[derive(Clone, Debug)]
pub(crate) struct GroupConfig {
    pub(crate) protocol: enrp::Config,
    pub(crate) port: Arc<Port>,
    /// Set when the registrar is in service.
    pub(crate) serving: Arc<AtomicBool>,
}

/// The links of the group.
#[derive(Debug)]
pub(super) struct Side {
    port: Arc<Port>,
    serving: Arc<AtomicBool>,
    links: BTreeMap<LinkId, Ends>,
    /// Links with messages that are not taken.
    ready: VecDeque<LinkId>,
}

#[derive(Debug, Default)]
struct Ends {
    /// Messages are being written.
    sending: bool,
    /// There are more.
    output: bool,
    /// Messages that the protocol has not taken.
    unfed: Vec<u8>,
    fed: usize,
}

impl Side {
    pub(super) fn new(config: &GroupConfig) -> Self {
        Self {
            port: Arc::clone(&config.port),
            serving: Arc::clone(&config.serving),
            links: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Whether there is something to do without being told.
    pub(super) fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }
}

impl Shard {
    /// The thread of the group tells something. Needs a [`Shard::turn`] after it.
    pub(crate) fn hear_group(&mut self, now: Timestamp, event: Event) {
        let Some(side) = &mut self.group else { return };
        match event {
            Event::Accepted(number, peer) => {
                let link = self.protocol.accept_link(now, peer);
                if let Some(link) = link {
                    side.links.insert(link, Ends::default());
                }
                side.port.tell(Command::Admit(number, link));
            }
            Event::Connected(link) => self.protocol.link_connected(now, link),
            Event::Received(link, messages) => {
                if let Some(ends) = side.links.get_mut(&link) {
                    (ends.unfed, ends.fed) = (messages, 0);
                    side.ready.push_back(link);
                }
            }
            Event::Sent(link) => {
                let Some(ends) = side.links.get_mut(&link) else { return };
                ends.sending = false;
                if mem::take(&mut ends.output) {
                    self.send_link(now, link);
                }
            }
            Event::Closed(link) => {
                if side.links.remove(&link).is_some() {
                    self.protocol.close_link(now, link);
                }
            }
            Event::Datagram(from, datagram) => {
                self.protocol.receive_multicast(now, from, &datagram);
            }
        }
    }

    /// Gives the protocol some of what registrars sent.
    pub(super) fn feed_group(&mut self, now: Timestamp) {
        let turns = self.group.as_ref().map_or(0, |side| side.ready.len());
        for _ in 0..turns {
            let Some(side) = &mut self.group else { return };
            let Some(link) = side.ready.pop_front() else { return };
            let Some(ends) = side.links.get_mut(&link) else { continue };
            let mut budget = BYTES_A_TURN;
            let mut held = false;
            while budget > 0 {
                let rest = ends.unfed.get(ends.fed..).unwrap_or_default();
                let Frame::Whole(length) = frame(rest) else { break };
                if !self.protocol.link_wants_more(link) {
                    held = true;
                    break;
                }
                let message = rest.get(..length).unwrap_or_default();
                self.protocol.receive_link(now, link, message);
                ends.fed += length;
                budget = budget.saturating_sub(length);
            }
            if ends.fed >= ends.unfed.len() {
                ends.unfed = Vec::new();
                side.port.tell(Command::Taken(link));
            } else if !held {
                side.ready.push_back(link);
            }
        }
    }

    pub(super) fn group_output(&mut self, now: Timestamp, output: enrp::Output) {
        let Some(side) = &mut self.group else { return };
        match output {
            enrp::Output::Connect(link) => {
                let target = self.protocol.group().and_then(|group| group.target(link).cloned());
                if let Some(target) = target {
                    side.links.insert(link, Ends::default());
                    side.port.tell(Command::Connect(link, target));
                }
            }
            enrp::Output::Send(link) => self.send_link(now, link),
            enrp::Output::Close(link) => {
                side.links.remove(&link);
                side.port.tell(Command::Close(link));
            }
            enrp::Output::Multicast => {
                let mut presence = Vec::new();
                self.protocol.take_multicast(&mut presence);
                side.port.tell(Command::Multicast(presence));
            }
            enrp::Output::Resume(link) => side.ready.push_back(link),
            enrp::Output::InService => {
                side.serving.store(true, Ordering::Release);
            }
        }
    }

    /// Hands what the protocol has for a registrar to the thread.
    fn send_link(&mut self, now: Timestamp, link: LinkId) {
        let Some(ends) = self.group.as_mut().and_then(|side| side.links.get_mut(&link)) else {
            return;
        };
        if ends.sending {
            ends.output = true;
            return;
        }
        let mut messages = Vec::new();
        self.protocol.take_link(now, link, &mut messages);
        if messages.is_empty() {
            return;
        }
        if let Some(side) = &mut self.group {
            if let Some(ends) = side.links.get_mut(&link) {
                ends.sending = true;
            }
            side.port.tell(Command::Send(link, messages));
        }
    }
}
