//! What a pool user knows of the pools it uses (RFC 5352, 3.3).

mod cache;

pub use cache::{Cache, Config, Known};
