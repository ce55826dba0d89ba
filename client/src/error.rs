//! What can go wrong.

use std::fmt;
use std::io;

use rserpool_codec::{CauseCode, Causes};

/// Why a request failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No registrar can be reached; why the last one that was tried cannot.
    NoRegistrar(Option<io::Error>),
    /// No registrar answered in time.
    TimedOut,
    /// The registrar refused, with this cause code (RFC 5354, 3.12); what it
    /// means, if it is known.
    Refused(u16, Option<CauseCode>),
    /// The request cannot be made: what is wrong with it.
    Invalid(String),
    /// No element of the pool can be connected to; why the last one that was
    /// tried cannot.
    NoElement(io::Error),
    /// What it belongs to was shut down, or its runtime ended.
    Closed,
}

impl Error {
    /// Whether the registrar has no pool of this handle.
    #[must_use]
    pub const fn is_unknown_pool(&self) -> bool {
        matches!(self, Self::Refused(_, Some(CauseCode::UnknownPoolHandle)))
    }

    /// Whether the pool exists, but none of its elements takes anything: all
    /// are drained.
    #[must_use]
    pub const fn is_drained_pool(&self) -> bool {
        matches!(self, Self::Refused(_, Some(CauseCode::LackOfResources)))
    }

    pub(crate) fn refused(causes: Option<&Causes<'_>>) -> Self {
        let code = causes.and_then(Causes::first).map_or(0, |cause| cause.code);
        Self::Refused(code, CauseCode::of(code))
    }

    pub(crate) const fn unknown_pool() -> Self {
        let cause = CauseCode::UnknownPoolHandle;
        Self::Refused(cause as u16, Some(cause))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegistrar(Some(error)) => write!(f, "no registrar can be reached: {error}"),
            Self::NoRegistrar(None) => f.write_str("no registrar is known"),
            Self::TimedOut => f.write_str("no registrar answered in time"),
            Self::Refused(_, Some(CauseCode::UnknownPoolHandle)) => {
                f.write_str("there is no pool of this handle")
            }
            Self::Refused(_, Some(cause)) => write!(f, "the registrar refused: {cause:?}"),
            Self::Refused(code, None) => write!(f, "the registrar refused: cause {code:#06x}"),
            Self::Invalid(what) => write!(f, "the request cannot be made: {what}"),
            Self::NoElement(error) => write!(f, "no pool element can be reached: {error}"),
            Self::Closed => f.write_str("the endpoint was shut down"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoRegistrar(Some(error)) | Self::NoElement(error) => Some(error),
            Self::NoRegistrar(None)
            | Self::TimedOut
            | Self::Refused(..)
            | Self::Invalid(_)
            | Self::Closed => None,
        }
    }
}
