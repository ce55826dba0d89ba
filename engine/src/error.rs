//! Why a call was refused. Each variant maps to one cause of RFC 5354, 3.12.

use core::fmt;

use crate::{ChannelUse, Policy, TransportKind};

/// Why a registration was refused. The handlespace is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The pool handle is empty or longer than the limit (cause 3).
    InvalidHandle,
    /// The PE identifier is 0 (cause 3).
    InvalidPeId,
    /// The home registrar's identifier is 0 (cause 3).
    InvalidHome,
    /// The pool has another policy; its first element's is given (cause 5).
    InconsistentPolicy(Policy),
    /// The pool has another transport protocol (cause 7).
    InconsistentTransport(TransportKind),
    /// The pool has another transport use (cause 8).
    InconsistentChannelUse(ChannelUse),
    /// A limit of the configuration is reached (cause 6).
    LackOfResources(Limit),
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Config::pools_max`](crate::Config::pools_max).
    Pools,
    /// [`Config::elements_max`](crate::Config::elements_max).
    Elements,
    /// [`Config::elements_per_pool_max`](crate::Config::elements_per_pool_max).
    ElementsPerPool,
    /// [`Config::record_bytes_max`](crate::Config::record_bytes_max).
    RecordBytes,
}

/// No pool has this handle (cause 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPool;

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidHandle => f.write_str("the pool handle is empty or too long"),
            Self::InvalidPeId => f.write_str("the PE identifier is 0"),
            Self::InvalidHome => f.write_str("the home registrar's identifier is 0"),
            Self::InconsistentPolicy(pool) => write!(f, "the pool's policy is {:?}", pool.kind()),
            Self::InconsistentTransport(pool) => write!(f, "the pool's transport is {pool:?}"),
            Self::InconsistentChannelUse(pool) => write!(f, "the pool's transport use is {pool:?}"),
            Self::LackOfResources(limit) => write!(f, "the limit of {limit:?} is reached"),
        }
    }
}

impl fmt::Display for UnknownPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no pool has this handle")
    }
}

impl core::error::Error for RegisterError {}
impl core::error::Error for UnknownPool {}
