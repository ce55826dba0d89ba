//! Two SCTP endpoints in user space, and somebody between them who delivers
//! their packets, loses, changes and repeats them, makes up others, and lets
//! time pass.
#![no_main]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use rserpool_sctp::endpoint::{Config, Endpoint, Path, ShortInit};
use rserpool_sctp::{AssocId, Event, Tuning};

const PORT: u16 = 3863;
const HEADER: usize = 12;
const ASSOCIATIONS_MAX: usize = 4;
const QUEUE_MAX: usize = 64;
const MESSAGE_MAX: usize = 4096;
const RECEIVE_MEMORY_MAX: usize = 1 << 16;

/// The same for all runs, so that runs are the same.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

struct Host {
    endpoint: Endpoint,
    associations: Vec<AssocId>,
    /// What it sent and nobody delivered yet.
    sent: VecDeque<Vec<u8>>,
    /// The newest packet it sent, for its header.
    last: Vec<u8>,
}

struct Wire {
    hosts: [Host; 2],
    now: Instant,
}

fn address(host: usize) -> IpAddr {
    let last = if host == 0 { 1 } else { 2 };
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// Where the packets of a host come from, as the other one sees it.
fn path_from(host: usize) -> Path {
    Path { remote: SocketAddr::new(address(host), 9899), local: Some(address(1 - host)) }
}

fn config(host: usize) -> Config {
    Config {
        listen: vec![PORT],
        addresses: vec![address(host), Ipv4Addr::new(198, 51, 100, 1).into()],
        tuning: Tuning {
            associations_max: ASSOCIATIONS_MAX,
            message_bytes_max: MESSAGE_MAX,
            send_buffer: 1 << 14,
            receive_window: 1 << 14,
            ..Tuning::default()
        },
        receive_memory_max: RECEIVE_MEMORY_MAX,
        transmit_queue_max: QUEUE_MAX,
        short_init: ShortInit::Answer,
        ..Config::default()
    }
}

impl Wire {
    fn new() -> Self {
        let now = *START;
        let host = |number: usize| Host {
            endpoint: Endpoint::new(config(number), now, [7; 32]).expect("a consistent one"),
            associations: Vec::new(),
            sent: VecDeque::new(),
            last: Vec::new(),
        };
        Self { hosts: [host(0), host(1)], now }
    }

    /// Sets an association up and lets everything arrive.
    fn connect(&mut self, from: usize) {
        let to = [SocketAddr::new(address(1 - from), 9899)];
        if let Ok(id) = self.hosts[from].endpoint.connect(self.now, &to, PORT, None) {
            self.hosts[from].associations.push(id);
        }
        self.collect();
    }

    fn deliver_all(&mut self) {
        for _ in 0..16 {
            for from in 0..2 {
                self.deliver(from);
            }
        }
    }

    /// The first byte says what to do; returns what is left.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&what, mut rest) = bytes.split_first()?;
        let host = usize::from(what >> 3 & 1);
        let how = usize::from(what >> 4);
        match what & 7 {
            0 => self.deliver(host),
            1 => drop(self.hosts[host].sent.pop_front()),
            2 => {
                let (&place, others) = rest.split_first()?;
                let (&value, others) = others.split_first()?;
                rest = others;
                self.change(host, usize::from(place), value, how);
            }
            3 => self.pass(Duration::from_millis(53 << how)),
            4 => self.apply(host, how),
            5 if how == 0 => self.connect(host),
            5 => self.repeat(host, how),
            // Chunks of somebody who knows the tags, and of somebody who does not.
            kind => {
                let (&length, others) = rest.split_first()?;
                let (chunks, others) = others.split_at(usize::from(length).min(others.len()));
                rest = others;
                self.make_up(host, kind == 6, how, chunks);
            }
        }
        self.collect();
        Some(rest)
    }

    /// The oldest packet of a host arrives.
    fn deliver(&mut self, from: usize) {
        if let Some(packet) = self.hosts[from].sent.pop_front() {
            self.arrive(from, &packet);
        }
        self.collect();
    }

    fn arrive(&mut self, from: usize, packet: &[u8]) {
        self.hosts[1 - from].endpoint.receive(self.now, path_from(from), packet);
    }

    /// The oldest packet arrives with another byte in it, or shorter.
    fn change(&mut self, from: usize, place: usize, value: u8, how: usize) {
        let Some(mut packet) = self.hosts[from].sent.pop_front() else { return };
        let place = place % packet.len();
        match how {
            0 => packet.truncate(place),
            1 => packet.extend_from_within(HEADER.min(packet.len())..),
            _ => packet[place] = value,
        }
        seal(&mut packet);
        self.arrive(from, &packet);
    }

    /// A packet that was sent before arrives, and will again.
    fn repeat(&mut self, from: usize, how: usize) {
        let sent = &self.hosts[from].sent;
        let packet = sent.get(how % sent.len().max(1)).unwrap_or(&self.hosts[from].last).clone();
        self.arrive(from, &packet);
    }

    /// A packet that pretends to be of a host.
    fn make_up(&mut self, from: usize, insider: bool, how: usize, chunks: &[u8]) {
        let last = &self.hosts[from].last;
        let mut packet = match last.get(..HEADER) {
            Some(header) if insider => [header, chunks].concat(),
            _ => [&[0x9c, 0x40, 0x0f, 0x17, 0, 0, 0, 0, 0, 0, 0, 0], chunks].concat(),
        };
        if how != 0 {
            packet.resize(packet.len().next_multiple_of(4), 0);
            seal(&mut packet);
        }
        self.arrive(from, &packet);
    }

    /// Somebody above a host does something.
    fn apply(&mut self, host: usize, how: usize) {
        let Host { endpoint, associations, .. } = &mut self.hosts[host];
        let Some(&id) = associations.get(how / 8 % associations.len().max(1)) else { return };
        match how % 8 {
            0 => endpoint.shutdown(self.now, id),
            1 => endpoint.abort(self.now, id),
            2 => endpoint.pause(id),
            3 => endpoint.resume(self.now, id),
            // No room, or not up: that is fine.
            4 => _ = endpoint.send(id, 0, 11, &[5; MESSAGE_MAX]),
            stream => _ = endpoint.send(id, stream as u16 - 5, 12, b"hello"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for host in &mut self.hosts {
            while host.endpoint.handle_timeout(self.now, 8) {}
            let next = host.endpoint.next_timeout();
            assert!(next.is_none_or(|next| next > self.now), "nothing is due");
        }
    }

    fn collect(&mut self) {
        for host in &mut self.hosts {
            while let Some(transmit) = host.endpoint.poll_transmit(self.now) {
                assert!(transmit.packet.len() <= 1452);
                host.last.clone_from(&transmit.packet);
                host.sent.push_back(transmit.packet);
                if host.sent.len() > QUEUE_MAX {
                    host.sent.pop_front();
                }
            }
            while let Some(event) = host.endpoint.poll_event() {
                match event {
                    Event::Up(up) if !host.associations.contains(&up.id) => {
                        host.associations.push(up.id);
                    }
                    Event::Down { id, .. } => host.associations.retain(|open| *open != id),
                    Event::Message(message) => {
                        assert!(!message.data.is_empty() && message.data.len() <= MESSAGE_MAX);
                    }
                    Event::Up(_) | Event::Restarted { .. } | Event::Writable { .. } => {}
                }
            }
            assert!(host.endpoint.associations() <= ASSOCIATIONS_MAX);
            assert!(host.endpoint.receive_memory() <= RECEIVE_MEMORY_MAX);
        }
    }

    /// Both are cut off: each association ends by itself.
    fn cut(&mut self) {
        for _ in 0..5000 {
            let timeouts = self.hosts.iter().filter_map(|host| host.endpoint.next_timeout());
            let Some(next) = timeouts.min() else { break };
            self.pass(next.saturating_duration_since(self.now));
            self.collect();
            self.hosts.iter_mut().for_each(|host| host.sent.clear());
        }
        for host in &self.hosts {
            assert_eq!(host.endpoint.associations(), 0, "an association that never ends");
            assert_eq!(host.endpoint.receive_memory(), 0);
        }
    }
}

fn seal(packet: &mut [u8]) {
    if packet.len() >= HEADER {
        packet[8..HEADER].fill(0);
        let crc = crc32c::crc32c(packet);
        packet[8..HEADER].copy_from_slice(&crc.to_le_bytes());
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let mut wire = Wire::new();
    if first & 1 == 0 {
        wire.connect(1);
        wire.deliver_all();
    }
    while let Some(others) = wire.step(rest) {
        rest = others;
    }
    if first & 2 == 0 {
        wire.cut();
    }
});
