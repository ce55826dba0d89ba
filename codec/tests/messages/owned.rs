//! Arbitrary messages. Messages borrow, so these own what they borrow from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use rserpool_codec::enrp::{Body, Pool, Pools, Server, Servers, UpdateAction};
use rserpool_codec::{
    Addresses, Cause, Causes, Element, Elements, Transport, Transports, asap, enrp,
};
use rserpool_engine::{ChannelUse, PeId, Policy, PoolHandle, RegistrarId};

#[derive(Clone, Debug)]
pub(crate) enum OwnedTransport {
    Ip { protocol: u8, port: u16, channel_use: ChannelUse, word: u32, addresses: Vec<IpAddr> },
    Opaque(Vec<u8>),
}

impl OwnedTransport {
    pub(crate) fn borrow(&self) -> Transport<'_> {
        match self {
            Self::Opaque(bytes) => Transport::opaque(bytes),
            Self::Ip { protocol, port, channel_use, word, addresses } => {
                let one = Addresses::List(&addresses[..1]);
                match protocol {
                    0 => Transport::sctp(*port, *channel_use, Addresses::List(addresses)),
                    1 => Transport { channel_use: *channel_use, ..Transport::tcp(*port, one) },
                    2 => Transport::udp(*port, one),
                    3 => Transport::udp_lite(*port, one),
                    _ => Transport::dccp(*port, *word, one),
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct OwnedElement {
    pe: u32,
    home: u32,
    life: i32,
    user_transport: OwnedTransport,
    policy: Policy,
    asap_transport: Option<OwnedTransport>,
}

impl OwnedElement {
    pub(crate) fn borrow(&self) -> Element<'_> {
        let asap_transport = self.asap_transport.as_ref();
        Element {
            pe: PeId::new(self.pe),
            home: RegistrarId::new(self.home),
            life: self.life,
            user_transport: self.user_transport.borrow(),
            policy: self.policy,
            asap_transport: asap_transport
                .map(|owned| Transport { channel_use: ChannelUse::Data, ..owned.borrow() }),
        }
    }
}

/// What any message can be made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    code: u8,
    handle: Vec<u8>,
    bytes: Vec<u8>,
    numbers: [u32; 3],
    flags: [bool; 2],
    policy: Option<Policy>,
    items: Option<u32>,
    checksum: Option<u16>,
    elements: Vec<OwnedElement>,
    causes: Option<Vec<(u16, Vec<u8>)>>,
    /// Those of TCP first, as they are written.
    transports: Vec<OwnedTransport>,
    servers: Vec<(u32, OwnedTransport)>,
}

impl Parts {
    pub(crate) fn asap<T>(&self, test: impl FnOnce(asap::Message<'_>) -> T) -> T {
        use asap::Message as M;
        let handle = PoolHandle::new(&self.handle);
        let pe = PeId::new(self.numbers[0]);
        let registrar = RegistrarId::new(self.numbers[1]);
        let flag = self.flags[0];
        let elements: Vec<_> = self.elements.iter().map(OwnedElement::borrow).collect();
        let first = elements[0];
        let elements = Elements::list(&elements);
        let causes: Option<Vec<Cause<'_>>> = self.causes.as_ref().map(|causes| borrow(causes));
        let error = causes.as_ref().map(|causes| Causes::list(causes));
        let transports: Vec<_> = self.transports.iter().map(OwnedTransport::borrow).collect();
        let any = [Cause { code: 0, data: &self.bytes }];
        test(match self.code {
            1 => M::Registration { handle, element: first },
            2 => M::Deregistration { handle, pe },
            3 => M::RegistrationResponse { handle, pe, rejected: flag, error },
            4 => M::DeregistrationResponse { handle, pe, error },
            5 => M::HandleResolution { handle, subscribe: flag, items: self.items },
            6 => M::HandleResolutionResponse {
                handle,
                subscribed: flag,
                policy: self.policy,
                elements: if self.flags[1] { elements } else { Elements::EMPTY },
                error,
            },
            7 => M::KeepAlive { registrar, take_home: flag, handle, pe: self.items.map(PeId::new) },
            8 => M::KeepAliveAck { handle, pe },
            9 => M::Unreachable { handle, pe },
            10 => M::ServerAnnounce { registrar, transports: Transports::list(&transports) },
            11 => M::Cookie { cookie: &self.bytes },
            12 => M::CookieEcho { cookie: &self.bytes },
            13 => M::BusinessCard { handle, elements },
            _ => M::Error { causes: error.unwrap_or_else(|| Causes::list(&any)) },
        })
    }

    pub(crate) fn enrp<T>(&self, test: impl FnOnce(enrp::Message<'_>) -> T) -> T {
        let handle = PoolHandle::new(&self.handle);
        let target = RegistrarId::new(self.numbers[2]);
        let flag = self.flags[0];
        let elements: Vec<_> = self.elements.iter().map(OwnedElement::borrow).collect();
        let pools = [
            Pool { handle, elements: Elements::list(&elements) },
            Pool { handle: PoolHandle::new(&self.bytes), elements: Elements::list(&elements[..1]) },
        ];
        let server = |(registrar, transport): &'_ (u32, OwnedTransport)| {
            (RegistrarId::new(*registrar), transport.clone())
        };
        let owned: Vec<_> = self.servers.iter().map(server).collect();
        let servers: Vec<_> = owned
            .iter()
            .map(|(registrar, transport)| Server {
                registrar: *registrar,
                transport: transport.borrow(),
            })
            .collect();
        let any = [Cause { code: 0, data: &self.bytes }];
        let causes: Option<Vec<Cause<'_>>> = self.causes.as_ref().map(|causes| borrow(causes));
        let error = causes.as_ref().map(|causes| Causes::list(causes));
        let body = match self.code {
            1 => Body::Presence {
                reply_required: flag,
                checksum: self.checksum,
                server: servers.first().copied(),
            },
            2 => Body::HandleTableRequest { own_only: flag },
            3 => Body::HandleTableResponse {
                rejected: flag,
                more: self.flags[1],
                pools: Pools::list(if flag { &[] } else { &pools }),
            },
            4 => Body::HandleUpdate {
                action: if self.flags[1] { UpdateAction::Add } else { UpdateAction::Delete },
                takeover_suggested: flag,
                handle,
                element: elements[0],
            },
            5 => Body::ListRequest,
            6 => Body::ListResponse { rejected: flag, servers: Servers::list(&servers) },
            7 => Body::InitTakeover { target },
            8 => Body::InitTakeoverAck { target },
            9 => Body::TakeoverServer { target },
            _ => Body::Error { causes: error.unwrap_or_else(|| Causes::list(&any)) },
        };
        let [sender, receiver, _] = self.numbers.map(RegistrarId::new);
        test(enrp::Message { sender, receiver, body })
    }
}

fn borrow(causes: &[(u16, Vec<u8>)]) -> Vec<Cause<'_>> {
    causes.iter().map(|(code, data)| Cause { code: *code, data }).collect()
}

pub(crate) fn asap_parts() -> impl Strategy<Value = Parts> {
    parts(1..=14)
}

pub(crate) fn enrp_parts() -> impl Strategy<Value = Parts> {
    parts(1..=10)
}

fn parts(codes: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = Parts> {
    let bytes = || vec(any::<u8>(), 0..40);
    let causes = vec((any::<u16>(), bytes()), 1..4);
    let scalars = (codes, bytes(), bytes(), any::<[u32; 3]>(), any::<[bool; 2]>());
    let options = (
        proptest::option::of(policy()),
        any::<Option<u32>>(),
        any::<Option<u16>>(),
        proptest::option::of(causes),
    );
    let sequences = (
        vec(element(), 1..4),
        vec(ip(1..=1), 0..2),
        vec(ip(0..=0), 0..2),
        vec((any::<u32>(), ip(0..=0)), 0..3),
    );
    (scalars, options, sequences).prop_map(|(scalars, options, sequences)| {
        let (code, handle, bytes, numbers, flags) = scalars;
        let (policy, items, checksum, causes) = options;
        let (elements, tcp, sctp, servers) = sequences;
        let transports = [tcp, sctp].concat();
        Parts {
            code,
            handle,
            bytes,
            numbers,
            flags,
            policy,
            items,
            checksum,
            elements,
            causes,
            transports,
            servers,
        }
    })
}

pub(crate) fn element() -> impl Strategy<Value = OwnedElement> {
    let user_transport =
        prop_oneof![4 => ip(0..=4), 1 => vec(any::<u8>(), 0..20).prop_map(OwnedTransport::Opaque)];
    let asap_transport = proptest::option::of(ip(0..=0));
    (1_u32.., any::<u32>(), any::<i32>(), user_transport, policy(), asap_transport).prop_map(
        |(pe, home, life, user_transport, policy, asap_transport)| OwnedElement {
            pe,
            home,
            life,
            user_transport,
            policy,
            asap_transport,
        },
    )
}

fn ip(protocols: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = OwnedTransport> {
    let channel_use = prop_oneof![Just(ChannelUse::Data), Just(ChannelUse::DataAndControl)];
    (protocols, 1_u16.., channel_use, any::<u32>(), vec(address(), 1..4)).prop_map(
        |(protocol, port, channel_use, word, addresses)| OwnedTransport::Ip {
            protocol,
            port,
            channel_use,
            word,
            addresses,
        },
    )
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
    ]
}

/// Every policy that has a wire format.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let policies = |[a, b, c, d]: [u32; 4]| {
        [
            Policy::RoundRobin,
            Policy::WeightedRoundRobin { weight: a },
            Policy::Random,
            Policy::WeightedRandom { weight: a },
            Policy::Priority { priority: a },
            Policy::LeastUsed { load: a },
            Policy::LeastUsedDegradation { load: a, degradation: b },
            Policy::PriorityLeastUsed { load: a, degradation: b },
            Policy::RandomizedLeastUsed { load: a },
            Policy::RandomizedPriorityLeastUsed { load: a, degradation: b },
            Policy::RandomizedLeastUsedDegradation { load: a, degradation: b },
            Policy::PriorityLeastUsedDegradation { load: a, degradation: b },
            Policy::RandomizedPriorityLeastUsedDegradation { load: a, degradation: b },
            Policy::WeightedRandomDpf { weight: a, dpf: b, distance: c },
            Policy::LeastUsedDpf { load: a, dpf: b, distance: c },
            Policy::LeastUsedDegradationDpf { load: a, degradation: b, dpf: c, distance: d },
        ]
    };
    (any::<[u32; 4]>(), 0..16_usize).prop_map(move |(words, index)| policies(words)[index])
}
