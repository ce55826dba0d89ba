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

mod client;
mod epoll;
mod executor;
mod measure;
mod registrar;
mod server;
mod uring;

pub use client::{Load, Loaded, load};
pub use measure::{MeasureOptions, measure};
pub use server::{Kind, Sizes, serve};
