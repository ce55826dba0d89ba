//! Audits (RFC 5353, 3.6): what is known of a peer's elements is compared with
//! what it says of them, and where it differs, replaced.
//!
//! With our own kind, digests of 512 buckets are compared, and only buckets
//! that differ are transferred; with others the whole table is. Elements are
//! stamped as they are heard of, and those of the peer that an audit did not
//! stamp are removed at its end, without a word to anybody.

use core::time::Duration;

use rserpool_codec::enrp::Pools;
use rserpool_codec::enrp::extension::{BUCKETS_LEN, BucketSet, Claim, Extensions};
use rserpool_engine::{RegistrarId, Timestamp};

use super::exchange::{Apply, Digests, Order, Source};
use super::group::{Group, Purpose};
use super::link::LinkId;

/// A handle table that is being downloaded.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) link: LinkId,
    /// `None`: the peer is of another kind.
    pub(super) session: Option<u32>,
    pub(super) own_only: bool,
    /// Which buckets the peer gives; all, unless it says otherwise.
    pub(super) buckets: BucketSet,
    /// Requests without an answer.
    pub(super) outstanding: u16,
    /// The last part was received.
    pub(super) ended: bool,
}

#[derive(Debug)]
enum Step {
    Idle,
    /// The digests are being made.
    Digesting,
    Fetching(Fetch),
    /// What was not stamped is being removed.
    Sweeping,
}

/// Where the audit of a peer is.
#[derive(Debug)]
pub(super) struct Audit {
    step: Step,
    /// One is to be made, not before.
    wanted: Option<Timestamp>,
    /// Since when the checksum differs, without an end.
    differs: Option<Timestamp>,
    /// Audits in a row after which the checksum differed still.
    fruitless: u32,
    /// The answer has to come until then.
    until: Timestamp,
    /// Elements heard of get this stamp.
    pub(super) stamp: u16,
}

impl Audit {
    pub(super) const fn new() -> Self {
        Self {
            step: Step::Idle,
            wanted: None,
            differs: None,
            fruitless: 0,
            until: Timestamp::MAX,
            stamp: 0,
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        !matches!(self.step, Step::Idle)
    }

    /// Gives up what is under way.
    pub(super) fn reset(&mut self) {
        self.step = Step::Idle;
        self.until = Timestamp::MAX;
    }

    /// One is to be made, at the next opportunity.
    pub(super) const fn want(&mut self, now: Timestamp) {
        self.wanted = Some(now);
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        match self.step {
            Step::Idle => self.wanted,
            Step::Digesting | Step::Fetching(_) | Step::Sweeping => Some(self.until),
        }
    }
}

/// An audit waits for the end of a take-over, and looks that often.
const MOVING_PATIENCE: Duration = Duration::from_millis(50);

/// What a Handle Table Response says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response<'a> {
    pub(super) rejected: bool,
    pub(super) more: bool,
    pub(super) pools: Pools<'a>,
    pub(super) extensions: Extensions<'a>,
}

/// An answer of our own kind may take a scan of its handlespace.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

impl Group {
    /// A presence came over a link: its checksum, and what our own kind tells
    /// with it, is compared with the sums of what is known, at this point of
    /// what the peer said.
    pub(super) fn check(&mut self, id: RegistrarId, checksum: u16, values: Option<u64>) {
        if self.startup.is_some()
            || self.is_moving()
            || self.peer(id).is_none_or(|peer| peer.audit.is_running())
        {
            return;
        }
        let purpose = Purpose::Check { peer: id, checksum, values };
        if let Some(token) = self.begin_round(self.map.shards(), purpose) {
            self.order_all(&Order::Sums { token });
        }
    }

    /// The comparison is done.
    pub(super) fn checked(&mut self, now: Timestamp, id: RegistrarId, equal: bool) {
        let pause = self.config.audit_pause;
        let Some(peer) = self.peer_mut(id) else { return };
        if peer.audit.is_running() {
            return;
        }
        if equal {
            peer.audit.differs = None;
            peer.audit.fruitless = 0;
            return;
        }
        let since = *peer.audit.differs.get_or_insert(now);
        let patience = pause * (1 << peer.audit.fruitless.min(6));
        if now >= since.after(patience) {
            peer.audit.differs = None;
            peer.audit.fruitless = peer.audit.fruitless.saturating_add(1);
            peer.audit.want(now);
        }
        self.stats.mismatches += 1;
    }

    /// Begins audits that are wanted, and gives up those without an answer.
    pub(super) fn run_audits(&mut self, now: Timestamp) {
        if self.startup.is_some() {
            return;
        }
        let moving = self.is_moving();
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers.get_mut(at) else { break };
            if peer.audit.is_running() {
                if peer.audit.until <= now {
                    peer.audit.reset();
                    peer.audit.wanted = Some(now.after(ANSWER_PATIENCE));
                    self.stats.audits_failed += 1;
                }
                continue;
            }
            let due = peer.audit.wanted.is_some_and(|at| at <= now);
            if due && moving {
                peer.audit.wanted = Some(now.after(MOVING_PATIENCE));
                continue;
            }
            if due && peer.is_established() && peer.link.is_some() {
                let id = peer.id;
                peer.audit.wanted = None;
                self.begin_audit(now, id);
            } else if due {
                // It wants a link, and says so itself when it has one.
                peer.audit.wanted = None;
            }
        }
    }

    fn begin_audit(&mut self, now: Timestamp, id: RegistrarId) {
        self.stats.audits += 1;
        let Some(peer) = self.peer_mut(id) else { return };
        peer.audit.until = now.after(ANSWER_PATIENCE);
        if peer.is_kin() {
            peer.audit.step = Step::Digesting;
            let purpose = Purpose::Digest { peer: id };
            match self.begin_round(self.map.shards(), purpose) {
                Some(token) => self.order_all(&Order::Digest { token, home: id }),
                None => {
                    if let Some(peer) = self.peer_mut(id) {
                        peer.audit.reset();
                    }
                }
            }
        } else {
            self.fetch(now, id, true, None);
        }
    }

    /// The digests of what is known of a peer's elements are there.
    pub(super) fn digested(&mut self, now: Timestamp, id: RegistrarId, own: Option<Digests>) {
        let Some(peer) = self.peer(id) else { return };
        if matches!(peer.audit.step, Step::Digesting) {
            let digests = own.unwrap_or_else(Digests::new);
            self.fetch(now, id, true, Some(&digests));
        }
    }

    /// Asks a peer for its elements, or for all it knows.
    pub(super) fn fetch(
        &mut self,
        now: Timestamp,
        id: RegistrarId,
        own_only: bool,
        digests: Option<&Digests>,
    ) {
        self.last_stamp = self.last_stamp.wrapping_add(1).max(1);
        self.last_session = self.last_session.wrapping_add(1);
        let (stamp, number, window) = (self.last_stamp, self.last_session, self.config.window);
        let Some(peer) = self.peer_mut(id) else { return };
        let Some(link) = peer.link else {
            peer.audit.reset();
            return;
        };
        let session = peer.is_kin().then_some(number);
        let outstanding = if session.is_some() { window.max(1) } else { 1 };
        peer.audit.stamp = stamp;
        peer.audit.until = now.after(ANSWER_PATIENCE);
        peer.audit.step = Step::Fetching(Fetch {
            link,
            session,
            own_only,
            buckets: [0xff; BUCKETS_LEN / 8],
            outstanding,
            ended: false,
        });
        self.request_table(link, id, own_only, session, digests);
        for _ in 1..outstanding {
            self.request_table(link, id, own_only, session, None);
        }
    }

    /// A Handle Table Response.
    pub(super) fn table_received(
        &mut self,
        now: Timestamp,
        id: LinkId,
        from: RegistrarId,
        response: &Response<'_>,
    ) {
        let Response { rejected, more, pools, extensions } = *response;
        let (kin, stamp) = match self.peer(from) {
            Some(peer) => (peer.is_kin(), peer.audit.stamp),
            None => return,
        };
        let session = extensions.session.map(|session| session.number);
        let window = self.config.window.max(1);
        let Some(peer) = self.peer_mut(from) else { return };
        let Step::Fetching(fetch) = &mut peer.audit.step else {
            self.stats.refused += 1;
            return;
        };
        if rejected {
            peer.audit.reset();
            self.stats.audits_failed += 1;
            self.table_ended(now, from, false);
            return;
        }
        if fetch.link != id || fetch.session != session || fetch.ended {
            // Of a fetch before, or an answer to a request too many.
            return;
        }
        fetch.outstanding = fetch.outstanding.saturating_sub(1);
        if let Some(buckets) = extensions.buckets {
            fetch.buckets = *buckets;
        }
        fetch.ended = !more;
        let (own_only, buckets) = (fetch.own_only, fetch.buckets);
        let again = more && fetch.outstanding < window;
        if again {
            fetch.outstanding += 1;
        }
        peer.audit.until = now.after(ANSWER_PATIENCE);
        self.stats.pages_received += 1;
        self.table_progress(now);
        if again {
            self.request_table(id, from, own_only, session, None);
        }
        self.apply_table(from, kin, own_only, stamp, pools);
        if more {
            return;
        }
        if own_only {
            self.sweep(from, &buckets, stamp);
        } else if let Some(peer) = self.peer_mut(from) {
            peer.audit.reset();
            self.table_ended(now, from, true);
        }
    }

    fn apply_table(
        &mut self,
        from: RegistrarId,
        kin: bool,
        own_only: bool,
        stamp: u16,
        pools: Pools<'_>,
    ) {
        let source = if own_only { Source::Audit } else { Source::Mentor };
        for pool in pools.iter() {
            let shard = self.map.shard_of(pool.handle);
            for (element, raw) in pool.elements.iter_raw() {
                if element.home.is_none() || own_only && element.home != from {
                    self.stats.updates_foreign += 1;
                    continue;
                }
                self.stats.page_elements += 1;
                let claim = Claim::in_element(raw).filter(|_| kin);
                let kin = claim.map_or(kin && own_only, |claim| !claim.lapses);
                let apply = Apply {
                    from: element.home,
                    source,
                    kin,
                    deleted: false,
                    suggested: false,
                    stamp,
                    claim,
                    handle: pool.handle,
                    element: raw,
                };
                self.order(shard, &Order::Apply(apply));
            }
        }
    }

    fn sweep(&mut self, home: RegistrarId, buckets: &BucketSet, stamp: u16) {
        let token = self.begin_round(self.map.shards(), Purpose::Sweep { peer: home });
        let Some(peer) = self.peer_mut(home) else { return };
        match token {
            Some(token) => {
                peer.audit.step = Step::Sweeping;
                self.order_all(&Order::Sweep { token, home, buckets, stamp });
            }
            None => peer.audit.reset(),
        }
    }

    /// An audit is through.
    pub(super) fn swept(&mut self, id: RegistrarId) {
        if let Some(peer) = self.peer_mut(id)
            && matches!(peer.audit.step, Step::Sweeping)
        {
            peer.audit.reset();
        }
    }
}
