//! The associations with other registrars (RFC 5353): one thread that carries
//! them, whatever drives the shards, for they are few and not in the way of
//! anybody who waits for an answer.
//!
//! The registrar group itself is on shard 0, as a part of the protocol's
//! shard. The thread gives it whole messages and writes what it says; both
//! sides hand over bounded amounts and wait for each other: for each
//! association one batch is under way in each direction.

mod carrier;
mod multicast;
mod plan;
mod port;
mod sctp;
mod tcp;

pub(crate) use carrier::GroupThread;
pub(crate) use plan::GroupPlan;
pub(crate) use port::{Command, Event, Port};
