//! The selection modes: what each promises beyond equality with the model.

use std::collections::BTreeMap;
use std::time::Duration;

use rserpool_engine::{
    Caller, ModeError, PeId, Policy, PolicyKind, PoolHandle, SelectionKey, SelectionMode, ZoneId,
};

use crate::chance::{chi_square, limit};
use crate::{POOL, Pool, letters, percent};

const RR: Policy = Policy::RoundRobin;

/// How many keys the tests of consistent hashing use.
const KEYS: u64 = 20_000;

impl Pool {
    fn by(policies: &[Policy], mode: SelectionMode) -> Self {
        let mut pool = Self::of(policies);
        pool.space.select_by(POOL, mode).unwrap();
        pool
    }

    /// The elements nearest to a key.
    fn near(&mut self, key: u64, items: u32) -> Vec<u32> {
        self.select_for(items, Caller { key: Some(SelectionKey(key)), zone: None })
    }

    /// The element of every key.
    fn map(&mut self) -> Vec<u32> {
        (0..KEYS).map(|key| self.near(key, 1)[0]).collect()
    }

    fn place(&mut self, pe: u32, zone: u32) {
        let key = self.space.find(POOL, PeId::new(pe)).unwrap();
        assert!(self.space.place_in_zone(key, Some(ZoneId(zone))));
    }

    /// The answers to so many callers in a zone, elements as letters.
    fn answers_in(&mut self, zone: u32, count: usize, items: u32) -> String {
        let caller = Caller { key: None, zone: Some(ZoneId(zone)) };
        let answers: Vec<String> =
            (0..count).map(|_| letters(&self.select_for(items, caller))).collect();
        answers.join(" ")
    }
}

#[test]
fn a_mode_stays_until_the_pool_goes_and_is_refused_where_it_does_not_do() {
    let mut pool = Pool::of(&[RR]);
    assert_eq!(pool.space.pool(POOL).unwrap().selection_mode(), SelectionMode::ByPolicy);
    let other = PoolHandle::new(b"other");
    let mode = SelectionMode::ZoneFirst;
    assert_eq!(pool.space.select_by(other, mode), Err(ModeError::UnknownPool));
    let refused = pool.space.select_by(POOL, SelectionMode::TwoChoices);
    assert_eq!(refused, Err(ModeError::WithoutLoad(PolicyKind::RoundRobin)));
    let refused = pool.space.select_by(POOL, SelectionMode::SlowStart { ramp: Duration::ZERO });
    assert_eq!(refused, Err(ModeError::WithoutRamp));
    pool.space.select_by(POOL, mode).unwrap();
    pool.register(2, RR);
    pool.remove(1);
    assert_eq!(pool.space.pool(POOL).unwrap().selection_mode(), mode);
    pool.remove(2);
    pool.register(1, RR);
    assert_eq!(pool.space.pool(POOL).unwrap().selection_mode(), SelectionMode::ByPolicy);
    pool.space.assert_invariants();
}

#[test]
fn a_change_of_mode_keeps_places_and_degradations() {
    let policy = Policy::LeastUsedDegradation { load: 0, degradation: percent(10) };
    let mut pool = Pool::of(&[policy; 3]);
    assert_eq!(pool.answers(4, 1), "A B C A");
    for mode in [
        SelectionMode::ConsistentHash { seed: 1 },
        SelectionMode::TwoChoices,
        SelectionMode::ZoneFirst,
        SelectionMode::SlowStart { ramp: Duration::from_secs(1) },
        SelectionMode::ByPolicy,
    ] {
        pool.space.select_by(POOL, mode).unwrap();
        pool.space.assert_invariants();
    }
    assert_eq!(pool.answers(3, 1), "B C A");
}

#[test]
fn of_two_drawn_elements_the_less_loaded_one_is_given() {
    let policies: Vec<Policy> =
        (0..8).map(|n| Policy::LeastUsed { load: percent(10 * n) }).collect();
    let mut pool = Pool::by(&policies, SelectionMode::TwoChoices);
    let mut counts: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    let draws = 30_000_u32;
    for _ in 0..draws {
        *counts.entry(pool.select(2)).or_default() += 1;
    }
    // Of n elements, the one that has m better ones is the best of two in
    // n - 1 - m of n * (n - 1) / 2 cases: the worst never is, but among the
    // last two of an answer it may be the only one left.
    assert_eq!(counts.keys().filter(|drawn| drawn[0] == 8).count(), 0);
    let chance = |better: u32, of: u32| f64::from(of - 1 - better) / f64::from(of * (of - 1) / 2);
    let expected = |drawn: &[u32]| {
        let first = chance(drawn[0] - 1, 8);
        let better = drawn[1] - 1 - u32::from(drawn[0] < drawn[1]);
        f64::from(draws) * first * chance(better, 7)
    };
    let pairs = (1..8).flat_map(|a| (1..9).map(move |b| vec![a, b]));
    let pairs: Vec<Vec<u32>> = pairs.filter(|pair| expected_pair(pair, &expected)).collect();
    let statistic = chi_square(
        pairs.iter().map(|pair| (counts.get(pair).copied().unwrap_or(0), expected(pair))),
    );
    assert!(statistic < limit(pairs.len() - 1), "{statistic} {counts:?}");
    let all: u64 = pairs.iter().map(|pair| counts.get(pair).copied().unwrap_or(0)).sum();
    assert_eq!(all, u64::from(draws), "no other pairs");
}

fn expected_pair(pair: &[u32], expected: &dyn Fn(&[u32]) -> f64) -> bool {
    pair[0] != pair[1] && expected(pair) > 0.0
}

#[test]
fn a_report_and_a_degradation_count_at_the_next_draw() {
    let policy = |load| Policy::LeastUsedDegradation { load, degradation: percent(60) };
    let mut pool = Pool::by(&[policy(0), policy(percent(50))], SelectionMode::TwoChoices);
    // Of two elements both are always drawn. 0, 60; 50, 110.
    assert_eq!(pool.answers(2, 1), "A B");
    assert_eq!(pool.answers(1, 1), "A");
    pool.register(2, policy(percent(20)));
    assert_eq!(pool.answers(1, 2), "BA");
}

#[test]
fn when_an_element_goes_only_its_keys_move_and_when_it_comes_back_they_return() {
    let n = 100;
    let mut pool = Pool::by(&vec![RR; n], SelectionMode::ConsistentHash { seed: 7 });
    let before = pool.map();
    let nearest: Vec<Vec<u32>> = (0..KEYS).map(|key| pool.near(key, 5)).collect();
    for gone in [1, 37, 100] {
        pool.remove(gone);
        let after = pool.map();
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        let own = before.iter().filter(|&&pe| pe == gone).count();
        assert_eq!(moved, own, "only the keys of {gone} move");
        let share = own as f64 / KEYS as f64 * n as f64;
        assert!((0.6..1.5).contains(&share), "about one in {n}: {share}");
        // Who is next takes over.
        for (key, near) in (0..).zip(&nearest) {
            let rest: Vec<u32> = near.iter().copied().filter(|&pe| pe != gone).collect();
            assert_eq!(pool.near(key, 5)[..rest.len()], rest);
        }
        pool.register(gone, RR);
        assert_eq!(pool.map(), before, "its keys return");
    }
    let new = pool.register(101, RR);
    let after = pool.map();
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || *after == 101, "keys move to the new one only");
    }
    let share = after.iter().filter(|&&pe| pe == 101).count() as f64 / KEYS as f64 * 101.0;
    assert!((0.6..1.5).contains(&share), "{share}");
    assert!(pool.space.remove(new));
    assert_eq!(pool.map(), before);
}

#[test]
fn registrars_with_the_same_seed_agree_whatever_happened_before() {
    let mode = SelectionMode::ConsistentHash { seed: 42 };
    let mut one = Pool::by(&vec![RR; 50], mode);
    let mut other = Pool::of(&[]);
    for pe in (1..200).rev() {
        other.register(pe, RR);
    }
    other.space.select_by(POOL, mode).unwrap();
    (51..200).for_each(|pe| other.remove(pe));
    assert_eq!(one.map(), other.map());
    let mut different = Pool::by(&vec![RR; 50], SelectionMode::ConsistentHash { seed: 43 });
    assert_ne!(one.map(), different.map());
    one.space.assert_invariants();
    other.space.assert_invariants();
}

#[test]
fn keys_are_spread_over_the_elements() {
    for n in [3_u32, 30, 300] {
        let mode = SelectionMode::ConsistentHash { seed: 3 };
        let mut pool = Pool::by(&vec![RR; n as usize], mode);
        let mut counts = vec![0_u64; n as usize];
        pool.map().iter().for_each(|&pe| counts[pe as usize - 1] += 1);
        let mean = KEYS as f64 / f64::from(n);
        // Chance of so few keys an element included.
        let spread = 3.5 / mean.sqrt();
        let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
        assert!(most as f64 / mean < 1.25 + spread, "{n}: {most} of {mean}");
        assert!(least as f64 / mean > 0.65 - spread, "{n}: {least} of {mean}");
    }
}

#[test]
fn callers_without_a_key_are_served_by_the_policy() {
    let mut pool = Pool::by(&[RR; 3], SelectionMode::ConsistentHash { seed: 3 });
    let first = pool.near(5, 1);
    assert_eq!(pool.answers(2, 2), "AB BC");
    assert_eq!(pool.near(5, 1), first);
    assert_eq!(pool.answers(1, 2), "CA");
    let degraded = Policy::LeastUsedDegradation { load: 0, degradation: percent(10) };
    let mut pool = Pool::by(&[degraded; 3], SelectionMode::ConsistentHash { seed: 3 });
    let first = pool.near(5, 1)[0];
    assert_eq!(pool.near(5, 1), [first], "a load does not matter");
    let others = pool.select(3);
    assert_eq!(others[2], first, "but it was counted");
}

#[test]
fn the_zone_of_the_caller_comes_first_and_the_others_follow() {
    let mut pool = Pool::by(&[RR; 5], SelectionMode::ZoneFirst);
    for (pe, zone) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
        pool.place(pe, zone);
    }
    assert_eq!(pool.answers_in(1, 3, 1), "A C A");
    assert_eq!(pool.answers_in(2, 2, 2), "BD DB");
    // Nobody is there, or no zone is named: all by the policy.
    assert_eq!(pool.answers_in(3, 2, 2), "AB BC");
    assert_eq!(pool.answers(2, 2), "CD DE");
    // Too few are there: the others follow by the policy, from D, E on.
    assert_eq!(pool.answers_in(1, 1, 5), "CAEBD");
    pool.place(5, 1);
    assert_eq!(pool.answers_in(1, 3, 1), "A C E");
    pool.remove(1);
    pool.remove(3);
    pool.remove(5);
    assert_eq!(pool.answers_in(1, 1, 9), "BD");
    pool.space.assert_invariants();
}

#[test]
fn degradations_count_in_the_zone_and_for_all() {
    let policy = Policy::LeastUsedDegradation { load: 0, degradation: percent(10) };
    let mut pool = Pool::by(&[policy; 4], SelectionMode::ZoneFirst);
    for (pe, zone) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        pool.place(pe, zone);
    }
    assert_eq!(pool.answers_in(1, 3, 1), "A B A");
    // C, D: 0; B: 10; A: 20.
    assert_eq!(pool.answers(1, 4), "CDBA");
    assert_eq!(pool.answers_in(2, 1, 2), "DC");
    // Another zone keeps the degradation, a registration ends it.
    pool.place(1, 2);
    assert_eq!(pool.answers_in(2, 1, 3), "CDA");
    pool.register(1, policy);
    assert_eq!(pool.answers_in(2, 1, 1), "A");
}

#[test]
fn a_drained_element_is_in_no_mode_selected() {
    let w = |weight| Policy::WeightedRoundRobin { weight };
    for mode in [
        SelectionMode::ConsistentHash { seed: 1 },
        SelectionMode::ZoneFirst,
        SelectionMode::SlowStart { ramp: Duration::from_secs(5) },
    ] {
        let mut pool = Pool::by(&[w(1), w(0)], mode);
        (1..3).for_each(|pe| pool.place(pe, 1));
        let caller = Caller { key: Some(SelectionKey(1)), zone: Some(ZoneId(1)) };
        assert_eq!(pool.select_for(9, caller), [1]);
        pool.register(1, w(0));
        assert_eq!(pool.select_for(9, caller), []);
        pool.register(2, w(2));
        assert_eq!(pool.select_for(9, caller), [2]);
        pool.space.assert_invariants();
    }
}

/// How many of 4,000 selections a new element gets, next to three old ones,
/// when so many hundredths of its slow start are over.
fn share_of_new(policies: [Policy; 4], hundredths: u64) -> u64 {
    let ramp = Duration::from_secs(10);
    let mut pool = Pool::by(&policies[..3], SelectionMode::SlowStart { ramp });
    pool.register(4, policies[3]);
    pool.now = pool.now.after(ramp / 100 * u32::try_from(hundredths).unwrap());
    let given = (0..4000).map(|_| pool.select(1)[0]);
    given.filter(|&pe| pe == 4).count() as u64
}

#[test]
fn a_new_element_gets_its_share_step_by_step() {
    let weighted = |weight| Policy::WeightedRandom { weight };
    let busy = Policy::LeastUsed { load: percent(50) };
    let least_used = [busy, busy, busy, Policy::LeastUsed { load: 0 }];
    let subjects: [([Policy; 4], u64); 4] = [
        ([RR; 4], 1000),
        ([Policy::WeightedRoundRobin { weight: 3 }; 4], 1000),
        ([1, 1, 1, 3].map(weighted), 2000),
        // The least used one would get everything at once.
        (least_used, 4000),
    ];
    for (policies, full) in subjects {
        let mut before = 0;
        for hundredths in [0, 10, 25, 50, 75, 100] {
            let count = share_of_new(policies, hundredths);
            let part = hundredths as f64 / 100.0;
            let expected = match policies[3] {
                // Turns that it loses are none of the others'.
                RR | Policy::WeightedRoundRobin { .. } => 4000.0 * part / (3.0 + part),
                _ => full as f64 * part,
            };
            let near = 5.0 * expected.sqrt() + 1.0;
            let difference = (count as f64 - expected).abs();
            assert!(difference < near, "{:?} {hundredths}: {count}", policies[0].kind());
            assert!(count >= before, "never less than before");
            before = count;
        }
        let after = share_of_new(policies, 300);
        assert!(after.abs_diff(full) < 200, "{:?}: {after}", policies[0].kind());
    }
}

#[test]
fn who_is_passed_over_follows_and_who_returns_starts_slowly_again() {
    let w = |weight| Policy::WeightedRoundRobin { weight };
    let mode = SelectionMode::SlowStart { ramp: Duration::from_secs(10) };
    let mut pool = Pool::by(&[w(1), w(1)], mode);
    pool.register(3, w(1));
    // C has no share yet, but is given where others are too few.
    assert_eq!(pool.answers(4, 1), "A B A B");
    assert_eq!(pool.select(3)[2], 3);
    pool.now = pool.now.after(Duration::from_secs(10));
    let given = pool.answers(6, 1);
    assert_eq!(given.matches('C').count(), 2, "{given}");
    // Drained and back again.
    pool.register(3, w(0));
    pool.register(3, w(1));
    assert_eq!(pool.answers(8, 1).matches('C').count(), 0);
    // A registration of one that was there is none.
    pool.register(1, w(1));
    assert_eq!(pool.answers(2, 1).matches('A').count(), 1);
}

#[test]
fn when_all_are_new_they_share_as_ever() {
    let mode = SelectionMode::SlowStart { ramp: Duration::from_secs(10) };
    let mut pool = Pool::by(&[RR], mode);
    (2..5).for_each(|pe| {
        pool.register(pe, RR);
    });
    pool.remove(1);
    assert_eq!(pool.answers(6, 1), "B C D B C D");
}

#[test]
fn in_the_steady_state_no_mode_allocates() {
    for mode in [
        SelectionMode::TwoChoices,
        SelectionMode::ConsistentHash { seed: 1 },
        SelectionMode::ZoneFirst,
        SelectionMode::SlowStart { ramp: Duration::from_secs(10) },
    ] {
        let policy = |load| Policy::LeastUsedDegradation { load, degradation: percent(1) };
        let mut pool = Pool::by(&[policy(0); 300], mode);
        (1..=300).for_each(|pe| pool.place(pe, pe % 3));
        let mut round = || {
            for pe in 1..=300 {
                pool.remove(pe);
                pool.register(pe, policy(percent(pe % 50)));
                pool.place(pe, pe % 3);
                pool.now = pool.now.after(Duration::from_millis(100));
                let caller =
                    Caller { key: Some(SelectionKey(pe.into())), zone: Some(ZoneId(pe % 5)) };
                let (now, into) = (pool.now, &mut pool.resolution);
                pool.space.resolve_for(now, POOL, 120, caller, into).unwrap();
                assert_eq!(into.elements.len(), 120);
            }
        };
        (0..3).for_each(|_| round());
        let allocated = allocation_counter::measure(|| (0..3).for_each(|_| round()));
        assert_eq!(allocated.count_total, 0, "{mode:?}");
    }
}
