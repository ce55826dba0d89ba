//! Simulates huge pools against a Reliable Server Pooling registrar and
//! measures registration and selection.

mod draw;
mod fault;
mod model;
mod pacer;
mod population;

pub use fault::{Fault, Faults};
pub use pacer::Pacer;
pub use population::{CheckedPolicy, pool_sizes};
