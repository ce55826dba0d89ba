//! `rsp proxy`: a pool user for clients that know nothing of pools.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rserpool_client::{Endpoint, Error, PeId, ResolvedElement, TransportKind};
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::relay::{AnswerTimeout, Relayed, relay};
use self::splice::Pipes;
use self::stats::Stats;
use crate::access::config;
use crate::command_line::{Line, Proxy};
use crate::outcome::Failure;
use crate::outlet;
use crate::signals::Signals;

mod relay;
mod splice;
mod stats;

/// The pause after every element was tried. Doubles up to a second.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

pub(crate) async fn run(line: &Line, options: &Proxy) -> Result<(), Failure> {
    if options.answer_timeout.is_some() && options.replay == 0 {
        return Err(Failure::usage("--answer-timeout needs --replay: nothing else is sent again"));
    }
    let mut signals = Signals::new()?;
    raise_open_files();
    let listener =
        listen(options).map_err(|error| Failure::failed(format!("{}: {error}", options.listen)))?;
    let at = listener.local_addr().map_err(Failure::failed)?;
    let access = line.registrars.look(config(line))?;
    let proxy = Arc::new(User {
        endpoint: access.endpoint.clone(),
        pool: options.pool.clone(),
        connect_timeout: options.connect_timeout,
        patience: options.patience,
        replay: options.replay,
        answer_timeout: options.answer_timeout,
        silence: options.silence,
        pipes: Pipes::default(),
        stats: Stats::default(),
    });
    if !line.json {
        outlet::line(format!("{at} is pool {}", options.pool))?;
    }
    let room = Arc::new(Semaphore::new(options.max_connections as usize));
    let mut ticks = interval(options.stats.unwrap_or(Duration::from_secs(3600)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    // On the threads that serve: from here, each client would wake one up.
    let mut accepting = JoinSet::new();
    accepting.spawn(accept_all(listener, Arc::clone(&room), Arc::clone(&proxy)));
    loop {
        tokio::select! {
            _ = ticks.tick() => if options.stats.is_some() { proxy.stats.tell(line.json)? },
            () = signals.end() => break,
        }
    }
    // New clients are refused from here on.
    accepting.shutdown().await;
    let all = options.max_connections;
    tokio::select! {
        _ = timeout(options.drain, room.acquire_many(all)) => {}
        () = signals.end() => {}
    }
    proxy.stats.tell(line.json)
}

/// A listener whose connections have what each of them needs: they inherit it.
fn listen(options: &Proxy) -> io::Result<TcpListener> {
    let socket = if options.listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Latency is the client's matter and the server's, not ours.
    socket.set_nodelay(true)?;
    // A client that vanished must not hold its connection for ever.
    watch(&SockRef::from(&socket), options.silence)?;
    socket.bind(options.listen)?;
    socket.listen(BACKLOG)
}

/// Has the system look after the other side of a connection: whatever is not
/// acknowledged within the silence allowed ends it.
fn watch(socket: &SockRef<'_>, silence: Duration) -> io::Result<()> {
    let probe = (silence / 4).max(Duration::from_secs(1));
    // The silence says how many of them it takes.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(probe).with_interval(probe))?;
    socket.set_tcp_user_timeout(Some(silence))
}

/// Serves clients, each in a task of its own, until it is dropped.
async fn accept_all(listener: TcpListener, room: Arc<Semaphore>, proxy: Arc<User>) {
    loop {
        let (client, place) = accept(&listener, &room).await;
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            proxy.serve(client).await;
            drop(place);
        });
    }
}

/// Waits for room, and then for a client.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else {
            // It is never closed.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((client, _)) => return (client, place),
            Err(error) => {
                // No more descriptors, most likely: some come back.
                outlet::complain(format!("a client was not accepted: {error}"));
                sleep(PAUSE).await;
            }
        }
    }
}

/// As many descriptors as the system allows.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer, fewer connections are accepted at once.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The pool user that all clients share.
#[derive(Debug)]
struct User {
    endpoint: Endpoint,
    pool: String,
    connect_timeout: Duration,
    patience: Duration,
    replay: usize,
    answer_timeout: AnswerTimeout,
    silence: Duration,
    pipes: Pipes,
    stats: Stats,
}

impl User {
    /// Serves one client, by one element; by another if that does not answer
    /// and what the client sent may be sent again.
    async fn serve(&self, mut client: TcpStream) {
        let _open = self.stats.open();
        let until = Instant::now() + self.patience;
        let mut request = relay::Request::new(self.replay);
        loop {
            let (pe, mut server) = match self.connect(until).await {
                Ok(connected) => connected,
                Err(why) => {
                    self.stats.refused();
                    outlet::complain(format!("a client was not served: {why}"));
                    return;
                }
            };
            let (patience, pipes) = (self.answer_timeout, &self.pipes);
            let relayed =
                relay(&mut client, &mut server, &mut request, patience, pipes, &self.stats).await;
            match relayed {
                Relayed::Done => return,
                Relayed::Unanswered => {
                    self.stats.replayed(pe);
                    self.endpoint.avoid(&self.pool, pe);
                }
                Relayed::Silent => {
                    self.stats.replayed(pe);
                    self.endpoint.report_unreachable(&self.pool, pe);
                }
                Relayed::Vanished => {
                    self.stats.vanished(pe);
                    self.endpoint.report_unreachable(&self.pool, pe);
                    return;
                }
            }
        }
    }

    /// Connects to an element that accepts.
    async fn connect(&self, until: Instant) -> Result<(PeId, TcpStream), String> {
        let mut tried: Vec<PeId> = Vec::new();
        let mut pause = PAUSE;
        loop {
            let next = self.select().await;
            let again = next.as_ref().map_or(true, |element| tried.contains(&element.pe));
            if again {
                // Not before everybody else was tried, and not in a tight loop.
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                tried.clear();
            }
            let why = match next {
                Ok(element) => match self.connect_to(&element).await {
                    Ok(server) => {
                        self.stats.connected(element.pe);
                        return Ok((element.pe, server));
                    }
                    Err(error) => {
                        self.stats.failed(element.pe);
                        self.endpoint.report_unreachable(&self.pool, element.pe);
                        tried.push(element.pe);
                        format!("{}: {error}", element.pe)
                    }
                },
                Err(error) => error.to_string(),
            };
            if Instant::now() >= until {
                return Err(why);
            }
        }
    }

    async fn select(&self) -> Result<ResolvedElement, Error> {
        let selected = self.endpoint.select(&self.pool, 1).await?;
        // The cache gives one, or an error.
        selected.elements.into_iter().next().ok_or(Error::TimedOut)
    }

    async fn connect_to(&self, element: &ResolvedElement) -> io::Result<TcpStream> {
        if element.transport != TransportKind::Tcp {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "its protocol is not TCP"));
        }
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in &element.addresses {
            match self.connect_at(*address).await {
                Ok(server) => return Ok(server),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect_at(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let server = timeout(self.connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        server.set_nodelay(true)?;
        watch(&SockRef::from(&server), self.silence)?;
        Ok(server)
    }
}
