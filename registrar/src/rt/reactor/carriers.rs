//! The links of SCTP associations of a shard.

use std::io;
use std::time::Instant;

use rserpool_engine::Timestamp;
use rserpool_sctp::{Progress, Received};

use super::Reactor;
use crate::carrier::Carrier;
use crate::rt::sockets::Sockets;
use crate::sctp::Endpoint;
use crate::turn::Submission;

/// One link, and whether it has something to do.
struct Entry {
    carrier: Carrier,
    due: bool,
}

/// The links of a shard.
#[derive(Default)]
pub(super) struct Carriers(Vec<Entry>);

impl Carriers {
    /// Opens the endpoints and watches them.
    pub(super) fn open(endpoints: Vec<Endpoint>, sockets: &mut impl Sockets) -> io::Result<Self> {
        let mut entries = Vec::new();
        for endpoint in endpoints {
            let mut carrier = Carrier::new(endpoint.open(Instant::now())?);
            let number = entries.len();
            sockets.watch_carrier(carrier.fd(), number)?;
            open_socket(&mut carrier, sockets, number)?;
            entries.push(Entry { carrier, due: true });
        }
        Ok(Self(entries))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// There are packets for this one.
    pub(super) fn ready(&mut self, number: usize) {
        if let Some(entry) = self.0.get_mut(number) {
            entry.due = true;
        }
    }

    /// A message arrived on the socket of this one.
    pub(super) fn take(&mut self, at: Instant, number: usize, message: &Received<'_>) {
        if let Some(entry) = self.0.get_mut(number) {
            entry.carrier.take(at, message);
            entry.due = true;
        }
    }

    /// Carries out a submission for an association; one for others is given
    /// back.
    pub(super) fn submit(&mut self, at: Instant, submission: Submission) -> Option<Submission> {
        let mut left = Some(submission);
        for entry in &mut self.0 {
            left = entry.carrier.submit(at, left.take()?);
            entry.due |= left.is_none();
        }
        left
    }

    /// When there is something to do, if nothing arrives.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        let due = |entry: &Entry| if entry.due { Some(now) } else { entry.carrier.timeout() };
        self.0.iter().filter_map(due).min()
    }

    /// Associations, those being closed included.
    pub(super) fn associations(&self) -> usize {
        self.0.iter().map(|entry| entry.carrier.associations()).sum()
    }

    /// Ends all associations.
    pub(super) fn abort_all(&mut self, at: Instant) {
        for entry in &mut self.0 {
            entry.carrier.abort_all(at);
            entry.due = true;
        }
    }

    fn due(&mut self, number: usize, at: Instant) -> Option<&mut Carrier> {
        let entry = self.0.get_mut(number)?;
        let late = entry.carrier.timeout().is_some_and(|timeout| timeout <= at);
        (core::mem::take(&mut entry.due) || late).then_some(&mut entry.carrier)
    }
}

/// Receives from a link's socket, where both sides can.
fn open_socket<S: Sockets>(
    carrier: &mut Carrier,
    sockets: &mut S,
    number: usize,
) -> io::Result<()> {
    if S::RECEIVES_MESSAGES
        && let Some(socket) = carrier.give_socket()?
    {
        sockets.receive_messages(socket, number)?;
    }
    Ok(())
}

impl<S: Sockets> Reactor<S> {
    /// Lets each link that has something to do read, gives the shard what it
    /// tells, and sends the answers.
    pub(super) fn work_carriers(&mut self) {
        if self.carriers.0.is_empty() {
            return;
        }
        let now = self.now();
        let at = self.instant(now);
        for number in 0..self.carriers.0.len() {
            let polled = self.guarded(|reactor| {
                let carrier = reactor.carriers.due(number, at)?;
                Some(carrier.poll(at))
            });
            let again = match polled {
                Ok(None) => continue,
                Ok(Some(Ok(progress))) => progress == Progress::More,
                Ok(Some(Err(error))) => {
                    log::error!("shard {}: SCTP: {error}", self.number.0);
                    false
                }
                Err(_) => false,
            };
            while self.carriers.0.get(number).is_some_and(|entry| entry.carrier.has_news()) {
                self.turn_carrier(number, now);
            }
            let _logged = self.guarded(|reactor| {
                let Some(entry) = reactor.carriers.0.get_mut(number) else { return };
                // An error comes again with the next poll, which logs it.
                let _seen = entry.carrier.flush(at);
                entry.due = again || entry.carrier.take_stirred();
            });
        }
    }

    /// A turn of the shard with what a link told.
    fn turn_carrier(&mut self, number: usize, now: Timestamp) {
        let at = self.instant(now);
        let mut submissions = core::mem::take(&mut self.submissions);
        let _logged = self.guarded(|reactor| {
            let Some(entry) = reactor.carriers.0.get_mut(number) else { return };
            let turned = entry.carrier.turn(now, at, &mut reactor.shard, &mut submissions);
            reactor.more = turned.more;
        });
        self.carry_out(now, submissions);
    }
}
