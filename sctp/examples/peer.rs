//! An SCTP peer for the lab and for scripts: an echo server or a client that
//! loads one and checks every answer, over the kernel's SCTP or over user-space
//! SCTP in UDP. `peer --help` has the options.
//!
//! Every line it prints is a word and `name=value` pairs; the last one begins
//! with `result` and says `ok=true` or `ok=false`. The exit status is 0 if all
//! went as asked, 1 if not, and 2 for options that make no sense.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use rserpool_sctp::endpoint;
use rserpool_sctp::kernel::{self, KernelLink};
use rserpool_sctp::udp::{self, UdpLink};
use rserpool_sctp::{AssocId, DownReason, Event, Link, Message, Progress, SendError, Tuning};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// An SCTP peer for the lab: echo server, checking client, probe.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether the kernel has SCTP: exit status 0 if it has, 1 if not.
    Probe,
    /// Accept associations and send every message back where it came from.
    Server(Server),
    /// Set up associations, send messages, check that each comes back.
    Client(Client),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// The kernel's SCTP.
    Kernel,
    /// User-space SCTP over UDP.
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum End {
    /// Close each association gracefully.
    Shutdown,
    /// Abort each association.
    Abort,
    /// Leave without a word, as if the host had died.
    Die,
}

/// What both sides have.
#[derive(Debug, Args)]
struct Common {
    /// Which SCTP to use.
    #[arg(long, value_enum)]
    transport: Transport,
    /// Our addresses, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    bind: Vec<IpAddr>,
    /// Our addresses to list to the peer (udp), separated by commas.
    #[arg(long, value_delimiter = ',')]
    list: Vec<IpAddr>,
    /// Our UDP port (udp); 0 takes a free one.
    #[arg(long, default_value_t = 9899)]
    udp_port: u16,
    /// The UDP port of peers that we call (udp).
    #[arg(long, default_value_t = 9899)]
    peer_udp_port: u16,
    /// Encapsulate in UDP to this port of the peers (kernel; needs
    /// net.sctp.udp_port).
    #[arg(long)]
    encapsulate: Option<u16>,
    /// Several servers share the port (kernel).
    #[arg(long)]
    reuse_port: bool,
    /// Heartbeat interval in milliseconds.
    #[arg(long, default_value_t = 30_000)]
    heartbeat: u64,
    /// Unanswered retransmissions until a peer is given up.
    #[arg(long, default_value_t = 10)]
    retransmissions: u16,
    /// First retransmission time-out in milliseconds.
    #[arg(long, default_value_t = 1000)]
    rto_initial: u64,
    /// Shortest retransmission time-out in milliseconds.
    #[arg(long, default_value_t = 300)]
    rto_min: u64,
    /// Longest retransmission time-out in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    rto_max: u64,
    /// Longest SCTP packet in bytes, without IP and UDP headers (udp).
    #[arg(long, default_value_t = 1452)]
    packet_bytes: usize,
    /// Give up, or stop serving, after so many seconds.
    #[arg(long = "for", default_value_t = 60.0, value_name = "SECONDS")]
    limit: f64,
    /// Print every event but messages.
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Args)]
struct Server {
    #[command(flatten)]
    common: Common,
    /// SCTP ports to listen on, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "3863")]
    port: Vec<u16>,
    /// End well once so many associations have come and gone again.
    #[arg(long, value_name = "COUNT")]
    until_gone: Option<usize>,
    /// Fail unless so many messages came.
    #[arg(long, value_name = "COUNT")]
    expect_messages: Option<u64>,
    /// Fail unless so many restarts came.
    #[arg(long, value_name = "COUNT")]
    expect_restarts: Option<u64>,
    /// Fail unless an association timed out.
    #[arg(long)]
    expect_time_out: bool,
    /// Do not send messages back.
    #[arg(long)]
    sink: bool,
}

#[derive(Debug, Args)]
struct Client {
    #[command(flatten)]
    common: Common,
    /// The peer's addresses, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    to: Vec<IpAddr>,
    /// The peer's SCTP port.
    #[arg(long, default_value_t = 3863)]
    port: u16,
    /// Our SCTP port, for a single association.
    #[arg(long)]
    local_port: Option<u16>,
    /// How many associations.
    #[arg(long, default_value_t = 1)]
    associations: usize,
    /// How many messages on each.
    #[arg(long, default_value_t = 10)]
    count: u64,
    /// Bytes of each message, at least 8.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    size: u32,
    /// Messages of an association under way at once.
    #[arg(long, default_value_t = 1)]
    window: u64,
    /// Streams used in turn.
    #[arg(long, default_value_t = 1)]
    streams: u16,
    /// The payload protocol identifier.
    #[arg(long, default_value_t = 11)]
    ppid: u32,
    /// Stay idle for so many seconds before the messages.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    hold: f64,
    /// Wait so many milliseconds after each answer.
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// How to end.
    #[arg(long, value_enum, default_value_t = End::Shutdown)]
    end: End,
    /// All is well if the associations end, or never begin, with this reason:
    /// closed, refused, aborted, no-answer or timed-out.
    #[arg(long, value_name = "REASON")]
    expect_down: Option<String>,
}

/// A link, and what the loop around it needs.
struct Driver {
    link: Box<dyn Link>,
    events: Vec<Event>,
    begin: Instant,
    limit: Duration,
    verbose: bool,
    downs: BTreeMap<&'static str, u64>,
    restarts: u64,
}

impl Driver {
    fn new(common: &Common, listen: Vec<u16>) -> io::Result<Self> {
        Ok(Self {
            link: link(common, listen)?,
            events: Vec::new(),
            begin: Instant::now(),
            limit: Duration::from_secs_f64(common.limit),
            verbose: common.verbose,
            downs: BTreeMap::new(),
            restarts: 0,
        })
    }

    fn is_over(&self) -> bool {
        self.begin.elapsed() >= self.limit
    }

    /// Waits for something to happen, at most for `wait`; what happened.
    fn turn(&mut self, wait: Duration) -> io::Result<Vec<Event>> {
        let now = Instant::now();
        let timeout = self.link.timeout().map(|at| at.saturating_duration_since(now));
        let wait = timeout.map_or(wait, |timeout| timeout.min(wait));
        let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
        let mut fds = [PollFd::from_borrowed_fd(self.link.fd(), PollFlags::IN)];
        poll(&mut fds, Some(&wait))?;
        while self.link.poll(Instant::now(), &mut self.events)? == Progress::More {}
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.note(event);
        }
        Ok(events)
    }

    fn note(&mut self, event: &Event) {
        let at = self.begin.elapsed().as_secs_f64();
        let line = match event {
            Event::Up(up) => format!(
                "up at={at:.3} id={} peer={} local-port={} side={:?} streams={} addresses={:?}",
                up.id.to_bits(),
                up.peer,
                up.local_port,
                up.side,
                up.streams,
                self.link.peer_addresses(up.id)
            ),
            Event::Restarted { id } => {
                self.restarts += 1;
                format!("restarted at={at:.3} id={}", id.to_bits())
            }
            Event::Down { id, reason } => {
                *self.downs.entry(word(*reason)).or_insert(0) += 1;
                format!("down at={at:.3} id={} reason={} ({reason})", id.to_bits(), word(*reason))
            }
            Event::Writable { id } => format!("writable at={at:.3} id={}", id.to_bits()),
            Event::Message(_) => return,
        };
        if self.verbose {
            println!("{line}");
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.link.flush(Instant::now())
    }
}

/// A reason as one word.
fn word(reason: DownReason) -> &'static str {
    match reason {
        DownReason::Closed => "closed",
        DownReason::Refused => "refused",
        DownReason::Aborted { .. } => "aborted",
        DownReason::NoAnswer => "no-answer",
        DownReason::TimedOut => "timed-out",
        DownReason::Violation(_) => "violation",
        DownReason::System(_) => "system",
    }
}

fn link(common: &Common, listen: Vec<u16>) -> io::Result<Box<dyn Link>> {
    let tuning = Tuning {
        heartbeat_interval: Duration::from_millis(common.heartbeat),
        retransmissions_max: common.retransmissions,
        path_retransmissions_max: common.retransmissions.min(5),
        rto_initial: Duration::from_millis(common.rto_initial),
        rto_min: Duration::from_millis(common.rto_min),
        rto_max: Duration::from_millis(common.rto_max),
        ..Tuning::default()
    };
    match common.transport {
        Transport::Kernel => Ok(Box::new(KernelLink::new(kernel::Config {
            listen,
            addresses: common.bind.clone(),
            reuse_port: common.reuse_port,
            encapsulation: common.encapsulate,
            tuning,
            ..kernel::Config::default()
        })?)),
        Transport::Udp => {
            let bind = udp::Bind {
                addresses: common.bind.clone(),
                port: common.udp_port,
                ..udp::Bind::default()
            };
            let sockets = udp::bind(&bind)?.remove(0);
            let config = endpoint::Config {
                listen,
                addresses: common.list.clone(),
                packet_bytes_max: common.packet_bytes,
                remote_udp_port: common.peer_udp_port,
                tuning,
                ..endpoint::Config::default()
            };
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(io::Error::other)?;
            Ok(Box::new(UdpLink::new(sockets, config, Instant::now(), seed)?))
        }
    }
}

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Probe => {
            let has = kernel::is_available();
            println!("probe kernel-sctp={has}");
            Ok(has)
        }
        Command::Server(options) => serve(&options),
        Command::Client(options) => Load::new(&options).and_then(Load::run),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("result ok=false error={error:?}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Server) -> io::Result<bool> {
    let mut driver = Driver::new(&options.common, options.port.clone())?;
    println!("ready transport={:?} ports={:?}", options.common.transport, options.port);
    let (mut ups, mut messages, mut bytes) = (0, 0, 0);
    let mut ppids: BTreeMap<u32, u64> = BTreeMap::new();
    // Echoes that found no room.
    let mut waiting: HashMap<AssocId, VecDeque<Message>> = HashMap::new();
    while !driver.is_over() {
        for event in driver.turn(Duration::from_millis(100))? {
            match event {
                Event::Up(_) => ups += 1,
                Event::Message(message) => {
                    messages += 1;
                    bytes += message.data.len();
                    *ppids.entry(message.ppid).or_insert(0) += 1;
                    if !options.sink {
                        waiting.entry(message.id).or_default().push_back(message);
                    }
                }
                Event::Restarted { id } | Event::Down { id, .. } => {
                    waiting.remove(&id);
                }
                Event::Writable { .. } => {}
            }
        }
        waiting.retain(|id, queue| !echo(&mut *driver.link, *id, queue));
        driver.flush()?;
        let gone = driver.downs.values().sum::<u64>();
        if options.until_gone.is_some_and(|count| ups >= count && gone >= count as u64) {
            break;
        }
    }
    let gone = driver.downs.values().sum::<u64>();
    let timed_out = driver.downs.contains_key("timed-out");
    let ok = options.until_gone.is_none_or(|count| ups >= count && gone >= count as u64)
        && options.expect_messages.is_none_or(|count| messages == count)
        && options.expect_restarts.is_none_or(|count| driver.restarts == count)
        && (!options.expect_time_out || timed_out);
    println!(
        "result ok={ok} ups={ups} downs={:?} restarts={} messages={messages} bytes={bytes} \
         ppids={ppids:?} left={} seconds={:.3} cpu={:.3} rss-kib={}",
        driver.downs,
        driver.restarts,
        driver.link.associations(),
        driver.begin.elapsed().as_secs_f64(),
        cpu(),
        rss()
    );
    Ok(ok)
}

/// Sends back what waits; holds the peer off while there is no room. True:
/// nothing waits any more.
fn echo(link: &mut dyn Link, id: AssocId, queue: &mut VecDeque<Message>) -> bool {
    let now = Instant::now();
    while let Some(message) = queue.front() {
        match link.send(now, id, message.stream, message.ppid, &message.data) {
            Ok(()) => {
                queue.pop_front();
            }
            Err(SendError::Full) => {
                link.pause(id);
                return false;
            }
            // It is ending: nobody waits for the echo.
            Err(_) => queue.clear(),
        }
    }
    link.resume(now, id);
    true
}

/// One association of the client.
#[derive(Debug, Default)]
struct Call {
    sent: u64,
    received: u64,
    sent_at: VecDeque<Instant>,
}

/// The client's work.
struct Load<'a> {
    options: &'a Client,
    driver: Driver,
    calls: BTreeMap<AssocId, Call>,
    /// Asked for and not up.
    opening: usize,
    asked: usize,
    wrong: u64,
    round_trips: Vec<Duration>,
    payload: Vec<u8>,
}

impl<'a> Load<'a> {
    fn new(options: &'a Client) -> io::Result<Self> {
        let size = usize::try_from(options.size).unwrap_or(8);
        Ok(Self {
            driver: Driver::new(&options.common, Vec::new())?,
            options,
            calls: BTreeMap::new(),
            opening: 0,
            asked: 0,
            wrong: 0,
            round_trips: Vec::new(),
            payload: (0..size).map(|at| (at * 7 + 3).to_be_bytes()[7]).collect(),
        })
    }

    fn run(mut self) -> io::Result<bool> {
        self.call()?;
        if self.options.end == End::Die && self.options.count == 0 {
            println!("result ok=true died=true ups={}", self.calls.len());
            return Ok(true);
        }
        self.hold()?;
        let begin = Instant::now();
        self.exchange()?;
        let took = begin.elapsed();
        if self.options.end != End::Die {
            self.end()?;
        }
        Ok(self.report(took))
    }

    /// Sets the associations up, not too many at once.
    fn call(&mut self) -> io::Result<()> {
        while (self.asked < self.options.associations || self.opening > 0) && !self.driver.is_over()
        {
            while self.asked < self.options.associations && self.opening < 64 {
                let (to, port) = (&self.options.to, self.options.port);
                let (now, local) = (Instant::now(), self.options.local_port);
                self.driver.link.connect(now, to, port, local).map_err(io::Error::other)?;
                self.asked += 1;
                self.opening += 1;
            }
            self.turn()?;
        }
        let took = self.driver.begin.elapsed();
        println!("connected ups={} seconds={:.3}", self.calls.len(), took.as_secs_f64());
        Ok(())
    }

    fn hold(&mut self) -> io::Result<()> {
        let until = Instant::now() + Duration::from_secs_f64(self.options.hold);
        while Instant::now() < until && !self.driver.is_over() && !self.calls.is_empty() {
            self.turn()?;
        }
        Ok(())
    }

    fn exchange(&mut self) -> io::Result<()> {
        let count = self.options.count;
        while self.calls.values().any(|call| call.received < count) && !self.driver.is_over() {
            let ids: Vec<AssocId> = self.calls.keys().copied().collect();
            for id in ids {
                self.fill(id);
            }
            self.driver.flush()?;
            self.turn()?;
        }
        Ok(())
    }

    /// Sends on one association what its window has room for.
    fn fill(&mut self, id: AssocId) {
        let (count, window) = (self.options.count, self.options.window);
        let Some(call) = self.calls.get_mut(&id) else { return };
        while call.sent < count && call.sent - call.received < window {
            self.payload[..8].copy_from_slice(&call.sent.to_be_bytes());
            let stream = stream_of(call.sent, self.options.streams);
            let now = Instant::now();
            match self.driver.link.send(now, id, stream, self.options.ppid, &self.payload) {
                Ok(()) => {
                    call.sent += 1;
                    call.sent_at.push_back(now);
                }
                Err(SendError::Full) => return,
                Err(error) => {
                    println!("send-failed id={} error={error}", id.to_bits());
                    self.wrong += 1;
                    call.sent = count;
                }
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        for event in self.driver.turn(Duration::from_millis(50))? {
            match event {
                Event::Up(up) => {
                    self.opening = self.opening.saturating_sub(1);
                    self.calls.insert(up.id, Call::default());
                }
                Event::Down { id, .. } => {
                    if self.calls.remove(&id).is_none() {
                        self.opening = self.opening.saturating_sub(1);
                    }
                }
                Event::Message(message) => self.answered(&message),
                Event::Restarted { .. } | Event::Writable { .. } => {}
            }
        }
        Ok(())
    }

    fn answered(&mut self, message: &Message) {
        let Some(call) = self.calls.get_mut(&message.id) else { return };
        let number = message.data.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let right = number.is_some_and(|number| {
            let in_order = self.options.streams > 1 || number == call.received;
            in_order && message.stream == stream_of(number, self.options.streams)
        }) && message.ppid == self.options.ppid
            && message.data.len() == self.payload.len()
            && message.data[8..] == self.payload[8..];
        self.wrong += u64::from(!right);
        call.received += 1;
        if let Some(sent) = call.sent_at.pop_front() {
            self.round_trips.push(sent.elapsed());
        }
        if self.options.pause > 0 {
            std::thread::sleep(Duration::from_millis(self.options.pause));
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for id in self.calls.keys() {
            if self.options.end == End::Abort {
                self.driver.link.abort(now, *id);
            } else {
                self.driver.link.shutdown(now, *id);
            }
        }
        self.driver.flush()?;
        while self.driver.link.associations() > 0 && !self.driver.is_over() {
            self.driver.turn(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn report(mut self, took: Duration) -> bool {
        let ups = self.calls.len();
        let answers: u64 = self.calls.values().map(|call| call.received).sum();
        let wanted = self.options.count * self.options.associations as u64;
        let downs = &self.driver.downs;
        let ended = |reason: &str| downs.get(reason).copied().unwrap_or(0);
        let ok = match &self.options.expect_down {
            Some(reason) => ended(reason) == self.options.associations as u64,
            None => {
                let closed = self.options.end != End::Shutdown
                    || ended("closed") == self.options.associations as u64;
                answers == wanted && self.wrong == 0 && closed
            }
        };
        self.round_trips.sort_unstable();
        let at = |part: f64| {
            let last = self.round_trips.len().saturating_sub(1);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a part of a length"
            )]
            let index = (last as f64 * part) as usize;
            self.round_trips.get(index).copied().unwrap_or_default().as_micros()
        };
        let seconds = took.as_secs_f64();
        println!(
            "result ok={ok} ups={ups} answers={answers} wanted={wanted} wrong={} downs={downs:?} \
             restarts={} seconds={seconds:.3} per-second={:.0} p50-us={} p99-us={} max-us={} \
             cpu={:.3} rss-kib={}",
            self.wrong,
            self.driver.restarts,
            answers as f64 / seconds.max(1e-9),
            at(0.5),
            at(0.99),
            at(1.0),
            cpu(),
            rss()
        );
        ok
    }
}

fn stream_of(number: u64, streams: u16) -> u16 {
    u16::try_from(number % u64::from(streams.max(1))).unwrap_or(0)
}

/// Processor time of this process, in seconds.
fn cpu() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9
}

/// Resident memory of this process.
fn rss() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or(0) * 4
}
