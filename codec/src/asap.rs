//! The fourteen ASAP messages (RFC 5352, 2.2).

use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId};

use crate::{
    Causes, DecodeError, Element, Elements, EmitError, LengthForm, Transports, Unrecognized,
};

mod peek;
mod resolution_response;

pub use peek::{peek_element, peek_handle};
pub use resolution_response::ResolutionResponse;

/// An ASAP message. Reading one borrows from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the RFC's figures")]
pub enum Message<'a> {
    /// 0x01, pool element to registrar.
    Registration { handle: PoolHandle<'a>, element: Element<'a> },
    /// 0x02, pool element to registrar.
    Deregistration { handle: PoolHandle<'a>, pe: PeId },
    /// 0x03, registrar to pool element. `error` without `rejected` is a warning.
    RegistrationResponse {
        handle: PoolHandle<'a>,
        pe: PeId,
        rejected: bool,
        error: Option<Causes<'a>>,
    },
    /// 0x04, registrar to pool element. Rejected exactly if there is an `error`.
    DeregistrationResponse { handle: PoolHandle<'a>, pe: PeId, error: Option<Causes<'a>> },
    /// 0x05, pool user to registrar. `items` is the option 0x803f.
    HandleResolution { handle: PoolHandle<'a>, subscribe: bool, items: Option<u32> },
    /// 0x06, registrar to pool user. Negative exactly if there is an `error`.
    HandleResolutionResponse {
        handle: PoolHandle<'a>,
        subscribed: bool,
        policy: Option<Policy>,
        elements: Elements<'a>,
        error: Option<Causes<'a>>,
    },
    /// 0x07, registrar to pool element. `take_home` is the H bit; `pe` is rsplib's.
    KeepAlive { registrar: RegistrarId, take_home: bool, handle: PoolHandle<'a>, pe: Option<PeId> },
    /// 0x08, pool element to registrar.
    KeepAliveAck { handle: PoolHandle<'a>, pe: PeId },
    /// 0x09, pool user to registrar.
    Unreachable { handle: PoolHandle<'a>, pe: PeId },
    /// 0x0a, registrar to everybody.
    ServerAnnounce { registrar: RegistrarId, transports: Transports<'a> },
    /// 0x0b, pool element to pool user.
    Cookie { cookie: &'a [u8] },
    /// 0x0c, pool user to pool element.
    CookieEcho { cookie: &'a [u8] },
    /// 0x0d, between pool element and pool user.
    BusinessCard { handle: PoolHandle<'a>, elements: Elements<'a> },
    /// 0x0e, anybody to anybody.
    Error { causes: Causes<'a> },
}

impl<'a> Message<'a> {
    /// Reads one whole message, with or without the padding after its end.
    ///
    /// # Errors
    /// What is wrong, and what the protocol wants done about it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError<'a>> {
        todo!()
    }

    /// Like [`Message::parse`], and gives the unknown parameters that were
    /// skipped but are to be reported to the sender.
    ///
    /// # Errors
    /// As for [`Message::parse`].
    pub fn parse_reporting(bytes: &'a [u8]) -> Result<(Self, Unrecognized<'a>), DecodeError<'a>> {
        todo!()
    }

    /// The message type on the wire.
    #[must_use]
    pub const fn code(&self) -> u8 {
        todo!()
    }

    /// Appends the message to `out`, padded to a multiple of 4 bytes. Writes
    /// in place: no allocation but `out`'s own growth.
    ///
    /// # Errors
    /// The message cannot be written; `out` is as it was.
    pub fn emit(&self, out: &mut Vec<u8>, form: LengthForm) -> Result<(), EmitError> {
        todo!()
    }
}
