//! Simulates huge pools against a Reliable Server Pooling registrar and
//! measures registration and selection.

mod draw;
mod fault;
mod model;
mod pacer;
mod plan;
mod population;
mod stage;

pub use fault::{Fault, Faults};
pub use pacer::Pacer;
pub use plan::{Pace, Plan, Target};
pub use population::{CheckedPolicy, pool_sizes};
