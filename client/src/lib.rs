//! Pool elements and pool users of Reliable Server Pooling (RFC 5351) for
//! tokio applications, over ASAP on TCP.
//!
//! An [`Association`] is a connection with a registrar. Through it a server
//! becomes a [`PoolElement`], which is registered until it is dropped, and a
//! client resolves a pool handle and reports elements it cannot reach.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use rserpool_client::{Association, Policy, Service};
//!
//! let registrar = Association::connect("127.0.0.1:3863").await?;
//! let element = registrar
//!     .register(Service::tcp("EchoPool", "192.0.2.1:7".parse()?, Policy::RoundRobin))
//!     .await?;
//! let resolution = registrar.resolve("EchoPool", 3).await?;
//! println!("{} of the pool: {:?}", resolution.elements.len(), resolution.elements);
//! element.deregister().await?;
//! # Ok(())
//! # }
//! ```

mod association;
mod driver;
mod element;
mod error;
mod service;

pub use association::Association;
pub use element::PoolElement;
pub use error::Error;
pub use rserpool_engine::{PeId, Policy, PolicyKind, RegistrarId, TransportKind};
pub use service::{Resolution, ResolvedElement, Service};
