//! A registrar for Reliable Server Pooling (RFC 5351 to 5356).
mod connections;
mod error;
mod link;
mod listener;
mod options;
mod order;
mod process;
mod rt;
mod running;
mod shard;
mod stats;
mod turn;

pub use error::StartError;
pub use options::{ASAP_PORT, AsapAddress, AsapAddressError, Options};
pub use running::{Bound, Running, ShardFailure, Summary, check, start};
pub use stats::{ShardStats, Stats, Traffic};
