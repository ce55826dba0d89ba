//! Golden sequences: the answers of successive selections. Elements A, B, C...
//! are registered in this order.

use rserpool_engine::{Config, Policy, PolicyKind};

use crate::{Pool, percent};

/// Policies, items of an answer, and the answers.
type Row<'a> = (&'a [Policy], u32, &'a str);

fn check(rows: &[Row<'_>]) {
    for &(policies, items, answers) in rows {
        let mut pool = Pool::of(policies);
        let count = answers.split(' ').count();
        assert_eq!(pool.answers(count, items), answers, "{items} of {policies:?}");
        pool.space.assert_invariants();
    }
}

#[test]
fn round_robin() {
    const RR: Policy = Policy::RoundRobin;
    check(&[
        (&[RR], 3, "A A A"),
        (&[RR; 3], 1, "A B C A B C A"),
        // The place moves on by one, however many are given.
        (&[RR; 3], 2, "AB BC CA AB BC"),
        (&[RR; 3], 9, "ABC BCA CAB ABC"),
        (&[RR; 3], 0, "   "),
    ]);
    // Who is new goes behind all others, who registers again stays.
    let mut pool = Pool::of(&[RR; 3]);
    assert_eq!(pool.answers(1, 1), "A");
    pool.register(4, RR);
    pool.register(3, RR);
    assert_eq!(pool.answers(5, 1), "B C A D B");
    pool.remove(3);
    assert_eq!(pool.answers(4, 1), "A D B A");
}

#[test]
fn the_increment_is_as_many_as_configured_and_may_be_none() {
    const RR: Policy = Policy::RoundRobin;
    const LUD: Policy = Policy::LeastUsedDegradation { load: 0, degradation: percent(10) };
    let rows: [(u32, &[Policy], u32, &str); 8] = [
        (0, &[RR; 3], 2, "AB AB AB"),
        (1, &[RR; 3], 2, "AB BC CA"),
        (2, &[RR; 3], 2, "AB CA BC"),
        (2, &[RR; 3], 1, "A B C"),
        (u32::MAX, &[RR; 3], 2, "AB CA BC"),
        // Only who moves on is degraded.
        (0, &[LUD; 3], 2, "AB AB AB"),
        (1, &[LUD; 3], 2, "AB BC CA AB"),
        (2, &[LUD; 3], 2, "AB CA BC AB"),
    ];
    for (max_increment, policies, items, answers) in rows {
        let mut pool = Pool::with(Config { max_increment, ..Config::default() }, policies);
        let count = answers.split(' ').count();
        assert_eq!(pool.answers(count, items), answers, "{max_increment} {items} {policies:?}");
    }
}

#[test]
fn weighted_round_robin() {
    const fn w(weight: u32) -> Policy {
        Policy::WeightedRoundRobin { weight }
    }
    check(&[
        (&[w(1), w(1), w(1)], 1, "A B C A B C"),
        // As many turns as the weight says, spread evenly.
        (&[w(1), w(2), w(3)], 1, "C B C A B C C B C A B C"),
        (&[w(2), w(4)], 1, "B A B B A B"),
        (&[w(1), w(5)], 1, "B B B B A B B B B B A B"),
        // Weight 0 is drained.
        (&[w(1), w(0), w(1)], 3, "AC CA AC CA"),
        (&[w(0), w(0)], 3, "  "),
    ]);
    let mut pool = Pool::of(&[w(1), w(0)]);
    assert_eq!(pool.answers(2, 2), "A A");
    pool.register(2, w(1));
    assert_eq!(pool.answers(4, 1), "A B A B");
    pool.register(1, w(0));
    assert_eq!(pool.answers(2, 2), "B B");
}

#[test]
fn priority() {
    const fn p(priority: u32) -> Policy {
        Policy::Priority { priority }
    }
    check(&[
        (&[p(1), p(7), p(3)], 1, "B B B"),
        (&[p(1), p(7), p(3)], 3, "BCA BCA"),
        // The highest number is the highest priority; equals take turns.
        (&[p(5), p(u32::MAX), p(0), p(u32::MAX)], 4, "BDAC DBAC BDAC"),
    ]);
}

#[test]
fn least_used() {
    const fn lu(hundredths: u32) -> Policy {
        Policy::LeastUsed { load: percent(hundredths) }
    }
    check(&[
        (&[lu(30), lu(10), lu(20)], 3, "BCA BCA"),
        (&[lu(10), lu(10), lu(20)], 1, "A B A B"),
        (&[lu(10), lu(10), lu(20)], 3, "ABC BAC ABC"),
        (&[lu(100), lu(100)], 1, "A B A"),
    ]);
    let mut pool = Pool::of(&[lu(10), lu(20), lu(30)]);
    assert_eq!(pool.answers(1, 3), "ABC");
    pool.register(1, lu(25));
    assert_eq!(pool.answers(1, 3), "BAC");
}

#[test]
fn least_used_with_degradation_counts_each_selection_once() {
    const fn lud(load: u32, degradation: u32) -> Policy {
        Policy::LeastUsedDegradation { load: percent(load), degradation: percent(degradation) }
    }
    check(&[
        // A: 0, 10, 20, 30; B: 5, 35.
        (&[lud(0, 10), lud(5, 30)], 1, "A B A A A B A A A B"),
        (&[lud(0, 10), lud(0, 20)], 1, "A B A B A A B A A B"),
        (&[lud(0, 0), lud(0, 0)], 1, "A B A B"),
        // All at 100 %: they take turns.
        (&[lud(90, 60), lud(90, 60)], 1, "A B A B A"),
    ]);
    let mut pool = Pool::of(&[lud(0, 40), lud(30, 10)]);
    assert_eq!(pool.answers(3, 1), "A B A");
    // A: 80, B: 40. A registration resets, also an unchanged one.
    pool.register(1, lud(0, 40));
    assert_eq!(pool.answers(3, 1), "A B A");
}

#[test]
fn priority_least_used() {
    const fn plu(load: u32, degradation: u32) -> Policy {
        Policy::PriorityLeastUsed { load: percent(load), degradation: percent(degradation) }
    }
    check(&[
        // By the load with one request more; a selection changes nothing.
        (&[plu(0, 30), plu(10, 10)], 2, "BA BA BA"),
        (&[plu(20, 10), plu(10, 20)], 1, "A B A B"),
        (&[plu(80, 90), plu(90, 20)], 1, "A B A"),
    ]);
}

#[test]
fn priority_least_used_with_degradation() {
    const fn plud(load: u32, degradation: u32) -> Policy {
        let (load, degradation) = (percent(load), percent(degradation));
        Policy::PriorityLeastUsedDegradation { load, degradation }
    }
    check(&[
        // A: 30, 60, 90; B: 20, 30, 40, 50, 60.
        (&[plud(0, 30), plud(10, 10)], 1, "B A B B B A B B B A"),
        (&[plud(0, 10), plud(0, 10)], 2, "AB BA AB"),
    ]);
}

#[test]
fn distance_counts_as_load() {
    // A tenth of a percent a millisecond.
    const DPF: u32 = percent(1) / 10;
    const fn lu(load: u32, distance: u32) -> Policy {
        Policy::LeastUsedDpf { load: percent(load), dpf: DPF, distance }
    }
    const fn lud(load: u32, distance: u32) -> Policy {
        let (load, degradation) = (percent(load), percent(10));
        Policy::LeastUsedDegradationDpf { load, degradation, dpf: DPF, distance }
    }
    const fn plu(load: u32, degradation: u32, distance: u32) -> Policy {
        let (load, degradation) = (percent(load), percent(degradation));
        Policy::PriorityLeastUsedDpf { load, degradation, dpf: DPF, distance }
    }
    const fn plud(load: u32, distance: u32) -> Policy {
        let (load, degradation) = (percent(load), percent(10));
        Policy::PriorityLeastUsedDegradationDpf { load, degradation, dpf: DPF, distance }
    }
    check(&[
        // 20 %, 15 %, 10 %.
        (&[lu(0, 200), lu(10, 50), lu(10, 0)], 3, "CBA CBA"),
        // Beyond 100 % all are equal.
        (&[lu(50, 5000), lu(80, 300)], 1, "A B A"),
        // 20, 30; 15, 25, 35.
        (&[lud(0, 200), lud(10, 50)], 1, "B A B A B"),
        // 30 and 25; 30 and 30.
        (&[plu(0, 10, 200), plu(10, 10, 50)], 2, "BA BA"),
        (&[plu(0, 20, 100), plu(10, 10, 100)], 1, "A B A"),
        // 30, 40; 25, 35, 45.
        (&[plud(0, 200), plud(10, 50)], 1, "B A B A B"),
    ]);
}

#[test]
fn random_policies_give_the_same_with_the_same_seed() {
    for kind in PolicyKind::ALL {
        let policy = |weight| match kind {
            PolicyKind::Random => Some(Policy::Random),
            PolicyKind::WeightedRandom => Some(Policy::WeightedRandom { weight }),
            PolicyKind::RandomizedLeastUsed => {
                Some(Policy::RandomizedLeastUsed { load: percent(weight) })
            }
            _ => None,
        };
        let Some(policies) = (1..9).map(policy).collect::<Option<Vec<Policy>>>() else { continue };
        let answers = |seed, items| {
            let config = Config { seed, ..Config::default() };
            Pool::with(config, &policies).answers(20, items)
        };
        assert_eq!(answers(1, 3), answers(1, 3));
        assert_ne!(answers(1, 3), answers(2, 3));
    }
}
