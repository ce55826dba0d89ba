//! What all servers have in common.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use rserpool_registrar::Host;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{epoll, executor, registrar, uring};

/// Answers that are sent in one go.
pub(crate) const BATCH_MAX: usize = 256;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bare ring.
    Uring,
    /// Epoll.
    Epoll,
    /// glommio's own sockets.
    Glommio,
    /// The registrar with one shard, on io_uring.
    Registrar,
    /// The registrar with one shard, on epoll.
    RegistrarEpoll,
}

impl Kind {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 5] =
        [Self::Uring, Self::Epoll, Self::Glommio, Self::Registrar, Self::RegistrarEpoll];

    /// Its name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
            Self::Glommio => "glommio",
            Self::Registrar => "registrar",
            Self::RegistrarEpoll => "registrar-epoll",
        }
    }

    /// The one with this name.
    ///
    /// # Errors
    /// Which names there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            format!("allowed: {}", names.join(", "))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The sizes of messages, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of a request.
    pub request: usize,
    /// Of the answer to it.
    pub answer: usize,
}

/// How many requests of a connection were received: bytes come in any pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Intake {
    bytes: usize,
}

impl Intake {
    /// So many bytes came; how many requests are whole now.
    pub(crate) const fn take(&mut self, bytes: usize, sizes: Sizes) -> usize {
        self.bytes += bytes;
        let requests = self.bytes / sizes.request;
        self.bytes %= sizes.request;
        requests
    }
}

/// Serves on a free port of the loopback address until standard input ends.
///
/// # Errors
/// A host that lacks what the server needs.
pub fn serve(kind: Kind, core: usize, sizes: Sizes) -> io::Result<()> {
    std::thread::spawn(|| {
        // Its end, also by an error, is what is waited for.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    match kind {
        Kind::Registrar => return registrar::serve(Host::IoUring, core),
        Kind::RegistrarEpoll => return registrar::serve(Host::Epoll, core),
        Kind::Uring | Kind::Epoll | Kind::Glommio => {}
    }
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    listener.set_nonblocking(true)?;
    ready(listener.local_addr()?)?;
    match kind {
        Kind::Uring => {
            keep_to(&[core])?;
            uring::serve(&listener, sizes)
        }
        Kind::Epoll => {
            keep_to(&[core])?;
            epoll::serve(&listener, sizes)
        }
        Kind::Glommio => executor::serve(listener, core, sizes),
        Kind::Registrar | Kind::RegistrarEpoll => Ok(()),
    }
}

/// Says where the server is.
pub(crate) fn ready(address: SocketAddr) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "{address}")?;
    output.flush()
}

/// Keeps this thread to these cores.
pub(crate) fn keep_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    Ok(sched_setaffinity(None, &set)?)
}

/// The cores that this thread may have.
pub(crate) fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_whatever_pieces_they_come_in() {
        let sizes = Sizes { request: 10, answer: 1 };
        let mut intake = Intake::default();
        let counts: Vec<_> = [3, 6, 1, 25, 5].map(|bytes| intake.take(bytes, sizes)).into();
        assert_eq!(counts, [0, 0, 1, 2, 1]);
    }
}
