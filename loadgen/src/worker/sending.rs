//! What a client thread sends.

use std::time::Duration;

use rserpool_codec::{Addresses, Element, Transport};
use rserpool_engine::{PoolHandle, RegistrarId};

use super::{Failure, Pending, Worker};
use crate::clock::timestamp;
use crate::connection::Standing;
use crate::model::Status;
use crate::stage::{IN_FLIGHT_MAX, Operation, Request, Step, Subject};

/// The registration life on the wire. It ends after no run, whether the
/// registrar takes it for milliseconds (an hour) or seconds (41 days).
const LIFE: i32 = 3_600_000;
/// Requests sent in one go before answers are read.
const SENDS_MAX: usize = 256;

impl Worker {
    /// Sends what is due; when there is more, if that is known.
    pub(super) fn send_due(&mut self) -> Result<Option<Duration>, Failure> {
        let now = self.setup.clock.now();
        self.send_rescue(now)?;
        for _ in 0..SENDS_MAX {
            let elapsed = now.saturating_sub(self.phase_began);
            match self.stage.next(elapsed, self.in_flight(), &mut self.model) {
                Step::Send(request) => self.send(request, now)?,
                Step::At(at) => return Ok(Some(self.phase_began + at)),
                Step::Wait => return Ok(None),
                Step::Done => {
                    if self.in_flight() == 0 && self.rescue.is_empty() {
                        self.finish(elapsed);
                    }
                    return Ok(None);
                }
            }
        }
        Ok(Some(now))
    }

    /// Registers elements whose association was lost, as fast as a window of
    /// unanswered requests allows.
    fn send_rescue(&mut self, now: Duration) -> Result<(), Failure> {
        let window = self.setup.element_window();
        for _ in 0..self.rescue.len().min(SENDS_MAX) {
            if self.in_flight() >= window.min(IN_FLIGHT_MAX) {
                break;
            }
            let Some(element) = self.rescue.pop_front() else { break };
            let connection = self.connection_of(element);
            if self.connections[connection].standing != Standing::Up {
                self.rescue.push_back(element);
                continue;
            }
            let (operation, value) = match self.model.status(element) {
                Status::Absent => (Operation::REGISTER, self.model.next_value(element)),
                Status::Registered => (Operation::REREGISTER, self.model.value(element)),
                Status::Registering
                | Status::Reregistering
                | Status::Deregistering
                | Status::Cut => continue,
            };
            let subject = Subject::Register { element, value };
            self.send(Request { operation, subject, user: None, intended: None }, now)?;
        }
        Ok(())
    }

    fn send(&mut self, request: Request, now: Duration) -> Result<(), Failure> {
        let intended = match request.intended {
            Some(intended) => {
                let intended = self.phase_began + intended;
                self.recorder.sent_late(now.saturating_sub(intended));
                intended
            }
            None => now,
        };
        let (connection, ticket) = match request.subject {
            Subject::Register { element, value } => {
                self.model.register_sent(element, value);
                (self.connection_of(element), None)
            }
            Subject::Deregister { element } => {
                self.model.deregister_sent(element);
                (self.connection_of(element), None)
            }
            Subject::Resolve { pool, items } => {
                let ticket = self.model.resolve_sent(pool, items);
                (self.connection_for(pool, request.user), Some(ticket))
            }
        };
        let index = self.free.pop().unwrap_or(self.pending.len());
        let pending = Some(Pending { request, connection, intended, ticket });
        match self.pending.get_mut(index) {
            Some(slot) => *slot = pending,
            None => self.pending.push(pending),
        }
        self.transmit(index, now)
    }

    /// Writes the request with this number. Where its association is not up
    /// it is written when it is.
    pub(super) fn transmit(&mut self, index: usize, now: Duration) -> Result<(), Failure> {
        let Some(Pending { request, connection, .. }) = self.pending[index] else { return Ok(()) };
        if self.connections[connection].standing != Standing::Up {
            return Ok(());
        }
        self.dirty.push(connection);
        let (token, now) = (index as u64, timestamp(now));
        let population = self.model.population();
        let conversation = &mut self.connections[connection].conversation;
        let sent = match request.subject {
            Subject::Register { element, value } => {
                let pool = population.pool(population.pool_of(element));
                let (address, port) = population.transport(element);
                let addresses = [address];
                let parameter = Element {
                    pe: population.pe(element),
                    home: RegistrarId::default(),
                    life: LIFE,
                    user_transport: Transport::tcp(port, Addresses::List(&addresses)),
                    policy: pool.policy.with(value),
                    asap_transport: None,
                };
                conversation.register(now, token, PoolHandle::new(&pool.handle), &parameter)
            }
            Subject::Deregister { element } => {
                let handle = PoolHandle::new(&population.pool(population.pool_of(element)).handle);
                conversation.deregister(now, token, handle, population.pe(element))
            }
            Subject::Resolve { pool, items } => {
                let handle = PoolHandle::new(&population.pool(pool).handle);
                conversation.resolve(now, token, handle, Some(items), false)
            }
        };
        sent.map_err(|error| Failure::Host(error.to_string()))
    }

    /// The connection by which an element registers.
    pub(super) fn connection_of(&self, element: u32) -> usize {
        element as usize % self.setup.element_connections
    }

    /// The connection by which a pool is resolved: the one that was asked
    /// for, the pool's own, or the next in turn where pools have none.
    fn connection_for(&mut self, pool: u32, asked: Option<usize>) -> usize {
        let users = self.setup.user_connections;
        let user = match asked {
            Some(user) => user,
            None if self.setup.shares_pools() => {
                self.turn += 1;
                self.turn % users
            }
            None => pool as usize % users,
        };
        self.setup.element_connections + user
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.dirty.sort_unstable();
        self.dirty.dedup();
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let flushed = self.connections[index].flush(self.associations.as_mut());
            if let Err(error) = flushed {
                self.lost(index, Failure::Broken(error.to_string()))?;
            }
        }
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
        if let Some(associations) = &mut self.associations {
            associations.flush().map_err(|error| Failure::host(&error))?;
        }
        Ok(())
    }
}
