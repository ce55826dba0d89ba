//! One connection: one task that reads, writes and closes.
//!
//! A read copies from the kernel into the scratch buffer of the shard, the
//! shard takes the messages from there, and the answers of one turn leave in
//! one write. A connection that waits has no buffer.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::timer::Timer;

use super::host::{Host, Panicked};
use super::pace::{Place, Waiter};
use crate::turn::{CloseReason, Completion, LinkId};

/// How long a closed connection reads on, so that the peer gets the last
/// answer and not a reset.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// The same when the registrar stops.
pub(super) const LINGER_STOP: Duration = Duration::from_millis(100);
/// It reads at most this much meanwhile.
pub(super) const LINGER_BYTES: usize = 1 << 20;

/// What the host knows of a connection; the stream belongs to its task.
#[derive(Debug)]
pub(super) struct Connection {
    id: LinkId,
    /// Of its task, while that waits.
    waker: RefCell<Option<Waker>>,
    outgoing: RefCell<Option<Outgoing>>,
    paused: Cell<bool>,
    place: Cell<Place>,
    closing: Cell<Option<CloseReason>>,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

/// How serving ended.
enum End {
    /// The shard wants it closed.
    Closed(CloseReason),
    /// The connection broke.
    Broken,
}

impl Connection {
    pub(super) const fn new(id: LinkId) -> Self {
        Self {
            id,
            waker: RefCell::new(None),
            outgoing: RefCell::new(None),
            paused: Cell::new(false),
            place: Cell::new(Place::Anywhere),
            closing: Cell::new(None),
        }
    }

    pub(super) const fn id(&self) -> LinkId {
        self.id
    }

    pub(super) fn write(&self, bytes: Vec<u8>) {
        self.outgoing.replace(Some(Outgoing { bytes, written: 0 }));
        Waiter::wake(self);
    }

    pub(super) fn pause(&self) {
        self.paused.set(true);
    }

    pub(super) fn resume(&self) {
        self.paused.set(false);
        Waiter::wake(self);
    }

    pub(super) fn close(&self, reason: CloseReason) {
        self.closing.set(Some(reason));
        Waiter::wake(self);
    }
}

impl Waiter for Connection {
    fn place(&self) -> &Cell<Place> {
        &self.place
    }

    fn wake(&self) {
        // None while its task runs: that looks at everything before it waits.
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Serves a connection until it is closed. A panic ends this connection only.
pub(super) async fn serve(host: Rc<Host>, connection: Rc<Connection>, mut stream: TcpStream) {
    let end = poll_fn(|cx| {
        let poll = host.guarded(|| poll_serve(&host, &connection, &mut stream, cx));
        poll.unwrap_or(Poll::Ready(End::Broken))
    })
    .await;
    match end {
        End::Broken => {
            // If this panics as well, it is logged; the connection is over.
            let _logged = host.turn([Completion::Failed(connection.id)]);
        }
        End::Closed(reason) if reason.lingers() => linger(&host, &mut stream, reason).await,
        End::Closed(_) => {}
    }
    drop(stream);
    host.served(connection.id);
}

fn poll_serve(
    host: &Host,
    connection: &Rc<Connection>,
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
) -> Poll<End> {
    connection.waker.take();
    host.pace.begin();
    loop {
        if let Some(reason) = connection.closing.get() {
            return Poll::Ready(End::Closed(reason));
        }
        let flow = match poll_write(host, connection, stream, cx) {
            Flow::Wait => poll_read(host, connection, stream, cx),
            moved @ (Flow::Progress | Flow::Broken) => moved,
        };
        match flow {
            Flow::Progress => {}
            Flow::Broken => return Poll::Ready(End::Broken),
            Flow::Wait => break,
        }
    }
    connection.waker.replace(Some(cx.waker().clone()));
    Poll::Pending
}

enum Flow {
    Progress,
    Wait,
    Broken,
}

impl From<Result<(), Panicked>> for Flow {
    fn from(result: Result<(), Panicked>) -> Self {
        match result {
            Ok(()) => Self::Progress,
            Err(Panicked) => Self::Broken,
        }
    }
}

fn poll_write(
    host: &Host,
    connection: &Connection,
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
) -> Flow {
    let mut slot = connection.outgoing.borrow_mut();
    let Some(outgoing) = slot.as_mut() else { return Flow::Wait };
    while let Some(rest) = outgoing.bytes.get(outgoing.written..).filter(|rest| !rest.is_empty()) {
        match Pin::new(&mut *stream).poll_write(cx, rest) {
            Poll::Ready(Ok(0)) => return Flow::Broken,
            Poll::Ready(Ok(written)) => outgoing.written += written,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(_)) => return Flow::Broken,
            Poll::Pending => return Flow::Wait,
        }
    }
    let buffer = slot.take().map(|outgoing| outgoing.bytes).unwrap_or_default();
    drop(slot);
    host.turn([Completion::Sent(connection.id, buffer)]).into()
}

fn poll_read(
    host: &Host,
    connection: &Rc<Connection>,
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
) -> Flow {
    if connection.paused.get() || !host.pace.admits(connection) {
        return Flow::Wait;
    }
    let mut scratch = host.scratch.borrow_mut();
    let flow = match Pin::new(stream).poll_read(cx, &mut scratch) {
        Poll::Ready(Ok(0)) => host.turn([Completion::Ended(connection.id)]).into(),
        Poll::Ready(Ok(length)) => {
            let bytes = scratch.get(..length).unwrap_or_default();
            host.turn([Completion::Received(connection.id, bytes)]).into()
        }
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Flow::Progress,
        Poll::Ready(Err(_)) => Flow::Broken,
        Poll::Pending => Flow::Wait,
    };
    drop(scratch);
    host.pace.done();
    flow
}

/// Sends FIN and reads what is under way until the peer closes too.
async fn linger(host: &Host, stream: &mut TcpStream, reason: CloseReason) {
    if stream.shutdown(Shutdown::Write).await.is_err() {
        return;
    }
    let longest = if reason == CloseReason::Stop { LINGER_STOP } else { LINGER };
    let mut timer = Timer::new(longest);
    let mut left = LINGER_BYTES;
    poll_fn(|cx| {
        if Pin::new(&mut timer).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = host.scratch.borrow_mut();
        while left > 0 {
            match Pin::new(&mut *stream).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(length)) if length > 0 => left = left.saturating_sub(length),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
}
