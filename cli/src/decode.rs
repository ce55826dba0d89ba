//! `rsp decode`: the ASAP and ENRP messages of a capture file.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Read, Write as _};
use std::net::{IpAddr, SocketAddr};

use rserpool_codec::{asap, enrp};

use self::capture::{Broken, Packet, Time, each_packet};
use self::fields::{Fields, Value};
use self::network::{Content, Datagram, Network};
use self::sctp::{Associations, Ports};
use self::tcp::{Connections, protocol};
use crate::command_line::{Decode, Line};
use crate::outcome::Failure;

mod capture;
mod fields;
mod message;
mod network;
mod recent;
mod sctp;
mod tcp;
#[cfg(test)]
mod tests;

/// The registered port of SCTP over UDP (RFC 6951, 6).
const SCTP_UDP_PORT: u16 = 9899;

pub(crate) fn run(line: &Line, options: &Decode) -> Result<(), Failure> {
    let place = options.file.display();
    let file =
        File::open(&options.file).map_err(|error| Failure::failed(format!("{place}: {error}")))?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut failure = None;
    let found = decode(file, options, |told| {
        if failure.is_none() {
            failure = told.write(&mut out, line.json).err();
        }
    });
    let (counts, broken) = found;
    if failure.is_none() {
        failure = Told::End(&counts).write(&mut out, line.json).err();
    }
    if let Some(error) = failure.or_else(|| out.flush().err()) {
        return Err(Failure::output(&error));
    }
    match broken {
        Err(broken) => Err(Failure::failed(format!("{place}: {broken}"))),
        Ok(()) if counts.malformed > 0 => {
            Err(Failure::failed(format!("{} messages are malformed", counts.malformed)))
        }
        Ok(()) => Ok(()),
    }
}

/// Tells all that is in a file, as far as it can be read.
fn decode(
    file: impl Read + Send,
    options: &Decode,
    tell: impl FnMut(&Told<'_>),
) -> (Counts, Result<(), Broken>) {
    let mut decoder = Decoder::new(options, tell);
    let mut network = Network::default();
    let read = each_packet(file, |packet| {
        decoder.begin(packet);
        network.receive(packet, |datagram| decoder.receive(&datagram));
    });
    (decoder.finish(), read)
}

/// The two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Asap,
    Enrp,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Asap => "ASAP",
            Self::Enrp => "ENRP",
        }
    }
}

/// What a capture does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// The end of an SCTP packet.
    CutPacket,
    /// Chunks whose message is not complete.
    Fragments,
    /// Bytes of a TCP connection.
    Gap(u32),
    /// A segment of a connection whose beginning is missing does not begin a
    /// message.
    Unaligned,
    /// A connection ended within a message.
    EndOfStream,
    /// After a malformed message, a TCP connection has no places where messages
    /// begin.
    Undelimited,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutPacket => f.write_str("the packet is not whole"),
            Self::Fragments => f.write_str("parts of messages whose rest did not come"),
            Self::Gap(bytes) => write!(f, "{bytes} bytes of the connection are missing"),
            Self::Unaligned => f.write_str("the beginning of a message is missing"),
            Self::EndOfStream => f.write_str("the connection ended within a message"),
            Self::Undelimited => f.write_str("the rest of the connection cannot be read"),
        }
    }
}

/// Where something was found.
#[derive(Clone, Copy, Debug)]
struct Place {
    packet: u64,
    time: Time,
    /// The time of the first packet.
    start: Time,
    from: SocketAddr,
    to: SocketAddr,
    carrier: &'static str,
}

/// What is told, in the order of the file.
#[derive(Debug)]
enum Told<'a> {
    Message { place: &'a Place, protocol: Protocol, name: &'static str, fields: Fields },
    Malformed { place: &'a Place, protocol: Protocol, fields: Fields },
    Lost { place: &'a Place, what: Lost },
    End(&'a Counts),
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    packets: u64,
    messages: u64,
    malformed: u64,
    /// Gaps of the capture.
    lost: u64,
    /// Messages whose rest is not in the capture.
    incomplete: u64,
}

impl Told<'_> {
    fn write(&self, out: &mut impl std::io::Write, as_json: bool) -> std::io::Result<()> {
        if as_json {
            serde_json::to_writer(&mut *out, &self.fields())?;
            return out.write_all(b"\n");
        }
        match self {
            Self::Message { place, protocol, name, fields } => {
                writeln!(out, "{place}  {} {name}{fields}", protocol.name())
            }
            Self::Malformed { place, protocol, fields } => {
                writeln!(out, "{place}  {} MALFORMED{fields}", protocol.name())
            }
            Self::Lost { place, what } => writeln!(out, "{place}  LOST  {what}"),
            Self::End(counts) => {
                let Counts { packets, messages, malformed, lost, incomplete } = counts;
                writeln!(
                    out,
                    "{packets} packets: {messages} messages, {malformed} malformed, \
                     {lost} gaps, {incomplete} incomplete at the end"
                )
            }
        }
    }

    /// Everything, named.
    fn fields(&self) -> Fields {
        let text = |text: &str| Value::Text(text.to_owned());
        let event = |name| Fields::default().with("event", text(name));
        match self {
            Self::Message { place, protocol, name, fields } => event("message")
                .and(place.fields())
                .with("protocol", text(protocol.name()))
                .with("message", text(name))
                .and(fields.clone()),
            Self::Malformed { place, protocol, fields } => event("malformed")
                .and(place.fields())
                .with("protocol", text(protocol.name()))
                .and(fields.clone()),
            Self::Lost { place, what } => {
                event("lost").and(place.fields()).with("what", Value::Text(what.to_string()))
            }
            Self::End(counts) => event("end")
                .with("packets", Value::Number(counts.packets))
                .with("messages", Value::Number(counts.messages))
                .with("malformed", Value::Number(counts.malformed))
                .with("lost", Value::Number(counts.lost))
                .with("incomplete", Value::Number(counts.incomplete)),
        }
    }
}

impl Place {
    fn fields(&self) -> Fields {
        // Nanoseconds do not fit the numbers of most readers of JSON.
        let (seconds, nanos) =
            (self.time.0.div_euclid(1_000_000_000), self.time.0.rem_euclid(1_000_000_000));
        Fields::default()
            .with("packet", Value::Number(self.packet))
            .with("time", Value::Text(format!("{seconds}.{nanos:09}")))
            .with("from", Value::Text(self.from.to_string()))
            .with("to", Value::Text(self.to.to_string()))
            .with("carrier", Value::Text(self.carrier.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packet, from, to, carrier, .. } = self;
        let time = self.time.since(self.start);
        write!(f, "{packet}  {time:.6}  {from} > {to}  {carrier}")
    }
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
    fn new(options: &Decode, tell: T) -> Self {
        let with = |port: u16, more: &[u16]| [&[port], more].concat();
        Self {
            tell,
            asap: with(asap::PORT, &options.asap_port),
            enrp: with(enrp::PORT, &options.enrp_port),
            sctp_udp: with(SCTP_UDP_PORT, &options.sctp_udp_port),
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
        let ports = Ports::of(packet);
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
                match told {
                    Told::Malformed { .. } => self.counts.malformed += 1,
                    Told::Message { .. } | Told::Lost { .. } | Told::End(_) => {
                        self.counts.messages += 1;
                    }
                }
                (self.tell)(&told);
            }
            Found::Lost(what) => {
                self.counts.lost += 1;
                (self.tell)(&Told::Lost { place, what });
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
            Told::Message { place, protocol, name, fields }
        }
        Err(error) => {
            let fields = Fields::default()
                .with("what", Value::Text(error.fault.to_string()))
                .with("offset", Value::Number(error.offset as u64))
                .with("message_hex", Value::Bytes(bytes.to_vec()));
            Told::Malformed { place, protocol, fields }
        }
    }
}
