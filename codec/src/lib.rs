//! Encoding and decoding of the messages of Reliable Server Pooling: ASAP
//! (RFC 5352), ENRP (RFC 5353) and their parameters (RFC 5354, RFC 5356).
//!
//! ```
//! use rserpool_codec::asap::Message;
//! use rserpool_codec::{Addresses, Element, LengthForm, Transport};
//! use rserpool_engine::{ChannelUse, PeId, Policy, PoolHandle, RegistrarId};
//!
//! let address = ["10.0.0.1".parse().unwrap()];
//! let registration = Message::Registration {
//!     handle: PoolHandle::new(b"EchoPool"),
//!     element: Element {
//!         pe: PeId::new(0x1122_3344),
//!         home: RegistrarId::default(),
//!         life: 90,
//!         user_transport: Transport::sctp(
//!             7777,
//!             ChannelUse::DataAndControl,
//!             Addresses::List(&address),
//!         ),
//!         policy: Policy::RoundRobin,
//!         asap_transport: None,
//!     },
//! };
//! let mut bytes = Vec::new();
//! registration.emit(&mut bytes, LengthForm::Rfc).unwrap();
//! assert_eq!(Message::parse(&bytes), Ok(registration));
//!
//! // Bytes that cannot be read say what to tell their sender.
//! bytes[1 + 2] = 0x30;
//! let error = Message::parse(&bytes).unwrap_err();
//! assert_eq!(error.cause.code, 3); // Invalid Values
//! ```
//!
//! # Reading
//! [`asap::Message::parse`] and [`enrp::Message::parse`] take exactly one
//! message; [`frame()`] finds its end in a byte stream. They read every byte or
//! fail, never panic, never allocate, and borrow from what they read: the
//! sequences in a message ([`Elements`], [`Causes`], [`Addresses`], ...) are
//! checked once and decoded as they are iterated.
//!
//! Both length conventions are understood ([`LengthForm`]). Unknown parameters
//! and messages are handled by their action bits (RFC 5354, 2 and 4); a
//! [`DecodeError`] holds the cause to report, and `parse_reporting` those
//! parameters that were skipped but are to be reported.
//!
//! # Writing
//! `emit` appends to a `Vec<u8>`, and that growth is its only allocation. What
//! `emit` accepts, `parse` reads back as an equal value; anything else it
//! refuses with an [`EmitError`] and leaves the vector alone. A registrar writes
//! [`asap::ResolutionResponse`] and [`enrp::HandleTableResponse`] from stored
//! Pool Element parameters.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]
// No clock, no files, no sockets: the compiler sees to it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod address;
pub mod asap;
mod cause;
mod element;
pub mod enrp;
mod error;
mod frame;
pub mod parameter;
mod policy;
mod reader;
mod transport;
mod unrecognized;
mod writer;

pub use address::Addresses;
pub use cause::{Cause, CauseCode, Causes};
pub use element::{Element, Elements};
pub use error::{DecodeError, EmitError, Fault, Reply};
pub use frame::{Frame, LengthForm, frame};
pub use transport::{Transport, Transports};
pub use unrecognized::Unrecognized;
