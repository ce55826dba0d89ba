//! The ten ENRP messages (RFC 5353, 2).

use rserpool_engine::{PoolHandle, RegistrarId};

use crate::{Causes, DecodeError, Element, EmitError, LengthForm, Unrecognized};

mod handle_table;
mod server;

pub use handle_table::{HandleTableResponse, Pool, Pools};
pub use server::{Server, Servers};

/// An ENRP message. Reading one borrows from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Who sent it.
    pub sender: RegistrarId,
    /// Whom it is for; 0 is everybody, or not known.
    pub receiver: RegistrarId,
    /// What it says.
    pub body: Body<'a>,
}

/// What an ENRP message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the RFC's figures")]
pub enum Body<'a> {
    /// 0x01. `reply_required` is the R bit.
    Presence { reply_required: bool, checksum: Option<u16>, server: Option<Server<'a>> },
    /// 0x02. `own_only` is the W bit: only the elements whose home is the receiver.
    HandleTableRequest { own_only: bool },
    /// 0x03. `rejected` is the R bit, `more` the M bit.
    HandleTableResponse { rejected: bool, more: bool, pools: Pools<'a> },
    /// 0x04. `takeover_suggested` is the T bit of the takeover suggestion draft.
    HandleUpdate {
        action: UpdateAction,
        takeover_suggested: bool,
        handle: PoolHandle<'a>,
        element: Element<'a>,
    },
    /// 0x05.
    ListRequest,
    /// 0x06. `rejected` is the R bit.
    ListResponse { rejected: bool, servers: Servers<'a> },
    /// 0x07.
    InitTakeover { target: RegistrarId },
    /// 0x08.
    InitTakeoverAck { target: RegistrarId },
    /// 0x09.
    TakeoverServer { target: RegistrarId },
    /// 0x0a.
    Error { causes: Causes<'a> },
}

/// What a Handle Update does to the element (RFC 5353, 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum UpdateAction {
    /// `ADD_PE`: it was registered or changed.
    Add = 0,
    /// `DEL_PE`: it is gone.
    Delete = 1,
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
