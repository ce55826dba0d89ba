//! A registered service.

use rserpool_engine::{PeId, Policy, RegistrarId};
use tokio::sync::watch;

use crate::driver::Command;
use crate::{Endpoint, Error, RegistrarUrl, Service};

/// How it is with the registration of a pool element.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// No registrar has it: one is being looked for, or has not yet answered.
    Searching,
    /// A registrar has it.
    Registered {
        /// Where the registrar is.
        registrar: RegistrarUrl,
        /// Its identifier, once it told it.
        home: Option<RegistrarId>,
    },
    /// The registrar refuses it, with this cause code (RFC 5354, 3.12). It
    /// stays out until it is [updated](PoolElement::update), or another
    /// registrar is found.
    Refused(u16),
    /// It is deregistered, or the endpoint was shut down.
    Over,
}

/// A service that is registered as a pool element. It is registered anew in
/// time, and with another registrar if its own is lost; keep-alives are
/// answered. Dropped, it is deregistered.
#[derive(Debug)]
pub struct PoolElement {
    endpoint: Endpoint,
    token: u64,
    service: Service,
    standing: watch::Receiver<Standing>,
    ended: bool,
}

impl PoolElement {
    pub(crate) const fn new(
        endpoint: Endpoint,
        token: u64,
        service: Service,
        standing: watch::Receiver<Standing>,
    ) -> Self {
        Self { endpoint, token, service, standing, ended: false }
    }

    /// Its PE identifier.
    #[must_use]
    pub const fn pe(&self) -> PeId {
        self.service.pe
    }

    /// The service as it was registered first.
    #[must_use]
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// How it is with its registration now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Waits until [`PoolElement::standing`] changes, and gives it.
    pub async fn changed(&mut self) -> Standing {
        if self.standing.changed().await.is_err() {
            return Standing::Over;
        }
        self.standing.borrow_and_update().clone()
    }

    /// Registers it anew with other parameters of its policy, and waits until a
    /// registrar has confirmed them.
    ///
    /// # Errors
    /// The registrar refused them, which leaves the ones before.
    pub async fn update(&self, policy: Policy) -> Result<(), Error> {
        self.endpoint.ask(|answer| Command::Update(self.token, policy, answer)).await
    }

    /// Tells its load, from 0 to 1, for a policy that has one. It is registered
    /// at once if it differs enough from what is registered, else with the next
    /// re-registration ([`Config::load_change_min`](crate::Config)).
    pub fn report_load(&self, load: f64) {
        self.endpoint.tell(Command::Load(self.token, fixed_point(load)));
    }

    /// Deregisters it (RFC 5352, 3.2).
    ///
    /// # Errors
    /// The registrar refused or did not answer.
    pub async fn deregister(mut self) -> Result<(), Error> {
        self.ended = true;
        self.endpoint.ask(|answer| Command::Deregister(self.token, Some(answer))).await
    }
}

impl Drop for PoolElement {
    fn drop(&mut self) {
        if !self.ended {
            self.endpoint.tell(Command::Deregister(self.token, None));
        }
    }
}

/// A share of 1 as RFC 5356, 3.1 has it: `u32::MAX` is 100 %.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped before; NaN becomes 0"
)]
pub(crate) fn fixed_point(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(u32::MAX)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::fixed_point;

    #[test]
    fn a_load_is_a_share_of_the_largest_number() {
        assert_eq!(fixed_point(0.0), 0);
        assert_eq!(fixed_point(0.5), 1 << 31);
        assert_eq!(fixed_point(1.0), u32::MAX);
        assert_eq!(fixed_point(7.0), u32::MAX);
        assert_eq!(fixed_point(-1.0), 0);
        assert_eq!(fixed_point(f64::NAN), 0);
    }
}
