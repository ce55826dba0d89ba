//! The first host of a shard: a pinned glommio executor. While there is
//! traffic, its one task waits in the shard's own ring; a shard that is quiet
//! sleeps in glommio, until that ring writes an event.

use core::time::Duration;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use glommio::io::BufferedFile;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, timer};

use super::cpu::pin;
use super::reactor::Reactor;
use super::sockets::Sockets;
use super::uring::RingSockets;
use super::watchdog::Heart;
use super::{END_NOTICE, EndNotice, ShardPlan, descriptor};
use crate::stats::ShardStats;

/// Memory that an executor registers with its rings. The default of 10 MiB is
/// for files, and exceeds what may be locked by default.
const IO_MEMORY: usize = 64 << 10;
/// A shard on which nothing happens for so long sleeps in glommio, which costs
/// more than a wait in its own ring. Below the period of the watchdog.
const QUIET: Duration = Duration::from_millis(10);
/// Before an executor ends: its rings have to see what was canceled.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// After an error that would otherwise come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(1);

/// A shard's executor.
pub(super) struct ShardThread(ExecutorJoinHandle<ShardStats>);

impl ShardThread {
    /// Waits for its end; says what it counted, or why it failed.
    pub(super) fn join(self) -> Result<ShardStats, String> {
        self.0.join().map_err(|error| error.to_string())
    }
}

/// Starts an executor.
pub(super) fn spawn(plan: ShardPlan, ended: EndNotice) -> Result<ShardThread, String> {
    // Placement::Fixed panics where the system does not tell which package a
    // CPU belongs to, as in User Mode Linux.
    LocalExecutorBuilder::new(Placement::Unbound)
        .name("rserpool-shard")
        .io_memory(IO_MEMORY)
        .spawn(move || {
            END_NOTICE.set(Some(ended));
            pin(plan.cpu, plan.number);
            run(plan)
        })
        .map(ShardThread)
        .map_err(|error| error.to_string())
}

async fn run(mut plan: ShardPlan) -> ShardStats {
    let heart = Arc::clone(&plan.heart);
    let beating = Arc::clone(&heart);
    let beat = glommio::spawn_local(async move { beating.beat().await }).detach();
    let stats = match open(&mut plan) {
        Ok((mut reactor, event)) => {
            // Nobody waits for it any more if the start was given up.
            let _given_up = plan.ready.send(());
            drive(&mut reactor, &event, &heart).await;
            close(&mut reactor, event).await;
            reactor.stats()
        }
        Err(error) => {
            // Without having said that it is ready.
            log::error!("shard {}: {error}", plan.number.0);
            ShardStats::default()
        }
    };
    heart.stop();
    beat.await;
    timer::sleep(LAST_LOOK).await;
    stats
}

fn open(plan: &mut ShardPlan) -> io::Result<(Reactor<RingSockets>, BufferedFile)> {
    // One event for the ring and for the other shards: Linux 6.18 loses what a
    // ring is to write to its event because another one was written.
    let inbox = plan.inboxes.get(usize::from(plan.number.0));
    let inbox = inbox.ok_or_else(|| io::Error::other("a shard without an inbox"))?;
    let event = inbox.descriptor().try_clone_to_owned()?;
    let listeners = core::mem::take(&mut plan.listeners);
    let endpoints = core::mem::take(&mut plan.endpoints);
    let sockets = RingSockets::new(listeners, event.as_fd())?;
    let reactor = Reactor::new(plan, endpoints, sockets)?;
    Ok((reactor, descriptor::file(event)))
}

/// Cycles until the shard is stopped.
pub(super) async fn drive(reactor: &mut Reactor<RingSockets>, event: &BufferedFile, heart: &Heart) {
    while !reactor.is_over() {
        heart.count();
        let waited = match reactor.look() {
            Ok(false) => wait(reactor, event).await,
            looked => looked.map(drop),
        };
        if let Err(error) = waited {
            log::error!("waiting for sockets: {error}");
            timer::sleep(ERROR_PAUSE).await;
        }
        reactor.work();
    }
}

/// Waits in the ring, and if that is long, in glommio.
async fn wait(reactor: &mut Reactor<RingSockets>, event: &BufferedFile) -> io::Result<()> {
    let patience = reactor.patience();
    let brief = patience.map_or(QUIET, |patience| patience.min(QUIET));
    reactor.sockets.wait(Some(brief))?;
    if patience == Some(brief) || reactor.sockets.has_event() {
        return Ok(());
    }
    let rest = patience.map(|patience| patience.saturating_sub(brief));
    sleep(&mut reactor.sockets, event, rest).await
}

/// Waits in glommio. May end for nothing: nobody reads the event while there
/// is traffic.
pub(super) async fn sleep(
    sockets: &mut RingSockets,
    event: &BufferedFile,
    patience: Option<Duration>,
) -> io::Result<()> {
    let slept = match sockets.fall_asleep(patience) {
        Ok(true) => event.read_at(0, size_of::<u64>()).await.map(drop).map_err(other),
        fell => fell.map(drop),
    };
    sockets.awake();
    slept
}

async fn close(reactor: &mut Reactor<RingSockets>, event: BufferedFile) {
    if let Err(error) = reactor.sockets.end() {
        log::warn!("ending what is under way: {error}");
    }
    if let Err(error) = event.close().await {
        log::warn!("closing an event: {error}");
    }
}

/// glommio's errors hold what may not cross threads.
fn other(error: glommio::GlommioError<()>) -> io::Error {
    io::Error::other(error.to_string())
}
