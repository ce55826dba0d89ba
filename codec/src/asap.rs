//! The fourteen ASAP messages (RFC 5352, 2.2).

use alloc::vec::Vec;

use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId};

use crate::cause::Causes;
use crate::element::{Element, Elements};
use crate::error::{DecodeError, EmitError, Fault};
use crate::frame::LengthForm;
use crate::parameter::kind;
use crate::policy;
use crate::reader::{self, Header, Reader, Tlv};
use crate::transport::Transports;
use crate::unrecognized::Unrecognized;
use crate::writer::Writer;

mod peek;
mod resolution_response;

pub use peek::{Resolve, peek_element, peek_handle, peek_resolve};
pub use resolution_response::ResolutionResponse;

/// The SCTP payload protocol identifier of ASAP (RFC 5352, 8.3).
pub const PPID: u32 = 11;
/// The registered port of ASAP on SCTP, TCP and UDP (RFC 5352, 8.2).
pub const PORT: u16 = 3863;

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

/// The message types (RFC 5352, 8.1).
mod code {
    pub(super) const REGISTRATION: u8 = 0x01;
    pub(super) const DEREGISTRATION: u8 = 0x02;
    pub(super) const REGISTRATION_RESPONSE: u8 = 0x03;
    pub(super) const DEREGISTRATION_RESPONSE: u8 = 0x04;
    pub(super) const HANDLE_RESOLUTION: u8 = 0x05;
    pub(super) const HANDLE_RESOLUTION_RESPONSE: u8 = 0x06;
    pub(super) const KEEP_ALIVE: u8 = 0x07;
    pub(super) const KEEP_ALIVE_ACK: u8 = 0x08;
    pub(super) const UNREACHABLE: u8 = 0x09;
    pub(super) const SERVER_ANNOUNCE: u8 = 0x0a;
    pub(super) const COOKIE: u8 = 0x0b;
    pub(super) const COOKIE_ECHO: u8 = 0x0c;
    pub(super) const BUSINESS_CARD: u8 = 0x0d;
    pub(super) const ERROR: u8 = 0x0e;
}

/// The only flag of any ASAP message: R, S, A or H.
const FLAG: u8 = 0x01;

/// What comes before the parameters of a message of this type.
const fn fields(code: u8) -> usize {
    match code {
        code::KEEP_ALIVE | code::SERVER_ANNOUNCE => 4,
        _ => 0,
    }
}

impl<'a> Message<'a> {
    /// Reads one whole message, with or without the padding after its end.
    ///
    /// # Errors
    /// What is wrong, and what the protocol wants done about it.
    #[inline]
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
        let flag = header.flags & FLAG != 0;
        let mut reader = Reader::new(header.body, reportable);
        let r = &mut reader;
        let message = match header.code {
            code::REGISTRATION => {
                let handle = handle(r)?;
                let element = r.expect(kind::POOL_ELEMENT)?;
                let element = Element::read(&element, r.reportable)?;
                Self::Registration { handle, element }
            }
            code::DEREGISTRATION => Self::Deregistration { handle: handle(r)?, pe: pe(r)? },
            code::REGISTRATION_RESPONSE => Self::RegistrationResponse {
                handle: handle(r)?,
                pe: pe(r)?,
                rejected: flag,
                error: error(r)?,
            },
            code::DEREGISTRATION_RESPONSE => {
                Self::DeregistrationResponse { handle: handle(r)?, pe: pe(r)?, error: error(r)? }
            }
            code::HANDLE_RESOLUTION => return handle_resolution(header, reportable),
            code::HANDLE_RESOLUTION_RESPONSE => Self::HandleResolutionResponse {
                handle: handle(r)?,
                subscribed: flag,
                policy: r.optional(kind::POLICY)?.map(|tlv| policy::read(&tlv)).transpose()?,
                elements: Elements::read(r)?,
                error: error(r)?,
            },
            code::KEEP_ALIVE => {
                let registrar = RegistrarId::new(r.word()?);
                let handle = handle(r)?;
                let pe = r.optional(kind::PE_IDENTIFIER)?.map(|tlv| tlv.word()).transpose()?;
                Self::KeepAlive { registrar, take_home: flag, handle, pe: pe.map(PeId::new) }
            }
            code::KEEP_ALIVE_ACK => Self::KeepAliveAck { handle: handle(r)?, pe: pe(r)? },
            code::UNREACHABLE => Self::Unreachable { handle: handle(r)?, pe: pe(r)? },
            code::SERVER_ANNOUNCE => {
                let registrar = RegistrarId::new(r.word()?);
                Self::ServerAnnounce { registrar, transports: Transports::read(r)? }
            }
            code::COOKIE => Self::Cookie { cookie: r.expect(kind::COOKIE)?.value },
            code::COOKIE_ECHO => Self::CookieEcho { cookie: r.expect(kind::COOKIE)?.value },
            code::BUSINESS_CARD => business_card(r)?,
            code::ERROR => Self::Error { causes: Causes::read(&r.expect(kind::OPERATION_ERROR)?)? },
            _ => return Err(header.unknown()),
        };
        reader.finish()?;
        Ok(message)
    }

    /// The message type on the wire.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Registration { .. } => code::REGISTRATION,
            Self::Deregistration { .. } => code::DEREGISTRATION,
            Self::RegistrationResponse { .. } => code::REGISTRATION_RESPONSE,
            Self::DeregistrationResponse { .. } => code::DEREGISTRATION_RESPONSE,
            Self::HandleResolution { .. } => code::HANDLE_RESOLUTION,
            Self::HandleResolutionResponse { .. } => code::HANDLE_RESOLUTION_RESPONSE,
            Self::KeepAlive { .. } => code::KEEP_ALIVE,
            Self::KeepAliveAck { .. } => code::KEEP_ALIVE_ACK,
            Self::Unreachable { .. } => code::UNREACHABLE,
            Self::ServerAnnounce { .. } => code::SERVER_ANNOUNCE,
            Self::Cookie { .. } => code::COOKIE,
            Self::CookieEcho { .. } => code::COOKIE_ECHO,
            Self::BusinessCard { .. } => code::BUSINESS_CARD,
            Self::Error { .. } => code::ERROR,
        }
    }

    /// Its flags on the wire.
    const fn flags(&self) -> u8 {
        match *self {
            Self::RegistrationResponse { rejected: flag, .. }
            | Self::HandleResolution { subscribe: flag, .. }
            | Self::HandleResolutionResponse { subscribed: flag, .. }
            | Self::KeepAlive { take_home: flag, .. } => flag as u8 * FLAG,
            Self::Registration { .. }
            | Self::Deregistration { .. }
            | Self::DeregistrationResponse { .. }
            | Self::KeepAliveAck { .. }
            | Self::Unreachable { .. }
            | Self::ServerAnnounce { .. }
            | Self::Cookie { .. }
            | Self::CookieEcho { .. }
            | Self::BusinessCard { .. }
            | Self::Error { .. } => 0,
        }
    }

    /// Appends the message to `out`, padded to a multiple of 4 bytes. Writes
    /// in place: no allocation but `out`'s own growth.
    ///
    /// # Errors
    /// The message cannot be written; `out` is as it was.
    pub fn emit(&self, out: &mut Vec<u8>, form: LengthForm) -> Result<(), EmitError> {
        Writer::append(out, form, |w| {
            let start = w.message(self.code(), self.flags());
            self.write(w)?;
            w.close(&start)
        })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        match *self {
            Self::Registration { handle, element } => {
                write_handle(w, handle)?;
                element.write(w)
            }
            Self::Deregistration { handle, pe }
            | Self::KeepAliveAck { handle, pe }
            | Self::Unreachable { handle, pe } => write_identity(w, handle, pe),
            Self::RegistrationResponse { handle, pe, error, .. }
            | Self::DeregistrationResponse { handle, pe, error } => {
                write_identity(w, handle, pe)?;
                error.map_or(Ok(()), |causes| causes.write(w))
            }
            Self::HandleResolution { handle, items, .. } => {
                write_handle(w, handle)?;
                items.map_or(Ok(()), |items| w.leaf(kind::ITEMS, &items.to_be_bytes()))
            }
            Self::HandleResolutionResponse { handle, policy, elements, error, .. } => {
                write_handle(w, handle)?;
                policy.map_or(Ok(()), |policy| policy::write(w, policy))?;
                elements.write(w)?;
                error.map_or(Ok(()), |causes| causes.write(w))
            }
            Self::KeepAlive { registrar, handle, pe, .. } => {
                w.word(registrar.get());
                write_handle(w, handle)?;
                pe.map_or(Ok(()), |pe| write_pe(w, pe))
            }
            Self::ServerAnnounce { registrar, transports } => {
                w.word(registrar.get());
                transports.write(w)
            }
            Self::Cookie { cookie } | Self::CookieEcho { cookie } => w.leaf(kind::COOKIE, cookie),
            Self::BusinessCard { elements, .. } if elements.is_empty() => Err(EmitError::Empty),
            Self::BusinessCard { handle, elements } => {
                write_handle(w, handle)?;
                elements.write(w)
            }
            Self::Error { causes } => causes.write(w),
        }
    }
}

fn handle<'a>(r: &mut Reader<'a, '_>) -> Result<PoolHandle<'a>, DecodeError<'a>> {
    Ok(PoolHandle::new(r.expect(kind::POOL_HANDLE)?.value))
}

fn pe<'a>(r: &mut Reader<'a, '_>) -> Result<PeId, DecodeError<'a>> {
    Ok(PeId::new(r.expect(kind::PE_IDENTIFIER)?.word()?))
}

fn error<'a>(r: &mut Reader<'a, '_>) -> Result<Option<Causes<'a>>, DecodeError<'a>> {
    r.optional(kind::OPERATION_ERROR)?.map(|tlv| Causes::read(&tlv)).transpose()
}

fn business_card<'a>(r: &mut Reader<'a, '_>) -> Result<Message<'a>, DecodeError<'a>> {
    let handle = handle(r)?;
    let elements = Elements::read(r)?;
    if elements.is_empty() {
        // Fails, for this is what is missing.
        r.expect(kind::POOL_ELEMENT)?;
    }
    Ok(Message::BusinessCard { handle, elements })
}

/// The option is an extension: it may stand anywhere, also twice; the first
/// one counts.
fn handle_resolution<'a>(
    header: &Header<'a>,
    reportable: &mut bool,
) -> Result<Message<'a>, DecodeError<'a>> {
    let mut rest = header.body;
    let (mut handle, mut items) = (None, None);
    while let Some(tlv) = Tlv::take(&mut rest)? {
        match tlv.kind {
            kind::POOL_HANDLE if handle.is_none() => handle = Some(PoolHandle::new(tlv.value)),
            kind::ITEMS | kind::ITEMS_PURE => items = items.or(Some(tlv.word()?)),
            known if kind::is_known(known) => return Err(tlv.invalid(Fault::Misplaced)),
            _ => *reportable |= tlv.unknown()?,
        }
    }
    let handle = handle.ok_or_else(|| DecodeError::invalid(Fault::Missing, rest))?;
    Ok(Message::HandleResolution { handle, subscribe: header.flags & FLAG != 0, items })
}

fn write_handle(w: &mut Writer<'_>, handle: PoolHandle<'_>) -> Result<(), EmitError> {
    w.leaf(kind::POOL_HANDLE, handle.as_bytes())
}

fn write_pe(w: &mut Writer<'_>, pe: PeId) -> Result<(), EmitError> {
    w.leaf(kind::PE_IDENTIFIER, &pe.get().to_be_bytes())
}

fn write_identity(w: &mut Writer<'_>, handle: PoolHandle<'_>, pe: PeId) -> Result<(), EmitError> {
    write_handle(w, handle)?;
    write_pe(w, pe)
}
