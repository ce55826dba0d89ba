//! The loads that have a name.

use crate::population::Shape;

/// A load that has a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workload {
    /// A mix of pool sizes, policies and requests.
    #[default]
    Canonical,
    /// All elements in one pool.
    HugePool,
    /// A million pools of two elements.
    TinyPools,
    /// A fifth of all elements leaves and comes back every second.
    ChurnStorm,
    /// Everybody asks for one pool at once.
    FlashCrowd,
    /// Half of all elements die at once, and come back later.
    MassFailure,
    /// A million elements that do little but re-register.
    Reregistration,
}

/// What the options are where a workload is named and they are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) elements: u32,
    /// None: a hundredth of the elements.
    pub(crate) pools: Option<u32>,
    pub(crate) shape: Shape,
    /// Seconds.
    pub(crate) duration: u32,
    pub(crate) rate: u32,
    /// Seconds.
    pub(crate) reregister_every: u32,
    pub(crate) churn: u32,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Canonical,
        Self::HugePool,
        Self::TinyPools,
        Self::ChurnStorm,
        Self::FlashCrowd,
        Self::MassFailure,
        Self::Reregistration,
    ];

    /// Its name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::HugePool => "huge-pool",
            Self::TinyPools => "tiny-pools",
            Self::ChurnStorm => "churn-storm",
            Self::FlashCrowd => "flash-crowd",
            Self::MassFailure => "mass-failure",
            Self::Reregistration => "re-registration",
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Canonical => "mixed pool sizes and policies; what runs without options",
            Self::HugePool => "a million elements in one pool, asked for by all pool users",
            Self::TinyPools => "a million pools of two elements each",
            Self::ChurnStorm => "20,000 elements a second deregister and come back a second later",
            Self::FlashCrowd => {
                "ten times the resolutions, all of one pool, for a third of the time"
            }
            Self::MassFailure => {
                "half of the elements' associations are lost at once, and come back"
            }
            Self::Reregistration => "a million elements re-registered every 30 s, few resolutions",
        }
    }

    pub(crate) const fn defaults(self) -> Defaults {
        let canonical = Defaults {
            elements: 100_000,
            pools: None,
            shape: Shape::Mixed,
            duration: 20,
            rate: 40_000,
            reregister_every: 30,
            churn: 200,
        };
        match self {
            Self::Canonical => canonical,
            Self::HugePool => Defaults {
                elements: 1_000_000,
                pools: Some(1),
                rate: 20_000,
                reregister_every: 60,
                ..canonical
            },
            Self::TinyPools => Defaults {
                elements: 2_000_000,
                pools: Some(1_000_000),
                shape: Shape::Even,
                rate: 20_000,
                reregister_every: 120,
                ..canonical
            },
            Self::ChurnStorm => Defaults { churn: 20_000, rate: 10_000, ..canonical },
            Self::FlashCrowd => Defaults { duration: 30, rate: 4_000, ..canonical },
            Self::MassFailure => Defaults { duration: 30, rate: 10_000, churn: 0, ..canonical },
            Self::Reregistration => Defaults {
                elements: 1_000_000,
                pools: Some(10_000),
                duration: 40,
                rate: 5_000,
                churn: 0,
                ..canonical
            },
        }
    }

    /// So many times the usual resolutions come in a flash crowd.
    pub(crate) const CROWD: u64 = 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_a_summary_of_its_own() {
        for (index, workload) in Workload::ALL.into_iter().enumerate() {
            let others = &Workload::ALL[index + 1..];
            assert!(others.iter().all(|other| other.name() != workload.name()));
            assert!(!workload.summary().is_empty());
        }
    }

    #[test]
    fn no_workload_asks_for_more_pools_than_elements() {
        for workload in Workload::ALL {
            let defaults = workload.defaults();
            assert!(defaults.pools.unwrap_or(1) <= defaults.elements);
        }
    }
}
