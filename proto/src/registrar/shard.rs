//! The shard's calls: from messages to the pools, and from there to outputs.

use std::collections::{BTreeMap, VecDeque};

use core::net::SocketAddr;

use rserpool_codec::asap::peek_handle;
use rserpool_engine::{AssociationId, Handlespace, ShardId, Timestamp};

use super::association::{self, Association, Associations, Parked, Peer};
use super::buffers::Buffers;
use super::mesh::{self, Outbox};
use super::pools::{Effect, Origin, Pools, Turn};
use super::{Config, Stats, kind};
use crate::enrp::{self, Group};

mod exchange;
mod group;

/// An association with more bytes queued toward it than this is not read
/// from, even if [`Config::output_bytes_max`] allows more.
const READ_STOP_BYTES: usize = 64 << 10;
/// So many bytes wait for no answer of another shard.
const GATHERED_BYTES_MAX: usize = 16 << 10;
/// Elements of a gone association that are removed at once. The others follow
/// in [`Shard::handle_timeout`].
const ORPHANS_AT_ONCE: usize = 64;

/// Why the registrar ends an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// It lets more than [`Config::output_bytes_max`] pile up.
    SlowReader,
    /// The host went on giving messages although [`Config::pending_max`]
    /// requests were unanswered.
    Overrun,
}

/// What the host is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// [`Shard::take_send`] has bytes for this association.
    Send(AssociationId),
    /// End this association. It is forgotten already: [`Shard::close`] need
    /// not be called.
    Close(AssociationId, CloseReason),
    /// [`Shard::take_mesh`] has a batch for this shard.
    Mesh(ShardId),
    /// [`Shard::wants_more`] was false for this association and is true again.
    Resume(AssociationId),
    /// Open this association, to [`Shard::peer`], and send over it what
    /// [`Shard::take_send`] has, or [`Shard::close`] it. A pool element whose
    /// registrar died is called that way.
    Connect(AssociationId),
    /// What is to be done for the registrar group.
    Group(enrp::Output),
}

/// One shard of a registrar.
#[derive(Debug)]
pub struct Shard {
    config: Config,
    stats: Stats,
    pools: Pools,
    associations: Associations,
    outbox: Outbox,
    buffers: Buffers,
    outputs: VecDeque<Output>,
    /// Associations that are gone and have elements here yet.
    leaving: VecDeque<AssociationId>,
    /// Associations parked because of the mesh.
    parked: Vec<AssociationId>,
    /// Associations whose output waits for other shards, and until when.
    gathering: VecDeque<(AssociationId, Timestamp)>,
    /// The last time an association had something to send.
    announced_at: Timestamp,
    /// About as long as the longest answers of other shards lately.
    answer_bytes: u32,
    /// A message on its way.
    scratch: Vec<u8>,
    /// Associations this registrar opened, by the other end's address.
    called: BTreeMap<SocketAddr, AssociationId>,
    /// The registrar group, on the first shard of a registrar that joined one.
    group: Option<Box<Group>>,
    /// News and orders on their way.
    parcel: Vec<u8>,
}

impl Shard {
    /// A shard without associations and pools.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            stats: Stats::default(),
            pools: Pools::new(&config),
            associations: Associations::new(config.shard, config.associations_max),
            outbox: Outbox::new(config.map.shards(), config.mesh_bytes_max),
            buffers: Buffers::default(),
            outputs: VecDeque::new(),
            leaving: VecDeque::new(),
            parked: Vec::new(),
            gathering: VecDeque::new(),
            announced_at: Timestamp::ZERO,
            answer_bytes: 256,
            scratch: Vec::new(),
            called: BTreeMap::new(),
            group: None,
            parcel: Vec::new(),
            config,
        }
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The pools of this shard.
    #[must_use]
    pub const fn handlespace(&self) -> &Handlespace {
        self.pools.space()
    }

    /// What it counted.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// How many associations there are.
    #[must_use]
    pub fn associations(&self) -> usize {
        self.associations.len()
    }

    /// The other end of an association, if it is open.
    #[must_use]
    pub fn peer(&self, id: AssociationId) -> Option<Peer> {
        self.associations.get(id).map(|association| association.peer)
    }

    /// A peer connected. `None`: there are [`Config::associations_max`].
    pub fn open(&mut self, _now: Timestamp, peer: Peer) -> Option<AssociationId> {
        let id = self.associations.open(peer);
        let count = if id.is_some() { &mut self.stats.opened } else { &mut self.stats.refused };
        *count += 1;
        id
    }

    /// The association is gone: the peer closed it, or it failed. Its pool
    /// elements are removed.
    pub fn close(&mut self, now: Timestamp, id: AssociationId) {
        self.forget(now, id);
        self.post(now);
    }

    /// Whether this association may be read from. If not, keep what was read
    /// until [`Output::Resume`]. True for an association that is gone.
    pub fn wants_more(&mut self, id: AssociationId) -> bool {
        let Some(association) = self.associations.get_mut(id) else { return true };
        if association.parked != Parked::No {
            return false;
        }
        association.parked = obstacle(&self.config, association, &self.outbox);
        let parked = association.parked;
        if parked == Parked::Mesh {
            self.list_parked(id);
        }
        parked == Parked::No
    }

    /// Notes an association that waits for the mesh.
    fn list_parked(&mut self, id: AssociationId) {
        let Some(association) = self.associations.get_mut(id) else { return };
        if association.parked != Parked::Mesh || association.listed {
            return;
        }
        association.listed = true;
        if self.parked.len() > 2 * self.associations.len() {
            // Most of them are gone.
            self.parked.retain(|&id| self.associations.get(id).is_some());
        }
        self.parked.push(id);
    }

    /// One whole message arrived, with or without the padding after its end.
    /// Ask [`Shard::wants_more`] before each.
    pub fn receive(&mut self, now: Timestamp, id: AssociationId, message: &[u8]) {
        match self.shard_of(message) {
            Some(to) if to != self.config.shard => self.hand_over(now, id, to, message),
            Some(_) | None => self.receive_here(now, id, message),
        }
        self.post(now);
    }

    /// The shard of a message's pool. `None`: it is for no pool, or cannot be
    /// read.
    #[must_use]
    pub fn shard_of(&self, message: &[u8]) -> Option<ShardId> {
        if self.config.map.shards() == 1 {
            return Some(self.config.shard);
        }
        let (code, handle) = peek_handle(message)?;
        kind::is_for_pool(code).then(|| self.config.map.shard_of(handle))
    }

    /// Whether nothing would be missed if this association ended and began
    /// again on another shard: it has no pool elements and subscriptions, no
    /// unanswered requests, and nothing to send.
    #[must_use]
    pub fn is_blank(&self, id: AssociationId) -> bool {
        self.associations.get(id).is_some_and(Association::is_blank)
    }

    /// Acts upon a message of an association of this shard.
    fn receive_here(&mut self, now: Timestamp, id: AssociationId, message: &[u8]) {
        let Some(association) = self.associations.get_mut(id) else {
            self.stats.stale += 1;
            return;
        };
        let origin = Origin {
            association: id,
            peer: association.peer,
            may_add: association.elements < self.config.elements_per_association_max,
            congested: false,
        };
        let Association { answers, output, .. } = association;
        let Self { config, stats, pools, buffers, .. } = self;
        let dialect = config.dialect(origin.peer.transport);
        let mut turn = Turn { config, dialect, stats, now };
        let mut write = |out: &mut Vec<u8>| pools.receive(&mut turn, &origin, message, out);
        let effect = if answers.is_empty() {
            if output.capacity() == 0 {
                *output = buffers.take();
            }
            let effect = write(output);
            if output.is_empty() {
                buffers.put(core::mem::take(output));
            }
            effect
        } else {
            answers.hold(buffers, write).unwrap_or_default()
        };
        association.elements += u32::from(effect.added);
        self.release(effect);
        self.announce(now, id);
    }

    /// Sends a message that answers nothing, if the peer wants such a one.
    fn push(&mut self, now: Timestamp, id: AssociationId, bytes: &[u8]) {
        let Some(association) = self.associations.get_mut(id) else { return };
        let dialect = self.config.dialect(association.peer.transport);
        if !dialect.expiry_notice && bytes.first() == Some(&kind::DEREGISTRATION_RESPONSE) {
            return;
        }
        if association.output.capacity() == 0 {
            association.output = self.buffers.take();
        }
        association.output.extend_from_slice(bytes);
        self.announce(now, id);
    }

    /// An element of an association is gone or another's: its shard hears it.
    fn release(&mut self, effect: Effect) {
        let Some(id) = effect.released else { return };
        let shard = association::shard_of(id);
        if shard == self.config.shard {
            self.released(id);
        } else {
            self.write_mesh(shard, |out| mesh::emit_released(out, id));
        }
    }

    fn released(&mut self, id: AssociationId) {
        if let Some(association) = self.associations.get_mut(id) {
            debug_assert!(association.elements > 0, "it had the element");
            association.elements = association.elements.saturating_sub(1);
        }
    }

    /// Tells the host of new output, or ends an association that does not
    /// take it.
    fn announce(&mut self, now: Timestamp, id: AssociationId) {
        let Some(association) = self.associations.get_mut(id) else { return };
        let (ready, held) = (association.output.len(), association.answers.held());
        if ready + held > self.config.output_bytes_max {
            self.stats.slow_readers += 1;
            self.shut(now, id, CloseReason::SlowReader);
        } else if !association.announced && ready > 0 {
            association.announced = true;
            self.outputs.push_back(Output::Send(id));
            self.announced_at = now;
        }
    }

    /// Whether an association's output is to leave now. It waits for answers
    /// of other shards, if it has not done so for long enough: who asked for
    /// pools of several shards gets one write instead of two.
    fn leaves(&mut self, id: AssociationId) -> bool {
        let Some(association) = self.associations.get_mut(id) else { return false };
        let awaits = !association.answers.is_empty() && !association.gathered;
        if !awaits || self.config.gather.is_zero() || association.output.len() >= GATHERED_BYTES_MAX
        {
            return true;
        }
        association.announced = false;
        if !association.gathers {
            association.gathers = true;
            self.gathering.push_back((id, self.announced_at.after(self.config.gather)));
        }
        false
    }

    /// An association's output has waited long enough. `false`: none has.
    fn end_gathering(&mut self, now: Timestamp) -> bool {
        let Some((id, _)) = self.gathering.pop_front_if(|(_, until)| *until <= now) else {
            return false;
        };
        if let Some(association) = self.associations.get_mut(id) {
            association.gathers = false;
            if !association.announced && !association.output.is_empty() {
                association.announced = true;
                association.gathered = true;
                self.outputs.push_back(Output::Send(id));
            }
        }
        true
    }

    /// Ends an association on the registrar's part.
    fn shut(&mut self, now: Timestamp, id: AssociationId, reason: CloseReason) {
        self.forget(now, id);
        self.outputs.push_back(Output::Close(id, reason));
    }

    fn forget(&mut self, now: Timestamp, id: AssociationId) {
        let Some(mut association) = self.associations.close(id) else { return };
        self.stats.closed += 1;
        if self.called.get(&association.peer.address) == Some(&id) {
            self.called.remove(&association.peer.address);
        }
        association.answers.abandon(&mut self.buffers);
        self.buffers.put(association.output);
        if association.owners != 0 {
            for to in (0..self.config.map.shards()).map(ShardId) {
                if to != self.config.shard && association.owners & (1 << (to.0 % 64)) != 0 {
                    self.write_mesh(to, |out| mesh::emit_closed(out, id));
                }
            }
        }
        self.orphan(now, id);
    }

    /// Removes the elements of an association that is gone.
    fn orphan(&mut self, now: Timestamp, id: AssociationId) {
        let Self { config, stats, pools, .. } = self;
        let mut turn = Turn { dialect: config.sctp, config, stats, now };
        if pools.orphan(&mut turn, id, ORPHANS_AT_ONCE) == ORPHANS_AT_ONCE {
            self.leaving.push_back(id);
        }
    }

    /// When [`Shard::handle_timeout`] has work next; a time that is over
    /// already if it has some left.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        if !self.leaving.is_empty() || self.pools.has_jobs() {
            return Some(Timestamp::ZERO);
        }
        let pools = self.pools.next_deadline(&self.config);
        let group = self.group.as_ref().map(|group| group.next_timeout());
        let gathered = self.gathering.front().map(|&(_, until)| until);
        [pools, group, gathered].into_iter().flatten().min()
    }

    /// Does what is due, for at most `budget` pool elements (at least 1).
    /// `true`: more is due now.
    pub fn handle_timeout(&mut self, now: Timestamp, budget: usize) -> bool {
        let mut left = budget.max(1);
        // Beside the budget: these are no pool elements, and keep none waiting.
        for _ in 0..left {
            if !self.end_gathering(now) {
                break;
            }
        }
        while let Some(&id) = self.leaving.front()
            && left > 0
        {
            let Self { config, stats, pools, .. } = self;
            let mut turn = Turn { dialect: config.sctp, config, stats, now };
            let gone = pools.orphan(&mut turn, id, left);
            if gone < left {
                self.leaving.pop_front();
            }
            left -= gone;
        }
        while left > 0 && self.poll_due(now) {
            left -= 1;
        }
        self.run_group(now, budget.max(1));
        self.next_timeout().is_some_and(|next| next <= now)
    }

    fn poll_due(&mut self, now: Timestamp) -> bool {
        self.scratch.clear();
        let Self { config, stats, pools, scratch, .. } = self;
        let mut turn = Turn { dialect: config.sctp, config, stats, now };
        let Some(event) = pools.poll_due(&mut turn, scratch) else { return false };
        if let Some(address) = event.call {
            self.call(now, address);
        } else if let Some(id) = event.association {
            let shard = association::shard_of(id);
            let message = core::mem::take(&mut self.scratch);
            if shard == self.config.shard {
                if event.removed {
                    self.released(id);
                }
                if !message.is_empty() {
                    self.push(now, id, &message);
                }
            } else {
                self.write_mesh(shard, |out| {
                    let mark = mesh::begin_push(out, id);
                    out.extend_from_slice(&message);
                    mesh::finish_push(out, &mark);
                    if event.removed {
                        mesh::emit_released(out, id);
                    }
                });
            }
            self.scratch = message;
        }
        true
    }

    /// What the host is to do next. Each association and each shard is named
    /// at most once until its bytes are taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            let Some(output) = self.outputs.pop_front() else {
                let group = self.group.as_mut()?;
                return group.poll_output().map(Output::Group);
            };
            let stands = match output {
                Output::Send(id) => self.leaves(id),
                Output::Resume(id) | Output::Connect(id) => self.associations.get(id).is_some(),
                Output::Mesh(shard) => self.outbox.has(shard),
                Output::Close(..) | Output::Group(_) => true,
            };
            if stands {
                return Some(output);
            }
        }
    }

    /// Swaps the association's whole messages into `into`, which is emptied
    /// first; its capacity is used again.
    pub fn take_send(&mut self, id: AssociationId, into: &mut Vec<u8>) {
        into.clear();
        let Some(association) = self.associations.get_mut(id) else { return };
        core::mem::swap(&mut association.output, into);
        association.announced = false;
        association.gathered = false;
        self.buffers.put(core::mem::take(&mut association.output));
        self.try_resume(id);
    }

    /// Swaps the batch for a shard into `into`, which is emptied first; its
    /// capacity is used again.
    pub fn take_mesh(&mut self, to: ShardId, into: &mut Vec<u8>) {
        self.outbox.take(to, into);
        if let Some(group) = self.group.as_mut().filter(|_| !self.outbox.is_congested()) {
            group.resume();
        }
        if self.parked.is_empty() || self.outbox.is_congested() {
            return;
        }
        let mut parked = core::mem::take(&mut self.parked);
        for id in parked.drain(..) {
            if let Some(association) = self.associations.get_mut(id) {
                association.listed = false;
            }
            self.try_resume(id);
        }
        if self.parked.is_empty() {
            // Nobody waits again: keep the capacity.
            self.parked = parked;
        }
    }

    /// Bytes queued toward this association.
    #[must_use]
    pub fn output_pending(&self, id: AssociationId) -> usize {
        self.associations.get(id).map_or(0, |association| association.output.len())
    }

    /// Lets a parked association go on if nothing is in its way any more.
    fn try_resume(&mut self, id: AssociationId) {
        let Some(association) = self.associations.get_mut(id) else { return };
        if association.parked == Parked::No {
            return;
        }
        association.parked = obstacle(&self.config, association, &self.outbox);
        if association.parked == Parked::No {
            self.outputs.push_back(Output::Resume(id));
        }
        self.list_parked(id);
    }
}

/// What keeps an association from being read from.
fn obstacle(config: &Config, association: &Association, outbox: &Outbox) -> Parked {
    let queued = association.output.len() + association.answers.backlog();
    let stop = READ_STOP_BYTES.min(config.output_bytes_max / 4);
    if association.answers.len() >= config.pending_max as usize || queued > stop {
        Parked::Backlog
    } else if outbox.is_congested() {
        Parked::Mesh
    } else {
        Parked::No
    }
}
