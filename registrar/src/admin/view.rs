//! What the shards hold, as the admin server shows it.

use core::time::Duration;
use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use rserpool_codec::Element;
use rserpool_engine::{
    ElementRef, Handlespace, Policy, PoolHandle, PoolRef, RegistrationLife, ShardId, ShardMap,
};
use serde::Serialize;

use crate::Bound;
use crate::rt::{Control, Inbox};
use crate::shard::Shard;
use crate::stats::{ShardStats, Traffic};

/// How long a shard may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Places for pools that are looked at in one go: some may be empty.
const PLACES_AT_ONCE: u32 = 1024;
/// Elements that are described in one go.
const ELEMENTS_AT_ONCE: usize = 256;

/// A shard did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silent(pub(super) u16);

/// The way to the shards.
pub(crate) struct View {
    pub(crate) bound: Bound,
    pub(crate) map: ShardMap,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) started: Instant,
}

/// A registrar at a glance.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub(super) version: &'static str,
    pub(super) id: String,
    pub(super) uptime_seconds: f64,
    pub(super) host: String,
    pub(super) asap: Vec<String>,
    pub(super) connections_max: u32,
    pub(super) pools: u64,
    pub(super) elements: u64,
    pub(super) shards: Vec<ShardStatus>,
}

/// A shard at a glance.
#[derive(Debug, Serialize)]
pub(super) struct ShardStatus {
    pub(super) shard: u16,
    pub(super) cpu: usize,
    pub(super) connections: u64,
    pub(super) pools: u64,
    pub(super) elements: u64,
    pub(super) counts: Vec<Count>,
}

/// One thing that was counted since the start.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Count {
    pub(super) name: &'static str,
    pub(super) count: u64,
}

/// Some pools.
#[derive(Debug, Serialize)]
pub(super) struct Pools {
    pools: Vec<PoolLine>,
    /// Where to go on; none at the end.
    next: Option<u64>,
}

/// A pool in a list.
#[derive(Debug, Serialize)]
pub(super) struct PoolLine {
    /// The pool handle where it is text, with what is not replaced.
    handle: String,
    handle_hex: String,
    policy: String,
    transport: String,
    elements: u32,
    shard: u16,
}

/// A pool and some of its elements.
#[derive(Debug, Serialize)]
pub(super) struct PoolPage {
    #[serde(flatten)]
    pool: PoolLine,
    list: Vec<ElementLine>,
    /// Where to go on; none at the end.
    next: Option<u32>,
}

/// A pool element.
#[derive(Debug, Serialize)]
struct ElementLine {
    id: String,
    home: String,
    policy: String,
    transport: String,
    addresses: Vec<String>,
    life_seconds: Option<f64>,
    drained: bool,
    /// A keep-alive to it is not answered yet.
    awaited: bool,
    reports: u8,
    /// Where it registered from, if that was here.
    registered_from: Option<String>,
}

impl View {
    /// Asks a shard; the answer has to be quick to give.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        shard: u16,
        question: impl FnOnce(&Shard) -> T + Send + 'static,
    ) -> Result<T, Silent> {
        let (answer, answered) = mpsc::channel();
        let inbox = self.inboxes.get(usize::from(shard)).ok_or(Silent(shard))?;
        inbox.tell(Control::Look(Box::new(move |seen: &Shard| {
            // Nobody waits any more if it took too long.
            let _unheard = answer.send(question(seen));
        })));
        answered.recv_timeout(PATIENCE).map_err(|_| Silent(shard))
    }

    pub(super) fn shards(&self) -> core::ops::Range<u16> {
        0..u16::try_from(self.inboxes.len()).unwrap_or(u16::MAX)
    }

    /// What each shard holds and counted.
    pub(super) fn stats(&self) -> Result<Vec<ShardStats>, Silent> {
        self.shards().map(|shard| self.ask(shard, |seen| ShardStats::of(seen, 0))).collect()
    }

    pub(super) fn status(&self) -> Result<Status, Silent> {
        let stats = self.stats()?;
        let shards = self.shards().zip(&stats).map(|(shard, stats)| ShardStatus {
            shard,
            cpu: self.bound.cpus.get(usize::from(shard)).copied().unwrap_or_default(),
            connections: stats.connections,
            pools: stats.pools,
            elements: stats.elements,
            counts: counts(stats),
        });
        Ok(Status {
            version: env!("CARGO_PKG_VERSION"),
            id: self.bound.id.to_string(),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            host: self.bound.host.to_string(),
            asap: self.bound.asap_tcp.iter().map(|address| format!("tcp://{address}")).collect(),
            connections_max: self.bound.connections_max,
            pools: stats.iter().map(|stats| stats.pools).sum(),
            elements: stats.iter().map(|stats| stats.elements).sum(),
            shards: shards.collect(),
        })
    }

    /// Up to `limit` pools from a place on: 2^32 times the shard, plus the
    /// place on it.
    pub(super) fn pools(&self, after: u64, limit: usize) -> Result<Pools, Silent> {
        let mut pools = Vec::new();
        let (mut shard, mut place) = split(after);
        while shard < self.shards().end {
            let left = limit - pools.len();
            let (found, next) =
                self.ask(shard, move |seen| some_pools(seen, shard, place, left))?;
            pools.extend(found);
            match next {
                Some(next) => place = next,
                None => (shard, place) = (shard + 1, 0),
            }
            if pools.len() >= limit {
                break;
            }
        }
        let more = shard < self.shards().end;
        Ok(Pools { pools, next: more.then(|| u64::from(shard) << 32 | u64::from(place)) })
    }

    /// A pool and up to `limit` of its elements from a place on.
    pub(super) fn pool(
        &self,
        handle: &[u8],
        after: u32,
        limit: usize,
    ) -> Result<Option<PoolPage>, Silent> {
        let ShardId(shard) = self.map.shard_of(PoolHandle::new(handle));
        let mut page: Option<PoolPage> = None;
        let mut place = after;
        loop {
            let (handle, listed) = (handle.to_vec(), page.as_ref().map_or(0, |it| it.list.len()));
            let left = (limit - listed).min(ELEMENTS_AT_ONCE);
            let part = self.ask(shard, move |seen| {
                let pool = seen.protocol().handlespace().pool(PoolHandle::new(&handle))?;
                Some(pool_page(seen, shard, pool, place, left))
            })?;
            // It is gone meanwhile: what was listed of it was there.
            let Some(part) = part else { return Ok(page) };
            let next = part.next;
            match &mut page {
                None => page = Some(part),
                Some(page) => {
                    page.list.extend(part.list);
                    page.next = next;
                }
            }
            match next {
                Some(next) if page.as_ref().is_some_and(|it| it.list.len() < limit) => place = next,
                Some(_) | None => return Ok(page),
            }
        }
    }
}

fn split(after: u64) -> (u16, u32) {
    let shard = u16::try_from(after >> 32).unwrap_or(u16::MAX);
    (shard, u32::try_from(after & u64::from(u32::MAX)).unwrap_or(u32::MAX))
}

/// Pools of a shard, and the place to go on from if there is any.
fn some_pools(seen: &Shard, shard: u16, place: u32, limit: usize) -> (Vec<PoolLine>, Option<u32>) {
    let space: &Handlespace = seen.protocol().handlespace();
    let mut pools = Vec::new();
    let mut next = place.saturating_add(PLACES_AT_ONCE);
    for (place, pool) in space.pools_from(place, PLACES_AT_ONCE) {
        if pools.len() == limit {
            next = place;
            break;
        }
        pools.push(PoolLine::of(shard, pool));
    }
    (pools, (next < space.pool_places()).then_some(next))
}

fn pool_page(seen: &Shard, shard: u16, pool: PoolRef<'_>, place: u32, limit: usize) -> PoolPage {
    let mut page = PoolPage { pool: PoolLine::of(shard, pool), list: Vec::new(), next: None };
    let mut place = place;
    for (behind, element) in pool.elements_from(place) {
        if page.list.len() == limit {
            page.next = Some(place);
            break;
        }
        place = behind;
        page.list.push(ElementLine::of(seen, element));
    }
    page
}

impl PoolLine {
    fn of(shard: u16, pool: PoolRef<'_>) -> Self {
        let handle = pool.handle().as_bytes();
        Self {
            handle: String::from_utf8_lossy(handle).into_owned(),
            handle_hex: handle.iter().map(|byte| format!("{byte:02x}")).collect(),
            policy: format!("{:?}", pool.policy().kind()),
            transport: format!("{:?}", pool.transport()),
            elements: pool.len(),
            shard,
        }
    }
}

impl ElementLine {
    fn of(seen: &Shard, element: ElementRef<'_>) -> Self {
        let parsed = Element::parse(element.record()).ok();
        let transport = parsed.map(|parsed| parsed.user_transport);
        let addresses = transport.map(|transport| {
            let all = transport.addresses.iter();
            all.map(|address| service(address, transport.port)).collect()
        });
        Self {
            id: element.pe().to_string(),
            home: element.home().to_string(),
            policy: policy(element.policy()),
            transport: transport.map_or_else(String::new, |it| format!("{:?}", it.kind)),
            addresses: addresses.unwrap_or_default(),
            life_seconds: match element.life() {
                RegistrationLife::For(life) => Some(life.as_secs_f64()),
                RegistrationLife::Infinite => None,
            },
            drained: element.is_drained(),
            awaited: element.is_awaited(),
            reports: element.reports(),
            registered_from: element
                .association()
                .and_then(|association| seen.protocol().peer(association))
                .map(|peer| peer.address.to_string()),
        }
    }
}

fn service(address: IpAddr, port: u16) -> String {
    core::net::SocketAddr::new(address, port).to_string()
}

/// A policy with its parameters, as a person would write it.
fn policy(policy: Policy) -> String {
    format!("{policy:?}")
}

/// What a shard counted, by the names of the metrics.
pub(super) fn counts(stats: &ShardStats) -> Vec<Count> {
    let ShardStats { traffic, protocol, .. } = stats;
    let Traffic {
        accepted,
        moved_away,
        moved_here,
        refused,
        evicted,
        timed_out,
        slow_readers,
        malformed,
        panics: _,
        messages,
        bytes_received,
        bytes_sent,
    } = *traffic;
    let counted = [
        ("connections_accepted", accepted),
        ("connections_moved_away", moved_away),
        ("connections_moved_here", moved_here),
        ("connections_refused", refused),
        ("connections_evicted", evicted),
        ("connections_timed_out", timed_out),
        ("connections_slow", slow_readers),
        ("connections_malformed", malformed),
        ("messages_received", messages),
        ("bytes_received", bytes_received),
        ("bytes_sent", bytes_sent),
        ("registrations", protocol.registrations),
        ("reregistrations", protocol.reregistrations),
        ("moves", protocol.moves),
        ("deregistrations", protocol.deregistrations),
        ("registrations_rejected", protocol.rejected.iter().sum()),
        ("resolutions", protocol.resolutions),
        ("selections", protocol.resolved_elements),
        ("resolutions_unknown", protocol.resolutions_unknown),
        ("resolutions_drained", protocol.resolutions_drained),
        ("subscriptions", protocol.subscriptions),
        ("subscription_notices", protocol.notices),
        ("keep_alives", protocol.keep_alives),
        ("keep_alive_acks", protocol.keep_alive_acks),
        ("elements_silent", protocol.silent),
        ("elements_expired", protocol.expired),
        ("elements_orphaned", protocol.orphaned),
        ("elements_reported_away", protocol.reported_away),
        ("reports", protocol.reports),
        ("messages_malformed", protocol.malformed),
        ("messages_unexpected", protocol.unexpected),
        ("messages_to_other_shards", protocol.mesh_sent),
    ];
    counted.into_iter().map(|(name, count)| Count { name, count }).collect()
}
