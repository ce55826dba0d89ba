//! The access of an application to the registrars.

use std::time::Duration;

use rserpool_engine::PeId;
use rserpool_proto::{LifeUnit, endpoint, hunt, user};
use tokio::sync::{mpsc, oneshot};

use crate::driver::{Answer, Command, Driver};
use crate::session::SctpEndpoints;
use crate::{Error, PoolElement, RegistrarUrl, Resolution, Service};

/// Times and limits of an [`Endpoint`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The time-outs of requests.
    pub requests: endpoint::Config,
    /// How a registrar is looked for.
    pub hunt: hunt::Config,
    /// How long what was resolved may be used.
    pub cache: user::Config,
    /// Most elements asked for at once for the cache.
    pub cache_items: u32,
    /// Whether registrars are asked to tell of changes of the pools in the
    /// cache (RFC 5352, 2.2.5).
    pub subscribe: bool,
    /// A load that differs by less than this from the registered one waits
    /// for the next re-registration. 1 is 100 %.
    pub load_change_min: f64,
    /// Time from one registration to the next because of a load.
    pub load_interval_min: Duration,
    /// The unit of the registration life toward registrars over SCTP. RFC 5354
    /// says seconds; rsplib's registrars, and ours by default, read
    /// milliseconds. Over TCP, which rsplib does not know, it is seconds.
    pub sctp_life_unit: LifeUnit,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            requests: endpoint::Config { in_flight_max: 1 << 16, ..endpoint::Config::default() },
            hunt: hunt::Config::default(),
            cache: user::Config::default(),
            cache_items: 128,
            subscribe: true,
            load_change_min: 0.05,
            load_interval_min: Duration::from_millis(500),
            sctp_life_unit: LifeUnit::Milliseconds,
        }
    }
}

/// The access of an application to the registrars of its operation scope: pool
/// elements register through it, pool users resolve through it. It uses one
/// registrar at a time, looks for another when that one is lost, and registers
/// everything there again (RFC 5352, 3.6).
///
/// Clones share it. It ends with the last of them and of its pool elements, or
/// with [`Endpoint::shutdown`]. A task of the runtime it was made in drives it,
/// so every future here may be dropped at any time.
#[derive(Clone, Debug)]
pub struct Endpoint {
    commands: mpsc::UnboundedSender<Command>,
    sctp: SctpEndpoints,
}

impl Endpoint {
    /// Finds one of these registrars, with the times of RFC 5352.
    ///
    /// # Errors
    /// None of them can be connected to.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect<U: Into<RegistrarUrl>>(
        registrars: impl IntoIterator<Item = U>,
    ) -> Result<Self, Error> {
        let endpoint = Self::new(registrars, Config::default());
        endpoint.ready().await?;
        Ok(endpoint)
    }

    /// An endpoint that begins to look for one of these registrars. It goes on
    /// until it finds one.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new<U: Into<RegistrarUrl>>(
        registrars: impl IntoIterator<Item = U>,
        config: Config,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let registrars = registrars.into_iter().map(Into::into);
        tokio::spawn(Driver::new(config, registrars).run(inbox));
        Self { commands, sctp: SctpEndpoints::default() }
    }

    /// Waits for a registrar.
    ///
    /// # Errors
    /// Every registrar was tried, and none can be connected to. The endpoint
    /// goes on looking.
    pub async fn ready(&self) -> Result<RegistrarUrl, Error> {
        self.ask(Command::Ready).await
    }

    /// A registrar announced itself, or became known in another way. It is
    /// a candidate for as long as it is told of again within
    /// [`outdated`](hunt::Config::outdated).
    pub fn announced(&self, registrar: RegistrarUrl) {
        self.tell(Command::Announced(registrar));
    }

    /// Registers a service as a pool element (RFC 5352, 3.1) and waits until a
    /// registrar has confirmed it. It stays registered, with this registrar or
    /// the next one, until the [`PoolElement`] is deregistered or dropped.
    ///
    /// # Errors
    /// The registrar refused it, or the service cannot be registered at all.
    pub async fn register(&self, mut service: Service) -> Result<PoolElement, Error> {
        service.prepare()?;
        self.ask(|answer| Command::Register(service, self.clone(), answer)).await
    }

    /// Has a registrar resolve a pool handle (RFC 5352, 3.3) to at most
    /// `items` pool elements; 0 leaves the number to the registrar.
    ///
    /// # Errors
    /// There is no such pool ([`Error::is_unknown_pool`]), or no registrar
    /// answered.
    pub async fn resolve(&self, handle: impl AsRef<[u8]>, items: u32) -> Result<Resolution, Error> {
        let handle = handle.as_ref().to_vec();
        self.ask(|answer| Command::Resolve(handle, items, answer)).await
    }

    /// Selects at most `items` elements of a pool from the cache, by the pool's
    /// policy. A registrar is asked if the pool is not in the cache, and in the
    /// background if it may have changed: a pool that was once resolved can be
    /// used while no registrar can be reached.
    ///
    /// # Errors
    /// As [`Endpoint::resolve`].
    pub async fn select(&self, handle: impl AsRef<[u8]>, items: u32) -> Result<Resolution, Error> {
        let handle = handle.as_ref().to_vec();
        self.ask(|answer| Command::Select(handle, items, answer)).await
    }

    /// Reports an element that could not be reached (RFC 5352, 3.5), and
    /// selects it no more until the registrar names it again. The registrar
    /// looks after it; nothing answers a report.
    pub fn report_unreachable(&self, handle: impl AsRef<[u8]>, pe: PeId) {
        self.tell(Command::Report(handle.as_ref().to_vec(), pe));
    }

    /// Selects an element no more until the registrar names it again, and not
    /// for a while even then: it closes its connections, or is slow.
    pub fn avoid(&self, handle: impl AsRef<[u8]>, pe: PeId) {
        self.tell(Command::Avoid(handle.as_ref().to_vec(), pe));
    }

    /// Deregisters all elements, waits for the answers, and ends everything.
    pub async fn shutdown(&self) {
        // It is over either way.
        let _ = self.ask(Command::Shutdown).await;
    }

    /// What carries sessions over SCTP.
    pub(crate) const fn sctp(&self) -> &SctpEndpoints {
        &self.sctp
    }

    pub(crate) fn tell(&self, command: Command) {
        // After the end, nobody is left to do it.
        let _ = self.commands.send(command);
    }

    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(Answer<T>) -> Command,
    ) -> Result<T, Error> {
        let (answer, asked) = oneshot::channel();
        self.commands.send(command(answer)).map_err(|_| Error::Closed)?;
        asked.await.map_err(|_| Error::Closed)?
    }
}
