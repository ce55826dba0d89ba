//! One descriptor that is readable while any of several sockets is ready.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// What a socket is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    /// Somebody else reads it, and something waits to be sent.
    Write,
    /// Something waits to be sent, too.
    ReadAndWrite,
}

impl Interest {
    const fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::Write => EventFlags::OUT,
            Self::ReadAndWrite => EventFlags::IN.union(EventFlags::OUT),
        }
    }
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Readiness {
    epoll: OwnedFd,
}

impl Readiness {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Waits for this socket, too, until it is closed.
    pub(crate) fn add(&self, socket: impl AsFd, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(0), interest.flags())?)
    }

    pub(crate) fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    pub(crate) fn change(&self, socket: impl AsFd, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(0), interest.flags())?)
    }
}
