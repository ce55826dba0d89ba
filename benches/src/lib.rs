//! Measures the Reliable Server Pooling crates.
//!
//! What is measured is a [`Subject`](measure::Subject): one thing with named
//! operations that can be called again and again. Criterion (`cargo bench`)
//! and the report programs (`perf/README.md`) run the same subjects.

pub mod bars;
pub mod chase;
pub mod comparison;
pub mod host;
pub mod matrix;
pub mod measure;
pub mod memory;
pub mod options;
pub mod plot;
pub mod population;
pub mod random;
pub mod shape;
pub mod space;
pub mod structures;
pub mod targets;
pub mod verdict;
pub mod worst;

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
