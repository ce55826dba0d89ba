//! From packets to messages.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};

use rserpool_codec::{asap, enrp};

use crate::fields::{Fields, Value};
use crate::file::{Broken, Packet, Time, each_packet};
use crate::message;
use crate::network::{Content, Datagram, Network};
use crate::sctp::Associations;
use crate::sctp::Ports as SctpPorts;
use crate::tcp::{Connections, protocol};
use crate::told::{Counts, Lost, Place, Protocol, Told, What};

/// The registered port of SCTP over UDP (RFC 6951, 6).
const SCTP_UDP_PORT: u16 = 9899;

/// Ports besides the registered ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// TCP or UDP ports of ASAP besides 3863.
    pub asap: Vec<u16>,
    /// TCP or UDP ports of ENRP besides 9901.
    pub enrp: Vec<u16>,
    /// UDP ports of SCTP over UDP besides 9899.
    pub sctp_udp: Vec<u16>,
}

/// Tells all messages that are in a file, as far as it can be read, and how
/// much there was.
///
/// Memory has a bound, whatever the file says: what is kept of connections and
/// associations is forgotten beyond 128 MiB each, the oldest first.
pub fn decode(
    file: impl Read + Send,
    ports: &Ports,
    tell: impl FnMut(&Told<'_>),
) -> (Counts, Result<(), Broken>) {
    let mut decoder = Decoder::new(ports, tell);
    let mut network = Network::default();
    let read = each_packet(file, |packet| {
        decoder.begin(packet);
        network.receive(packet, |datagram| decoder.receive(&datagram));
    });
    (decoder.finish(), read)
}

/// Finds the messages in packets.
struct Decoder<T> {
    tell: T,
    asap: Vec<u16>,
    enrp: Vec<u16>,
    sctp_udp: Vec<u16>,
    /// Straight over IP, and over UDP.
    associations: [Associations; 2],
    connections: Connections,
    packet: u64,
    time: Time,
    start: Option<Time>,
    counts: Counts,
}

/// Something found in a packet.
enum Found {
    Message(Protocol, Vec<u8>),
    Lost(Lost),
}

impl<T: FnMut(&Told<'_>)> Decoder<T> {
    fn new(ports: &Ports, tell: T) -> Self {
        let with = |port: u16, more: &[u16]| [&[port], more].concat();
        Self {
            tell,
            asap: with(asap::PORT, &ports.asap),
            enrp: with(enrp::PORT, &ports.enrp),
            sctp_udp: with(SCTP_UDP_PORT, &ports.sctp_udp),
            associations: Default::default(),
            connections: Connections::default(),
            packet: 0,
            time: Time::default(),
            start: None,
            counts: Counts::default(),
        }
    }

    fn begin(&mut self, packet: &Packet<'_>) {
        (self.packet, self.time) = (packet.number, packet.time);
        self.start.get_or_insert(packet.time);
        self.counts.packets += 1;
    }

    fn receive(&mut self, datagram: &Datagram<'_>) {
        let (from, to) = (datagram.from, datagram.to);
        match datagram.content {
            Content::Sctp(packet) => self.sctp(from, to, packet, "sctp"),
            Content::Udp { from: port, to: other, bytes } => {
                let (udp, others) = (&self.sctp_udp, [port, other]);
                if others.iter().any(|port| udp.contains(port)) {
                    self.sctp(from, to, bytes, "sctp-udp");
                } else if let Some(protocol) = protocol(port, other, &self.asap, &self.enrp) {
                    let (from, to) = (SocketAddr::new(from, port), SocketAddr::new(to, other));
                    self.found((from, to), "udp", Found::Message(protocol, bytes.to_vec()));
                }
            }
            Content::Tcp { from: port, to: other, segment } => {
                let Some(protocol) = protocol(port, other, &self.asap, &self.enrp) else { return };
                let between = (SocketAddr::new(from, port), SocketAddr::new(to, other));
                let mut found = Vec::new();
                let mut lost = Vec::new();
                self.connections.receive(
                    self.packet,
                    between,
                    &segment,
                    |message| found.push(Found::Message(protocol, message.to_vec())),
                    |what| lost.push(Found::Lost(what)),
                );
                for one in found.into_iter().chain(lost) {
                    self.found(between, "tcp", one);
                }
            }
        }
    }

    fn sctp(&mut self, from: IpAddr, to: IpAddr, packet: &[u8], carrier: &'static str) {
        let [plain, over_udp] = &mut self.associations;
        let associations = if carrier == "sctp" { plain } else { over_udp };
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        associations.receive(
            self.packet,
            packet,
            |ports, protocol, message| {
                let between = (SocketAddr::new(from, ports.from), SocketAddr::new(to, ports.to));
                found.push((between, Found::Message(protocol, message.to_vec())));
            },
            |what| lost.push(what),
        );
        let found_some = !found.is_empty();
        for (between, one) in found {
            self.found(between, carrier, one);
        }
        let ports = SctpPorts::of(packet);
        // What other users of SCTP lose is not our matter.
        if found_some || protocol(ports.from, ports.to, &self.asap, &self.enrp).is_some() {
            let between = (SocketAddr::new(from, ports.from), SocketAddr::new(to, ports.to));
            for what in lost {
                self.found(between, carrier, Found::Lost(what));
            }
        }
    }

    fn found(&mut self, (from, to): (SocketAddr, SocketAddr), carrier: &'static str, found: Found) {
        let (packet, time) = (self.packet, self.time);
        let start = self.start.unwrap_or(time);
        let place = &Place { packet, time, start, from, to, carrier };
        match found {
            Found::Message(protocol, bytes) => {
                let told = read(place, protocol, &bytes);
                match told.0 {
                    What::Malformed { .. } => self.counts.malformed += 1,
                    What::Message { .. } | What::Lost { .. } | What::End(_) => {
                        self.counts.messages += 1;
                    }
                }
                (self.tell)(&told);
            }
            Found::Lost(what) => {
                self.counts.lost += 1;
                (self.tell)(&Told(What::Lost { place, what }));
            }
        }
    }

    fn finish(mut self) -> Counts {
        let incomplete = self.connections.incomplete()
            + self.associations.iter().map(Associations::incomplete).sum::<usize>();
        self.counts.incomplete = incomplete as u64;
        self.counts
    }
}

/// Reads a message, or says what is wrong with it.
fn read<'a>(place: &'a Place, protocol: Protocol, bytes: &[u8]) -> Told<'a> {
    let read = match protocol {
        Protocol::Asap => asap::Message::parse(bytes).map(|message| message::asap(&message)),
        Protocol::Enrp => enrp::Message::parse(bytes).map(|message| message::enrp(&message)),
    };
    match read {
        Ok((name, fields)) => {
            let length = Value::Number(bytes.len() as u64);
            let fields = Fields::default().with("bytes", length).and(fields);
            Told(What::Message { place, protocol, name, fields })
        }
        Err(error) => {
            let fields = Fields::default()
                .with("what", Value::Text(error.fault.to_string()))
                .with("offset", Value::Number(error.offset as u64))
                .with("message_hex", Value::Bytes(bytes.to_vec()));
            Told(What::Malformed { place, protocol, fields })
        }
    }
}
