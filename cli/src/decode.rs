//! `rsp decode`: the ASAP and ENRP messages of a capture file.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use rserpool_capture::{Ports, Told, decode};

use crate::command_line::{Decode, Line};
use crate::outcome::Failure;

pub(crate) fn run(line: &Line, options: &Decode) -> Result<(), Failure> {
    let place = options.file.display();
    let file =
        File::open(&options.file).map_err(|error| Failure::failed(format!("{place}: {error}")))?;
    let ports = Ports {
        asap: options.asap_port.clone(),
        enrp: options.enrp_port.clone(),
        sctp_udp: options.sctp_udp_port.clone(),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut failure = None;
    let mut write = |told: &Told<'_>| {
        if failure.is_none() {
            let written =
                if line.json { told.write_json(&mut out) } else { told.write_text(&mut out) };
            failure = written.err();
        }
    };
    let (counts, broken) = decode(file, &ports, &mut write);
    write(&Told::from(&counts));
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
