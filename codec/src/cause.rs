//! Operation errors and their causes (RFC 5354, 3.12).

use core::fmt;

use crate::error::{DecodeError, EmitError, Fault};
use crate::parameter::kind;
use crate::reader::Tlv;
use crate::unrecognized::Unrecognized;
use crate::writer::Writer;

/// One cause of an operation error. The code may be any, also rsplib's
/// private ones: see [`CauseCode::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause<'a> {
    /// The cause code as on the wire.
    pub code: u16,
    /// The data, without padding; empty where the cause has none.
    pub data: &'a [u8],
}

impl<'a> Cause<'a> {
    /// A cause of the RFC.
    #[must_use]
    pub const fn new(code: CauseCode, data: &'a [u8]) -> Self {
        Self { code: code as u16, data }
    }
}

/// The cause codes of RFC 5354, 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum CauseCode {
    /// No reason given. No data.
    Unspecified = 0x0,
    /// Data: the parameter.
    UnrecognizedParameter = 0x1,
    /// Data: the message.
    UnrecognizedMessage = 0x2,
    /// Data: the offending parameter.
    InvalidValues = 0x3,
    /// No data.
    NonUniquePeId = 0x4,
    /// Data: the pool's policy parameter.
    InconsistentPolicy = 0x5,
    /// No data.
    LackOfResources = 0x6,
    /// Data: a transport parameter of the pool's kind.
    InconsistentTransport = 0x7,
    /// No data.
    InconsistentChannelUse = 0x8,
    /// Data: the pool handle parameter.
    UnknownPoolHandle = 0x9,
    /// No data.
    SecurityConsiderations = 0xa,
}

impl CauseCode {
    /// What a code means: one of the RFC's, or the one that comes nearest to
    /// a private code that rsplib puts on the wire. `None` if it is not known.
    #[must_use]
    pub const fn of(code: u16) -> Option<Self> {
        Some(match code {
            0x0 => Self::Unspecified,
            0x1 => Self::UnrecognizedParameter,
            0x2 => Self::UnrecognizedMessage,
            // rsplib: malformed message, invalid value, unsupported policy,
            // identifier 0, own identifier, policy values, pool handle,
            // addresses, ASAP transport, no usable ASAP or user address.
            0x3 | 0x0010 | 0x0011 | 0x100b | 0xf000 | 0xf001 | 0xf003..=0xf008 => {
                Self::InvalidValues
            }
            0x4 | 0xf002 => Self::NonUniquePeId,
            0x5 => Self::InconsistentPolicy,
            0x6 => Self::LackOfResources,
            0x7 | 0x100a => Self::InconsistentTransport,
            0x8 => Self::InconsistentChannelUse,
            0x9 => Self::UnknownPoolHandle,
            0xa => Self::SecurityConsiderations,
            _ => return None,
        })
    }
}

impl fmt::Display for CauseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified error",
            Self::UnrecognizedParameter => "unrecognized parameter",
            Self::UnrecognizedMessage => "unrecognized message",
            Self::InvalidValues => "invalid values",
            Self::NonUniquePeId => "non-unique PE identifier",
            Self::InconsistentPolicy => "inconsistent pool policy",
            Self::LackOfResources => "lack of resources",
            Self::InconsistentTransport => "inconsistent transport type",
            Self::InconsistentChannelUse => "inconsistent data and control configuration",
            Self::UnknownPoolHandle => "unknown pool handle",
            Self::SecurityConsiderations => "rejected due to security considerations",
        })
    }
}

/// One or more causes: the content of an operation error. Equal if they yield
/// equal causes.
#[derive(Clone, Copy)]
pub struct Causes<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [Cause<'a>]),
    Unrecognized(Unrecognized<'a>),
}

impl<'a> Causes<'a> {
    /// Causes to be written; the most important first, because rsplib reads no
    /// further.
    #[must_use]
    pub const fn list(list: &'a [Cause<'a>]) -> Self {
        Self(Source::List(list))
    }

    pub(crate) const fn unrecognized(parameters: Unrecognized<'a>) -> Self {
        Self(Source::Unrecognized(parameters))
    }

    /// The causes in their order.
    pub fn iter(&self) -> impl Iterator<Item = Cause<'a>> + use<'a> {
        let (mut wire, list, unrecognized) = match self.0 {
            Source::Wire(bytes) => (bytes, [].as_slice(), None),
            Source::List(list) => ([].as_slice(), list, None),
            Source::Unrecognized(parameters) => ([].as_slice(), [].as_slice(), Some(parameters)),
        };
        let read = core::iter::from_fn(move || {
            let cause = Tlv::take(&mut wire).ok()??;
            Some(Cause { code: cause.kind, data: cause.value })
        });
        let unrecognized = unrecognized.into_iter().flat_map(|parameters| parameters.iter());
        read.chain(list.iter().copied()).chain(unrecognized)
    }

    /// The first cause, which is the most important one.
    #[must_use]
    pub fn first(&self) -> Option<Cause<'a>> {
        self.iter().next()
    }

    /// Reads an Operation Error parameter.
    pub(crate) fn read(tlv: &Tlv<'a>) -> Result<Self, DecodeError<'a>> {
        let mut rest = tlv.value;
        if rest.is_empty() {
            return Err(tlv.invalid(Fault::Missing));
        }
        while Tlv::take(&mut rest)?.is_some() {}
        Ok(Self(Source::Wire(tlv.value)))
    }

    /// Appends an Operation Error parameter.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        let start = w.open(kind::OPERATION_ERROR, []);
        let mut empty = true;
        for cause in self.iter() {
            empty = false;
            w.leaf(cause.code, cause.data)?;
        }
        if empty {
            return Err(EmitError::Empty);
        }
        w.close(&start)
    }
}

impl PartialEq for Causes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Causes<'_> {}

impl fmt::Debug for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_codes_of_rsplib_have_the_nearest_meaning() {
        for code in 0..=0xa {
            assert_eq!(CauseCode::of(code).map(|known| known as u16), Some(code));
        }
        assert_eq!(CauseCode::of(0x0010), Some(CauseCode::InvalidValues));
        assert_eq!(CauseCode::of(0x100a), Some(CauseCode::InconsistentTransport));
        assert_eq!(CauseCode::of(0xf002), Some(CauseCode::NonUniquePeId));
        assert_eq!(CauseCode::of(0x000b), None);
        assert_eq!(CauseCode::of(0x1009), None);
        assert_eq!(CauseCode::of(0xf009), None);
    }
}
