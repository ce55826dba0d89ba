//! What the RFCs want done about each kind of wrong bytes.

use rserpool_codec::{
    Addresses, Cause, CauseCode, Causes, DecodeError, Element, Elements, EmitError, Fault,
    LengthForm, Reply, Transport, Transports, asap, enrp,
};
use rserpool_engine::{ChannelUse, PeId, Policy, PoolHandle, RegistrarId};

use crate::tree::Tree;
use crate::vectors::{self, bytes};

/// Puts a parameter in at each place of each message and calls `check` with
/// what came of it, a name, and the bytes.
fn insert_everywhere(
    kind: u16,
    value: &[u8],
    mut check_asap: impl FnMut(
        asap::Message<'_>,
        Result<(asap::Message<'_>, Vec<Cause<'_>>), DecodeError<'_>>,
    ),
    mut check_enrp: impl FnMut(
        enrp::Message<'_>,
        Result<(enrp::Message<'_>, Vec<Cause<'_>>), DecodeError<'_>>,
    ),
) {
    let parameter = Tree::parameter(kind, value);
    for vector in vectors::asap() {
        for tree in Tree::message(true, &vector.bytes()).insertions(&parameter) {
            let bytes = tree.bytes();
            let read = asap::Message::parse_reporting(&bytes);
            check_asap(vector.message, read.map(|(read, causes)| (read, causes.iter().collect())));
        }
    }
    for vector in vectors::enrp() {
        for tree in Tree::message(false, &vector.bytes()).insertions(&parameter) {
            let bytes = tree.bytes();
            let read = enrp::Message::parse_reporting(&bytes);
            check_enrp(vector.message, read.map(|(read, causes)| (read, causes.iter().collect())));
        }
    }
}

/// A parameter without padding.
fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    [&kind.to_be_bytes(), &length.to_be_bytes(), value].concat()
}

#[test]
fn trees_are_put_together_as_they_were() {
    for vector in vectors::asap() {
        let mut rfc = Vec::new();
        vector.message.emit(&mut rfc, LengthForm::Rfc).unwrap();
        assert_eq!(Tree::message(true, &rfc).bytes(), rfc);
    }
    for vector in vectors::enrp() {
        let mut rfc = Vec::new();
        vector.message.emit(&mut rfc, LengthForm::Rfc).unwrap();
        assert_eq!(Tree::message(false, &rfc).bytes(), rfc);
    }
}

#[test]
fn unknown_parameters_with_bits_10_are_skipped_everywhere() {
    for value in [&b"abcd"[..], b"", b"a", b"abc"] {
        let mut count = 0;
        insert_everywhere(
            0x8fff,
            value,
            |message, read| {
                count += 1;
                assert_eq!(read, Ok((message, vec![])));
            },
            |message, read| assert_eq!(read, Ok((message, vec![]))),
        );
        assert!(count > 100);
    }
}

#[test]
fn unknown_parameters_with_bits_11_are_skipped_and_reported_everywhere() {
    for value in [&b"abcd"[..], b"", b"a", b"abc"] {
        let parameter = tlv(0xcfff, value);
        let causes = vec![Cause::new(CauseCode::UnrecognizedParameter, &parameter)];
        insert_everywhere(
            0xcfff,
            value,
            |message, read| {
                // Errors are not answered by errors.
                let is_error = message.code() == 0x0e;
                let causes = if is_error { vec![] } else { causes.clone() };
                assert_eq!(read, Ok((message, causes)));
            },
            |message, read| {
                let is_error = message.code() == 0x0a;
                let causes = if is_error { vec![] } else { causes.clone() };
                assert_eq!(read, Ok((message, causes)));
            },
        );
    }
}

#[test]
fn unknown_parameters_with_bits_0x_stop_everywhere() {
    for (kind, reply) in [(0x0011, Reply::Silent), (0x3fff, Reply::Silent), (0x4fff, Reply::Report)]
    {
        let parameter = tlv(kind, b"a");
        let cause = Cause::new(CauseCode::UnrecognizedParameter, &parameter);
        let check = |reply, error: DecodeError<'_>| {
            assert_eq!((error.reply, error.cause), (reply, cause));
            assert_eq!(error.fault, Fault::UnknownParameter);
        };
        insert_everywhere(
            kind,
            b"a",
            |message, read| {
                let reply = if message.code() == 0x0e { Reply::Silent } else { reply };
                check(reply, read.unwrap_err());
            },
            |message, read| {
                let reply = if message.code() == 0x0a { Reply::Silent } else { reply };
                check(reply, read.unwrap_err());
            },
        );
    }
}

#[test]
fn known_parameters_where_they_do_not_belong_are_invalid_values() {
    // A checksum has its place in a presence only, before the server.
    let parameter = tlv(0x000f, b"ab");
    let cause = Cause::new(CauseCode::InvalidValues, &parameter);
    let check = |error: DecodeError<'_>| {
        assert_eq!((error.cause, error.fault), (cause, Fault::Misplaced));
    };
    let mut asap = 0;
    insert_everywhere(
        0x000f,
        b"ab",
        |message, read| {
            let error = read.unwrap_err();
            assert_eq!(error.reply == Reply::Silent, message.code() == 0x0e);
            check(error);
            asap += 1;
        },
        |message, read| {
            if let enrp::Body::Presence { .. } = message.body {
                // The second is too many; here either is the second.
                assert_eq!(read.unwrap_err().cause.code, 3);
            } else {
                check(read.unwrap_err());
            }
        },
    );
    assert!(asap > 100);
}

#[test]
fn the_order_in_a_pool_element_is_fixed() {
    let swapped = bytes(
        "000a0028 11223344 00000000 0000005a 00080008 00000001 \
         00040010 1e61 0001 000100080a000001",
    );
    let error = Element::parse(&swapped).unwrap_err();
    assert_eq!(error.cause, Cause::new(CauseCode::InvalidValues, &swapped[16..24]));
    assert_eq!((error.fault, error.offset), (Fault::Misplaced, 16));
}

#[test]
fn missing_parameters_are_invalid_values() {
    for (is_asap, hex, offset) in [
        (true, "01000010 0009000c4563686f506f6f6c", 16),
        (true, "01000004", 4),
        (true, "02000010 0009000c4563686f506f6f6c", 16),
        (true, "0b000004", 4),
        (true, "0d000010 0009000c4563686f506f6f6c", 16),
        (true, "0e000004", 4),
        (true, "0e000008 000c0004", 4),
        (true, "05000004", 4),
        (false, "0400001c aabbccdd 00000000 00000000 0009000c4563686f506f6f6c", 28),
        (false, "03000018 aabbccdd 00000000 0009000c4563686f506f6f6c", 24),
        (false, "06000014 aabbccdd 00000000 000b0008 aabbccdd", 12),
    ] {
        let bytes = bytes(hex);
        let error = if is_asap {
            asap::Message::parse(&bytes).unwrap_err()
        } else {
            enrp::Message::parse(&bytes).unwrap_err()
        };
        assert_eq!((error.fault, error.offset), (Fault::Missing, offset), "{hex}");
        assert_eq!(error.cause.code, 3);
        let is_error = is_asap && bytes[0] == 0x0e;
        assert_eq!(error.reply == Reply::Silent, is_error);
    }
}

#[test]
fn unknown_messages_are_treated_by_their_action_bits() {
    for code in (0x00..=0xff).filter(|code| !(0x01..=0x0e).contains(code)) {
        let bytes = [code, 0, 0, 7, 1, 2, 3, 0];
        let error = asap::Message::parse(&bytes).unwrap_err();
        let reported = (0x40..=0x7f).contains(&code);
        let reply = if reported { Reply::Report } else { Reply::Silent };
        let cause = Cause::new(CauseCode::UnrecognizedMessage, &bytes[..7]);
        let fault = Fault::UnknownMessage;
        assert_eq!(error, DecodeError { reply, cause, offset: 0, fault });
        let error = enrp::Message::parse(&bytes).unwrap_err();
        if code > 0x0e {
            assert_eq!(error, DecodeError { reply, cause, offset: 0, fault });
        }
    }
}

#[test]
fn the_items_option_counts_wherever_it_stands_in_a_resolution() {
    let handle = vectors::ABCDE;
    let with = |items| asap::Message::HandleResolution { handle, subscribe: false, items };
    for (hex, items) in [
        ("05000018 803f0008 00000007 00090009 6162636465000000", Some(7)),
        ("05000018 003f0008 00000007 00090009 6162636465000000", Some(7)),
        ("05000018 00090009 6162636465000000 003f0008 00000007", Some(7)),
        ("05000020 00090009 6162636465000000 803f0008 00000007 803f0008 00000009", Some(7)),
        ("0500001c 00090009 6162636465000000 8fff0004 803f0008 00000007", Some(7)),
        ("05000018 00090009 6162636465000000 803f0008 00000000", Some(0)),
        ("05000018 00090009 6162636465000000 80400008 00000007", None),
    ] {
        assert_eq!(asap::Message::parse(&bytes(hex)), Ok(with(items)), "{hex}");
    }
    let wrong = bytes("0500001c 00090009 6162636465000000 803f000c 00000007 00000007");
    let error = asap::Message::parse(&wrong).unwrap_err();
    assert_eq!((error.fault, error.offset), (Fault::Length, 16));
}

#[test]
fn the_items_option_is_unknown_in_other_messages() {
    insert_everywhere(
        0x803f,
        b"\0\0\0\x07",
        |message, read| {
            if message.code() != 5 {
                assert_eq!(read, Ok((message, vec![])));
            }
        },
        |message, read| assert_eq!(read, Ok((message, vec![]))),
    );
}

#[test]
fn unused_flags_are_ignored() {
    for vector in vectors::asap() {
        let mut bytes = vector.bytes();
        let used = matches!(bytes[0], 3 | 5 | 6 | 7);
        bytes[1] |= if used { 0xfe } else { 0xff };
        assert_eq!(asap::Message::parse(&bytes), Ok(vector.message));
    }
}

/// A Pool Element with these parameters in it.
fn pool_element(parameters: &str) -> Vec<u8> {
    let inside = bytes(parameters);
    let fields = bytes("11223344 00000000 0000005a");
    tlv(0x000a, &[fields, inside].concat())
}

#[test]
fn a_pool_element_is_checked() {
    let sctp = "00040010 1e61 0001 000100080a000001";
    let rr = "00080008 00000001";
    // What is wrong, where, and how long the offending parameter is.
    for (parameters, fault, offset, length) in [
        (String::new(), Fault::Missing, 0, 16),
        (sctp.into(), Fault::Missing, 0, 32),
        (format!("{rr} {sctp}"), Fault::Misplaced, 16, 8),
        (format!("{sctp} {sctp} {rr}"), Fault::Misplaced, 32, 16),
        (format!("{sctp} {rr} {rr}"), Fault::Misplaced, 40, 8),
        (format!("{sctp} {rr} {sctp}"), Fault::Value, 40, 16),
        (format!("{sctp} {rr} 00050010 1e61 0000 000100080a000001"), Fault::Misplaced, 40, 16),
        (format!("00040010 0000 0001 000100080a000001 {rr}"), Fault::Value, 16, 16),
        (format!("00040010 1e61 0002 000100080a000001 {rr}"), Fault::Value, 16, 16),
        (format!("00040008 1e61 0001 {rr}"), Fault::Value, 16, 8),
        (format!("00040006 1e61 0000 {rr}"), Fault::Length, 16, 6),
        (format!("00050008 1e61 0000 {rr}"), Fault::Value, 16, 8),
        (format!("0006001800350000 000100080a000001 000100080a000002 {rr}"), Fault::Value, 16, 24),
        (format!("00060010 1e61 0000 000100090a000001 {rr}"), Fault::Length, 24, 8),
        (format!("00060010 1e61 0000 000100070a000001 {rr}"), Fault::Length, 24, 7),
        (format!("00060010 1e61 0000 000200080a000001 {rr}"), Fault::Length, 24, 8),
        (format!("00060010 1e61 0000 00080008 00000001 {rr}"), Fault::Misplaced, 24, 8),
        (format!("00030008 0035 0000 {rr}"), Fault::Length, 16, 8),
        (format!("{sctp} 00080008 00000000"), Fault::Value, 32, 8),
        (format!("{sctp} 00080008 40000000"), Fault::Value, 32, 8),
        (format!("{sctp} 00080008 00000006"), Fault::Value, 32, 8),
        (
            format!("{sctp} 00080018 b0002004 00000000000000000000000000000000"),
            Fault::Value,
            32,
            24,
        ),
        (
            format!("{sctp} 00080018 b0002005 00000000000000000000000000000000"),
            Fault::Value,
            32,
            24,
        ),
        (format!("{sctp} 00080008 40000001"), Fault::Length, 32, 8),
        (format!("{sctp} 00080006 0000 0000"), Fault::Length, 32, 6),
    ] {
        let element = pool_element(&parameters);
        let error = Element::parse(&element).unwrap_err();
        assert_eq!((error.fault, error.offset), (fault, offset), "{parameters}");
        assert_eq!(error.cause.data, &element[offset..offset + length], "{parameters}");
        assert_eq!((error.reply, error.cause.code), (Reply::Report, 3), "{parameters}");

        // In a message, the offset counts from its start.
        let mut registration = bytes("01000000 0009000c4563686f506f6f6c");
        registration.extend(&element);
        let whole = u16::try_from(registration.len()).unwrap();
        registration[2..4].copy_from_slice(&whole.to_be_bytes());
        let in_message = asap::Message::parse(&registration).unwrap_err();
        assert_eq!(in_message, DecodeError { offset: offset + 16, ..error }, "{parameters}");
    }
}

#[test]
fn a_pool_element_without_identifier_is_refused() {
    let element = bytes(
        "000a0028 00000000 00000000 0000005a 00040010 1e61 0001 000100080a000001 \
         00080008 00000001",
    );
    let error = Element::parse(&element).unwrap_err();
    assert_eq!((error.fault, error.cause.data), (Fault::Value, &element[..]));
}

#[test]
fn surplus_words_of_a_policy_are_ignored() {
    let element = pool_element("00040010 1e61 0001 000100080a000001 0008000c 00000001 ffffffff");
    assert_eq!(Element::parse(&element), Ok(vectors::ELEMENT));
}

#[test]
fn a_mapped_address_is_an_ipv4_address() {
    let element = pool_element(
        "0004001c 1e61 0001 00020014 00000000 00000000 0000ffff 0a000001 00080008 00000001",
    );
    assert_eq!(Element::parse(&element), Ok(vectors::ELEMENT));
    let mapped = ["::ffff:10.0.0.1".parse().unwrap()];
    let user_transport =
        Transport { addresses: Addresses::List(&mapped), ..vectors::ELEMENT.user_transport };
    let mut out = Vec::new();
    Element { user_transport, ..vectors::ELEMENT }.emit(&mut out, LengthForm::Rfc).unwrap();
    assert_eq!(Element::parse(&out), Ok(vectors::ELEMENT));
    assert_eq!(out.len(), 40);
}

#[test]
fn the_transport_use_of_tcp_is_its_last_bit_and_udp_has_none() {
    let at = |hex: &str| {
        let element = pool_element(&format!("{hex} 00080008 00000001"));
        Element::parse(&element).map(|element| element.user_transport.channel_use).ok()
    };
    let control = Some(ChannelUse::DataAndControl);
    assert_eq!(at("00050010 1e61 0001 000100080a000001"), control);
    assert_eq!(at("00050010 1e61 ffff 000100080a000001"), control);
    assert_eq!(at("00050010 1e61 fffe 000100080a000001"), Some(ChannelUse::Data));
    assert_eq!(at("00060010 1e61 0001 000100080a000001"), Some(ChannelUse::Data));
    assert_eq!(at("00070010 1e61 ffff 000100080a000001"), Some(ChannelUse::Data));
}

#[test]
fn any_number_of_causes_of_any_code_with_or_without_data_is_read() {
    let error = bytes(
        "0e000025 000c0021 00030004 f0060005 aa000000 0009000c 4563686f506f6f6c \
                       00000005 62000000",
    );
    let Ok(asap::Message::Error { causes }) = asap::Message::parse(&error) else {
        panic!("not an error");
    };
    let expected = [
        Cause { code: 3, data: b"" },
        Cause { code: 0xf006, data: b"\xaa" },
        Cause { code: 9, data: b"EchoPool" },
        Cause { code: 0, data: b"b" },
    ];
    assert_eq!(causes, Causes::list(&expected));
    assert_eq!(causes.first(), Some(expected[0]));
}

#[test]
fn causes_whose_lengths_lie_are_refused() {
    for hex in [
        "0e00000c 000c0008 00030003",
        "0e00000c 000c0008 00030005",
        "0e00000e 000c000a 00030004 0000",
    ] {
        let bytes = bytes(hex);
        let error = asap::Message::parse(&bytes).unwrap_err();
        assert_eq!((error.fault, error.reply), (Fault::Length, Reply::Silent), "{hex}");
    }
}

#[test]
fn a_positive_response_may_warn_and_a_negative_one_may_have_a_policy() {
    let warning = bytes("03000020 0009000c4563686f506f6f6c 000e0008 11223344 000c0008 00050004");
    assert!(matches!(
        asap::Message::parse(&warning),
        Ok(asap::Message::RegistrationResponse { rejected: false, error: Some(_), .. })
    ));
    let negative = bytes("06000020 0009000c4563686f506f6f6c 00080008 00000001 000c0008 00090004");
    assert!(matches!(
        asap::Message::parse(&negative),
        Ok(asap::Message::HandleResolutionResponse {
            policy: Some(Policy::RoundRobin),
            error: Some(_),
            ..
        })
    ));
}

#[test]
fn an_update_action_that_is_not_assigned_is_refused() {
    let update = vectors::enrp()
        .into_iter()
        .find(|vector| vector.name == "handle update that adds")
        .unwrap();
    let mut bytes = update.bytes();
    // The reserved field is ignored.
    bytes[15] = 0xff;
    assert_eq!(enrp::Message::parse(&bytes), Ok(update.message));
    bytes[13] = 2;
    let error = enrp::Message::parse(&bytes).unwrap_err();
    assert_eq!((error.fault, error.offset, error.reply), (Fault::Value, 12, Reply::Report));
}

#[test]
fn an_announce_is_written_with_its_sctp_transports_last() {
    let address = ["10.0.0.9".parse().unwrap()];
    let sctp = Transport::sctp(3863, ChannelUse::Data, Addresses::List(&address));
    let tcp = Transport::tcp(3863, Addresses::List(&address));
    fn announce<'a>(list: &'a [Transport<'a>]) -> asap::Message<'a> {
        let transports = Transports::list(list);
        asap::Message::ServerAnnounce { registrar: vectors::REGISTRAR, transports }
    }
    let mut out = Vec::new();
    announce(&[sctp, tcp]).emit(&mut out, LengthForm::Rfc).unwrap();
    assert_eq!(asap::Message::parse(&out), Ok(announce(&[tcp, sctp])));
    // The other order is read as well.
    let reversed = bytes(
        "0a000028 aabbccdd 00040010 0f17 0000 000100080a000009 \
         00050010 0f17 0000 000100080a000009",
    );
    assert_eq!(asap::Message::parse(&reversed), Ok(announce(&[sctp, tcp])));
    let udp = Transport::udp(3863, Addresses::List(&address));
    let before = out.clone();
    assert_eq!(announce(&[udp]).emit(&mut out, LengthForm::Rfc), Err(EmitError::Transport));
    assert_eq!(out, before);
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let element = vectors::ELEMENT;
    let transport = element.user_transport;
    let none = Addresses::List(&[]);
    let address = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    let two = Addresses::List(&address);
    let (dpf, distance, load, degradation) = (1, 2, 3, 4);
    let with = |user_transport| Element { user_transport, ..element };
    let asap = |asap_transport| Element { asap_transport: Some(asap_transport), ..element };
    for (element, error) in [
        (Element { pe: PeId::new(0), ..element }, EmitError::PeId),
        (with(Transport { port: 0, ..transport }), EmitError::Transport),
        (with(Transport { addresses: none, ..transport }), EmitError::Transport),
        (with(Transport::tcp(1, two)), EmitError::Transport),
        (with(Transport::udp(1, none)), EmitError::Transport),
        (asap(Transport::tcp(1, vectors::PE_ADDRESS)), EmitError::Transport),
        (asap(transport), EmitError::Transport),
        (asap(Transport::opaque(b"abcd")), EmitError::Transport),
        (
            Element {
                policy: Policy::PriorityLeastUsedDpf { load, degradation, dpf, distance },
                ..element
            },
            EmitError::Policy,
        ),
    ] {
        let mut out = vec![0xa5];
        assert_eq!(element.emit(&mut out, LengthForm::Padded), Err(error));
        let message = asap::Message::Registration { handle: vectors::ECHO_POOL, element };
        assert_eq!(message.emit(&mut out, LengthForm::Rfc), Err(error));
        assert_eq!(out, [0xa5]);
        assert!(!error.to_string().is_empty());
    }
    let mut out = vec![0xa5];
    let handle = vectors::ECHO_POOL;
    let empty = Elements::EMPTY;
    let card = asap::Message::BusinessCard { handle, elements: empty };
    assert_eq!(card.emit(&mut out, LengthForm::Rfc), Err(EmitError::Empty));
    let causes = Causes::list(&[]);
    let message = asap::Message::Error { causes };
    assert_eq!(message.emit(&mut out, LengthForm::Rfc), Err(EmitError::Empty));
    let pools = [enrp::Pool { handle, elements: empty }];
    let pools = enrp::Pools::list(&pools);
    let body = enrp::Body::HandleTableResponse { rejected: false, more: false, pools };
    let message = enrp::Message { sender: vectors::PEER, receiver: vectors::PEER, body };
    assert_eq!(message.emit(&mut out, LengthForm::Rfc), Err(EmitError::Empty));
    assert_eq!(out, [0xa5]);
}

#[test]
fn the_identifier_0_is_read_where_it_means_nobody() {
    let hex = "02000018 0009000c4563686f506f6f6c 000e0008 00000000";
    let handle = vectors::ECHO_POOL;
    let expected = asap::Message::Deregistration { handle, pe: PeId::new(0) };
    assert_eq!(asap::Message::parse(&bytes(hex)), Ok(expected));
    // rsplib lists peers it was configured with and has not met.
    let hex = "06000024 aabbccdd 01020304 000b0018 00000000 00040010 26ad 0000 000100080a000009";
    let server = enrp::Server { registrar: RegistrarId::new(0), ..vectors::SERVER };
    let list = [server];
    let body = enrp::Body::ListResponse { rejected: false, servers: enrp::Servers::list(&list) };
    let expected = enrp::Message { sender: vectors::REGISTRAR, receiver: vectors::PEER, body };
    assert_eq!(enrp::Message::parse(&bytes(hex)), Ok(expected));
}

#[test]
fn a_report_of_many_unknown_parameters_fits_one_error() {
    let option = tlv(0xc001, b"");
    let mut message = bytes("05000000 00090009 6162636465000000");
    for _ in 0..1000 {
        message.extend(&option);
    }
    let length = u16::try_from(message.len()).unwrap();
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let (_, unrecognized) = asap::Message::parse_reporting(&message).unwrap();
    assert_eq!(unrecognized.iter().count(), rserpool_codec::Unrecognized::REPORTS_MAX);
    let mut out = Vec::new();
    let causes = unrecognized.causes().unwrap();
    asap::Message::Error { causes }.emit(&mut out, LengthForm::Rfc).unwrap();
    assert_eq!(out.len(), 8 + 16 * 8);
}

#[test]
fn a_report_of_a_huge_unknown_parameter_fits_one_error() {
    for size in 65400..=65535 - 16 - 4 {
        let mut message = bytes("05000000 00090009 6162636465000000");
        message.extend(tlv(0xc001, &vec![7; size]));
        let length = u16::try_from(message.len()).unwrap();
        message[2..4].copy_from_slice(&length.to_be_bytes());
        let (_, unrecognized) = asap::Message::parse_reporting(&message).unwrap();
        let causes = unrecognized.causes().unwrap();
        let data = causes.first().unwrap().data.len();
        assert_eq!(data, (size + 4).min(65512));
        for form in [LengthForm::Rfc, LengthForm::Padded] {
            let sender = vectors::REGISTRAR;
            let body = enrp::Body::Error { causes };
            let mut out = Vec::new();
            enrp::Message { sender, receiver: sender, body }.emit(&mut out, form).unwrap();
        }
        // The same if the action bits say stop.
        message[16] = 0x40;
        let error = asap::Message::parse(&message).unwrap_err();
        assert_eq!((error.reply, error.cause.data.len()), (Reply::Report, data));
    }
}

#[test]
fn any_pool_handle_is_read() {
    let long = vec![0; 65535 - 8];
    for handle in [&b""[..], b"\0", b"\xff\xfe", &long] {
        let handle = PoolHandle::new(handle);
        let message = asap::Message::HandleResolution { handle, subscribe: false, items: None };
        let mut out = Vec::new();
        message.emit(&mut out, LengthForm::Rfc).unwrap();
        assert_eq!(asap::Message::parse(&out), Ok(message));
    }
}
