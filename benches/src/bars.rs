//! What the engine promises, against what was measured.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::comparison::Comparison;
use crate::matrix::{Matrix, figure};
use crate::worst::Worst;

/// The tree that carries the sorted policies, among the structures.
const TREE: &str = "engine tree of blocks";
const BTREE: &str = "BTreeMap";
const INTRUSIVE: &str = "intrusive-collections RBTree";

/// Bytes an element may cost, all told.
const BYTES_MAX: f64 = 176.0;
/// Nanoseconds of a weighted random selection of ten of a million elements.
const WEIGHTED_10_MAX: f64 = 1500.0;
/// A batch against calls that wait for each other.
const BATCH_GAIN_MIN: f64 = 4.0;
/// Nanoseconds of the slowest call; one about 128 elements has twice that.
const WORST_MAX: u32 = 10_000;

/// One run of `footprint`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Footprint {
    /// Shape of the handlespace.
    pub shape: String,
    /// Policy of its pools.
    pub policy: String,
    /// Number of elements.
    pub elements: u64,
    /// Resident bytes after registration.
    pub resident: u64,
    /// Resident bytes before.
    pub empty: u64,
    /// The most resident bytes ever.
    pub peak: u64,
    /// Resident bytes over elements.
    pub bytes_per_element: f64,
    /// Nanoseconds a registration, growing from nothing.
    pub registration_ns: f64,
    /// Nanoseconds of the slowest registration.
    pub slowest_registration_ns: f64,
    /// Nanoseconds a selection of three afterwards.
    pub selection_ns: f64,
    /// Elements selected.
    pub selected: u64,
}

/// What is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Results<'a> {
    /// Of the engine.
    pub matrix: Option<&'a Matrix>,
    /// Of the engine with all policies, at the shapes where `matrix` has but
    /// those with targets.
    pub others: Option<&'a Matrix>,
    /// Of structures.
    pub comparison: Option<&'a Comparison>,
    /// Of slow calls.
    pub worst: Option<&'a Worst>,
    /// Of memory.
    pub footprints: &'a [Footprint],
}

/// One promise.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    promise: String,
    measured: String,
    /// None if it is not judged or was not measured.
    met: Option<bool>,
}

impl Bar {
    fn new(promise: &str, measured: String, met: Option<bool>) -> Self {
        Self { promise: promise.to_owned(), measured, met }
    }
}

/// The table of promises.
#[must_use]
pub fn markdown(results: Results<'_>) -> String {
    let mut bars = Vec::new();
    if let Some(matrix) = results.matrix {
        bars.extend(of_matrix(matrix, results.others));
        bars.extend(of_batches(matrix));
    }
    if let Some(comparison) = results.comparison {
        bars.extend(of_rekeying(comparison));
    }
    bars.extend(of_memory(results.footprints));
    bars.extend(results.worst.map(of_worst));
    let mut text = String::from("| promise | measured | kept |\n|---|---|---|\n");
    for bar in bars {
        let measured = if bar.measured.is_empty() { "not measured" } else { &bar.measured };
        let met = match bar.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let _ = writeln!(text, "| {} | {} | {met} |", bar.promise, measured);
    }
    text
}

fn of_matrix(matrix: &Matrix, others: Option<&Matrix>) -> Vec<Bar> {
    let share = |targets: bool, promise: &str| {
        let (mut passed, mut judged) = matrix.passed(targets);
        if let Some(others) = others.filter(|_| !targets) {
            let (more_passed, more_judged) = others.passed(targets);
            (passed, judged) = (passed + more_passed, judged + more_judged);
        }
        let met = (judged > 0).then_some(passed == judged);
        Bar::new(promise, format!("{passed} of {judged} cells"), met)
    };
    let weighted = matrix.cell("resolve 10", "WeightedRandom", "1x1e6").map(|cell| cell.median);
    vec![
        share(true, "every cell with a target within 1.3 times of it (ordered changes 1.5)"),
        Bar::new(
            "the same if targets were not scaled to this machine (for information)",
            format!("{} of {} cells", matrix.passed_unscaled().0, matrix.passed_unscaled().1),
            None,
        ),
        share(false, "every other policy within 1.3 times of the nearest of the four"),
        Bar::new(
            "Weighted Random, 10 distinct of a million: at most 1.5 microseconds",
            weighted.map_or_else(String::new, |median| format!("{} ns", figure(median))),
            weighted.map(|median| median <= WEIGHTED_10_MAX),
        ),
    ]
}

/// Batches against calls that depend on each other, at a million elements.
fn of_batches(matrix: &Matrix) -> Vec<Bar> {
    let mut bars = Vec::new();
    for operation in ["touch", "reregister changed", "resolve 3"] {
        for shape in ["1x1e6", "1e3x1e3", "1e5x10"] {
            for policy in ["RoundRobin", "LeastUsed", "WeightedRandom"] {
                let median = |how: &str| {
                    let cell = matrix.cell(&format!("{operation}, {how}"), policy, shape);
                    cell.map(|cell| cell.median)
                };
                if let (Some(dependent), Some(batch)) = (median("dependent"), median("batch")) {
                    let gain = dependent / batch;
                    // Calls that take less than one access to the memory of
                    // all elements do not wait for it: nothing is to overlap.
                    let load = matrix.dependent_load(shape);
                    let is_near = load.is_none_or(|load| dependent < load);
                    bars.push(Bar::new(
                        &format!(
                            "{operation} in batches, {policy} {shape}: 4 times dependent calls"
                        ),
                        format!("{} / {} ns = {gain:.1}", figure(dependent), figure(batch)),
                        (!is_near).then_some(gain >= BATCH_GAIN_MIN),
                    ));
                }
            }
        }
    }
    bars
}

fn of_rekeying(comparison: &Comparison) -> Vec<Bar> {
    let mut sizes: Vec<u32> = comparison.entries.iter().map(|entry| entry.elements).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut bars = Vec::new();
    for size in sizes {
        let median = |operation, structure| comparison.median(operation, structure, size);
        let (Some(tree), Some(btree), Some(intrusive), Some(search)) = (
            median("rekey", TREE),
            median("rekey", BTREE),
            median("rekey", INTRUSIVE),
            median("find", INTRUSIVE),
        ) else {
            continue;
        };
        let allowed = if size > 100_000 { 1.3 } else { 1.0 };
        bars.push(Bar::new(
            &format!(
                "re-keying one of {size}: faster than the intrusive RBTree, whose safe interface \
                 searches for the old key (in parentheses: what that search takes)"
            ),
            format!("{} against {} ({}) ns", figure(tree), figure(intrusive), figure(search)),
            Some(tree < intrusive),
        ));
        bars.push(Bar::new(
            &format!("re-keying one of {size}: at most {allowed} times a BTreeMap"),
            format!("{} against {} ns", figure(tree), figure(btree)),
            Some(tree <= btree * allowed),
        ));
        let batch = median("rekey, batch", TREE);
        bars.push(Bar::new(
            &format!("re-keying one of {size} in a batch: faster than both"),
            batch.map_or_else(String::new, |batch| format!("{} ns", figure(batch))),
            batch.map(|batch| batch < btree && batch < intrusive),
        ));
    }
    bars
}

fn of_memory(footprints: &[Footprint]) -> Vec<Bar> {
    let bar = |footprint: &Footprint| {
        let Footprint { shape, policy, bytes_per_element, .. } = footprint;
        Bar::new(
            &format!("{shape} {policy}: at most 176 bytes an element"),
            format!("{bytes_per_element:.1} bytes"),
            Some(*bytes_per_element <= BYTES_MAX),
        )
    };
    let mut bars: Vec<Bar> =
        footprints.iter().filter(|footprint| footprint.elements >= 1_000_000).map(bar).collect();
    for policy in ["RoundRobin", "LeastUsed"] {
        let largest = footprints
            .iter()
            .find(|footprint| footprint.elements >= 10_000_000 && footprint.policy == policy);
        bars.push(Bar::new(
            &format!("10 million elements registered and selected from, {policy}"),
            largest.map_or_else(String::new, |footprint| {
                format!(
                    "{} ns a registration, {} ns a selection of three, {} selected",
                    figure(footprint.registration_ns),
                    figure(footprint.selection_ns),
                    footprint.selected
                )
            }),
            largest.map(|footprint| footprint.selected > 0),
        ));
    }
    bars
}

fn of_worst(worst: &Worst) -> Bar {
    let slowest = worst.kinds.iter().max_by_key(|kind| kind.worst());
    Bar::new(
        &format!("no call on {} takes longer than 10 microseconds in every replay", worst.shape),
        slowest.map_or_else(String::new, |kind| format!("{} ns: {}", kind.worst(), kind.name)),
        slowest.map(|kind| kind.worst() <= WORST_MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Entry;
    use crate::host::Host;

    fn comparison(entries: &[(&str, &str, f64)]) -> Comparison {
        let entry = |&(operation, structure, median): &(&str, &str, f64)| Entry {
            operation: operation.to_owned(),
            structure: structure.to_owned(),
            elements: 1000,
            median,
            least: median,
            most: median,
            sum: 0,
        };
        let entries = entries.iter().map(entry).collect();
        Comparison { host: Host::here(), rounds: 1, entries }
    }

    #[test]
    fn the_tree_and_its_batches_are_held_against_both() {
        let comparison = comparison(&[
            ("rekey", TREE, 100.0),
            ("rekey, batch", TREE, 120.0),
            ("rekey", BTREE, 110.0),
            ("rekey", INTRUSIVE, 150.0),
            ("find", INTRUSIVE, 70.0),
        ]);
        let met: Vec<Option<bool>> = of_rekeying(&comparison).iter().map(|bar| bar.met).collect();
        assert_eq!(met, [Some(true), Some(true), Some(false)]);
    }

    #[test]
    fn what_was_not_measured_is_not_claimed() {
        let text = markdown(Results::default());
        assert!(text.contains("registered and selected from, LeastUsed | not measured |  |"));
        assert!(!text.contains("yes"));
    }

    #[test]
    fn memory_above_the_limit_is_a_promise_not_kept() {
        let footprint = |bytes_per_element| Footprint {
            shape: "1x1e6".to_owned(),
            policy: "Random".to_owned(),
            elements: 1_000_000,
            resident: 0,
            empty: 0,
            peak: 0,
            bytes_per_element,
            registration_ns: 1.0,
            slowest_registration_ns: 1.0,
            selection_ns: 1.0,
            selected: 1,
        };
        assert_eq!(of_memory(&[footprint(176.0)])[0].met, Some(true));
        assert_eq!(of_memory(&[footprint(176.1)])[0].met, Some(false));
    }
}
