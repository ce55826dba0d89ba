//! The `rserpool-loadgen` binary.
fn main() {}
