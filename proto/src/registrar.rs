//! One shard of a registrar (RFC 5352): its associations with pool elements
//! and pool users, and the handlespace of the pools that live on it.
//!
//! A host opens an association for each connection, gives every whole message
//! to [`Shard::receive`], and drains [`Shard::poll_output`] once a turn. The
//! shards of one registrar exchange batches of bytes over the host's mesh; a
//! batch must arrive whole, once, and in order between two shards.

mod config;
mod shard;
mod stats;

pub use config::{Config, LifeUnit};
pub use shard::{CloseReason, Output, Peer, Shard};
pub use stats::Stats;
