//! A registered service.

use rserpool_engine::{PeId, Policy};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Association, Error, Service};

/// A service that is registered as a pool element. It is registered anew in
/// time by a task of the runtime, and deregistered when this is dropped.
#[derive(Debug)]
pub struct PoolElement {
    association: Association,
    service: watch::Sender<Service>,
    renewal: JoinHandle<()>,
    ended: bool,
}

impl PoolElement {
    pub(crate) fn new(association: Association, service: Service) -> Self {
        let (service, mut changes) = watch::channel(service);
        let registrar = association.clone();
        let renewal = tokio::spawn(async move {
            loop {
                let current = changes.borrow_and_update().clone();
                // A change is registered by `update` itself; here it only
                // starts the wait anew.
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(current.renewal()) => {
                        if matches!(registrar.renew(&current).await, Err(Error::Lost)) {
                            return;
                        }
                    }
                }
            }
        });
        Self { association, service, renewal, ended: false }
    }

    /// Its PE identifier.
    #[must_use]
    pub fn pe(&self) -> PeId {
        self.service.borrow().pe
    }

    /// The service as it is registered.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service.borrow().clone()
    }

    /// Registers it anew with other parameters of its policy, such as its load.
    ///
    /// # Errors
    /// The registrar refused them, which leaves the ones before, or did not
    /// answer, or is gone.
    pub async fn update(&self, policy: Policy) -> Result<(), Error> {
        let changed = Service { policy, ..self.service() };
        self.association.renew(&changed).await?;
        self.service.send_replace(changed);
        Ok(())
    }

    /// Deregisters it (RFC 5352, 3.2).
    ///
    /// # Errors
    /// The registrar refused, did not answer, or is gone.
    pub async fn deregister(mut self) -> Result<(), Error> {
        self.ended = true;
        self.renewal.abort();
        let service = self.service();
        self.association.deregister(&service).await
    }
}

impl Drop for PoolElement {
    fn drop(&mut self) {
        if !self.ended {
            self.renewal.abort();
            let service = self.service.borrow().clone();
            self.association.abandon(&service);
        }
    }
}
