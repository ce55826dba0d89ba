//! A capture file, whatever is in it: what is told of it is the same however it
//! is read, not much longer than the file, and does nothing to a terminal.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use rserpool_capture::{Broken, Counts, Ports, decode};

/// Gives a few bytes at a time.
struct InPieces<'a>(&'a [u8]);

impl Read for InPieces<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let length = room.len().min(7);
        self.0.read(&mut room[..length])
    }
}

fn read(file: impl Read + Send) -> (String, Counts, Result<(), Broken>) {
    let ports = Ports { asap: vec![7777], ..Ports::default() };
    let (mut text, mut json) = (Vec::new(), Vec::new());
    let (counts, broken) = decode(file, &ports, |told| {
        told.write_text(&mut text).unwrap();
        json.clear();
        told.write_json(&mut json).unwrap();
        assert!(json.iter().filter(|byte| byte.is_ascii_control()).eq(b"\n"));
    });
    (String::from_utf8(text).unwrap(), counts, broken)
}

fuzz_target!(|file: &[u8]| {
    let whole = read(file);
    assert!(!whole.0.contains(|one: char| one.is_control() && one != '\n'), "{:?}", whole.0);
    assert!(whole.0.len() <= 64 * file.len() + 1000, "{} of {}", whole.0.len(), file.len());
    // Of a block that is too long and not all there either may be told.
    let pieces = read(InPieces(file));
    assert_eq!((&whole.0, whole.1, whole.2.is_ok()), (&pieces.0, pieces.1, pieces.2.is_ok()));
});
