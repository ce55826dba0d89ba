//! Reliable Server Pooling as sans-IO state machines: the registrar's ASAP
//! side ([`registrar`]) and that of pool elements and pool users
//! ([`endpoint`]). They take whole messages and the time, and give whole
//! messages, the next time-out and what happened; sockets, clocks and
//! threads are the embedder's.

pub mod endpoint;
pub mod registrar;
