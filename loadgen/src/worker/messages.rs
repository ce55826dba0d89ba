//! What a client thread makes of the registrar's messages.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rserpool_codec::{CauseCode, Causes, Element, Elements};
use rserpool_engine::{PeId, Policy, PoolHandle};
use rserpool_proto::endpoint::{Event, Request, Unexpected};

use super::{Pending, Worker};
use crate::clock::timestamp;
use crate::fault::Fault;
use crate::model::{Answer, Answered};
use crate::stage::Subject;

pub(super) const fn request_name(request: Request) -> &'static str {
    match request {
        Request::Registration => "registration",
        Request::Deregistration => "deregistration",
        Request::Resolution => "handle resolution",
    }
}

impl Worker {
    /// One whole message arrived.
    pub(super) fn message(&mut self, connection: usize, now: Duration, bytes: &[u8]) {
        if std::mem::take(&mut self.connections[connection].recovering) {
            let since = self.connections[connection].lost_at;
            self.failover.recovery = self.failover.recovery.max(now.saturating_sub(since));
        }
        let event = self.connections[connection].conversation.receive(timestamp(now), bytes);
        match event {
            Event::Registered { token, rejected: false, .. } => self.registered(token, now),
            Event::Registered { token, handle, pe, causes, .. } => {
                self.register_refused(token, now, handle, pe, causes.as_ref());
            }
            Event::Deregistered { token, handle, pe, causes } => {
                self.deregistered(token, now, handle, pe, causes.as_ref());
            }
            Event::Resolved { token, handle, policy, elements, error, .. } => match error {
                None => self.resolved(token, now, policy, &elements),
                Some(causes) => self.unresolved(token, now, handle, &causes),
            },
            Event::KeepAlive { handle, pe, .. } => self.keep_alive(connection, handle, pe),
            // In a group, a former home may end what a new one has taken.
            Event::Expired { .. } if !self.model.is_alone() => {}
            Event::Expired { handle, pe } => {
                let what = format_args!("{handle}: the registrar ended the registration of {pe}");
                self.model.faults.add(Fault::Lost, what);
            }
            Event::Error { causes } => {
                let what = format_args!("the registrar reports {}", Told(Some(&causes)));
                self.model.faults.add(Fault::Unexpected, what);
            }
            Event::Announce { .. } => {}
            Event::PoolChanged { handle, .. } => {
                let what = format_args!("news of {handle}, which nobody asked for");
                self.model.faults.add(Fault::Unexpected, what);
            }
            Event::Unexpected(unexpected) => self.unexpected(&unexpected),
            other => self.model.faults.add(Fault::Unexpected, format_args!("{other:?}")),
        }
    }

    /// The request with this token is answered. Tokens come from the
    /// conversation, which gives each back once.
    fn answered(&mut self, token: u64, now: Duration, selected: u64) -> Option<Pending> {
        let index = usize::try_from(token).ok()?;
        let pending = self.pending.get_mut(index)?.take()?;
        self.free.push(index);
        let latency = now.saturating_sub(pending.intended);
        self.recorder.answered(pending.request.operation, latency, selected);
        self.coordinator.counters.answers.fetch_add(1, Ordering::Relaxed);
        self.coordinator.counters.selected.fetch_add(selected, Ordering::Relaxed);
        Some(pending)
    }

    fn registered(&mut self, token: u64, now: Duration) {
        let Some(Pending { request, .. }) = self.answered(token, now, 0) else { return };
        let Subject::Register { element, .. } = request.subject else { return };
        self.model.registered(element);
        self.stage.answered(&request, &[]);
    }

    fn register_refused(
        &mut self,
        token: u64,
        now: Duration,
        handle: PoolHandle<'_>,
        pe: PeId,
        causes: Option<&Causes<'_>>,
    ) {
        let Some(Pending { request, .. }) = self.answered(token, now, 0) else { return };
        let Subject::Register { element, .. } = request.subject else { return };
        self.model.register_refused(element);
        let what = format_args!("{handle}: registration of {pe} refused: {}", Told(causes));
        self.model.faults.add(Fault::Refused, what);
        self.stage.answered(&request, &[]);
    }

    fn deregistered(
        &mut self,
        token: u64,
        now: Duration,
        handle: PoolHandle<'_>,
        pe: PeId,
        refused: Option<&Causes<'_>>,
    ) {
        let Some(Pending { request, .. }) = self.answered(token, now, 0) else { return };
        let Subject::Deregister { element } = request.subject else { return };
        // It may have been sent again, to a registrar that had forgotten.
        if refused.is_some() && self.model.is_alone() {
            let what = format_args!("{handle}: deregistration of {pe} refused: {}", Told(refused));
            self.model.faults.add(Fault::Refused, what);
        }
        self.model.deregistered(element);
        self.stage.answered(&request, &[]);
    }

    fn resolved(
        &mut self,
        token: u64,
        now: Duration,
        policy: Option<Policy>,
        elements: &Elements<'_>,
    ) {
        self.answered.clear();
        self.answered.extend(elements.iter().map(|element| answered(&element)));
        let selected = self.answered.len() as u64;
        let Some(pending) = self.answered(token, now, selected) else { return };
        let Some(ticket) = pending.ticket else { return };
        let policy = policy.map(|policy| policy.kind());
        let answer = Answer::Elements { policy, elements: &self.answered };
        self.model.check(&ticket, &answer, &mut self.known);
        self.note_cut_elements(now);
        self.stage.answered(&pending.request, &self.known);
    }

    fn unresolved(
        &mut self,
        token: u64,
        now: Duration,
        handle: PoolHandle<'_>,
        causes: &Causes<'_>,
    ) {
        let Some(pending) = self.answered(token, now, 0) else { return };
        let Some(ticket) = pending.ticket else { return };
        let unknown = CauseCode::UnknownPoolHandle as u16;
        if causes.first().is_some_and(|cause| cause.code == unknown) {
            self.model.check(&ticket, &Answer::Unknown, &mut self.known);
        } else {
            self.model.resolve_refused(&ticket);
            let what = format_args!("{handle}: resolution refused: {}", Told(Some(causes)));
            self.model.faults.add(Fault::Refused, what);
        }
        self.stage.answered(&pending.request, &[]);
    }

    /// Acknowledges for the element that is asked for or, where none is
    /// named, for all of the pool that are at this connection.
    fn keep_alive(&mut self, connection: usize, handle: PoolHandle<'_>, pe: Option<PeId>) {
        let population = self.model.population();
        let pool = population.pool_with(handle.as_bytes());
        let asked = match (pool, pe) {
            (None, _) => 0..0,
            (Some(pool), None) => {
                let pool = population.pool(pool);
                pool.first..pool.first + pool.size
            }
            (Some(pool), Some(pe)) => population.element(pool, pe).map_or(0..0, |e| e..e + 1),
        };
        let mut acknowledged = 0;
        for element in asked {
            let here = self.connection_of(element) == connection;
            if !here || !self.model.may_be_kept_alive(element) {
                continue;
            }
            acknowledged += 1;
            let pe = self.model.population().pe(element);
            let conversation = &mut self.connections[connection].conversation;
            if let Err(error) = conversation.ack_keep_alive(handle, pe) {
                self.model.faults.add(Fault::Unexpected, format_args!("keep-alive: {error}"));
            }
        }
        self.dirty.push(connection);
        self.keep_alives += acknowledged;
        if acknowledged == 0 && self.model.is_alone() {
            let pe = pe.unwrap_or_default();
            let what = format_args!("{handle}: a keep-alive for {pe}, which is not here");
            self.model.faults.add(Fault::KeepAlive, what);
        }
    }

    fn unexpected(&mut self, unexpected: &Unexpected<'_>) {
        let faults = &mut self.model.faults;
        match unexpected {
            Unexpected::Malformed(error) => {
                faults.add(Fault::Unexpected, format_args!("a malformed message: {error}"));
            }
            Unexpected::Late(late) => {
                let request = request_name(late.request);
                faults.add(Fault::Unexpected, format_args!("the answer to a {request}, too late"));
            }
            Unexpected::Response => {
                faults.add(Fault::Unexpected, format_args!("an answer to no request"));
            }
            Unexpected::Message => {
                let what = format_args!("a message that no registrar sends");
                faults.add(Fault::Unexpected, what);
            }
            other => faults.add(Fault::Unexpected, format_args!("{other:?}")),
        }
    }
}

fn answered(element: &Element<'_>) -> Answered {
    Answered {
        pe: element.pe,
        policy: element.policy,
        address: element.user_transport.addresses.iter().next(),
        port: element.user_transport.port,
    }
}

/// The causes of an error in words.
struct Told<'a>(Option<&'a Causes<'a>>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cause) = self.0.and_then(Causes::first) else {
            return f.write_str("no cause given");
        };
        match CauseCode::of(cause.code) {
            Some(code) => write!(f, "cause {:#x} ({code:?})", cause.code),
            None => write!(f, "cause {:#x}", cause.code),
        }
    }
}
