//! The handlespace of Reliable Server Pooling (RFC 5351): pools of pool
//! elements under pool handles, their member selection policies, their
//! timers, their ownership and its checksum. No I/O, no clock, no protocol
//! bytes: `now` and the random seed are arguments.

mod arena;
mod array;
mod chance;
mod config;
mod element;
mod error;
mod group;
mod handlespace;
mod index;
mod key;
mod lots;
mod mode;
mod names;
mod order;
mod paged;
mod policy;
mod pool;
mod ring;
mod roster;
mod shard_map;
mod sharded;
mod slab;
mod sorted;
mod time;
pub mod tree;
mod wheel;

pub use config::Config;
pub use error::{Limit, RegisterError, UnknownPool};
pub use handlespace::{
    Due, ElementRef, Handlespace, Outcome, PoolRef, Question, Registered, Registration, Reported,
    Resolution, Stats, TableCursor,
};
pub use key::ElementKey;
pub use mode::{Caller, ModeError, SelectionKey, SelectionMode, ZoneId};
pub use names::{
    AssociationId, ChannelUse, PeChecksum, PeId, PoolHandle, RegistrarId, RegistrationLife,
    TransportKind,
};
pub use policy::{Policy, PolicyKind};
pub use shard_map::{ShardId, ShardMap};
pub use sharded::ShardedHandlespace;
pub use time::Timestamp;
