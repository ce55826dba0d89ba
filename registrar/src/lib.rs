//! A registrar for Reliable Server Pooling (RFC 5351 to 5356): the server
//! that pool elements register with and pool users ask, over ASAP (RFC 5352)
//! on TCP.
//!
//! One pinned thread a core runs one shard: a handlespace and the connections
//! that its listeners accepted. A pool lives on exactly one shard; a request
//! for a pool of another shard crosses in a batch, and so does its answer.
//! The shards run on io_uring (Linux 6.1 or newer), or on epoll where that is
//! refused, as in many containers; [`Bound::host`] says which it is.
//!
//! The program `rserpool-registrar` is this library behind a command line. It
//! runs inside other processes as well, more than once if need be:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{Ipv4Addr, TcpStream};
//!
//! use rserpool_registrar::{AsapAddress, Options, start};
//!
//! let any_port = AsapAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into());
//! let running = start(&Options { asap: vec![any_port], shards: Some(1), ..Options::default() })?;
//!
//! // Who serves in the pool "EchoPool"? Nobody yet: the answer has an error.
//! let mut user = TcpStream::connect(running.asap_tcp()[0])?;
//! user.write_all(b"\x05\0\0\x10\0\x09\0\x0cEchoPool")?;
//! let mut answer = [0; 36];
//! user.read_exact(&mut answer)?;
//! assert_eq!(answer[..4], [6, 0, 0, 36]);
//!
//! let summary = running.stop()?;
//! assert_eq!(summary.stats.traffic().messages, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! A peer can make nothing grow without bound. Pools, pool elements and
//! connections have limits in [`Options`]. A message has a time in which it
//! must be completed ([`Options::message_timeout`]), and so has an answer in
//! which it must be read. A connection that sends faster than it reads
//! answers is not read from. When all connections are in use, one that never
//! completed a message makes room for a new one, the oldest first; if all have,
//! the new one is refused.
//!
//! # What it does to the process
//!
//! [`start`] raises the soft limit of open files to the hard one, starts one
//! thread a shard and one that watches them, and blocks no signal. Log lines
//! go to the [`log`] crate. glommio 0.9 leaves one descriptor and an idle
//! helper thread's memory behind for each shard that was stopped.

mod admin;
mod announce;
mod carrier;
mod command_line;
mod connections;
mod error;
mod group;
mod link;
mod listener;
mod options;
mod order;
mod patience;
mod process;
mod rt;
mod running;
mod sctp;
mod shard;
mod stats;
mod turn;

pub use announce::{Announce, AnnounceError};
pub use command_line::parse_or_exit;
pub use error::StartError;
pub use options::{
    ASAP_PORT, AdminAddress, AsapAddress, AsapAddressError, Compat, ENRP_PORT, EnrpAddress,
    EnrpAddressError, GroupOptions, Host, Options, PeerAddress, SCTP_UDP_PORT, SctpOptions,
};
pub use running::{Bound, Running, ShardFailure, Summary, Without, check, start};
pub use stats::{ShardStats, Stats, Traffic};
