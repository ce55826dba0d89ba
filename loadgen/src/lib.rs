//! Simulates huge pools against a Reliable Server Pooling registrar and measures registration and selection.
