//! The thread that carries the associations with other registrars.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rserpool_engine::TransportKind;
use rserpool_proto::enrp::{LinkId, Target};
use rserpool_proto::registrar::Peer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::multicast::Multicast;
use super::plan::GroupPlan;
use super::port::{Command, Event, Port};
use super::sctp::{Associations, Happened};
use super::tcp::{Connection, Outcome};
use crate::rt::{Control, Inbox};

/// The longest wait: a look at what nothing tells of.
const PATIENCE: Duration = Duration::from_secs(1);
/// Connections accepted at once.
const ACCEPTS: usize = 16;
/// Connections at once, beside what the protocol allows: some are about to be
/// refused.
const CONNECTIONS_MAX: usize = 512;
const SCRATCH_BYTES: usize = 64 << 10;

/// The thread; ends when dropped.
#[derive(Debug)]
pub(crate) struct GroupThread {
    port: Arc<Port>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GroupThread {
    /// Starts it. `inbox` is that of the shard the group lives on.
    pub(crate) fn start(plan: GroupPlan, port: Arc<Port>, inbox: Arc<Inbox>) -> io::Result<Self> {
        for listener in &plan.listeners {
            listener.set_nonblocking(true)?;
        }
        let over = Arc::new(AtomicBool::new(false));
        let (ends, tells) = (Arc::clone(&over), Arc::clone(&port));
        let thread = thread::Builder::new()
            .name("rserpool-enrp".to_owned())
            .spawn(move || Work::new(plan, tells, inbox).run(&ends))?;
        Ok(Self { port, over, thread: Some(thread) })
    }
}

impl Drop for GroupThread {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.port.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread of the registrar group panicked");
        }
    }
}

struct Work {
    listeners: Vec<TcpListener>,
    connections: Vec<Connection>,
    associations: Vec<Associations>,
    multicast: Option<Multicast>,
    numbers: u64,
    scratch: Box<[u8]>,
    port: Arc<Port>,
    inbox: Arc<Inbox>,
    /// An endpoint has more to do without any packet.
    more: bool,
}

/// What a descriptor of a wait belongs to.
#[derive(Clone, Copy)]
enum Source {
    Port,
    Listener(usize),
    Connection(u64),
    Multicast,
    /// Endpoints are all looked at.
    Endpoint,
}

impl Work {
    fn new(plan: GroupPlan, port: Arc<Port>, inbox: Arc<Inbox>) -> Self {
        let sctp_port = plan.sctp_port.unwrap_or(0);
        let mut associations = Vec::new();
        for endpoint in plan.endpoints {
            match endpoint.open(Instant::now()) {
                Ok((link, _)) => associations.push(Associations::new(link, sctp_port)),
                Err(error) => log::error!("ENRP over SCTP: {error}"),
            }
        }
        Self {
            listeners: plan.listeners,
            connections: Vec::new(),
            associations,
            multicast: plan.multicast.and_then(|group| Multicast::open(group, plan.interfaces)),
            numbers: 0,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            port,
            inbox,
            more: false,
        }
    }

    fn run(mut self, over: &AtomicBool) {
        while !over.load(Ordering::Acquire) {
            if let Err(error) = self.cycle() {
                log::error!("the registrar group: waiting: {error}");
                thread::sleep(PATIENCE);
            }
        }
        for endpoint in &mut self.associations {
            endpoint.close_all();
        }
    }

    fn tell(&self, event: Event) {
        self.inbox.tell(Control::Group(event));
    }

    fn cycle(&mut self) -> io::Result<()> {
        let ready = self.wait()?;
        for command in self.port.told() {
            self.carry_out(command);
        }
        for (source, flags) in ready {
            match source {
                Source::Port | Source::Endpoint => {}
                Source::Multicast => self.hear_multicast(),
                Source::Listener(number) => self.accept(number),
                Source::Connection(number) => self.serve(number, flags),
            }
        }
        self.work_endpoints()?;
        let now = Instant::now();
        let late: Vec<_> = self
            .connections
            .iter()
            .filter(|connection| connection.deadline().is_some_and(|until| until <= now))
            .map(|connection| connection.number)
            .collect();
        for number in late {
            self.check_connecting(number, false);
        }
        Ok(())
    }

    /// Lets the endpoints work, and tells the shard what happened on them.
    fn work_endpoints(&mut self) -> io::Result<()> {
        self.more = false;
        for at in 0..self.associations.len() {
            let Some(endpoint) = self.associations.get_mut(at) else { break };
            self.more |= endpoint.poll(&mut self.numbers)?;
            for happened in core::mem::take(&mut endpoint.happened) {
                self.tell(match happened {
                    Happened::Accepted(number, address) => {
                        Event::Accepted(number, Peer { address, transport: TransportKind::Sctp })
                    }
                    Happened::Connected(link) => Event::Connected(link),
                    Happened::Received(link, messages) => Event::Received(link, messages),
                    Happened::Sent(link) => Event::Sent(link),
                    Happened::Closed(link) => Event::Closed(link),
                });
            }
        }
        Ok(())
    }

    fn hear_multicast(&mut self) {
        let inbox = Arc::clone(&self.inbox);
        if let Some(multicast) = &mut self.multicast {
            multicast.receive(|from, datagram| {
                inbox.tell(Control::Group(Event::Datagram(from, datagram)));
            });
        }
    }

    /// Waits until something can be done; says what.
    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let mut sources = vec![Source::Port];
        let port = self.port.descriptor();
        let mut fds = vec![PollFd::from_borrowed_fd(port, PollFlags::IN)];
        if self.connections.len() < CONNECTIONS_MAX {
            for (number, listener) in self.listeners.iter().enumerate() {
                sources.push(Source::Listener(number));
                fds.push(PollFd::new(listener, PollFlags::IN));
            }
        }
        if let Some(multicast) = &self.multicast {
            sources.push(Source::Multicast);
            fds.push(PollFd::from_borrowed_fd(multicast.fd(), PollFlags::IN));
        }
        for endpoint in &self.associations {
            sources.push(Source::Endpoint);
            fds.push(PollFd::from_borrowed_fd(endpoint.fd(), PollFlags::IN));
        }
        let now = Instant::now();
        for connection in &self.connections {
            let mut flags = PollFlags::empty();
            if connection.wants_read() {
                flags |= PollFlags::IN;
            }
            if connection.wants_write(now) {
                flags |= PollFlags::OUT;
            }
            // Without a flag, the end of a connection is told nevertheless, and
            // would be again and again.
            if !flags.is_empty() {
                sources.push(Source::Connection(connection.number));
                fds.push(PollFd::from_borrowed_fd(connection.stream.as_fd(), flags));
            }
        }
        let connections = self.connections.iter().filter_map(Connection::deadline);
        let endpoints = self.associations.iter().filter_map(Associations::timeout);
        let deadlines = connections.chain(endpoints).chain(self.more.then_some(now));
        let left = deadlines.map(|until| until.saturating_duration_since(now)).min();
        let step = if self.more { Duration::ZERO } else { Duration::from_millis(1) };
        let left = left.unwrap_or(PATIENCE).min(PATIENCE) + step;
        // Exactly: a rest is shorter than the step.
        let rests = self.connections.iter().filter_map(Connection::rests).min();
        let left = rests.map_or(left, |until| left.min(until.saturating_duration_since(now)));
        let timeout = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(1),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready = sources.into_iter().zip(fds.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Connect(link, target) => self.connect(link, &target),
            Command::Send(link, messages) => {
                let Some(at) = self.position(link) else {
                    let mut all = self.associations.iter_mut();
                    all.any(|endpoint| endpoint.send(link, &messages));
                    return;
                };
                if let Some(connection) = self.connections.get_mut(at) {
                    connection.send(messages);
                    let number = connection.number;
                    self.write(number);
                }
            }
            Command::Close(link) => {
                if let Some(at) = self.position(link) {
                    self.connections.swap_remove(at);
                } else {
                    self.associations.iter_mut().any(|endpoint| endpoint.close(link));
                }
            }
            Command::Admit(number, link) => self.admit(number, link),
            Command::Taken(link) => {
                let Some(at) = self.position(link) else {
                    self.associations.iter_mut().any(|endpoint| endpoint.taken(link));
                    return;
                };
                if let Some(connection) = self.connections.get_mut(at) {
                    connection.busy = false;
                    let number = connection.number;
                    let cut = connection.cut();
                    self.hand_over(number, cut);
                }
            }
            Command::Multicast(presence) => {
                if let Some(multicast) = &mut self.multicast {
                    multicast.send(&presence);
                }
            }
        }
    }

    fn position(&self, link: LinkId) -> Option<usize> {
        self.connections.iter().position(|connection| connection.link == Some(link))
    }

    fn at(&self, number: u64) -> Option<usize> {
        self.connections.iter().position(|connection| connection.number == number)
    }

    fn connect(&mut self, link: LinkId, target: &Target) {
        self.numbers += 1;
        let opened = match target.transport {
            TransportKind::Tcp => Connection::open(self.numbers, link, &target.addresses),
            TransportKind::Sctp => {
                let number = self.numbers;
                let mut all = self.associations.iter_mut();
                if all.any(|endpoint| endpoint.connect(number, link, &target.addresses)) {
                    return;
                }
                None
            }
            TransportKind::Dccp
            | TransportKind::Udp
            | TransportKind::UdpLite
            | TransportKind::Opaque => None,
        };
        match opened {
            Some(connection) => self.connections.push(connection),
            None => self.tell(Event::Closed(link)),
        }
    }

    fn accept(&mut self, number: usize) {
        for _ in 0..ACCEPTS {
            let Some(listener) = self.listeners.get(number) else { return };
            let Ok((stream, from)) = listener.accept() else { return };
            self.numbers += 1;
            if let Ok(connection) = Connection::accepted(self.numbers, stream) {
                self.connections.push(connection);
                let address = SocketAddr::new(from.ip().to_canonical(), from.port());
                let peer = Peer { address, transport: TransportKind::Tcp };
                self.tell(Event::Accepted(self.numbers, peer));
            }
        }
    }

    fn admit(&mut self, number: u64, link: Option<LinkId>) {
        if self.associations.iter_mut().any(|endpoint| endpoint.admit(number, link)) {
            return;
        }
        let Some(at) = self.at(number) else {
            // It is over already.
            if let Some(link) = link {
                self.tell(Event::Closed(link));
            }
            return;
        };
        match link {
            Some(link) => {
                if let Some(connection) = self.connections.get_mut(at) {
                    connection.link = Some(link);
                }
            }
            None => {
                self.connections.swap_remove(at);
            }
        }
    }

    fn serve(&mut self, number: u64, flags: PollFlags) {
        let Some(connection) = self.at(number).and_then(|at| self.connections.get(at)) else {
            return;
        };
        if connection.deadline().is_some() {
            self.check_connecting(number, true);
            return;
        }
        if flags.contains(PollFlags::OUT) {
            self.write(number);
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.read(number);
        }
    }

    fn check_connecting(&mut self, number: u64, writable: bool) {
        let Some(at) = self.at(number) else { return };
        let Some(connection) = self.connections.get_mut(at) else { return };
        let outcome = connection.check_connecting(writable);
        match (outcome, connection.link) {
            (Outcome::Connected, Some(link)) => self.tell(Event::Connected(link)),
            (Outcome::Over, _) => self.end(number),
            (Outcome::Same | Outcome::Connected, _) => {}
        }
    }

    fn write(&mut self, number: u64) {
        let Some(at) = self.at(number) else { return };
        let Some(connection) = self.connections.get_mut(at) else { return };
        match (connection.write(), connection.link) {
            (Ok(true), Some(link)) => self.tell(Event::Sent(link)),
            (Ok(_), _) => {}
            (Err(_), _) => self.end(number),
        }
    }

    fn read(&mut self, number: u64) {
        let Some(at) = self.at(number) else { return };
        let Some(connection) = self.connections.get_mut(at) else { return };
        if connection.wants_read() {
            let read = connection.read(&mut self.scratch);
            self.hand_over(number, read);
        }
    }

    fn hand_over(&mut self, number: u64, messages: io::Result<Option<Vec<u8>>>) {
        let link = self.at(number).and_then(|at| self.connections.get(at)?.link);
        match (messages, link) {
            (Ok(Some(messages)), Some(link)) => self.tell(Event::Received(link, messages)),
            (Ok(_), _) => {}
            (Err(_), _) => self.end(number),
        }
    }

    /// A connection is over.
    fn end(&mut self, number: u64) {
        let Some(at) = self.at(number) else { return };
        let connection = self.connections.swap_remove(at);
        if let Some(link) = connection.link {
            self.tell(Event::Closed(link));
        }
    }
}
