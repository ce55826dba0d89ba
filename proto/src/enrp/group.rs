//! The registrar group as one registrar sees it.

use core::net::SocketAddr;
use std::collections::VecDeque;

use rserpool_codec::enrp::extension::Kin;
use rserpool_engine::{RegistrarId, ShardId, ShardMap, Timestamp, TransportKind};

use super::config::{Config, Target};
use super::exchange::{News, Order};
use super::link::{LinkId, Links};
use super::pack::{Pack, Unpack};
use super::peer::{Peer, PeerView, State};
use super::startup::{Mentor, Startup};
use super::stats::Stats;
use super::tally::Tally;

/// What the host is to do for the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open an association to the [target](Group::target) of this link. Say
    /// then that it is connected, or that it is closed.
    Connect(LinkId),
    /// There are bytes to send over this link.
    Send(LinkId),
    /// End this link. It is forgotten already.
    Close(LinkId),
    /// There is a presence to multicast.
    Multicast,
    /// This link was not to be read from, and is again.
    Resume(LinkId),
    /// The registrar is in service: it may take registrations and give answers.
    InService,
}

/// How far a registrar is (RFC 5353, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It looks for a mentor, or loads the handlespace from it.
    Starting,
    /// It serves.
    Serving,
}

/// The registrar group as one registrar sees it.
#[derive(Debug)]
pub struct Group {
    pub(super) config: Config,
    pub(super) id: RegistrarId,
    pub(super) kin: Kin,
    pub(super) stats: Stats,
    /// `None`: it serves.
    pub(super) startup: Option<Startup>,
    pub(super) mentors: Vec<Mentor>,
    pub(super) links: Links,
    /// Few: looked up by a scan.
    pub(super) peers: Vec<Peer>,
    pub(super) map: ShardMap,
    /// The tallies of this registrar's elements, by shard.
    pub(super) own: Vec<Tally>,
    /// Orders for the shards, each behind its length.
    orders: Vec<Vec<u8>>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) multicast: Vec<u8>,
    pub(super) multicast_announced: bool,
    pub(super) heartbeat_at: Timestamp,
    /// What the shards were ordered to answer.
    pub(super) rounds: Vec<Round>,
    last_token: u32,
    pub(super) last_stamp: u16,
    pub(super) last_session: u32,
    chance: u64,
    /// Nothing is due before.
    wake: Timestamp,
    /// Whether the shards were told to report renewals.
    pub(super) renewals: bool,
    pub(super) scratch: Vec<u8>,
    order: Vec<u8>,
}

/// What an order to all shards, or to one, is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Compare the tally of a peer's elements with what it told: its checksum,
    /// and the sum of their digests if it is of our own kind.
    Check { peer: RegistrarId, checksum: u16, values: Option<u64> },
    /// Look for elements whose home nobody knows.
    Homes,
    /// Digests of a peer's elements, for an audit.
    Digest { peer: RegistrarId },
    /// Digests of the own elements, to compare with those of the other end.
    ServeDigest { link: LinkId },
    /// A part of a handle table for the other end.
    Serve { link: LinkId },
    /// The last step of an audit.
    Sweep { peer: RegistrarId },
    /// The elements of `target`, which is no peer any more, get the home `to`.
    Moving { target: RegistrarId, to: RegistrarId },
}

/// An order under way.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) token: u32,
    /// Shards that have not answered.
    pub(super) remaining: u16,
    pub(super) purpose: Purpose,
    pub(super) sums: Vec<(RegistrarId, Tally)>,
    pub(super) digests: Option<super::exchange::Digests>,
}

/// Rounds of checks at once: more are not begun.
const ROUNDS_MAX: usize = 1024;
/// Homes a shard tells of.
pub(crate) const HOMES_MAX: usize = 1024;

impl Group {
    pub(crate) fn new(now: Timestamp, id: RegistrarId, map: ShardMap, config: Config) -> Self {
        let shards = usize::from(map.shards());
        let mut chance = config.seed ^ u64::from(id.get()).rotate_left(32);
        let incarnation = draw(&mut chance);
        let kin = Kin {
            version: 1,
            sctp: config.sctp_port.is_some(),
            tcp_port: config.tcp_port.unwrap_or(0),
            incarnation: (incarnation >> 32) as u32,
        };
        let mut group = Self {
            id,
            kin,
            stats: Stats::default(),
            startup: Some(Startup::new(now, &config)),
            mentors: config.mentors.iter().cloned().map(|it| Mentor::new(now, it)).collect(),
            links: Links::new(config.links_max),
            peers: Vec::new(),
            own: vec![Tally::default(); shards],
            orders: vec![Vec::new(); shards],
            map,
            outputs: VecDeque::new(),
            multicast: Vec::new(),
            multicast_announced: false,
            heartbeat_at: now,
            rounds: Vec::new(),
            last_token: 0,
            last_stamp: 0,
            last_session: (incarnation & 0xffff_ffff) as u32,
            chance,
            wake: Timestamp::ZERO,
            renewals: false,
            scratch: Vec::new(),
            order: Vec::new(),
            config,
        };
        group.order_all(&Order::Journal { renewals: false });
        group.handle_timeout(now);
        group
    }

    /// This registrar's identifier.
    #[must_use]
    pub const fn id(&self) -> RegistrarId {
        self.id
    }

    /// What it was told.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What it counted.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// How far it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        if self.startup.is_some() { Phase::Starting } else { Phase::Serving }
    }

    /// The other registrars it knows.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> {
        self.peers.iter().map(|peer| peer.view(self.address_of(peer)))
    }

    /// Where a registrar takes ENRP, or where its messages come from.
    fn address_of(&self, peer: &Peer) -> Option<(TransportKind, SocketAddr)> {
        let target = peer.target(self.config.sctp_port.is_some(), self.config.tcp_port.is_some());
        let linked = || peer.link.and_then(|link| self.target(link).cloned());
        let target = target.or_else(linked)?;
        Some((target.transport, *target.addresses.first()?))
    }

    /// Where to open an association for [`Output::Connect`].
    #[must_use]
    pub fn target(&self, link: LinkId) -> Option<&Target> {
        self.links.get(link).map(|link| &link.target)
    }

    /// Bytes queued toward this link.
    #[must_use]
    pub fn output_pending(&self, link: LinkId) -> usize {
        self.links.get(link).map_or(0, |link| link.output.len())
    }

    /// The PE checksum of this registrar's elements, as it tells it.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.tally().checksum.finish()
    }

    /// That of this registrar's elements, as it tells it.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for own in &self.own {
            sum.add(*own);
        }
        sum
    }

    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        address: SocketAddr,
        transport: TransportKind,
    ) -> Option<LinkId> {
        let target = Target { transport, addresses: vec![address] };
        let link = self.links.open(now, target, false);
        let count = match link {
            Some(_) => &mut self.stats.links_opened,
            None => &mut self.stats.links_refused,
        };
        *count += 1;
        self.settle();
        link
    }

    pub(crate) fn connected(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.up = true;
        link.heard = now;
        self.stats.links_opened += 1;
        let peer = self.peers.iter_mut().find(|peer| peer.dialing == Some(id));
        let receiver = peer.map(|peer| peer.id).unwrap_or_default();
        self.send_presence(id, receiver, true);
        self.settle();
    }

    pub(crate) fn closed(&mut self, now: Timestamp, id: LinkId) {
        self.forget_link(now, id);
        self.settle();
    }

    /// A link is gone.
    pub(super) fn forget_link(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.close(id) else { return };
        let no_response = self.config.no_response;
        self.rounds.retain(|round| {
            !matches!(round.purpose,
                Purpose::Serve { link } | Purpose::ServeDigest { link } if link == id)
        });
        for mentor in &mut self.mentors {
            mentor.gone(now, id, link.up);
        }
        let jitter = self.jitter(core::time::Duration::from_millis(200));
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers.get_mut(at) else { break };
            if peer.dialing == Some(id) {
                peer.dialing = None;
                if link.up {
                    peer.dial_failures = 0;
                } else {
                    peer.dial_failures = peer.dial_failures.saturating_add(1);
                }
                let wait =
                    core::time::Duration::from_millis(125) * (1 << peer.dial_failures.min(4));
                peer.dial_at = now.after(wait + jitter);
            }
            if link.registrar == Some(peer.id) {
                // What was on its way is lost, perhaps: the other end may have
                // sent over this link, whichever this end sends over.
                peer.audit.want(now);
            }
            if peer.link == Some(id) {
                peer.link = self.links.of(peer.id, None);
                peer.audit.reset();
                if peer.link.is_none() && matches!(peer.state, State::Alive) {
                    peer.state = State::Probed { until: now.after(no_response) };
                    peer.dial_at = now;
                }
            }
        }
    }

    /// Ends a link on this registrar's part.
    pub(super) fn shut(&mut self, now: Timestamp, id: LinkId) {
        if self.links.get(id).is_some() {
            self.forget_link(now, id);
            self.outputs.push_back(Output::Close(id));
        }
    }

    /// What the host is to do next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        loop {
            let output = self.outputs.pop_front()?;
            let stands = match output {
                Output::Connect(link) | Output::Send(link) | Output::Resume(link) => {
                    self.links.get(link).is_some()
                }
                Output::Close(_) | Output::Multicast | Output::InService => true,
            };
            if stands {
                return Some(output);
            }
        }
    }

    pub(crate) fn take_send(&mut self, id: LinkId, into: &mut Vec<u8>) {
        into.clear();
        if let Some(link) = self.links.get_mut(id) {
            core::mem::swap(&mut link.output, into);
            link.announced = false;
        }
        self.serve_more(id);
        self.settle();
    }

    pub(crate) fn take_multicast(&mut self, into: &mut Vec<u8>) {
        into.clear();
        core::mem::swap(&mut self.multicast, into);
        self.multicast_announced = false;
    }

    /// Notes that a link is not read from. `false`: it is gone.
    pub(crate) fn park(&mut self, id: LinkId) -> bool {
        self.links.get_mut(id).is_some_and(|link| {
            link.parked = true;
            true
        })
    }

    /// Lets all links be read from again.
    pub(crate) fn resume(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.parked) {
            link.parked = false;
            self.outputs.push_back(Output::Resume(link.id));
        }
    }

    /// When [`Group::handle_timeout`] has something to do.
    pub(crate) const fn next_timeout(&self) -> Timestamp {
        self.wake
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if now < self.wake {
            return;
        }
        self.run_startup(now);
        if self.heartbeat_at <= now {
            self.heartbeat(now);
        }
        self.run_peers(now);
        self.run_dials(now);
        self.run_audits(now);
        self.close_strangers(now);
        self.settle();
    }

    /// Finds out when something is due next.
    pub(super) fn settle(&mut self) {
        let mut wake = self.heartbeat_at;
        let mut sooner = |at: Timestamp| wake = wake.min(at);
        if let Some(startup) = &self.startup {
            sooner(startup.next(self));
        }
        for peer in &self.peers {
            sooner(self.peer_deadline(peer));
        }
        for mentor in &self.mentors {
            if let Some(at) = mentor.next() {
                sooner(at);
            }
        }
        for link in self.links.iter().filter(|link| link.up && link.registrar.is_none()) {
            sooner(link.heard.after(self.config.no_response * 2));
        }
        self.wake = wake;
    }

    /// A link over which nobody said who he is.
    fn close_strangers(&mut self, now: Timestamp) {
        let patience = self.config.no_response * 2;
        let late = self.links.iter().filter(|link| {
            link.up && link.registrar.is_none() && link.heard.after(patience) <= now
        });
        let late: Vec<_> = late.map(|link| link.id).collect();
        for id in late {
            self.shut(now, id);
        }
    }

    // Orders and news.

    /// Orders something of one shard.
    pub(super) fn order(&mut self, shard: ShardId, order: &Order<'_>) {
        let Some(orders) = self.orders.get_mut(usize::from(shard.0)) else { return };
        self.order.clear();
        order.emit(&mut self.order);
        orders.block(&self.order);
    }

    /// Orders something of all shards.
    pub(super) fn order_all(&mut self, order: &Order<'_>) {
        self.order.clear();
        order.emit(&mut self.order);
        for orders in &mut self.orders {
            orders.block(&self.order);
        }
    }

    /// The orders for a shard, each behind its length, are swapped into
    /// `into`, which is emptied first. `false`: there are none.
    pub(crate) fn take_orders(&mut self, shard: usize, into: &mut Vec<u8>) -> bool {
        into.clear();
        if let Some(orders) = self.orders.get_mut(shard) {
            core::mem::swap(orders, into);
        }
        !into.is_empty()
    }

    /// Begins an order that `shards` shards are to answer; `None`: there are
    /// too many already. Returns its token.
    pub(super) fn begin_round(&mut self, shards: u16, purpose: Purpose) -> Option<u32> {
        if self.rounds.len() >= ROUNDS_MAX {
            return None;
        }
        self.last_token = self.last_token.wrapping_add(1);
        let token = self.last_token;
        self.rounds.push(Round {
            token,
            remaining: shards,
            purpose,
            sums: Vec::new(),
            digests: None,
        });
        Some(token)
    }

    /// News of a shard, each behind its length.
    pub(crate) fn receive_news(&mut self, now: Timestamp, from: ShardId, news: &[u8]) {
        let mut unpack = Unpack(news);
        while let Some(bytes) = unpack.block() {
            match News::read(bytes) {
                Some(news) => self.hear(now, from, &news),
                None => self.stats.mesh_malformed += 1,
            }
        }
        self.settle();
    }

    fn hear(&mut self, now: Timestamp, from: ShardId, news: &News<'_>) {
        match *news {
            News::Update { own, .. } | News::Own { own } => {
                if let Some(sum) = self.own.get_mut(usize::from(from.0)) {
                    *sum = own;
                }
            }
            News::Sums { .. } | News::Page { .. } | News::Digest { .. } | News::Done { .. } => {}
        }
        match *news {
            News::Update { .. } => self.spread(now, news),
            News::Own { .. } => {}
            News::Sums { token, sums } => {
                let Some(round) = self.round(token) else { return };
                let mut sums = Unpack(sums);
                while let (Some(home), Some(sum)) = (sums.u32(), Tally::read(&mut sums)) {
                    let home = RegistrarId::new(home);
                    match round.sums.iter_mut().find(|(id, _)| *id == home) {
                        Some((_, total)) => total.add(sum),
                        None => round.sums.push((home, sum)),
                    }
                }
                self.finish_round(now, token);
            }
            News::Digest { token, sums } => {
                let Some(round) = self.round(token) else { return };
                round.digests.get_or_insert_with(super::exchange::Digests::new).add_bytes(sums);
                self.finish_round(now, token);
            }
            News::Page { token, cursor, done, parameters } => {
                let Some(at) = self.rounds.iter().position(|round| round.token == token) else {
                    return;
                };
                let round = self.rounds.swap_remove(at);
                if let Purpose::Serve { link } = round.purpose {
                    self.page_written(link, cursor, done, parameters);
                }
            }
            News::Done { token } => self.finish_round(now, token),
        }
    }

    fn round(&mut self, token: u32) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|round| round.token == token)
    }

    /// A shard answered; what follows if it was the last.
    fn finish_round(&mut self, now: Timestamp, token: u32) {
        let Some(at) = self.rounds.iter().position(|round| round.token == token) else { return };
        let Some(round) = self.rounds.get_mut(at) else { return };
        round.remaining = round.remaining.saturating_sub(1);
        if round.remaining > 0 {
            return;
        }
        let round = self.rounds.swap_remove(at);
        match round.purpose {
            Purpose::Check { peer, checksum, values } => {
                let found = round.sums.iter().find(|(home, _)| *home == peer);
                let sum = found.map(|(_, sum)| *sum).unwrap_or_default();
                let forms = [sum.checksum.finish(), sum.checksum.finish_wrapped()];
                let equal =
                    forms.contains(&checksum) && values.is_none_or(|values| values == sum.values);
                self.checked(now, peer, equal);
            }
            Purpose::Homes => self.adopt_orphans(now, &round.sums),
            Purpose::Digest { peer } => self.digested(now, peer, round.digests),
            Purpose::ServeDigest { link } => self.serve_differing(link, round.digests),
            Purpose::Serve { .. } => {}
            Purpose::Moving { to, .. } => self.moved(now, to),
            Purpose::Sweep { peer } => self.swept(peer),
        }
    }

    // Peers.

    pub(super) fn peer(&self, id: RegistrarId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    pub(super) fn peer_mut(&mut self, id: RegistrarId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    /// Removes a peer and closes its links.
    pub(super) fn drop_peer(&mut self, now: Timestamp, id: RegistrarId) {
        let Some(at) = self.peers.iter().position(|peer| peer.id == id) else { return };
        let peer = self.peers.remove(at);
        let of_it = self
            .links
            .iter()
            .filter(|link| link.registrar == Some(id) || Some(link.id) == peer.dialing);
        let of_it: Vec<_> = of_it.map(|link| link.id).collect();
        for link in of_it {
            self.shut(now, link);
        }
        self.update_renewals();
    }

    // Chance.

    /// A random number below `count`; `None` if that is 0.
    pub(super) fn choose(&mut self, count: usize) -> Option<usize> {
        let wide = u128::from(draw(&mut self.chance)) * u128::try_from(count).ok()?;
        usize::try_from(wide >> 64).ok().filter(|_| count > 0)
    }

    /// A random time below `range`.
    pub(super) fn jitter(&mut self, range: core::time::Duration) -> core::time::Duration {
        let nanos = (u128::from(draw(&mut self.chance)) * range.as_nanos()) >> 64;
        core::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }
}

/// The next random number (`SplitMix64`).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
