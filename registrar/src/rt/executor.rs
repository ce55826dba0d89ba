//! The executor of one shard: its tasks, its start and its end.

use core::cell::RefCell;
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use glommio::io::BufferedFile;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, timer};
use rserpool_engine::ShardId;
use socket2::Socket;

use super::cpu::pin;
use super::host::Host;
use super::mesh::{Control, Inbox};
use super::readable::Readable;
use super::sctp::Sctp;
use super::watchdog::Heart;
use super::{accept, descriptor, sctp, timer as deadlines};
use crate::carrier::Carrier;
use crate::sctp::Endpoint;
use crate::shard::{Config, Shard};
use crate::stats::ShardStats;
use crate::turn::Completion;

/// Memory that an executor registers with its rings. The default of 10 MiB is
/// for files, and exceeds what may be locked by default.
const IO_MEMORY: usize = 64 << 10;
/// How long the connections have to take their last answers at a stop.
pub(super) const DRAIN: Duration = Duration::from_secs(1);
/// How long shards wait for each other to have drained.
const DRAIN_POLL: Duration = Duration::from_millis(2);
/// Before an executor ends: its rings have to see what was canceled.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// Until there is room in another shard's inbox.
const MESH_RETRY: Duration = Duration::from_micros(200);
/// After an error that would otherwise come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(1);

/// What one executor is started with.
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
    pub(crate) ended: EndNotice,
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

/// A shard's executor.
pub(crate) struct ShardThread(ExecutorJoinHandle<ShardStats>);

impl ShardThread {
    /// Waits for its end; says what it counted, or why it failed.
    pub(super) fn join(self) -> Result<ShardStats, String> {
        self.0.join().map_err(|error| error.to_string())
    }
}

/// Starts an executor.
pub(super) fn spawn(plan: ShardPlan) -> Result<ShardThread, String> {
    // Placement::Fixed panics where the system does not tell which package a
    // CPU belongs to, as in User Mode Linux.
    LocalExecutorBuilder::new(Placement::Unbound)
        .name("rserpool-shard")
        .io_memory(IO_MEMORY)
        .spawn(move || {
            pin(plan.cpu, plan.number);
            run(plan)
        })
        .map(ShardThread)
        .map_err(|error| error.to_string())
}

async fn run(plan: ShardPlan) -> ShardStats {
    END_NOTICE.set(Some(plan.ended));
    let shard = Shard::new(plan.shard);
    let (carriers, readables) = match open(plan.endpoints) {
        Ok(opened) => opened,
        Err(error) => {
            // Without having said that it is ready.
            log::error!("shard {}: SCTP: {error}", plan.number.0);
            plan.heart.stop();
            return ShardStats::default();
        }
    };
    let host = Host::new(plan.number, shard, plan.inboxes, carriers.clone(), plan.epoch);
    let host = Rc::new(host);
    let mut sockets = Vec::new();
    let mut tasks = Vec::new();
    for (carrier, readable) in carriers.into_iter().zip(readables) {
        let watch = sctp::watch(Rc::clone(&host), Rc::clone(&carrier), readable);
        tasks.push(glommio::spawn_local(watch).detach());
        let work = sctp::work(Rc::clone(&host), carrier);
        tasks.push(glommio::spawn_local(work).detach());
    }
    for listener in plan.listeners {
        // A second descriptor of the same socket, to shut it down with.
        match listener.try_clone() {
            Ok(clone) => sockets.push(Socket::from(clone)),
            Err(error) => log::error!("shard {}: {error}", plan.number.0),
        }
        let listener = descriptor::tcp_listener(listener);
        tasks.push(glommio::spawn_local(accept::accept(Rc::clone(&host), listener)).detach());
    }
    if let Some(event) = host.inbox().and_then(|inbox| inbox.event().ok()) {
        tasks.push(glommio::spawn_local(receive(Rc::clone(&host), event)).detach());
    }
    tasks.push(glommio::spawn_local(send(Rc::clone(&host))).detach());
    tasks.push(glommio::spawn_local(deadlines::run(Rc::clone(&host))).detach());
    let heart = Arc::clone(&plan.heart);
    tasks.push(glommio::spawn_local(async move { heart.beat().await }).detach());
    let paced = Rc::clone(&host);
    let pace = glommio::spawn_local(async move { paced.pace.run().await });
    // What the shard wants at its start, before anything happens to it.
    let _logged = host.turn([]);
    // Nobody waits for it any more if the start was given up.
    let _given_up = plan.ready.send(());

    host.stop.rung().await;
    stop(&host, &sockets, &plan.undrained).await;
    plan.heart.stop();
    for task in tasks {
        task.await;
    }
    pace.cancel().await;
    timer::sleep(LAST_LOOK).await;
    host.stats()
}

/// The links of this shard's SCTP endpoints, and what waits for their packets.
fn open(endpoints: Vec<Endpoint>) -> io::Result<(Vec<Rc<Sctp>>, Vec<Readable>)> {
    let open = |endpoint: Endpoint| {
        let (sctp, readable) = Sctp::new(Carrier::new(endpoint.open(Instant::now())?))?;
        Ok((Rc::new(sctp), readable))
    };
    let opened = endpoints.into_iter().map(open).collect::<io::Result<Vec<_>>>()?;
    Ok(opened.into_iter().unzip())
}

/// Accepts no more, answers what came, closes all connections.
async fn stop(host: &Rc<Host>, sockets: &[Socket], undrained: &AtomicU32) {
    let deadline = Instant::now() + DRAIN;
    host.stopping.set(true);
    for socket in sockets {
        // Ends the accept that waits. It fails only for a socket that is no
        // longer one.
        let _ended = socket.shutdown(std::net::Shutdown::Both);
    }
    let _logged = host.with_shard(Shard::drain);
    let _logged = host.turn([]);
    while host.serving() > 0 && Instant::now() < deadline {
        timer::sleep(DRAIN_POLL).await;
    }
    if host.serving() > 0 {
        let _logged = host.with_shard(Shard::abandon);
        let _logged = host.turn([]);
        host.abort_associations();
    }
    // Others may still need this shard's answers.
    undrained.fetch_sub(1, Ordering::AcqRel);
    while undrained.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
        timer::sleep(DRAIN_POLL).await;
    }
    while host.serving() > 0 && Instant::now() < deadline + DRAIN {
        timer::sleep(DRAIN_POLL).await;
    }
    if host.serving() > 0 {
        log::error!("shard {}: bug: {} connections stay open", host.number.0, host.serving());
    }
    host.over.set(true);
    host.postman.ring();
    host.clock.ring();
    for carrier in &host.carriers {
        carrier.wake();
    }
    if let Some(inbox) = host.inbox() {
        inbox.wake();
    }
}

/// Takes the batches of the other shards and what the registrar says.
async fn receive(host: Rc<Host>, event: BufferedFile) {
    let Some(inbox) = host.inbox().map(Arc::clone) else { return };
    let others: Vec<ShardId> = (0..).map(ShardId).take(host.inboxes.len()).collect();
    while !host.over.get() {
        let mut idle = true;
        for control in inbox.told() {
            idle = false;
            match control {
                // Nobody waits for the answer any more if it cannot be sent.
                Control::Stats(answer) => drop(answer.send(host.stats())),
                // A panic is logged, and nobody gets an answer.
                Control::Look(look) => drop(host.with_shard(|shard, _| look(shard))),
                Control::Group(event) => {
                    // A panic is logged; the other side finds out by silence.
                    let heard = host.with_shard(|shard, now| shard.hear_group(now, event));
                    let _logged = heard.and_then(|()| host.turn([]));
                }
                Control::Stop => host.stop.ring(),
            }
        }
        for &from in &others {
            let Some(batch) = inbox.receive(from) else { continue };
            idle = false;
            // A panic is logged; what the batch asked for stays unanswered.
            let _logged = host.turn([Completion::Mesh(from, &batch)]);
            inbox.recycle(from, batch);
            host.pace.breathe().await;
        }
        if idle
            && !host.over.get()
            && let Err(error) = inbox.wait(&event).await
        {
            log::error!("shard {}: waiting for other shards: {error}", host.number.0);
            timer::sleep(ERROR_PAUSE).await;
        }
    }
    if let Err(error) = event.close().await {
        log::warn!("shard {}: closing its event: {error}", host.number.0);
    }
}

/// Sends the batches for the other shards. What all connections that ran in
/// one go have for another shard leaves in one batch.
async fn send(host: Rc<Host>) {
    while !host.over.get() {
        host.postman.rung().await;
        let mut kept = Vec::new();
        for to in host.take_mesh_due() {
            let Some(inbox) = host.inboxes.get(usize::from(to.0)) else { continue };
            if !inbox.has_room(host.number) {
                kept.push(to);
                continue;
            }
            let mut batch = inbox.empty(host.number);
            let taken = host.with_shard(|shard, _| shard.take_mesh(to, &mut batch));
            if taken.is_ok() && !batch.is_empty() {
                inbox.send(host.number, batch);
            }
        }
        // Connections that waited for room toward a shard go on.
        let _logged = host.turn([]);
        if !kept.is_empty() {
            host.keep_mesh_due(kept);
            timer::sleep(MESH_RETRY).await;
            host.postman.ring();
        }
    }
}
