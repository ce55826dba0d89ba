//! Batches between the shards of one registrar: one bounded lock-free queue
//! for each pair and direction, one event descriptor for each receiver.
//!
//! Not glommio's channels: polling one again while it is pending adds a waker
//! each time until a 16-bit count overflows and the shard panics.

use core::sync::atomic::{AtomicBool, Ordering, fence};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError, mpsc};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use rserpool_engine::ShardId;
use rserpool_proto::registrar::Peer;
use rustix::event::{EventfdFlags, eventfd};

use crate::group::Event;
use crate::shard::Shard;
use crate::stats::ShardStats;

/// Batches under way from one shard to another. A full queue leaves the bytes
/// with the sender, which stops reading its connections when they pile up.
const BATCHES_MAX: usize = 64;
/// Empty batches that wait for the sender to use them again.
const EMPTY_MAX: usize = 8;
/// A batch that grew beyond this is not used again.
const BATCH_KEPT_MAX: usize = 256 << 10;

/// From one shard to another.
#[derive(Debug)]
struct Lane {
    full: ArrayQueue<Vec<u8>>,
    empty: ArrayQueue<Vec<u8>>,
}

/// Something to do with what a shard holds, quickly.
pub(crate) type Look = Box<dyn FnOnce(&Shard) + Send>;

/// A connection that moves from one shard to another.
#[derive(Debug)]
pub(crate) struct Migrant {
    pub(crate) stream: TcpStream,
    pub(crate) peer: Peer,
    /// What arrived over it that nobody has looked at.
    pub(crate) bytes: Vec<u8>,
}

/// What a registrar tells one of its shards.
pub(crate) enum Control {
    /// Take this connection.
    Adopt(Box<Migrant>),
    /// Let this look at the shard. A panic in it is that of a turn.
    Look(Look),
    /// The thread of the registrar group says this.
    Group(Event),
    /// Say what you hold and have counted.
    Stats(mpsc::Sender<ShardStats>),
    /// Stop.
    Stop,
}

/// What the other shards and the registrar send to one shard.
pub(crate) struct Inbox {
    lanes: Vec<CachePadded<Lane>>,
    control: Mutex<Vec<Control>>,
    /// The receiver is about to wait, or waits, for the event.
    sleeping: CachePadded<AtomicBool>,
    event: OwnedFd,
}

impl Inbox {
    /// The inbox of one of `shards` shards.
    pub(crate) fn new(shards: u16) -> io::Result<Self> {
        let lane = || {
            CachePadded::new(Lane {
                full: ArrayQueue::new(BATCHES_MAX),
                empty: ArrayQueue::new(EMPTY_MAX),
            })
        };
        Ok(Self {
            lanes: (0..shards).map(|_| lane()).collect(),
            control: Mutex::new(Vec::new()),
            sleeping: CachePadded::new(AtomicBool::new(false)),
            event: eventfd(0, EventfdFlags::CLOEXEC)?,
        })
    }

    /// Whether a batch of this shard has room.
    pub(super) fn has_room(&self, from: ShardId) -> bool {
        self.lane(from).is_some_and(|lane| !lane.full.is_full())
    }

    /// An empty batch to fill.
    pub(super) fn empty(&self, from: ShardId) -> Vec<u8> {
        self.lane(from).and_then(|lane| lane.empty.pop()).unwrap_or_default()
    }

    /// Sends a batch. Only the shard `from` may call this, after
    /// [`Inbox::has_room`]: it is the only one that fills its lane.
    pub(super) fn send(&self, from: ShardId, batch: Vec<u8>) {
        if let Some(lane) = self.lane(from) {
            let refused = lane.full.push(batch);
            debug_assert!(refused.is_ok(), "a lane has one sender, and it asked for room");
        }
        self.wake();
    }

    /// Takes the next batch of this shard.
    pub(super) fn receive(&self, from: ShardId) -> Option<Vec<u8>> {
        self.lane(from)?.full.pop()
    }

    /// Gives a batch back to its sender.
    pub(super) fn recycle(&self, from: ShardId, mut batch: Vec<u8>) {
        if batch.capacity() <= BATCH_KEPT_MAX
            && let Some(lane) = self.lane(from)
        {
            batch.clear();
            // With enough empty ones there already, this one is freed.
            drop(lane.empty.push(batch));
        }
    }

    /// Tells the shard something.
    pub(crate) fn tell(&self, control: Control) {
        self.control.lock().unwrap_or_else(PoisonError::into_inner).push(control);
        self.wake();
    }

    /// What was told.
    pub(super) fn told(&self) -> Vec<Control> {
        core::mem::take(&mut *self.control.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wakes the shard if it waits for its event.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            let one = 1_u64;
            #[expect(clippy::host_endian_bytes, reason = "eventfd(2) counts in host order")]
            let bytes = one.to_ne_bytes();
            // Whoever waits for it takes each write as news, and need not read
            // it: the count lasts for longer than any machine.
            if let Err(error) = rustix::io::write(&self.event, &bytes) {
                log::error!("cannot wake a shard: {error}");
            }
        }
    }

    /// The event to wait for.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// From here on the event is written when something is added. `false`:
    /// something is there already, do not wait.
    pub(super) fn fall_asleep(&self) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Nothing there: whoever adds something sees `sleeping`. Something
        // there but no longer `sleeping`: its sender writes, so read that.
        !(self.has_some() && self.sleeping.swap(false, Ordering::AcqRel))
    }

    /// The wait was ended by something else.
    pub(super) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    fn has_some(&self) -> bool {
        let told = !self.control.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        told || self.lanes.iter().any(|lane| !lane.full.is_empty())
    }

    fn lane(&self, from: ShardId) -> Option<&Lane> {
        self.lanes.get(usize::from(from.0)).map(|lane| &**lane)
    }
}
