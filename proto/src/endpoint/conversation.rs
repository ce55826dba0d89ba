//! Requests and what is still unanswered.

use core::fmt;
use core::time::Duration;

use rserpool_codec::asap::Message;
use rserpool_codec::{Causes, Element, EmitError, LengthForm, Reply};
use rserpool_engine::{PeId, PoolHandle, Timestamp};

use super::requests::{Match, Requests};
use super::{Event, Request, TimedOut, Unexpected};

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
/// Many elements may share it. Responses have no transaction identifiers: each
/// answers the oldest request of its type it agrees with.
#[derive(Debug)]
pub struct Conversation {
    config: Config,
    output: Vec<u8>,
    registrations: Requests,
    deregistrations: Requests,
    resolutions: Requests,
}

impl Conversation {
    /// A conversation over a new association.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            output: Vec::new(),
            registrations: Requests::default(),
            deregistrations: Requests::default(),
            resolutions: Requests::default(),
        }
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
        let message = Message::Registration { handle, element: *element };
        self.ask(now, Request::Registration, token, &message, handle, element.pe)
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
        let message = Message::Deregistration { handle, pe };
        self.ask(now, Request::Deregistration, token, &message, handle, pe)
    }

    /// Resolves a pool handle (RFC 5352, 3.3). `items` is the option 0x803f:
    /// the most pool elements to answer with. With `subscribe` the registrar is
    /// asked to tell of changes for as long as the association lasts (2.2.5);
    /// a resolution without ends that. What it tells while a resolution of the
    /// same pool is unanswered is taken for the answer, and the answer for a
    /// change: either is what the pool is.
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
        let message = Message::HandleResolution { handle, subscribe, items };
        self.ask(now, Request::Resolution, token, &message, handle, NO_PE)
    }

    fn ask(
        &mut self,
        now: Timestamp,
        request: Request,
        token: u64,
        message: &Message<'_>,
        handle: PoolHandle<'_>,
        pe: PeId,
    ) -> Result<(), Full> {
        let (requests, timeout) = match request {
            Request::Registration => (&mut self.registrations, self.config.registration_timeout),
            Request::Deregistration => {
                (&mut self.deregistrations, self.config.deregistration_timeout)
            }
            Request::Resolution => (&mut self.resolutions, self.config.resolution_timeout),
        };
        if requests.is_full(self.config.in_flight_max) {
            return Err(Full::InFlight);
        }
        message.emit(&mut self.output, self.config.length_form).map_err(Full::Emit)?;
        requests.push(now, timeout, token, handle, pe);
        Ok(())
    }

    /// Reports an element as unreachable (RFC 5352, 3.5). Nothing answers it.
    ///
    /// # Errors
    /// The handle does not fit a message.
    pub fn report_unreachable(&mut self, handle: PoolHandle<'_>, pe: PeId) -> Result<(), Full> {
        let message = Message::Unreachable { handle, pe };
        message.emit(&mut self.output, self.config.length_form).map_err(Full::Emit)
    }

    /// Acknowledges a keep-alive for an element of this association.
    ///
    /// # Errors
    /// The handle does not fit a message.
    pub fn ack_keep_alive(&mut self, handle: PoolHandle<'_>, pe: PeId) -> Result<(), Full> {
        let message = Message::KeepAliveAck { handle, pe };
        message.emit(&mut self.output, self.config.length_form).map_err(Full::Emit)
    }

    /// One whole message arrived, with or without the padding after its end.
    pub fn receive<'m>(&mut self, _now: Timestamp, message: &'m [u8]) -> Event<'m> {
        let (message, unrecognized) = match Message::parse_reporting(message) {
            Ok(read) => read,
            Err(error) => {
                if error.reply == Reply::Report {
                    self.send_error(Causes::list(&[error.cause]));
                }
                return Event::Unexpected(Unexpected::Malformed(error));
            }
        };
        if let Some(causes) = unrecognized.causes() {
            self.send_error(causes);
        }
        self.event(message)
    }

    fn event<'m>(&mut self, message: Message<'m>) -> Event<'m> {
        match message {
            Message::RegistrationResponse { handle, pe, rejected, error } => {
                match self.registrations.answer(handle, pe) {
                    Match::Waiting(token) => {
                        Event::Registered { token, handle, pe, rejected, causes: error }
                    }
                    Match::Overdue(token) => late(Request::Registration, token),
                    Match::None => Event::Unexpected(Unexpected::Response),
                }
            }
            Message::DeregistrationResponse { handle, pe, error } => {
                match self.deregistrations.answer(handle, pe) {
                    Match::Waiting(token) => {
                        Event::Deregistered { token, handle, pe, causes: error }
                    }
                    Match::Overdue(token) => late(Request::Deregistration, token),
                    Match::None if error.is_none() => Event::Expired { handle, pe },
                    Match::None => Event::Unexpected(Unexpected::Response),
                }
            }
            Message::HandleResolutionResponse { handle, subscribed, policy, elements, error } => {
                match self.resolutions.answer(handle, NO_PE) {
                    Match::Waiting(token) => {
                        Event::Resolved { token, handle, subscribed, policy, elements, error }
                    }
                    Match::Overdue(token) => late(Request::Resolution, token),
                    Match::None => Event::PoolChanged { handle, policy, elements, error },
                }
            }
            Message::KeepAlive { registrar, take_home, handle, pe } => {
                Event::KeepAlive { handle, pe, registrar, take_home }
            }
            Message::ServerAnnounce { registrar, transports } => {
                Event::Announce { registrar, transports }
            }
            Message::Error { causes } => Event::Error { causes },
            Message::Registration { .. }
            | Message::Deregistration { .. }
            | Message::HandleResolution { .. }
            | Message::KeepAliveAck { .. }
            | Message::Unreachable { .. }
            | Message::Cookie { .. }
            | Message::CookieEcho { .. }
            | Message::BusinessCard { .. } => Event::Unexpected(Unexpected::Message),
        }
    }

    fn send_error(&mut self, causes: Causes<'_>) {
        let sent = Message::Error { causes }.emit(&mut self.output, self.config.length_form);
        debug_assert!(sent.is_ok(), "causes are short enough for an error message");
    }

    /// Bytes to send. The caller drains it.
    pub const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// How many requests wait for their answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.registrations.waiting() + self.deregistrations.waiting() + self.resolutions.waiting()
    }

    /// When [`Conversation::handle_timeout`] has something to tell next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        let all = [&self.registrations, &self.deregistrations, &self.resolutions];
        all.into_iter().filter_map(Requests::next_timeout).min()
    }

    /// A request whose answer is overdue, until `None`. It is given up: a late
    /// answer to it is [`Unexpected::Late`].
    pub fn handle_timeout(&mut self, now: Timestamp) -> Option<TimedOut> {
        let all = [
            (Request::Registration, &mut self.registrations),
            (Request::Deregistration, &mut self.deregistrations),
            (Request::Resolution, &mut self.resolutions),
        ];
        all.into_iter().find_map(|(request, requests)| {
            let token = requests.give_up(now)?;
            Some(TimedOut { request, token })
        })
    }
}

/// A handle resolution asks for no pool element in particular.
const NO_PE: PeId = PeId::new(0);

const fn late<'m>(request: Request, token: u64) -> Event<'m> {
    Event::Unexpected(Unexpected::Late(TimedOut { request, token }))
}
