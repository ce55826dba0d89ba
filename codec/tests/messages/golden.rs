//! Messages known from the RFCs and from rsplib: read, compared, written back.

use rserpool_codec::{LengthForm, Transport, asap, enrp};

use crate::vectors;

#[test]
fn every_asap_vector_is_read_and_written() {
    for vector in vectors::asap() {
        let bytes = vector.bytes();
        assert_eq!(asap::Message::parse(&bytes), Ok(vector.message), "{}", vector.name);
        let mut out = vec![0xa5; 3];
        vector.message.emit(&mut out, vector.form).unwrap();
        assert_eq!(out[3..], bytes, "{}", vector.name);
        assert_eq!(vector.message.code(), bytes[0]);
    }
}

#[test]
fn every_enrp_vector_is_read_and_written() {
    for vector in vectors::enrp() {
        let bytes = vector.bytes();
        assert_eq!(enrp::Message::parse(&bytes), Ok(vector.message), "{}", vector.name);
        let mut out = vec![0xa5; 3];
        vector.message.emit(&mut out, vector.form).unwrap();
        assert_eq!(out[3..], bytes, "{}", vector.name);
        assert_eq!(vector.message.code(), bytes[0]);
    }
}

#[test]
fn vectors_cover_all_message_types() {
    let mut types: Vec<u8> = vectors::asap().iter().map(|vector| vector.message.code()).collect();
    types.dedup();
    assert_eq!(types, (1..=14).collect::<Vec<u8>>());
    let mut types: Vec<u8> = vectors::enrp().iter().map(|vector| vector.message.code()).collect();
    types.dedup();
    assert_eq!(types, (1..=10).collect::<Vec<u8>>());
}

#[test]
fn transports_are_read_and_written_as_the_rfc_draws_them() {
    for (transport, hex) in vectors::TRANSPORTS {
        let mut out = Vec::new();
        transport.emit(&mut out, LengthForm::Rfc).unwrap();
        assert_eq!(out, vectors::bytes(hex));
        assert_eq!(Transport::parse(&out), Ok(transport));
    }
}

#[test]
fn a_vector_reads_the_same_in_the_other_length_form() {
    let other = |form| match form {
        LengthForm::Rfc => LengthForm::Padded,
        LengthForm::Padded => LengthForm::Rfc,
    };
    let mut differing = 0;
    for vector in vectors::asap() {
        let mut out = Vec::new();
        vector.message.emit(&mut out, other(vector.form)).unwrap();
        differing += usize::from(out != vector.bytes());
        assert_eq!(asap::Message::parse(&out), Ok(vector.message));
        assert_eq!(out.len(), vector.bytes().len());
    }
    for vector in vectors::enrp() {
        let mut out = Vec::new();
        vector.message.emit(&mut out, other(vector.form)).unwrap();
        differing += usize::from(out != vector.bytes());
        assert_eq!(enrp::Message::parse(&out), Ok(vector.message));
        assert_eq!(out.len(), vector.bytes().len());
    }
    // Two resolutions of "abcde", the odd cookie, the presence with a checksum only.
    assert_eq!(differing, 4);
}
