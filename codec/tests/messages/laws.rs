//! What holds for every message: what is written is read back, the hot paths
//! write what the messages write, and lengths are what they should be.

use proptest::prelude::*;
use rserpool_codec::asap::{ResolutionResponse, peek_element, peek_handle};
use rserpool_codec::enrp::{HandleTableResponse, Pool, Pools};
use rserpool_codec::{
    Cause, CauseCode, Causes, Element, Elements, EmitError, Frame, LengthForm, asap, enrp, frame,
};
use rserpool_engine::{PoolHandle, RegistrarId};

use crate::owned::{asap_parts, element, enrp_parts, policy};
use crate::vectors;

const FORMS: [LengthForm; 2] = [LengthForm::Rfc, LengthForm::Padded];

proptest! {
    #[test]
    fn a_written_asap_message_reads_back_equal(parts in asap_parts()) {
        parts.asap(|message| {
            for form in FORMS {
                let mut out = vec![0xa5; 5];
                message.emit(&mut out, form).unwrap();
                prop_assert_eq!(&out[..5], [0xa5; 5]);
                let bytes = &out[5..];
                prop_assert_eq!(frame(bytes), Frame::Whole(bytes.len()));
                let (read, unrecognized) = asap::Message::parse_reporting(bytes).unwrap();
                prop_assert_eq!(read, message);
                prop_assert!(unrecognized.is_empty());
                let mut again = Vec::new();
                read.emit(&mut again, form).unwrap();
                prop_assert_eq!(again, bytes);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_written_enrp_message_reads_back_equal(parts in enrp_parts()) {
        parts.enrp(|message| {
            for form in FORMS {
                let mut out = vec![0xa5; 5];
                message.emit(&mut out, form).unwrap();
                prop_assert_eq!(&out[..5], [0xa5; 5]);
                let bytes = &out[5..];
                prop_assert_eq!(frame(bytes), Frame::Whole(bytes.len()));
                let (read, unrecognized) = enrp::Message::parse_reporting(bytes).unwrap();
                prop_assert_eq!(read, message);
                prop_assert!(unrecognized.is_empty());
                let mut again = Vec::new();
                read.emit(&mut again, form).unwrap();
                prop_assert_eq!(again, bytes);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_last_padding_may_be_missing(parts in asap_parts()) {
        parts.asap(|message| {
            let mut out = Vec::new();
            message.emit(&mut out, LengthForm::Rfc).unwrap();
            let length = usize::from(u16::from_be_bytes([out[2], out[3]]));
            prop_assert!(out.len() - length < 4);
            for end in length..=out.len() {
                prop_assert_eq!(asap::Message::parse(&out[..end]), Ok(message));
            }
            prop_assert!(asap::Message::parse(&out[..length - 1]).is_err());
            out.push(0);
            prop_assert!(asap::Message::parse(&out).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn a_peek_finds_what_a_whole_look_finds(parts in asap_parts()) {
        use asap::Message as M;
        parts.asap(|message| {
            let mut out = Vec::new();
            message.emit(&mut out, LengthForm::Rfc).unwrap();
            let (handle, pe) = match message {
                M::Registration { handle, element } => (Some(handle), Some(element.pe)),
                M::Deregistration { handle, pe }
                | M::RegistrationResponse { handle, pe, .. }
                | M::DeregistrationResponse { handle, pe, .. }
                | M::KeepAliveAck { handle, pe }
                | M::Unreachable { handle, pe } => (Some(handle), Some(pe)),
                M::KeepAlive { handle, pe, .. } => (Some(handle), pe),
                M::HandleResolution { handle, .. }
                | M::HandleResolutionResponse { handle, .. }
                | M::BusinessCard { handle, .. } => (Some(handle), None),
                M::ServerAnnounce { .. } | M::Cookie { .. } | M::CookieEcho { .. }
                | M::Error { .. } => (None, None),
            };
            prop_assert_eq!(peek_handle(&out), handle.map(|handle| (message.code(), handle)));
            prop_assert_eq!(peek_element(&out), handle.zip(pe));
            Ok(())
        })?;
    }

    #[test]
    fn copied_records_make_the_same_response(
        handle in proptest::collection::vec(any::<u8>(), 0..20),
        subscribed: bool,
        policy in policy(),
        elements in proptest::collection::vec(element(), 0..5),
        home: u32,
    ) {
        let handle = PoolHandle::new(&handle);
        let home = RegistrarId::new(home);
        for form in FORMS {
            let mut out = vec![0xa5; 2];
            let mut response =
                ResolutionResponse::begin(&mut out, form, handle, subscribed, policy).unwrap();
            for element in &elements {
                let mut record = Vec::new();
                element.borrow().emit(&mut record, form).unwrap();
                prop_assert!(response.element(&mut out, &record, home));
            }
            response.finish(&mut out);

            let elements: Vec<Element<'_>> =
                elements.iter().map(|element| Element { home, ..element.borrow() }).collect();
            let mut expected = vec![0xa5; 2];
            let elements = Elements::list(&elements);
            asap::Message::HandleResolutionResponse {
                handle,
                subscribed,
                policy: Some(policy),
                elements,
                error: None,
            }
            .emit(&mut expected, form)
            .unwrap();
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn copied_records_make_the_same_handle_table(
        pools in proptest::collection::vec((any::<[u8; 3]>(), element(), element()), 0..4),
        home: u32,
        more: bool,
    ) {
        let (sender, receiver) = (vectors::REGISTRAR, vectors::PEER);
        let home = RegistrarId::new(home);
        let mut out = vec![0xa5; 2];
        let mut response = HandleTableResponse::begin(&mut out, sender, receiver);
        let mut expected = Vec::new();
        for (handle, first, second) in &pools {
            for element in [first, second] {
                let mut record = Vec::new();
                element.borrow().emit(&mut record, LengthForm::Rfc).unwrap();
                let handle = PoolHandle::new(handle);
                prop_assert!(response.element(&mut out, 65535, handle, &record, home));
            }
            let with_home = |element: &Element<'_>| element.home == home;
            let elements = [first, second]
                .map(|element| Element { home, ..element.borrow() });
            prop_assert!(elements.iter().all(with_home));
            expected.push((*handle, elements));
        }
        response.finish(&mut out, more);

        // A pool that follows itself is one.
        let distinct = expected.windows(2).all(|pair| pair[0].0 != pair[1].0);
        prop_assume!(distinct);
        let pools: Vec<Pool<'_>> = expected
            .iter()
            .map(|(handle, elements)| Pool {
                handle: PoolHandle::new(handle),
                elements: Elements::list(elements),
            })
            .collect();
        let body = enrp::Body::HandleTableResponse {
            rejected: false,
            more,
            pools: Pools::list(&pools),
        };
        let mut expected = vec![0xa5; 2];
        enrp::Message { sender, receiver, body }.emit(&mut expected, LengthForm::Rfc).unwrap();
        prop_assert_eq!(out, expected);
    }
}

#[test]
fn a_response_takes_elements_until_it_is_full() {
    let mut record = Vec::new();
    vectors::ELEMENT.emit(&mut record, LengthForm::Rfc).unwrap();
    for form in FORMS {
        let mut out = vec![0xa5];
        let policy = vectors::ELEMENT.policy;
        let mut response =
            ResolutionResponse::begin(&mut out, form, vectors::ABCDE, true, policy).unwrap();
        let mut count = 0;
        while response.element(&mut out, &record, vectors::REGISTRAR) {
            count += 1;
        }
        let full = out.len();
        assert_eq!(count, (65532 - 24) / 40);
        response.finish(&mut out);
        assert_eq!(out.len(), full);
        let Ok(asap::Message::HandleResolutionResponse { elements, subscribed: true, .. }) =
            asap::Message::parse(&out[1..])
        else {
            panic!("not a response");
        };
        assert_eq!(elements.len(), count);
        assert!(elements.iter().all(|element| element.home == vectors::REGISTRAR));
    }
}

#[test]
fn a_handle_table_keeps_its_limit() {
    let mut record = Vec::new();
    vectors::ELEMENT.emit(&mut record, LengthForm::Rfc).unwrap();
    let mut out = vec![0xa5];
    let mut response = HandleTableResponse::begin(&mut out, vectors::REGISTRAR, vectors::PEER);
    let mut add = |out: &mut Vec<u8>, handle| {
        response.element(out, 12 + 12 + 40 + 40 + 39, handle, &record, vectors::REGISTRAR)
    };
    assert!(add(&mut out, vectors::ABCDE));
    assert!(add(&mut out, vectors::ABCDE));
    let full = out.len();
    assert!(!add(&mut out, vectors::ABCDE));
    assert!(!add(&mut out, vectors::ECHO_POOL));
    assert_eq!(out.len(), full);
    response.finish(&mut out, true);
    let message = enrp::Message::parse(&out[1..]).unwrap();
    let enrp::Body::HandleTableResponse { rejected: false, more: true, pools } = message.body
    else {
        panic!("not a response");
    };
    assert_eq!(pools.iter().map(|pool| pool.elements.len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_rejecting_handle_table_is_empty() {
    let mut out = vec![0xa5];
    HandleTableResponse::rejected(&mut out, vectors::REGISTRAR, vectors::PEER);
    let body = enrp::Body::HandleTableResponse { rejected: true, more: false, pools: Pools::EMPTY };
    let expected = enrp::Message { sender: vectors::REGISTRAR, receiver: vectors::PEER, body };
    assert_eq!(enrp::Message::parse(&out[1..]), Ok(expected));
}

#[test]
fn bytes_that_are_no_pool_element_are_not_copied() {
    let mut out = Vec::new();
    let policy = vectors::ELEMENT.policy;
    let mut response =
        ResolutionResponse::begin(&mut out, LengthForm::Rfc, vectors::ABCDE, false, policy)
            .unwrap();
    let before = out.clone();
    let mut record = Vec::new();
    vectors::ELEMENT.emit(&mut record, LengthForm::Rfc).unwrap();
    record.push(0);
    let policy_tlv = b"\x00\x08\x00\x08\x00\x00\x00\x01";
    let headless = b"\x00\x0a\x00\x08\x00\x00\x00\x01";
    for wrong in [&record[..], &record[..36], policy_tlv, headless, b""] {
        assert!(!response.element(&mut out, wrong, vectors::REGISTRAR));
        assert_eq!(out, before);
    }
}

#[test]
fn an_unknown_pool_is_answered_with_its_handle() {
    for form in FORMS {
        let mut out = vec![0xa5];
        ResolutionResponse::unknown_pool(&mut out, form, vectors::ECHO_POOL).unwrap();
        let golden = vectors::asap()
            .into_iter()
            .find(|vector| vector.name == "handle resolution response, unknown pool")
            .unwrap();
        assert_eq!(out[1..], golden.bytes());
        ResolutionResponse::unknown_pool(&mut out, form, vectors::ABCDE).unwrap();
        let Ok(asap::Message::HandleResolutionResponse { error: Some(causes), .. }) =
            asap::Message::parse(&out[1 + golden.bytes().len()..])
        else {
            panic!("not negative");
        };
        assert_eq!(causes.first().unwrap().code, CauseCode::UnknownPoolHandle as u16);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let long = vec![7; 65535];
    for length in 65520..=65535 {
        let handle = PoolHandle::new(&long[..length]);
        let message = asap::Message::HandleResolution { handle, subscribe: false, items: None };
        let mut out = vec![0xa5];
        match message.emit(&mut out, LengthForm::Rfc) {
            Ok(()) => assert_eq!(asap::Message::parse(&out[1..]), Ok(message)),
            Err(error) => {
                assert_eq!((error, out), (EmitError::TooLong, vec![0xa5]));
                assert!(length > 65535 - 8);
            }
        }
        let mut out = vec![0xa5];
        let policy = vectors::ELEMENT.policy;
        let begun = ResolutionResponse::begin(&mut out, LengthForm::Rfc, handle, false, policy);
        assert_eq!(begun.is_ok(), length <= 65535 - 3 - 16, "{length}");
        assert!(begun.is_ok() || out == [0xa5]);
    }
    let cause = [Cause { code: 0, data: &long }];
    let mut out = vec![0xa5];
    let message = asap::Message::Error { causes: Causes::list(&cause) };
    assert_eq!(message.emit(&mut out, LengthForm::Rfc), Err(EmitError::TooLong));
    assert_eq!(out, [0xa5]);
}
