//! Bytes into the readers of lone parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rserpool_codec::asap::{Message, ResolutionResponse};
use rserpool_codec::{Element, Elements, LengthForm, Transport, parameter};
use rserpool_engine::{Policy, PoolHandle, RegistrarId};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(element) = Element::parse(bytes) {
        for form in [LengthForm::Rfc, LengthForm::Padded] {
            let mut out = Vec::new();
            element.emit(&mut out, form).unwrap();
            assert_eq!(Element::parse(&out), Ok(element));
            respond(&out, element);
        }
    }
    if let Ok(elements) = Elements::wire(bytes) {
        assert_eq!(elements.iter_raw().count(), elements.len());
        for (element, raw) in elements.iter_raw() {
            assert_eq!(Element::parse(raw), Ok(element));
        }
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
});

/// A stored record makes a response that reads as the element.
fn respond(record: &[u8], element: Element<'_>) {
    let (handle, home) = (PoolHandle::new(b"a"), RegistrarId::new(7));
    let mut out = Vec::new();
    let policy = Policy::RoundRobin;
    let mut response =
        ResolutionResponse::begin(&mut out, LengthForm::Rfc, handle, false, policy).unwrap();
    let room = response.element(&mut out, record, home);
    response.finish(&mut out);
    let Ok(Message::HandleResolutionResponse { elements, .. }) = Message::parse(&out) else {
        panic!("not a response");
    };
    assert!(elements.iter().eq(room.then_some(Element { home, ..element })));
}
