//! A connection with a registrar.

use rserpool_engine::PeId;
use rserpool_proto::endpoint::Config;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::sync::{mpsc, oneshot};

use crate::driver::{Answer, Command, Driver};
use crate::{Error, PoolElement, Resolution, Service};

/// Commands on their way to the task of an association.
const COMMANDS: usize = 1024;

/// A connection with a registrar (ASAP over TCP). Clones share it; it ends
/// with the last of them and of its pool elements. A task of the runtime it
/// was made in drives it.
#[derive(Clone, Debug)]
pub struct Association {
    commands: mpsc::Sender<Command>,
}

impl Association {
    /// Connects to a registrar, with the time-outs of RFC 5352.
    ///
    /// # Errors
    /// The registrar cannot be connected to.
    pub async fn connect(registrar: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::connect_with(registrar, Config::default()).await
    }

    /// Connects to a registrar, with time-outs and limits.
    ///
    /// # Errors
    /// The registrar cannot be connected to.
    pub async fn connect_with(
        registrar: impl ToSocketAddrs,
        config: Config,
    ) -> Result<Self, Error> {
        let stream = TcpStream::connect(registrar).await.map_err(Error::Connect)?;
        stream.set_nodelay(true).map_err(Error::Connect)?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        tokio::spawn(Driver::new(config).run(stream, inbox));
        Ok(Self { commands })
    }

    /// Registers a service as a pool element (RFC 5352, 3.1), keeps it
    /// registered and answers the registrar's keep-alives, until the
    /// [`PoolElement`] is deregistered or dropped.
    ///
    /// # Errors
    /// The registrar refused it, did not answer, or is gone; or the service
    /// cannot be registered at all.
    pub async fn register(&self, mut service: Service) -> Result<PoolElement, Error> {
        service.prepare()?;
        self.renew(&service).await?;
        Ok(PoolElement::new(self.clone(), service))
    }

    /// Resolves a pool handle (RFC 5352, 3.3) to at most `items` pool
    /// elements; 0 leaves the number to the registrar.
    ///
    /// # Errors
    /// There is no such pool ([`Error::is_unknown_pool`]), or the registrar
    /// did not answer or is gone.
    pub async fn resolve(&self, handle: impl AsRef<[u8]>, items: u32) -> Result<Resolution, Error> {
        let handle = handle.as_ref().to_vec();
        let items = (items > 0).then_some(items);
        self.ask(|answer| Command::Resolve(handle, items, answer)).await
    }

    /// Reports an element that could not be reached (RFC 5352, 3.5). The
    /// registrar looks after it; nothing answers a report.
    ///
    /// # Errors
    /// The association is lost.
    pub async fn report_unreachable(
        &self,
        handle: impl AsRef<[u8]>,
        pe: PeId,
    ) -> Result<(), Error> {
        let command = Command::Report(handle.as_ref().to_vec(), pe);
        self.commands.send(command).await.map_err(|_| Error::Lost)
    }

    /// Completes when the association is lost.
    pub async fn lost(&self) {
        self.commands.closed().await;
    }

    pub(crate) async fn renew(&self, service: &Service) -> Result<(), Error> {
        self.ask(|answer| Command::Register(service.clone(), answer)).await
    }

    pub(crate) async fn deregister(&self, service: &Service) -> Result<(), Error> {
        self.ask(|answer| Command::Deregister(service.handle.clone(), service.pe, answer)).await
    }

    /// Deregisters without waiting for room or for the answer.
    pub(crate) fn abandon(&self, service: &Service) {
        let (answer, _) = oneshot::channel();
        // A full queue or a lost association: keep-alives will find it gone.
        let _ =
            self.commands.try_send(Command::Deregister(service.handle.clone(), service.pe, answer));
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, Error> {
        let (answer, asked) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Error::Lost)?;
        asked.await.map_err(|_| Error::Lost)?
    }
}
