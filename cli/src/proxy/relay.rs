//! One client and one server.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::time::{Instant, sleep_until};

use super::splice::Pipes;
use super::stats::Stats;

/// Bytes copied at once. Where so many are there, pipes carry the next.
pub(super) const CHUNK: usize = 16 * 1024;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relayed {
    /// Both are done, or the client is gone, or what failed cannot be repeated.
    Done,
    /// The server ended without having answered anything, and all that the
    /// client sent is kept.
    Unanswered,
    /// The same, but the server did nothing at all for too long.
    Silent,
    /// The server's host did not acknowledge anything for too long.
    Vanished,
}

/// How long a server may say nothing to what it was sent.
pub(super) type AnswerTimeout = Option<std::time::Duration>;

/// What a client sent until it got an answer.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// The client sends no more.
    ended: bool,
}

impl Request {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max, ended: false }
    }
}

/// Carries bytes both ways until both sides are done.
pub(super) async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    request: &mut Request,
    patience: AnswerTimeout,
    pipes: &Pipes,
    stats: &Stats,
) -> Relayed {
    let mut answer = Vec::new();
    let mut sent = 0;
    if request.bytes_max > 0 {
        match first_answer(client, server, request, patience, &mut sent, &mut answer).await {
            First::Answer | First::TooLong => {}
            First::ServerGone => return Relayed::Unanswered,
            First::ServerSilent => return Relayed::Silent,
            First::ClientGone => return Relayed::Done,
        }
    }
    let rest = request.bytes.get(sent..).unwrap_or_default();
    stats.sent.fetch_add(sent as u64, Ordering::Relaxed);
    let ended = request.ended;
    let (mut from_client, to_client) = client.split();
    let (mut from_server, to_server) = server.split();
    let (to_client, to_server) = (to_client.as_ref(), to_server.as_ref());
    let up = async {
        write_all(to_server, rest, &stats.sent).await?;
        if ended {
            return end(to_server);
        }
        forward(&mut from_client, to_server, pipes, &stats.sent).await
    };
    let down = async {
        write_all(to_client, &answer, &stats.received).await?;
        forward(&mut from_server, to_client, pipes, &stats.received).await
    };
    // What fails in one direction ends both.
    match tokio::try_join!(up, down) {
        // A socket whose peer acknowledges nothing has none any more.
        Err(error) if error.kind() == io::ErrorKind::TimedOut && server.peer_addr().is_err() => {
            Relayed::Vanished
        }
        Ok(_) | Err(_) => Relayed::Done,
    }
}

enum First {
    /// The server answered something.
    Answer,
    /// The client sent more than is kept: from here on nothing is repeated.
    TooLong,
    ServerGone,
    /// It did not answer in time.
    ServerSilent,
    ClientGone,
}

/// Sends to the server what the client sends, and keeps it, until the server
/// answers.
async fn first_answer(
    client: &TcpStream,
    server: &TcpStream,
    request: &mut Request,
    patience: AnswerTimeout,
    sent: &mut usize,
    answer: &mut Vec<u8>,
) -> First {
    let mut told_end = false;
    // From when something was sent last: before that, it is not its turn.
    let mut deadline = None;
    loop {
        let rest = request.bytes.get(*sent..).unwrap_or_default();
        if rest.is_empty() && request.ended && !told_end {
            told_end = true;
            if end(server).is_err() {
                return First::ServerGone;
            }
        }
        let room = request.bytes.len() < request.bytes_max;
        if !room && rest.is_empty() && !request.ended {
            return First::TooLong;
        }
        let toward = if rest.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        tokio::select! {
            ready = server.ready(toward) => {
                let Ok(ready) = ready else { return First::ServerGone };
                if ready.is_readable() {
                    answer.reserve(CHUNK);
                    match server.try_read_buf(answer) {
                        Ok(0) => return First::ServerGone,
                        Ok(_) => return First::Answer,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return First::ServerGone,
                    }
                }
                if ready.is_writable() {
                    match server.try_write(rest) {
                        Ok(count) => {
                            *sent += count;
                            deadline = patience.map(|patience| Instant::now() + patience);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return First::ServerGone,
                    }
                }
            }
            () = until(deadline) => return First::ServerSilent,
            ready = client.readable(), if room && !request.ended => {
                if ready.is_err() {
                    return First::ClientGone;
                }
                let more = CHUNK.min(request.bytes_max - request.bytes.len());
                let mut chunk = vec![0; more];
                match client.try_read(&mut chunk) {
                    Ok(0) => request.ended = true,
                    Ok(count) => {
                        request.bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return First::ClientGone,
                }
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Carries bytes one way until the end, and tells the end.
async fn forward(
    from: &mut ReadHalf<'_>,
    to: &TcpStream,
    pipes: &Pipes,
    counter: &AtomicU64,
) -> io::Result<()> {
    loop {
        let copied = copy_some(from, to).await?;
        counter.fetch_add(copied.written as u64, Ordering::Relaxed);
        write_all(to, &copied.rest, counter).await?;
        match copied.read {
            0 => return end(to),
            // There may be much more: that need not come up here.
            CHUNK => pipes.forward((*from).as_ref(), to, counter).await?,
            _ => {}
        }
    }
}

/// What was copied at once.
#[derive(Debug)]
struct Copied {
    read: usize,
    written: usize,
    /// Read, and not written: there was no room.
    rest: Vec<u8>,
}

thread_local! {
    /// For what is read and written at once: a connection that waits needs no
    /// buffer.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Waits until there is something to read, and writes it as far as there is
/// room.
async fn copy_some(from: &mut ReadHalf<'_>, to: &TcpStream) -> io::Result<Copied> {
    poll_fn(|context| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut chunk = ReadBuf::new(buffer);
            // It knows from a short read that there is no more, without asking.
            ready!(Pin::new(&mut *from).poll_read(context, &mut chunk))?;
            let chunk = chunk.filled();
            let written = match to.try_write(chunk) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let rest = chunk.get(written..).unwrap_or_default().to_vec();
            Poll::Ready(Ok(Copied { read: chunk.len(), written, rest }))
        })
    })
    .await
}

async fn write_all(to: &TcpStream, mut bytes: &[u8], counter: &AtomicU64) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(count) => {
                counter.fetch_add(count as u64, Ordering::Relaxed);
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells that nothing more comes.
fn end(to: &TcpStream) -> io::Result<()> {
    SockRef::from(to).shutdown(Shutdown::Write)
}
