//! Pool elements and pool users as plain sockets and bytes, and a registrar
//! to talk to. Nothing here shares code with what it tests.
#![allow(dead_code, reason = "no test file uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rserpool_engine::RegistrarId;
use rserpool_registrar::{AsapAddress, Host, Options, Running, start};

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A port of 127.0.0.1 that the system chooses.
pub(crate) fn any_port() -> AsapAddress {
    AsapAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into())
}

/// The host that the tests of this crate are about: `epoll.rs` runs those of
/// other files on epoll.
fn host() -> Option<Host> {
    (env!("CARGO_CRATE_NAME") == "epoll").then_some(Host::Epoll)
}

/// Options for a registrar 0xaabbccdd on a port that the system chooses.
pub(crate) fn options(shards: u16) -> Options {
    Options {
        id: Some(RegistrarId::new(0xaabb_ccdd)),
        asap: vec![any_port()],
        shards: Some(shards),
        host: host(),
        ..Options::default()
    }
}

/// A registrar with this many shards.
pub(crate) fn registrar(shards: u16) -> Running {
    start(&options(shards)).unwrap()
}

/// Waits until `done`.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of a hexadecimal text with spaces.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|digit| *digit != ' ')
        .map(|digit| digit.to_digit(16).unwrap())
        .collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn tlv(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [&code.to_be_bytes(), &length.to_be_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(code: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&[code, 0], length.to_be_bytes().as_slice(), body].concat()
}

fn element_id(pe: u32) -> Vec<u8> {
    tlv(0x0e, &pe.to_be_bytes())
}

/// A registration for a round robin pool: service at SCTP 10.0.0.1:7777, life
/// 90 s.
pub(crate) fn registration(handle: &[u8], pe: u32) -> Vec<u8> {
    registration_with_life(handle, pe, 90)
}

/// The same with another life, in whatever unit the registrar expects.
pub(crate) fn registration_with_life(handle: &[u8], pe: u32, life: u32) -> Vec<u8> {
    let transport = tlv(4, &[&[0x1e, 0x61, 0, 1], tlv(1, &[10, 0, 0, 1]).as_slice()].concat());
    let fixed = [pe.to_be_bytes(), [0; 4], life.to_be_bytes()].concat();
    let element = tlv(10, &[fixed, transport, tlv(8, &1_u32.to_be_bytes())].concat());
    message(1, &[tlv(9, handle), element].concat())
}

pub(crate) fn deregistration(handle: &[u8], pe: u32) -> Vec<u8> {
    message(2, &[tlv(9, handle), element_id(pe)].concat())
}

pub(crate) fn resolution(handle: &[u8]) -> Vec<u8> {
    message(5, &tlv(9, handle))
}

pub(crate) fn keep_alive_ack(handle: &[u8], pe: u32) -> Vec<u8> {
    message(8, &[tlv(9, handle), element_id(pe)].concat())
}

/// The PE identifiers of a positive handle resolution response.
pub(crate) fn resolved(answer: &[u8]) -> Vec<u32> {
    assert_eq!(answer[0], 6, "{answer:02x?}");
    let mut rest = &answer[4..];
    let mut elements = Vec::new();
    while rest.len() >= 8 {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if rest[..2] == [0, 10] {
            elements.push(u32::from_be_bytes(rest[4..8].try_into().unwrap()));
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    elements
}

/// The handle a response is about.
pub(crate) fn handle_of(answer: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_be_bytes([answer[6], answer[7]]));
    &answer[8..4 + length]
}

/// What the other side of an IPv4 connection of this host has not sent and not
/// read, as `/proc/net/tcp` writes it.
fn queues_of_other_side(stream: &TcpStream) -> Option<String> {
    let local = format!(":{:04X}", stream.peer_addr().ok()?.port());
    let remote = format!(":{:04X}", stream.local_addr().ok()?.port());
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_it = fields.next()?.ends_with(&local) && fields.next()?.ends_with(&remote);
        is_it.then(|| fields.nth(1).map(ToOwned::to_owned))?
    })
}

/// One side of a connection to a registrar.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Peer {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&to, PATIENCE).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn of(running: &Running) -> Self {
        Self::connect(running.asap_tcp()[0])
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends what the other side may have closed the connection to.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends until the other side has stopped reading: its answers are not
    /// read, so it cannot write, so it must not read.
    pub(crate) fn stuff(&mut self, bytes: &[u8]) {
        // Some of these are of the same shard. While they are not answered it is
        // not known to have stopped: it may wait for a processor.
        // It may be closed already, for having said nothing.
        let Ok(to) = self.stream.peer_addr() else { return };
        let mut others: Vec<Self> = (0..8).map(|_| Self::connect(to)).collect();
        self.stream.set_nonblocking(true).unwrap();
        let (mut progress, mut turns) = (Instant::now(), 0);
        // A write may end in the middle of a message, which the next one goes on with.
        let (mut written, mut queues) = (0, None);
        while turns < 5 || progress.elapsed() < Duration::from_millis(200) {
            match self.stream.write(&bytes[written..]) {
                Ok(length) => {
                    written = (written + length) % bytes.len();
                    (progress, turns) = (Instant::now(), 0);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    for other in &mut others {
                        if other.try_send(&resolution(b"none")) {
                            let _answer = other.next();
                        }
                    }
                    turns += 1;
                    let there = queues_of_other_side(&self.stream);
                    if there != queues {
                        // It is busy with what it has, and will read again.
                        (queues, progress, turns) = (there, Instant::now(), 0);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                // Closed for not reading.
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false).unwrap();
    }

    pub(crate) fn send_no_more(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Another handle of the same connection, to read while this one writes.
    pub(crate) fn second(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), received: Vec::new() }
    }

    /// Whether something can be read; it stays unread.
    pub(crate) fn has_answer(&self) -> bool {
        self.peek().is_ok_and(|length| length > 0)
    }

    /// Whether the other side has closed the connection, all being read.
    pub(crate) fn is_closed(&self) -> bool {
        match self.peek() {
            Ok(length) => length == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    fn peek(&self) -> std::io::Result<usize> {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        peeked
    }

    /// The next whole message; `None` if the connection was closed.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = self.received.get(2..4) {
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let whole = length.max(4).next_multiple_of(4);
                if self.received.len() >= whole {
                    return Some(self.received.drain(..whole).collect());
                }
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    assert_eq!(self.received, b"", "closed in the middle of a message");
                    return None;
                }
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "no answer: {error}");
                    return None;
                }
            }
        }
    }

    pub(crate) fn message(&mut self) -> Vec<u8> {
        self.next().expect("closed instead of an answer")
    }

    pub(crate) fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes);
        self.message()
    }

    /// Waits for the close; returns the types of the messages before it.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.next()).map(|message| message[0]).collect()
    }
}
