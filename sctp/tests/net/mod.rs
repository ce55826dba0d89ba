//! A network on virtual time between endpoints: latency, loss, reordering,
//! duplication, cut links, all from one seed. And a stranger who writes his
//! packets by hand.
#![expect(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rserpool_sctp::endpoint::{Config, Endpoint, Path, Transmit};
use rserpool_sctp::{AssocId, DownReason, Event, Message, Up};

pub(crate) const UDP: u16 = 9899;
pub(crate) const PPID: u32 = 11;

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn udp(text: &str) -> SocketAddr {
    SocketAddr::new(ip(text), UDP)
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Splitmix: good enough to decide the fate of packets.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(u64::try_from(bound).unwrap())).unwrap()
    }

    /// True so many times in a thousand.
    pub(crate) fn hits(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) latency: Duration,
    /// Up to so much more, at random: that reorders.
    pub(crate) jitter: Duration,
    pub(crate) lost_per_mille: u64,
    pub(crate) doubled_per_mille: u64,
}

pub(crate) const FAIR: Weather = Weather {
    latency: Duration::from_millis(5),
    jitter: Duration::ZERO,
    lost_per_mille: 0,
    doubled_per_mille: 0,
};

pub(crate) const FOUL: Weather = Weather {
    latency: Duration::from_millis(5),
    jitter: Duration::from_millis(20),
    lost_per_mille: 50,
    doubled_per_mille: 20,
};

/// One host: an endpoint, its addresses, and what it was told.
pub(crate) struct Host {
    pub(crate) endpoint: Endpoint,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) events: Vec<Event>,
}

/// A packet on its way: from where, to where, and its bytes.
pub(crate) type Flight = (SocketAddr, SocketAddr, Vec<u8>);

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) weather: Weather,
    pub(crate) dice: Dice,
    pub(crate) hosts: Vec<Host>,
    pub(crate) flights: BTreeMap<(Instant, u64), Flight>,
    flown: u64,
    /// Addresses nothing comes from or goes to.
    pub(crate) cut: Vec<IpAddr>,
    /// Every packet that was sent to an address no host has.
    pub(crate) nowhere: Vec<Flight>,
    /// Bytes sent to each address.
    pub(crate) bytes_to: HashMap<SocketAddr, usize>,
    /// Every packet that was sent, if it is kept.
    pub(crate) trace: Option<Vec<Flight>>,
}

impl Net {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            weather,
            dice: Dice(seed),
            hosts: Vec::new(),
            flights: BTreeMap::new(),
            flown: 0,
            cut: Vec::new(),
            nowhere: Vec::new(),
            bytes_to: HashMap::new(),
            trace: None,
        }
    }

    /// Adds a host with these addresses; its number.
    pub(crate) fn host(&mut self, addresses: &[&str], config: Config) -> usize {
        let seed = self.seed();
        let endpoint = Endpoint::new(config, self.now, seed).unwrap();
        let addresses = addresses.iter().map(|text| udp(text)).collect();
        self.hosts.push(Host { endpoint, addresses, events: Vec::new() });
        self.hosts.len() - 1
    }

    /// The host loses its state, and what was on its way to or from it, and
    /// comes up anew.
    pub(crate) fn crash(&mut self, host: usize) {
        let seed = self.seed();
        let config = self.hosts[host].endpoint.config().clone();
        self.hosts[host].endpoint = Endpoint::new(config, self.now, seed).unwrap();
        self.hosts[host].events.clear();
        let addresses = &self.hosts[host].addresses;
        self.flights
            .retain(|_, (from, to, _)| !addresses.contains(from) && !addresses.contains(to));
    }

    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed.fill_with(|| self.dice.byte());
        seed
    }

    pub(crate) fn connect(&mut self, from: usize, to: &[&str], port: u16) -> AssocId {
        self.connect_from(from, to, port, None)
    }

    pub(crate) fn connect_from(
        &mut self,
        from: usize,
        to: &[&str],
        port: u16,
        local_port: Option<u16>,
    ) -> AssocId {
        let to: Vec<SocketAddr> = to.iter().map(|text| udp(text)).collect();
        let id = self.hosts[from].endpoint.connect(self.now, &to, port, local_port).unwrap();
        self.collect(from);
        id
    }

    /// Sends `data` on stream 0.
    pub(crate) fn send(&mut self, from: usize, id: AssocId, data: &[u8]) {
        self.hosts[from].endpoint.send(id, 0, PPID, data).unwrap();
    }

    /// Sets up an association between two hosts; the names on both sides.
    pub(crate) fn associate(&mut self, from: usize, to: usize, port: u16) -> (AssocId, AssocId) {
        let address = self.hosts[to].addresses[0].ip().to_string();
        let id = self.connect(from, &[&address], port);
        self.run(seconds(2));
        let mine = self.ups(from);
        let theirs = self.ups(to);
        assert_eq!(mine.iter().filter(|up| up.id == id).count(), 1, "not up");
        (id, theirs.last().unwrap().id)
    }

    pub(crate) fn ups(&self, host: usize) -> Vec<Up> {
        let up = |event: &Event| if let Event::Up(up) = event { Some(*up) } else { None };
        self.hosts[host].events.iter().filter_map(up).collect()
    }

    pub(crate) fn downs(&self, host: usize) -> Vec<(AssocId, DownReason)> {
        let down = |event: &Event| {
            if let Event::Down { id, reason } = event { Some((*id, *reason)) } else { None }
        };
        self.hosts[host].events.iter().filter_map(down).collect()
    }

    pub(crate) fn messages(&self, host: usize) -> Vec<&Message> {
        self.hosts[host]
            .events
            .iter()
            .filter_map(|event| if let Event::Message(it) = event { Some(it) } else { None })
            .collect()
    }

    pub(crate) fn restarts(&self, host: usize) -> usize {
        let restarted = |event: &&Event| matches!(event, Event::Restarted { .. });
        self.hosts[host].events.iter().filter(restarted).count()
    }

    /// Takes from a host what it has to say, and sends it.
    pub(crate) fn collect(&mut self, host: usize) {
        while let Some(transmit) = self.hosts[host].endpoint.poll_transmit(self.now) {
            let from = self.source(host, &transmit);
            self.launch(from, transmit.path.remote, transmit.packet);
        }
        while let Some(event) = self.hosts[host].endpoint.poll_event() {
            self.hosts[host].events.push(event);
        }
    }

    /// The address a packet leaves from: the one it says, or the one in the
    /// same network, or the first of the right family.
    fn source(&self, host: usize, transmit: &Transmit) -> SocketAddr {
        let addresses = &self.hosts[host].addresses;
        let said = transmit.path.local.map(|local| SocketAddr::new(local, UDP));
        let own = said.filter(|said| addresses.contains(said));
        let family = |address: &&SocketAddr| address.is_ipv4() == transmit.path.remote.is_ipv4();
        let network = |address: &SocketAddr| {
            address.ip().to_string().rsplit_once('.').map(|it| it.0.to_owned())
        };
        let near = |address: &&SocketAddr| network(address) == network(&transmit.path.remote);
        let routed = addresses.iter().find(near).or_else(|| addresses.iter().find(family));
        own.or_else(|| routed.copied()).unwrap_or(addresses[0])
    }

    /// Puts a packet on the network, whoever it says it is from.
    pub(crate) fn launch(&mut self, from: SocketAddr, to: SocketAddr, packet: Vec<u8>) {
        *self.bytes_to.entry(to).or_default() += packet.len();
        if let Some(trace) = &mut self.trace {
            trace.push((from, to, packet.clone()));
        }
        if self.cut.contains(&from.ip()) || self.cut.contains(&to.ip()) {
            return;
        }
        let copies = 1 + u64::from(self.dice.hits(self.weather.doubled_per_mille));
        for _ in 0..copies {
            if self.dice.hits(self.weather.lost_per_mille) {
                continue;
            }
            let jitter = u64::try_from(self.weather.jitter.as_micros()).unwrap();
            let late = Duration::from_micros(self.dice.below(jitter + 1));
            let at = self.now + self.weather.latency + late;
            self.flown += 1;
            self.flights.insert((at, self.flown), (from, to, packet.clone()));
        }
    }

    /// Runs everything up to `span` from now.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most for `span`. How long it took.
    pub(crate) fn run_until(
        &mut self,
        span: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Option<Duration> {
        let (begin, end) = (self.now, self.now + span);
        while !done(self) {
            if !self.step(end) {
                return None;
            }
        }
        Some(self.now - begin)
    }

    /// The next thing that happens. False: nothing does, up to `end`.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        for host in 0..self.hosts.len() {
            self.collect(host);
        }
        let timeouts = self.hosts.iter().filter_map(|host| host.endpoint.next_timeout());
        let landing = self.flights.keys().next().map(|(at, _)| *at);
        let Some(next) = timeouts.chain(landing).min().filter(|at| *at <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        for host in 0..self.hosts.len() {
            self.hosts[host].endpoint.handle_timeout(self.now, 1000);
        }
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (from, to, packet) = entry.remove();
            self.land(from, to, packet);
        }
        for host in 0..self.hosts.len() {
            self.collect(host);
        }
        true
    }

    fn land(&mut self, from: SocketAddr, to: SocketAddr, packet: Vec<u8>) {
        match self.hosts.iter_mut().find(|host| host.addresses.contains(&to)) {
            Some(host) => {
                let path = Path { remote: from, local: Some(to.ip()) };
                host.endpoint.receive(self.now, path, &packet);
            }
            None => self.nowhere.push((from, to, packet)),
        }
    }

    /// Packets that arrived at an address that no host has.
    pub(crate) fn arrived_at(&mut self, address: SocketAddr) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        self.nowhere.retain(|(_, to, packet)| {
            if *to == address {
                found.push(packet.clone());
            }
            *to != address
        });
        found
    }
}

pub(crate) fn listening(port: u16) -> Config {
    Config { listen: vec![port], ..Config::default() }
}

/// Bytes that can be told apart.
pub(crate) fn pattern(length: usize, number: usize) -> Vec<u8> {
    let mut byte = u8::try_from(number % 251).unwrap();
    let mut bytes = vec![0; length];
    bytes.fill_with(|| {
        byte = byte.wrapping_mul(5).wrapping_add(17);
        byte
    });
    bytes
}

/// Puts the right checksum into a packet.
pub(crate) fn seal(packet: &mut [u8]) {
    if packet.len() >= 12 {
        packet[8..12].fill(0);
        let crc = crc32c::crc32c(packet);
        packet[8..12].copy_from_slice(&crc.to_le_bytes());
    }
}

/// A packet with these chunks, each of a type, flags and a value.
pub(crate) fn packet(
    source: u16,
    destination: u16,
    tag: u32,
    chunks: &[(u8, u8, &[u8])],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&source.to_be_bytes());
    bytes.extend_from_slice(&destination.to_be_bytes());
    bytes.extend_from_slice(&tag.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (kind, flags, value) in chunks {
        bytes.extend_from_slice(&[*kind, *flags]);
        bytes.extend_from_slice(&u16::try_from(value.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    seal(&mut bytes);
    bytes
}

/// A parameter with its header and padding.
pub(crate) fn parameter(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u16::try_from(value.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The chunks of a packet: type, flags, value.
pub(crate) fn chunks(packet: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 12;
    while at + 4 <= packet.len() {
        let length = usize::from(be16(packet, at + 2));
        found.push((packet[at], packet[at + 1], packet[at + 4..at + length].to_vec()));
        at += length.next_multiple_of(4);
    }
    found
}

/// A peer whose packets are written by hand.
pub(crate) struct Stranger {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) port: u16,
    pub(crate) to_port: u16,
    pub(crate) tag: u32,
    pub(crate) tsn: u32,
    /// The tag of the endpoint, once told.
    pub(crate) peer_tag: u32,
    pub(crate) cookie: Vec<u8>,
}

impl Stranger {
    pub(crate) fn new(from: &str, to: &str, port: u16, to_port: u16) -> Self {
        Self {
            from: udp(from),
            to: udp(to),
            port,
            to_port,
            tag: 0x0bad_cafe,
            tsn: 1000,
            peer_tag: 0,
            cookie: Vec::new(),
        }
    }

    pub(crate) fn packet(&self, chunks: &[(u8, u8, &[u8])]) -> Vec<u8> {
        packet(self.port, self.to_port, self.peer_tag, chunks)
    }

    /// An INIT with these parameters.
    pub(crate) fn init(&self, parameters: &[u8]) -> Vec<u8> {
        let mut value = self.tag.to_be_bytes().to_vec();
        value.extend_from_slice(&131_072u32.to_be_bytes());
        value.extend_from_slice(&[0, 10, 0xff, 0xff]);
        value.extend_from_slice(&self.tsn.to_be_bytes());
        value.extend_from_slice(parameters);
        packet(self.port, self.to_port, 0, &[(1, 0, &value)])
    }

    /// The parameters of a Linux kernel: addresses it understands, ECN and
    /// partial reliability.
    pub(crate) fn linux_parameters() -> Vec<u8> {
        let mut parameters = parameter(12, &[0, 5]);
        parameters.extend(parameter(0x8000, &[]));
        parameters.extend(parameter(0xc000, &[]));
        parameters
    }

    pub(crate) fn send(&self, net: &mut Net, packet: Vec<u8>) {
        net.launch(self.from, self.to, packet);
    }

    /// Sends an INIT and takes the cookie out of the answer.
    pub(crate) fn ask(&mut self, net: &mut Net, parameters: &[u8]) -> bool {
        let init = self.init(parameters);
        self.send(net, init);
        net.run(millis(100));
        let Some(answer) = net.arrived_at(self.from).pop() else { return false };
        let (kind, _, value) = chunks(&answer).remove(0);
        if kind != 2 {
            return false;
        }
        self.peer_tag = be32(&value, 0);
        let length = usize::from(be16(&value, 18));
        assert_eq!(be16(&value, 16), 7, "the cookie comes first");
        self.cookie = value[20..16 + length].to_vec();
        true
    }

    pub(crate) fn echo(&self) -> Vec<u8> {
        self.packet(&[(10, 0, &self.cookie)])
    }

    /// The whole handshake.
    pub(crate) fn enter(&mut self, net: &mut Net) -> bool {
        if !self.ask(net, &Self::linux_parameters()) {
            return false;
        }
        let echo = self.echo();
        self.send(net, echo);
        net.run(millis(100));
        net.arrived_at(self.from).iter().any(|answer| chunks(answer)[0].0 == 11)
    }

    /// The value of a DATA chunk.
    pub(crate) fn data(tsn: u32, stream: u16, ssn: u16, payload: &[u8]) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend_from_slice(&stream.to_be_bytes());
        value.extend_from_slice(&ssn.to_be_bytes());
        value.extend_from_slice(&PPID.to_be_bytes());
        value.extend_from_slice(payload);
        value
    }
}
