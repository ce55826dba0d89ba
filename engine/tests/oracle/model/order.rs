//! The plain form of every policy: what an element is ordered or drawn by.

use std::collections::BTreeMap;

use rserpool_engine::{PeId, Policy, PolicyKind};

use super::ModelElement;

pub(super) const ROUND: u128 = 1 << 32;
pub(super) const FULL: u128 = u32::MAX as u128;

/// The load with all that the policy adds to it; for Priority what it is short
/// of the highest. The sorted policies select the lowest first, the randomized
/// ones draw what it is short of 100 %.
pub(super) fn key(policy: Policy, selections: u64) -> u128 {
    let selections = u128::from(selections);
    let product = |a: u32, b: u32| u128::from(a) * u128::from(b);
    let key = match policy {
        Policy::Priority { priority } => FULL - u128::from(priority),
        Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } => load.into(),
        Policy::LeastUsedDegradation { load, degradation }
        | Policy::RandomizedLeastUsedDegradation { load, degradation } => {
            u128::from(load) + selections * u128::from(degradation)
        }
        Policy::PriorityLeastUsed { load, degradation }
        | Policy::RandomizedPriorityLeastUsed { load, degradation } => {
            u128::from(load) + u128::from(degradation)
        }
        Policy::PriorityLeastUsedDegradation { load, degradation }
        | Policy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
            u128::from(load) + (selections + 1) * u128::from(degradation)
        }
        Policy::LeastUsedDpf { load, dpf, distance } => u128::from(load) + product(dpf, distance),
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            u128::from(load) + product(dpf, distance) + selections * u128::from(degradation)
        }
        Policy::PriorityLeastUsedDpf { load, degradation, dpf, distance } => {
            u128::from(load) + u128::from(degradation) + product(dpf, distance)
        }
        Policy::PriorityLeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            u128::from(load) + product(dpf, distance) + (selections + 1) * u128::from(degradation)
        }
        _ => unreachable!("no policy with a key"),
    };
    key.min(FULL)
}

/// What an element of a random policy is drawn by.
pub(super) fn lots(policy: Policy, selections: u64) -> u128 {
    match policy {
        Policy::Random => 1,
        Policy::WeightedRandom { weight } => weight.into(),
        Policy::WeightedRandomDpf { weight: 0, .. } => 0,
        Policy::WeightedRandomDpf { weight, dpf, distance } => {
            let weight = u128::from(weight);
            // Rounded to the nearest: twice the product, plus one half twice.
            let twice = 2 * weight * u128::from(dpf) * u128::from(distance);
            let penalty = (twice + FULL) / (2 * FULL);
            weight.saturating_sub(penalty).max(1)
        }
        policy => (FULL - key(policy, selections)).max(1),
    }
}

/// The weight, if the policy has weights.
pub(super) fn weight(policy: Policy) -> Option<u32> {
    match policy {
        Policy::WeightedRoundRobin { weight }
        | Policy::WeightedRandom { weight }
        | Policy::WeightedRandomDpf { weight, .. } => Some(weight),
        _ => None,
    }
}

pub(super) fn is_random(kind: PolicyKind) -> bool {
    matches!(
        kind,
        PolicyKind::Random
            | PolicyKind::WeightedRandom
            | PolicyKind::WeightedRandomDpf
            | PolicyKind::RandomizedLeastUsed
            | PolicyKind::RandomizedLeastUsedDegradation
            | PolicyKind::RandomizedPriorityLeastUsed
            | PolicyKind::RandomizedPriorityLeastUsedDegradation
    )
}

pub(super) fn is_sorted(kind: PolicyKind) -> bool {
    !is_random(kind) && !matches!(kind, PolicyKind::RoundRobin | PolicyKind::WeightedRoundRobin)
}

pub(super) fn has_load(kind: PolicyKind) -> bool {
    format!("{kind:?}").contains("LeastUsed")
}

pub(super) fn degrades(kind: PolicyKind) -> bool {
    format!("{kind:?}").contains("Degradation")
}

fn offset(weight: u32, passed: u128) -> u128 {
    (passed + 1) * ROUND / u128::from(weight)
}

#[derive(Clone, Debug)]
struct Place {
    /// Orders equals: the lower, the longer it has waited.
    sequence: u64,
    /// Start of its round and turns passed in it.
    round: u128,
    passed: u128,
}

/// The selectable elements of a pool, or of one of its zones.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    sequence: u64,
    /// The time of turns.
    time: u128,
    places: BTreeMap<PeId, Place>,
}

impl Order {
    pub(super) fn new() -> Self {
        // Later than any wait, so that a round may have begun before it.
        Self { sequence: 0, time: 10 * ROUND, places: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn has(&self, pe: PeId) -> bool {
        self.places.contains_key(&pe)
    }

    pub(super) fn enter(&mut self, pe: PeId) {
        self.sequence += 1;
        let place = Place { sequence: self.sequence, round: self.time, passed: 0 };
        assert!(self.places.insert(pe, place).is_none());
    }

    pub(super) fn leave(&mut self, pe: PeId) {
        self.places.remove(&pe);
    }

    /// An element got other values.
    pub(super) fn change(&mut self, pe: PeId, from: Policy, to: Policy) {
        let Some(place) = self.places.get_mut(&pe) else { return };
        match (from, to) {
            (Policy::RoundRobin, _) => return,
            (
                Policy::WeightedRoundRobin { weight: from },
                Policy::WeightedRoundRobin { weight: to },
            ) => {
                let wait = place.round + offset(from, place.passed) - self.time;
                let wait = (wait * u128::from(from) / u128::from(to)).min(offset(to, 0));
                place.passed = 0;
                place.round = self.time + wait - offset(to, 0);
            }
            _ => {}
        }
        self.sequence += 1;
        place.sequence = self.sequence;
    }

    fn turn(&self, pe: PeId, elements: &BTreeMap<PeId, ModelElement>) -> Option<u128> {
        let Policy::WeightedRoundRobin { weight } = elements[&pe].policy else { return None };
        Some(self.places[&pe].round + offset(weight, self.places[&pe].passed))
    }

    /// The elements in the order of the policy; for random ones in any.
    pub(super) fn list(&self, elements: &BTreeMap<PeId, ModelElement>) -> Vec<PeId> {
        let mut order: Vec<(u128, u64, PeId)> = Vec::new();
        for (&pe, place) in &self.places {
            let element = &elements[&pe];
            let key = match element.policy {
                Policy::WeightedRoundRobin { .. } => self.turn(pe, elements).unwrap(),
                policy if is_sorted(policy.kind()) => key(policy, element.selections),
                _ => 0,
            };
            order.push((key, place.sequence, pe));
        }
        order.sort_unstable();
        order.into_iter().map(|(_, _, pe)| pe).collect()
    }

    /// An element has had its turn; a selection was not counted yet.
    pub(super) fn advance(&mut self, pe: PeId, elements: &BTreeMap<PeId, ModelElement>) {
        let moved = match elements[&pe].policy {
            Policy::RoundRobin => {
                // The place in the circle is behind it: so are all before it.
                let list = self.list(elements);
                let end = list.iter().position(|&it| it == pe).unwrap();
                list[..=end].to_vec()
            }
            _ => vec![pe],
        };
        let turns = self.places.keys().filter_map(|&pe| self.turn(pe, elements));
        self.time = turns.min().unwrap_or(self.time);
        for pe in moved {
            self.sequence += 1;
            let place = self.places.get_mut(&pe).unwrap();
            place.sequence = self.sequence;
            if let Policy::WeightedRoundRobin { weight } = elements[&pe].policy {
                place.passed += 1;
                if place.passed == u128::from(weight) {
                    place.round += ROUND;
                    place.passed = 0;
                }
            }
        }
    }
}
