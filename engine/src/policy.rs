//! Pool member selection policies (RFC 5356 and rsplib's).
//!
//! Each policy has a file that states what its elements are ordered or drawn
//! by, and what a selection changes.

mod display;
mod least_used;
mod least_used_degradation;
mod least_used_degradation_dpf;
mod least_used_dpf;
mod load;
mod priority;
mod priority_least_used;
mod priority_least_used_degradation;
mod priority_least_used_degradation_dpf;
mod priority_least_used_dpf;
mod random;
mod randomized_least_used;
mod randomized_least_used_degradation;
mod randomized_priority_least_used;
mod randomized_priority_least_used_degradation;
mod round_robin;
mod rule;
mod weighted_random;
mod weighted_random_dpf;
pub(crate) mod weighted_round_robin;

pub(crate) use rule::{Family, Rule, Standing, Values};

/// A policy with the parameters of one pool element. Loads, degradations and
/// DPFs are fixed point: 0 is 0 %, `u32::MAX` is 100 % (RFC 5356, 3.1).
/// Weights are relative capacities; 0 means drained. A larger priority is a
/// higher one. Distances are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are described above, the codes in PolicyKind")]
pub enum Policy {
    RoundRobin,
    WeightedRoundRobin { weight: u32 },
    Random,
    WeightedRandom { weight: u32 },
    Priority { priority: u32 },
    LeastUsed { load: u32 },
    LeastUsedDegradation { load: u32, degradation: u32 },
    PriorityLeastUsed { load: u32, degradation: u32 },
    RandomizedLeastUsed { load: u32 },
    RandomizedPriorityLeastUsed { load: u32, degradation: u32 },
    RandomizedLeastUsedDegradation { load: u32, degradation: u32 },
    PriorityLeastUsedDegradation { load: u32, degradation: u32 },
    RandomizedPriorityLeastUsedDegradation { load: u32, degradation: u32 },
    WeightedRandomDpf { weight: u32, dpf: u32, distance: u32 },
    LeastUsedDpf { load: u32, dpf: u32, distance: u32 },
    LeastUsedDegradationDpf { load: u32, degradation: u32, dpf: u32, distance: u32 },
    PriorityLeastUsedDpf { load: u32, degradation: u32, dpf: u32, distance: u32 },
    PriorityLeastUsedDegradationDpf { load: u32, degradation: u32, dpf: u32, distance: u32 },
}

/// Parameters for any policy, for [`PolicyKind::with`]; units as in [`Policy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are described at Policy")]
pub struct PolicyParameters {
    pub weight: u32,
    pub load: u32,
    pub priority: u32,
    pub degradation: u32,
    pub dpf: u32,
    pub distance: u32,
}

/// A policy without parameters, numbered as on the wire (RFC 5356, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are those of the RFC and of rsplib")]
pub enum PolicyKind {
    RoundRobin = 0x0000_0001,
    WeightedRoundRobin = 0x0000_0002,
    Random = 0x0000_0003,
    WeightedRandom = 0x0000_0004,
    Priority = 0x0000_0005,
    LeastUsed = 0x4000_0001,
    LeastUsedDegradation = 0x4000_0002,
    PriorityLeastUsed = 0x4000_0003,
    RandomizedLeastUsed = 0x4000_0004,
    RandomizedPriorityLeastUsed = 0xb000_1001,
    RandomizedLeastUsedDegradation = 0xb000_1002,
    PriorityLeastUsedDegradation = 0xb000_1003,
    RandomizedPriorityLeastUsedDegradation = 0xb000_1004,
    WeightedRandomDpf = 0xb000_2001,
    LeastUsedDpf = 0xb000_2002,
    LeastUsedDegradationDpf = 0xb000_2003,
    PriorityLeastUsedDpf = 0xb000_2004,
    PriorityLeastUsedDegradationDpf = 0xb000_2005,
}

impl Policy {
    /// The policy without its parameters.
    #[must_use]
    pub const fn kind(&self) -> PolicyKind {
        match self {
            Self::RoundRobin => PolicyKind::RoundRobin,
            Self::WeightedRoundRobin { .. } => PolicyKind::WeightedRoundRobin,
            Self::Random => PolicyKind::Random,
            Self::WeightedRandom { .. } => PolicyKind::WeightedRandom,
            Self::Priority { .. } => PolicyKind::Priority,
            Self::LeastUsed { .. } => PolicyKind::LeastUsed,
            Self::LeastUsedDegradation { .. } => PolicyKind::LeastUsedDegradation,
            Self::PriorityLeastUsed { .. } => PolicyKind::PriorityLeastUsed,
            Self::RandomizedLeastUsed { .. } => PolicyKind::RandomizedLeastUsed,
            Self::RandomizedPriorityLeastUsed { .. } => PolicyKind::RandomizedPriorityLeastUsed,
            Self::RandomizedLeastUsedDegradation { .. } => {
                PolicyKind::RandomizedLeastUsedDegradation
            }
            Self::PriorityLeastUsedDegradation { .. } => PolicyKind::PriorityLeastUsedDegradation,
            Self::RandomizedPriorityLeastUsedDegradation { .. } => {
                PolicyKind::RandomizedPriorityLeastUsedDegradation
            }
            Self::WeightedRandomDpf { .. } => PolicyKind::WeightedRandomDpf,
            Self::LeastUsedDpf { .. } => PolicyKind::LeastUsedDpf,
            Self::LeastUsedDegradationDpf { .. } => PolicyKind::LeastUsedDegradationDpf,
            Self::PriorityLeastUsedDpf { .. } => PolicyKind::PriorityLeastUsedDpf,
            Self::PriorityLeastUsedDegradationDpf { .. } => {
                PolicyKind::PriorityLeastUsedDegradationDpf
            }
        }
    }
}

impl PolicyKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 18] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::Random,
        Self::WeightedRandom,
        Self::Priority,
        Self::LeastUsed,
        Self::LeastUsedDegradation,
        Self::PriorityLeastUsed,
        Self::RandomizedLeastUsed,
        Self::RandomizedPriorityLeastUsed,
        Self::RandomizedLeastUsedDegradation,
        Self::PriorityLeastUsedDegradation,
        Self::RandomizedPriorityLeastUsedDegradation,
        Self::WeightedRandomDpf,
        Self::LeastUsedDpf,
        Self::LeastUsedDegradationDpf,
        Self::PriorityLeastUsedDpf,
        Self::PriorityLeastUsedDegradationDpf,
    ];

    /// The policy type on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The kind with this policy type, if it is a known one.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl Policy {
    /// The parameters.
    #[rustfmt::skip]
    pub(crate) const fn values(&self) -> Values {
        let (first, degradation, dpf, distance) = match *self {
            Self::RoundRobin | Self::Random => (0, 0, 0, 0),
            Self::WeightedRoundRobin { weight } | Self::WeightedRandom { weight } => (weight, 0, 0, 0),
            Self::Priority { priority } => (priority, 0, 0, 0),
            Self::LeastUsed { load } | Self::RandomizedLeastUsed { load } => (load, 0, 0, 0),
            Self::LeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsed { load, degradation }
            | Self::RandomizedPriorityLeastUsed { load, degradation }
            | Self::RandomizedLeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsedDegradation { load, degradation }
            | Self::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                (load, degradation, 0, 0)
            }
            Self::WeightedRandomDpf { weight, dpf, distance } => (weight, 0, dpf, distance),
            Self::LeastUsedDpf { load, dpf, distance } => (load, 0, dpf, distance),
            Self::LeastUsedDegradationDpf { load, degradation, dpf, distance }
            | Self::PriorityLeastUsedDpf { load, degradation, dpf, distance }
            | Self::PriorityLeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                (load, degradation, dpf, distance)
            }
        };
        Values { first, degradation, dpf, distance }
    }

    /// What they mean.
    #[rustfmt::skip]
    pub(crate) fn standing(&self) -> Standing {
        use PolicyKind as Kind;
        let values = self.values();
        match self.kind() {
            Kind::RoundRobin => round_robin::standing(values),
            Kind::WeightedRoundRobin => weighted_round_robin::standing(values),
            Kind::Random => random::standing(values),
            Kind::WeightedRandom => weighted_random::standing(values),
            Kind::Priority => priority::standing(values),
            Kind::LeastUsed => least_used::standing(values),
            Kind::LeastUsedDegradation => least_used_degradation::standing(values),
            Kind::PriorityLeastUsed => priority_least_used::standing(values),
            Kind::RandomizedLeastUsed => randomized_least_used::standing(values),
            Kind::RandomizedPriorityLeastUsed => randomized_priority_least_used::standing(values),
            Kind::RandomizedLeastUsedDegradation => randomized_least_used_degradation::standing(values),
            Kind::PriorityLeastUsedDegradation => priority_least_used_degradation::standing(values),
            Kind::RandomizedPriorityLeastUsedDegradation => randomized_priority_least_used_degradation::standing(values),
            Kind::WeightedRandomDpf => weighted_random_dpf::standing(values),
            Kind::LeastUsedDpf => least_used_dpf::standing(values),
            Kind::LeastUsedDegradationDpf => least_used_degradation_dpf::standing(values),
            Kind::PriorityLeastUsedDpf => priority_least_used_dpf::standing(values),
            Kind::PriorityLeastUsedDegradationDpf => priority_least_used_degradation_dpf::standing(values),
        }
    }
}

impl PolicyKind {
    /// A policy of this kind with those of the parameters that it has.
    ///
    /// ```
    /// use rserpool_engine::{Policy, PolicyKind, PolicyParameters};
    ///
    /// let all = PolicyParameters { weight: 3, load: 7, ..PolicyParameters::default() };
    /// assert_eq!(PolicyKind::LeastUsed.with(all), Policy::LeastUsed { load: 7 });
    /// ```
    #[must_use]
    #[rustfmt::skip]
    pub const fn with(self, parameters: PolicyParameters) -> Policy {
        let PolicyParameters { weight, load, priority, degradation, dpf, distance } = parameters;
        match self {
            Self::RoundRobin => Policy::RoundRobin,
            Self::WeightedRoundRobin => Policy::WeightedRoundRobin { weight },
            Self::Random => Policy::Random,
            Self::WeightedRandom => Policy::WeightedRandom { weight },
            Self::Priority => Policy::Priority { priority },
            Self::LeastUsed => Policy::LeastUsed { load },
            Self::LeastUsedDegradation => Policy::LeastUsedDegradation { load, degradation },
            Self::PriorityLeastUsed => Policy::PriorityLeastUsed { load, degradation },
            Self::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load },
            Self::RandomizedPriorityLeastUsed => Policy::RandomizedPriorityLeastUsed { load, degradation },
            Self::RandomizedLeastUsedDegradation => Policy::RandomizedLeastUsedDegradation { load, degradation },
            Self::PriorityLeastUsedDegradation => Policy::PriorityLeastUsedDegradation { load, degradation },
            Self::RandomizedPriorityLeastUsedDegradation => {
                Policy::RandomizedPriorityLeastUsedDegradation { load, degradation }
            }
            Self::WeightedRandomDpf => Policy::WeightedRandomDpf { weight, dpf, distance },
            Self::LeastUsedDpf => Policy::LeastUsedDpf { load, dpf, distance },
            Self::LeastUsedDegradationDpf => {
                Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance }
            }
            Self::PriorityLeastUsedDpf => {
                Policy::PriorityLeastUsedDpf { load, degradation, dpf, distance }
            }
            Self::PriorityLeastUsedDegradationDpf => {
                Policy::PriorityLeastUsedDegradationDpf { load, degradation, dpf, distance }
            }
        }
    }

    /// The same with the parameters as they are kept.
    pub(crate) const fn with_values(self, values: Values) -> Policy {
        let Values { first, degradation, dpf, distance } = values;
        let (weight, load, priority) = (first, first, first);
        self.with(PolicyParameters { weight, load, priority, degradation, dpf, distance })
    }

    /// What is the same for all elements of this policy.
    #[rustfmt::skip]
    pub(crate) const fn rule(self) -> Rule {
        match self {
            Self::RoundRobin => round_robin::RULE,
            Self::WeightedRoundRobin => weighted_round_robin::RULE,
            Self::Random => random::RULE,
            Self::WeightedRandom => weighted_random::RULE,
            Self::Priority => priority::RULE,
            Self::LeastUsed => least_used::RULE,
            Self::LeastUsedDegradation => least_used_degradation::RULE,
            Self::PriorityLeastUsed => priority_least_used::RULE,
            Self::RandomizedLeastUsed => randomized_least_used::RULE,
            Self::RandomizedPriorityLeastUsed => randomized_priority_least_used::RULE,
            Self::RandomizedLeastUsedDegradation => randomized_least_used_degradation::RULE,
            Self::PriorityLeastUsedDegradation => priority_least_used_degradation::RULE,
            Self::RandomizedPriorityLeastUsedDegradation => randomized_priority_least_used_degradation::RULE,
            Self::WeightedRandomDpf => weighted_random_dpf::RULE,
            Self::LeastUsedDpf => least_used_dpf::RULE,
            Self::LeastUsedDegradationDpf => least_used_degradation_dpf::RULE,
            Self::PriorityLeastUsedDpf => priority_least_used_dpf::RULE,
            Self::PriorityLeastUsedDegradationDpf => priority_least_used_degradation_dpf::RULE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_given_back_as_they_were() {
        let values = Values { first: 1, degradation: 2, dpf: 3, distance: 4 };
        for kind in PolicyKind::ALL {
            let policy = kind.with_values(values);
            assert_eq!(policy.kind(), kind);
            assert_eq!(kind.with_values(policy.values()), policy);
            assert_eq!(PolicyKind::from_code(kind.code()), Some(kind));
            assert_eq!(kind.rule().has_distance, policy.values().distance == 4);
        }
        assert_eq!(PolicyKind::from_code(0x4000_0010), None);
    }
}
