//! The task that owns a connection with a registrar.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rserpool_codec::{Frame, frame};
use rserpool_engine::{PeId, PoolHandle, Timestamp};
use rserpool_proto::endpoint::{Config, Conversation, Event, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Resolution, Service};

/// What a request gives back.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What the task is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Register(Service, Answer<()>),
    Deregister(Vec<u8>, PeId, Answer<()>),
    Resolve(Vec<u8>, Option<u32>, Answer<Resolution>),
    Report(Vec<u8>, PeId),
}

/// A request under way.
#[derive(Debug)]
enum Pending {
    Empty,
    Unit(Answer<()>),
    Resolution(Answer<Resolution>),
}

/// Most bytes waiting to be sent before no more commands are taken.
const OUTPUT_MAX: usize = 256 * 1024;

/// One association, driven by one task.
#[derive(Debug)]
pub(crate) struct Driver {
    conversation: Conversation,
    epoch: Instant,
    /// The elements of this association, and whether the registrar has
    /// confirmed them: a refused re-registration leaves what was before.
    elements: BTreeMap<(Vec<u8>, PeId), bool>,
    /// Requests by token; free places are in `free`.
    pending: Vec<Pending>,
    free: Vec<usize>,
    input: Vec<u8>,
}

impl Driver {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            conversation: Conversation::new(config),
            epoch: Instant::now(),
            elements: BTreeMap::new(),
            pending: Vec::new(),
            free: Vec::new(),
            input: Vec::with_capacity(16 * 1024),
        }
    }

    /// Runs until the connection or every handle to it is gone.
    pub(crate) async fn run(mut self, stream: TcpStream, mut commands: mpsc::Receiver<Command>) {
        let (mut reader, mut writer) = stream.into_split();
        loop {
            let waiting = self.conversation.output().len();
            let wait = self.until_timeout();
            tokio::select! {
                sent = writer.write(self.conversation.output()), if waiting > 0 => match sent {
                    Ok(count) if count > 0 => drop(self.conversation.output().drain(..count)),
                    Ok(_) | Err(_) => break,
                },
                read = reader.read_buf(&mut self.input) => match read {
                    Ok(count) if count > 0 => if self.receive().is_err() { break },
                    Ok(_) | Err(_) => break,
                },
                command = commands.recv(), if waiting < OUTPUT_MAX => match command {
                    Some(command) => self.command(command),
                    None if waiting == 0 => break,
                    // Say goodbye first: what was asked for last is on its way.
                    None => {
                        let _ = writer.write_all(self.conversation.output()).await;
                        break;
                    }
                },
                () = tokio::time::sleep(wait) => self.time_out(),
            }
        }
        // Dropping the pending answers tells their askers that it is lost.
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(self.epoch.elapsed())
    }

    fn until_timeout(&self) -> Duration {
        let far = Duration::from_secs(3600);
        self.conversation.next_timeout().map_or(far, |at| at.since(self.now()).min(far))
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Register(service, answer) => {
                let token = self.remember(Pending::Unit(answer));
                let (handle, pe) = (service.handle.clone(), service.pe);
                let address = [service.address.ip()];
                let element = service.element(&address);
                let name = PoolHandle::new(&handle);
                let asked = self.conversation.register(now, token, name, &element);
                if self.refuse_unless(asked, token) {
                    // A keep-alive may come before the answer.
                    self.elements.entry((handle, pe)).or_insert(false);
                }
            }
            Command::Deregister(handle, pe, answer) => {
                let token = self.remember(Pending::Unit(answer));
                let name = PoolHandle::new(&handle);
                let asked = self.conversation.deregister(now, token, name, pe);
                self.refuse_unless(asked, token);
            }
            Command::Resolve(handle, items, answer) => {
                let token = self.remember(Pending::Resolution(answer));
                let name = PoolHandle::new(&handle);
                let asked = self.conversation.resolve(now, token, name, items, false);
                self.refuse_unless(asked, token);
            }
            Command::Report(handle, pe) => {
                // Nothing answers a report; one that cannot be written is for
                // no element the registrar could know.
                let _ = self.conversation.report_unreachable(PoolHandle::new(&handle), pe);
            }
        }
    }

    fn remember(&mut self, pending: Pending) -> u64 {
        let place = self.free.pop().unwrap_or(self.pending.len());
        if place == self.pending.len() {
            self.pending.push(Pending::Empty);
        }
        if let Some(slot) = self.pending.get_mut(place) {
            *slot = pending;
        }
        place as u64
    }

    fn recall(&mut self, token: u64) -> Pending {
        let Ok(place) = usize::try_from(token) else { return Pending::Empty };
        let Some(slot) = self.pending.get_mut(place) else { return Pending::Empty };
        let pending = std::mem::replace(slot, Pending::Empty);
        if !matches!(pending, Pending::Empty) {
            self.free.push(place);
        }
        pending
    }

    /// Fails a request that was not made; whether it was.
    fn refuse_unless(&mut self, asked: Result<(), Full>, token: u64) -> bool {
        if let Err(full) = asked {
            self.fail(token, Error::Invalid(full.to_string()));
            return false;
        }
        true
    }

    fn fail(&mut self, token: u64, error: Error) {
        // Who no longer waits for the answer does not miss it.
        match self.recall(token) {
            Pending::Empty => {}
            Pending::Unit(answer) => drop(answer.send(Err(error))),
            Pending::Resolution(answer) => drop(answer.send(Err(error))),
        }
    }

    fn done(&mut self, token: u64) {
        if let Pending::Unit(answer) = self.recall(token) {
            let _ = answer.send(Ok(()));
        }
    }

    fn time_out(&mut self) {
        let now = self.now();
        while let Some(overdue) = self.conversation.handle_timeout(now) {
            self.fail(overdue.token, Error::TimedOut);
        }
    }

    /// Handles every whole message of the input. `Err`: it cannot be framed.
    fn receive(&mut self) -> Result<(), ()> {
        let input = std::mem::take(&mut self.input);
        let mut start = 0;
        let framed = loop {
            let rest = input.get(start..).unwrap_or_default();
            match frame(rest) {
                Frame::Whole(length) => {
                    self.message(rest.get(..length).unwrap_or_default());
                    start += length;
                }
                Frame::Incomplete => break Ok(()),
                Frame::Malformed => break Err(()),
            }
        };
        self.input = input;
        self.input.drain(..start);
        framed
    }

    fn message(&mut self, message: &[u8]) {
        let now = self.now();
        // The event borrows the message only.
        let event = self.conversation.receive(now, message);
        match event {
            Event::Registered { token, handle, pe, rejected: false, .. } => {
                self.elements.insert((handle.as_bytes().to_vec(), pe), true);
                self.done(token);
            }
            Event::Registered { token, handle, pe, causes, .. } => {
                let name = (handle.as_bytes().to_vec(), pe);
                if self.elements.get(&name) == Some(&false) {
                    self.elements.remove(&name);
                }
                self.fail(token, Error::refused(causes.as_ref()));
            }
            Event::Deregistered { token, handle, pe, causes: None } => {
                self.elements.remove(&(handle.as_bytes().to_vec(), pe));
                self.done(token);
            }
            Event::Deregistered { token, causes, .. } => {
                self.fail(token, Error::refused(causes.as_ref()));
            }
            Event::Expired { handle, pe } => {
                self.elements.remove(&(handle.as_bytes().to_vec(), pe));
            }
            Event::Resolved { token, error: Some(causes), .. } => {
                self.fail(token, Error::refused(Some(&causes)));
            }
            Event::Resolved { token, policy, elements, error: None, .. } => {
                if let Pending::Resolution(answer) = self.recall(token) {
                    // No policy means Round Robin (RFC 5352, 2.2.6).
                    let policy = policy.unwrap_or(rserpool_engine::Policy::RoundRobin);
                    let elements = elements.iter().map(Into::into).collect();
                    let _ = answer.send(Ok(Resolution { policy, elements }));
                }
            }
            Event::KeepAlive { handle, pe, .. } => self.acknowledge(handle, pe),
            // Nothing waits for these.
            Event::Announce { .. } | Event::Error { .. } | Event::Unexpected(_) | _ => {}
        }
    }

    /// Acknowledges for one element, or for every one of ours in the pool.
    fn acknowledge(&mut self, handle: PoolHandle<'_>, pe: Option<PeId>) {
        let pool = handle.as_bytes();
        let from = (pool.to_vec(), pe.unwrap_or_default());
        let here = self.elements.range(from..).map(|((pool, ours), _)| (pool.as_slice(), *ours));
        let asked =
            |(other, ours): &(&[u8], PeId)| *other == pool && pe.is_none_or(|asked| asked == *ours);
        for (_, ours) in here.take_while(asked) {
            // A handle that came in a message fits one.
            let _ = self.conversation.ack_keep_alive(handle, ours);
        }
    }
}
