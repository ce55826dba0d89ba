//! Reads captures (pcap or pcapng) and checks that every ASAP and ENRP message
//! in them is read, and written back to the same bytes in rsplib's length form:
//!
//! ```text
//! cargo run -p rserpool-codec --example replay -- FILE...
//! ```
//!
//! Messages are looked for in SCTP by their payload protocol identifier, also
//! in SCTP over UDP (port 9899), and in UDP by the registered ports.
//!
//! With `--frames`, nothing is checked, and each different message of one file
//! is printed once, as `tests/captures` has them: the number of the first
//! packet with it, how often it occurs, its protocol, its bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use rserpool_codec::{LengthForm, asap, enrp};

mod capture;
mod packet;

/// Which protocol a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Asap,
    Enrp,
}

/// What was found in all files.
#[derive(Default)]
struct Findings {
    /// By protocol and message type.
    counts: BTreeMap<(Protocol, u8), usize>,
    wrong: Vec<String>,
}

impl Findings {
    fn check(&mut self, place: &str, protocol: Protocol, message: &[u8]) {
        let code = message.first().copied().unwrap_or_default();
        *self.counts.entry((protocol, code)).or_default() += 1;
        match written_back(protocol, message) {
            Ok(written) if written == message => {}
            Ok(written) => self.wrong.push(format!(
                "{place}: {protocol:?} {} is written back as {}",
                hex(message),
                hex(&written)
            )),
            Err(error) => {
                self.wrong.push(format!("{place}: {protocol:?} {}: {error}", hex(message)));
            }
        }
    }
}

/// Reads a message and writes it in rsplib's form.
fn written_back(protocol: Protocol, message: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let written = match protocol {
        Protocol::Asap => asap::Message::parse(message)
            .map_err(|error| error.to_string())?
            .emit(&mut out, LengthForm::Padded),
        Protocol::Enrp => enrp::Message::parse(message)
            .map_err(|error| error.to_string())?
            .emit(&mut out, LengthForm::Padded),
    };
    written.map_err(|error| error.to_string())?;
    Ok(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Prints each different message of a capture.
fn print_frames(out: &mut impl Write, packets: &[(capture::Link, &[u8])]) -> io::Result<()> {
    let mut frames: Vec<(usize, usize, Protocol, &[u8])> = Vec::new();
    let mut places = BTreeMap::new();
    for (number, (link, packet)) in (1..).zip(packets) {
        for (protocol, message) in packet::messages(*link, packet) {
            let place = *places.entry((protocol, message)).or_insert(frames.len());
            match frames.get_mut(place) {
                Some((_, count, ..)) => *count += 1,
                None => frames.push((number, 1, protocol, message)),
            }
        }
    }
    for (number, count, protocol, message) in frames {
        let protocol = format!("{protocol:?}").to_lowercase();
        writeln!(out, "{number} {count} {protocol} {}", hex(message))?;
    }
    Ok(())
}

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let frames = arguments.first().is_some_and(|argument| argument == "--frames");
    if frames {
        arguments.remove(0);
    }
    if arguments.is_empty() || frames && arguments.len() > 1 {
        writeln!(out, "usage: replay FILE..., or replay --frames FILE")?;
        return Ok(ExitCode::from(2));
    }
    let mut findings = Findings::default();
    for name in &arguments {
        let file = std::fs::read(name)?;
        let packets = capture::packets(&file).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{name} is no capture"))
        })?;
        if frames {
            print_frames(&mut out, &packets)?;
            return Ok(ExitCode::SUCCESS);
        }
        let before: usize = findings.counts.values().sum();
        for (number, (link, packet)) in packets.iter().enumerate() {
            let place = format!("{name}, packet {}", number + 1);
            for (protocol, message) in packet::messages(*link, packet) {
                findings.check(&place, protocol, message);
            }
        }
        let after: usize = findings.counts.values().sum();
        writeln!(out, "{name}: {} packets, {} messages", packets.len(), after - before)?;
    }
    for ((protocol, code), count) in &findings.counts {
        writeln!(out, "{protocol:?} {code:#04x}: {count}")?;
    }
    for wrong in &findings.wrong {
        writeln!(out, "{wrong}")?;
    }
    let all: usize = findings.counts.values().sum();
    writeln!(out, "{all} messages, {} not written back to the same bytes", findings.wrong.len())?;
    let good = findings.wrong.is_empty() && all > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
