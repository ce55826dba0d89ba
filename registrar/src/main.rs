//! The `rserpool-registrar` binary.
fn main() {}
