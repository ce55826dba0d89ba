//! Every message with everything that can be in it: the vectors, and what they
//! leave out.

use std::net::IpAddr;

use rserpool_codec::{
    Addresses, Cause, CauseCode, Causes, Element, Elements, EmitError, Transport, asap, enrp,
};
use rserpool_engine::{ChannelUse, PeId, Policy, PoolHandle};

use crate::vectors::{self, ABCDE, ECHO_POOL, ELEMENT, PE, PE_ADDRESS};

/// Half of all.
const HALF: u32 = 0x8000_0000;

pub(crate) fn asap() -> Vec<(String, asap::Message<'static>)> {
    let mut all = Vec::new();
    for vector in vectors::asap() {
        // The dissector takes a cause without its data for malformed. We read
        // that one, and never write it.
        assert_eq!(emitted(|out| vector.message.emit(out, vector.form)), vector.bytes());
        if vector.name != "registration response, rejected by rsplib" {
            all.push((vector.name.to_owned(), vector.message));
        }
    }
    for policy in policies() {
        let element = Element { policy, life: -1, ..ELEMENT };
        let message = asap::Message::Registration { handle: ABCDE, element };
        all.push((format!("registration with {policy:?}"), message));
    }
    for transport in transports() {
        let element = Element { user_transport: transport, ..ELEMENT };
        let message = asap::Message::Registration { handle: ECHO_POOL, element };
        all.push((format!("registration at {:?}", transport.kind), message));
    }
    for cause in causes() {
        let error = Some(Causes::list(leak(vec![cause])));
        let pe = PeId::new(u32::from(cause.code) + 1);
        let message = asap::Message::DeregistrationResponse { handle: ECHO_POOL, pe, error };
        all.push((format!("response with cause {}", cause.code), message));
    }
    let all_causes = Causes::list(leak(causes()));
    all.push(("error with all causes".into(), asap::Message::Error { causes: all_causes }));
    all.push((
        "keep alive without takeover".into(),
        asap::Message::KeepAlive {
            registrar: vectors::REGISTRAR,
            take_home: false,
            handle: ABCDE,
            pe: Some(PE),
        },
    ));
    let elements = policies().into_iter().map(|policy| Element { policy, ..ELEMENT });
    all.push((
        "handle resolution response with many elements".into(),
        asap::Message::HandleResolutionResponse {
            handle: PoolHandle::new(b"a"),
            subscribed: true,
            policy: Some(Policy::Random),
            elements: Elements::list(leak(elements.collect())),
            error: None,
        },
    ));
    all
}

pub(crate) fn enrp() -> Vec<(String, enrp::Message<'static>)> {
    let mut all = Vec::new();
    for vector in vectors::enrp() {
        assert_eq!(emitted(|out| vector.message.emit(out, vector.form)), vector.bytes());
        all.push((vector.name.to_owned(), vector.message));
    }
    let with = |body| enrp::Message { sender: vectors::PEER, receiver: vectors::REGISTRAR, body };
    let mut pools = Vec::new();
    for policy in policies() {
        for user_transport in transports() {
            let asap_transport = Some(Transport::sctp(9, ChannelUse::Data, addresses()));
            let element = Element { policy, user_transport, asap_transport, ..ELEMENT };
            let handle = [ABCDE, ECHO_POOL, PoolHandle::new(b"\0")][pools.len() % 3];
            pools.push(enrp::Pool {
                handle,
                elements: Elements::list(leak(vec![element, ELEMENT])),
            });
        }
    }
    let body = enrp::Body::HandleTableResponse {
        rejected: false,
        more: true,
        pools: enrp::Pools::list(leak(pools)),
    };
    all.push(("handle table response with everything".into(), with(body)));
    for target in [vectors::TARGET, vectors::PEER] {
        all.push(("takeover".into(), with(enrp::Body::TakeoverServer { target })));
    }
    let two =
        leak(vec![vectors::SERVER, enrp::Server { registrar: vectors::PEER, ..vectors::SERVER }]);
    let servers = enrp::Servers::list(two);
    all.push(("two servers".into(), with(enrp::Body::ListResponse { rejected: false, servers })));
    let servers = enrp::Servers::EMPTY;
    all.push(("no list".into(), with(enrp::Body::ListResponse { rejected: true, servers })));
    let causes = Causes::list(leak(enrp_causes()));
    all.push(("error with all causes".into(), with(enrp::Body::Error { causes })));
    all
}

/// What was written, or nothing if it was refused.
fn emitted(emit: impl FnOnce(&mut Vec<u8>) -> Result<(), EmitError>) -> Vec<u8> {
    let mut out = Vec::new();
    emit(&mut out).map_or_else(|_| Vec::new(), |()| out)
}

fn policies() -> Vec<Policy> {
    let (load, degradation, weight, dpf, distance) = (HALF, HALF / 2, 3, HALF / 4, 150);
    vec![
        Policy::RoundRobin,
        Policy::WeightedRoundRobin { weight },
        Policy::Random,
        Policy::WeightedRandom { weight },
        Policy::Priority { priority: 7 },
        Policy::LeastUsed { load },
        Policy::LeastUsedDegradation { load, degradation },
        Policy::PriorityLeastUsed { load, degradation },
        Policy::RandomizedLeastUsed { load },
        Policy::RandomizedPriorityLeastUsed { load, degradation },
        Policy::RandomizedLeastUsedDegradation { load, degradation },
        Policy::PriorityLeastUsedDegradation { load, degradation },
        Policy::RandomizedPriorityLeastUsedDegradation { load, degradation },
        Policy::WeightedRandomDpf { weight, dpf, distance },
        Policy::LeastUsedDpf { load, dpf, distance },
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance },
    ]
}

/// An IPv6 and two IPv4 addresses.
fn addresses() -> Addresses<'static> {
    let parse = |text: &str| text.parse::<IpAddr>().into_iter();
    let list = ["2001:db8::1", "10.0.0.1", "192.0.2.7"].into_iter().flat_map(parse);
    Addresses::List(leak(list.collect()))
}

fn transports() -> Vec<Transport<'static>> {
    let mut all: Vec<_> = vectors::TRANSPORTS.into_iter().map(|(transport, _)| transport).collect();
    all.extend([
        Transport::sctp(7777, ChannelUse::DataAndControl, addresses()),
        Transport::sctp(7777, ChannelUse::Data, PE_ADDRESS),
        Transport::tcp(7777, PE_ADDRESS),
        Transport { channel_use: ChannelUse::DataAndControl, ..Transport::tcp(7777, PE_ADDRESS) },
        Transport::opaque(b"somewhere"),
    ]);
    all
}

/// Every cause with the data it is to have.
fn causes() -> Vec<Cause<'static>> {
    use CauseCode as C;
    vec![
        Cause::new(C::UnrecognizedParameter, b"\x4f\xff\x00\x05\xaa"),
        Cause::new(C::UnrecognizedMessage, b"\x7f\x00\x00\x04"),
        Cause::new(C::InvalidValues, b"\x00\x08\x00\x08\x00\x00\x00\x01"),
        Cause::new(C::NonUniquePeId, b""),
        Cause::new(C::InconsistentPolicy, b"\x00\x08\x00\x08\x00\x00\x00\x03"),
        Cause::new(C::LackOfResources, b""),
        Cause::new(
            C::InconsistentTransport,
            b"\x00\x05\x00\x10\x1e\x61\x00\x00\x00\x01\x00\x08\x0a\x00\x00\x01",
        ),
        Cause::new(C::InconsistentChannelUse, b""),
        Cause::new(C::UnknownPoolHandle, b"\x00\x09\x00\x0cEchoPool"),
        Cause::new(C::SecurityConsiderations, b""),
    ]
}

/// The same with an ENRP message.
fn enrp_causes() -> Vec<Cause<'static>> {
    let mut causes = causes();
    causes[1].data = b"\x7f\x00\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08";
    causes
}

/// Messages borrow; these live as long as the program.
fn leak<T>(list: Vec<T>) -> &'static [T] {
    list.leak()
}
