//! Pool member selection policies (RFC 5356 and rsplib's).

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
