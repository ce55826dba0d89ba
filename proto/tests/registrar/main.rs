//! The registrar's ASAP side, rule by rule, over one shard and over several
//! that are wired by the test.

mod dialects;
mod golden;
mod hostile;
mod limits;
mod liveness;
mod mesh;
mod random;
mod registration;
mod resolution;
mod subscription;
mod wired;
