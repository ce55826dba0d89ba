//! Bytes into the reader of ENRP messages. What is read is written, and then
//! reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rserpool_codec::enrp::{Body, Message};
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
    let (message, unrecognized) = match Message::parse_reporting(bytes) {
        Ok(read) => read,
        Err(error) => {
            let data = &bytes[error.offset..error.offset + error.cause.data.len()];
            assert_eq!(data, error.cause.data);
            return;
        }
    };
    if let Some(causes) = unrecognized.causes() {
        let mut out = Vec::new();
        let error = Message { body: Body::Error { causes }, ..message };
        error.emit(&mut out, LengthForm::Padded).unwrap();
    }
    for form in [LengthForm::Rfc, LengthForm::Padded] {
        let mut first = Vec::new();
        match message.emit(&mut first, form) {
            Ok(()) => {
                let again = Message::parse(&first).unwrap();
                assert_eq!(again, message);
                let mut second = Vec::new();
                again.emit(&mut second, form).unwrap();
                assert_eq!(first, second);
            }
            Err(error) => assert_eq!(error, EmitError::TooLong),
        }
    }
}
