//! One shard of a registrar (RFC 5352): its associations with pool elements
//! and pool users, and the handlespace of the pools that live on it.
//!
//! A host opens an association for each connection, gives every whole message
//! to [`Shard::receive`], calls [`Shard::handle_timeout`] when
//! [`Shard::next_timeout`] says so, and drains [`Shard::poll_output`] once a
//! turn. The shards of one registrar exchange batches of bytes over the
//! host's mesh; each batch must arrive whole, once, and in order between two
//! shards.

mod answers;
mod association;
mod buffers;
mod config;
mod dialect;
mod graves;
mod journal;
mod kind;
mod mesh;
mod pools;
mod shard;
mod stats;
mod subscriptions;
mod suspects;

pub use association::Peer;
pub use config::{Config, Loopback};
pub use dialect::Dialect;
pub use kind::registers;
pub use shard::{CloseReason, Output, Shard};
pub use stats::Stats;
