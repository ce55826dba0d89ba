//! Associations that come up and get lost.

use std::time::Duration;

use mio::Token;

use super::{Failure, News, Pending, Worker};
use crate::connection::Standing;
use crate::model::Status;
use crate::stage::{Phase, Subject};

/// Connections that are being set up at the same time.
const CONNECTING_MAX: usize = 64;
/// How long one may take to be set up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Worker {
    /// Begins connections that are to be set up.
    pub(super) fn connect(&mut self) -> Result<(), Failure> {
        while self.connecting < CONNECTING_MAX {
            let Some(index) = self.to_connect.pop_front() else { break };
            let now = self.setup.clock.now();
            let connection = &mut self.connections[index];
            let Some(&to) = self.setup.addresses.get(connection.address) else {
                return Err(Failure::Connect("the host has no address".to_owned()));
            };
            let begun = match &mut self.associations {
                None => connection.begin_tcp(now, to, self.poll.registry(), Token(index)),
                Some(associations) => {
                    let begun = associations.begin(to, index);
                    begun.map(|id| connection.begin_sctp(now, id))
                }
            };
            self.connecting += 1;
            if let Err(error) = begun {
                self.connections[index].standing = Standing::Connecting(now);
                self.lost(index, Failure::Connect(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Finds out what became of TCP connections that were begun.
    pub(super) fn finish_connecting(&mut self) -> Result<(), Failure> {
        if self.connecting == 0 || self.associations.is_some() {
            return Ok(());
        }
        for index in self.dirty.clone() {
            if !matches!(self.connections[index].standing, Standing::Connecting(_)) {
                continue;
            }
            match self.connections[index].finish_tcp() {
                Ok(()) if self.connections[index].standing == Standing::Up => self.is_up(index),
                Ok(()) => {}
                Err(error) => self.lost(index, Failure::Connect(error.to_string()))?,
            }
        }
        Ok(())
    }

    /// Gives up connections that take too long to be set up.
    pub(super) fn give_up_connecting(&mut self, now: Duration) -> Result<(), Failure> {
        if self.connecting == 0 {
            return Ok(());
        }
        for index in 0..self.connections.len() {
            if let Standing::Connecting(since) = self.connections[index].standing
                && now.saturating_sub(since) > CONNECT_TIMEOUT
            {
                let seconds = CONNECT_TIMEOUT.as_secs();
                let reason = format!("nobody answers within {seconds} s");
                self.lost(index, Failure::Connect(reason))?;
            }
        }
        Ok(())
    }

    /// A connection can be used: what waits for it is sent.
    pub(super) fn is_up(&mut self, index: usize) {
        self.connecting -= 1;
        self.connections[index].up();
        self.connections[index].failures = 0;
        self.unread.push(index);
        let now = self.setup.clock.now();
        for request in 0..self.pending.len() {
            if self.pending[request].is_some_and(|pending| pending.connection == index) {
                // What cannot be written now could not be written at first.
                let _ = self.transmit(request, now);
            }
        }
        if self.phase == Phase::Connect {
            if self.connecting == 0 && self.to_connect.is_empty() {
                self.tell(News::Ready(Phase::Connect));
            }
        } else {
            self.failover.moved += u64::from(self.setup.plan.is_group());
            self.rescue_elements(index);
        }
    }

    /// The elements of a connection that was set up again register again.
    fn rescue_elements(&mut self, index: usize) {
        if index >= self.setup.element_connections {
            return;
        }
        let first = u32::try_from(index).unwrap_or(u32::MAX);
        let elements = self.model.population().elements();
        let step = self.setup.element_connections;
        let mine = (first..elements).step_by(step);
        let back = self.disruption.brings_back(self.phase);
        for element in mine {
            match self.model.status(element) {
                Status::Registered => self.rescue.push_back(element),
                Status::Cut => {
                    self.model.forgotten(element);
                    self.rescue.push_back(element);
                }
                Status::Absent if back => self.rescue.push_back(element),
                Status::Absent
                | Status::Registering
                | Status::Reregistering
                | Status::Deregistering => {}
            }
        }
    }

    /// An association could not be set up or is gone. Unless another address
    /// is left to try, or another registrar to take its place, that ends the
    /// run.
    pub(super) fn lost(&mut self, index: usize, failure: Failure) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        let was_up = match connection.standing {
            Standing::Up => true,
            Standing::Connecting(_) => {
                self.connecting -= 1;
                false
            }
            Standing::Down => return Ok(()),
        };
        connection.close(self.associations.as_mut());
        connection.failures += usize::from(!was_up);
        let addresses = self.setup.addresses.len();
        let group = self.setup.plan.is_group();
        let exhausted = connection.failures >= addresses;
        if !group && (was_up || exhausted) {
            return Err(failure);
        }
        // A whole group may be down for a moment.
        let since = self.setup.clock.now().saturating_sub(self.setup.plan.answer_timeout);
        if exhausted && connection.lost_at < since {
            return Err(failure);
        }
        if was_up {
            connection.lost_at = self.setup.clock.now();
            connection.recovering = true;
            self.failover.lost += 1;
            self.count_repeated(index);
        }
        self.connections[index].address += 1;
        self.connections[index].address %= addresses;
        if exhausted {
            self.to_connect_later.push(index);
        } else {
            self.to_connect.push_back(index);
        }
        Ok(())
    }

    /// Counts the requests that have to be sent again. Resolutions have failed
    /// as far as their pool user is concerned.
    fn count_repeated(&mut self, index: usize) {
        let lost = |pending: &&Pending| pending.connection == index;
        for pending in self.pending.iter().flatten().filter(lost) {
            self.failover.repeated += 1;
            if matches!(pending.request.subject, Subject::Resolve { .. }) {
                self.failover.failed += 1;
            }
        }
    }
}
