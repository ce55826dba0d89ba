//! Bytes into the reader of ASAP messages. What is read is written, and then
//! reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rserpool_codec::asap::{Message, peek_element, peek_handle};
use rserpool_codec::{EmitError, LengthForm};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // Once more with a length that is right.
    if let (Ok(length), true) = (u16::try_from(bytes.len()), bytes.len() >= 4) {
        let mut bytes = bytes.to_vec();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        check(&bytes);
    }
});

fn check(bytes: &[u8]) {
    let _ = peek_element(bytes);
    let peeked = peek_handle(bytes);
    let (message, unrecognized) = match Message::parse_reporting(bytes) {
        Ok(read) => read,
        Err(error) => {
            let data = &bytes[error.offset..error.offset + error.cause.data.len()];
            assert_eq!(data, error.cause.data);
            return;
        }
    };
    if let Message::Registration { handle, .. }
    | Message::HandleResolution { handle, .. }
    | Message::KeepAlive { handle, .. }
    | Message::KeepAliveAck { handle, .. } = message
    {
        assert_eq!(peeked, Some((message.code(), handle)));
    }
    if let Some(causes) = unrecognized.causes() {
        let mut out = Vec::new();
        Message::Error { causes }.emit(&mut out, LengthForm::Padded).unwrap();
    }
    for form in [LengthForm::Rfc, LengthForm::Padded] {
        let mut first = Vec::new();
        match message.emit(&mut first, form) {
            Ok(()) => {
                let again = Message::parse(&first).unwrap();
                // The transports of an announce are written in another order.
                if !matches!(message, Message::ServerAnnounce { .. }) {
                    assert_eq!(again, message);
                }
                let mut second = Vec::new();
                again.emit(&mut second, form).unwrap();
                assert_eq!(first, second);
            }
            Err(error) => assert_eq!(error, EmitError::TooLong),
        }
    }
}
