//! The task behind an endpoint.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use rserpool_codec::{Frame, frame};
use rserpool_engine::{PeId, Policy, PoolHandle, Timestamp};
use rserpool_proto::LifeUnit;
use rserpool_proto::endpoint::{Conversation, Event, Request};
use rserpool_proto::hunt::{Action, Hunt};
use rserpool_proto::user::Cache;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use self::asks::Asks;
use self::elements::Elements;
use crate::wire::Wire;
use crate::{Carrier, Config, Endpoint, Error, PoolElement, RegistrarUrl, Resolution, Service};

mod asks;
mod elements;

/// What a request gives back.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What the task is asked to do. Elements are named by their tokens.
#[derive(Debug)]
pub(crate) enum Command {
    Ready(Answer<RegistrarUrl>),
    Announced(RegistrarUrl),
    Register(Service, Endpoint, Answer<PoolElement>),
    Update(u64, Policy, Answer<()>),
    Load(u64, u32),
    Deregister(u64, Option<Answer<()>>),
    Resolve(Vec<u8>, u32, Answer<Resolution>),
    Select(Vec<u8>, u32, Answer<Resolution>),
    Report(Vec<u8>, PeId),
    Avoid(Vec<u8>, PeId),
    Shutdown(Answer<()>),
}

/// Most bytes waiting to be sent before no more commands are taken.
const OUTPUT_MAX: usize = 1024 * 1024;
/// Commands taken before what they gave to send is sent.
const COMMANDS_MAX: usize = 256;
/// How long a task without work sleeps.
const IDLE: Duration = Duration::from_secs(3600);

/// The association with the registrar in use.
#[derive(Debug)]
pub(crate) struct Home {
    url: RegistrarUrl,
    wire: Wire,
    conversation: Conversation,
    input: Vec<u8>,
}

/// One endpoint, driven by one task.
#[derive(Debug)]
pub(crate) struct Driver {
    config: Config,
    epoch: Instant,
    hunt: Hunt<RegistrarUrl>,
    attempts: JoinSet<(RegistrarUrl, io::Result<Wire>)>,
    attempted: BTreeMap<RegistrarUrl, AbortHandle>,
    /// Why the last attempt failed.
    failure: Option<io::Error>,
    home: Option<Home>,
    elements: Elements,
    asks: Asks,
    cache: Cache,
    ready: Vec<Answer<RegistrarUrl>>,
    /// Nobody wants anything more: it ends when what was asked for last is
    /// done, at the latest then.
    leaving: Option<Timestamp>,
    left: Vec<Answer<()>>,
}

impl Driver {
    pub(crate) fn new(config: Config, registrars: impl IntoIterator<Item = RegistrarUrl>) -> Self {
        // Without the system's randomness, pauses are not spread.
        let seed = || getrandom::u64().unwrap_or(0);
        Self {
            epoch: Instant::now(),
            hunt: Hunt::new(config.hunt.clone(), seed(), registrars),
            attempts: JoinSet::new(),
            attempted: BTreeMap::new(),
            failure: None,
            home: None,
            elements: Elements::default(),
            asks: Asks::new(config.requests.resolution_timeout),
            cache: Cache::new(config.cache.clone(), seed()),
            ready: Vec::new(),
            leaving: None,
            left: Vec::new(),
            config,
        }
    }

    /// Runs until it was shut down, or every handle to it is gone.
    pub(crate) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        self.hunt.start(self.now());
        while !self.is_over() {
            let wait = self.until_timeout();
            let open = self.leaving.is_none() && self.output_bytes() < OUTPUT_MAX;
            tokio::select! {
                driven = drive(&mut self.home) => match driven {
                    Ok(()) => self.receive(),
                    Err(_) => self.lose_home(),
                },
                command = inbox.recv(), if open => {
                    self.command_or_end(command);
                    for _ in 1..COMMANDS_MAX {
                        let Ok(command) = inbox.try_recv() else { break };
                        self.command(command);
                    }
                }
                Some(attempt) = self.attempts.join_next(), if !self.attempts.is_empty() => {
                    // One that was given up is no news.
                    if let Ok((url, attempt)) = attempt {
                        self.attempt_ended(url, attempt);
                    }
                }
                () = tokio::time::sleep(wait) => self.time_out(),
            }
            self.act();
        }
        if let Some(mut home) = self.home {
            home.wire.close().await;
        }
        for left in self.left {
            let _ = left.send(Ok(()));
        }
        // Dropping the pending answers tells their askers that it is over.
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(self.epoch.elapsed())
    }

    fn output_bytes(&mut self) -> usize {
        self.home.as_mut().map_or(0, |home| home.conversation.output().len())
    }

    fn is_over(&mut self) -> bool {
        let Some(latest) = self.leaving else { return false };
        let done = self.elements.is_empty() && self.output_bytes() == 0;
        self.home.is_none() || done || latest <= self.now()
    }

    fn until_timeout(&self) -> Duration {
        let conversation = self.home.as_ref().and_then(|home| home.conversation.next_timeout());
        let next = [
            conversation,
            self.hunt.next_timeout(),
            self.home.as_ref().and_then(|_| self.elements.next_timeout()),
            self.asks.next_timeout(),
            self.leaving,
        ];
        next.into_iter().flatten().min().map_or(IDLE, |at| at.since(self.now()).min(IDLE))
    }

    fn command_or_end(&mut self, command: Option<Command>) {
        match command {
            Some(command) => self.command(command),
            None => self.leave(),
        }
    }

    fn leave(&mut self) {
        let now = self.now();
        self.leaving = Some(now.after(self.config.requests.deregistration_timeout));
        self.elements.deregister_all(now, self.home.as_mut().map(|home| &mut home.conversation));
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        let conversation = self.home.as_mut().map(|home| &mut home.conversation);
        match command {
            Command::Ready(answer) => match &self.home {
                Some(home) => drop(answer.send(Ok(home.url.clone()))),
                None => self.ready.push(answer),
            },
            Command::Announced(url) => self.hunt.announced(now, url),
            Command::Register(service, endpoint, answer) => {
                self.elements.add(now, conversation, &self.config, service, endpoint, answer);
            }
            Command::Update(token, policy, answer) => {
                self.elements.update(now, conversation, token, policy, answer);
            }
            Command::Load(token, load) => {
                self.elements.report_load(now, conversation, token, load);
            }
            Command::Deregister(token, answer) => {
                self.elements.deregister(now, conversation, token, answer);
            }
            Command::Resolve(handle, items, answer) => {
                self.asks.resolve(now, conversation, handle, items, answer);
            }
            Command::Select(handle, items, answer) => {
                let Self { asks, cache, config, .. } = self;
                asks.select(now, conversation, cache, config, handle, items, answer);
            }
            Command::Report(handle, pe) => {
                let handle = PoolHandle::new(&handle);
                self.cache.failed(now, handle, pe);
                if let Some(conversation) = conversation {
                    // One that cannot be written is for no element the
                    // registrar could know.
                    let _ = conversation.report_unreachable(handle, pe);
                }
            }
            Command::Avoid(handle, pe) => self.cache.failed(now, PoolHandle::new(&handle), pe),
            Command::Shutdown(answer) => {
                self.left.push(answer);
                self.leave();
            }
        }
    }

    /// Does what the hunt wants.
    fn act(&mut self) {
        while let Some(action) = self.hunt.poll_action() {
            match action {
                Action::Connect(url) => {
                    let to = url.clone();
                    let attempt = async move {
                        let attempt = Wire::connect(&to).await;
                        (to, attempt)
                    };
                    self.attempted.insert(url, self.attempts.spawn(attempt));
                }
                Action::Abandon(url) => {
                    if let Some(attempt) = self.attempted.remove(&url) {
                        attempt.abort();
                    }
                }
                Action::Fruitless => {
                    for answer in self.ready.drain(..) {
                        // An error cannot be cloned whole.
                        let copy = self
                            .failure
                            .as_ref()
                            .map(|failure| io::Error::new(failure.kind(), failure.to_string()));
                        let _ = answer.send(Err(Error::NoRegistrar(copy)));
                    }
                    self.elements.forget_unwanted();
                }
            }
        }
    }

    fn attempt_ended(&mut self, url: RegistrarUrl, attempt: io::Result<Wire>) {
        let now = self.now();
        self.attempted.remove(&url);
        match attempt {
            Ok(wire) if self.hunt.connected(&url) => {
                for answer in self.ready.drain(..) {
                    let _ = answer.send(Ok(url.clone()));
                }
                let mut conversation = Conversation::new(self.config.requests.clone());
                let life_unit = match url.carrier {
                    Carrier::Tcp => LifeUnit::Seconds,
                    Carrier::Sctp | Carrier::SctpUdp => self.config.sctp_life_unit,
                };
                self.elements.connected(now, &mut conversation, life_unit);
                self.asks.connected(now, &mut conversation);
                self.home = Some(Home { url, wire, conversation, input: Vec::new() });
            }
            // It came too late.
            Ok(_) => {}
            Err(error) => {
                self.failure = Some(error);
                self.hunt.failed(now, &url);
            }
        }
    }

    fn lose_home(&mut self) {
        let now = self.now();
        if self.home.take().is_some() {
            self.elements.disconnected();
            self.asks.disconnected(now);
            self.cache.disconnected(now);
            self.hunt.lost(now);
        }
    }

    fn time_out(&mut self) {
        let now = self.now();
        self.hunt.handle_timeout(now);
        self.asks.handle_timeout(now);
        let Some(home) = &mut self.home else { return };
        let mut silent = false;
        while let Some(overdue) = home.conversation.handle_timeout(now) {
            silent = true;
            match overdue.request {
                Request::Registration | Request::Deregistration => {
                    self.elements.timed_out(overdue);
                }
                Request::Resolution => self.asks.timed_out(overdue.token),
            }
        }
        self.elements.handle_timeout(now, &mut home.conversation);
        if silent {
            // A registrar that does not answer is none (RFC 5352, 3.6).
            self.lose_home();
        }
    }

    /// Handles every whole message of the input.
    fn receive(&mut self) {
        let Some(home) = &mut self.home else { return };
        let input = std::mem::take(&mut home.input);
        let mut start = 0;
        let framed = loop {
            let rest = input.get(start..).unwrap_or_default();
            match frame(rest) {
                Frame::Whole(length) => {
                    self.message(rest.get(..length).unwrap_or_default());
                    start += length;
                }
                Frame::Incomplete => break true,
                Frame::Malformed => break false,
            }
        };
        if let Some(home) = &mut self.home {
            home.input = input;
            home.input.drain(..start);
        }
        if !framed {
            self.lose_home();
        }
    }

    fn message(&mut self, message: &[u8]) {
        let now = self.now();
        let Self { home, hunt, elements, asks, cache, config, .. } = self;
        let Some(Home { conversation, url, .. }) = home else { return };
        let event = conversation.receive(now, message);
        match event {
            Event::Registered { .. }
            | Event::Deregistered { .. }
            | Event::Expired { .. }
            | Event::KeepAlive { .. } => {
                hunt.useful();
                elements.receive(now, conversation, url, &event);
            }
            Event::Resolved { token, handle, subscribed, policy, elements, error } => {
                hunt.useful();
                let answered = match &error {
                    None => Ok((policy, &elements)),
                    Some(causes) => Err(causes),
                };
                asks.answered(now, cache, config, token, handle, answered, subscribed);
            }
            Event::PoolChanged { handle, policy, elements, error } => {
                // Only a pool that was subscribed to is told of.
                if config.subscribe && cache.policy(handle).is_some() {
                    match error {
                        None => cache.store(now, handle, policy, &elements, true),
                        Some(_) => cache.store_unknown(now, handle),
                    }
                }
            }
            // Nothing waits for these.
            Event::Announce { .. } | Event::Error { .. } | Event::Unexpected(_) | _ => {}
        }
    }
}

/// Sends to and receives from the registrar, if there is one.
async fn drive(home: &mut Option<Home>) -> io::Result<()> {
    match home {
        Some(home) => home.wire.drive(home.conversation.output(), &mut home.input).await,
        None => std::future::pending().await,
    }
}
