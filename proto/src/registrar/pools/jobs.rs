//! What the registrar group orders: handle-table pages, digests, sweeps and
//! changes of homes, in small steps.

use rserpool_codec::enrp::extension::{
    BUCKETS_LEN, BucketSet, bucket_of, hash_bytes, identity_hash,
};
use rserpool_codec::parameter;
use rserpool_engine::{ElementKey, ElementRef, RegistrarId, RegistrationLife, TableCursor};

use super::{Effect, Pools, Turn};
use crate::enrp::{
    Digests, HOMES_MAX, News, Order, Standing, Tally, has_bucket, may_tell_others, write_element,
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
        /// Elements that the home had when this was ordered. Two orders that
        /// give the elements of each of two homes to the other end by that.
        left: u32,
    },
}

impl Pools {
    /// Does what the group orders, or notes it for [`Pools::work`].
    pub(in crate::registrar) fn obey(&mut self, turn: &mut Turn<'_>, order: &Order<'_>) -> Effect {
        let none = |home: RegistrarId| (!home.is_none()).then_some(home);
        let job = match *order {
            Order::Journal { renewals } => {
                if !self.journal.on {
                    self.mark_own(turn.config.engine.registrar);
                }
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
            Order::Rehome { token, from, to, kin } => {
                let left = self.space.elements_of_home(from);
                Job::Rehome { token, from, to, kin, left }
            }
        };
        self.jobs.push_back(job);
        Effect::default()
    }

    /// Keeps the standing of an element with it. To be called when that or the
    /// record is another than before: the digest of both is kept, too.
    pub(super) fn stand(&mut self, key: ElementKey, standing: Standing) {
        if let Some(element) = self.space.get(key) {
            let mark = digest(&element, standing);
            self.space.set_tag(key, standing.tag());
            self.space.set_mark(key, mark);
        }
    }

    /// Elements that registered before there was a group; few.
    fn mark_own(&mut self, own: RegistrarId) {
        let mut cursor = TableCursor::default();
        let mut keys = core::mem::take(&mut self.keys);
        let mut more = true;
        while more {
            more = self.space.handle_table(&mut cursor, Some(own), 128, &mut keys);
            for key in keys.drain(..) {
                self.stand(key, Standing::of_tag(self.space.tag(key)));
            }
        }
        self.keys = keys;
    }

    fn tell_sums(&mut self, token: u32) {
        let mut sums = Vec::new();
        for (home, checksum) in self.space.homes().take(HOMES_MAX) {
            sums.extend_from_slice(&home.get().to_be_bytes());
            Tally { checksum, values: self.space.mark_sum(home) }.emit(&mut sums);
        }
        self.journal.tell(&News::Sums { token, sums: &sums });
    }

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
                for key in &self.keys {
                    if let Some(element) = self.space.get(*key) {
                        let bucket = bucket_of(element.handle(), element.pe());
                        sums.add(bucket, self.space.mark(*key));
                    }
                }
                if !more {
                    let mut bytes = Vec::with_capacity(BUCKETS_LEN * 8);
                    sums.emit(&mut bytes);
                    self.journal.tell(&News::Digest { token: *token, sums: &bytes });
                }
                (self.keys.len(), !more)
            }
            Job::Sweep { token, home, buckets, stamp, cursor } => {
                let mut keys = core::mem::take(&mut self.keys);
                let more = self.space.handle_table(cursor, Some(*home), budget, &mut keys);
                let used = keys.len();
                for key in keys.drain(..) {
                    self.sweep(turn, key, buckets, *stamp);
                }
                self.keys = keys;
                if !more {
                    self.journal.tell(&News::Done { token: *token });
                }
                (used, !more)
            }
            Job::Take { token, from } => {
                let me = turn.config.engine.registrar;
                let used = self.take_some(turn, *from, budget);
                self.journal.own(&self.space, me);
                self.step_done(*token, used, budget)
            }
            Job::Rehome { token, from, to, kin, left } => {
                let most = budget.min(usize::try_from(*left).unwrap_or(usize::MAX));
                let used = self.rehome_some(turn, *from, *to, *kin, most);
                *left = left.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
                let done = *left == 0 || used < most;
                if done {
                    self.journal.tell(&News::Done { token: *token });
                }
                (used, done)
            }
        }
    }

    fn step_done(&mut self, token: u32, used: usize, budget: usize) -> (usize, bool) {
        if used < budget {
            self.journal.tell(&News::Done { token });
        }
        (used, used < budget)
    }

    /// Removes an element that an audit has not seen at its home.
    fn sweep(&mut self, turn: &mut Turn<'_>, key: ElementKey, buckets: &BucketSet, stamp: u16) {
        let Some(element) = self.space.get(key) else { return };
        let bucket = bucket_of(element.handle(), element.pe());
        let seen = Standing::of_tag(self.space.tag(key)).stamp == stamp;
        if seen || !has_bucket(buckets, bucket) || self.doubt(key, 0) {
            return;
        }
        turn.stats.swept += 1;
        if let Some(association) = self.drop_silently(turn, key) {
            self.partings.release(association);
        }
    }

    /// Takes over up to `budget` elements of a home. Returns how many; fewer
    /// than `budget`: all are done.
    fn take_some(&mut self, turn: &mut Turn<'_>, from: RegistrarId, budget: usize) -> usize {
        for used in 0..budget {
            let key = self.space.first_of_home(from);
            let Some(key) = key.filter(|_| from != turn.config.engine.registrar) else {
                return used;
            };
            turn.stats.taken_over += 1;
            self.take(turn, key);
        }
        budget
    }

    /// Gives up to `budget` elements of a home to another. Returns as
    /// [`Pools::take_some`] does.
    fn rehome_some(
        &mut self,
        turn: &Turn<'_>,
        from: RegistrarId,
        to: RegistrarId,
        kin: bool,
        budget: usize,
    ) -> usize {
        for used in 0..budget {
            let key = self.space.first_of_home(from).filter(|_| from != to);
            let Some(key) = key else { return used };
            let standing = Standing::of_tag(self.space.tag(key));
            self.space.set_home(turn.now, key, to);
            let standing = Standing { provisional: true, lapses: !kin, ..standing };
            self.stand(key, standing);
            if kin {
                self.space.start_life(turn.now, key, RegistrationLife::Infinite);
            } else {
                self.start_life(turn, key);
            }
        }
        budget
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
                parameters,
            });
        }
        (used, done)
    }
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

#[cfg(test)]
mod tests {
    use rserpool_engine::{
        ChannelUse, PeId, Policy, PoolHandle, Registration, Timestamp, TransportKind,
    };

    use super::*;
    use crate::registrar::{Config, Stats};

    #[test]
    fn two_homes_that_are_given_to_each_other_come_to_an_end() {
        let config = Config::default();
        let mut pools = Pools::new(&config);
        let now = Timestamp::from_micros(1);
        let homes = [RegistrarId::new(7), RegistrarId::new(8)];
        for (number, home) in (1..=100).zip(homes.into_iter().cycle()) {
            let registration = Registration {
                handle: PoolHandle::new(b"pool"),
                pe: PeId::new(number),
                home,
                association: None,
                life: RegistrationLife::Infinite,
                policy: Policy::RoundRobin,
                transport: TransportKind::Tcp,
                channel_use: ChannelUse::Data,
                record: b"",
            };
            pools.space.register(now, &registration).unwrap();
        }
        let mut stats = Stats::default();
        let mut turn = Turn { config: &config, dialect: config.sctp, stats: &mut stats, now };
        for (token, (from, to)) in (1..).zip([(homes[0], homes[1]), (homes[1], homes[0])]) {
            pools.obey(&mut turn, &Order::Rehome { token, from, to, kin: true });
        }
        let used: usize = (0..1000).map(|_| pools.work(&mut turn, 16)).sum();
        assert!(!pools.has_jobs() && used <= 200, "{used}");
    }
}
