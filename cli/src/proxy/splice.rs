//! Bytes from socket to socket that never come up here.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::relay::CHUNK;

/// Most bytes moved at once, and the room of a pipe where the system allows it.
/// A packet may take a page of it, however short it is.
const MOVED_MAX: usize = 256 * 1024;
/// Pipes kept that nobody uses.
const FREE_MAX: usize = 64;

/// A pipe that bytes are moved through. It is empty when nobody uses it.
#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // With less room, less is moved at once.
        let _ = fcntl_setpipe_size(&writer, MOVED_MAX);
        Ok(Self { reader, writer })
    }
}

/// Pipes for whoever moves bytes: a connection that waits needs none.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    free: Mutex<Vec<Pipe>>,
}

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(Pipe::new, Ok)
    }

    /// Takes back an empty pipe. One with bytes in it is closed instead.
    fn give_back(&self, pipe: Pipe) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < FREE_MAX {
            free.push(pipe);
        }
    }

    /// Moves bytes from one socket to another for as long as much is there at
    /// once.
    pub(super) async fn forward(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        counter: &AtomicU64,
    ) -> io::Result<()> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let pipe = self.take()?;
        loop {
            // The pipe is empty here, so only the socket can have nothing.
            let moved = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &pipe.writer, None, MOVED_MAX, flags)?)
            });
            let moved = match moved {
                Ok(moved) => moved,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            let mut waiting = moved;
            while waiting > 0 {
                let moved = wait(to, Interest::WRITABLE, || {
                    Ok(splice(&pipe.reader, None, to, None, waiting, flags)?)
                })
                .await?;
                if moved == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                waiting -= moved;
                counter.fetch_add(moved as u64, Ordering::Relaxed);
            }
            // The end, or nothing yet, or too little for the way through a pipe:
            // the next read tells which.
            if moved < CHUNK {
                self.give_back(pipe);
                return Ok(());
            }
        }
    }
}

/// Does what a socket may have to be waited for.
async fn wait(
    socket: &TcpStream,
    interest: Interest,
    mut action: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        socket.ready(interest).await?;
        match socket.try_io(interest, &mut action) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}
