//! The handlespace of Reliable Server Pooling (RFC 5351): pools of pool
//! elements under pool handles, their member selection policies, their
//! timers, their ownership and its checksum. No I/O, no clock, no protocol
//! bytes: `now` and the random seed are arguments.

mod config;
mod error;
mod handlespace;
mod names;
mod policy;
mod shard_map;
mod time;

pub use config::Config;
pub use error::{Limit, RegisterError, UnknownPool};
pub use handlespace::{
    Due, ElementKey, ElementRef, Handlespace, Outcome, PoolRef, Registered, Registration,
    Reported, Resolution, Stats, TableCursor,
};
pub use names::{
    AssociationId, ChannelUse, PeChecksum, PeId, PoolHandle, RegistrarId, RegistrationLife,
    TransportKind,
};
pub use policy::{Policy, PolicyKind};
pub use shard_map::{ShardId, ShardMap};
pub use time::Timestamp;
