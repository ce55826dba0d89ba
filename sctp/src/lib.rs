//! SCTP (RFC 9260) for Reliable Server Pooling, behind one interface: the
//! kernel's where there is one, and one in user space over UDP (RFC 6951) on
//! any kernel.
//!
//! - [`Link`] is the interface: many associations of one shard, one descriptor
//!   to wait on, whole messages in and out.
//! - [`kernel`] implements it by the kernel's SCTP.
//! - [`udp`] implements it in user space over UDP sockets.
//! - [`endpoint`] is the protocol in user space, without sockets or clocks.

pub mod endpoint;
pub mod kernel;
mod link;
mod readiness;
mod slots;
#[expect(unsafe_code, reason = "system calls without a safe wrapper; docs/unsafe.md")]
mod sys;
mod tuning;
pub mod udp;
mod wire;

pub use link::{
    AssocId, ConnectError, DownReason, Event, Link, Message, Progress, Received, SendError, Side,
    Up, Violation,
};
pub use tuning::{ConfigError, Tuning};
