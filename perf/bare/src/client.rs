//! A closed loop over many connections: so many requests are unanswered on
//! each at any time. It counts answers by their bytes and looks into none.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::server::Sizes;

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Connections.
    pub connections: usize,
    /// Unanswered requests of each.
    pub pipelined: usize,
}

/// What a server did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loaded {
    /// Requests answered while it was measured.
    pub answers: u64,
    /// How long that was.
    pub time: Duration,
}

/// How long a server is loaded before it is measured.
const WARM: Duration = Duration::from_millis(300);
const READ_BYTES: usize = 64 << 10;
/// So long without an answer, and the server is broken.
const SILENCE: Duration = Duration::from_secs(10);

struct Connection {
    stream: TcpStream,
    requests: Rc<[u8]>,
    /// Bytes of the answer that has not come as a whole.
    bytes: usize,
    /// Where the next requests are taken from.
    next: usize,
    /// Requests that the kernel has not taken, and bytes of one taken in part.
    owed: usize,
    sent_of_one: usize,
}

/// Loads a server for a while. `requests` are requests of one size behind one
/// another; `at` is told when measuring begins and when it ends.
///
/// # Errors
/// A server that closes a connection or stops answering.
pub fn load(
    address: SocketAddr,
    load: Load,
    sizes: Sizes,
    requests: &[u8],
    time: Duration,
    at: impl FnMut(),
) -> io::Result<Loaded> {
    let requests = endless(requests, load.pipelined, sizes);
    let connect = |_| Ok((TcpStream::connect(address)?, Rc::clone(&requests)));
    let peers = (0..load.connections).map(connect).collect::<io::Result<Vec<_>>>()?;
    drive(peers, load.pipelined, sizes, time, RecvFlags::DONTWAIT, at)
}

/// Two rounds, so that a batch that begins anywhere is in one piece.
pub(crate) fn endless(requests: &[u8], pipelined: usize, sizes: Sizes) -> Rc<[u8]> {
    requests.repeat(2 + pipelined * sizes.request / requests.len().max(1)).into()
}

/// The same over connections that are there, each with requests of its own,
/// made by [`endless`]. With [`RecvFlags::TRUNC`] answers are not copied.
pub(crate) fn drive(
    peers: Vec<(TcpStream, Rc<[u8]>)>,
    pipelined: usize,
    sizes: Sizes,
    time: Duration,
    flags: RecvFlags,
    mut at: impl FnMut(),
) -> io::Result<Loaded> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut connections = Vec::new();
    for (key, (stream, requests)) in (0_u64..).zip(peers) {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&epoll, &stream, EventData::new_u64(key), EventFlags::IN)?;
        let owed = pipelined;
        connections.push(Connection { stream, requests, bytes: 0, next: 0, owed, sent_of_one: 0 });
    }
    for connection in &mut connections {
        connection.send(sizes)?;
    }
    let mut scratch = vec![0; READ_BYTES];
    let mut events = vec![Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 512];
    let (mut answers, mut began, mut last) = (0, None::<Instant>, Instant::now());
    let start = Instant::now();
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    loop {
        let count = match epoll::wait(&epoll, &mut events, Some(&second)) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        match began {
            None if now - start >= WARM => {
                at();
                (answers, began) = (0, Some(Instant::now()));
            }
            Some(began) if now - began >= time => {
                at();
                return Ok(Loaded { answers, time: now - began });
            }
            None | Some(_) => {}
        }
        if count > 0 {
            last = now;
        } else if now - last > SILENCE {
            return Err(io::Error::other("the server stopped answering"));
        }
        for event in events.iter().take(count) {
            let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            if let Some(connection) = connections.get_mut(index) {
                answers += connection.turn(&mut scratch, sizes, flags)?;
            }
        }
    }
}

impl Connection {
    /// Receives once and sends as many requests as were answered.
    fn turn(&mut self, scratch: &mut [u8], sizes: Sizes, flags: RecvFlags) -> io::Result<u64> {
        let mut answered = 0;
        match recv(self.stream.as_fd(), scratch, flags) {
            Ok((0, _)) => return Err(io::Error::other("the server closed a connection")),
            Ok((bytes, _)) => {
                self.bytes += bytes;
                answered = self.bytes / sizes.answer;
                self.bytes %= sizes.answer;
                self.owed += answered;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.send(sizes)?;
        Ok(answered as u64)
    }

    fn send(&mut self, sizes: Sizes) -> io::Result<()> {
        let requests = &self.requests;
        while self.owed > 0 {
            let from = self.next + self.sent_of_one;
            let until = self.next + self.owed * sizes.request;
            match send(self.stream.as_fd(), &requests[from..until], SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    let sent = self.sent_of_one + sent;
                    self.owed -= sent / sizes.request;
                    self.next += sent - sent % sizes.request;
                    self.sent_of_one = sent % sizes.request;
                }
                // So few requests always fit into a socket's buffer, unless
                // the server does not read; its answers come first then.
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            // The second half has the same requests as the first one.
            let half = requests.len() / 2 / sizes.request * sizes.request;
            if self.next >= half {
                self.next -= half;
            }
        }
        Ok(())
    }
}
