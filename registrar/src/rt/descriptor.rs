//! A file descriptor as a type of glommio's, which takes those made elsewhere
//! only as raw numbers.
#![expect(unsafe_code, reason = "listed in docs/unsafe.md")]

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use glommio::io::BufferedFile;

/// A descriptor as one that an executor can read through its ring. Call it on
/// the executor's thread.
pub(super) fn file(descriptor: OwnedFd) -> BufferedFile {
    // SAFETY: `into_raw_fd` gives up an open descriptor that nobody else
    // owns; glommio's file owns and closes it from here on.
    unsafe { BufferedFile::from_raw_fd(descriptor.into_raw_fd()) }
}
