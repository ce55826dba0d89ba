//! One association with a registrar, over TCP or SCTP, and the conversation
//! over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rserpool_codec::{Frame, LengthForm, frame};
use rserpool_proto::endpoint::{Config, Conversation};
use rserpool_sctp::AssocId;

use crate::associations::{Associations, Taken};
use crate::stage::IN_FLIGHT_MAX;

/// Room for one read and for one message of the largest size before it.
pub(crate) const SCRATCH_BYTES: usize = 256 << 10;

/// An association and the conversation over it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) conversation: Conversation,
    pub(crate) standing: Standing,
    /// Which of the run's addresses it leads to.
    pub(crate) address: usize,
    /// Attempts to set it up that failed since it was up last.
    pub(crate) failures: usize,
    /// When it was lost last.
    pub(crate) lost_at: Duration,
    /// Nothing was answered over it since then.
    pub(crate) recovering: bool,
    carrier: Carrier,
    /// Nothing more can be sent for now.
    blocked: bool,
}

/// Whether an association can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is being set up since then.
    Connecting(Duration),
    Up,
    /// It was never begun, or is gone.
    Down,
}

#[derive(Debug)]
enum Carrier {
    None,
    Tcp {
        stream: TcpStream,
        /// The beginning of a message whose end has not come.
        rest: Vec<u8>,
    },
    Sctp(AssocId),
}

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// There may be more.
    More,
    /// There is nothing more for now.
    Drained,
    /// The registrar closed the connection.
    Closed,
}

impl Connection {
    /// One that is down. Answers that take longer than `patience` are overdue.
    pub(crate) fn new(address: usize, patience: Duration, form: LengthForm) -> Self {
        let config = Config {
            resolution_timeout: patience,
            registration_timeout: patience,
            deregistration_timeout: patience,
            in_flight_max: IN_FLIGHT_MAX,
            length_form: form,
        };
        Self {
            conversation: Conversation::new(config),
            standing: Standing::Down,
            address,
            failures: 0,
            lost_at: Duration::ZERO,
            recovering: false,
            carrier: Carrier::None,
            blocked: true,
        }
    }

    /// Begins a TCP connection; it is writable when it is up or has failed.
    pub(crate) fn begin_tcp(
        &mut self,
        now: Duration,
        to: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        let mut stream = TcpStream::connect(to)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.carrier = Carrier::Tcp { stream, rest: Vec::new() };
        self.begin(now);
        Ok(())
    }

    /// An SCTP association was begun.
    pub(crate) fn begin_sctp(&mut self, now: Duration, id: AssocId) {
        self.carrier = Carrier::Sctp(id);
        self.begin(now);
    }

    fn begin(&mut self, now: Duration) {
        self.conversation = Conversation::new(self.conversation.config().clone());
        self.standing = Standing::Connecting(now);
        self.blocked = true;
    }

    /// What became of the attempt to connect: up, failed, or nothing yet.
    pub(crate) fn finish_tcp(&mut self) -> io::Result<()> {
        let Carrier::Tcp { stream, .. } = &self.carrier else { return Ok(()) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => {
                stream.set_nodelay(true)?;
                self.up();
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The association can be used.
    pub(crate) const fn up(&mut self) {
        self.standing = Standing::Up;
        self.blocked = false;
    }

    /// Gives the association up, if there is one.
    pub(crate) fn close(&mut self, associations: Option<&mut Associations>) {
        if let (Carrier::Sctp(id), Some(associations)) = (&self.carrier, associations) {
            associations.abort(*id);
        }
        self.carrier = Carrier::None;
        self.standing = Standing::Down;
        self.blocked = true;
        self.conversation.output().clear();
    }

    /// Reads once, behind the part of a message that was read before. Gives
    /// also how much of the scratch is filled.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<(ReadOutcome, usize)> {
        let Carrier::Tcp { stream, rest } = &mut self.carrier else {
            return Ok((ReadOutcome::Drained, 0));
        };
        let kept = rest.len();
        let (before, room) = scratch.split_at_mut(kept);
        before.copy_from_slice(rest);
        rest.clear();
        loop {
            match stream.read(room) {
                Ok(0) => return Ok((ReadOutcome::Closed, kept)),
                Ok(count) => {
                    // A stream gave less than asked for: epoll tells when
                    // there is more.
                    let drained = count < room.len();
                    let outcome = if drained { ReadOutcome::Drained } else { ReadOutcome::More };
                    return Ok((outcome, kept + count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok((ReadOutcome::Drained, kept));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps the beginning of a message until the next read.
    pub(crate) fn keep(&mut self, tail: &[u8]) {
        if let Carrier::Tcp { rest, .. } = &mut self.carrier {
            rest.extend_from_slice(tail);
        }
    }

    /// Bytes are taken again.
    pub(crate) const fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Sends what there is, as far as it is taken. What is sent over SCTP
    /// leaves with the next flush of the link.
    pub(crate) fn flush(&mut self, associations: Option<&mut Associations>) -> io::Result<()> {
        if self.blocked {
            return Ok(());
        }
        let output = self.conversation.output();
        match (&mut self.carrier, associations) {
            (Carrier::Tcp { stream, .. }, _) => {
                let mut sent = 0;
                while sent < output.len() && !self.blocked {
                    match stream.write(&output[sent..]) {
                        Ok(count) => sent += count,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                output.drain(..sent);
            }
            (Carrier::Sctp(id), Some(associations)) => {
                let mut sent = 0;
                while let Frame::Whole(bytes) = frame(&output[sent..]) {
                    match associations.send(*id, &output[sent..sent + bytes])? {
                        Taken::Yes => sent += bytes,
                        Taken::Later => {
                            self.blocked = true;
                            break;
                        }
                    }
                }
                output.drain(..sent);
            }
            (Carrier::Sctp(_) | Carrier::None, _) => {}
        }
        Ok(())
    }
}
