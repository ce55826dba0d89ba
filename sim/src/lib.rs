//! A whole Reliable Server Pooling cluster in one thread: registrars, pool
//! elements and pool users run the very `proto` and `engine` code of the
//! product over a simulated network, in virtual time, under one seed.
//!
//! [`run_seed`] draws a cluster and its faults from a seed, lets them happen
//! and holds what the registrars know against what is true. Equal seeds give
//! equal runs. [`scenario`] runs races that are written down.

mod chance;
mod checks;
mod clock;
mod cluster;
mod faults;
mod fleet;
mod ledger;
mod messages;
mod model;
mod network;
mod registrar;
mod rule;
mod run;
pub mod scenario;
mod selection;
mod settings;
mod station;
mod trace;
mod user;

pub use fleet::{Fleet, run_seeds};
pub use rule::Rule;
pub use run::{Failure, Options, Summary, Tracing, run_seed};
