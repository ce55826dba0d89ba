//! What is found, for people and programs.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::fields::{Fields, Value};
use crate::file::Time;

/// The two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
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
pub(crate) enum Lost {
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
pub(crate) struct Place {
    pub(crate) packet: u64,
    pub(crate) time: Time,
    /// The time of the first packet.
    pub(crate) start: Time,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) carrier: &'static str,
}

/// Something that is found, in the order of the file.
#[derive(Debug)]
pub struct Told<'a>(pub(crate) What<'a>);

#[derive(Debug)]
pub(crate) enum What<'a> {
    Message { place: &'a Place, protocol: Protocol, name: &'static str, fields: Fields },
    Malformed { place: &'a Place, protocol: Protocol, fields: Fields },
    Lost { place: &'a Place, what: Lost },
    End(&'a Counts),
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets, of whatever kind.
    pub packets: u64,
    /// Messages that make sense.
    pub messages: u64,
    /// Messages that make none.
    pub malformed: u64,
    /// Gaps of the capture.
    pub lost: u64,
    /// Messages whose rest is not in the capture.
    pub incomplete: u64,
}

impl<'a> From<&'a Counts> for Told<'a> {
    fn from(counts: &'a Counts) -> Self {
        Self(What::End(counts))
    }
}

impl Told<'_> {
    /// Writes it as a line of JSON.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &self.fields())?;
        out.write_all(b"\n")
    }

    /// Writes it for people, on one line, and one more for each element.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut impl io::Write) -> io::Result<()> {
        match &self.0 {
            What::Message { place, protocol, name, fields } => {
                writeln!(out, "{place}  {} {name}{fields}", protocol.name())
            }
            What::Malformed { place, protocol, fields } => {
                writeln!(out, "{place}  {} MALFORMED{fields}", protocol.name())
            }
            What::Lost { place, what } => writeln!(out, "{place}  LOST  {what}"),
            What::End(counts) => {
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
        match &self.0 {
            What::Message { place, protocol, name, fields } => event("message")
                .and(place.fields())
                .with("protocol", text(protocol.name()))
                .with("message", text(name))
                .and(fields.clone()),
            What::Malformed { place, protocol, fields } => event("malformed")
                .and(place.fields())
                .with("protocol", text(protocol.name()))
                .and(fields.clone()),
            What::Lost { place, what } => {
                event("lost").and(place.fields()).with("what", Value::Text(what.to_string()))
            }
            What::End(counts) => event("end")
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
