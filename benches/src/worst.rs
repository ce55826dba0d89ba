//! The slowest single calls, and whose fault they are.
//!
//! The same calls are made several times over, each time on a new handlespace.
//! The engine is deterministic: what it does for a call it does every time.
//! So the least time of a call over all replays is what the engine needs, and
//! what is slow in one replay alone was the machine.

use std::fmt::Write as _;
use std::fs;

use rserpool_engine::{Config, Handlespace, PolicyKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::measure::nanoseconds;
use crate::population::{OWN, Prepared};
use crate::random::Random;
use crate::shape::Shape;
use crate::space::{Call, Space};

/// The slowest calls listed of each kind.
const LISTED: usize = 5;

/// A slow call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slow {
    /// Its number among the calls of its kind.
    pub number: usize,
    /// Its least time over the replays, in nanoseconds.
    pub nanoseconds: u32,
    /// Page faults in the replay of that time, among the calls around it.
    pub page_faults: u64,
    /// Times another thread ran instead, likewise.
    pub switches: u64,
}

/// One kind of call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kind {
    /// The call and the policy.
    pub name: String,
    /// Calls in each replay.
    pub calls: usize,
    /// Median in nanoseconds, with the clock.
    pub median: u32,
    /// One in a thousand takes longer.
    pub p999: u32,
    /// The slowest calls that are slow in every replay.
    pub slowest: Vec<Slow>,
    /// The slowest call of each replay, whatever it was.
    pub most_by_replay: Vec<u32>,
    /// What the engine does in its slowest calls.
    pub cause: String,
}

/// What a call does at most, where it does more than usual.
const fn cause(call: Call) -> &'static str {
    match call {
        Call::Nothing => "the clock",
        Call::Find => {
            "an overflow bucket behind a bucket of the index, and a tag that is another's: an \
             access to memory each; cold caches in the first calls of a replay"
        }
        Call::RegisterNew => {
            "a page of a table was taken from the system: of elements (8 KiB), places, buckets, \
             blocks, nodes (4 KiB each); or a block was full and gave to a neighbor or split"
        }
        Call::ReregisterChanged => {
            "the block of the new place was full: neighbors were looked at, it was split and the \
             tree balanced, a page for blocks taken"
        }
        Call::Remove => {
            "a block became small and joined a neighbor; cold caches in the first calls"
        }
        Call::Resolve10 => "selected elements of two blocks; cold caches in the first calls",
        Call::PollDue => {
            "a bucket of the wheel's second level came: the twelve elements looked at all moved \
             on to a finer bucket, for three accesses to memory each"
        }
        Call::KeepAliveAcked => "the element moves in the wheel: two neighbors are accessed",
        Call::TakeOver128 => "128 elements",
        Call::HandleTable128 => "128 elements on more nodes of the roster than usual",
    }
}

/// The same of a registration while the handlespace grows.
const GROWING: &str = "pages of several tables were taken from the system by the same call, which \
                       zeroes each as it is first touched; the first call takes one of each";

/// All kinds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worst {
    /// Where and when.
    pub host: Host,
    /// Elements and pools.
    pub shape: String,
    /// Replays.
    pub replays: usize,
    /// The kinds.
    pub kinds: Vec<Kind>,
}

/// What happened to the process while some calls were made.
#[derive(Clone, Copy, Debug, Default)]
struct Disturbance {
    page_faults: u64,
    switches: u64,
}

impl Disturbance {
    /// Since the process began.
    fn total() -> Self {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
        // The name in parentheses may hold blanks; minor faults are the eighth
        // field after it.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let page_faults = after.split_whitespace().nth(7).and_then(|text| text.parse().ok());
        let schedule = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let switches = schedule.split_whitespace().nth(2).and_then(|text| text.parse().ok());
        Self { page_faults: page_faults.unwrap_or(0), switches: switches.unwrap_or(0) }
    }

    const fn since(self, before: Self) -> Self {
        Self {
            page_faults: self.page_faults - before.page_faults,
            switches: self.switches - before.switches,
        }
    }
}

/// The times of one replay, with what disturbed each chunk of them.
#[derive(Debug, Default)]
struct Replay {
    times: Vec<u32>,
    /// The number of calls at the end of each chunk, and its disturbance.
    chunks: Vec<(usize, Disturbance)>,
}

impl Replay {
    fn chunk(&mut self, work: impl FnOnce(&mut Vec<u32>)) {
        let before = Disturbance::total();
        work(&mut self.times);
        self.chunks.push((self.times.len(), Disturbance::total().since(before)));
    }

    fn disturbance(&self, number: usize) -> Disturbance {
        let chunk = self.chunks.partition_point(|&(end, _)| end <= number);
        self.chunks.get(chunk).map_or_else(Disturbance::default, |&(_, disturbance)| disturbance)
    }
}

/// Measures every kind of call on `shape`, and registrations while the
/// handlespace grows. `progress` hears of each kind.
pub fn measure(
    shape: Shape,
    policies: &[PolicyKind],
    calls: usize,
    replays: usize,
    mut progress: impl FnMut(&Kind),
) -> Worst {
    let mut kinds = Vec::new();
    for &policy in policies {
        for call in Call::ALL {
            if call == Call::Nothing && !kinds.is_empty() {
                continue;
            }
            let calls = calls.div_ceil(call.elements());
            let replay = |_| {
                let mut space = Space::new(shape, policy);
                let mut replay = Replay::default();
                replay.times.reserve(calls + 4096);
                while replay.times.len() < calls {
                    replay.chunk(|times| space.trace(call, times));
                }
                replay
            };
            let kind = kind(&format!("{call:?}, {policy:?}"), cause(call), replays, replay);
            progress(&kind);
            kinds.push(kind);
        }
        let name = format!("RegisterNew while growing from nothing, {policy:?}");
        let kind = kind(&name, GROWING, replays, |_| grow(shape, policy));
        progress(&kind);
        kinds.push(kind);
    }
    Worst { host: Host::here(), shape: shape.to_string(), replays, kinds }
}

/// Registers all elements into an empty handlespace.
fn grow(shape: Shape, policy: PolicyKind) -> Replay {
    let mut space = Handlespace::new(Config { registrar: OWN, seed: 1, ..Config::default() });
    let now = Timestamp::from_micros(1);
    let order = Random::new(1).permutation(shape.elements());
    let mut replay = Replay::default();
    replay.times.reserve(order.len());
    for elements in order.chunks(1024) {
        let prepared: Vec<Prepared> =
            elements.iter().map(|&element| Prepared::new(shape, policy, element, 0)).collect();
        replay.chunk(|times| {
            for prepared in &prepared {
                times.push(nanoseconds(|| space.register(now, &prepared.registration())));
            }
        });
    }
    replay
}

fn kind(name: &str, cause: &str, replays: usize, replay: impl Fn(usize) -> Replay) -> Kind {
    let replays: Vec<Replay> = (0..replays.max(1)).map(replay).collect();
    let calls = replays.iter().map(|replay| replay.times.len()).min().unwrap_or(0);
    let least = |number: usize| {
        let times = replays.iter().filter_map(|replay| Some((*replay.times.get(number)?, replay)));
        times.min_by_key(|&(time, _)| time)
    };
    let mut times: Vec<(u32, usize)> =
        (0..calls).filter_map(|number| Some((least(number)?.0, number))).collect();
    times.sort_unstable();
    let slow = |&(nanoseconds, number): &(u32, usize)| {
        let disturbance = least(number).map(|(_, replay)| replay.disturbance(number));
        let Disturbance { page_faults, switches } = disturbance.unwrap_or_default();
        Slow { number, nanoseconds, page_faults, switches }
    };
    let at = |index: usize| times.get(index).map_or(0, |&(time, _)| time);
    Kind {
        name: name.to_owned(),
        cause: cause.to_owned(),
        calls,
        median: at(calls / 2),
        p999: at(calls - calls / 1000 - 1),
        slowest: times.iter().rev().take(LISTED).map(slow).collect(),
        most_by_replay: replays
            .iter()
            .map(|replay| replay.times.iter().copied().max().unwrap_or(0))
            .collect(),
    }
}

impl Kind {
    /// The least time of its slowest call.
    #[must_use]
    pub fn worst(&self) -> u32 {
        self.slowest.first().map_or(0, |slow| slow.nanoseconds)
    }
}

impl Worst {
    /// The table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "Single calls on {} elements, each timed alone (with two readings of the clock, the \
             first row), the same calls replayed {} times on a new handlespace. Slow in every \
             replay is what the engine itself needs; the slowest of one replay also holds \
             interrupts and other tenants of the machine.\n\n\
             | call | calls | median ns | 99.9 % ns | slowest in every replay, ns | its number | \
             page faults, switches around it | slowest of each replay, ns | what it does then |\n\
             |---|---:|---:|---:|---:|---:|---:|---|---|\n",
            self.shape, self.replays
        );
        for kind in &self.kinds {
            let most: Vec<String> = kind.most_by_replay.iter().map(ToString::to_string).collect();
            for (rank, slow) in kind.slowest.iter().take(3).enumerate() {
                let (name, calls, median, p999, most, cause) = if rank == 0 {
                    let figures = (kind.calls, kind.median, kind.p999);
                    let (calls, median, p999) = figures;
                    (
                        kind.name.clone(),
                        calls.to_string(),
                        median.to_string(),
                        p999.to_string(),
                        most.join(", "),
                        kind.cause.clone(),
                    )
                } else {
                    Default::default()
                };
                let _ = writeln!(
                    text,
                    "| {name} | {calls} | {median} | {p999} | {} | {} | {}, {} | {most} | {cause} |",
                    slow.nanoseconds, slow.number, slow.page_faults, slow.switches
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(times: &[u32]) -> Replay {
        let mut replay = Replay::default();
        for pair in times.chunks(2) {
            replay.chunk(|all| all.extend_from_slice(pair));
        }
        for (index, (_, disturbance)) in replay.chunks.iter_mut().enumerate() {
            *disturbance = Disturbance { page_faults: index as u64, switches: 0 };
        }
        replay
    }

    #[test]
    fn only_what_is_slow_in_every_replay_is_the_engines() {
        let times = [[10, 10, 900, 10, 50, 10], [11, 700, 11, 11, 40, 11]];
        let kind = kind("call", "none", 2, |number| replay(&times[number]));
        assert_eq!(kind.worst(), 40);
        assert_eq!(kind.slowest[0].number, 4);
        assert_eq!(kind.slowest[0].page_faults, 2);
        assert_eq!(kind.most_by_replay, [900, 700]);
        assert_eq!(kind.median, 10);
    }
}
