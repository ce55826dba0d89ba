//! Seeds of the simulator, and rules that are broken on purpose.

use core::num::NonZero;
use core::time::Duration;

use rserpool_sim::{Options, Rule, Tracing, run_seed, run_seeds};

/// Without optimization, fewer.
const SEEDS: u64 = if cfg!(debug_assertions) { 20 } else { 500 };
const THREADS: NonZero<u16> = NonZero::<u16>::MIN.saturating_add(1);

#[test]
fn nothing_is_lost_whatever_fails() {
    let fleet = run_seeds(0..SEEDS, THREADS, &Options::default());
    if let Some((seed, failure)) = fleet.failed {
        panic!(
            "{failure}\nseed {seed} failed; to see all of it:\n  \
             cargo run --release -p rserpool-sim -- --seed {seed} --trace"
        );
    }
    assert_eq!(fleet.seeds, SEEDS);
    assert!(fleet.sum.faults > SEEDS && fleet.sum.checks > SEEDS, "{:?}", fleet.sum);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let time = Duration::from_secs(120);
    let options = Options { time, tracing: Tracing::Everything, ..Options::default() };
    for seed in [3, 14] {
        let (one, other) = (run_seed(seed, &options), run_seed(seed, &options));
        assert!(one.as_ref().is_ok_and(|it| it.trace.len() > 100));
        assert_eq!(one, other);
    }
}

/// Every broken rule is found within 1,000 seeds.
#[test]
fn broken_rules_are_found() {
    for rule in Rule::ALL {
        let options = Options { broken: Some(rule), ..Options::default() };
        let fleet = run_seeds(0..1000, THREADS, &options);
        assert!(fleet.failed.is_some(), "nobody notices {}", rule.name());
    }
}
