//! Whether a descriptor can be read, for descriptors that glommio has no type
//! for: an epoll instance can be polled, but neither read nor received from.
//!
//! A ring of its own polls the descriptor and writes an event when it is
//! readable; the executor reads that event through its ring, as it does with
//! those of other shards.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use glommio::io::BufferedFile;
use io_uring::IoUring;
use rustix::event::{EventfdFlags, eventfd};

use super::descriptor;

/// Waits for one descriptor.
pub(super) struct Readable {
    ring: IoUring,
    watched: OwnedFd,
    /// Written by the ring.
    event: OwnedFd,
    file: BufferedFile,
    armed: bool,
}

impl Readable {
    /// Call it on the executor's thread.
    pub(super) fn new(watched: BorrowedFd<'_>) -> io::Result<Self> {
        let ring = IoUring::new(4)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC)?;
        ring.submitter().register_eventfd(event.as_raw_fd())?;
        let file = descriptor::file(event.try_clone()?);
        let watched = watched.try_clone_to_owned()?;
        Ok(Self { ring, watched, event, file, armed: false })
    }

    /// Another handle of the event, to end a wait with.
    pub(super) fn event(&self) -> io::Result<OwnedFd> {
        self.event.try_clone()
    }

    /// Waits until the descriptor is readable, or the event was written.
    /// Spurious returns are possible.
    pub(super) async fn wait(&mut self) -> io::Result<()> {
        if !self.armed {
            descriptor::poll(&mut self.ring, self.watched.as_fd())?;
            self.ring.submit()?;
            self.armed = true;
        }
        self.file.read_at(0, size_of::<u64>()).await.map_err(other)?;
        while self.ring.completion().next().is_some() {
            self.armed = false;
        }
        Ok(())
    }

    pub(super) async fn close(self) -> io::Result<()> {
        self.file.close().await.map_err(other)
    }
}

/// glommio's errors hold what may not cross threads.
fn other(error: glommio::GlommioError<()>) -> io::Error {
    io::Error::other(error.to_string())
}
