//! The ten ENRP messages (RFC 5353, 2).

use alloc::vec::Vec;

use rserpool_engine::{PoolHandle, RegistrarId};

use crate::cause::Causes;
use crate::element::Element;
use crate::error::{DecodeError, EmitError, Fault};
use crate::frame::LengthForm;
use crate::parameter::kind;
use crate::reader::{self, Header, Reader};
use crate::unrecognized::Unrecognized;
use crate::writer::Writer;

pub mod extension;
mod handle_table;
mod server;

pub use handle_table::{HandleTableResponse, Pool, Pools};
pub use server::{Server, Servers};

/// The SCTP payload protocol identifier of ENRP (RFC 5353, 5.4).
pub const PPID: u32 = 12;
/// The registered port of ENRP on SCTP and UDP (RFC 5353, 5.3).
pub const PORT: u16 = 9901;

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

/// The message types (RFC 5353, 5.1).
mod code {
    pub(super) const PRESENCE: u8 = 0x01;
    pub(super) const HANDLE_TABLE_REQUEST: u8 = 0x02;
    pub(super) const HANDLE_TABLE_RESPONSE: u8 = 0x03;
    pub(super) const HANDLE_UPDATE: u8 = 0x04;
    pub(super) const LIST_REQUEST: u8 = 0x05;
    pub(super) const LIST_RESPONSE: u8 = 0x06;
    pub(super) const INIT_TAKEOVER: u8 = 0x07;
    pub(super) const INIT_TAKEOVER_ACK: u8 = 0x08;
    pub(super) const TAKEOVER_SERVER: u8 = 0x09;
    pub(super) const ERROR: u8 = 0x0a;
}

/// R, W or T.
const FLAG: u8 = 0x01;
/// The M bit of a Handle Table Response.
const MORE: u8 = 0x02;

/// What comes before the parameters of a message of this type.
const fn fields(code: u8) -> usize {
    match code {
        code::HANDLE_UPDATE | code::INIT_TAKEOVER..=code::TAKEOVER_SERVER => 12,
        _ => 8,
    }
}

impl<'a> Message<'a> {
    /// Reads one whole message, with or without the padding after its end.
    ///
    /// # Errors
    /// What is wrong, and what the protocol wants done about it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError<'a>> {
        reader::message(bytes, code::ERROR, &mut false, Self::read)
    }

    /// Like [`Message::parse`], and gives the unknown parameters that were
    /// skipped but are to be reported to the sender. They cost nothing where
    /// there are none.
    ///
    /// # Errors
    /// As for [`Message::parse`].
    pub fn parse_reporting(bytes: &'a [u8]) -> Result<(Self, Unrecognized<'a>), DecodeError<'a>> {
        let mut reportable = false;
        let message = reader::message(bytes, code::ERROR, &mut reportable, Self::read)?;
        let unrecognized = if reportable {
            reader::unrecognized(bytes, code::ERROR, fields)
        } else {
            Unrecognized::default()
        };
        Ok((message, unrecognized))
    }

    fn read(header: &Header<'a>, reportable: &mut bool) -> Result<Self, DecodeError<'a>> {
        let known = matches!(header.code, code::PRESENCE..=code::ERROR);
        if !known {
            return Err(header.unknown());
        }
        let mut reader = Reader::new(header.body, reportable);
        let sender = RegistrarId::new(reader.word()?);
        let receiver = RegistrarId::new(reader.word()?);
        let body = Body::read(header, &mut reader)?;
        reader.finish()?;
        Ok(Self { sender, receiver, body })
    }

    /// The message type on the wire.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.body.code()
    }

    /// Appends the message to `out`, padded to a multiple of 4 bytes. Writes
    /// in place: no allocation but `out`'s own growth.
    ///
    /// # Errors
    /// The message cannot be written; `out` is as it was.
    pub fn emit(&self, out: &mut Vec<u8>, form: LengthForm) -> Result<(), EmitError> {
        Writer::append(out, form, |w| {
            let start = w.message(self.code(), self.body.flags());
            w.word(self.sender.get());
            w.word(self.receiver.get());
            self.body.write(w)?;
            w.close(&start)
        })
    }
}

impl<'a> Body<'a> {
    fn read(header: &Header<'a>, r: &mut Reader<'a, '_>) -> Result<Self, DecodeError<'a>> {
        let flag = header.flags & FLAG != 0;
        Ok(match header.code {
            code::PRESENCE => {
                let checksum = r.optional(kind::PE_CHECKSUM)?;
                let checksum = checksum.map(|tlv| tlv.half()).transpose()?;
                let server = r.optional(kind::SERVER_INFORMATION)?;
                let server = server.map(|tlv| Server::read(&tlv, r.reportable)).transpose()?;
                Self::Presence { reply_required: flag, checksum, server }
            }
            code::HANDLE_TABLE_REQUEST => Self::HandleTableRequest { own_only: flag },
            code::HANDLE_TABLE_RESPONSE => Self::HandleTableResponse {
                rejected: flag,
                more: header.flags & MORE != 0,
                pools: Pools::read(r)?,
            },
            code::HANDLE_UPDATE => {
                let action = UpdateAction::read(r)?;
                let handle = PoolHandle::new(r.expect(kind::POOL_HANDLE)?.value);
                let element = r.expect(kind::POOL_ELEMENT)?;
                let element = Element::read(&element, r.reportable)?;
                Self::HandleUpdate { action, takeover_suggested: flag, handle, element }
            }
            code::LIST_REQUEST => Self::ListRequest,
            code::LIST_RESPONSE => {
                Self::ListResponse { rejected: flag, servers: Servers::read(r)? }
            }
            code::INIT_TAKEOVER => Self::InitTakeover { target: RegistrarId::new(r.word()?) },
            code::INIT_TAKEOVER_ACK => {
                Self::InitTakeoverAck { target: RegistrarId::new(r.word()?) }
            }
            code::TAKEOVER_SERVER => Self::TakeoverServer { target: RegistrarId::new(r.word()?) },
            code::ERROR => Self::Error { causes: Causes::read(&r.expect(kind::OPERATION_ERROR)?)? },
            _ => return Err(header.unknown()),
        })
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Presence { .. } => code::PRESENCE,
            Self::HandleTableRequest { .. } => code::HANDLE_TABLE_REQUEST,
            Self::HandleTableResponse { .. } => code::HANDLE_TABLE_RESPONSE,
            Self::HandleUpdate { .. } => code::HANDLE_UPDATE,
            Self::ListRequest => code::LIST_REQUEST,
            Self::ListResponse { .. } => code::LIST_RESPONSE,
            Self::InitTakeover { .. } => code::INIT_TAKEOVER,
            Self::InitTakeoverAck { .. } => code::INIT_TAKEOVER_ACK,
            Self::TakeoverServer { .. } => code::TAKEOVER_SERVER,
            Self::Error { .. } => code::ERROR,
        }
    }

    const fn flags(&self) -> u8 {
        match *self {
            Self::Presence { reply_required: flag, .. }
            | Self::HandleTableRequest { own_only: flag }
            | Self::HandleUpdate { takeover_suggested: flag, .. }
            | Self::ListResponse { rejected: flag, .. } => flag as u8 * FLAG,
            Self::HandleTableResponse { rejected, more, .. } => {
                (rejected as u8 * FLAG) | (more as u8 * MORE)
            }
            Self::ListRequest
            | Self::InitTakeover { .. }
            | Self::InitTakeoverAck { .. }
            | Self::TakeoverServer { .. }
            | Self::Error { .. } => 0,
        }
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        match *self {
            Self::Presence { checksum, server, .. } => {
                if let Some(checksum) = checksum {
                    w.leaf(kind::PE_CHECKSUM, &checksum.to_be_bytes())?;
                }
                server.map_or(Ok(()), |server| server.write(w))
            }
            Self::HandleTableResponse { pools, .. } => pools.write(w),
            Self::HandleUpdate { action, handle, element, .. } => {
                let [high, low] = (action as u16).to_be_bytes();
                w.bytes([high, low, 0, 0]);
                w.leaf(kind::POOL_HANDLE, handle.as_bytes())?;
                element.write(w)
            }
            Self::ListResponse { servers, .. } => servers.write(w),
            Self::InitTakeover { target }
            | Self::InitTakeoverAck { target }
            | Self::TakeoverServer { target } => {
                w.word(target.get());
                Ok(())
            }
            Self::Error { causes } => causes.write(w),
            Self::HandleTableRequest { .. } | Self::ListRequest => Ok(()),
        }
    }
}

impl UpdateAction {
    /// Reads the action and the reserved field after it.
    fn read<'a>(r: &mut Reader<'a, '_>) -> Result<Self, DecodeError<'a>> {
        let here = r.rest().get(..0).unwrap_or_default();
        match r.word()? >> 16 {
            0 => Ok(Self::Add),
            1 => Ok(Self::Delete),
            _ => Err(DecodeError::invalid(Fault::Value, here)),
        }
    }
}
