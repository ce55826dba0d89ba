//! SCTP (RFC 9260) for Reliable Server Pooling, behind one interface: the
//! kernel's where there is one, and one in user space over UDP (RFC 6951) on
//! any kernel.
//!
//! - [`Link`] is the interface: many associations of one shard, one descriptor
//!   to wait on, whole messages in and out.
//! - [`endpoint`] is the protocol in user space, without sockets or clocks.

pub mod endpoint;
mod link;
mod slots;
mod tuning;
mod wire;

pub use link::{
    AssocId, ConnectError, DownReason, Event, Link, Message, Progress, SendError, Side, Up,
    Violation,
};
pub use tuning::{ConfigError, Tuning};
