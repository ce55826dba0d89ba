//! Pool elements and pool users over SCTP over UDP, many of them in one
//! process, driven by the test's thread.
#![allow(dead_code, reason = "no test file uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rserpool_registrar::{ASAP_PORT, AsapAddress, Options, Running, start};
use rserpool_sctp::endpoint::Config;
use rserpool_sctp::udp::{Bind, UdpLink, bind};
use rserpool_sctp::{AssocId, DownReason, Event, Link, Progress, SendError, Tuning};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::peer;

pub(crate) const ASAP: u32 = 11;
pub(crate) const ENRP: u32 = 12;

/// Options for a registrar of SCTP over UDP on a port that the system chooses.
pub(crate) fn options(shards: u16, ip: &str) -> Options {
    let address = SocketAddr::new(ip.parse().unwrap(), 0);
    Options { asap: vec![AsapAddress::SctpUdp(address)], ..peer::options(shards) }
}

/// A registration with a life of 90 s, in the milliseconds that a registrar
/// expects over SCTP by default.
pub(crate) fn registration(handle: &[u8], pe: u32) -> Vec<u8> {
    peer::registration_with_life(handle, pe, 90_000)
}

pub(crate) fn registrar(shards: u16) -> Running {
    start(&options(shards, "127.0.0.1")).unwrap()
}

/// One host's associations.
pub(crate) struct Host {
    link: UdpLink,
    events: Vec<Event>,
    up: HashMap<u64, AssocId>,
    messages: HashMap<u64, VecDeque<Vec<u8>>>,
    downs: HashMap<u64, DownReason>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::at("127.0.0.1", 0, Tuning::default())
    }

    pub(crate) fn at(ip: &str, port: u16, tuning: Tuning) -> Self {
        let addresses: Vec<IpAddr> = vec![ip.parse().unwrap()];
        let sockets = bind(&Bind { addresses, port, ..Bind::default() }).unwrap().remove(0);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let config = Config { tuning, ..Config::default() };
        let link = UdpLink::new(sockets, config, Instant::now(), seed).unwrap();
        let (up, messages, downs) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { link, events: Vec::new(), up, messages, downs }
    }

    pub(crate) fn udp_port(&self) -> u16 {
        self.link.local_addresses()[0].port()
    }

    /// Begins an association with a registrar.
    pub(crate) fn begin(&mut self, running: &Running, local_port: Option<u16>) -> AssocId {
        let to = running.asap_sctp_udp()[0];
        self.link.connect_udp(Instant::now(), &[to], ASAP_PORT, local_port).unwrap()
    }

    pub(crate) fn connect(&mut self, running: &Running) -> AssocId {
        let id = self.begin(running, None);
        self.run("an association", |host| host.is_up(id));
        id
    }

    pub(crate) fn begin_to(&mut self, to: SocketAddr) -> AssocId {
        self.link.connect_udp(Instant::now(), &[to], ASAP_PORT, None).unwrap()
    }

    pub(crate) fn connect_to(&mut self, to: SocketAddr) -> AssocId {
        let id = self.begin_to(to);
        self.run("an association", |host| host.is_up(id));
        id
    }

    /// Sends, unless too much is unacknowledged.
    pub(crate) fn try_send(&mut self, id: AssocId, bytes: &[u8]) -> bool {
        let now = Instant::now();
        match self.link.send(now, id, 0, ASAP, bytes) {
            Ok(()) => {
                self.link.flush(now).unwrap();
                true
            }
            Err(error) => {
                assert_eq!(error, SendError::Full);
                false
            }
        }
    }

    pub(crate) fn is_up(&self, id: AssocId) -> bool {
        self.up.contains_key(&id.to_bits())
    }

    pub(crate) fn ups(&self) -> usize {
        self.up.len()
    }

    /// Waits and works until `done`.
    pub(crate) fn run(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + peer::PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "no {what} within {:?}", peer::PATIENCE);
            self.work(Duration::from_millis(100));
        }
    }

    /// Works, and waits for at most so long for something to do.
    pub(crate) fn work(&mut self, longest: Duration) {
        let now = Instant::now();
        let due = self.link.timeout().unwrap_or(now + longest).min(now + longest);
        let wait = Timespec::try_from(due.saturating_duration_since(now)).unwrap();
        poll(&mut [PollFd::from_borrowed_fd(self.link.fd(), PollFlags::IN)], Some(&wait)).unwrap();
        while self.link.poll(Instant::now(), &mut self.events).unwrap() == Progress::More {}
        for event in self.events.drain(..) {
            match event {
                Event::Up(up) => {
                    self.up.insert(up.id.to_bits(), up.id);
                }
                Event::Message(message) => {
                    assert_eq!((message.ppid, message.stream), (ASAP, 0));
                    self.messages.entry(message.id.to_bits()).or_default().push_back(message.data);
                }
                Event::Down { id, reason } => {
                    self.up.remove(&id.to_bits());
                    self.downs.insert(id.to_bits(), reason);
                }
                Event::Restarted { .. } | Event::Writable { .. } => {}
            }
        }
    }

    pub(crate) fn send(&mut self, id: AssocId, bytes: &[u8]) {
        self.send_as(id, ASAP, bytes);
    }

    pub(crate) fn send_as(&mut self, id: AssocId, ppid: u32, bytes: &[u8]) {
        let now = Instant::now();
        self.link.send(now, id, 0, ppid, bytes).unwrap();
        self.link.flush(now).unwrap();
    }

    /// The next message of an association.
    pub(crate) fn message(&mut self, id: AssocId) -> Vec<u8> {
        let bits = id.to_bits();
        let has = |host: &Self| host.messages.get(&bits).is_some_and(|queue| !queue.is_empty());
        self.run("message", has);
        self.messages.get_mut(&bits).unwrap().pop_front().unwrap()
    }

    pub(crate) fn ask(&mut self, id: AssocId, bytes: &[u8]) -> Vec<u8> {
        self.send(id, bytes);
        self.message(id)
    }

    /// Messages that came and nobody took.
    pub(crate) fn unread(&self, id: AssocId) -> usize {
        self.messages.get(&id.to_bits()).map_or(0, VecDeque::len)
    }

    /// Waits for the end of an association.
    pub(crate) fn down(&mut self, id: AssocId) -> DownReason {
        let bits = id.to_bits();
        self.run("end of the association", |host| host.downs.contains_key(&bits));
        self.downs[&bits]
    }

    pub(crate) fn shutdown(&mut self, id: AssocId) {
        self.link.shutdown(Instant::now(), id);
        self.link.flush(Instant::now()).unwrap();
    }

    pub(crate) fn abort(&mut self, id: AssocId) {
        self.link.abort(Instant::now(), id);
        self.link.flush(Instant::now()).unwrap();
    }
}
