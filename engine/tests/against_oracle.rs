//! Random operation sequences: the engine and a plain model give the same
//! results after every operation, and all invariants hold.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the model names the policies that differ")]

mod oracle;

use oracle::{Op, Session, Size};
use proptest::prelude::*;

fn run(size: Size, seed: u64, operations: &[[u16; 10]]) {
    let mut session = Session::new(size, seed);
    for &numbers in operations {
        session.apply(Op::from(numbers));
    }
}

#[test]
fn a_long_run_equals_the_model_and_draws_fairly() {
    // The program `oracle` of `rserpool-benches` runs more.
    let run = oracle::run(1, 40_000, |_| ());
    assert_eq!((run.sessions, run.operations), (8, 40_000));
    run.fairness.assert_fair();
    assert!(run.selected > 20_000, "{}", run.selected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn many_small_pools_equal_the_model(
        seed: u64,
        max_increment in prop::sample::select(vec![1, 1, 0, 2, u32::MAX]),
        operations in prop::collection::vec(any::<[u16; 10]>(), 1..300),
    ) {
        let size = Size { pools: 20, pes: 6, elements_max: 70, max_increment };
        run(size, seed, &operations);
    }

    #[test]
    fn few_larger_pools_equal_the_model(
        seed: u64,
        first_pool in 0_u16..18,
        operations in prop::collection::vec(any::<[u16; 10]>(), 300..500),
    ) {
        // All operations on two policies at a time; registrations prevail.
        let size = Size { pools: 18, pes: 150, elements_max: 250, max_increment: 1 };
        let mut operations = operations;
        for (index, numbers) in operations.iter_mut().enumerate() {
            numbers[1] = first_pool + numbers[1] % 2;
            if index < 200 {
                numbers[0] %= 20;
            }
        }
        run(size, seed, &operations);
    }
}
