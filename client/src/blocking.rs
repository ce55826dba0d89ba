//! The same for programs without a runtime: calls that wait.
//!
//! ```no_run
//! use rserpool_client::blocking::Endpoint;
//! use rserpool_client::{Policy, RegistrarUrl, Service};
//!
//! let endpoint = Endpoint::connect(["tcp://192.0.2.8:3863".parse::<RegistrarUrl>()?])?;
//! let service = Service::tcp("EchoPool", "192.0.2.1:7".parse()?, Policy::RoundRobin);
//! let element = endpoint.register(service)?;
//! println!("{:?}", endpoint.resolve("EchoPool", 3)?.elements);
//! element.deregister()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;
use std::time::Duration;

use rserpool_engine::{PeId, Policy};
use tokio::runtime::{Builder, Runtime};

use crate::session::{Config as SessionConfig, Event};
use crate::{Config, Error, RegistrarUrl, Resolution, Service, Standing};

/// [`Endpoint`](crate::Endpoint) with calls that wait. A thread drives it, and
/// ends with the last of its clones, elements and sessions.
#[derive(Clone, Debug)]
pub struct Endpoint {
    runtime: Arc<Runtime>,
    inner: crate::Endpoint,
}

impl Endpoint {
    /// Finds one of these registrars, with the times of RFC 5352.
    ///
    /// # Errors
    /// None of them can be connected to, or the system gives no thread.
    ///
    /// # Panics
    /// Inside of a tokio runtime: use the other [`Endpoint`](crate::Endpoint).
    pub fn connect<U: Into<RegistrarUrl>>(
        registrars: impl IntoIterator<Item = U>,
    ) -> Result<Self, Error> {
        Self::connect_with(registrars, Config::default())
    }

    /// Finds one of these registrars.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    ///
    /// # Panics
    /// As [`Endpoint::connect`].
    pub fn connect_with<U: Into<RegistrarUrl>>(
        registrars: impl IntoIterator<Item = U>,
        config: Config,
    ) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("rserpool-client")
            .enable_all()
            .build()
            .map_err(|error| Error::NoRegistrar(Some(error)))?;
        let inner = runtime.block_on(async {
            let endpoint = crate::Endpoint::new(registrars, config);
            endpoint.ready().await.map(|_| endpoint)
        })?;
        Ok(Self { runtime: Arc::new(runtime), inner })
    }

    /// See [`Endpoint::register`](crate::Endpoint::register).
    ///
    /// # Errors
    /// The same.
    pub fn register(&self, service: Service) -> Result<PoolElement, Error> {
        let inner = self.runtime.block_on(self.inner.register(service))?;
        Ok(PoolElement { inner, runtime: Arc::clone(&self.runtime) })
    }

    /// See [`Endpoint::resolve`](crate::Endpoint::resolve).
    ///
    /// # Errors
    /// The same.
    pub fn resolve(&self, handle: impl AsRef<[u8]>, items: u32) -> Result<Resolution, Error> {
        self.runtime.block_on(self.inner.resolve(handle, items))
    }

    /// See [`Endpoint::select`](crate::Endpoint::select).
    ///
    /// # Errors
    /// The same.
    pub fn select(&self, handle: impl AsRef<[u8]>, items: u32) -> Result<Resolution, Error> {
        self.runtime.block_on(self.inner.select(handle, items))
    }

    /// See [`Endpoint::report_unreachable`](crate::Endpoint::report_unreachable).
    pub fn report_unreachable(&self, handle: impl AsRef<[u8]>, pe: PeId) {
        self.inner.report_unreachable(handle, pe);
    }

    /// See [`Endpoint::session`](crate::Endpoint::session).
    ///
    /// # Errors
    /// The same.
    pub fn session(
        &self,
        handle: impl AsRef<[u8]>,
        config: SessionConfig,
    ) -> Result<Session, Error> {
        let inner = self.runtime.block_on(self.inner.session(handle, config))?;
        Ok(Session { inner, runtime: Arc::clone(&self.runtime) })
    }

    /// See [`Endpoint::shutdown`](crate::Endpoint::shutdown).
    pub fn shutdown(&self) {
        self.runtime.block_on(self.inner.shutdown());
    }
}

/// [`PoolElement`](crate::PoolElement) with calls that wait.
#[derive(Debug)]
pub struct PoolElement {
    inner: crate::PoolElement,
    runtime: Arc<Runtime>,
}

impl PoolElement {
    /// Its PE identifier.
    #[must_use]
    pub const fn pe(&self) -> PeId {
        self.inner.pe()
    }

    /// The service as it was registered first.
    #[must_use]
    pub const fn service(&self) -> &Service {
        self.inner.service()
    }

    /// How it is with its registration now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.inner.standing()
    }

    /// See [`PoolElement::update`](crate::PoolElement::update).
    ///
    /// # Errors
    /// The same.
    pub fn update(&self, policy: Policy) -> Result<(), Error> {
        self.runtime.block_on(self.inner.update(policy))
    }

    /// See [`PoolElement::report_load`](crate::PoolElement::report_load).
    pub fn report_load(&self, load: f64) {
        self.inner.report_load(load);
    }

    /// See [`PoolElement::deregister`](crate::PoolElement::deregister).
    ///
    /// # Errors
    /// The same.
    pub fn deregister(self) -> Result<(), Error> {
        let Self { inner, runtime } = self;
        runtime.block_on(inner.deregister())
    }
}

/// [`Session`](crate::session::Session) with calls that wait.
#[derive(Debug)]
pub struct Session {
    inner: crate::session::Session,
    runtime: Arc<Runtime>,
}

impl Session {
    /// The pool element that serves, as far as events were received.
    #[must_use]
    pub const fn peer(&self) -> PeId {
        self.inner.peer()
    }

    /// See [`Session::send`](crate::session::Session::send).
    ///
    /// # Errors
    /// The same.
    pub fn send(&mut self, ppid: u32, data: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.runtime.block_on(self.inner.send(ppid, data))
    }

    /// See [`Session::receive`](crate::session::Session::receive).
    ///
    /// # Errors
    /// The same.
    pub fn receive(&mut self) -> Result<Event, Error> {
        self.runtime.block_on(self.inner.receive())
    }

    /// The same, but waits no longer than this; then nothing happened.
    ///
    /// # Errors
    /// The same.
    pub fn receive_timeout(&mut self, longest: Duration) -> Result<Option<Event>, Error> {
        let receive = async { tokio::time::timeout(longest, self.inner.receive()).await };
        self.runtime.block_on(receive).map_or(Ok(None), |event| event.map(Some))
    }

    /// See [`Session::close`](crate::session::Session::close).
    pub fn close(self) {
        let Self { inner, runtime } = self;
        runtime.block_on(inner.close());
    }
}
