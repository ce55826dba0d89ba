//! Plain data structures that could carry a member selection policy, each as
//! the bare minimum, to be compared with what the engine uses.
//!
//! The elements are numbered from 0. Ordered structures hold one key for each
//! element, weighted ones one weight.

pub mod alias;
pub mod array;
pub mod btree;
pub mod classes;
pub mod engine_tree;
pub mod fenwick;
pub mod hash;
pub mod intrusive;
pub mod list;
pub mod ordered;
pub mod ring;
pub mod timers;
pub mod treap;
pub mod weighted;

use crate::measure::Subject;

/// The structures with `elements` elements that can be measured in reasonable
/// time at that size.
#[must_use]
pub fn subjects(elements: u32) -> Vec<Box<dyn Subject>> {
    let mut all: Vec<Box<dyn Subject>> = vec![
        Box::new(ordered::Bench::<engine_tree::EngineBlocks>::new(elements)),
        Box::new(ordered::Bench::<engine_tree::EngineTree>::new(elements)),
        Box::new(ordered::Bench::<btree::BTree>::new(elements)),
        Box::new(ordered::Bench::<intrusive::RedBlack>::new(elements)),
        Box::new(ordered::Bench::<treap::Treap>::new(elements)),
        Box::new(weighted::Bench::<engine_tree::EngineWeightTree>::new(elements)),
        Box::new(weighted::Bench::<fenwick::Fenwick>::new(elements)),
        Box::new(weighted::Bench::<classes::WeightClasses>::new(elements)),
        Box::new(alias::Bench::new(elements)),
        Box::new(array::Bench::new(elements)),
        Box::new(hash::Bench::new(elements)),
        Box::new(ring::Bench::<ring::Ring>::new(elements)),
        Box::new(ring::Bench::<ring::LinkedFifo>::new(elements)),
        Box::new(timers::Bench::<timers::BTreeTimers>::new(elements)),
        Box::new(timers::Bench::<timers::Wheel>::new(elements)),
        Box::new(timers::Bench::<timers::LazyDeadlines>::new(elements)),
    ];
    if elements <= list::ELEMENTS_MAX {
        all.push(Box::new(ordered::Bench::<list::SortedList>::new(elements)));
        all.push(Box::new(weighted::Bench::<list::WeightList>::new(elements)));
    }
    all
}
