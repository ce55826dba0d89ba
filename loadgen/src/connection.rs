//! One TCP connection to the registrar.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rserpool_proto::endpoint::{Config, Conversation};

use crate::stage::IN_FLIGHT_MAX;

/// How long a connection may take to be set up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for one message of the largest size and as much again.
const INPUT_BYTES: usize = 128 << 10;

/// A connection and the conversation over it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    pub(crate) conversation: Conversation,
    input: Box<[u8]>,
    filled: usize,
    /// The system takes no more bytes for now.
    blocked: bool,
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
    /// Connects to the first address that accepts. Answers that take longer
    /// than `patience` are overdue.
    pub(crate) fn open(addresses: &[SocketAddr], patience: Duration) -> io::Result<Self> {
        let mut error = io::Error::new(ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match std::net::TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    return Ok(Self::new(TcpStream::from_std(stream), patience));
                }
                Err(refused) => error = refused,
            }
        }
        Err(error)
    }

    fn new(stream: TcpStream, patience: Duration) -> Self {
        let config = Config {
            resolution_timeout: patience,
            registration_timeout: patience,
            deregistration_timeout: patience,
            in_flight_max: IN_FLIGHT_MAX,
            ..Config::default()
        };
        Self {
            stream,
            conversation: Conversation::new(config),
            input: vec![0; INPUT_BYTES].into(),
            filled: 0,
            blocked: false,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads once into the input.
    pub(crate) fn read(&mut self) -> io::Result<ReadOutcome> {
        loop {
            let room = &mut self.input[self.filled..];
            let wanted = room.len();
            match self.stream.read(room) {
                Ok(0) => return Ok(ReadOutcome::Closed),
                Ok(count) => {
                    self.filled += count;
                    // A stream gave less than asked for: epoll tells when
                    // there is more.
                    let drained = count < wanted;
                    return Ok(if drained { ReadOutcome::Drained } else { ReadOutcome::More });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(ReadOutcome::Drained);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Lends the input and how much of it is filled, so that messages in it
    /// and the conversation can be used together.
    pub(crate) fn take_input(&mut self) -> (Box<[u8]>, usize) {
        (std::mem::take(&mut self.input), self.filled)
    }

    /// Gives the input back, of which so many bytes are done with.
    pub(crate) fn return_input(&mut self, mut input: Box<[u8]>, done: usize) {
        input.copy_within(done..self.filled, 0);
        self.filled -= done;
        self.input = input;
    }

    /// The system takes bytes again.
    pub(crate) const fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Sends what there is, as far as the system takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let output = self.conversation.output();
        let mut sent = 0;
        while sent < output.len() && !self.blocked {
            match self.stream.write(&output[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        output.drain(..sent);
        Ok(())
    }
}
