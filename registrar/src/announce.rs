//! Announces by UDP multicast (RFC 5352, 3.6), by which pool elements and pool
//! users find this registrar: one thread, since a datagram a second and an
//! interface is all there is to do.
//!
//! A datagram lists where ASAP is taken, TCP before SCTP, and leaves from the
//! SCTP port: rsplib's pool elements stop reading at the first SCTP transport,
//! and go by the port a datagram came from where they find none.

mod group;
mod plan;
mod socket;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rserpool_codec::asap::Message;
use rserpool_codec::{LengthForm, Transports};
use rserpool_engine::Timestamp;
use rserpool_proto::discovery::{Directory, Schedule};

pub use self::group::{Announce, AnnounceError};
pub(crate) use self::plan::{AnnouncePlan, interface_exists};
pub(crate) use self::plan::{Interface, interfaces};
pub(crate) use self::socket::{Listener, Speaker};

/// Announces of others that are read between two of our own.
const DATAGRAMS_MAX: usize = 256;

/// The thread that announces; ends when dropped.
#[derive(Debug)]
pub(crate) struct Announcer {
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Announcer {
    pub(crate) fn start(plan: AnnouncePlan) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("rserpool-announce".to_owned())
            .spawn(move || Work::new(plan).run(&stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        // It has ended already if nobody hears it.
        let _unheard = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            // It does nothing that panics, and there is nobody to tell.
            drop(thread.join());
        }
    }
}

struct Work {
    plan: AnnouncePlan,
    speakers: Vec<Speaker>,
    listeners: Vec<Listener>,
    others: Directory,
    /// What could not be announced the last time, so that it is logged once.
    failing: BTreeSet<(SocketAddr, String)>,
    epoch: Instant,
}

impl Work {
    fn new(plan: AnnouncePlan) -> Self {
        let mut speakers = Vec::new();
        for &group in &plan.groups {
            match Speaker::open(group, plan.source_port()) {
                Ok(speaker) => speakers.push(speaker),
                Err(error) => log::warn!("no announces to {group}: {error}"),
            }
        }
        // How many others there are counts only where they share the time.
        let mut listeners = Vec::new();
        if plan.schedule == Schedule::Shared {
            for &group in &plan.groups {
                match Listener::open(group) {
                    Ok(listener) => listeners.push(listener),
                    Err(error) => log::warn!("other registrars are not heard on {group}: {error}"),
                }
            }
        }
        let (others, failing) = (Directory::new(), BTreeSet::new());
        Self { plan, speakers, listeners, others, failing, epoch: Instant::now() }
    }

    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        loop {
            match self.plan.interfaces() {
                Ok(interfaces) => {
                    self.listen(&interfaces);
                    self.announce(&interfaces);
                }
                Err(error) => log::warn!("no announce: the interfaces cannot be read: {error}"),
            }
            let now = self.now();
            // Without randomness registrars keep the order they happen to have.
            let random = getrandom::u32().unwrap_or(u32::MAX / 2);
            let next = self.plan.schedule.next(now, self.others.len(), random);
            let wait: Duration = next.since(now);
            if !matches!(stopped.recv_timeout(wait), Err(mpsc::RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    fn now(&self) -> Timestamp {
        let micros = u64::try_from(self.epoch.elapsed().as_micros());
        Timestamp::from_micros(micros.unwrap_or(u64::MAX))
    }

    /// Takes what others announced since the last time.
    fn listen(&mut self, interfaces: &[Interface]) {
        let now = self.now();
        for listener in &mut self.listeners {
            listener.join(interfaces);
            for _ in 0..DATAGRAMS_MAX {
                let Some((from, datagram)) = listener.receive() else { break };
                self.others.receive(now, from, datagram);
            }
        }
        self.others.handle_timeout(now);
        self.others.forget(self.plan.id);
    }

    fn announce(&mut self, interfaces: &[Interface]) {
        let places = self.plan.places(interfaces);
        let transports: Vec<_> = places.iter().map(plan::Place::transport).collect();
        if transports.is_empty() {
            return;
        }
        let announce = Message::ServerAnnounce {
            registrar: self.plan.id,
            transports: Transports::list(&transports),
        };
        let mut datagram = Vec::new();
        if announce.emit(&mut datagram, LengthForm::Padded).is_err() {
            return;
        }
        for speaker in &self.speakers {
            for interface in interfaces {
                let Some(result) = speaker.send(interface, &datagram) else { continue };
                let key = (speaker.group, interface.name.clone());
                match result {
                    Ok(()) => {
                        self.failing.remove(&key);
                    }
                    Err(error) => {
                        let (group, name) = (speaker.group, &interface.name);
                        if self.failing.insert(key) {
                            log::warn!("no announce to {group} on {name}: {error}");
                        }
                    }
                }
            }
        }
    }
}
