//! The registration of one pool element over its life (RFC 5352, 3.1, 3.2 and
//! 3.4), on top of a [`Conversation`](crate::endpoint::Conversation).

mod pool_element;
mod service;

pub use pool_element::{Config, PoolElement, Progress};
pub use service::Service;
