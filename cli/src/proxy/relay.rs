//! One client and one server.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::splice::Pipe;
use super::stats::Stats;

/// Bytes copied at once.
const CHUNK: usize = 16 * 1024;
/// So many bytes of a direction are copied before it gets a pipe of its own:
/// most exchanges are short.
const SPLICE_AFTER: u64 = 128 * 1024;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relayed {
    /// Both are done, or the client is gone, or what failed cannot be repeated.
    Done,
    /// The server ended without having answered anything, and all that the
    /// client sent is kept.
    Unanswered,
}

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
    client: &TcpStream,
    server: &TcpStream,
    request: &mut Request,
    stats: &Stats,
) -> Relayed {
    let mut answer = Vec::new();
    let mut sent = 0;
    if request.bytes_max > 0 {
        match first_answer(client, server, request, &mut sent, &mut answer).await {
            First::Answer | First::TooLong => {}
            First::ServerGone => return Relayed::Unanswered,
            First::ClientGone => return Relayed::Done,
        }
    }
    let rest = request.bytes.get(sent..).unwrap_or_default();
    stats.sent.fetch_add(sent as u64, Ordering::Relaxed);
    let ended = request.ended;
    let up = async {
        write_all(server, rest, &stats.sent).await?;
        if ended {
            return end(server);
        }
        forward(client, server, &stats.sent).await
    };
    let down = async {
        write_all(client, &answer, &stats.received).await?;
        forward(server, client, &stats.received).await
    };
    // What fails in one direction ends both.
    let _ = tokio::try_join!(up, down);
    Relayed::Done
}

enum First {
    /// The server answered something.
    Answer,
    /// The client sent more than is kept: from here on nothing is repeated.
    TooLong,
    ServerGone,
    ClientGone,
}

/// Sends to the server what the client sends, and keeps it, until the server
/// answers.
async fn first_answer(
    client: &TcpStream,
    server: &TcpStream,
    request: &mut Request,
    sent: &mut usize,
    answer: &mut Vec<u8>,
) -> First {
    let mut told_end = false;
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
                        Ok(count) => *sent += count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return First::ServerGone,
                    }
                }
            }
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

/// Carries bytes one way until the end, and tells the end.
async fn forward(from: &TcpStream, to: &TcpStream, counter: &AtomicU64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut carried = 0;
    while carried < SPLICE_AFTER {
        from.readable().await?;
        match from.try_read(&mut chunk) {
            Ok(0) => return end(to),
            Ok(count) => {
                write_all(to, chunk.get(..count).unwrap_or_default(), counter).await?;
                carried += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    drop(chunk);
    Pipe::new()?.forward(from, to, counter).await?;
    end(to)
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
