//! Bytes that are no message: they never panic, and what is read from them
//! nevertheless is a message that can be written.

use proptest::prelude::*;
use rserpool_codec::{
    DecodeError, Element, Elements, EmitError, Frame, LengthForm, Reply, Transport, asap, enrp,
    frame, parameter,
};

use crate::owned::{asap_parts, enrp_parts};
use crate::vectors;

/// Reads bytes in every way; `true` if they are an ASAP message.
fn read_as_asap(bytes: &[u8]) -> bool {
    let _ = asap::peek_element(bytes);
    let peeked = asap::peek_handle(bytes);
    let (message, unrecognized) = match asap::Message::parse_reporting(bytes) {
        Ok(read) => read,
        Err(error) => {
            check_error(&error, bytes, 0x0e);
            return false;
        }
    };
    if let asap::Message::Registration { handle, .. }
    | asap::Message::HandleResolution { handle, .. }
    | asap::Message::KeepAliveAck { handle, .. } = message
    {
        assert_eq!(peeked, Some((message.code(), handle)));
    }
    if let Some(causes) = unrecognized.causes() {
        let mut out = Vec::new();
        asap::Message::Error { causes }.emit(&mut out, LengthForm::Padded).unwrap();
        assert_eq!(asap::Message::parse(&out), Ok(asap::Message::Error { causes }));
    }
    assert!(!format!("{message:?} {unrecognized:?}").is_empty());
    let mut first = Vec::new();
    match message.emit(&mut first, LengthForm::Rfc) {
        // What was skipped is left out, mapped addresses are unmapped, and the
        // transports of an announce are ordered: the second time changes nothing.
        Ok(()) => {
            let again = asap::Message::parse(&first).unwrap();
            let mut second = Vec::new();
            again.emit(&mut second, LengthForm::Rfc).unwrap();
            assert_eq!(first, second);
        }
        Err(error) => assert_eq!(error, EmitError::TooLong),
    }
    true
}

/// Reads bytes in every way; `true` if they are an ENRP message.
fn read_as_enrp(bytes: &[u8]) -> bool {
    let (message, unrecognized) = match enrp::Message::parse_reporting(bytes) {
        Ok(read) => read,
        Err(error) => {
            check_error(&error, bytes, 0x0a);
            return false;
        }
    };
    if let Some(causes) = unrecognized.causes() {
        let mut out = Vec::new();
        let body = enrp::Body::Error { causes };
        enrp::Message { body, ..message }.emit(&mut out, LengthForm::Padded).unwrap();
    }
    assert!(!format!("{message:?} {unrecognized:?}").is_empty());
    let mut first = Vec::new();
    message.emit(&mut first, LengthForm::Rfc).unwrap();
    assert_eq!(enrp::Message::parse(&first), Ok(message));
    true
}

fn check_error(error: &DecodeError<'_>, bytes: &[u8], error_code: u8) {
    assert!(error.offset <= bytes.len());
    let data = bytes.get(error.offset..error.offset + error.cause.data.len());
    assert_eq!(data, Some(error.cause.data), "the offset is that of the data");
    assert!((1..=3).contains(&error.cause.code));
    if bytes.first().is_none_or(|code| *code == error_code) {
        assert_eq!(error.reply, Reply::Silent);
    }
    let causes = [error.cause];
    let causes = rserpool_codec::Causes::list(&causes);
    let body = enrp::Body::Error { causes };
    let mut out = Vec::new();
    enrp::Message { sender: vectors::REGISTRAR, receiver: vectors::PEER, body }
        .emit(&mut out, LengthForm::Padded)
        .unwrap();
    assert!(!error.to_string().is_empty());
}

fn read_everything(bytes: &[u8]) {
    read_as_asap(bytes);
    read_as_enrp(bytes);
    if let Ok(element) = Element::parse(bytes) {
        let mut out = Vec::new();
        element.emit(&mut out, LengthForm::Rfc).unwrap();
        assert_eq!(Element::parse(&out), Ok(element));
    }
    if let Ok(transport) = Transport::parse(bytes) {
        let mut out = Vec::new();
        transport.emit(&mut out, LengthForm::Rfc).unwrap();
        assert_eq!(Transport::parse(&out), Ok(transport));
    }
    if let Ok(policy) = parameter::parse_policy(bytes) {
        let mut out = Vec::new();
        parameter::emit_policy(policy, &mut out).unwrap();
        assert_eq!(parameter::parse_policy(&out), Ok(policy));
    }
    if let Ok(handle) = parameter::parse_pool_handle(bytes) {
        let mut out = Vec::new();
        parameter::emit_pool_handle(handle, &mut out).unwrap();
        assert_eq!(parameter::parse_pool_handle(&out), Ok(handle));
    }
    if let Ok(elements) = Elements::wire(bytes) {
        assert_eq!(elements.iter_raw().count(), elements.len());
        for (element, raw) in elements.iter_raw() {
            assert_eq!(Element::parse(raw), Ok(element));
        }
    }
    if let Frame::Whole(length) = frame(bytes) {
        assert!(length <= bytes.len());
    }
}

/// All vectors as bytes; `true` for ASAP.
fn all_vectors() -> Vec<(bool, Vec<u8>)> {
    let asap = vectors::asap().into_iter().map(|vector| (true, vector.bytes()));
    let enrp = vectors::enrp().into_iter().map(|vector| (false, vector.bytes()));
    asap.chain(enrp).collect()
}

#[test]
fn a_truncated_message_is_an_error() {
    for (is_asap, bytes) in all_vectors() {
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        for end in 0..length {
            let read = if is_asap { read_as_asap } else { read_as_enrp };
            assert!(!read(&bytes[..end]), "{bytes:x?} to {end}");
        }
    }
}

#[test]
fn a_message_whose_length_lies_does_no_harm() {
    for (_, mut bytes) in all_vectors() {
        bytes.extend([0; 8]);
        for length in 0..u16::try_from(bytes.len()).unwrap() {
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            for end in 0..=bytes.len() {
                read_everything(&bytes[..end]);
            }
        }
        for length in [0x7fff, 0xfffc, 0xffff_u16] {
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            assert!(!read_as_asap(&bytes));
            assert!(!read_as_enrp(&bytes));
        }
    }
}

#[test]
fn every_change_of_a_byte_does_no_harm() {
    let (mut read, mut refused) = (0, 0);
    for (is_asap, bytes) in all_vectors() {
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            for value in 0..=u8::MAX {
                changed[position] = value;
                let readable =
                    if is_asap { read_as_asap(&changed) } else { read_as_enrp(&changed) };
                *(if readable { &mut read } else { &mut refused }) += 1;
                if let Ok(elements) = Elements::wire(&changed[position..]) {
                    assert_eq!(elements.iter().count(), elements.len());
                }
            }
        }
    }
    // Both happen, or the test looks at nothing.
    assert!(read > 10_000 && refused > 10_000, "{read} {refused}");
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        code in 0..16_u8,
        right_length: bool,
    ) {
        read_everything(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = code;
        }
        if right_length && bytes.len() >= 4 {
            let length = u16::try_from(bytes.len()).unwrap();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        read_everything(&bytes);
    }

    #[test]
    fn parameters_in_random_order_do_no_harm(
        code in 0..16_u8,
        fields in 0..4_usize,
        parameters in proptest::collection::vec((parameter_type(), body()), 0..6),
    ) {
        let mut bytes = vec![code, 0, 0, 0];
        bytes.extend(vec![1; fields * 4]);
        for (kind, value) in parameters {
            push(&mut bytes, kind, &value);
        }
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        read_everything(&bytes);
    }

    #[test]
    fn several_changes_of_any_message_do_no_harm(
        asap in asap_parts(),
        enrp in enrp_parts(),
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..5),
    ) {
        let mut messages = [Vec::new(), Vec::new()];
        asap.asap(|message| message.emit(&mut messages[0], LengthForm::Rfc)).unwrap();
        enrp.enrp(|message| message.emit(&mut messages[1], LengthForm::Rfc)).unwrap();
        for bytes in &mut messages {
            for (position, value) in &changes {
                let position = usize::from(*position) % bytes.len();
                bytes[position] = *value;
            }
            read_everything(bytes);
        }
    }
}

fn parameter_type() -> impl Strategy<Value = u16> {
    prop_oneof![
        8 => 0..=0x11_u16,
        1 => Just(0x803f),
        1 => Just(0x003f),
        2 => any::<u16>(),
    ]
}

/// A value of a parameter, or parameters in it.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let leaf = proptest::collection::vec(any::<u8>(), 0..24);
    leaf.prop_recursive(3, 16, 4, |inner| {
        let fields = prop_oneof![Just(0), Just(4), Just(8), Just(12_usize)];
        (fields, proptest::collection::vec((parameter_type(), inner), 0..4)).prop_map(
            |(fields, parameters)| {
                let mut bytes = vec![1; fields];
                for (kind, value) in parameters {
                    push(&mut bytes, kind, &value);
                }
                bytes
            },
        )
    })
}

fn push(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(kind.to_be_bytes());
    bytes.extend(u16::try_from(value.len() + 4).unwrap().to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
