//! How often the random policies give each element, alone and among several:
//! chi-square tests with a fixed seed.

use std::collections::BTreeMap;

use rserpool_engine::{Policy, PolicyKind};

use crate::{Pool, percent};

/// The statistic of the chi-square test.
pub(crate) fn chi_square(counts: impl Iterator<Item = (u64, f64)>) -> f64 {
    counts.map(|(count, expected)| (count as f64 - expected).powi(2) / expected).sum()
}

/// What chance exceeds once in a hundred thousand times (Wilson, Hilferty).
pub(crate) fn limit(freedom: usize) -> f64 {
    let n = freedom as f64;
    n * (4.265f64.mul_add((2.0 / (9.0 * n)).sqrt(), 1.0 - 2.0 / (9.0 * n))).powi(3)
}

/// For each random policy: its elements, and the share of each.
fn subjects(count: u32) -> Vec<(Vec<Policy>, Vec<f64>)> {
    // A weight from 1 to 5, and a load from 10 to 50 %.
    let part = |n: u32| n % 5 + 1;
    let (degradation, dpf, distance) = (percent(10), percent(1) / 10, 200);
    let free = |n: u32, load: u32| f64::from(100 - 10 * part(n) - load);
    let subject = |policy: &dyn Fn(u32) -> Policy, share: &dyn Fn(u32) -> f64| {
        ((0..count).map(policy).collect(), (0..count).map(share).collect())
    };
    let load = |n| percent(10 * part(n));
    vec![
        subject(&|_| Policy::Random, &|_| 1.0),
        subject(&|n| Policy::WeightedRandom { weight: part(n) }, &|n| part(n).into()),
        // Every other one is a fifth of a second away, which is 20 % of its weight.
        subject(
            &|n| {
                let distance = n % 2 * distance;
                Policy::WeightedRandomDpf { weight: 100 * part(n), dpf, distance }
            },
            &|n| f64::from(part(n)) * if n % 2 == 1 { 0.8 } else { 1.0 },
        ),
        subject(&|n| Policy::RandomizedLeastUsed { load: load(n) }, &|n| free(n, 0)),
        subject(&|n| Policy::RandomizedLeastUsedDegradation { load: load(n), degradation }, &|n| {
            free(n, 0)
        }),
        subject(&|n| Policy::RandomizedPriorityLeastUsed { load: load(n), degradation }, &|n| {
            free(n, 10)
        }),
        subject(
            &|n| Policy::RandomizedPriorityLeastUsedDegradation { load: load(n), degradation },
            &|n| free(n, 10),
        ),
    ]
}

/// Draws, and lets the first one drawn register again: it is not degraded.
fn draw(pool: &mut Pool, policies: &[Policy], items: u32) -> Vec<u32> {
    let drawn = pool.select(items);
    pool.register(drawn[0], policies[drawn[0] as usize - 1]);
    drawn
}

#[test]
fn each_element_is_drawn_in_proportion_to_its_weight() {
    // Few are one array, many are in classes.
    for count in [7, 100] {
        for (policies, shares) in subjects(count) {
            let mut pool = Pool::of(&policies);
            let mut counts = vec![0_u64; policies.len()];
            let draws = 300 * u64::from(count);
            for _ in 0..draws {
                counts[draw(&mut pool, &policies, 1)[0] as usize - 1] += 1;
            }
            let all: f64 = shares.iter().sum();
            let expected = shares.iter().map(|share| share / all * draws as f64);
            let statistic = chi_square(counts.iter().copied().zip(expected));
            let limit = limit(policies.len() - 1);
            assert!(statistic < limit, "{:?} {count}: {statistic} {counts:?}", policies[0].kind());
        }
    }
}

#[test]
fn several_are_drawn_one_after_the_other_from_those_left() {
    for (policies, shares) in subjects(5) {
        let mut pool = Pool::of(&policies);
        let mut counts: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
        let draws = 20_000;
        for _ in 0..draws {
            *counts.entry(draw(&mut pool, &policies, 3)).or_default() += 1;
        }
        assert_eq!(counts.len(), 60, "all ways to draw three of five");
        let statistic = chi_square(counts.iter().map(|(drawn, &count)| {
            let (mut left, mut chance) = (shares.iter().sum::<f64>(), 1.0);
            for &pe in drawn {
                let share = shares[pe as usize - 1];
                chance *= share / left;
                left -= share;
            }
            (count, chance * f64::from(draws))
        }));
        assert!(statistic < limit(59), "{:?}: {statistic}", policies[0].kind());
    }
}

#[test]
fn of_many_each_is_as_often_among_several_as_its_weight_says() {
    // All policies with 96 equal elements: six of them, each as often as the
    // others, in classes and in arrays.
    for kind in [PolicyKind::Random, PolicyKind::WeightedRandom, PolicyKind::RandomizedLeastUsed] {
        let policy = match kind {
            PolicyKind::Random => Policy::Random,
            PolicyKind::WeightedRandom => Policy::WeightedRandom { weight: 3 },
            _ => Policy::RandomizedLeastUsed { load: percent(50) },
        };
        let mut pool = Pool::of(&vec![policy; 96]);
        let mut counts = vec![0_u64; 96];
        for _ in 0..5000 {
            let drawn = pool.select(6);
            assert_eq!(drawn.len(), 6);
            drawn.iter().for_each(|&pe| counts[pe as usize - 1] += 1);
        }
        let expected = 5000.0 * 6.0 / 96.0;
        // Six different ones: less spread than with six independent draws.
        let statistic = chi_square(counts.iter().map(|&count| (count, expected)));
        assert!(statistic < limit(95), "{kind:?}: {statistic}");
    }
}

#[test]
fn a_degradation_lowers_the_share_until_the_element_registers_again() {
    let policy = |load| Policy::RandomizedLeastUsedDegradation {
        load: percent(load),
        degradation: percent(20),
    };
    // One element of 100 % free and one that stays at 1 of 2^32.
    let mut pool = Pool::of(&[
        policy(0),
        Policy::RandomizedLeastUsedDegradation { load: u32::MAX, degradation: 0 },
    ]);
    // Four selections take 80 %; with one more it is as full as the other.
    assert_eq!(pool.answers(5, 1), "A A A A A");
    let counts = pool.answers(400, 1).matches('A').count();
    assert!((150..250).contains(&counts), "equal shares: {counts}");
    pool.register(1, policy(0));
    assert_eq!(pool.answers(4, 1), "A A A A");
}

#[test]
fn weight_0_is_never_drawn() {
    let drained = [
        Policy::WeightedRandom { weight: 0 },
        Policy::WeightedRandomDpf { weight: 0, dpf: 1, distance: 1 },
    ];
    for policy in drained {
        let other = match policy {
            Policy::WeightedRandom { .. } => Policy::WeightedRandom { weight: 1 },
            _ => Policy::WeightedRandomDpf { weight: 1, dpf: u32::MAX, distance: u32::MAX },
        };
        let mut pool = Pool::of(&[policy, other, policy]);
        assert_eq!(pool.answers(4, 3), "B B B B");
        pool.remove(2);
        assert_eq!(pool.answers(2, 3), " ");
    }
}
