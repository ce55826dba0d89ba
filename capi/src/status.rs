//! How a call ended.

use std::ffi::CStr;

use rserpool_client::Error;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum RserpoolStatus {
    /// It is done.
    Ok = 0,
    /// An argument is wrong.
    Invalid = 1,
    /// No registrar can be reached.
    NoRegistrar = 2,
    /// No registrar answered in time.
    TimedOut = 3,
    /// There is no pool of this handle.
    UnknownPool = 4,
    /// The registrar refused.
    Refused = 5,
    /// This endpoint has no such element.
    NotRegistered = 6,
    /// The endpoint was shut down.
    Closed = 7,
    /// A fault of this library.
    Internal = 8,
}

impl RserpoolStatus {
    pub(crate) const ALL: [Self; 9] = [
        Self::Ok,
        Self::Invalid,
        Self::NoRegistrar,
        Self::TimedOut,
        Self::UnknownPool,
        Self::Refused,
        Self::NotRegistered,
        Self::Closed,
        Self::Internal,
    ];

    pub(crate) const fn message(self) -> &'static CStr {
        match self {
            Self::Ok => c"done",
            Self::Invalid => c"an argument is wrong",
            Self::NoRegistrar => c"no registrar can be reached",
            Self::TimedOut => c"no registrar answered in time",
            Self::UnknownPool => c"there is no pool of this handle",
            Self::Refused => c"the registrar refused",
            Self::NotRegistered => c"this endpoint has no such element",
            Self::Closed => c"the endpoint was shut down",
            Self::Internal => c"a fault of this library",
        }
    }
}

impl From<Error> for RserpoolStatus {
    fn from(error: Error) -> Self {
        match error {
            _ if error.is_unknown_pool() => Self::UnknownPool,
            Error::NoRegistrar(_) => Self::NoRegistrar,
            Error::TimedOut => Self::TimedOut,
            Error::Invalid(_) => Self::Invalid,
            Error::Closed => Self::Closed,
            Error::Refused(..) | Error::NoElement(_) | _ => Self::Refused,
        }
    }
}
