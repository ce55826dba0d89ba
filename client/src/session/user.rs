//! The pool user's side of a session.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use rserpool_engine::{PeId, PoolHandle};
use rserpool_proto::session::PoolUser;
use tokio::sync::{mpsc, oneshot};

use super::Config;
use super::channel::{CONTROL, Channel, OUTPUT_MAX};
use crate::{Endpoint, Error, ResolvedElement};

/// The longest pause between two attempts to find a pool element.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Data, with its payload protocol identifier.
    Message {
        /// The payload protocol identifier; never that of ASAP.
        ppid: u32,
        /// The message.
        data: Vec<u8>,
    },
    /// The pool element failed, and another one is looked for.
    FailingOver {
        /// The one that failed.
        from: PeId,
        /// How.
        reason: io::ErrorKind,
    },
    /// Another pool element serves. What was sent before this was received is
    /// dropped; send again what was not answered.
    FailedOver {
        /// The one that failed.
        from: PeId,
        /// The one that serves now.
        to: PeId,
        /// Whether it got a cookie of the one before.
        cookie: bool,
        /// From the end of the connection to the one to the beginning of that
        /// to the other.
        took: Duration,
    },
}

/// A session with a pool. A task drives it; dropped, it ends.
#[derive(Debug)]
pub struct Session {
    outgoing: mpsc::Sender<Outgoing>,
    events: mpsc::Receiver<Result<Event, Error>>,
    /// How many failovers the application knows of.
    epoch: u64,
    peer: PeId,
    message_bytes_max: usize,
}

#[derive(Debug)]
enum Outgoing {
    Data {
        epoch: u64,
        ppid: u32,
        data: Vec<u8>,
    },
    /// For this reason.
    FailOver {
        epoch: u64,
        reason: io::ErrorKind,
    },
    Close(oneshot::Sender<()>),
}

impl Endpoint {
    /// Begins a session with an element of a pool that is selected from the
    /// cache, as [`Endpoint::select`] does.
    ///
    /// # Errors
    /// There is no such pool, or none of its elements can be connected to, in
    /// time.
    pub async fn session(
        &self,
        handle: impl AsRef<[u8]>,
        config: Config,
    ) -> Result<Session, Error> {
        let (outgoing, inbox) = mpsc::channel(config.queue_max.max(1));
        let (outbox, events) = mpsc::channel(config.queue_max.max(1));
        let task = Task {
            endpoint: self.clone(),
            handle: handle.as_ref().to_vec(),
            config,
            state: PoolUser::new(),
            inbox,
            outbox,
            epoch: 0,
        };
        let message_bytes_max = task.config.message_bytes_max;
        let (peer, channel) = task.find(None).await?;
        tokio::spawn(task.run(peer, channel));
        Ok(Session { outgoing, events, epoch: 0, peer, message_bytes_max })
    }
}

impl Session {
    /// The pool element that serves, as far as events were received.
    #[must_use]
    pub const fn peer(&self) -> PeId {
        self.peer
    }

    /// Sends data. Cancelled, it was not sent.
    ///
    /// # Errors
    /// The session is over, the message is empty or too long, or the identifier
    /// is that of ASAP.
    pub async fn send(&mut self, ppid: u32, data: impl Into<Vec<u8>>) -> Result<(), Error> {
        if ppid == CONTROL {
            let what = "11 is the payload protocol identifier of ASAP";
            return Err(Error::Invalid(what.to_owned()));
        }
        let data = data.into();
        if data.is_empty() {
            return Err(Error::Invalid(
                "an empty message cannot be sent: SCTP has none".to_owned(),
            ));
        }
        if data.len() > self.message_bytes_max {
            return Err(Error::Invalid("the message is longer than the session takes".to_owned()));
        }
        let outgoing = Outgoing::Data { epoch: self.epoch, ppid, data };
        self.outgoing.send(outgoing).await.map_err(|_| Error::Closed)
    }

    /// Waits for what happens next. May be cancelled at any time.
    ///
    /// # Errors
    /// No element of the pool could be connected to, in time. The session is
    /// over.
    pub async fn receive(&mut self) -> Result<Event, Error> {
        let event = self.events.recv().await.ok_or(Error::Closed)??;
        if let Event::FailedOver { to, .. } = event {
            self.epoch += 1;
            self.peer = to;
        }
        Ok(event)
    }

    /// Reports the pool element as unreachable and goes on with another one, as
    /// if it had failed. To be used when it does not do what it should.
    ///
    /// # Errors
    /// The session is over.
    pub async fn fail_over(&mut self) -> Result<(), Error> {
        self.go_on(io::ErrorKind::Other).await
    }

    /// Goes on with another pool element without reporting this one: it works,
    /// and has no room for this session, for instance.
    ///
    /// # Errors
    /// The session is over.
    pub async fn leave(&mut self) -> Result<(), Error> {
        self.go_on(io::ErrorKind::ResourceBusy).await
    }

    async fn go_on(&self, reason: io::ErrorKind) -> Result<(), Error> {
        let outgoing = Outgoing::FailOver { epoch: self.epoch, reason };
        self.outgoing.send(outgoing).await.map_err(|_| Error::Closed)
    }

    /// Ends the session when everything that was sent has left, and the next
    /// thing to be received would be the end.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.outgoing.send(Outgoing::Close(done)).await.is_ok() {
            // It is over either way.
            let _ = closed.await;
        }
    }
}

/// How the service of one pool element ended.
enum End {
    Failed(io::ErrorKind),
    /// The application wants no more.
    Over,
}

#[derive(Debug)]
struct Task {
    endpoint: Endpoint,
    handle: Vec<u8>,
    config: Config,
    state: PoolUser,
    inbox: mpsc::Receiver<Outgoing>,
    outbox: mpsc::Sender<Result<Event, Error>>,
    epoch: u64,
}

impl Task {
    async fn run(mut self, mut peer: PeId, mut channel: Channel) {
        while let End::Failed(reason) = self.serve(&mut channel).await {
            channel.abort();
            let since = Instant::now();
            if matches!(reason, io::ErrorKind::UnexpectedEof | io::ErrorKind::ResourceBusy) {
                // It may have closed in order: then it is not unreachable.
                self.endpoint.avoid(&self.handle, peer);
            } else {
                self.endpoint.report_unreachable(&self.handle, peer);
            }
            if !self.tell(Ok(Event::FailingOver { from: peer, reason })).await {
                return;
            }
            let found = tokio::select! {
                found = self.find(Some(peer)) => found,
                () = self.outbox.closed() => return,
            };
            let (to, next) = match found {
                Ok(found) => found,
                Err(error) => {
                    self.tell(Err(error)).await;
                    return;
                }
            };
            let (from, cookie, took) = (peer, self.state.has_cookie(), since.elapsed());
            (peer, channel) = (to, next);
            self.epoch += 1;
            if !self.tell(Ok(Event::FailedOver { from, to, cookie, took })).await {
                return;
            }
        }
    }

    async fn tell(&self, event: Result<Event, Error>) -> bool {
        self.outbox.send(event).await.is_ok()
    }

    /// Connects to a pool element: to those that the failed one recommended
    /// first, then to those that the pool's policy selects.
    async fn find(&self, failed: Option<PeId>) -> Result<(PeId, Channel), Error> {
        let until = Instant::now() + self.config.failover_timeout;
        let mut recommended: VecDeque<ResolvedElement> = failed.map_or_else(VecDeque::new, |but| {
            let handle = PoolHandle::new(&self.handle);
            self.state.recommended(handle, but).map(Into::into).collect()
        });
        let mut tried: Vec<PeId> = failed.into_iter().collect();
        let mut pause = self.config.retry_pause;
        loop {
            let next = match recommended.pop_front() {
                Some(element) => Ok(element),
                None => self.select().await,
            };
            let again = next.as_ref().map_or(true, |element| tried.contains(&element.pe));
            if again {
                // Not before everybody else was tried, and not in a tight loop.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
                tried.clear();
            }
            let failure = match next {
                Ok(element) => match self.begin(&element).await {
                    Ok(channel) => return Ok((element.pe, channel)),
                    Err(error) => {
                        self.endpoint.report_unreachable(&self.handle, element.pe);
                        tried.push(element.pe);
                        Error::NoElement(error)
                    }
                },
                Err(error @ (Error::Closed | Error::Invalid(_))) => return Err(error),
                // A session that has not begun need not wait for a pool.
                Err(error) if failed.is_none() => return Err(error),
                Err(error) => error,
            };
            if Instant::now() >= until {
                return Err(failure);
            }
        }
    }

    async fn select(&self) -> Result<ResolvedElement, Error> {
        let selected = self.endpoint.select(&self.handle, 1).await?;
        selected.elements.into_iter().next().ok_or_else(Error::unknown_pool)
    }

    /// Connects to an element. The cookie is the first it gets.
    async fn begin(&self, element: &ResolvedElement) -> io::Result<Channel> {
        let mut channel = Channel::connect(element, &self.config, self.endpoint.sctp()).await?;
        let mut echo = Vec::new();
        if self.state.echo(&mut echo) {
            channel.queue(CONTROL, &echo)?;
        }
        Ok(channel)
    }

    /// Sends and receives until the pool element fails or the application wants
    /// no more.
    async fn serve(&mut self, channel: &mut Channel) -> End {
        let mut next = None;
        // Since when it has not answered.
        let mut unanswered = None;
        loop {
            if next.is_none() {
                next = match self.take(channel) {
                    Ok(next) => next,
                    Err(error) => return End::Failed(error.kind()),
                };
            }
            if next.is_some() {
                unanswered = None;
            }
            let queued = channel.queued();
            let failed = tokio::select! {
                () = overdue(unanswered, self.config.answer_max) => {
                    return End::Failed(io::ErrorKind::TimedOut);
                }
                permit = self.outbox.reserve(), if next.is_some() => match permit {
                    Ok(permit) => {
                        if let Some(event) = next.take() {
                            permit.send(Ok(event));
                        }
                        None
                    }
                    Err(_) => return End::Over,
                },
                driven = channel.drive() => driven.err(),
                outgoing = self.inbox.recv(), if channel.queued() < OUTPUT_MAX => match outgoing {
                    Some(Outgoing::Data { epoch, ppid, data }) if epoch == self.epoch => {
                        channel.queue(ppid, &data).err()
                    }
                    Some(Outgoing::FailOver { epoch, reason }) if epoch == self.epoch => {
                        return End::Failed(reason);
                    }
                    // It was meant for a pool element that failed.
                    Some(Outgoing::Data { .. } | Outgoing::FailOver { .. }) => None,
                    Some(Outgoing::Close(done)) => {
                        channel.finish().await;
                        let _ = done.send(());
                        return End::Over;
                    }
                    None => {
                        channel.finish().await;
                        return End::Over;
                    }
                },
            };
            if let Some(error) = failed {
                return self.fail(channel, next, &error).await;
            }
            if channel.queued() > queued {
                unanswered.get_or_insert_with(Instant::now);
            }
        }
    }

    /// The next data that was received. What is for the control channel is
    /// handled.
    fn take(&mut self, channel: &mut Channel) -> io::Result<Option<Event>> {
        while let Some((ppid, data)) = channel.take()? {
            if ppid != CONTROL {
                return Ok(Some(Event::Message { ppid, data }));
            }
            self.state.receive(&data);
        }
        Ok(None)
    }

    /// The pool element is gone: what it sent before that counts.
    async fn fail(
        &mut self,
        channel: &mut Channel,
        mut next: Option<Event>,
        error: &io::Error,
    ) -> End {
        loop {
            if let Some(event) = next
                && !self.tell(Ok(event)).await
            {
                return End::Over;
            }
            next = match self.take(channel) {
                Ok(None) | Err(_) => return End::Failed(error.kind()),
                Ok(next) => next,
            };
        }
    }
}

/// Waits until an answer has been missing for too long.
async fn overdue(since: Option<Instant>, longest: Option<Duration>) {
    match since.zip(longest) {
        Some((since, longest)) => tokio::time::sleep_until((since + longest).into()).await,
        None => std::future::pending().await,
    }
}
