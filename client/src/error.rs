//! What can go wrong.

use std::fmt;
use std::io;

use rserpool_codec::{CauseCode, Causes};

/// Why a request to a registrar failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The registrar cannot be connected to.
    Connect(io::Error),
    /// The association with the registrar is lost. Its registrations are gone
    /// with it.
    Lost,
    /// The registrar did not answer in time.
    TimedOut,
    /// The registrar refused, with this cause code (RFC 5354, 3.12); what it
    /// means, if it is known.
    Refused(u16, Option<CauseCode>),
    /// The request cannot be made: what is wrong with it.
    Invalid(String),
}

impl Error {
    /// Whether the registrar has no pool of this handle.
    #[must_use]
    pub const fn is_unknown_pool(&self) -> bool {
        matches!(self, Self::Refused(_, Some(CauseCode::UnknownPoolHandle)))
    }

    pub(crate) fn refused(causes: Option<&Causes<'_>>) -> Self {
        let code = causes.and_then(Causes::first).map_or(0, |cause| cause.code);
        Self::Refused(code, CauseCode::of(code))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect to the registrar: {error}"),
            Self::Lost => f.write_str("the association with the registrar is lost"),
            Self::TimedOut => f.write_str("the registrar did not answer in time"),
            Self::Refused(_, Some(cause)) => write!(f, "the registrar refused: {cause:?}"),
            Self::Refused(code, None) => write!(f, "the registrar refused: cause {code:#06x}"),
            Self::Invalid(what) => write!(f, "the request cannot be made: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Lost | Self::TimedOut | Self::Refused(..) | Self::Invalid(_) => None,
        }
    }
}
