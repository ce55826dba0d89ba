//! Reliable Server Pooling as sans-IO state machines: the registrar's ASAP
//! side ([`registrar`]), the group of registrars ([`enrp`]), the ASAP side of
//! pool elements and pool users ([`endpoint`]), the registration of a pool
//! element ([`element`]), what a pool user knows of pools ([`user`]), how
//! registrars are found ([`discovery`]) and searched ([`hunt`]), and the
//! sessions of pool users with pool elements ([`session`]). They take whole
//! messages and the time, and give whole messages, the next time-out and what
//! happened; sockets, clocks and threads are the embedder's.
//!
//! A pool element registers and a pool user finds it, without a network:
//!
//! ```
//! use rserpool_codec::{Addresses, Element, Frame, Transport, frame};
//! use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId, Timestamp, TransportKind};
//! use rserpool_proto::endpoint::{self, Conversation, Event};
//! use rserpool_proto::registrar::{Config, Output, Peer, Shard};
//!
//! let now = Timestamp::ZERO;
//! let mut registrar = Shard::new(Config::default());
//! let address = "192.0.2.1:50000".parse().unwrap();
//! let association =
//!     registrar.open(now, Peer { address, transport: TransportKind::Tcp }).unwrap();
//!
//! let pool = PoolHandle::new(b"EchoPool");
//! let service = ["192.0.2.1".parse().unwrap()];
//! let element = Element {
//!     pe: PeId::new(0x1122_3344),
//!     home: RegistrarId::new(0),
//!     life: 90,
//!     user_transport: Transport::tcp(7, Addresses::List(&service)),
//!     policy: Policy::RoundRobin,
//!     asap_transport: None,
//! };
//! let mut conversation = Conversation::new(endpoint::Config::default());
//! conversation.register(now, 1, pool, &element).unwrap();
//! conversation.resolve(now, 2, pool, None, false).unwrap();
//!
//! // The embedder carries the bytes: here to the registrar,
//! let mut requests = conversation.output().as_slice();
//! while let Frame::Whole(length) = frame(requests) {
//!     registrar.receive(now, association, &requests[..length]);
//!     requests = &requests[length..];
//! }
//! // and back.
//! assert_eq!(registrar.poll_output(), Some(Output::Send(association)));
//! let mut answers = Vec::new();
//! registrar.take_send(association, &mut answers);
//! let Frame::Whole(length) = frame(&answers) else { panic!() };
//! let registered = conversation.receive(now, &answers[..length]);
//! assert!(matches!(registered, Event::Registered { token: 1, rejected: false, .. }));
//! let Event::Resolved { token: 2, elements, .. } =
//!     conversation.receive(now, &answers[length..])
//! else {
//!     panic!()
//! };
//! assert_eq!(elements.iter().next().unwrap().pe, element.pe);
//! ```

mod chance;
pub mod discovery;
pub mod element;
pub mod endpoint;
pub mod enrp;
pub mod hunt;
mod life;
pub mod registrar;
pub mod session;
pub mod user;

pub use life::LifeUnit;
