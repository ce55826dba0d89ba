//! What strangers may cost: how often a source is answered, how many
//! associations it may have, and which tags must not come back yet.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ahash::RandomState;

use super::config::Rate;

/// Buckets of a rate table. Sources share buckets; a stranger cannot tell
/// which, since the hash is keyed.
const BUCKETS: usize = 4096;
/// A thousandth of an event.
const EVENT: u64 = 1000;

/// The part of an address that one stranger commands: an IPv4 address, or the
/// network of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(u64);

impl Source {
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip {
            // An IPv4 address cannot look like the network ::/64 of IPv6.
            IpAddr::V4(ip) => Self(0xffff_0000_0000 | u64::from(ip.to_bits())),
            IpAddr::V6(ip) => Self(u64::try_from(ip.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths of an event that are left.
    left: u64,
    /// Milliseconds since the table was made.
    at: u64,
}

/// Counts how often each source is answered, in a fixed amount of memory.
#[derive(Debug)]
pub(super) struct RateTable {
    rate: Rate,
    start: Instant,
    hash: RandomState,
    buckets: Vec<Bucket>,
}

impl RateTable {
    pub(super) fn new(rate: Rate, start: Instant, hash: RandomState) -> Self {
        let full = Bucket { left: u64::from(rate.burst) * EVENT, at: 0 };
        Self { rate, start, hash, buckets: vec![full; BUCKETS] }
    }

    /// Whether the source may be answered once more.
    pub(super) fn allows(&mut self, now: Instant, ip: IpAddr) -> bool {
        let hash = self.hash.hash_one(Source::of(ip));
        let index = usize::try_from(hash).unwrap_or(0) % BUCKETS;
        let elapsed = now.saturating_duration_since(self.start).as_millis();
        let at = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let bucket = &mut self.buckets[index];
        let gained = at.saturating_sub(bucket.at).saturating_mul(u64::from(self.rate.per_second));
        let most = u64::from(self.rate.burst) * EVENT;
        bucket.left = bucket.left.saturating_add(gained).min(most);
        bucket.at = at;
        match bucket.left.checked_sub(EVENT) {
            Some(left) => {
                bucket.left = left;
                true
            }
            None => false,
        }
    }
}

/// How many accepted associations each source has. One entry a source that has
/// any.
#[derive(Debug)]
pub(super) struct SourceCounts {
    counts: HashMap<Source, u32, RandomState>,
    max: u32,
}

impl SourceCounts {
    pub(super) fn new(max: u32, hash: RandomState) -> Self {
        Self { counts: HashMap::with_hasher(hash), max }
    }

    pub(super) fn has_room(&self, ip: IpAddr) -> bool {
        self.counts.get(&Source::of(ip)).is_none_or(|count| *count < self.max)
    }

    pub(super) fn add(&mut self, ip: IpAddr) {
        *self.counts.entry(Source::of(ip)).or_insert(0) += 1;
    }

    pub(super) fn remove(&mut self, ip: IpAddr) {
        let source = Source::of(ip);
        if let Some(count) = self.counts.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&source);
            }
        }
    }
}

/// Tags of associations that are gone, until no cookie can bring them back: a
/// recorded cookie must not set the same association up twice.
#[derive(Debug)]
pub(super) struct RetiredTags {
    tags: HashSet<u32, RandomState>,
    by_age: VecDeque<(Instant, u32)>,
    life: Duration,
}

impl RetiredTags {
    /// Tags kept at once; beyond it the oldest are forgotten early.
    const MAX: usize = 65_536;

    pub(super) fn new(life: Duration, hash: RandomState) -> Self {
        Self { tags: HashSet::with_hasher(hash), by_age: VecDeque::new(), life }
    }

    pub(super) fn retire(&mut self, now: Instant, tag: u32) {
        self.forget(now);
        if self.by_age.len() >= Self::MAX
            && let Some((_, oldest)) = self.by_age.pop_front()
        {
            self.tags.remove(&oldest);
        }
        if self.tags.insert(tag) {
            self.by_age.push_back((now + self.life, tag));
        }
    }

    pub(super) fn contains(&mut self, now: Instant, tag: u32) -> bool {
        self.forget(now);
        self.tags.contains(&tag)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((until, tag)) = self.by_age.front().copied() {
            if until > now {
                break;
            }
            self.by_age.pop_front();
            self.tags.remove(&tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn hash() -> RandomState {
        RandomState::with_seeds(1, 2, 3, 4)
    }

    #[test]
    fn a_source_is_answered_at_its_rate_after_its_burst() {
        let start = Instant::now();
        let mut table = RateTable::new(Rate { per_second: 10, burst: 5 }, start, hash());
        let ip = IpAddr::from([192, 0, 2, 1]);
        let mut answered = |now| (0..100).filter(|_| table.allows(now, ip)).count();
        assert_eq!(answered(start), 5);
        assert_eq!(answered(start + Duration::from_millis(99)), 0);
        assert_eq!(answered(start + Duration::from_millis(100)), 1);
        assert_eq!(answered(start + Duration::from_millis(350)), 2);
        assert_eq!(answered(start + Duration::from_secs(3600)), 5);
    }

    #[test]
    fn one_flooding_source_leaves_nearly_all_others_alone() {
        let start = Instant::now();
        let mut table = RateTable::new(Rate { per_second: 10, burst: 5 }, start, hash());
        let flood = IpAddr::from([192, 0, 2, 1]);
        assert!((0..1000).filter(|_| table.allows(start, flood)).count() == 5);
        let others =
            (0..1000u16).map(|n| IpAddr::from([198, 51, n.to_be_bytes()[0], n.to_be_bytes()[1]]));
        assert!(others.filter(|ip| table.allows(start, *ip)).count() > 990);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let ip = |last| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last));
        assert_eq!(Source::of(ip(1)), Source::of(ip(2)));
        let other = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1));
        assert_ne!(Source::of(ip(1)), Source::of(other));
        let v4 = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        assert_ne!(Source::of(v4), Source::of(IpAddr::from(Ipv4Addr::new(192, 0, 2, 2))));
    }

    #[test]
    fn counts_end_with_the_last_association() {
        let mut counts = SourceCounts::new(2, hash());
        let ip = IpAddr::from([192, 0, 2, 1]);
        counts.add(ip);
        assert!(counts.has_room(ip));
        counts.add(ip);
        assert!(!counts.has_room(ip));
        counts.remove(ip);
        assert!(counts.has_room(ip));
        counts.remove(ip);
        counts.remove(ip);
        assert!(counts.counts.is_empty());
    }

    #[test]
    fn tags_are_retired_for_the_life_of_a_cookie() {
        let start = Instant::now();
        let life = Duration::from_secs(60);
        let mut retired = RetiredTags::new(life, hash());
        retired.retire(start, 7);
        assert!(retired.contains(start + Duration::from_secs(59), 7));
        assert!(!retired.contains(start + Duration::from_secs(60), 7));
        for tag in 0..200_000 {
            retired.retire(start, tag);
        }
        assert_eq!(retired.tags.len(), RetiredTags::MAX);
        assert_eq!(retired.by_age.len(), RetiredTags::MAX);
        assert!(retired.contains(start, 199_999));
    }
}
