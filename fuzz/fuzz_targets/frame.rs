//! A byte stream, as it comes in pieces of any size: its messages are the same
//! as those of the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rserpool_codec::{Frame, frame};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, stream) = input;
    let mut whole = Vec::new();
    let mut rest = stream;
    let end = loop {
        match frame(rest) {
            Frame::Whole(length) => {
                assert!(length >= 4 && length % 4 == 0);
                whole.push(&rest[..length]);
                rest = &rest[length..];
            }
            end => break end,
        }
    };

    let mut in_pieces = Vec::new();
    let mut buffer = Vec::new();
    let mut last = Frame::Incomplete;
    for piece in stream.chunks(usize::from(piece).max(1)) {
        buffer.extend_from_slice(piece);
        last = frame(&buffer);
        while let Frame::Whole(length) = last {
            in_pieces.push(buffer.drain(..length).collect::<Vec<u8>>());
            last = frame(&buffer);
        }
        if last == Frame::Malformed {
            break;
        }
    }
    assert_eq!(whole, in_pieces);
    assert_eq!(end, last);
});
