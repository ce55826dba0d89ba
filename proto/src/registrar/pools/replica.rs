//! Pool elements of other registrars, and what the registrar group orders.
//!
//! Which of two registrars that claim an element is its home, the order of
//! claims decides ([`Standing`]). A registrar that holds the greater claim
//! answers the smaller one with its own, so that the other hears of it.

use core::net::SocketAddr;

use rserpool_codec::asap::Message;
use rserpool_codec::enrp::extension::{
    BUCKETS_LEN, BucketSet, bucket_of, hash_bytes, identity_hash,
};
use rserpool_codec::{Element, Transport, parameter};
use rserpool_engine::{
    AssociationId, ElementKey, ElementRef, Outcome, PeChecksum, RegistrarId, Registration,
    RegistrationLife, TableCursor,
};

use super::super::journal::Change;
use super::{Effect, Pools, Turn};
use crate::enrp::{
    Apply, Digests, HOMES_MAX, News, Order, Source, Standing, has_bucket, may_tell_others,
    split_record, write_element,
};

/// Elements of a handle-table response to another kind: rsplib takes no more.
const OTHERS_MAX: u32 = 128;
/// Longest handle another kind is told of.
const OTHERS_HANDLE_MAX: usize = 32;

/// Something the group ordered that takes more than one turn.
#[derive(Debug)]
pub(in crate::registrar) enum Job {
    Page {
        token: u32,
        home: Option<RegistrarId>,
        buckets: Option<Box<BucketSet>>,
        cursor: TableCursor,
        bytes_max: usize,
        kin: bool,
        elements: u32,
        parameters: Vec<u8>,
        /// Where the handle of the last pool is in `parameters`.
        handle: core::ops::Range<usize>,
    },
    Digest {
        token: u32,
        home: RegistrarId,
        cursor: TableCursor,
        sums: Digests,
    },
    Sweep {
        token: u32,
        home: RegistrarId,
        buckets: Box<BucketSet>,
        stamp: u16,
        cursor: TableCursor,
    },
    Take {
        token: u32,
        from: RegistrarId,
    },
    Rehome {
        token: u32,
        from: RegistrarId,
        to: RegistrarId,
        kin: bool,
    },
}

impl Pools {
    /// Does what the group orders, or notes it for [`Pools::work`].
    pub(in crate::registrar) fn obey(&mut self, turn: &mut Turn<'_>, order: &Order<'_>) -> Effect {
        let none = |home: RegistrarId| (!home.is_none()).then_some(home);
        let job = match *order {
            Order::Journal { renewals } => {
                self.journal.on = true;
                self.journal.renewals = renewals;
                self.journal.own(&self.space, turn.config.engine.registrar);
                return Effect::default();
            }
            Order::Apply(ref apply) => return self.apply(turn, apply),
            Order::Sums { token } => {
                self.tell_sums(token);
                return Effect::default();
            }
            Order::Page { token, home, buckets, cursor, bytes_max, kin } => Job::Page {
                token,
                home: none(home),
                buckets: buckets.map(|set| Box::new(*set)),
                cursor: TableCursor::from_bits(cursor),
                bytes_max: bytes_max as usize,
                kin,
                elements: 0,
                parameters: Vec::new(),
                handle: 0..0,
            },
            Order::Digest { token, home } => {
                Job::Digest { token, home, cursor: TableCursor::default(), sums: Digests::new() }
            }
            Order::Sweep { token, home, buckets, stamp } => Job::Sweep {
                token,
                home,
                buckets: Box::new(*buckets),
                stamp,
                cursor: TableCursor::default(),
            },
            Order::Take { token, from } => Job::Take { token, from },
            Order::Rehome { token, from, to, kin } => Job::Rehome { token, from, to, kin },
        };
        self.jobs.push_back(job);
        Effect::default()
    }

    fn tell_sums(&mut self, token: u32) {
        let mut sums = Vec::new();
        for (home, sum) in self.space.homes().take(HOMES_MAX) {
            sums.extend_from_slice(&home.get().to_be_bytes());
            sums.extend_from_slice(&sum.to_bits().to_be_bytes());
        }
        self.journal.tell(&News::Sums { token, sums: &sums });
    }

    // What peers say.

    /// An element as a peer describes it.
    fn apply(&mut self, turn: &mut Turn<'_>, apply: &Apply<'_>) -> Effect {
        let Ok(element) = Element::parse(apply.element) else { return Effect::default() };
        let key = self.space.find(apply.handle, element.pe);
        let present = key.and_then(|key| self.space.get(key));
        match (present, apply.deleted) {
            (None, true) => {
                self.bury_claimed(turn, apply, &element);
                Effect::default()
            }
            (None, false) => self.appears(turn, apply, &element),
            (Some(present), true) => {
                let (key, home) = (present.key(), present.home());
                let association = present.association();
                self.departs(turn, apply, &element, key, home, association)
            }
            (Some(present), false) => {
                let (key, home) = (present.key(), present.home());
                let association = present.association();
                self.changes(turn, apply, &element, key, home, association)
            }
        }
    }

    fn bury_claimed(&mut self, turn: &Turn<'_>, apply: &Apply<'_>, element: &Element<'_>) {
        if let Some(claim) = apply.claim.filter(|claim| claim.left) {
            let name = identity_hash(apply.handle, element.pe);
            self.graves.bury(turn.now, name, claim.term);
        }
    }

    /// An element that is not here.
    fn appears(&mut self, turn: &mut Turn<'_>, apply: &Apply<'_>, element: &Element<'_>) -> Effect {
        let me = turn.config.engine.registrar;
        if apply.from == me && apply.source != Source::Mentor {
            return Effect::default();
        }
        let name = identity_hash(apply.handle, element.pe);
        let last = self.graves.term(turn.now, name);
        match apply.claim {
            Some(claim) if last > 0 && claim.term <= last => {
                // It left, and the sender does not know. Unless it holds the
                // element: then it says so with a greater claim.
                let claim = Standing { term: last, ..Standing::default() }.claim(true);
                let own = self.space.checksum(me);
                let change = Change { deleted: true, renewal: false, claim };
                if self.record_of(turn, element, true) {
                    let (handle, pe) = (apply.handle, element.pe);
                    self.journal.update(own, change, handle, pe, &self.record);
                }
                return Effect::default();
            }
            _ => self.graves.exhume(name),
        }
        let standing = Standing::of_claim(apply.claim.unwrap_or_default(), apply.stamp);
        let standing = Standing { term: standing.term.max(last), ..standing };
        if apply.from == me {
            self.adopt(turn, apply, element, standing);
        } else {
            self.replace(turn, apply, element, standing);
        }
        Effect::default()
    }

    /// A mentor says that this registrar is the element's home: it was, before
    /// it restarted.
    fn adopt(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        standing: Standing,
    ) {
        let me = turn.config.engine.registrar;
        if let Some(key) = self.replace(turn, apply, element, standing) {
            self.take(turn, key);
            self.journal.own(&self.space, me);
        }
    }

    /// Registers an element of another home, or of this one if a mentor says
    /// so, with all its attributes.
    fn replace(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        standing: Standing,
    ) -> Option<ElementKey> {
        let standing = Standing { lapses: !apply.kin, ..standing };
        let life = turn.config.sctp.life_unit.from_wire(element.life)?;
        if !self.record_of(turn, element, !standing.unreachable) {
            return None;
        }
        let registration = Registration {
            handle: apply.handle,
            pe: element.pe,
            home: apply.from,
            association: None,
            // A home of our own kind says when it is over.
            life: if apply.kin { RegistrationLife::Infinite } else { life },
            policy: element.policy,
            transport: element.user_transport.kind,
            channel_use: element.user_transport.channel_use,
            record: &self.record,
        };
        match self.space.register(turn.now, &registration) {
            Ok(registered) => {
                turn.stats.replicated += 1;
                if registered.outcome != Outcome::Renewed {
                    self.subscriptions.changed(turn.now, registration.handle);
                }
                self.suspects.forget(registered.key);
                self.space.set_tag(registered.key, standing.tag());
                Some(registered.key)
            }
            Err(_) => {
                turn.stats.replicas_refused += 1;
                None
            }
        }
    }

    /// Leaves the record of a peer's element in `self.record`.
    fn record_of(&mut self, turn: &Turn<'_>, element: &Element<'_>, reachable: bool) -> bool {
        let form = turn.config.sctp.length_form;
        self.record.clear();
        let kept = Element { asap_transport: None, ..*element };
        let mut written = kept.emit(&mut self.record, form);
        if let Some(asap) = element.asap_transport.filter(|_| reachable) {
            written = written.and_then(|()| asap.emit(&mut self.record, form));
        }
        written.is_ok()
    }

    /// A peer says that an element is gone.
    fn departs(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        key: ElementKey,
        home: RegistrarId,
        association: Option<AssociationId>,
    ) -> Effect {
        let me = turn.config.engine.registrar;
        let standing = Standing::of_tag(self.space.tag(key));
        let theirs = apply.claim.map(|claim| (claim, Standing::of_claim(claim, apply.stamp)));
        let counts = match theirs {
            // By the letter of the RFC, but only from the home.
            None => home == apply.from,
            Some((_, theirs)) if home == apply.from => theirs.term >= standing.term,
            // A home before knows that the element left, rather than that it
            // fell silent: it was not for this home to keep.
            Some((claim, theirs)) => claim.left && theirs.beats(apply.from, standing, home),
        };
        if !counts {
            turn.stats.stale_updates += 1;
            return Effect::default();
        }
        if home == me && association.is_some() {
            // It is right here.
            let term = theirs.map_or(standing.term, |(_, theirs)| theirs.term);
            let standing = Standing { term, ..standing }.heard(true);
            self.space.set_tag(key, standing.tag());
            self.assert_home(turn, key);
            return Effect::default();
        }
        self.bury_claimed(turn, apply, element);
        let released = self.drop_silently(turn, key);
        if home == me {
            self.journal.own(&self.space, me);
        }
        Effect { added: false, released }
    }

    /// A peer says what an element that is here is like.
    fn changes(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        key: ElementKey,
        home: RegistrarId,
        association: Option<AssociationId>,
    ) -> Effect {
        let me = turn.config.engine.registrar;
        let standing = Standing::of_tag(self.space.tag(key));
        if apply.from == me {
            // Nobody tells this registrar what is its own, but a mentor.
            return Effect::default();
        }
        let theirs = apply.claim.map(|claim| Standing::of_claim(claim, apply.stamp));
        let counts = match theirs {
            _ if home == apply.from => apply.source != Source::Mentor || home != me,
            Some(theirs) => theirs.beats(apply.from, standing, home),
            // Without a claim it is a registration there, unless the element
            // is right here; what a mentor says is hearsay.
            None => apply.source != Source::Mentor && !(home == me && association.is_some()),
        };
        if !counts {
            turn.stats.stale_updates += 1;
            if home == me {
                self.assert_home(turn, key);
            }
            return Effect::default();
        }
        let theirs = theirs.unwrap_or(Standing {
            // Any claim of our own kind in this term is greater.
            provisional: true,
            stamp: apply.stamp,
            lapses: true,
            ..standing
        });
        let before = self.space.get(key).and_then(|element| element.association());
        if self.replace(turn, apply, element, theirs).is_none() {
            return Effect::default();
        }
        if home == me {
            self.journal.own(&self.space, me);
        }
        Effect { added: false, released: before }
    }

    /// Tells all peers that this registrar is the element's home.
    pub(super) fn assert_home(&mut self, turn: &Turn<'_>, key: ElementKey) {
        let Some(element) = self.space.get(key) else { return };
        let claim = Standing::of_tag(self.space.tag(key)).claim(false);
        let change = Change { deleted: false, renewal: false, claim };
        let own = self.space.checksum(turn.config.engine.registrar);
        self.journal.update(own, change, element.handle(), element.pe(), element.record());
    }

    /// Removes an element; peers know, or need not.
    fn drop_silently(&mut self, turn: &Turn<'_>, key: ElementKey) -> Option<AssociationId> {
        let element = self.space.get(key)?;
        let association = element.association();
        self.subscriptions.changed(turn.now, element.handle());
        self.suspects.forget(key);
        self.space.remove(key);
        association
    }

    /// Tells all peers that an own element is going to be removed. `left`: it
    /// deregistered, or its registration life is over.
    pub(super) fn tell_removal(&mut self, turn: &Turn<'_>, key: ElementKey, left: bool) {
        let me = turn.config.engine.registrar;
        let Some(element) = self.space.get(key) else { return };
        if !self.journal.on || element.home() != me {
            return;
        }
        let claim = Standing::of_tag(self.space.tag(key)).claim(left);
        let mut own = self.space.checksum(me);
        own.subtract(PeChecksum::of(element.handle(), element.pe()));
        let change = Change { deleted: true, renewal: false, claim };
        if left {
            let name = identity_hash(element.handle(), element.pe());
            self.graves.bury(turn.now, name, claim.term);
        }
        self.journal.update(own, change, element.handle(), element.pe(), element.record());
    }

    // Elements that were taken over.

    /// The element is this registrar's now, by its own word.
    fn take(&mut self, turn: &Turn<'_>, key: ElementKey) {
        let standing = Standing::of_tag(self.space.tag(key));
        self.space.set_home(turn.now, key, turn.config.engine.registrar);
        let standing = Standing { provisional: true, lapses: false, ..standing };
        self.space.set_tag(key, standing.tag());
        self.start_life(turn, key);
        if self.space.get(key).is_some_and(|element| asap_address(&element).is_none()) {
            // There is no way to ask it.
            self.space.keep_alive_acked(turn.now, key);
        }
    }

    /// Starts the registration life that an element registered with.
    fn start_life(&mut self, turn: &Turn<'_>, key: ElementKey) {
        let record = self.space.get(key).map(|element| element.record());
        let wire = record.and_then(|record| record.get(12..16)?.try_into().ok());
        let life =
            wire.and_then(|wire| turn.config.sctp.life_unit.from_wire(i32::from_be_bytes(wire)));
        if let Some(life) = life {
            self.space.start_life(turn.now, key, life);
        }
    }

    /// An element without an association that this registrar called answers:
    /// it is its home for good.
    pub(super) fn answered_call(&mut self, turn: &mut Turn<'_>, key: ElementKey) {
        let standing = Standing::of_tag(self.space.tag(key));
        self.space.set_tag(key, standing.heard(false).tag());
        if standing.provisional {
            turn.stats.confirmed += 1;
            self.assert_home(turn, key);
        }
    }

    /// Where to call an own element that has no association here; `None`: it
    /// cannot be called.
    pub(super) fn call_address(&self, key: ElementKey) -> Option<SocketAddr> {
        asap_address(&self.space.get(key)?)
    }

    // Jobs.

    /// Whether there is something for [`Pools::work`].
    pub(in crate::registrar) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Works on what the group ordered, on about `budget` elements. Returns
    /// how many it was.
    pub(in crate::registrar) fn work(&mut self, turn: &mut Turn<'_>, budget: usize) -> usize {
        let mut left = budget;
        while left > 0 {
            let Some(mut job) = self.jobs.pop_front() else { break };
            let (used, done) = self.step(turn, &mut job, left);
            left = left.saturating_sub(used.max(1));
            if !done {
                // The others have their turn, too.
                self.jobs.push_back(job);
            }
        }
        budget - left
    }

    fn step(&mut self, turn: &mut Turn<'_>, job: &mut Job, budget: usize) -> (usize, bool) {
        match job {
            Job::Page { .. } => self.step_page(turn, job, budget),
            Job::Digest { token, home, cursor, sums } => {
                let more = self.space.handle_table(cursor, Some(*home), budget, &mut self.keys);
                let used = self.keys.len();
                for key in &self.keys {
                    if let Some(element) = self.space.get(*key) {
                        let standing = Standing::of_tag(self.space.tag(*key));
                        let bucket = bucket_of(element.handle(), element.pe());
                        sums.add(bucket, digest(&element, standing));
                    }
                }
                if !more {
                    let mut bytes = Vec::with_capacity(BUCKETS_LEN * 8);
                    sums.emit(&mut bytes);
                    self.journal.tell(&News::Digest { token: *token, sums: &bytes });
                }
                (used, !more)
            }
            Job::Sweep { token, home, buckets, stamp, cursor } => {
                let (token, home, stamp) = (*token, *home, *stamp);
                let mut keys = core::mem::take(&mut self.keys);
                let more = self.space.handle_table(cursor, Some(home), budget, &mut keys);
                let used = keys.len();
                for key in keys.drain(..) {
                    let Some(element) = self.space.get(key) else { continue };
                    let bucket = bucket_of(element.handle(), element.pe());
                    let seen = Standing::of_tag(self.space.tag(key)).stamp == stamp;
                    if !seen && has_bucket(buckets, bucket) {
                        turn.stats.swept += 1;
                        self.drop_silently(turn, key);
                    }
                }
                self.keys = keys;
                if !more {
                    self.journal.tell(&News::Done { token });
                }
                (used, !more)
            }
            Job::Take { token, from } => {
                let (token, from) = (*token, *from);
                let me = turn.config.engine.registrar;
                for used in 0..budget {
                    let Some(key) = self.space.first_of_home(from).filter(|_| from != me) else {
                        self.journal.own(&self.space, me);
                        self.journal.tell(&News::Done { token });
                        return (used, true);
                    };
                    turn.stats.taken_over += 1;
                    self.take(turn, key);
                }
                self.journal.own(&self.space, me);
                (budget, false)
            }
            Job::Rehome { token, from, to, kin } => {
                let (token, from, to, kin) = (*token, *from, *to, *kin);
                for used in 0..budget {
                    let Some(key) = self.space.first_of_home(from).filter(|_| from != to) else {
                        self.journal.tell(&News::Done { token });
                        return (used, true);
                    };
                    let standing = Standing::of_tag(self.space.tag(key));
                    self.space.set_home(turn.now, key, to);
                    let standing = Standing { provisional: true, lapses: !kin, ..standing };
                    self.space.set_tag(key, standing.tag());
                    if !kin {
                        self.start_life(turn, key);
                    } else {
                        self.space.start_life(turn.now, key, RegistrationLife::Infinite);
                    }
                }
                (budget, false)
            }
        }
    }

    fn step_page(&mut self, turn: &mut Turn<'_>, job: &mut Job, budget: usize) -> (usize, bool) {
        let Job::Page {
            token,
            home,
            buckets,
            cursor,
            bytes_max,
            kin,
            elements,
            parameters,
            handle: last,
        } = job
        else {
            return (0, true);
        };
        let mut keys = core::mem::take(&mut self.keys);
        let (mut used, mut full, mut more) = (0, false, true);
        while used < budget && more && !full {
            let before = cursor.clone();
            more = self.space.handle_table(cursor, *home, 1, &mut keys);
            used += 1;
            let Some(element) = keys.first().and_then(|key| self.space.get(*key)) else { continue };
            let (handle, record) = (element.handle(), element.record());
            let skip = match (&buckets, *kin) {
                (Some(set), _) => !has_bucket(set, bucket_of(handle, element.pe())),
                (None, kin) => !kin && !may_tell_others(handle, record, OTHERS_HANDLE_MAX),
            };
            if skip {
                continue;
            }
            let start = parameters.len();
            let same = last.start < last.end
                && parameters.get(last.clone()).is_some_and(|it| it == handle.as_bytes());
            let mut written = same || parameter::emit_pool_handle(handle, parameters).is_ok();
            let claim = Standing::of_tag(self.space.tag(element.key())).claim(false);
            let claim = kin.then_some(claim);
            written = written && write_element(parameters, record, element.home(), *kin, claim);
            if !written {
                parameters.truncate(start);
                continue;
            }
            if parameters.len() > *bytes_max && start > 0 {
                parameters.truncate(start);
                *cursor = before;
                (full, more) = (true, true);
                break;
            }
            if !same {
                *last = start + 4..start + 4 + handle.as_bytes().len();
            }
            *elements += 1;
            full = !*kin && *elements >= OTHERS_MAX;
        }
        self.keys = keys;
        let done = full || !more;
        if done {
            turn.stats.pages += 1;
            self.journal.tell(&News::Page {
                token: *token,
                cursor: cursor.to_bits(),
                done: !more,
                elements: *elements,
                parameters,
            });
        }
        (used, done)
    }

    /// The keep-alive that makes an element this registrar's, or keeps it so.
    pub(super) fn emit_call(
        &self,
        turn: &mut Turn<'_>,
        element: &ElementRef<'_>,
        out: &mut Vec<u8>,
    ) {
        let message = Message::KeepAlive {
            registrar: turn.config.engine.registrar,
            take_home: true,
            handle: element.handle(),
            pe: Some(element.pe()),
        };
        super::emit(turn, &message, out);
    }
}

/// Where an element takes ASAP from registrars that call it.
fn asap_address(element: &ElementRef<'_>) -> Option<SocketAddr> {
    let (_, asap) = split_record(element.record())?;
    if asap.is_empty() {
        return None;
    }
    let transport = Transport::parse(asap).ok()?;
    let address = transport.addresses.iter().find(|address| !address.is_unspecified())?;
    Some(SocketAddr::new(address, transport.port))
}

/// What an audit compares of an element: all but its home, which is a part of
/// the question.
fn digest(element: &ElementRef<'_>, standing: Standing) -> u64 {
    let record = element.record();
    let name = identity_hash(element.handle(), element.pe());
    let (before, after) = record.split_at_checked(12).unwrap_or((record, &[]));
    let head = hash_bytes(before.get(..8).unwrap_or(before), name);
    let standing = u64::from(standing.term) << 1 | u64::from(standing.provisional);
    hash_bytes(after, head ^ hash_bytes(&standing.to_be_bytes(), 1))
}
