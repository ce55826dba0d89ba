//! The handlespace of Reliable Server Pooling (RFC 5351), to embed: pools of
//! pool elements under pool handles, their member selection policies, their
//! timers, their ownership and its checksum.
//!
//! It is what a registrar remembers and decides, without I/O, clock, thread,
//! global state or protocol bytes. The embedder calls it with what came by the
//! wire and with the time, and does what the results say.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use rserpool_engine::*;
//!
//! let mut space = Handlespace::new(Config { seed: 42, ..Config::default() });
//! let now = Timestamp::ZERO;
//! let pool = PoolHandle::new(b"echo");
//! for (pe, load) in [(1, 0.5), (2, 0.1)] {
//!     space.register(now, &Registration {
//!         handle: pool,
//!         pe: PeId::new(pe),
//!         home: space.config().registrar,
//!         association: Some(AssociationId(1)),
//!         life: RegistrationLife::For(Duration::from_secs(60)),
//!         policy: Policy::LeastUsed { load: (load * f64::from(u32::MAX)) as u32 },
//!         transport: TransportKind::Tcp,
//!         channel_use: ChannelUse::Data,
//!         record: b"a transport address, for example",
//!     })?;
//! }
//! let mut answer = Resolution::default();
//! space.resolve(now, pool, 1, &mut answer)?;
//! let element = space.get(answer.elements[0]).unwrap();
//! assert_eq!(element.pe(), PeId::new(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/embed.rs` is a whole registrar loop: registration, resolution,
//! keep-alive, expiry and take-over.
//!
//! # Concept
//!
//! A [`Handlespace`] is one shard: its pools, its elements and their timers. A
//! pool comes with its first element and goes with its last. An element is
//! registered by its pool handle and PE identifier ([`Registration`]); an
//! [`ElementKey`] names it until it is removed, and nobody afterwards. With it
//! the engine keeps a record of bytes that it does not look into.
//!
//! All selection goes by the [`Policy`] of the pool, unless the embedder puts
//! the pool into a [`SelectionMode`]: `docs/choosing-a-policy.md` says when to
//! use which.
//!
//! Elements have a home registrar. The own ones that came by an association are
//! kept alive: [`Handlespace::poll_due`] says to whom a keep-alive goes, who was
//! silent and whose registration life is over. Those of others only expire,
//! until [`Handlespace::take_over`] makes them own ones (RFC 5353, 3.5). Each
//! home has a checksum (RFC 5353, 3.6.2) that is kept with every change.
//!
//! # Costs
//!
//! `n` are the elements of the pool, `k` those of the answer. What the calls
//! take in nanoseconds, and how that compares with plain data structures and
//! with the memory of the machine, is measured in the reports of `perf/`.
//!
//! | call | steps |
//! |---|---|
//! | [`register`](Handlespace::register), [`remove`](Handlespace::remove) | O(1); O(log n) where the policy sorts |
//! | re-registration, unchanged | O(1); a degradation ends in O(log n) |
//! | [`find`](Handlespace::find), [`get`](Handlespace::get), [`pool`](Handlespace::pool) | O(1) |
//! | [`resolve`](Handlespace::resolve), Round Robin | O(k), whatever `n` |
//! | ... random policies | O(k) on average; up to 64 elements of different weights O(64 k) |
//! | ... policies that sort | O(k), and O(log n) for each element that moves on |
//! | [`resolve_for`](Handlespace::resolve_for), two choices | O(k) |
//! | ... consistent hash | O(k) on average: eight probes, then a step an element |
//! | ... zone first, slow start | as the policy, at most twice |
//! | [`poll_due`](Handlespace::poll_due) | O(1), at most 12 elements looked at |
//! | [`keep_alive_acked`](Handlespace::keep_alive_acked), [`report_unreachable`](Handlespace::report_unreachable) | O(1) |
//! | [`take_over`](Handlespace::take_over) | O(1) an element of the batch |
//! | [`handle_table`](Handlespace::handle_table) | O(1) an element of the page; at most 1,024 others looked at |
//! | [`checksum`](Handlespace::checksum), [`stats`](Handlespace::stats) | O(1) |
//! | [`select_by`](Handlespace::select_by) | O(n): for configuration, not for requests |
//!
//! Nothing is rehashed, moved or swept as a whole when it grows. Once tables
//! have their size, calls do not allocate, if a [`Resolution`] is used again.
//!
//! # Limits
//!
//! [`Config`] has every limit. Memory is taken as it is needed. A slot number
//! has 24 bits: a handlespace has at most 16,777,215 elements and as many pools.
//! More go to several handlespaces, between which a [`ShardMap`] chooses by pool
//! handle. Pool handles and records have at most 65,535 bytes.
//!
//! # Errors
//!
//! A refused call changed nothing. Each variant of [`RegisterError`] and
//! [`UnknownPool`] is one cause of an Operation Error (RFC 5354, 3.12) and says
//! which. Stale keys are no errors: a removed element is `None` or `false`.
//!
//! # Determinism
//!
//! Time and seed are arguments ([`Timestamp`], [`Config::seed`]). Equal seeds
//! and equal calls give equal results, on every machine. No order that can be
//! seen is that of a hash. Arithmetic of loads, weights and degradations is that
//! of integers and saturates.
//!
//! # Threads
//!
//! A handlespace is `Send`, and every call that changes it takes `&mut self`:
//! one owner a shard is the intended use, as in the registrar, where a thread
//! owns a shard and others send it what is its.

mod arena;
mod array;
mod chance;
mod config;
mod element;
mod error;
mod group;
mod handlespace;
mod hash;
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
pub use policy::{Policy, PolicyKind, PolicyParameters};
pub use shard_map::{ShardId, ShardMap};
pub use sharded::ShardedHandlespace;
pub use time::Timestamp;
