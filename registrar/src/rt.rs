//! The hosts of the shards. Only this folder names a runtime, io_uring or
//! epoll; what it drives is [`crate::shard`]. There are two:
//!
//! - glommio 0.9, one pinned executor a shard, on io_uring;
//! - [`epoll`], one plain pinned thread a shard, where io_uring is refused.
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
mod cpu;
mod descriptor;
mod epoll;
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

pub(crate) use executor::{EndNotice, ShardPlan};
pub(crate) use mesh::{Control, Inbox};
pub(crate) use probe::probe;
pub(crate) use watchdog::{Heart, Watchdog};

use crate::Host;
use crate::stats::ShardStats;

/// A shard's thread.
pub(crate) enum ShardThread {
    IoUring(executor::ShardThread),
    Epoll(epoll::ShardThread),
}

impl ShardThread {
    /// Waits for its end; says what it counted, or why it failed.
    pub(crate) fn join(self) -> Result<ShardStats, String> {
        match self {
            Self::IoUring(thread) => thread.join(),
            Self::Epoll(thread) => thread.join().map_err(|panic| host::message(&*panic).to_owned()),
        }
    }
}

/// Starts a shard's thread.
pub(crate) fn spawn(host: Host, plan: ShardPlan) -> Result<ShardThread, String> {
    match host {
        Host::IoUring => executor::spawn(plan).map(ShardThread::IoUring),
        Host::Epoll => epoll::spawn(plan).map(ShardThread::Epoll),
    }
}
