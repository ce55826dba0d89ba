//! What the engine is to cost: targets set from measured component costs on a
//! 2-core EPYC virtual machine with 4 KiB pages.
//!
//! They were attained there by a minimal handlespace written for the purpose
//! (hash, 64-byte records, ring, array, ordered set, timing wheel, no limits
//! and no errors) or, for ordered registration and re-registration of 100,000
//! elements and more, add up from its look-up and the fastest ordered set.
//! A machine is as fast as its memory: for another machine each target is
//! multiplied by its time for one dependent load in a working set of the same
//! size over the time of the EPYC machine, [`CHASE`].

use rserpool_engine::PolicyKind;

use crate::shape::Shape;

/// Bytes of memory that belong to one element, for the working set.
pub const BYTES_PER_ELEMENT: usize = 160;

/// How much slower than its target a cell may be.
pub const TOLERANCE: f64 = 1.3;
/// The same for changes of ordered policies.
pub const TOLERANCE_ORDERED: f64 = 1.5;

/// Nanoseconds of one load on the machine the targets come from, by working
/// set: (bytes, each load depends on the one before, eight chains at once).
pub const CHASE: [(usize, f64, f64); 15] = [
    (16 << 10, 1.8, 0.3),
    (128 << 10, 4.3, 0.7),
    (512 << 10, 9.7, 1.4),
    (1 << 20, 15.0, 2.3),
    (2 << 20, 17.0, 2.5),
    (4 << 20, 108.0, 2.3),
    (8 << 20, 142.0, 5.1),
    (16 << 20, 160.0, 21.0),
    (32 << 20, 163.0, 23.0),
    (64 << 20, 182.0, 22.0),
    (128 << 20, 181.0, 23.0),
    (256 << 20, 213.0, 24.0),
    (400 << 20, 252.0, 24.0),
    (640 << 20, 285.0, 23.0),
    (1024 << 20, 349.0, 38.0),
];

/// The working set of a shape in bytes.
#[must_use]
pub const fn working_set(shape: Shape) -> usize {
    shape.elements() as usize * BYTES_PER_ELEMENT
}

/// Nanoseconds of a dependent load and of one in eight chains in a working set
/// of so many bytes, between the rows of [`CHASE`].
#[must_use]
pub fn chase_there(bytes: usize) -> (f64, f64) {
    let above = CHASE.iter().position(|row| row.0 >= bytes).unwrap_or(CHASE.len() - 1).max(1);
    let (low, high) = (CHASE[above - 1], CHASE[above]);
    let share = (bytes as f64 / low.0 as f64).ln() / (high.0 as f64 / low.0 as f64).ln();
    let between = |low: f64, high: f64| low * (high / low).powf(share.clamp(0.0, 1.0));
    (between(low.1, high.1), between(low.2, high.2))
}

/// The policies with targets of their own; each other one is compared with
/// what the nearest of these costs on the same machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Round Robin.
    RoundRobin,
    /// Random.
    Random,
    /// Weighted Random.
    WeightedRandom,
    /// Least Used.
    LeastUsed,
}

impl Family {
    /// The nearest of the four.
    #[must_use]
    pub const fn of(kind: PolicyKind) -> Self {
        match kind {
            PolicyKind::RoundRobin | PolicyKind::WeightedRoundRobin => Self::RoundRobin,
            PolicyKind::Random => Self::Random,
            PolicyKind::WeightedRandom
            | PolicyKind::WeightedRandomDpf
            | PolicyKind::RandomizedLeastUsed
            | PolicyKind::RandomizedPriorityLeastUsed
            | PolicyKind::RandomizedLeastUsedDegradation
            | PolicyKind::RandomizedPriorityLeastUsedDegradation => Self::WeightedRandom,
            PolicyKind::Priority
            | PolicyKind::LeastUsed
            | PolicyKind::LeastUsedDegradation
            | PolicyKind::PriorityLeastUsed
            | PolicyKind::PriorityLeastUsedDegradation
            | PolicyKind::LeastUsedDpf
            | PolicyKind::LeastUsedDegradationDpf
            | PolicyKind::PriorityLeastUsedDpf
            | PolicyKind::PriorityLeastUsedDegradationDpf => Self::LeastUsed,
        }
    }

    /// The policy it is named for.
    #[must_use]
    pub const fn kind(self) -> PolicyKind {
        match self {
            Self::RoundRobin => PolicyKind::RoundRobin,
            Self::Random => PolicyKind::Random,
            Self::WeightedRandom => PolicyKind::WeightedRandom,
            Self::LeastUsed => PolicyKind::LeastUsed,
        }
    }
}

/// Nanoseconds by shape, in the order of [`Shape::ALL`].
type Nanoseconds = [f64; 7];

/// The target of an operation for each family: Round Robin, Random, Weighted
/// Random, Least Used.
struct Target {
    operation: &'static str,
    families: [Nanoseconds; 4],
    /// Set by estimate: shown, but not judged.
    estimate: bool,
}

/// A target that does not depend on the policy.
const fn all(operation: &'static str, one: Nanoseconds) -> Target {
    Target { operation, families: [one; 4], estimate: false }
}

const fn each(operation: &'static str, families: [Nanoseconds; 4]) -> Target {
    Target { operation, families, estimate: false }
}

const fn estimate(operation: &'static str, one: Nanoseconds) -> Target {
    Target { operation, families: [one; 4], estimate: true }
}

const TARGETS: [Target; 15] = [
    //                       1x1e2  1x1e3  1x1e4  1x1e5  1x1e6   1e3x1e3 1e5x10
    all("find", [15.0, 20.0, 25.0, 70.0, 220.0, 320.0, 260.0]),
    each(
        "register new",
        [
            [55.0, 40.0, 65.0, 140.0, 250.0, 324.0, 350.0],
            [55.0, 40.0, 65.0, 140.0, 250.0, 335.0, 350.0],
            [53.0, 53.0, 47.0, 169.0, 256.0, 459.0, 428.0],
            [110.0, 100.0, 150.0, 350.0, 900.0, 1067.0, 650.0],
        ],
    ),
    all("reregister unchanged", [30.0, 30.0, 35.0, 50.0, 115.0, 153.0, 200.0]),
    each(
        "reregister changed",
        [
            [28.0, 30.0, 50.0, 110.0, 390.0, 580.0, 670.0],
            [28.0, 30.0, 50.0, 240.0, 310.0, 495.0, 480.0],
            [45.0, 47.0, 76.0, 466.0, 804.0, 922.0, 766.0],
            [110.0, 180.0, 200.0, 500.0, 1200.0, 2060.0, 1000.0],
        ],
    ),
    each(
        "deregister",
        [
            [55.0, 55.0, 85.0, 200.0, 500.0, 652.0, 1200.0],
            [55.0, 55.0, 85.0, 200.0, 500.0, 654.0, 800.0],
            [63.0, 66.0, 79.0, 285.0, 691.0, 840.0, 988.0],
            [115.0, 105.0, 180.0, 500.0, 1200.0, 1520.0, 1200.0],
        ],
    ),
    each(
        "resolve 1",
        [
            [25.0, 27.0, 28.0, 28.0, 30.0, 61.0, 500.0],
            [17.0, 16.0, 19.0, 155.0, 142.0, 447.0, 511.0],
            [40.0, 47.0, 69.0, 434.0, 1256.0, 1191.0, 692.0],
            [25.0, 27.0, 28.0, 28.0, 30.0, 143.0, 500.0],
        ],
    ),
    each(
        "resolve 3",
        [
            [26.0, 35.0, 30.0, 30.0, 32.0, 105.0, 530.0],
            [28.0, 27.0, 30.0, 165.0, 242.0, 470.0, 545.0],
            [64.0, 105.0, 147.0, 514.0, 2472.0, 2457.0, 1027.0],
            [26.0, 35.0, 30.0, 30.0, 32.0, 142.0, 660.0],
        ],
    ),
    each(
        "resolve 10",
        [
            [30.0, 38.0, 31.0, 33.0, 38.0, 199.0, 560.0],
            [90.0, 87.0, 88.0, 236.0, 426.0, 1004.0, 726.0],
            [284.0, 341.0, 680.0, 1241.0, 6903.0, 5377.0, 4850.0],
            [30.0, 38.0, 31.0, 33.0, 38.0, 156.0, 560.0],
        ],
    ),
    each(
        "mix",
        [
            [25.0, 25.0, 32.0, 140.0, 210.0, 308.0, 745.0],
            [29.0, 45.0, 40.0, 224.0, 323.0, 562.0, 730.0],
            [64.0, 111.0, 154.0, 485.0, 2444.0, 2203.0, 1112.0],
            [45.0, 58.0, 54.0, 185.0, 356.0, 538.0, 763.0],
        ],
    ),
    all("timer rearm", [8.0, 8.0, 8.0, 26.0, 42.0, 85.0, 45.0]),
    all("takeover per element", [6.0, 6.0, 12.0, 40.0, 45.0, 64.0, 60.0]),
    all("walk per element", [2.0, 1.5, 1.5, 2.0, 7.0, 15.0, 28.0]),
    all("checksum audit per element", [4.0, 4.0, 5.0, 11.0, 16.0, 51.0, 73.0]),
    estimate("expiry", [120.0, 130.0, 200.0, 550.0, 1400.0, 1400.0, 1300.0]),
    estimate("export per element", [15.0, 15.0, 15.0, 20.0, 30.0, 30.0, 50.0]),
];

/// A target for one cell, on the machine the targets come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Nanoseconds.
    pub nanoseconds: f64,
    /// How much slower it may be.
    pub tolerance: f64,
    /// Not judged: it was estimated, not measured.
    pub estimate: bool,
}

/// The target of this operation, shape and policy. None for what has no
/// target, or a policy that is compared with its family instead.
#[must_use]
pub fn goal(operation: &str, shape: Shape, kind: PolicyKind) -> Option<Goal> {
    let family = Family::of(kind);
    if family.kind() != kind {
        return None;
    }
    let target = TARGETS.iter().find(|target| target.operation == operation)?;
    let column = Shape::ALL.iter().position(|&listed| listed == shape)?;
    let nanoseconds = target.families[family as usize][column];
    Some(Goal { nanoseconds, tolerance: tolerance(operation, kind), estimate: target.estimate })
}

/// How much slower than its target an operation may be.
#[must_use]
pub fn tolerance(operation: &str, kind: PolicyKind) -> f64 {
    let ordered = Family::of(kind) == Family::LeastUsed;
    match operation {
        "register new" | "deregister" | "reregister changed" | "reregister unchanged"
            if ordered =>
        {
            TOLERANCE_ORDERED
        }
        _ => TOLERANCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_set_between_two_rows_is_between_their_times() {
        let dependent = |bytes| chase_there(bytes).0;
        assert!((dependent(16 << 10) - 1.8).abs() < 1e-9);
        assert!((dependent(1024 << 20) - 349.0).abs() < 1e-9);
        // Outside the table: its ends.
        assert!((dependent(1 << 10) - 1.8).abs() < 1e-9);
        assert!((dependent(4096 << 20) - 349.0).abs() < 1e-9);
        let million = dependent(working_set(Shape::new(1, 1_000_000)));
        assert!((181.0..213.0).contains(&million), "{million}");
        let half_way = dependent(64 << 10);
        assert!((2.7..3.3).contains(&half_way), "{half_way}");
    }

    #[test]
    fn only_the_policy_a_family_is_named_for_has_targets() {
        let shape = Shape::new(1, 1000);
        let with = PolicyKind::ALL
            .into_iter()
            .filter(|&kind| goal("resolve 3", shape, kind).is_some())
            .collect::<Vec<_>>();
        let named = [
            PolicyKind::RoundRobin,
            PolicyKind::Random,
            PolicyKind::WeightedRandom,
            PolicyKind::LeastUsed,
        ];
        assert_eq!(with, named);
        assert_eq!(goal("resolve 3", Shape::new(7, 7), PolicyKind::Random), None);
        assert_eq!(goal("resolve 99", shape, PolicyKind::Random), None);
    }

    #[test]
    fn changes_of_ordered_policies_may_take_longer() {
        let shape = Shape::new(1, 1_000_000);
        let of = |operation, kind| goal(operation, shape, kind).map(|goal| goal.tolerance);
        assert_eq!(of("register new", PolicyKind::LeastUsed), Some(1.5));
        assert_eq!(of("register new", PolicyKind::Random), Some(1.3));
        assert_eq!(of("resolve 1", PolicyKind::LeastUsed), Some(1.3));
    }
}
