//! What an operator sees of a registrar: JSON, metrics and a page over HTTP,
//! on an address of its own. It only looks; nothing here changes a pool.
//!
//! | path | answer |
//! |---|---|
//! | `/` | a page that shows the rest |
//! | `/healthz` | 200 while every shard answers, else 503 |
//! | `/v1/status` | identifier, addresses, what is held and counted |
//! | `/v1/peers` | the other registrars: state, elements, checksums, when last heard |
//! | `/v1/pools?after=PLACE&limit=N` | pools; `next` is the place to go on from |
//! | `/v1/pools/HANDLE?after=PLACE&limit=N` | a pool and its elements; the handle percent-encoded |
//! | `/metrics` | OpenMetrics |
//!
//! Threads of its own serve it, few and bounded, and ask the shards for small
//! parts at a time: it cannot hold up a shard.

mod answer;
mod exposition;
mod page;
mod peers;
mod request;
mod view;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use answer::Answer;
use request::Request;
pub(crate) use view::View;

/// Clients served at the same time.
const CLIENTS_MAX: usize = 16;
/// How long a client may take to ask, or to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client has to take it that there is no place for it: nobody else
/// is accepted meanwhile.
const BUSY_PATIENCE: Duration = Duration::from_millis(20);
/// How long a client may take to close after its answer.
const LINGER: Duration = Duration::from_secs(1);
/// After an error that would otherwise come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// The admin server of one registrar. Ends when dropped.
pub(crate) struct Admin {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Starts to serve on this listener.
    pub(crate) fn start(listener: TcpListener, view: View) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = thread::Builder::new()
            .name("rserpool-admin".to_owned())
            .spawn(move || accept(&listener, &Arc::new(view), &seen))?;
        Ok(Self { address, over, thread: Some(thread) })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Ends the accept that waits.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => core::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let woken = TcpStream::connect_timeout(&address, PATIENCE).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
        {
            // It does nothing that panics, and there is nobody to tell.
            drop(thread.join());
        }
    }
}

fn accept(listener: &TcpListener, view: &Arc<View>, over: &AtomicBool) {
    let clients = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = listener.accept();
        if over.load(Ordering::Acquire) {
            return;
        }
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("admin: cannot accept a client: {error}");
                thread::sleep(ERROR_PAUSE);
                continue;
            }
        };
        if clients.load(Ordering::Acquire) >= CLIENTS_MAX {
            let _unheard = give(&stream, &Answer::busy(), BUSY_PATIENCE);
            continue;
        }
        let seat = Seat::take(&clients);
        let view = Arc::clone(view);
        let serving = thread::Builder::new().name("rserpool-admin".to_owned()).spawn(move || {
            let _seat = seat;
            // Whoever hangs up early gets no answer.
            let _unheard = serve(&stream, &view);
        });
        if let Err(error) = serving {
            log::warn!("admin: cannot serve a client: {error}");
        }
    }
}

/// A client's place among those that are served.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(clients: &Arc<AtomicUsize>) -> Self {
        clients.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(clients))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One request, one answer.
fn serve(stream: &TcpStream, view: &View) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let answer = match Request::read(stream) {
        Ok(request) => answer::to(&request, view),
        Err(refused) => refused,
    };
    give(stream, &answer, PATIENCE)
}

/// Gives an answer within this time, however slowly the client takes it.
fn give(mut stream: &TcpStream, answer: &Answer, patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    let bytes = answer.to_bytes();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        let written = stream.write(rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    stream.shutdown(Shutdown::Write)?;
    // Until the client closes too: a reset could take the answer from it.
    let until = Instant::now() + LINGER.min(patience);
    let mut unwanted = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        if stream.read(&mut unwanted)? == 0 {
            return Ok(());
        }
    }
}

/// The time that is left.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
