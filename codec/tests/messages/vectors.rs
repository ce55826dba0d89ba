//! Messages with the bytes they have on the wire. The pool is "EchoPool", the
//! element 0x11223344 at 10.0.0.1, the registrar 0xaabbccdd at 10.0.0.9, its
//! peer 0x01020304.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rserpool_codec::enrp::{Body, Pool, Pools, Server, Servers, UpdateAction};
use rserpool_codec::{
    Addresses, Cause, CauseCode, Causes, Element, Elements, LengthForm, Transport, Transports,
    asap, enrp,
};
use rserpool_engine::{ChannelUse, PeId, Policy, PoolHandle, RegistrarId};

use LengthForm::{Padded, Rfc};

/// A message, the form of its lengths, and its bytes in hexadecimal.
pub(crate) struct Vector<M> {
    pub(crate) name: &'static str,
    pub(crate) form: LengthForm,
    pub(crate) message: M,
    hex: &'static str,
}

impl<M> Vector<M> {
    const fn new(name: &'static str, form: LengthForm, message: M, hex: &'static str) -> Self {
        Self { name, form, message, hex }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        bytes(self.hex)
    }
}

/// The bytes that hexadecimal digits stand for; spaces are ignored.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        let digits: String = pair.iter().collect();
        u8::from_str_radix(&digits, 16).expect("hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

pub(crate) const ECHO_POOL: PoolHandle<'static> = PoolHandle::new(b"EchoPool");
pub(crate) const ABCDE: PoolHandle<'static> = PoolHandle::new(b"abcde");
pub(crate) const PE: PeId = PeId::new(0x1122_3344);
pub(crate) const REGISTRAR: RegistrarId = RegistrarId::new(0xaabb_ccdd);
pub(crate) const PEER: RegistrarId = RegistrarId::new(0x0102_0304);
pub(crate) const TARGET: RegistrarId = RegistrarId::new(0xdead_beef);

pub(crate) const PE_ADDRESS: Addresses<'static> =
    Addresses::List(&[IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))]);
const REGISTRAR_ADDRESS: Addresses<'static> =
    Addresses::List(&[IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9))]);
const TWO_ADDRESSES: Addresses<'static> = Addresses::List(&[
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
]);

pub(crate) const ELEMENT: Element<'static> = Element {
    pe: PE,
    home: RegistrarId::new(0),
    life: 90,
    user_transport: Transport::sctp(7777, ChannelUse::DataAndControl, PE_ADDRESS),
    policy: Policy::RoundRobin,
    asap_transport: None,
};
const ELEMENT_AT_HOME: Element<'static> = Element { home: REGISTRAR, ..ELEMENT };
const ELEMENT_IN_TABLE: Element<'static> = Element {
    asap_transport: Some(Transport::sctp(40000, ChannelUse::Data, PE_ADDRESS)),
    ..ELEMENT_AT_HOME
};
const ELEMENT_WITH_TWO_ADDRESSES: Element<'static> = Element {
    life: -1,
    user_transport: Transport::sctp(7777, ChannelUse::Data, TWO_ADDRESSES),
    policy: Policy::LeastUsed { load: 0x8000_0000 },
    ..ELEMENT
};
const ELEMENT_OF_RSPLIB: Element<'static> = Element {
    pe: PeId::new(0x0101_0101),
    life: 360_000,
    user_transport: Transport::sctp(
        4288,
        ChannelUse::DataAndControl,
        Addresses::List(&[IpAddr::V4(Ipv4Addr::new(10, 255, 0, 11))]),
    ),
    policy: Policy::LeastUsed { load: 0 },
    ..ELEMENT
};
const UPDATE_OF_RSPLIB: Element<'static> = Element {
    home: RegistrarId::new(0x3333_3333),
    asap_transport: Some(Transport::sctp(
        33322,
        ChannelUse::Data,
        Addresses::List(&[IpAddr::V4(Ipv4Addr::new(10, 255, 0, 11))]),
    )),
    ..ELEMENT_OF_RSPLIB
};
pub(crate) const SERVER: Server<'static> = Server {
    registrar: REGISTRAR,
    transport: Transport::sctp(9901, ChannelUse::Data, REGISTRAR_ADDRESS),
};

const POLICY_TLV: &[u8] = b"\x00\x08\x00\x08\x00\x00\x00\x01";
const HANDLE_TLV: &[u8] = b"\x00\x09\x00\x0cEchoPool";

pub(crate) const TRANSPORTS: [(Transport<'static>, &str); 3] = [
    (Transport::udp(53, PE_ADDRESS), "00060010 0035 0000 000100080a000001"),
    (Transport::udp_lite(53, PE_ADDRESS), "00070010 0035 0000 000100080a000001"),
    (Transport::dccp(53, 0x5254_5049, PE_ADDRESS), "00030014 0035 0000 52545049 000100080a000001"),
];

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn asap() -> Vec<Vector<asap::Message<'static>>> {
    use asap::Message as M;
    vec![
        Vector::new(
            "registration",
            Rfc,
            M::Registration { handle: ECHO_POOL, element: ELEMENT },
            "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
             00040010 1e61 0001 000100080a000001 00080008 00000001",
        ),
        Vector::new(
            "registration with two addresses",
            Rfc,
            M::Registration { handle: ABCDE, element: ELEMENT_WITH_TWO_ADDRESSES },
            "01000050 00090009 6162636465000000 000a0040 11223344 00000000 ffffffff \
             00040024 1e61 0000 0002001420010db8000000000000000000000001 000100080a000001 \
             0008000c 40000001 80000000",
        ),
        Vector::new(
            "registration by rsplib",
            Padded,
            M::Registration { handle: PoolHandle::new(b"PPPool"), element: ELEMENT_OF_RSPLIB },
            "0100003c 0009000a 5050506f6f6c 0000 000a002c 01010101 00000000 00057e40 \
             00040010 10c0 0001 000100080aff000b 0008000c 40000001 00000000",
        ),
        Vector::new(
            "deregistration",
            Rfc,
            M::Deregistration { handle: ECHO_POOL, pe: PE },
            "02000018 0009000c4563686f506f6f6c 000e0008 11223344",
        ),
        Vector::new(
            "registration response",
            Rfc,
            M::RegistrationResponse { handle: ECHO_POOL, pe: PE, rejected: false, error: None },
            "03000018 0009000c4563686f506f6f6c 000e0008 11223344",
        ),
        Vector::new(
            "registration response, rejected",
            Rfc,
            M::RegistrationResponse {
                handle: ECHO_POOL,
                pe: PE,
                rejected: true,
                error: Some(Causes::list(
                    const { &[Cause::new(CauseCode::InconsistentPolicy, POLICY_TLV)] },
                )),
            },
            "03010028 0009000c4563686f506f6f6c 000e0008 11223344 000c0010 0005000c \
             00080008 00000001",
        ),
        Vector::new(
            "registration response, rejected by rsplib",
            Rfc,
            M::RegistrationResponse {
                handle: ECHO_POOL,
                pe: PE,
                rejected: true,
                error: Some(Causes::list(
                    const { &[Cause::new(CauseCode::InconsistentPolicy, &[])] },
                )),
            },
            "03010020 0009000c4563686f506f6f6c 000e0008 11223344 000c0008 00050004",
        ),
        Vector::new(
            "deregistration response",
            Rfc,
            M::DeregistrationResponse { handle: ECHO_POOL, pe: PE, error: None },
            "04000018 0009000c4563686f506f6f6c 000e0008 11223344",
        ),
        Vector::new(
            "handle resolution",
            Rfc,
            M::HandleResolution { handle: ECHO_POOL, subscribe: false, items: None },
            "05000010 0009000c4563686f506f6f6c",
        ),
        Vector::new(
            "handle resolution that subscribes",
            Rfc,
            M::HandleResolution { handle: ABCDE, subscribe: true, items: None },
            "0501000d 00090009 6162636465000000",
        ),
        Vector::new(
            "handle resolution in rsplib's length form",
            Padded,
            M::HandleResolution { handle: ABCDE, subscribe: false, items: None },
            "05000010 00090009 6162636465000000",
        ),
        Vector::new(
            "handle resolution of all items",
            Rfc,
            M::HandleResolution { handle: ECHO_POOL, subscribe: false, items: Some(u32::MAX) },
            "05000018 0009000c4563686f506f6f6c 803f0008 ffffffff",
        ),
        Vector::new(
            "handle resolution response",
            Rfc,
            M::HandleResolutionResponse {
                handle: ECHO_POOL,
                subscribed: false,
                policy: Some(Policy::RoundRobin),
                elements: Elements::list(&[ELEMENT_AT_HOME]),
                error: None,
            },
            "06000040 0009000c4563686f506f6f6c 00080008 00000001 000a0028 11223344 aabbccdd \
             0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001",
        ),
        Vector::new(
            "handle resolution response, unknown pool",
            Rfc,
            M::HandleResolutionResponse {
                handle: ECHO_POOL,
                subscribed: false,
                policy: None,
                elements: Elements::EMPTY,
                error: Some(Causes::list(
                    const { &[Cause::new(CauseCode::UnknownPoolHandle, HANDLE_TLV)] },
                )),
            },
            "06000024 0009000c4563686f506f6f6c 000c0014 00090010 0009000c4563686f506f6f6c",
        ),
        Vector::new(
            "handle resolution response, pool unknown to rsplib",
            Rfc,
            M::HandleResolutionResponse {
                handle: ECHO_POOL,
                subscribed: false,
                policy: None,
                elements: Elements::EMPTY,
                error: Some(Causes::list(
                    const { &[Cause::new(CauseCode::UnknownPoolHandle, &[])] },
                )),
            },
            "06000018 0009000c4563686f506f6f6c 000c0008 00090004",
        ),
        Vector::new(
            "keep alive",
            Rfc,
            M::KeepAlive { registrar: REGISTRAR, take_home: true, handle: ECHO_POOL, pe: None },
            "07010014 aabbccdd 0009000c4563686f506f6f6c",
        ),
        Vector::new(
            "keep alive of rsplib",
            Rfc,
            M::KeepAlive { registrar: REGISTRAR, take_home: true, handle: ECHO_POOL, pe: Some(PE) },
            "0701001c aabbccdd 0009000c4563686f506f6f6c 000e0008 11223344",
        ),
        Vector::new(
            "keep alive acknowledgment",
            Rfc,
            M::KeepAliveAck { handle: ECHO_POOL, pe: PE },
            "08000018 0009000c4563686f506f6f6c 000e0008 11223344",
        ),
        Vector::new(
            "unreachable",
            Rfc,
            M::Unreachable { handle: ECHO_POOL, pe: PE },
            "09000018 0009000c4563686f506f6f6c 000e0008 11223344",
        ),
        Vector::new(
            "server announce without transports",
            Rfc,
            M::ServerAnnounce { registrar: REGISTRAR, transports: Transports::EMPTY },
            "0a000008 aabbccdd",
        ),
        Vector::new(
            "server announce",
            Rfc,
            M::ServerAnnounce {
                registrar: REGISTRAR,
                transports: Transports::list(
                    const {
                        &[
                            Transport::tcp(3863, REGISTRAR_ADDRESS),
                            Transport::sctp(3863, ChannelUse::Data, REGISTRAR_ADDRESS),
                        ]
                    },
                ),
            },
            "0a000028 aabbccdd 00050010 0f17 0000 000100080a000009 \
             00040010 0f17 0000 000100080a000009",
        ),
        Vector::new(
            "cookie",
            Rfc,
            M::Cookie { cookie: b"StateABC" },
            "0b000010 000d000c 5374617465414243",
        ),
        Vector::new(
            "cookie of 5 bytes",
            Rfc,
            M::Cookie { cookie: b"State" },
            "0b00000d 000d0009 5374617465000000",
        ),
        Vector::new(
            "cookie echo",
            Rfc,
            M::CookieEcho { cookie: b"StateABC" },
            "0c000010 000d000c 5374617465414243",
        ),
        Vector::new(
            "business card",
            Rfc,
            M::BusinessCard { handle: ECHO_POOL, elements: Elements::list(&[ELEMENT_AT_HOME]) },
            "0d000038 0009000c4563686f506f6f6c 000a0028 11223344 aabbccdd 0000005a \
             00040010 1e61 0001 000100080a000001 00080008 00000001",
        ),
        Vector::new(
            "error",
            Rfc,
            M::Error {
                causes: Causes::list(
                    const {
                        &[
                            Cause::new(CauseCode::UnrecognizedParameter, b"\x4f\xff\x00\x05\xaa"),
                            Cause::new(CauseCode::UnrecognizedMessage, b"\x7f\x00\x00\x04"),
                        ]
                    },
                ),
            },
            "0e00001c 000c0018 00010009 4fff0005 aa000000 00020008 7f000004",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn enrp() -> Vec<Vector<enrp::Message<'static>>> {
    let to_peer = |body| enrp::Message { sender: REGISTRAR, receiver: PEER, body };
    let to_all = |body| enrp::Message { sender: REGISTRAR, receiver: RegistrarId::new(0), body };
    let update = |action, takeover_suggested| {
        let handle = ECHO_POOL;
        Body::HandleUpdate { action, takeover_suggested, handle, element: ELEMENT_IN_TABLE }
    };
    vec![
        Vector::new(
            "presence",
            Rfc,
            to_peer(Body::Presence {
                reply_required: true,
                checksum: Some(0x4deb),
                server: Some(SERVER),
            }),
            "0101002c aabbccdd 01020304 000f0006 4deb0000 000b0018 aabbccdd 00040010 26ad 0000 \
             000100080a000009",
        ),
        Vector::new(
            "presence with a checksum only",
            Rfc,
            to_all(Body::Presence { reply_required: false, checksum: Some(0x4deb), server: None }),
            "01000012 aabbccdd 00000000 000f0006 4deb0000",
        ),
        Vector::new(
            "handle table request",
            Rfc,
            to_peer(Body::HandleTableRequest { own_only: true }),
            "0201000c aabbccdd 01020304",
        ),
        Vector::new(
            "handle table response",
            Rfc,
            to_peer(Body::HandleTableResponse {
                rejected: false,
                more: false,
                pools: Pools::list(
                    const {
                        &[Pool { handle: ECHO_POOL, elements: Elements::list(&[ELEMENT_IN_TABLE]) }]
                    },
                ),
            }),
            "03000050 aabbccdd 01020304 0009000c4563686f506f6f6c 000a0038 11223344 aabbccdd \
             0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001 \
             00040010 9c40 0000 000100080a000001",
        ),
        Vector::new(
            "handle table response, empty",
            Rfc,
            to_peer(Body::HandleTableResponse {
                rejected: false,
                more: false,
                pools: Pools::EMPTY,
            }),
            "0300000c aabbccdd 01020304",
        ),
        Vector::new(
            "handle table response, rejected",
            Rfc,
            to_peer(Body::HandleTableResponse { rejected: true, more: false, pools: Pools::EMPTY }),
            "0301000c aabbccdd 01020304",
        ),
        Vector::new(
            "handle table response, more to come",
            Rfc,
            to_peer(Body::HandleTableResponse { rejected: false, more: true, pools: Pools::EMPTY }),
            "0302000c aabbccdd 01020304",
        ),
        Vector::new(
            "handle update that adds",
            Rfc,
            to_all(update(UpdateAction::Add, false)),
            "04000054 aabbccdd 00000000 0000 0000 0009000c4563686f506f6f6c 000a0038 11223344 \
             aabbccdd 0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001 \
             00040010 9c40 0000 000100080a000001",
        ),
        Vector::new(
            "handle update that deletes",
            Rfc,
            to_all(update(UpdateAction::Delete, false)),
            "04000054 aabbccdd 00000000 0001 0000 0009000c4563686f506f6f6c 000a0038 11223344 \
             aabbccdd 0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001 \
             00040010 9c40 0000 000100080a000001",
        ),
        Vector::new(
            "handle update that suggests a takeover",
            Rfc,
            to_all(update(UpdateAction::Add, true)),
            "04010054 aabbccdd 00000000 0000 0000 0009000c4563686f506f6f6c 000a0038 11223344 \
             aabbccdd 0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001 \
             00040010 9c40 0000 000100080a000001",
        ),
        Vector::new(
            "handle update by rsplib",
            Padded,
            enrp::Message {
                sender: RegistrarId::new(0x3333_3333),
                receiver: RegistrarId::new(0x1111_1111),
                body: Body::HandleUpdate {
                    action: UpdateAction::Add,
                    takeover_suggested: false,
                    handle: PoolHandle::new(b"PPPool"),
                    element: UPDATE_OF_RSPLIB,
                },
            },
            "04000058 33333333 11111111 0000 0000 0009000a5050506f6f6c0000 000a003c 01010101 \
             33333333 00057e40 00040010 10c0 0001 000100080aff000b 0008000c 40000001 00000000 \
             00040010 822a 0000 000100080aff000b",
        ),
        Vector::new("list request", Rfc, to_peer(Body::ListRequest), "0500000c aabbccdd 01020304"),
        Vector::new(
            "list response",
            Rfc,
            to_peer(Body::ListResponse { rejected: false, servers: Servers::list(&[SERVER]) }),
            "06000024 aabbccdd 01020304 000b0018 aabbccdd 00040010 26ad 0000 000100080a000009",
        ),
        Vector::new(
            "init takeover",
            Rfc,
            to_all(Body::InitTakeover { target: TARGET }),
            "07000010 aabbccdd 00000000 deadbeef",
        ),
        Vector::new(
            "init takeover acknowledgment",
            Rfc,
            enrp::Message {
                sender: PEER,
                receiver: REGISTRAR,
                body: Body::InitTakeoverAck { target: TARGET },
            },
            "08000010 01020304 aabbccdd deadbeef",
        ),
        Vector::new(
            "takeover server",
            Rfc,
            to_all(Body::TakeoverServer { target: TARGET }),
            "09000010 aabbccdd 00000000 deadbeef",
        ),
        Vector::new(
            "error",
            Rfc,
            to_peer(Body::Error {
                causes: Causes::list(
                    const {
                        &[Cause::new(
                            CauseCode::UnrecognizedMessage,
                            b"\x7f\x00\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08",
                        )]
                    },
                ),
            }),
            "0a000020 aabbccdd 01020304 000c0014 00020010 7f00000c 0102030405060708",
        ),
    ]
}
