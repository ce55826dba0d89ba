//! What a run consists of, before it starts.

use core::time::Duration;

use rserpool_engine::{Policy, PolicyKind, PolicyParameters, RegistrationLife};
use rserpool_proto::enrp;

use crate::chance::Chance;
use crate::network::{Micros, NodeId, Weather};

/// The policies that have a wire format: all but the last two.
const KINDS: &[PolicyKind] = PolicyKind::ALL.split_at(16).0;

/// One second.
pub(crate) const SECOND: Micros = 1_000_000;

/// A pool and the policy of its elements.
#[derive(Clone, Debug)]
pub(crate) struct PoolSettings {
    pub(crate) name: String,
    pub(crate) kind: PolicyKind,
}

/// A host of pool elements: they share its association.
#[derive(Clone, Debug)]
pub(crate) struct StationSettings {
    /// The pool of each element.
    pub(crate) elements: Vec<usize>,
    pub(crate) life: RegistrationLife,
    /// The registrar it tries first; `None`: any.
    pub(crate) first: Option<usize>,
    /// T4, if it is shorter than what the life allows.
    pub(crate) interval: Option<Duration>,
    /// Whether registrars can call it: it uses SCTP.
    pub(crate) callable: bool,
    /// Whether it looks for another registrar by itself.
    pub(crate) hunts: bool,
}

/// What a run consists of.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) registrars: usize,
    pub(crate) shards: u16,
    /// How the registrars are a group.
    pub(crate) group: enrp::Config,
    /// When pool elements start.
    pub(crate) element_start: Micros,
    /// Whether the identifiers of registrars are their numbers.
    pub(crate) numbered: bool,
    /// Whether datagrams reach the other registrars.
    pub(crate) multicast: bool,
    /// Whether each registrar is told of all others, or of the next only.
    pub(crate) all_mentors: bool,
    pub(crate) pools: Vec<PoolSettings>,
    pub(crate) stations: Vec<StationSettings>,
    pub(crate) users: usize,
    /// Between two requests of a pool user, on average.
    pub(crate) user_pause: Micros,
    pub(crate) keep_alive_interval: Duration,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) delay: Micros,
    pub(crate) jitter: Micros,
    /// How long a batch takes from shard to shard.
    pub(crate) mesh_delay: Micros,
    pub(crate) patience: (Micros, Micros),
    pub(crate) weather: Weather,
    /// The most by which a clock is fast or slow, in millionths.
    pub(crate) drift: i64,
    /// Whether elements come, go and change by themselves.
    pub(crate) churn: bool,
    pub(crate) report_grace: Duration,
    /// T1, T2 and T3.
    pub(crate) request_timeout: Duration,
}

impl Settings {
    /// A quiet group on a fast network, for scenarios.
    pub(crate) fn quiet(seed: u64) -> Self {
        Self {
            seed,
            registrars: 1,
            shards: 1,
            group: enrp::Config::default(),
            element_start: 6 * SECOND,
            numbered: true,
            multicast: true,
            all_mentors: true,
            pools: Vec::new(),
            stations: Vec::new(),
            users: 0,
            user_pause: SECOND,
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_timeout: Duration::from_secs(5),
            delay: 500,
            jitter: 0,
            mesh_delay: 20,
            patience: (10 * SECOND, 10 * SECOND),
            weather: Weather { dropped: 0, doubled: 0, late: 0 },
            drift: 0,
            churn: false,
            report_grace: Duration::from_secs(1),
            request_timeout: Duration::from_secs(10),
        }
    }

    /// What the seed says.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let registrars = 1 + chance.index(5);
        let pools: Vec<_> = (0..=chance.index(6))
            .map(|number| PoolSettings {
                name: format!("{}-{number}", ["pool", "p", "EchoPool", "x y"][number % 4]),
                kind: KINDS[chance.index(KINDS.len())],
            })
            .collect();
        let pulse = !chance.one_in(5);
        let longest = chance.between(8, 40);
        let stations = (0..=chance.index(7))
            .map(|_| {
                let life = Duration::from_secs(chance.between(6, longest));
                let callable = chance.one_in(2);
                // Nobody could find out that one that cannot be called is gone.
                let endless = pulse && callable && chance.one_in(8);
                StationSettings {
                    elements: (0..=chance.index(4)).map(|_| chance.index(pools.len())).collect(),
                    life: if endless {
                        RegistrationLife::Infinite
                    } else {
                        RegistrationLife::For(life)
                    },
                    first: None,
                    callable,
                    hunts: true,
                    interval: (endless || chance.one_in(3))
                        .then(|| Duration::from_secs(chance.between(2, 10))),
                }
            })
            .collect();
        let shortest = chance.between(2, 15) * SECOND;
        let delay = [50, 500, 5_000, 40_000][chance.index(4)];
        Self {
            seed,
            registrars,
            shards: [1, 1, 2, 3, 4][chance.index(5)],
            group: draw_group(&mut chance),
            element_start: 0,
            numbered: false,
            multicast: chance.one_in(2),
            all_mentors: chance.one_in(2),
            pools,
            stations,
            users: chance.index(5),
            user_pause: chance.between(SECOND / 2, 6 * SECOND),
            keep_alive_interval: Duration::from_secs(if pulse { chance.between(2, 8) } else { 0 }),
            keep_alive_timeout: Duration::from_secs(chance.between(2, 6)),
            delay,
            jitter: delay * chance.below(3) / 2,
            mesh_delay: [1, 20, 20, 2_000][chance.index(4)],
            patience: (shortest, shortest * chance.between(1, 3)),
            weather: Weather {
                dropped: [0, 5, 30][chance.index(3)],
                doubled: [0, 10][chance.index(2)],
                late: [0, 10][chance.index(2)],
            },
            drift: [0, 100, 10_000][chance.index(3)],
            churn: !chance.one_in(4),
            report_grace: Duration::from_millis([1_000, 1_000, 2_000][chance.index(3)]),
            request_timeout: Duration::from_secs(chance.between(6, 15)),
        }
    }

    /// The registrars that one is told of.
    pub(crate) fn mentors_of(&self, registrar: usize) -> impl Iterator<Item = usize> + use<> {
        let (count, all) = (self.registrars, self.all_mentors);
        let next = (registrar + 1) % count;
        (0..count).filter(move |&other| other != registrar && (all || other == next))
    }

    /// Whether the associations of a node are over SCTP.
    pub(crate) fn uses_sctp(&self, node: NodeId) -> bool {
        let station = node.index().checked_sub(self.registrars);
        station.and_then(|it| self.stations.get(it)).is_some_and(|station| station.callable)
    }

    /// The longest finite registration life.
    pub(crate) fn longest_life(&self) -> Micros {
        let lives = self.stations.iter().filter_map(|station| match station.life {
            RegistrationLife::For(life) => Some(micros(life)),
            RegistrationLife::Infinite => None,
        });
        lives.max().unwrap_or(0)
    }

    /// How long after the last fault everything has to be in order: lives
    /// that are over have ended, and every element has registered again.
    pub(crate) fn healing(&self) -> Micros {
        let silence = micros(self.keep_alive_interval) * 5 / 4 + micros(self.keep_alive_timeout);
        let (_, patience) = self.patience;
        let hunt = micros(self.request_timeout) + 10 * SECOND;
        let takeover = micros(self.group.last_heard) + 2 * micros(self.group.no_response);
        self.longest_life().max(silence) * 51 / 50 + hunt + patience / 4 + takeover
    }
}

/// How a group is.
fn draw_group(chance: &mut Chance) -> enrp::Config {
    let heartbeat = Duration::from_millis(chance.between(600, 2400));
    enrp::Config {
        heartbeat,
        last_heard: heartbeat * 2 + Duration::from_millis(chance.between(200, 2000)),
        no_response: Duration::from_millis(chance.between(1000, 2000)),
        takeover_patience: Duration::from_millis(chance.between(200, 1000)),
        startup: Duration::from_secs(chance.between(2, 5)),
        audit_pause: Duration::from_millis(chance.between(300, 1000)),
        page_bytes: [200, 1000, 16 << 10][chance.index(3)],
        window: [1, 2, 8][chance.index(3)],
        ..enrp::Config::default()
    }
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A policy of this kind with drawn values. Drained elements are rare.
pub(crate) fn draw_policy(kind: PolicyKind, chance: &mut Chance) -> Policy {
    let weight = if chance.one_in(12) { 0 } else { 1 + chance.below_u32(4) };
    let load = chance.below_u32(5) * (u32::MAX / 5);
    let degradation = u32::MAX / (10 + chance.below_u32(90));
    let (dpf, distance) = (u32::MAX / (1_000 + chance.below_u32(1_000)), chance.below_u32(200));
    let priority = if kind == PolicyKind::Priority { chance.below_u32(4) } else { 0 };
    kind.with(PolicyParameters { weight, load, priority, degradation, dpf, distance })
}
