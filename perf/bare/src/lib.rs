//! Bare servers, to hold the registrar against: each takes requests of one
//! size and answers each with so many bytes, and does nothing else. What the
//! registrar costs beyond one of them is its own.
//!
//! | module | purpose |
//! |---|---|
//! | `uring` | on the bare ring: multishot accept and receive, provided buffers, batched submission |
//! | `epoll` | on epoll, one receive and one send for each readiness |
//! | `executor` | on glommio's own sockets |
//! | `registrar` | the registrar itself, with one shard |
//! | `client` | a closed loop over many connections, which counts answers |
//! | `measure` | all of them in one run, in turn, several times |
//! | `sharded` | a registrar of several shards, its pools and connections sorted by shard |
//! | `crossing` | what it costs that requests cross from shard to shard |
//! | `stall` | how soon a shard that is saturated serves what another one hands it |

mod client;
mod crossing;
mod epoll;
mod executor;
mod measure;
mod registrar;
mod server;
mod sharded;
mod stall;
mod uring;

pub use client::{Load, Loaded, load};
pub use crossing::{CrossingOptions, crossing};
pub use measure::{MeasureOptions, measure};
pub use server::{Kind, Sizes, serve};
pub use stall::{StallOptions, stall};
