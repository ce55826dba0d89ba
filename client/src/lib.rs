//! Pool elements and pool users of Reliable Server Pooling (RFC 5351) for
//! tokio applications.
//!
//! An [`Endpoint`] knows the registrars and finds one that answers. Through it a
//! server becomes a [`PoolElement`], which is registered until it is dropped,
//! and a client resolves a pool handle and reports elements it cannot reach.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use rserpool_client::{Endpoint, Policy, RegistrarUrl, Service};
//!
//! let registrars = ["tcp://192.0.2.8:3863".parse::<RegistrarUrl>()?, "192.0.2.9".parse()?];
//! let endpoint = Endpoint::connect(registrars).await?;
//! let element = endpoint
//!     .register(Service::tcp("EchoPool", "192.0.2.1:7".parse()?, Policy::RoundRobin))
//!     .await?;
//! let resolution = endpoint.resolve("EchoPool", 3).await?;
//! println!("{} of the pool: {:?}", resolution.elements.len(), resolution.elements);
//! element.deregister().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`session`] has servers and clients that survive the loss of a server;
//! [`blocking`] has the same for programs without a runtime.

mod association;
pub mod blocking;
mod discovery;
mod driver;
mod element;
mod endpoint;
mod error;
mod registrar_url;
mod sctp;
mod service;
pub mod session;
mod wire;

pub use discovery::Discovery;
pub use element::{PoolElement, Standing};
pub use endpoint::{Config, Endpoint};
pub use error::Error;
pub use registrar_url::{Carrier, RegistrarUrl, RegistrarUrlError};
pub use rserpool_engine::{ChannelUse, PeId, Policy, PolicyKind, RegistrarId, TransportKind};
pub use rserpool_proto::{LifeUnit, endpoint as requests, hunt, user as cache};
pub use service::{Resolution, ResolvedElement, Service};
