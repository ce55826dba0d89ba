//! The registrar group (RFC 5353): how registrars find each other, keep their
//! handlespaces equal, and take over the pool elements of one that died.
//!
//! One [`Group`] lives on shard 0 of a registrar
//! ([`Shard::join`](crate::registrar::Shard::join)). It knows the other
//! registrars and the associations with them, here called links; it holds no
//! pool element. What is to be done to elements it tells the shards, and they
//! tell it what changed, over the same mesh that carries ASAP messages. With
//! one shard the same bytes take a shorter way.
//!
//! Which registrar an element belongs to after partitions and take-overs is
//! decided by claims; `docs/design/` has the rules with their
//! reasons.

mod audit;
mod config;
mod exchange;
mod group;
mod link;
mod outgoing;
mod pack;
mod peer;
mod service;
mod standing;
mod startup;
mod stats;
mod table;
mod takeover;
mod tally;

pub use config::{Admission, Arbitration, ChecksumForm, Config, Suggestions, Target};
pub(crate) use exchange::{Apply, Digests, News, Order, Source, has_bucket};
pub(crate) use group::HOMES_MAX;
pub use group::{Group, Output, Phase};
pub use link::LinkId;
pub(crate) use outgoing::{may_tell_others, split_record, write_element};
pub use peer::{Liveness, PeerView};
pub(crate) use standing::Standing;
pub use stats::Stats;
pub(crate) use tally::Tally;
