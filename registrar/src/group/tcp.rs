//! Associations with registrars of our own kind over TCP: ENRP messages one
//! behind the other, each to its padded end.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use rserpool_codec::{Frame, frame};
use rserpool_proto::enrp::LinkId;
use socket2::{Domain, Protocol, Socket, Type};

/// How long one address has to answer.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Messages handed over at once, in bytes: two pages of a handle table.
const BATCH_BYTES: usize = 64 << 10;
/// Bytes written in one go. Then the connection rests: a handle table of a
/// million elements, written as fast as it can be, keeps the core of its shard
/// busy without a gap, and who resolves a handle waits for the scheduler.
const STRIDE_BYTES: usize = 16 << 10;
/// How long it rests; in the best case half of the time.
const REST: Duration = Duration::from_micros(400);
/// One message is no longer.
const MESSAGE_MAX: usize = 64 << 10;

/// A connection, or one that is being opened.
#[derive(Debug)]
pub(super) struct Connection {
    /// The thread's own number of it.
    pub(super) number: u64,
    /// `None`: the shard has not said whether it wants it.
    pub(super) link: Option<LinkId>,
    pub(super) stream: TcpStream,
    connecting: Option<Connecting>,
    unsent: Vec<u8>,
    written: usize,
    /// Bytes written since it rested last, and until when it rests now.
    stride: usize,
    rests: Option<Instant>,
    /// The shard waits for [`Event::Sent`](super::Event::Sent).
    sending: bool,
    received: Vec<u8>,
    /// The shard has messages that it has not taken.
    pub(super) busy: bool,
}

#[derive(Debug)]
struct Connecting {
    until: Instant,
    /// Tried next.
    others: Vec<SocketAddr>,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing new.
    Same,
    /// It is connected now.
    Connected,
    /// It is over.
    Over,
}

impl Connection {
    /// One that was accepted.
    pub(super) fn accepted(number: u64, stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(number, None, stream, None))
    }

    /// Begins one to the first of these addresses that answers.
    pub(super) fn open(number: u64, link: LinkId, addresses: &[SocketAddr]) -> Option<Self> {
        let mut left = addresses;
        while let Some((first, others)) = left.split_first() {
            if let Ok(stream) = begin(*first) {
                let until = Instant::now() + CONNECT_PATIENCE;
                let connecting = Connecting { until, others: others.to_vec() };
                return Some(Self::new(number, Some(link), stream, Some(connecting)));
            }
            left = others;
        }
        None
    }

    fn new(
        number: u64,
        link: Option<LinkId>,
        stream: TcpStream,
        connecting: Option<Connecting>,
    ) -> Self {
        Self {
            number,
            link,
            stream,
            connecting,
            unsent: Vec::new(),
            written: 0,
            stride: 0,
            rests: None,
            sending: false,
            received: Vec::new(),
            busy: false,
        }
    }

    pub(super) fn wants_read(&self) -> bool {
        self.connecting.is_none() && self.link.is_some() && !self.busy
    }

    pub(super) fn wants_write(&self, now: Instant) -> bool {
        let rests = self.rests.is_some_and(|until| until > now);
        self.connecting.is_some() || self.written < self.unsent.len() && !rests
    }

    /// Until when it rests although there is something to write.
    pub(super) fn rests(&self) -> Option<Instant> {
        self.rests.filter(|_| self.written < self.unsent.len())
    }

    /// When an address did not answer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.connecting.as_ref().map(|connecting| connecting.until)
    }

    /// The address that is being tried did not answer, or may have by now.
    pub(super) fn check_connecting(&mut self, writable: bool) -> Outcome {
        let Some(connecting) = &mut self.connecting else { return Outcome::Same };
        if writable {
            // Refused connections are writable, too.
            let failed = self.stream.take_error().ok().flatten().is_some();
            if !failed && self.stream.peer_addr().is_ok() {
                self.connecting = None;
                return Outcome::Connected;
            }
        } else if connecting.until > Instant::now() {
            return Outcome::Same;
        }
        let others = core::mem::take(&mut connecting.others);
        let (Some(link), number) = (self.link, self.number) else { return Outcome::Over };
        match Self::open(number, link, &others) {
            Some(next) => {
                *self = next;
                Outcome::Same
            }
            None => Outcome::Over,
        }
    }

    /// Takes messages to send. There are none under way.
    pub(super) fn send(&mut self, messages: Vec<u8>) {
        self.unsent = messages;
        self.written = 0;
        self.sending = true;
    }

    /// Writes what can be and may be now. `Ok(true)`: all that was to be sent is
    /// written.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        if self.rests.is_some_and(|until| until > Instant::now()) {
            return Ok(false);
        }
        self.rests = None;
        while let Some(rest) = self.unsent.get(self.written..)
            && !rest.is_empty()
        {
            let stride = rest.len().min(STRIDE_BYTES - self.stride);
            match self.stream.write(rest.get(..stride).unwrap_or(rest)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.written += length;
                    self.stride += length;
                    if self.stride >= STRIDE_BYTES {
                        self.stride = 0;
                        self.rests = Some(Instant::now() + REST);
                        if self.written < self.unsent.len() {
                            return Ok(false);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(core::mem::take(&mut self.sending))
    }

    /// Reads what can be, and gives the whole messages of it.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        while self.received.len() < BATCH_BYTES + MESSAGE_MAX {
            match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.received.extend_from_slice(scratch.get(..length).unwrap_or_default());
                    if length < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.cut()
    }

    /// The whole messages of what was read, up to a batch.
    pub(super) fn cut(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.busy || self.link.is_none() {
            return Ok(None);
        }
        let mut end = 0;
        while end < BATCH_BYTES {
            match frame(self.received.get(end..).unwrap_or_default()) {
                Frame::Whole(length) => end += length,
                Frame::Incomplete => break,
                Frame::Malformed => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        if end == 0 {
            return Ok(None);
        }
        let rest = self.received.split_off(end);
        self.busy = true;
        Ok(Some(core::mem::replace(&mut self.received, rest)))
    }
}

/// Begins to connect.
fn begin(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}
