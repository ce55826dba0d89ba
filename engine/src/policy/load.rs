//! The load among a policy's parameters.

use super::Policy;

impl Policy {
    /// The load, if the policy has one; units as in [`Policy`].
    #[must_use]
    pub const fn load(self) -> Option<u32> {
        match self {
            Self::LeastUsed { load }
            | Self::LeastUsedDegradation { load, .. }
            | Self::PriorityLeastUsed { load, .. }
            | Self::RandomizedLeastUsed { load }
            | Self::RandomizedPriorityLeastUsed { load, .. }
            | Self::RandomizedLeastUsedDegradation { load, .. }
            | Self::PriorityLeastUsedDegradation { load, .. }
            | Self::RandomizedPriorityLeastUsedDegradation { load, .. }
            | Self::LeastUsedDpf { load, .. }
            | Self::LeastUsedDegradationDpf { load, .. }
            | Self::PriorityLeastUsedDpf { load, .. }
            | Self::PriorityLeastUsedDegradationDpf { load, .. } => Some(load),
            Self::RoundRobin
            | Self::WeightedRoundRobin { .. }
            | Self::Random
            | Self::WeightedRandom { .. }
            | Self::Priority { .. }
            | Self::WeightedRandomDpf { .. } => None,
        }
    }

    /// The same policy with another load, if it has one.
    #[must_use]
    pub const fn with_load(mut self, new: u32) -> Option<Self> {
        match &mut self {
            Self::LeastUsed { load }
            | Self::LeastUsedDegradation { load, .. }
            | Self::PriorityLeastUsed { load, .. }
            | Self::RandomizedLeastUsed { load }
            | Self::RandomizedPriorityLeastUsed { load, .. }
            | Self::RandomizedLeastUsedDegradation { load, .. }
            | Self::PriorityLeastUsedDegradation { load, .. }
            | Self::RandomizedPriorityLeastUsedDegradation { load, .. }
            | Self::LeastUsedDpf { load, .. }
            | Self::LeastUsedDegradationDpf { load, .. }
            | Self::PriorityLeastUsedDpf { load, .. }
            | Self::PriorityLeastUsedDegradationDpf { load, .. } => *load = new,
            Self::RoundRobin
            | Self::WeightedRoundRobin { .. }
            | Self::Random
            | Self::WeightedRandom { .. }
            | Self::Priority { .. }
            | Self::WeightedRandomDpf { .. } => return None,
        }
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_for_a_policy_that_has_one() {
        let (idle, busy) = (Policy::LeastUsed { load: 0 }, Policy::LeastUsed { load: 9 });
        assert_eq!((idle.with_load(9), busy.load()), (Some(busy), Some(9)));
        assert_eq!((Policy::RoundRobin.with_load(9), Policy::RoundRobin.load()), (None, None));
    }
}
