//! What this shard and the others do for each other.

use rserpool_engine::{AssociationId, ShardId, Timestamp};

use super::super::association::{Association, Peer};
use super::super::kind;
use super::super::mesh::{self, Item, Items};
use super::super::pools::{Effect, Origin, Turn};
use super::{CloseReason, Output, Shard};

impl Shard {
    /// Hands a message to the shard of its pool.
    pub(super) fn hand_over(
        &mut self,
        now: Timestamp,
        id: AssociationId,
        to: ShardId,
        message: &[u8],
    ) {
        let Some(association) = self.associations.get_mut(id) else {
            self.stats.stale += 1;
            return;
        };
        let code = message.first().copied().unwrap_or(0);
        let mut ticket = None;
        let mut may_add = false;
        if kind::is_answered(code) {
            if association.answers.len() >= self.config.pending_max as usize {
                self.shut(now, id, CloseReason::Overrun);
                return;
            }
            ticket = Some(association.answers.expect(self.answer_bytes, &mut self.buffers));
            if code == kind::REGISTRATION {
                may_add = association.elements < self.config.elements_per_association_max;
                association.elements += u32::from(may_add);
                association.owners |= 1 << (to.0 % 64);
            }
            if kind::is_subscription(message) {
                association.owners |= 1 << (to.0 % 64);
            }
        }
        self.stats.mesh_sent += 1;
        let peer = association.peer;
        self.write_mesh(to, |out| mesh::emit_message(out, id, ticket, may_add, &peer, message));
    }

    /// A batch of another shard arrived.
    pub fn receive_mesh(&mut self, now: Timestamp, from: ShardId, batch: &[u8]) {
        let mut items = Items::new(batch);
        for item in &mut items {
            match item {
                Item::Request { association, ticket, may_add, peer, message } => {
                    let origin = self.origin(from, association, peer, may_add);
                    self.answer_mesh(now, from, ticket, &origin, message);
                }
                Item::Notice { association, peer, message } => {
                    let origin = self.origin(from, association, peer, false);
                    self.notice_mesh(now, from, &origin, message);
                }
                Item::Answer { association, ticket, unused, bytes } => {
                    self.answered(now, association, ticket, unused, bytes);
                }
                Item::Push { association, bytes } => self.push(now, association, bytes),
                Item::Released { association } => self.released(association),
                Item::Closed { association } => self.orphan(now, association),
                Item::Orders { orders } => self.obey(now, orders),
                Item::News { news } => self.hear(now, from, news),
            }
        }
        if !items.is_empty() {
            self.stats.mesh_malformed += 1;
        }
        self.post(now);
    }

    fn origin(
        &self,
        from: ShardId,
        association: AssociationId,
        peer: Peer,
        may_add: bool,
    ) -> Origin {
        let congested = self.outbox.is_congested_toward(from);
        Origin { association, peer, may_add, congested }
    }

    fn answer_mesh(
        &mut self,
        now: Timestamp,
        from: ShardId,
        ticket: u32,
        origin: &Origin,
        message: &[u8],
    ) {
        self.stats.mesh_received += 1;
        let Self { config, stats, pools, outbox, .. } = self;
        let dialect = config.dialect(origin.peer.transport);
        let mut turn = Turn { config, dialect, stats, now };
        let written = outbox.write(from, |out| {
            let mark = mesh::begin_answer(out, origin.association, ticket);
            let effect = pools.receive(&mut turn, origin, message, out);
            mesh::finish(out, &mark, origin.may_add && !effect.added);
            effect
        });
        self.wrote(from, written);
    }

    fn notice_mesh(&mut self, now: Timestamp, from: ShardId, origin: &Origin, message: &[u8]) {
        self.stats.mesh_received += 1;
        let Self { config, stats, pools, outbox, .. } = self;
        let dialect = config.dialect(origin.peer.transport);
        let mut turn = Turn { config, dialect, stats, now };
        let written = outbox.write(from, |out| {
            let mark = mesh::begin_push(out, origin.association);
            let effect = pools.receive(&mut turn, origin, message, out);
            mesh::finish_push(out, &mark);
            effect
        });
        self.wrote(from, written);
    }

    fn wrote(&mut self, to: ShardId, written: Option<(Effect, bool)>) {
        let Some((effect, announce)) = written else { return };
        if announce {
            self.outputs.push_back(Output::Mesh(to));
        }
        self.release(effect);
    }

    pub(super) fn write_mesh(&mut self, to: ShardId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(((), true)) = self.outbox.write(to, write) {
            self.outputs.push_back(Output::Mesh(to));
        }
    }

    /// Another shard answered a request. `unused`: the element that the
    /// association might have got is not there.
    fn answered(
        &mut self,
        now: Timestamp,
        id: AssociationId,
        ticket: u32,
        unused: bool,
        bytes: &[u8],
    ) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.answer_bytes = length.max(self.answer_bytes - self.answer_bytes / 64);
        let Some(association) = self.associations.get_mut(id) else { return };
        if association.output.capacity() == 0 {
            association.output = self.buffers.take();
        }
        let Association { answers, output, .. } = association;
        let awaited = answers.fill(ticket, bytes, output, &mut self.buffers);
        debug_assert!(awaited, "a shard answers each request once");
        association.elements = association.elements.saturating_sub(u32::from(unused));
        if association.output.is_empty() {
            self.buffers.put(core::mem::take(&mut association.output));
        }
        self.announce(now, id);
        self.try_resume(id);
    }
}
