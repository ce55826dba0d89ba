//! The connections of one thread: their sockets, and what is being written.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use super::super::sockets::{Event, LINGER, LINGER_BYTES, LINGER_STOP};
use super::poller::{Interest, Poller};
use crate::turn::{CloseReason, LinkId};

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes.
    Bytes(LinkId, usize),
    /// The peer will send no more.
    End(LinkId),
    /// The connection broke.
    Broken(LinkId),
    /// Nothing for the shard.
    Nothing,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

/// The time is over, or these bytes were read and thrown away.
#[derive(Debug)]
struct Linger {
    until: Instant,
    left: usize,
}

#[derive(Debug)]
struct Connection {
    link: LinkId,
    stream: TcpStream,
    outgoing: Option<Outgoing>,
    paused: bool,
    /// The peer sent its FIN: there is nothing more to read.
    ended: bool,
    watched: Interest,
    /// The shard has forgotten it.
    linger: Option<Linger>,
}

impl Connection {
    fn interest(&self) -> Interest {
        if self.linger.is_some() {
            return Interest { read: true, write: false };
        }
        Interest { read: !self.paused && !self.ended, write: self.outgoing.is_some() }
    }

    /// Writes what the socket takes. `Some`: all is written.
    fn write(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(outgoing) = &mut self.outgoing else { return Ok(None) };
        while let Some(rest) = outgoing.bytes.get(outgoing.written..).filter(|it| !it.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => outgoing.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.outgoing.take().map(|outgoing| outgoing.bytes))
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// Below 2^30.
    generation: u32,
    connection: Option<Connection>,
}

/// The connections by the names the poller has for them, and by their links.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// The slot of a link's number, if that link is still there.
    by_link: Vec<Option<usize>>,
    /// Those that linger, in the order they began to.
    lingering: VecDeque<u64>,
    len: usize,
}

fn name(slot: usize, generation: u32) -> u64 {
    u64::from(generation) << 32 | slot as u64
}

impl Connections {
    /// How many there are, those that linger included.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Watches a new connection.
    pub(super) fn add(
        &mut self,
        poller: &Poller,
        link: LinkId,
        stream: TcpStream,
    ) -> io::Result<()> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let Some(entry) = self.slots.get_mut(slot) else { return Ok(()) };
        if let Err(error) = poller.add(&stream, name(slot, entry.generation)) {
            self.free.push(slot);
            return Err(error);
        }
        entry.connection = Some(Connection {
            link,
            stream,
            outgoing: None,
            paused: false,
            ended: false,
            watched: Interest { read: true, write: false },
            linger: None,
        });
        self.len += 1;
        let number = link.index as usize;
        if self.by_link.len() <= number {
            self.by_link.resize(number + 1, None);
        }
        if let Some(entry) = self.by_link.get_mut(number) {
            *entry = Some(slot);
        }
        Ok(())
    }

    fn slot_of(&self, link: LinkId) -> Option<usize> {
        let slot = self.by_link.get(link.index as usize).copied().flatten()?;
        let connection = self.slots.get(slot)?.connection.as_ref()?;
        (connection.link == link && connection.linger.is_none()).then_some(slot)
    }

    /// The connection that has this name now.
    fn named(&mut self, named: u64) -> Option<(usize, &mut Connection)> {
        let slot = usize::try_from(named & u64::from(u32::MAX)).ok()?;
        let entry = self.slots.get_mut(slot)?;
        if u64::from(entry.generation) != named >> 32 {
            return None;
        }
        entry.connection.as_mut().map(|connection| (slot, connection))
    }

    fn connection(&mut self, slot: usize) -> Option<(u64, &mut Connection)> {
        let entry = self.slots.get_mut(slot)?;
        let named = name(slot, entry.generation);
        entry.connection.as_mut().map(|connection| (named, connection))
    }

    fn watch(&mut self, poller: &Poller, slot: usize) {
        let Some((named, connection)) = self.connection(slot) else { return };
        let interest = connection.interest();
        if interest != connection.watched {
            connection.watched = interest;
            poller.watch(&connection.stream, named, interest);
        }
    }

    /// Closes a connection: its descriptor is the only one of its socket, so
    /// epoll forgets it too.
    fn drop_slot(&mut self, slot: usize) {
        drop(self.take_slot(slot));
    }

    fn take_slot(&mut self, slot: usize) -> Option<Connection> {
        let entry = self.slots.get_mut(slot)?;
        let connection = entry.connection.take()?;
        entry.generation = (entry.generation + 1) & (u32::MAX >> 2);
        self.free.push(slot);
        self.len -= 1;
        if connection.linger.is_none()
            && let Some(entry) = self.by_link.get_mut(connection.link.index as usize)
            && *entry == Some(slot)
        {
            *entry = None;
        }
        Some(connection)
    }

    /// Takes a connection off.
    pub(super) fn take(&mut self, poller: &Poller, link: LinkId) -> Option<TcpStream> {
        let connection = self.slot_of(link).and_then(|slot| self.take_slot(slot))?;
        poller.forget(&connection.stream);
        Some(connection.stream)
    }

    pub(super) fn pause(&mut self, poller: &Poller, link: LinkId) {
        let Some(slot) = self.slot_of(link) else { return };
        if let Some((_, connection)) = self.connection(slot) {
            connection.paused = true;
        }
        self.watch(poller, slot);
    }

    pub(super) fn resume(&mut self, poller: &Poller, link: LinkId) {
        let Some(slot) = self.slot_of(link) else { return };
        if let Some((_, connection)) = self.connection(slot) {
            connection.paused = false;
        }
        self.watch(poller, slot);
    }

    /// Writes to a connection, now as far as it takes it.
    pub(super) fn send(
        &mut self,
        poller: &Poller,
        link: LinkId,
        bytes: Vec<u8>,
        moved: &mut VecDeque<Event>,
    ) {
        let Some(slot) = self.slot_of(link) else { return };
        if let Some((_, connection)) = self.connection(slot) {
            connection.outgoing = Some(Outgoing { bytes, written: 0 });
        }
        self.write(poller, slot, moved);
    }

    /// Goes on writing to a connection that takes more.
    pub(super) fn write_rest(&mut self, poller: &Poller, named: u64, moved: &mut VecDeque<Event>) {
        if let Some((slot, connection)) = self.named(named)
            && connection.linger.is_none()
        {
            self.write(poller, slot, moved);
        }
    }

    fn write(&mut self, poller: &Poller, slot: usize, moved: &mut VecDeque<Event>) {
        let Some((_, connection)) = self.connection(slot) else { return };
        let link = connection.link;
        match connection.write() {
            Ok(Some(buffer)) => moved.push_back(Event::Sent(link, buffer)),
            Ok(None) => {}
            Err(_) => {
                self.drop_slot(slot);
                moved.push_back(Event::Failed(link));
                return;
            }
        }
        self.watch(poller, slot);
    }

    /// Reads once.
    pub(super) fn read(&mut self, poller: &Poller, named: u64, scratch: &mut [u8]) -> Read {
        let Some((slot, connection)) = self.named(named) else { return Read::Nothing };
        if connection.linger.is_some() {
            self.read_away(slot, scratch);
            return Read::Nothing;
        }
        if connection.paused || connection.ended {
            // It broke while nothing was read: writing or the shard's
            // patience finds out, but epoll would say so again and again.
            return if connection.stream.take_error().is_ok_and(|error| error.is_none()) {
                Read::Nothing
            } else {
                Read::Broken(connection.link)
            };
        }
        let link = connection.link;
        match connection.stream.read(scratch) {
            Ok(0) => {
                connection.ended = true;
                self.watch(poller, slot);
                Read::End(link)
            }
            Ok(length) => Read::Bytes(link, length),
            Err(error) if is_no_news(&error) => Read::Nothing,
            Err(_) => Read::Broken(link),
        }
    }

    /// Forgets a connection at once.
    pub(super) fn remove(&mut self, link: LinkId) {
        if let Some(slot) = self.slot_of(link) {
            self.drop_slot(slot);
        }
    }

    /// The shard has forgotten a connection: closes it, after the peer had the
    /// time to take the last answer where that could be lost.
    pub(super) fn close(&mut self, poller: &Poller, link: LinkId, reason: CloseReason) {
        let Some(slot) = self.slot_of(link) else { return };
        let Some((named, connection)) = self.connection(slot) else { return };
        if !reason.lingers() || connection.ended {
            return self.drop_slot(slot);
        }
        if connection.stream.shutdown(Shutdown::Write).is_err() {
            return self.drop_slot(slot);
        }
        let longest = if reason == CloseReason::Stop { LINGER_STOP } else { LINGER };
        connection.outgoing = None;
        connection.linger = Some(Linger { until: Instant::now() + longest, left: LINGER_BYTES });
        self.lingering.push_back(named);
        if let Some(entry) = self.by_link.get_mut(link.index as usize) {
            *entry = None;
        }
        self.watch(poller, slot);
    }

    fn read_away(&mut self, slot: usize, scratch: &mut [u8]) {
        let Some((_, connection)) = self.connection(slot) else { return };
        let Some(linger) = &mut connection.linger else { return };
        match connection.stream.read(scratch) {
            Ok(length) if length > 0 && length < linger.left => linger.left -= length,
            Err(error) if is_no_news(&error) => {}
            Ok(_) | Err(_) => self.drop_slot(slot),
        }
    }

    /// When the first of those that linger has done so long enough.
    pub(super) fn lingers_until(&self) -> Option<Instant> {
        let named = *self.lingering.front()?;
        let slot = usize::try_from(named & u64::from(u32::MAX)).ok()?;
        let entry = self.slots.get(slot).filter(|it| u64::from(it.generation) == named >> 32);
        let linger = entry.and_then(|entry| entry.connection.as_ref()?.linger.as_ref());
        // One that is closed already is forgotten at once.
        Some(linger.map_or_else(Instant::now, |linger| linger.until))
    }

    /// Closes those that lingered long enough.
    pub(super) fn end_lingering(&mut self, now: Instant) {
        while let Some(&named) = self.lingering.front() {
            if let Some((slot, connection)) = self.named(named) {
                let until = connection.linger.as_ref().map_or(now, |linger| linger.until);
                if until > now {
                    return;
                }
                self.drop_slot(slot);
            }
            self.lingering.pop_front();
        }
    }

    /// Shortens how long those linger that do.
    pub(super) fn hurry(&mut self, now: Instant, longest: Duration) {
        for slot in &mut self.slots {
            if let Some(linger) = slot.connection.as_mut().and_then(|it| it.linger.as_mut()) {
                linger.until = linger.until.min(now + longest);
            }
        }
    }
}

fn is_no_news(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
