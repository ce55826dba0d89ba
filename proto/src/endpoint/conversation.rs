//! Requests and what is still unanswered.

use core::fmt;
use core::time::Duration;

use rserpool_codec::{Element, EmitError, LengthForm};
use rserpool_engine::{PeId, PoolHandle, Timestamp};

use super::{Event, TimedOut};

/// The time-outs and limits of one conversation.
#[derive(Clone, Debug)]
pub struct Config {
    /// T1-ENRPrequest: the wait for a handle resolution's answer.
    pub resolution_timeout: Duration,
    /// T2-registration: the wait for a registration's answer.
    pub registration_timeout: Duration,
    /// T3-deregistration: the wait for a deregistration's answer.
    pub deregistration_timeout: Duration,
    /// Most unanswered requests of each type.
    pub in_flight_max: usize,
    /// How lengths are written; both are read.
    pub length_form: LengthForm,
}

/// The defaults of RFC 5352, 7.1.
impl Default for Config {
    fn default() -> Self {
        Self {
            resolution_timeout: Duration::from_secs(15),
            registration_timeout: Duration::from_secs(30),
            deregistration_timeout: Duration::from_secs(30),
            in_flight_max: 1024,
            length_form: LengthForm::Rfc,
        }
    }
}

/// The request was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// [`Config::in_flight_max`] requests of its type are unanswered.
    InFlight,
    /// It cannot be written as a message.
    Emit(EmitError),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight => f.write_str("too many requests are unanswered"),
            Self::Emit(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Full {}

/// A pool element's and pool user's side of one association with a registrar.
/// Many elements may share it. Responses have no transaction identifiers:
/// they answer the requests of their type in order.
#[derive(Debug)]
pub struct Conversation {
    config: Config,
    output: Vec<u8>,
}

#[expect(clippy::todo, reason = "signatures first")]
#[expect(unused_variables, reason = "signatures first")]
impl Conversation {
    /// A conversation over a new association.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, output: Vec::new() }
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Registers or re-registers an element (RFC 5352, 3.1).
    ///
    /// # Errors
    /// The request was not made.
    pub fn register(
        &mut self,
        now: Timestamp,
        token: u64,
        handle: PoolHandle<'_>,
        element: &Element<'_>,
    ) -> Result<(), Full> {
        todo!()
    }

    /// Deregisters an element of this association (RFC 5352, 3.2).
    ///
    /// # Errors
    /// The request was not made.
    pub fn deregister(
        &mut self,
        now: Timestamp,
        token: u64,
        handle: PoolHandle<'_>,
        pe: PeId,
    ) -> Result<(), Full> {
        todo!()
    }

    /// Resolves a pool handle (RFC 5352, 3.3). `items`: the option 0x803f.
    ///
    /// # Errors
    /// The request was not made.
    pub fn resolve(
        &mut self,
        now: Timestamp,
        token: u64,
        handle: PoolHandle<'_>,
        items: Option<u32>,
        subscribe: bool,
    ) -> Result<(), Full> {
        todo!()
    }

    /// Reports an element as unreachable (RFC 5352, 3.5). Nothing answers it.
    ///
    /// # Errors
    /// The handle does not fit a message.
    pub fn report_unreachable(&mut self, handle: PoolHandle<'_>, pe: PeId) -> Result<(), Full> {
        todo!()
    }

    /// Acknowledges a keep-alive for an element of this association.
    ///
    /// # Errors
    /// The handle does not fit a message.
    pub fn ack_keep_alive(&mut self, handle: PoolHandle<'_>, pe: PeId) -> Result<(), Full> {
        todo!()
    }

    /// One whole message arrived, with or without the padding after its end.
    pub fn receive<'m>(&mut self, now: Timestamp, message: &'m [u8]) -> Event<'m> {
        todo!()
    }

    /// Bytes to send. The caller drains it.
    pub const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// When [`Conversation::handle_timeout`] has something to tell next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        todo!()
    }

    /// The oldest request whose answer is overdue, until `None`. A late answer
    /// to it is recognized and dropped.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Option<TimedOut> {
        todo!()
    }
}
