//! Criterion benchmarks of the Reliable Server Pooling crates.
