//! Sessions: one highly available peer instead of many servers.
//!
//! A [`Session`] is connected to a pool. When its pool element fails, it goes
//! on with another one by itself, and hands that one the last *cookie* the
//! first one sent: the state of the session as the servers chose to leave it
//! with the client (RFC 5352, 3.8). Servers [accept](SessionListener) sessions,
//! send cookies, and get them back; a [`CookieKey`] keeps clients from changing
//! them.
//!
//! What a client can rely on: messages arrive in order, each at most once, as
//! long as one pool element serves. When it fails, what was sent and not
//! answered may have been done or not. Everything sent before
//! [`Event::FailedOver`] was received is dropped; send again what was not
//! answered. Servers that put the number of the last request they answered
//! into the cookie can tell whether they see one again.
//!
//! Sessions are over SCTP, as the pool elements and pool users of other
//! implementations have them, or over TCP; how their messages travel is
//! described at [`rserpool_proto::session`].

mod channel;
mod cookie;
mod sctp;
mod server;
mod user;

use std::time::Duration;

pub use cookie::{CookieError, CookieKey};
pub use sctp::SctpCarrier;
pub(crate) use sctp::SctpEndpoints;
pub use server::{ServerEvent, ServerSession, SessionListener};
pub use user::{Event, Session};

/// Times and limits of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long one address of a pool element has to accept.
    pub connect_timeout: Duration,
    /// How long a pool element may acknowledge nothing before it counts as
    /// dead: what it did not answer is sent again, and when there is nothing to
    /// send, it is probed. One that does not read, although it is sent to,
    /// acknowledges nothing in the end. A dead process is noticed at once; this is for
    /// hosts and networks.
    pub silence_max: Duration,
    /// How long a pool element is looked for before the session fails.
    pub failover_timeout: Duration,
    /// The pause after no element could be reached. Doubles up to a second.
    pub retry_pause: Duration,
    /// Longest message taken, in bytes.
    pub message_bytes_max: usize,
    /// Most messages received and not yet taken by the application.
    pub queue_max: usize,
    /// What carries sessions over SCTP.
    pub sctp: SctpCarrier,
    /// How long a pool element may send no data after it was sent some, before
    /// it counts as dead: its process is stopped or hangs, while its system
    /// still acknowledges. Not for services that do not answer everything.
    pub answer_max: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            silence_max: Duration::from_secs(5),
            failover_timeout: Duration::from_secs(30),
            retry_pause: Duration::from_millis(20),
            message_bytes_max: 1 << 20,
            queue_max: 64,
            sctp: SctpCarrier::Any,
            answer_max: None,
        }
    }
}
