//! The host of the shards: glommio 0.9, one pinned executor a shard. Only
//! this folder names the runtime; what it drives is [`crate::shard`].
//!
//! glommio has faults that a server must keep clear of. The rules here, with
//! the reason and the test of each, are in `docs/design/registrar-host.md`:
//!
//! - [`probe`] asks the host before glommio starts, which panics where
//!   io_uring is refused.
//! - [`watchdog`] wakes every executor from outside: one may park although
//!   tasks can run.
//! - [`pace`] ends a shard's slice after 200 us with a real timer: while any
//!   task can run, glommio looks at no socket and no timer.
//! - [`mesh`] is a queue of ours with an event descriptor, not glommio's
//!   channels: a channel that is polled in a select panics in the end.
//! - [`readable`] is a ring of our own that polls what glommio cannot.
//! - [`connection`] catches panics: one in a task ends the shard.
//! - [`executor`] lets every task end by itself before it returns: glommio
//!   drops none.

mod accept;
mod bell;
mod connection;
mod descriptor;
mod executor;
mod host;
mod mesh;
mod pace;
mod probe;
mod readable;
mod sctp;
#[cfg(test)]
mod tests;
mod timer;
mod watchdog;

pub(crate) use executor::{EndNotice, ShardPlan, ShardThread, spawn};
pub(crate) use mesh::{Control, Inbox};
pub(crate) use probe::probe;
pub(crate) use watchdog::{Heart, Watchdog};
