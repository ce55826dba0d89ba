//! User-space links over real UDP sockets, driven by one thread.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rserpool_sctp::endpoint::Config;
use rserpool_sctp::udp::{Bind, UdpLink, bind};
use rserpool_sctp::{AssocId, DownReason, Event, Link, Message, Up};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) const PPID: u32 = 11;

/// Several links driven by one thread, with all they told.
pub(crate) struct Links {
    pub(crate) links: Vec<UdpLink>,
    pub(crate) events: Vec<Vec<Event>>,
    opened: u8,
}

impl Links {
    pub(crate) fn new() -> Self {
        Self { links: Vec::new(), events: Vec::new(), opened: 0 }
    }

    /// Adds a link for each shard; the number of the first.
    pub(crate) fn open(&mut self, config: &Bind, endpoint: &Config) -> usize {
        let first = self.links.len();
        for sockets in bind(config).unwrap() {
            self.opened += 1;
            let seed = [self.opened; 32];
            let link = UdpLink::new(sockets, endpoint.clone(), Instant::now(), seed).unwrap();
            self.links.push(link);
            self.events.push(Vec::new());
        }
        first
    }

    pub(crate) fn udp(&self, link: usize) -> SocketAddr {
        self.links[link].local_addresses()[0]
    }

    /// Waits and works until `done`; panics after 20 seconds.
    pub(crate) fn run(&mut self, done: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !done(self) {
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", self.events);
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = Instant::now();
        let soon = now + Duration::from_millis(100);
        let due = self.links.iter().filter_map(Link::timeout).chain([soon]).min().unwrap();
        let wait = Timespec::try_from(due.saturating_duration_since(now)).unwrap();
        let mut fds: Vec<PollFd<'_>> = self
            .links
            .iter()
            .map(|link| PollFd::from_borrowed_fd(link.fd(), PollFlags::IN))
            .collect();
        poll(&mut fds, Some(&wait)).unwrap();
        for (link, events) in self.links.iter_mut().zip(&mut self.events) {
            link.poll(Instant::now(), events).unwrap();
        }
    }

    pub(crate) fn connect(
        &mut self,
        link: usize,
        to: SocketAddr,
        port: u16,
        local: Option<u16>,
    ) -> AssocId {
        self.links[link].connect_udp(Instant::now(), &[to], port, local).unwrap()
    }

    pub(crate) fn send(&mut self, link: usize, id: AssocId, data: &[u8]) {
        let now = Instant::now();
        self.links[link].send(now, id, 0, PPID, data).unwrap();
        self.links[link].flush(now).unwrap();
    }

    pub(crate) fn ups(&self, link: usize) -> Vec<Up> {
        let up = |event: &Event| if let Event::Up(up) = event { Some(*up) } else { None };
        self.events[link].iter().filter_map(up).collect()
    }

    pub(crate) fn messages(&self, link: usize) -> Vec<&Message> {
        let messages = self.events[link].iter();
        messages
            .filter_map(|event| if let Event::Message(it) = event { Some(it) } else { None })
            .collect()
    }

    pub(crate) fn downs(&self, link: usize) -> Vec<DownReason> {
        let down = |event: &Event| {
            if let Event::Down { reason, .. } = event { Some(*reason) } else { None }
        };
        self.events[link].iter().filter_map(down).collect()
    }
}

/// One loopback address, and any free port.
pub(crate) fn on(address: &str, shards: u32) -> Bind {
    Bind { addresses: vec![address.parse().unwrap()], port: 0, shards, ..Bind::default() }
}
