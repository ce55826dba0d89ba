//! Simulates huge pools against a Reliable Server Pooling registrar and
//! measures registration and selection.
//!
//! A run goes through five phases. It *registers* all pool elements, as fast
//! as a window of unanswered requests allows; in the *steady state* it
//! resolves pool handles, re-registers elements with changing loads and
//! weights, lets some deregister and come back, and answers keep-alives, all
//! at the times they are due; the *audit* makes every element show itself;
//! then all are *deregistered*, and no pool may be known any more.
//!
//! | module | purpose |
//! |---|---|
//! | `cli`, `plan`, `workload` | the options, and the loads that have a name |
//! | `population` | who is registered: a pure function of the seed |
//! | `pacer`, `stage` | which request is next and when: no I/O |
//! | `model`, `fault` | what the registrar must know, and what it did wrong |
//! | `worker`, `connection`, `associations`, `clock` | a client thread: epoll, TCP and SCTP |
//! | `run`, `inside`, `null`, `process`, `listener` | the whole run, the servers it starts, what they use |
//! | `recorder`, `timeline`, `report` | latencies, second by second, and how they are told |
//! | `compare` | whether one report is better than another |
//! | `engine` | the handlespace without a registrar |

mod associations;
mod cli;
mod clock;
mod compare;
mod connection;
mod draw;
mod engine;
mod fault;
mod inside;
mod listener;
mod model;
mod null;
mod pacer;
mod plan;
mod population;
mod process;
mod progress;
mod recorder;
pub mod report;
mod run;
mod stage;
mod timeline;
mod worker;
mod workload;

pub use cli::Cli;
pub use fault::{Fault, Faults};
pub use pacer::Pacer;
pub use plan::{Compat, Pace, Plan, Target, Transport};
pub use population::{CheckedPolicy, Shape, pool_sizes};
pub use run::run;
pub use workload::Workload;
