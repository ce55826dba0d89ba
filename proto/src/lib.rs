//! Reliable Server Pooling as sans-IO state machines: the registrar's ASAP
//! side ([`registrar`]), that of pool elements and pool users ([`endpoint`]),
//! and the registration of a pool element ([`element`]). They take whole
//! messages and the time, and give whole messages, the next time-out and what
//! happened; sockets, clocks and threads are the embedder's.

pub mod element;
pub mod endpoint;
mod life;
pub mod registrar;

pub use life::LifeUnit;
