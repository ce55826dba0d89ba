//! The registrar group on its shard, and its orders and news.

use core::net::SocketAddr;

use rserpool_engine::{ShardId, Timestamp, TransportKind};

use super::super::association::Peer;
use super::super::mesh;
use super::super::pools::Turn;
use super::{Output, Shard};
use crate::enrp::{self, Group, LinkId, Order};

/// The shard the group lives on.
const GROUP_SHARD: ShardId = ShardId(0);

impl Shard {
    /// Makes this registrar a member of a group of registrars. To be called
    /// once, on shard 0, before the registrar serves: it is in service when
    /// [`enrp::Output::InService`] says so. Without effect on other shards.
    pub fn join(&mut self, now: Timestamp, config: enrp::Config) {
        if self.config.shard != GROUP_SHARD || self.group.is_some() {
            return;
        }
        let (id, map) = (self.config.engine.registrar, self.config.map.clone());
        self.group = Some(Box::new(Group::new(now, id, map, config)));
        self.post(now);
    }

    /// The registrar group, to look at; only where it lives.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        self.group.as_deref()
    }

    /// Another registrar opened an association. `None`: there are enough, or
    /// this registrar is in no group.
    pub fn accept_link(&mut self, now: Timestamp, peer: Peer) -> Option<LinkId> {
        self.group.as_mut()?.accept(now, peer.address, peer.transport)
    }

    /// A link of [`enrp::Output::Connect`] is connected.
    pub fn link_connected(&mut self, now: Timestamp, link: LinkId) {
        if let Some(group) = &mut self.group {
            group.connected(now, link);
            self.post(now);
        }
    }

    /// A link is gone, or could not be connected.
    pub fn close_link(&mut self, now: Timestamp, link: LinkId) {
        if let Some(group) = &mut self.group {
            group.closed(now, link);
            self.post(now);
        }
    }

    /// One whole message arrived over a link. Ask [`Shard::link_wants_more`]
    /// before each.
    pub fn receive_link(&mut self, now: Timestamp, link: LinkId, message: &[u8]) {
        if let Some(group) = &mut self.group {
            group.receive(now, link, message);
            self.post(now);
        }
    }

    /// Whether a link may be read from. If not, keep what was read until
    /// [`enrp::Output::Resume`]. True for one that is gone.
    pub fn link_wants_more(&mut self, link: LinkId) -> bool {
        let congested = self.outbox.is_congested();
        !(congested && self.group.as_mut().is_some_and(|group| group.park(link)))
    }

    /// A datagram arrived at the group's multicast address.
    pub fn receive_multicast(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) {
        if let Some(group) = &mut self.group {
            group.receive_multicast(now, from, datagram);
            self.post(now);
        }
    }

    /// Swaps the link's whole messages into `into`, which is emptied first.
    pub fn take_link(&mut self, now: Timestamp, link: LinkId, into: &mut Vec<u8>) {
        into.clear();
        if let Some(group) = &mut self.group {
            group.take_send(link, into);
            self.post(now);
        }
    }

    /// Swaps the presence to multicast into `into`, which is emptied first.
    pub fn take_multicast(&mut self, into: &mut Vec<u8>) {
        into.clear();
        if let Some(group) = &mut self.group {
            group.take_multicast(into);
        }
    }

    /// What of the group is due, and what it ordered of this shard.
    pub(super) fn run_group(&mut self, now: Timestamp, budget: usize) {
        let Self { config, stats, pools, group, .. } = self;
        if pools.has_jobs() {
            let mut turn = Turn { dialect: config.sctp, config, stats, now };
            pools.work(&mut turn, budget);
        }
        if let Some(group) = group {
            group.handle_timeout(now);
        }
        self.post(now);
    }

    /// Carries news to the group and orders to the shards.
    #[inline]
    pub(super) fn post(&mut self, now: Timestamp) {
        if !self.pools.journal.is_empty() || self.group.is_some() {
            self.carry_post(now);
        }
    }

    fn carry_post(&mut self, now: Timestamp) {
        loop {
            let mut parcel = core::mem::take(&mut self.parcel);
            let mut any = false;
            if !self.pools.journal.is_empty() {
                self.pools.journal.take(&mut parcel);
                if self.config.shard == GROUP_SHARD {
                    self.hear(now, GROUP_SHARD, &parcel);
                    any = true;
                } else {
                    self.write_mesh(GROUP_SHARD, |out| mesh::emit_news(out, &parcel));
                }
            }
            if self.group.is_some() {
                for shard in (0..self.config.map.shards()).map(ShardId) {
                    let Some(group) = &mut self.group else { break };
                    if !group.take_orders(usize::from(shard.0), &mut parcel) {
                        continue;
                    }
                    if shard == self.config.shard {
                        self.obey(now, &parcel);
                        any = true;
                    } else {
                        self.write_mesh(shard, |out| mesh::emit_orders(out, &parcel));
                    }
                }
            }
            self.parcel = parcel;
            if !any {
                return;
            }
        }
    }

    /// News of a shard for the group.
    pub(super) fn hear(&mut self, now: Timestamp, from: ShardId, news: &[u8]) {
        if let Some(group) = &mut self.group {
            group.receive_news(now, from, news);
        }
    }

    /// Does what the group orders.
    pub(super) fn obey(&mut self, now: Timestamp, orders: &[u8]) {
        let mut rest = orders;
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let Some((order, after)) = after.split_at_checked(length) else { break };
            rest = after;
            let Some(order) = Order::read(order) else { break };
            let Self { config, stats, pools, .. } = self;
            let mut turn = Turn { dialect: config.sctp, config, stats, now };
            let effect = pools.obey(&mut turn, &order);
            self.release(effect);
        }
        if !rest.is_empty() {
            self.stats.mesh_malformed += 1;
        }
    }

    /// Sends the message in `self.scratch` to an element that has no
    /// association here.
    pub(super) fn call(&mut self, now: Timestamp, address: SocketAddr) {
        let id = match self.called.get(&address) {
            Some(id) => *id,
            None => {
                let peer = Peer { address, transport: TransportKind::Sctp };
                let Some(id) = self.associations.open(peer) else {
                    self.stats.refused += 1;
                    return;
                };
                self.stats.opened += 1;
                self.stats.called += 1;
                self.called.insert(address, id);
                self.outputs.push_back(Output::Connect(id));
                id
            }
        };
        let message = core::mem::take(&mut self.scratch);
        self.push(now, id, &message);
        self.scratch = message;
    }
}
