//! SCTP endpoints, each on a thread of its own: links stay where they were
//! made.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rserpool_sctp::kernel::{self, KernelLink};
use rserpool_sctp::udp::{Bind, UdpLink, bind};
use rserpool_sctp::{
    AssocId, ConnectError, DownReason, Event, Link, Progress, SendError, Side, Tuning, endpoint,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep_until;

/// Everything of one association is on one stream, so that it keeps its order.
const STREAM: u16 = 0;
/// How long the last associations may take to close when nobody is left.
const GOODBYE: Duration = Duration::from_secs(2);
/// Received and not yet taken, in bytes, until the peer is held off.
const UNREAD_MAX: usize = 256 * 1024;
/// Sent and not yet taken by the link, in bytes, until the sender waits.
const UNSENT_MAX: usize = 256 * 1024;

/// What implements the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Kernel,
    /// In user space over UDP, at this port: ours of one that listens, that of
    /// the peers of one that connects.
    Udp(u16),
}

/// Who may have associations with an endpoint.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// We begin them.
    Connect,
    /// Others begin them, at these addresses (none: all) and this SCTP port.
    Listen(Vec<IpAddr>, u16),
}

/// An SCTP endpoint. It ends with this and its associations.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    commands: mpsc::UnboundedSender<Command>,
}

/// An association that others began, and where they are.
pub(crate) type Accepted = (Association, SocketAddr);

/// One association.
#[derive(Debug)]
pub(crate) struct Association {
    id: AssocId,
    commands: mpsc::UnboundedSender<Command>,
    incoming: mpsc::UnboundedReceiver<Result<Message, DownReason>>,
    flow: Arc<Flow>,
}

/// A message with its payload protocol identifier.
pub(crate) type Message = (u32, Vec<u8>);

/// What a message counts for, in bytes: many short ones need more memory than
/// they are long.
const fn cost(data: &[u8]) -> usize {
    data.len() + 64
}

/// How much is under way between an association and its thread.
#[derive(Debug, Default)]
struct Flow {
    unread: AtomicUsize,
    paused: AtomicBool,
    unsent: AtomicUsize,
    room: Notify,
}

impl Flow {
    fn has_room(&self) -> bool {
        self.unsent.load(Ordering::Acquire) < UNSENT_MAX
    }
}

#[derive(Debug)]
enum Command {
    Connect {
        to: Vec<IpAddr>,
        port: u16,
        answer: oneshot::Sender<io::Result<Association>>,
    },
    Send(AssocId, Message),
    Resume(AssocId),
    /// Everything sent is delivered first.
    Shutdown(AssocId),
    Abort(AssocId),
}

impl Endpoint {
    /// Opens one. Those that listen tell of their associations.
    pub(crate) async fn open(
        stack: Stack,
        role: Role,
        tuning: Tuning,
    ) -> io::Result<(Self, u16, mpsc::UnboundedReceiver<Accepted>)> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (accepted, accepting) = mpsc::unbounded_channel();
        let (opened, outcome) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let own = commands.downgrade();
        thread::Builder::new().name("rserpool-sctp".to_owned()).spawn(move || {
            runtime.block_on(async {
                match Thread::open(stack, role, tuning, own, accepted) {
                    Ok((thread, port)) => {
                        if opened.send(Ok(port)).is_ok() {
                            thread.run(inbox).await;
                        }
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        })?;
        let port = outcome.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))?;
        Ok((Self { commands }, port, accepting))
    }

    /// Whether its thread is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    /// Begins an association. Cancelled, it is given up.
    pub(crate) async fn connect(&self, to: Vec<IpAddr>, port: u16) -> io::Result<Association> {
        let (answer, outcome) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.commands.send(Command::Connect { to, port, answer }).map_err(|_| gone())?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Association {
    /// Whether more may be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.flow.has_room()
    }

    /// Waits until more may be sent.
    pub(crate) fn room(&self) -> impl Future<Output = ()> + use<> {
        let flow = Arc::clone(&self.flow);
        async move {
            loop {
                let notified = flow.room.notified();
                if flow.has_room() {
                    return;
                }
                notified.await;
            }
        }
    }

    /// Hands a message over; not an empty one.
    pub(crate) fn send(&self, ppid: u32, data: Vec<u8>) {
        self.flow.unsent.fetch_add(cost(&data), Ordering::AcqRel);
        // If its thread is gone, so is the association: `receive` says so.
        let _ = self.commands.send(Command::Send(self.id, (ppid, data)));
    }

    /// Waits for the next message. May be cancelled at any time.
    pub(crate) async fn receive(&mut self) -> io::Result<Message> {
        let received = self.incoming.recv().await.unwrap_or(Err(DownReason::Closed));
        let message = received.map_err(lost)?;
        let cost = cost(&message.1);
        let before = self.flow.unread.fetch_sub(cost, Ordering::AcqRel);
        if before - cost <= UNREAD_MAX / 2 && self.flow.paused.swap(false, Ordering::AcqRel) {
            let _ = self.commands.send(Command::Resume(self.id));
        }
        Ok(message)
    }

    /// Waits until everything sent has arrived, for a while.
    pub(crate) async fn close(&mut self) {
        let _ = self.commands.send(Command::Shutdown(self.id));
        let closed = async { while self.receive().await.is_ok() {} };
        let _ = tokio::time::timeout(GOODBYE, closed).await;
    }

    /// Ends it at once, with what is under way: the peer does not answer.
    pub(crate) fn abort(&self) {
        let _ = self.commands.send(Command::Abort(self.id));
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Shutdown(self.id));
    }
}

/// An association as its thread has it.
struct Standing {
    flow: Arc<Flow>,
    received: mpsc::UnboundedSender<Result<Message, DownReason>>,
    output: VecDeque<Message>,
    closing: bool,
}

/// Who waits for an association to come up, and its other half.
type Asked = (oneshot::Sender<io::Result<Association>>, Association);

struct Thread {
    link: Box<dyn Link>,
    /// Its descriptor. The link is what it stands for.
    ready: AsyncFd<OwnedFd>,
    own: mpsc::WeakUnboundedSender<Command>,
    accepted: mpsc::UnboundedSender<Accepted>,
    associations: HashMap<u64, Standing>,
    connecting: HashMap<u64, Asked>,
    events: Vec<Event>,
    /// The kernel keeps what one association may not read apart from nothing:
    /// where there is only one, nothing is read instead, and its window closes.
    holds_off_by_not_reading: bool,
}

impl Thread {
    fn open(
        stack: Stack,
        role: Role,
        tuning: Tuning,
        own: mpsc::WeakUnboundedSender<Command>,
        accepted: mpsc::UnboundedSender<Accepted>,
    ) -> io::Result<(Self, u16)> {
        let holds_off_by_not_reading = (stack == Stack::Kernel) && matches!(role, Role::Connect);
        let (listen, addresses) = match role {
            Role::Connect => (Vec::new(), Vec::new()),
            Role::Listen(addresses, port) => (vec![port], addresses),
        };
        let (link, port): (Box<dyn Link>, u16) = match stack {
            Stack::Kernel => {
                let config =
                    kernel::Config { listen, addresses, tuning, ..kernel::Config::default() };
                let link = KernelLink::new(config)?;
                let port = link.local_ports().first().copied().unwrap_or_default();
                (Box::new(link), port)
            }
            Stack::Udp(udp) => open_udp(udp, listen, addresses, tuning)?,
        };
        #[expect(deprecated, reason = "an OwnedFd keeps its descriptor, so this is sound and safe")]
        let ready = AsyncFd::new(link.fd().try_clone_to_owned()?)?;
        let this = Self {
            link,
            ready,
            own,
            accepted,
            associations: HashMap::new(),
            connecting: HashMap::new(),
            events: Vec::new(),
            holds_off_by_not_reading,
        };
        Ok((this, port))
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut until = None;
        loop {
            while let Ok(command) = inbox.try_recv() {
                self.obey(command);
            }
            let held_off = self.holds_off_by_not_reading
                && self.associations.values().any(|one| one.flow.paused.load(Ordering::Acquire));
            let progress = if held_off { Ok(Progress::Idle) } else { self.work() };
            let (Ok(progress), Ok(())) = (progress, self.link.flush(Instant::now())) else {
                break self.give_up();
            };
            if until.is_some_and(|until| Instant::now() >= until) || self.is_over(until) {
                break;
            }
            if progress == Progress::More {
                tokio::task::yield_now().await;
                continue;
            }
            self.abandon();
            let timeout = [self.link.timeout(), until].into_iter().flatten().min();
            tokio::select! {
                command = inbox.recv(), if until.is_none() => match command {
                    Some(command) => self.obey(command),
                    None => until = Some(Instant::now() + GOODBYE),
                },
                ready = self.ready.readable(), if !held_off => match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => break self.give_up(),
                },
                () = sleep_until(timeout.unwrap_or_else(Instant::now).into()), if timeout.is_some() => {}
            }
        }
    }

    /// Gives up what nobody waits for any more.
    fn abandon(&mut self) {
        let (link, associations) = (&mut self.link, &mut self.associations);
        self.connecting.retain(|bits, (answer, half)| {
            if answer.is_closed() {
                link.abort(Instant::now(), half.id);
                associations.remove(bits);
            }
            !answer.is_closed()
        });
    }

    fn is_over(&self, until: Option<Instant>) -> bool {
        until.is_some() && self.link.associations() == 0
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Connect { to, port, answer } => {
                match self.link.connect(now, &to, port, None) {
                    Ok(id) => self.expect(id, answer),
                    Err(error) => drop(answer.send(Err(refused(error)))),
                }
            }
            Command::Send(id, message) => {
                if let Some(standing) = self.associations.get_mut(&id.to_bits()) {
                    standing.output.push_back(message);
                    self.send(id);
                }
            }
            Command::Resume(id) => self.link.resume(now, id),
            Command::Shutdown(id) => {
                // One that is paused is to hear of its end.
                self.link.resume(now, id);
                if let Some(standing) = self.associations.get_mut(&id.to_bits()) {
                    standing.flow.paused.store(false, Ordering::Release);
                    standing.closing = true;
                    self.send(id);
                }
            }
            Command::Abort(id) => {
                self.link.abort(now, id);
                self.associations.remove(&id.to_bits());
            }
        }
    }

    /// Both halves of an association.
    fn halves(&mut self, id: AssocId) -> Option<Association> {
        let (received, incoming) = mpsc::unbounded_channel();
        let flow = Arc::new(Flow::default());
        let commands = self.own.upgrade()?;
        let standing =
            Standing { flow: Arc::clone(&flow), received, output: VecDeque::new(), closing: false };
        self.associations.insert(id.to_bits(), standing);
        Some(Association { id, commands, incoming, flow })
    }

    fn expect(&mut self, id: AssocId, answer: oneshot::Sender<io::Result<Association>>) {
        match self.halves(id) {
            Some(half) => drop(self.connecting.insert(id.to_bits(), (answer, half))),
            None => self.link.abort(Instant::now(), id),
        }
    }

    /// Gives the link what it takes of an association's messages.
    fn send(&mut self, id: AssocId) {
        let now = Instant::now();
        let Some(standing) = self.associations.get_mut(&id.to_bits()) else { return };
        while let Some((ppid, data)) = standing.output.front() {
            match self.link.send(now, id, STREAM, *ppid, data) {
                // The link tells when there is room.
                Err(SendError::Full | SendError::NotUp) => return,
                Ok(())
                // It tells why, too.
                | Err(SendError::Gone | SendError::Closing)
                // The sender has checked for these.
                | Err(SendError::Empty | SendError::TooLong | SendError::Stream) => {}
            }
            standing.flow.unsent.fetch_sub(cost(data), Ordering::AcqRel);
            standing.flow.room.notify_waiters();
            standing.output.pop_front();
        }
        if standing.closing {
            self.link.shutdown(now, id);
        }
    }

    /// Lets the link work, and tells what it tells.
    fn work(&mut self) -> io::Result<Progress> {
        let mut events = std::mem::take(&mut self.events);
        let progress = self.link.poll(Instant::now(), &mut events);
        for event in events.drain(..) {
            match event {
                Event::Up(up) if up.side == Side::Accepted => {
                    let given = self.halves(up.id).map(|half| self.accepted.send((half, up.peer)));
                    if !matches!(given, Some(Ok(()))) {
                        // Nobody listens any more.
                        self.link.abort(Instant::now(), up.id);
                        self.associations.remove(&up.id.to_bits());
                    }
                }
                Event::Up(up) => {
                    if let Some((answer, half)) = self.connecting.remove(&up.id.to_bits()) {
                        // Not wanted any more, it is dropped and closed.
                        let _ = answer.send(Ok(half));
                        self.send(up.id);
                    }
                }
                Event::Message(message) => {
                    self.received(message.id, (message.ppid, message.data));
                }
                // Whoever was set up anew knows nothing of us.
                Event::Restarted { id } => {
                    self.link.abort(Instant::now(), id);
                    self.down(id, DownReason::Closed);
                }
                Event::Down { id, reason } => self.down(id, reason),
                Event::Writable { id } => self.send(id),
            }
        }
        self.events = events;
        progress
    }

    fn received(&mut self, id: AssocId, message: Message) {
        let Some(standing) = self.associations.get(&id.to_bits()) else { return };
        let cost = cost(&message.1);
        let unread = standing.flow.unread.fetch_add(cost, Ordering::AcqRel) + cost;
        if standing.received.send(Ok(message)).is_err() {
            return;
        }
        if unread > UNREAD_MAX && !standing.closing {
            standing.flow.paused.store(true, Ordering::Release);
            // It may all have been taken before that was known.
            if standing.flow.unread.load(Ordering::Acquire) <= UNREAD_MAX / 2 {
                standing.flow.paused.store(false, Ordering::Release);
            } else if !self.holds_off_by_not_reading {
                self.link.pause(id);
            }
        }
    }

    fn down(&mut self, id: AssocId, reason: DownReason) {
        let standing = self.associations.remove(&id.to_bits());
        if let Some((answer, _)) = self.connecting.remove(&id.to_bits()) {
            let _ = answer.send(Err(lost(reason)));
        } else if let Some(standing) = standing {
            let _ = standing.received.send(Err(reason));
            standing.flow.unsent.store(0, Ordering::Release);
            standing.flow.room.notify_waiters();
        }
    }

    /// The link is of no use any more.
    fn give_up(&mut self) {
        for (_, standing) in self.associations.drain() {
            let _ = standing.received.send(Err(DownReason::TimedOut));
        }
    }
}

fn open_udp(
    udp: u16,
    mut listen: Vec<u16>,
    addresses: Vec<IpAddr>,
    tuning: Tuning,
) -> io::Result<(Box<dyn Link>, u16)> {
    let port = match listen.first_mut() {
        Some(port) => {
            if *port == 0 {
                // All of them are free behind a UDP port of our own.
                let drawn = getrandom::u32().map_err(io::Error::other)? & 0x3fff;
                *port = 0xc000 | u16::try_from(drawn).unwrap_or_default();
            }
            *port
        }
        None => 0,
    };
    let here = if listen.is_empty() { 0 } else { udp };
    let bound = bind(&Bind { addresses, port: here, ..Bind::default() })?;
    let sockets = bound.into_iter().next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let config =
        endpoint::Config { listen, remote_udp_port: udp, tuning, ..endpoint::Config::default() };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok((Box::new(UdpLink::new(sockets, config, Instant::now(), seed)?), port))
}

fn refused(error: ConnectError) -> io::Error {
    match error {
        ConnectError::System(error) => error,
        error @ (ConnectError::NoAddress | ConnectError::TooMany | ConnectError::InUse) => {
            io::Error::new(io::ErrorKind::AddrNotAvailable, error)
        }
    }
}

fn lost(reason: DownReason) -> io::Error {
    let kind = match reason {
        DownReason::Closed => io::ErrorKind::UnexpectedEof,
        DownReason::Refused => io::ErrorKind::ConnectionRefused,
        DownReason::NoAnswer | DownReason::TimedOut => io::ErrorKind::TimedOut,
        DownReason::System(number) => return io::Error::from_raw_os_error(number),
        DownReason::Aborted { .. } | DownReason::Violation(_) => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, reason.to_string())
}
