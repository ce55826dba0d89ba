//! What the shard of the group and the thread of its associations tell each
//! other.

use core::net::SocketAddr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rserpool_proto::enrp::{LinkId, Target};
use rserpool_proto::registrar::Peer;
use rustix::event::{EventfdFlags, eventfd};

/// To the thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Open an association.
    Connect(LinkId, Target),
    /// Send these whole messages; [`Event::Sent`] follows.
    Send(LinkId, Vec<u8>),
    /// The association is forgotten: end it.
    Close(LinkId),
    /// What became of an [`Event::Accepted`]; `None`: end it.
    Admit(u64, Option<LinkId>),
    /// The messages of the last [`Event::Received`] are taken.
    Taken(LinkId),
    /// Send this presence to the multicast group.
    Multicast(Vec<u8>),
}

/// To the shard.
#[derive(Debug)]
pub(crate) enum Event {
    /// Another registrar opened an association; [`Command::Admit`] follows.
    Accepted(u64, Peer),
    /// An association of [`Command::Connect`] is there.
    Connected(LinkId),
    /// Whole messages. No more come before [`Command::Taken`].
    Received(LinkId, Vec<u8>),
    /// The messages of the last [`Command::Send`] are written.
    Sent(LinkId),
    /// The association is gone, or could not be opened.
    Closed(LinkId),
    /// A datagram came to the multicast group.
    Datagram(SocketAddr, Vec<u8>),
}

/// The thread's inbox.
#[derive(Debug)]
pub(crate) struct Port {
    commands: Mutex<Vec<Command>>,
    event: OwnedFd,
}

impl Port {
    pub(crate) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { commands: Mutex::new(Vec::new()), event })
    }

    /// Tells the thread something.
    pub(crate) fn tell(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = commands.is_empty();
        commands.push(command);
        drop(commands);
        if was_empty {
            self.wake();
        }
    }

    /// Lets the thread look around.
    pub(crate) fn wake(&self) {
        #[expect(clippy::host_endian_bytes, reason = "eventfd(2) counts in host order")]
        let one = 1_u64.to_ne_bytes();
        // A full counter wakes it as well.
        let _full = rustix::io::write(&self.event, &one);
    }

    /// What was told.
    pub(super) fn told(&self) -> Vec<Command> {
        let mut count = [0; size_of::<u64>()];
        // Nothing to read is fine.
        let _empty = rustix::io::read(&self.event, &mut count);
        core::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
