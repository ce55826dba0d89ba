//! The hosts of the shards. Only this folder names a runtime, io_uring or
//! epoll; what it drives is [`crate::shard`]. Both hosts cycle the same
//! [`reactor`] and differ in its [`sockets`] and in what they wait in:
//!
//! - [`executor`]: one pinned glommio executor a shard, with the sockets on a
//!   [`ring`] of its own ([`uring`]);
//! - [`epoll`]: one plain pinned thread a shard, where io_uring is refused.
//!
//! glommio 0.9 has faults that a server must keep clear of. The rules here,
//! with the reason and the test of each, are in
//! `docs/design/registrar-host.md`:
//!
//! - [`probe`] asks the host before glommio starts, which panics where
//!   io_uring is refused.
//! - [`watchdog`] wakes every executor from outside: one may park although
//!   tasks can run.
//! - [`executor`] has one task that waits for one thing: while any task can
//!   run, glommio looks at no other.
//! - [`mesh`] is a queue of ours with an event descriptor, not glommio's
//!   channels: a channel that is polled in a select panics in the end.
//! - [`reactor`] catches panics: one in a task ends the shard.

mod cpu;
mod descriptor;
mod epoll;
mod executor;
mod mesh;
mod probe;
mod reactor;
mod ring;
mod sockets;
#[cfg(test)]
mod tests;
mod uring;
mod watchdog;

pub(crate) use mesh::{Control, Inbox};
pub(crate) use probe::probe;
pub(crate) use watchdog::{Heart, Watchdog};

use core::cell::RefCell;
use std::net::TcpListener;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use rserpool_engine::ShardId;

use crate::Host;
use crate::sctp::Endpoint;
use crate::shard::Config;
use crate::stats::ShardStats;

/// What one shard's thread is started with.
pub(crate) struct ShardPlan {
    pub(crate) number: ShardId,
    pub(crate) cpu: usize,
    pub(crate) shard: Config,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Of all shards, in order.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) heart: Arc<Heart>,
    /// Shards that have not drained yet.
    pub(crate) undrained: Arc<AtomicU32>,
    pub(crate) epoch: Instant,
    /// Told once, when the shard serves.
    pub(crate) ready: mpsc::SyncSender<()>,
}

/// Says that a shard's thread is at its end, however it came to it: this is
/// sent when it is dropped.
pub(crate) struct EndNotice {
    pub(crate) shard: u16,
    pub(crate) to: mpsc::Sender<u16>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        // Nobody asks any more: the registrar is gone.
        let _unasked = self.to.send(self.shard);
    }
}

thread_local! {
    /// A thread's own values are dropped at its end even if it panicked;
    /// futures of a glommio executor that ends are not.
    static END_NOTICE: RefCell<Option<EndNotice>> = const { RefCell::new(None) };
}

/// A shard's thread.
pub(crate) struct ShardThread(Thread);

enum Thread {
    IoUring(executor::ShardThread),
    Epoll(epoll::ShardThread),
}

impl ShardThread {
    /// Waits for its end; says what it counted, or why it failed.
    pub(crate) fn join(self) -> Result<ShardStats, String> {
        match self.0 {
            Thread::IoUring(thread) => thread.join(),
            Thread::Epoll(thread) => {
                thread.join().map_err(|panic| reactor::message(&*panic).to_owned())
            }
        }
    }
}

/// Starts a shard's thread.
pub(crate) fn spawn(host: Host, plan: ShardPlan, ended: EndNotice) -> Result<ShardThread, String> {
    let thread = match host {
        Host::IoUring => executor::spawn(plan, ended).map(Thread::IoUring)?,
        Host::Epoll => epoll::spawn(plan, ended).map(Thread::Epoll)?,
    };
    Ok(ShardThread(thread))
}
