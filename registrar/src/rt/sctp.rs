//! The SCTP associations of a shard on its executor: one task that works, and
//! one that waits for packets.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use glommio::timer::{self, Timer};
use rserpool_sctp::Progress;

use super::bell::Bell;
use super::host::Host;
use super::readable::Readable;
use crate::carrier::Carrier;

/// The shortest wait for a deadline of an association.
const STEP: Duration = Duration::from_millis(1);
/// After an error that would otherwise come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// What the tasks of one link share with their host.
pub(super) struct Sctp {
    pub(super) carrier: RefCell<Carrier>,
    /// There is something to do: packets, or submissions of other tasks.
    pub(super) bell: Bell,
    /// Everything is read: wait for more.
    idle: Bell,
    /// Somebody waits for packets.
    watched: Cell<bool>,
    /// Its task is at work, and looks at everything before it waits.
    pub(super) working: Cell<bool>,
    /// Ends the wait.
    event: OwnedFd,
}

impl Sctp {
    pub(super) fn new(carrier: Carrier) -> io::Result<(Self, Readable)> {
        let readable = Readable::new(carrier.fd())?;
        let sctp = Self {
            bell: Bell::default(),
            idle: Bell::default(),
            watched: Cell::new(false),
            working: Cell::new(false),
            event: readable.event()?,
            carrier: RefCell::new(carrier),
        };
        Ok((sctp, readable))
    }

    /// Lets both tasks see that the host is over.
    pub(super) fn wake(&self) {
        self.bell.ring();
        self.idle.ring();
        #[expect(clippy::host_endian_bytes, reason = "eventfd(2) counts in host order")]
        let one = 1_u64.to_ne_bytes();
        if let Err(error) = rustix::io::write(&self.event, &one) {
            log::error!("cannot end the wait for packets: {error}");
        }
    }
}

/// Works until the host is over: reads packets, gives the shard its turns,
/// sends.
pub(super) async fn work(host: Rc<Host>, sctp: Rc<Sctp>) {
    while !host.over.get() {
        sctp.working.set(true);
        let progress = poll(&host, &sctp).await;
        while sctp.carrier.borrow().has_news() {
            // A panic is logged; what was to be told is lost with it.
            let _logged = host.turn_carrier(&sctp);
            host.pace.breathe().await;
        }
        // An error comes again with the next poll, which logs it.
        let _seen = sctp.carrier.borrow_mut().flush(Instant::now());
        sctp.working.set(false);
        let stirred = sctp.carrier.borrow_mut().take_stirred();
        if progress == Progress::More || stirred {
            host.pace.breathe().await;
        } else {
            wait(&sctp).await;
        }
    }
}

async fn poll(host: &Host, sctp: &Sctp) -> Progress {
    match host.guarded(|| sctp.carrier.borrow_mut().poll(Instant::now())) {
        Ok(Ok(progress)) => return progress,
        Ok(Err(error)) => log::error!("shard {}: SCTP: {error}", host.number.0),
        // Logged.
        Err(_) => {}
    }
    timer::sleep(ERROR_PAUSE).await;
    Progress::More
}

/// Waits for packets, a deadline, or other tasks.
async fn wait(sctp: &Sctp) {
    if !sctp.watched.replace(true) {
        sctp.idle.ring();
    }
    let due = sctp.carrier.borrow().timeout();
    let left = due.map(|due| due.saturating_duration_since(Instant::now()).max(STEP));
    let mut timer = left.map(Timer::new);
    poll_fn(|cx| {
        if sctp.bell.poll_rung(cx).is_ready() {
            return Poll::Ready(());
        }
        match &mut timer {
            Some(timer) => Pin::new(timer).poll(cx).map(drop),
            None => Poll::Pending,
        }
    })
    .await;
}

/// Waits for packets, again and again, until the host is over.
pub(super) async fn watch(host: Rc<Host>, sctp: Rc<Sctp>, mut readable: Readable) {
    loop {
        sctp.idle.rung().await;
        if host.over.get() {
            break;
        }
        if let Err(error) = readable.wait().await {
            log::error!("shard {}: waiting for packets: {error}", host.number.0);
            timer::sleep(ERROR_PAUSE).await;
        }
        sctp.watched.set(false);
        sctp.bell.ring();
    }
    if let Err(error) = readable.close().await {
        log::warn!("shard {}: closing an event: {error}", host.number.0);
    }
}
