//! Bytes from socket to socket that never come up here.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Most bytes moved at once: what a pipe has room for.
const MOVED_MAX: usize = 64 * 1024;

/// A pipe that bytes are moved through.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        Ok(Self { reader, writer })
    }

    /// Moves bytes from one socket to another until the end of the first.
    pub(super) async fn forward(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        counter: &AtomicU64,
    ) -> io::Result<()> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            // The pipe is empty here, so only the socket can have nothing.
            let mut waiting = wait(from, Interest::READABLE, || {
                Ok(splice(from, None, &self.writer, None, MOVED_MAX, flags)?)
            })
            .await?;
            if waiting == 0 {
                return Ok(());
            }
            while waiting > 0 {
                let moved = wait(to, Interest::WRITABLE, || {
                    Ok(splice(&self.reader, None, to, None, waiting, flags)?)
                })
                .await?;
                if moved == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                waiting -= moved;
                counter.fetch_add(moved as u64, Ordering::Relaxed);
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
