//! File descriptors as glommio's types, and in a ring. All `unsafe` of the host
//! is here: glommio takes descriptors made elsewhere only as raw numbers, and a
//! ring cannot know how long what an entry points to lives.
#![expect(unsafe_code, reason = "listed in docs/unsafe.md")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use glommio::io::BufferedFile;
use glommio::net::TcpListener;
use io_uring::{IoUring, opcode, types};
use rustix::event::PollFlags;

/// A listening socket as one that an executor can accept from. Call it on the
/// executor's thread.
pub(super) fn tcp_listener(listener: std::net::TcpListener) -> TcpListener {
    // SAFETY: `into_raw_fd` gives up an open, listening socket that nobody
    // else owns; glommio's listener owns and closes it from here on.
    unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) }
}

/// A descriptor as one that an executor can read through its ring. Call it on
/// the executor's thread.
pub(super) fn file(descriptor: OwnedFd) -> BufferedFile {
    // SAFETY: `into_raw_fd` gives up an open descriptor that nobody else
    // owns; glommio's file owns and closes it from here on.
    unsafe { BufferedFile::from_raw_fd(descriptor.into_raw_fd()) }
}

/// Queues a poll of a descriptor that is to be readable; the ring says once
/// when it is.
pub(super) fn poll(ring: &mut IoUring, watched: BorrowedFd<'_>) -> io::Result<()> {
    let flags = u32::from(PollFlags::IN.bits());
    let entry = opcode::PollAdd::new(types::Fd(watched.as_raw_fd()), flags).build();
    let mut queue = ring.submission();
    // SAFETY: a poll reads and writes no memory of this process, and the kernel
    // holds on to the file it polls.
    let pushed = unsafe { queue.push(&entry) };
    pushed.map_err(io::Error::other)
}
