//! The client of a measurement.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Read at once.
const CHUNK: usize = 256 * 1024;

/// How long connections live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// For all exchanges.
    Kept,
    /// For one.
    Short,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// On each connection, or in its place.
    pub(crate) exchanges: u64,
    /// Of each answer.
    pub(crate) bytes: u64,
    pub(crate) short: Connections,
}

/// Asks, and checks that all came. Gives the time it took.
pub(crate) fn drive(proxy: SocketAddr, load: &Load) -> io::Result<Duration> {
    let begun = Instant::now();
    let threads: Vec<_> = (0..load.connections)
        .map(|_| {
            let load = *load;
            thread::spawn(move || exchange_all(proxy, &load))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a client gave up"))??;
    }
    Ok(begun.elapsed())
}

fn exchange_all(proxy: SocketAddr, load: &Load) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut kept: Option<TcpStream> = None;
    for _ in 0..load.exchanges {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => TcpStream::connect(proxy)?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(&load.bytes.to_be_bytes())?;
        let mut left = usize::try_from(load.bytes).map_err(io::Error::other)?;
        while left > 0 {
            let room = chunk.get_mut(..left.min(CHUNK)).unwrap_or_default();
            match stream.read(room)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => left -= count,
            }
        }
        if load.short == Connections::Kept {
            kept = Some(stream);
        }
    }
    Ok(())
}
