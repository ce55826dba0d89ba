//! Every message that instances of rsplib 3.4 and 3.5 were recorded exchanging,
//! in the files of `tests/captures`: `replay --frames` made them.

use std::collections::BTreeMap;
use std::path::Path;

use rserpool_codec::{LengthForm, asap, enrp};

use crate::vectors::bytes;

/// One message of a recording.
struct Frame {
    /// The file and the packet, for who wants to know.
    place: String,
    /// How often it was recorded.
    count: usize,
    is_asap: bool,
    bytes: Vec<u8>,
}

fn frames() -> Vec<Frame> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut frames = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let [packet, count, protocol, hex] =
                line.split(' ').collect::<Vec<_>>().try_into().expect(line);
            assert!(["asap", "enrp"].contains(&protocol), "{line}");
            frames.push(Frame {
                place: format!("{name}, packet {packet}"),
                count: count.parse().unwrap(),
                is_asap: protocol == "asap",
                bytes: bytes(hex),
            });
        }
    }
    frames
}

/// Reads a message and writes it in rsplib's length form.
fn written_back(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    if frame.is_asap {
        let message = asap::Message::parse(&frame.bytes).expect(&frame.place);
        assert_eq!(message.code(), frame.bytes[0]);
        message.emit(&mut out, LengthForm::Padded).expect(&frame.place);
    } else {
        let message = enrp::Message::parse(&frame.bytes).expect(&frame.place);
        assert_eq!(message.code(), frame.bytes[0]);
        message.emit(&mut out, LengthForm::Padded).expect(&frame.place);
    }
    out
}

#[test]
fn every_message_of_rsplib_is_written_back_as_it_was() {
    for frame in frames() {
        assert_eq!(written_back(&frame), frame.bytes, "{}", frame.place);
    }
}

#[test]
fn the_recordings_have_every_message_that_rsplib_sends() {
    let frames = frames();
    assert_eq!(frames.iter().map(|frame| frame.count).sum::<usize>(), 3371);
    let mut kinds = BTreeMap::<(bool, u8), usize>::new();
    for frame in &frames {
        *kinds.entry((frame.is_asap, frame.bytes[0])).or_default() += frame.count;
    }
    // No business card, error or Takeover Server: it sends none, or none arrives.
    let asap = (0x01..=0x0c).map(|code| (true, code));
    let enrp = (0x01..=0x08).map(|code| (false, code));
    assert!(kinds.into_keys().eq(enrp.chain(asap)));
}
