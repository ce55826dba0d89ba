//! Policies as people read them.

use core::fmt;

use super::Policy;

/// A share of `u32::MAX` in tenths of a percent, rounded.
struct Percent(u32);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = u64::from(u32::MAX);
        let tenths = (u64::from(self.0) * 1000 + all / 2) / all;
        write!(f, "{}.{}%", tenths / 10, tenths % 10)
    }
}

/// The name and what an element has of it: `LeastUsed load 25.0%`. Distances
/// are left out.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match *self {
            Self::WeightedRoundRobin { weight } | Self::WeightedRandom { weight } => {
                write!(f, "{kind:?} weight {weight}")
            }
            Self::Priority { priority } => write!(f, "{kind:?} {priority}"),
            Self::LeastUsed { load } | Self::RandomizedLeastUsed { load } => {
                write!(f, "{kind:?} load {}", Percent(load))
            }
            Self::LeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsed { load, degradation }
            | Self::RandomizedPriorityLeastUsed { load, degradation }
            | Self::RandomizedLeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsedDegradation { load, degradation }
            | Self::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                write!(f, "{kind:?} load {} +{}", Percent(load), Percent(degradation))
            }
            Self::RoundRobin
            | Self::Random
            | Self::WeightedRandomDpf { .. }
            | Self::LeastUsedDpf { .. }
            | Self::LeastUsedDegradationDpf { .. }
            | Self::PriorityLeastUsedDpf { .. }
            | Self::PriorityLeastUsedDegradationDpf { .. } => write!(f, "{kind:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_shown_with_what_it_has_of_the_element() {
        let shown = [
            (Policy::RoundRobin, "RoundRobin"),
            (Policy::WeightedRandom { weight: 7 }, "WeightedRandom weight 7"),
            (Policy::Priority { priority: 3 }, "Priority 3"),
            (Policy::LeastUsed { load: 1 << 30 }, "LeastUsed load 25.0%"),
            (Policy::RandomizedLeastUsed { load: 1 }, "RandomizedLeastUsed load 0.0%"),
            (
                Policy::PriorityLeastUsed { load: u32::MAX, degradation: u32::MAX / 1000 },
                "PriorityLeastUsed load 100.0% +0.1%",
            ),
        ];
        for (policy, text) in shown {
            assert_eq!(policy.to_string(), text);
        }
    }
}
