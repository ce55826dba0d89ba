//! File descriptors as glommio's types. All `unsafe` of the host is here:
//! glommio takes descriptors made elsewhere only as raw numbers.
#![expect(unsafe_code, reason = "listed in docs/unsafe.md")]

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use glommio::io::BufferedFile;
use glommio::net::TcpListener;

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
