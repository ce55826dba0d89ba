//! A registrar's start, life and end.

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use rserpool_engine::{RegistrarId, ShardId, ShardMap};
use rserpool_proto::discovery::Schedule;
use rserpool_proto::registrar;

use crate::admin::{Admin, View};
use crate::announce::{AnnouncePlan, Announcer};
use crate::connections::Connections;
use crate::group::{GroupPlan, GroupThread, Port};
use crate::patience::Patience;
use crate::rt::{self, Control, EndNotice, Heart, Inbox, ShardPlan, ShardThread, Watchdog};
use crate::shard::GroupConfig;
use crate::stats::{ShardStats, Stats};
use crate::{
    ASAP_PORT, AdminAddress, AsapAddress, Compat, Host, Options, SCTP_UDP_PORT, StartError,
    listener, process, sctp, shard,
};

/// How long a shard may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a shard may take to stop. It is done after little more than 1 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a shard may take to say what it counted.
const STATS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer waits for those of other shards that leave with it.
const GATHER: Duration = Duration::from_millis(2);
/// Most bytes of incomplete messages a shard keeps.
const UNFED_BYTES_MAX: usize = 64 << 20;

/// What a registrar bound and is limited to.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Its identifier.
    pub id: RegistrarId,
    /// Where it takes ASAP over TCP.
    pub asap_tcp: Vec<SocketAddr>,
    /// Where it takes ASAP over the kernel's SCTP.
    pub asap_sctp: Vec<SocketAddr>,
    /// The UDP addresses at which it takes ASAP over SCTP over UDP; the SCTP
    /// port is [`ASAP_PORT`](crate::ASAP_PORT).
    pub asap_sctp_udp: Vec<SocketAddr>,
    /// Where it takes ENRP, if it is in a registrar group: over TCP,
    pub enrp_tcp: Vec<SocketAddr>,
    /// over the kernel's SCTP,
    pub enrp_sctp: Vec<SocketAddr>,
    /// over SCTP over UDP; the SCTP port is [`ENRP_PORT`](crate::ENRP_PORT).
    pub enrp_sctp_udp: Vec<SocketAddr>,
    /// The groups it announces itself to; none if it does not.
    pub announces: Vec<SocketAddr>,
    /// What it would take ASAP by, by default, and why it does not.
    pub without: Vec<Without>,
    /// The CPU of each shard.
    pub cpus: Vec<usize>,
    /// What drives the shards.
    pub host: Host,
    /// Why it is not io_uring, if nobody asked for epoll.
    pub io_uring_refused: Option<String>,
    /// Where operators look, over HTTP.
    pub admin: Option<SocketAddr>,
    /// Most connections.
    pub connections_max: u32,
}

/// A transport that a registrar does without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Without {
    /// Where it would be.
    pub address: AsapAddress,
    /// Why it is not.
    pub why: String,
}

/// A running registrar. Dropped, it stops as [`Running::stop`] does.
pub struct Running {
    bound: Bound,
    /// `None`: its end is known.
    shards: Vec<Option<ShardThread>>,
    inboxes: Vec<Arc<Inbox>>,
    ended: mpsc::Receiver<u16>,
    watchdog: Option<Watchdog>,
    announcer: Option<Announcer>,
    group: Option<GroupThread>,
    admin: Option<Admin>,
    started: Instant,
}

/// What a registrar did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How long it ran.
    pub ran: Duration,
    /// What it counted.
    pub stats: Stats,
}

/// A shard came to an end that nobody asked for.
#[derive(Clone, Debug)]
pub struct ShardFailure {
    /// Which shard.
    pub shard: u16,
    /// What it said.
    pub message: String,
}

impl fmt::Display for ShardFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} ended: {}", self.shard, self.message)
    }
}

impl core::error::Error for ShardFailure {}

/// Starts a registrar: one pinned thread a shard. Raises the process's soft
/// limit of open files to its hard limit. A port in use is tried again for 2 s,
/// one of the kernel's SCTP for 5 s: it may be that of a registrar that was
/// killed.
///
/// # Errors
///
/// What the host does not offer, or an address that cannot be bound.
pub fn start(options: &Options) -> Result<Running, StartError> {
    Prepared::new(options)?.start()
}

/// Does everything of [`start`] that can fail for reasons of the host, and
/// gives it back: the identifier, addresses, CPUs and limits that a start
/// would have.
///
/// # Errors
///
/// As [`start`].
pub fn check(options: &Options) -> Result<Bound, StartError> {
    Prepared::new(options).map(|prepared| prepared.bound)
}

/// All that the host had to give.
struct Prepared {
    bound: Bound,
    /// For each address, one listener a shard.
    listeners: Vec<Vec<TcpListener>>,
    /// For each endpoint, one a shard.
    endpoints: Vec<Vec<sctp::Endpoint>>,
    announce: AnnouncePlan,
    group: Option<GroupPlan>,
    admin: Option<TcpListener>,
    shard: shard::Config,
    map_seed: u64,
    seeds: Vec<u64>,
}

impl Prepared {
    fn new(options: &Options) -> Result<Self, StartError> {
        options.validate().map_err(StartError::Options)?;
        let (host, io_uring_refused) = choose_host(options.host)?;
        let files = process::raise_open_files();
        let allowed = process::cpus()?;
        let most = u16::try_from(allowed.len()).unwrap_or(u16::MAX);
        let shards = options.shards.unwrap_or(most).max(1);
        let connections_max = process::connections_max(options.max_connections, files, shards)?;
        let id = match options.id {
            Some(id) => id,
            None => random_id()?,
        };
        let patience = Patience::new();
        let sockets = Places::bind(options, shards, connections_max, &patience)?;
        let group = GroupPlan::bind(options, random()?, &patience)?;
        let cpus = allowed.iter().copied().cycle().take(usize::from(shards)).collect();
        let map_seed = random()?;
        let seeds = (0..shards).map(|_| random()).collect::<Result<_, _>>()?;
        let shard = shard::Config {
            protocol: protocol_config(options, id, connections_max),
            message_timeout: options.message_timeout,
            unfed_bytes_max: UNFED_BYTES_MAX,
            connections: Arc::new(Connections::new(connections_max, shards)),
            moves: options.move_connections,
            calls: !sockets.endpoints.is_empty(),
            group: None,
            serving: Arc::new(AtomicBool::new(!group.as_ref().is_some_and(|group| group.waits))),
        };
        let (admin, admin_listener) = match options.admin {
            AdminAddress::Off => None,
            AdminAddress::At(address) => Some(patience.bind(|| listener::bind_admin(address))?),
            // Another registrar of this host has it, and is not waited for.
            AdminAddress::IfFree(address) => listener::bind_admin(address).ok(),
        }
        .unzip();
        let Places { asap_tcp, asap_sctp, asap_sctp_udp, without, listeners, endpoints } = sockets;
        let announce = announce_plan(options, id, &asap_tcp, &asap_sctp, &asap_sctp_udp);
        let announces = if announce.is_empty() { Vec::new() } else { announce.groups.clone() };
        let enrp = group.as_ref().map(|group| group.bound.clone()).unwrap_or_default();
        let bound = Bound {
            id,
            asap_tcp,
            asap_sctp,
            asap_sctp_udp,
            enrp_tcp: enrp.tcp,
            enrp_sctp: enrp.sctp,
            enrp_sctp_udp: enrp.sctp_udp,
            announces,
            without,
            cpus,
            host,
            io_uring_refused,
            admin,
            connections_max,
        };
        let admin = admin_listener;
        Ok(Self { bound, listeners, endpoints, announce, group, admin, shard, map_seed, seeds })
    }

    fn start(self) -> Result<Running, StartError> {
        let shards = u16::try_from(self.bound.cpus.len()).unwrap_or(u16::MAX);
        let map = ShardMap::new(shards, self.map_seed);
        let inboxes = (0..shards)
            .map(|_| Inbox::new(shards).map(Arc::new))
            .collect::<io::Result<Vec<_>>>()
            .map_err(StartError::Host)?;
        let hearts: Vec<Arc<Heart>> = (0..shards).map(|_| Arc::default()).collect();
        let undrained = Arc::new(AtomicU32::new(u32::from(shards)));
        let epoch = Instant::now();
        let (ended, endings) = mpsc::channel();
        let mut running = Running {
            bound: self.bound,
            shards: Vec::new(),
            inboxes,
            ended: endings,
            watchdog: None,
            announcer: None,
            group: None,
            admin: None,
            started: epoch,
        };
        let mut listeners: Vec<_> = self.listeners.into_iter().map(Vec::into_iter).collect();
        let mut endpoints: Vec<_> = self.endpoints.into_iter().map(Vec::into_iter).collect();
        let group = match &self.group {
            Some(plan) => Some(GroupConfig {
                protocol: plan.protocol.clone(),
                port: Arc::new(Port::new().map_err(StartError::Host)?),
                serving: Arc::clone(&self.shard.serving),
            }),
            None => None,
        };
        let mut readiness = Vec::new();
        for (number, heart) in (0..shards).zip(&hearts) {
            let slot = usize::from(number);
            let mut config = self.shard.clone();
            config.group = group.as_ref().filter(|_| number == 0).cloned();
            config.protocol.shard = ShardId(number);
            config.protocol.map = map.clone();
            config.protocol.engine.seed = self.seeds.get(slot).copied().unwrap_or_default();
            let (ready, is_ready) = mpsc::sync_channel(1);
            let plan = ShardPlan {
                number: ShardId(number),
                cpu: running.bound.cpus.get(slot).copied().unwrap_or_default(),
                shard: config,
                listeners: listeners.iter_mut().filter_map(Iterator::next).collect(),
                endpoints: endpoints.iter_mut().filter_map(Iterator::next).collect(),
                inboxes: running.inboxes.clone(),
                heart: Arc::clone(heart),
                undrained: Arc::clone(&undrained),
                epoch,
                ready,
            };
            let thread =
                rt::spawn(running.bound.host, plan, EndNotice { shard: number, to: ended.clone() })
                    .map_err(|message| StartError::Shard { shard: number, message })?;
            running.shards.push(Some(thread));
            readiness.push(is_ready);
        }
        running.await_ready(&readiness)?;
        let beside = Beside { group: self.group.zip(group), admin: self.admin, map, hearts };
        running.attend(beside, self.announce)?;
        Ok(running)
    }
}

/// What runs beside the shards.
struct Beside {
    group: Option<(GroupPlan, GroupConfig)>,
    admin: Option<TcpListener>,
    map: ShardMap,
    hearts: Vec<Arc<Heart>>,
}

impl Running {
    /// Starts the threads beside those of the shards, which serve already.
    fn attend(&mut self, beside: Beside, announce: AnnouncePlan) -> Result<(), StartError> {
        let Beside { group, admin, map, hearts } = beside;
        if let (Some((plan, group)), Some(inbox)) = (group, self.inboxes.first()) {
            let thread = GroupThread::start(plan, group.port, Arc::clone(inbox));
            self.group = Some(thread.map_err(StartError::Host)?);
        }
        if let Some(listener) = admin {
            let view = View {
                bound: self.bound.clone(),
                map,
                inboxes: self.inboxes.clone(),
                started: self.started,
            };
            self.admin = Some(Admin::start(listener, view).map_err(StartError::Host)?);
        }
        if !announce.is_empty() {
            self.announcer = Some(Announcer::start(announce).map_err(StartError::Host)?);
        }
        if self.bound.host == Host::IoUring {
            self.watchdog = Some(Watchdog::start(hearts).map_err(StartError::Host)?);
        }
        Ok(())
    }

    /// What it bound and is limited to.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Where it takes ASAP over TCP. Ports that were 0 are those the system
    /// chose.
    #[must_use]
    pub fn asap_tcp(&self) -> &[SocketAddr] {
        &self.bound.asap_tcp
    }

    /// Where it takes ASAP over SCTP over UDP: the UDP addresses.
    #[must_use]
    pub fn asap_sctp_udp(&self) -> &[SocketAddr] {
        &self.bound.asap_sctp_udp
    }

    /// What its shards hold and have counted. A shard that does not answer
    /// within seconds counts as zero.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let deadline = Instant::now() + STATS_TIMEOUT;
        let asked = self.inboxes.iter().map(|inbox| {
            let (answer, answered) = mpsc::channel();
            inbox.tell(Control::Stats(answer));
            answered
        });
        let asked: Vec<mpsc::Receiver<ShardStats>> = asked.collect();
        let left = || deadline.saturating_duration_since(Instant::now());
        let shards = asked.iter().map(|answered| answered.recv_timeout(left()).unwrap_or_default());
        Stats { shards: shards.collect() }
    }

    /// Waits at most this long for a shard to end that nobody stopped.
    #[must_use]
    pub fn failure(&mut self, patience: Duration) -> Option<ShardFailure> {
        let shard = self.ended.recv_timeout(patience).ok()?;
        let end = self.join(shard)?;
        let message = end.err().unwrap_or_else(|| "it ended".to_owned());
        Some(ShardFailure { shard, message })
    }

    /// Accepts no more, answers what was asked, closes all connections, and
    /// ends: within little more than a second.
    ///
    /// # Errors
    ///
    /// A shard that had failed, or does not end.
    pub fn stop(mut self) -> Result<Summary, ShardFailure> {
        self.end()
    }

    fn end(&mut self) -> Result<Summary, ShardFailure> {
        self.announcer = None;
        self.group = None;
        self.admin = None;
        for inbox in &self.inboxes {
            inbox.tell(Control::Stop);
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        let mut shards = vec![ShardStats::default(); self.shards.len()];
        let mut failure = None;
        while self.shards.iter().any(Option::is_some) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(shard) = self.ended.recv_timeout(left) else { break };
            match (self.join(shard), shards.get_mut(usize::from(shard))) {
                (Some(Ok(counted)), Some(stats)) => *stats = counted,
                (Some(Err(message)), _) => failure = Some(ShardFailure { shard, message }),
                (Some(Ok(_)) | None, _) => {}
            }
        }
        for (shard, thread) in (0..).zip(&mut self.shards) {
            // It cannot be ended from outside; what it holds stays.
            if thread.take().is_some() {
                failure = Some(ShardFailure { shard, message: "it does not stop".to_owned() });
            }
        }
        self.watchdog = None;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Summary { ran: self.started.elapsed(), stats: Stats { shards } }),
        }
    }

    /// How a thread ended that said that it does. `None`: that was known.
    fn join(&mut self, shard: u16) -> Option<Result<ShardStats, String>> {
        self.shards.get_mut(usize::from(shard))?.take().map(ShardThread::join)
    }

    fn await_ready(&mut self, readiness: &[mpsc::Receiver<()>]) -> Result<(), StartError> {
        let deadline = Instant::now() + START_TIMEOUT;
        for (shard, ready) in (0..).zip(readiness) {
            match ready.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(StartError::Silent { shard, waited: START_TIMEOUT });
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let end = self.join(shard).and_then(Result::err);
                    let message = end.unwrap_or_else(|| "it ended".to_owned());
                    return Err(StartError::Shard { shard, message });
                }
            }
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Who wants to know calls `stop`.
        let _unseen = self.end();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// The host that was asked for, or that this system allows, and what speaks
/// against io_uring if that was not to be had.
fn choose_host(asked: Option<Host>) -> Result<(Host, Option<String>), StartError> {
    if asked == Some(Host::Epoll) {
        return Ok((Host::Epoll, None));
    }
    match rt::probe() {
        Ok(()) => Ok((Host::IoUring, None)),
        Err(error) if asked.is_some() => Err(error),
        Err(error) => Ok((Host::Epoll, Some(error.in_short()))),
    }
}

/// Where ASAP is taken, and by what.
#[derive(Default)]
struct Places {
    asap_tcp: Vec<SocketAddr>,
    asap_sctp: Vec<SocketAddr>,
    asap_sctp_udp: Vec<SocketAddr>,
    without: Vec<Without>,
    listeners: Vec<Vec<TcpListener>>,
    endpoints: Vec<Vec<sctp::Endpoint>>,
}

impl Places {
    fn bind(
        options: &Options,
        shards: u16,
        associations_max: u32,
        patience: &Patience,
    ) -> Result<Self, StartError> {
        let tuning = options.sctp.tuning(associations_max);
        let asked = options.asap_addresses();
        // What nobody asked for by name need not be there.
        let by_default = options.asap.is_empty();
        let mut places = Self::default();
        for address in asked.iter().filter_map(|one| of(one, "tcp")) {
            let everywhere = by_default && options.listen.is_none();
            patience.bind(|| places.bind_tcp(address, shards, everywhere))?;
        }
        for endpoint in sctp::by_port(asked.iter().filter_map(|one| of(one, "sctp"))) {
            let bound = match sctp::kernel_lacks() {
                Some(error) => Err(StartError::Sctp(error)),
                None => patience.bind(|| sctp::bind_kernel(&endpoint, shards, &tuning)),
            };
            let place = AsapAddress::Sctp(endpoint[0]);
            if let Some(bound) = places.or_without(bound, place, by_default)? {
                places.asap_sctp.extend(bound.addresses);
                places.endpoints.push(bound.shards);
            }
        }
        for endpoint in sctp::by_port(asked.iter().filter_map(|one| of(one, "sctp-udp"))) {
            let bound = patience.bind(|| sctp::bind_udp(&endpoint, shards, &tuning));
            let place = AsapAddress::SctpUdp(endpoint[0]);
            if let Some(bound) = places.or_without(bound, place, by_default)? {
                places.asap_sctp_udp.extend(bound.addresses);
                places.endpoints.push(bound.shards);
            }
        }
        Ok(places)
    }

    fn bind_tcp(
        &mut self,
        address: SocketAddr,
        shards: u16,
        everywhere: bool,
    ) -> Result<(), StartError> {
        let mut result = listener::bind(address, shards);
        if everywhere && result.as_ref().is_err_and(listener::lacks_ipv6) {
            let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            result = listener::bind(any, shards);
        }
        let (bound, sockets) = result?;
        self.asap_tcp.push(bound);
        self.listeners.push(sockets);
        Ok(())
    }

    /// What was bound; or nothing, and a note why.
    fn or_without(
        &mut self,
        bound: Result<sctp::Bound, StartError>,
        address: AsapAddress,
        by_default: bool,
    ) -> Result<Option<sctp::Bound>, StartError> {
        let why = match bound {
            Ok(bound) => return Ok(Some(bound)),
            Err(StartError::Sctp(error)) if by_default => {
                format!("no SCTP in this kernel: {error}")
            }
            Err(StartError::Bind { source, .. }) if by_default => source.to_string(),
            Err(error) => return Err(error),
        };
        self.without.push(Without { address, why });
        Ok(None)
    }
}

/// The address, if it is one of this transport.
fn of(address: &AsapAddress, scheme: &str) -> Option<SocketAddr> {
    (address.scheme() == scheme).then(|| address.address())
}

/// What is announced of these places. SCTP over UDP is announced as SCTP: an
/// announce has no word for it, and a peer that encapsulates uses the
/// registered UDP port.
fn announce_plan(
    options: &Options,
    id: RegistrarId,
    tcp: &[SocketAddr],
    sctp: &[SocketAddr],
    udp: &[SocketAddr],
) -> AnnouncePlan {
    let registered = udp.iter().filter(|address| address.port() == SCTP_UDP_PORT);
    let inside = registered.map(|address| SocketAddr::new(address.ip(), ASAP_PORT));
    let sctp = if sctp.is_empty() { inside.collect() } else { sctp.to_vec() };
    AnnouncePlan {
        id,
        schedule: match options.compat {
            Compat::Rsplib => Schedule::Steady,
            Compat::Rfc => Schedule::Shared,
        },
        groups: options.announce_groups(),
        interfaces: options.announce_interface.clone(),
        tcp: tcp.to_vec(),
        sctp,
    }
}

fn protocol_config(options: &Options, id: RegistrarId, connections_max: u32) -> registrar::Config {
    let mut config = registrar::Config {
        engine: rserpool_engine::Config {
            registrar: id,
            pools_max: options.max_pools,
            elements_max: options.max_elements,
            elements_per_pool_max: options.max_elements_per_pool,
            bad_reports_max: options.max_bad_reports,
            keep_alive_interval: options.keep_alive_interval,
            keep_alive_timeout: options.keep_alive_timeout,
            ..rserpool_engine::Config::default()
        },
        items_max: options.max_items,
        associations_max: connections_max,
        elements_per_association_max: options.max_elements_per_connection,
        gather: GATHER,
        ..registrar::Config::default()
    };
    options.compat.apply(&mut config);
    config
}

fn random() -> Result<u64, StartError> {
    getrandom::u64().map_err(|error| StartError::Random(io::Error::other(error)))
}

/// An identifier that is not 0.
fn random_id() -> Result<RegistrarId, StartError> {
    loop {
        let id = getrandom::u32().map_err(|error| StartError::Random(io::Error::other(error)))?;
        if id != 0 {
            return Ok(RegistrarId::new(id));
        }
    }
}
