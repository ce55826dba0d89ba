//! Whether a selection is one that the pool's policy and mode allow, and what
//! it changes.

use rserpool_engine::{Caller, PeId, PolicyKind, SelectionKey, SelectionMode, ZoneId};

use super::fairness::Fairness;
use super::order::{FULL, degrades, is_random, key, lots};
use super::{ModelPool, micros};

/// How many elements more than asked for a slow start looks at.
const BEYOND: usize = 16;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One selection, and what was given.
pub(crate) struct Asked<'a> {
    pub(crate) now: u64,
    pub(crate) caller: Caller,
    pub(crate) items: usize,
    pub(crate) advance: usize,
    pub(crate) given: &'a [PeId],
}

impl Asked<'_> {
    /// The elements that have had their turn.
    fn turns(&self) -> &[PeId] {
        &self.given[..self.given.len().min(self.advance)]
    }
}

impl ModelPool {
    fn kind(&self) -> PolicyKind {
        self.first.kind()
    }

    fn linked(&self) -> Vec<PeId> {
        self.elements.keys().copied().filter(|&pe| self.is_linked(pe)).collect()
    }

    /// # Panics
    /// If something else was to be given.
    pub(crate) fn select(&mut self, asked: &Asked<'_>, fairness: &mut Fairness) {
        let mut given = asked.given.to_vec();
        given.sort_unstable();
        given.dedup();
        assert_eq!(
            given.len(),
            asked.given.len(),
            "no element twice: {:?} {:?}",
            self.kind(),
            self.mode
        );
        let count = self.linked().len().min(asked.items);
        assert_eq!(given.len(), count, "as many as there are: {:?} {:?}", self.kind(), self.mode);
        assert!(given.iter().all(|&pe| self.is_linked(pe)), "none that is drained");
        match (self.mode, asked.caller) {
            (SelectionMode::TwoChoices, _) => self.check_choices(asked, fairness),
            (SelectionMode::ConsistentHash { seed }, Caller { key: Some(key), .. }) => {
                assert_eq!(asked.given, &self.nearest(seed, key)[..count]);
                if degrades(self.kind()) {
                    self.have_turns(asked.turns());
                }
            }
            (SelectionMode::ZoneFirst, Caller { zone, .. }) => {
                self.check_zone(zone.filter(|zone| self.zones.contains_key(zone)), asked, fairness);
            }
            (SelectionMode::SlowStart { ramp }, _) if self.is_any_new(asked.now) => {
                self.check_slow(micros(ramp), asked, fairness);
            }
            _ => {
                self.check_plain(asked.given, &self.all.list(&self.elements), fairness);
                self.have_turns(asked.turns());
            }
        }
    }

    /// These are the first of the candidates, which are in the order of the
    /// policy, or drawn from them.
    fn check_plain(&self, given: &[PeId], candidates: &[PeId], fairness: &mut Fairness) {
        if !is_random(self.kind()) {
            assert_eq!(given, &candidates[..given.len()], "{:?} {:?}", self.kind(), self.mode);
            return;
        }
        let lots = |pe: &PeId| lots(self.elements[pe].policy, self.elements[pe].selections);
        let mut left: Vec<(u128, PeId)> = candidates.iter().map(|pe| (lots(pe), *pe)).collect();
        left.sort_unstable();
        for pe in given {
            let at = left.iter().position(|(_, it)| it == pe).expect("one of the candidates");
            let weights: Vec<u128> = left.iter().map(|(weight, _)| *weight).collect();
            let way = match self.mode {
                SelectionMode::ZoneFirst => ", zone first",
                _ => "",
            };
            fairness.drawn(format!("{:?}{way}", self.kind()), &weights, at);
            left.remove(at);
        }
    }

    fn check_choices(&mut self, asked: &Asked<'_>, fairness: &mut Fairness) {
        let key = |pe: PeId| {
            let load = key(self.elements[&pe].policy, self.elements[&pe].selections);
            // A full element is unlikely to be drawn, not drained.
            if is_random(self.kind()) { load.min(FULL - 1) } else { load }
        };
        let mut left: Vec<(u128, PeId)> = self.linked().iter().map(|&pe| (key(pe), pe)).collect();
        left.sort_unstable();
        for pe in asked.given {
            let at = left.iter().position(|(_, it)| it == pe).unwrap();
            // In how many ordered pairs of candidates it is the one: the first
            // of equals is taken.
            let pairs = |(own, it): &(u128, PeId)| {
                let others = || left.iter().filter(|(_, other)| other != it);
                let first = others().filter(|(load, _)| load >= own).count();
                let second = others().filter(|(load, _)| load > own).count();
                (first + second) as u128
            };
            let weights: Vec<u128> = match left.len() {
                1 => vec![1],
                _ => left.iter().map(pairs).collect(),
            };
            assert!(weights[at] > 0, "the most loaded one is never better");
            fairness.drawn("two choices".to_owned(), &weights, at);
            left.remove(at);
        }
        for pe in asked.turns() {
            self.elements.get_mut(pe).unwrap().selections += 1;
        }
    }

    fn check_zone(&mut self, zone: Option<ZoneId>, asked: &Asked<'_>, fairness: &mut Fairness) {
        let near = zone.map_or_else(Vec::new, |zone| self.zones[&zone].list(&self.elements));
        let count = near.len().min(asked.items);
        let (first, others) = asked.given.split_at(count);
        self.check_plain(first, &near, fairness);
        let mut far = self.all.list(&self.elements);
        far.retain(|pe| zone.is_none() || self.elements[pe].zone != zone);
        self.check_plain(others, &far, fairness);
        for (index, &pe) in asked.turns().iter().enumerate() {
            let counts = degrades(self.kind());
            if index >= count || counts {
                self.all.advance(pe, &self.elements);
            }
            if index < count || counts {
                let own = self.elements[&pe].zone.and_then(|zone| self.zones.get_mut(&zone));
                if let Some(order) = own.filter(|order| order.has(pe)) {
                    order.advance(pe, &self.elements);
                }
            }
            self.elements.get_mut(&pe).unwrap().selections += 1;
        }
    }

    fn have_turns(&mut self, pes: &[PeId]) {
        for pe in pes {
            if self.all.has(*pe) {
                self.all.advance(*pe, &self.elements);
            }
            self.elements.get_mut(pe).unwrap().selections += 1;
        }
    }

    fn is_any_new(&self, now: u64) -> bool {
        self.elements.values().any(|element| element.settled > now)
    }

    fn check_slow(&mut self, ramp: u64, asked: &Asked<'_>, fairness: &mut Fairness) {
        if is_random(self.kind()) {
            self.have_turns(asked.turns());
            return;
        }
        let mut list = self.all.list(&self.elements);
        list.truncate(asked.items.min(self.elements.len()) + BEYOND);
        let wait = |pe: &PeId| self.elements[pe].settled.saturating_sub(asked.now);
        let (mut taken, mut passed, mut turns) = (Vec::new(), Vec::new(), Vec::new());
        for pe in &list {
            if taken.len() == asked.items {
                break;
            }
            if asked.given.get(taken.len()) == Some(pe) {
                taken.push(*pe);
                if taken.len() == asked.advance {
                    turns.clone_from(&passed);
                }
            } else {
                assert!(wait(pe) > 0, "only a new one is passed over");
                passed.push(*pe);
            }
        }
        // Where it is certain that somebody is taken, it is certain whether
        // the first was.
        let is_first_new = list.first().is_some_and(|pe| wait(pe) > 0);
        if asked.items == 1 && is_first_new && list.iter().any(|pe| wait(pe) == 0) {
            let wait = u128::from(wait(&list[0]));
            let is_taken = usize::from(taken.first() == Some(&list[0]));
            fairness.drawn("slow start".to_owned(), &[wait, u128::from(ramp) - wait], is_taken);
        }
        let missing = asked.given.len() - taken.len();
        taken.extend_from_slice(&passed[..missing]);
        assert_eq!(taken, asked.given, "who was passed over follows");
        if matches!(self.kind(), PolicyKind::RoundRobin | PolicyKind::WeightedRoundRobin) {
            for pe in turns {
                self.all.advance(pe, &self.elements);
            }
        }
        self.have_turns(asked.turns());
    }

    /// The elements by their distance from a key.
    fn nearest(&self, seed: u64, key: SelectionKey) -> Vec<PeId> {
        let probes = numbers(mix(!seed ^ mix(key.0)));
        let distance = |pe: PeId| {
            let points = numbers(mix(seed ^ mix(u64::from(pe.get()))));
            let all = points.iter().flat_map(|at| probes.map(|from| at.wrapping_sub(from)));
            all.min().unwrap()
        };
        let mut order: Vec<(u64, PeId)> =
            self.linked().into_iter().map(|pe| (distance(pe), pe)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, pe)| pe).collect()
    }
}

/// The first eight numbers of `SplitMix64`.
fn numbers(seed: u64) -> [u64; 8] {
    std::array::from_fn(|n| mix(seed.wrapping_add(GOLDEN.wrapping_mul(n as u64 + 1))))
}

/// Its output function.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
