//! Lets Wireshark's dissectors judge what this crate writes: every message in
//! both length forms goes through `text2pcap` and `tshark`; none may be marked
//! as malformed, and every field has to have the value it was written from.
//!
//! ```text
//! cargo run -p rserpool-codec --example dissect
//! ```
//!
//! Needs the two programs in the `PATH`; `interop/dissector` installs them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode};

use rserpool_codec::{LengthForm, asap, enrp};

use fields::{Fields, Value};

mod fields;
mod messages;
#[path = "../../tests/messages/vectors.rs"]
mod vectors;

/// A message as written, and what tshark has to find in it.
struct Case {
    name: String,
    bytes: Vec<u8>,
    expected: Fields,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("rserpool-dissect-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let judged = judge_all(&folder);
    std::fs::remove_dir_all(&folder)?;
    let (count, wrong) = judged?;
    let mut out = io::stdout().lock();
    for wrong in &wrong {
        writeln!(out, "{wrong}")?;
    }
    writeln!(out, "{count} messages dissected, {} of them wrong", wrong.len())?;
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge_all(folder: &Path) -> Result<(usize, Vec<String>), Box<dyn Error>> {
    let (mut asap, mut enrp) = (Vec::new(), Vec::new());
    for form in [LengthForm::Rfc, LengthForm::Padded] {
        for (name, message) in messages::asap() {
            let mut bytes = Vec::new();
            message.emit(&mut bytes, form)?;
            let mut expected = Fields::asap(&message);
            expected.first("message_length", Value::Number(length(&bytes)));
            asap.push(Case { name: format!("ASAP {name}, {form:?}"), bytes, expected });
        }
        for (name, message) in messages::enrp() {
            let mut bytes = Vec::new();
            message.emit(&mut bytes, form)?;
            let mut expected = Fields::enrp(&message);
            expected.first("message_length", Value::Number(length(&bytes)));
            enrp.push(Case { name: format!("ENRP {name}, {form:?}"), bytes, expected });
        }
    }
    assert_everything_is_there(&asap, &enrp);
    let mut wrong = judge(folder, "asap", asap::PORT, asap::PPID, &asap)?;
    wrong.extend(judge(folder, "enrp", enrp::PORT, enrp::PPID, &enrp)?);
    Ok((asap.len() + enrp.len(), wrong))
}

/// Every message, every parameter and every cause has to be among the cases.
fn assert_everything_is_there(asap: &[Case], enrp: &[Case]) {
    let all = |cases: &[Case], name| -> BTreeSet<u64> {
        cases.iter().flat_map(|case| case.expected.numbers(name)).collect()
    };
    let messages = |cases: &[Case]| -> BTreeSet<u64> {
        cases.iter().map(|case| u64::from(case.bytes[0])).collect()
    };
    assert!(messages(asap).into_iter().eq(1..=14));
    assert!(messages(enrp).into_iter().eq(1..=10));
    let parameters = &all(asap, "parameter_type") | &all(enrp, "parameter_type");
    assert!((1..=0x10).chain([0x803f]).all(|kind| parameters.contains(&kind)));
    for cases in [asap, enrp] {
        assert!((1..=0xa).all(|cause| all(cases, "cause_code").contains(&cause)));
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::from(u16::from_be_bytes([bytes[2], bytes[3]]))
}

/// Has the messages of one protocol dissected, and says what is wrong.
fn judge(
    folder: &Path,
    protocol: &str,
    port: u16,
    ppid: u32,
    cases: &[Case],
) -> Result<Vec<String>, Box<dyn Error>> {
    let mut text = String::new();
    for case in cases {
        text.push_str("000000");
        for byte in &case.bytes {
            write!(text, " {byte:02x}")?;
        }
        text.push('\n');
    }
    let (hex, capture) = (folder.join("messages.txt"), folder.join("messages.pcap"));
    std::fs::write(&hex, text)?;
    let sctp = format!("{port},{port},{ppid}");
    run(Command::new("text2pcap").arg("-S").arg(sctp).arg(&hex).arg(&capture))?;

    let names = Fields::names(protocol);
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&capture).args(["-T", "fields", "-E", "separator=|"]);
    tshark.args(["-e", "_ws.malformed", "-e", "_ws.expert.message"]);
    for name in &names {
        tshark.arg("-e").arg(format!("{protocol}.{name}"));
    }
    let dissected = run(&mut tshark)?;
    let lines: Vec<&str> = dissected.lines().collect();
    if lines.len() != cases.len() {
        return Err(format!("{} messages make {} packets", cases.len(), lines.len()).into());
    }
    let mut wrong = Vec::new();
    for (case, line) in cases.iter().zip(lines) {
        let mut columns = line.split('|');
        let marks: Vec<&str> = columns.by_ref().take(2).filter(|mark| !mark.is_empty()).collect();
        if !marks.is_empty() {
            wrong.push(format!("{}: {}", case.name, marks.join(", ")));
        }
        let found: BTreeMap<&str, &str> = names.iter().copied().zip(columns).collect();
        for name in &names {
            let text = found.get(name).copied().unwrap_or_default();
            if !case.expected.agrees(name, text) {
                let expected = case.expected.get(name);
                wrong.push(format!("{}: {name} is {text}, not {expected:?}", case.name));
            }
        }
    }
    Ok(wrong)
}

/// Runs a program and returns what it prints.
fn run(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {said}", command.get_program().display()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
