//! The pool elements of an endpoint.

use std::collections::{BTreeMap, BTreeSet};

use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId, Timestamp};
use rserpool_proto::LifeUnit;
use rserpool_proto::element::{self, Progress};
use rserpool_proto::endpoint::{Conversation, Event, Full, TimedOut};
use tokio::sync::watch;

use super::Answer;
use crate::{Config, Endpoint, Error, PoolElement, RegistrarUrl, Service, Standing};

type Name = (Vec<u8>, PeId);

/// The pool elements of an endpoint, by token.
#[derive(Debug, Default)]
pub(super) struct Elements {
    held: BTreeMap<u64, Held>,
    names: BTreeMap<Name, u64>,
    due: BTreeSet<(Timestamp, u64)>,
    tokens: u64,
    /// Of the registrar in use.
    life_unit: Option<LifeUnit>,
}

#[derive(Debug)]
struct Held {
    machine: element::PoolElement,
    standing: watch::Sender<Standing>,
    /// Who waits for the first confirmation.
    registering: Option<Registering>,
    /// Who waits for the answer to what was asked last, and to what will be
    /// asked after it.
    updating: Vec<Answer<()>>,
    updating_next: Vec<Answer<()>>,
    /// It is being deregistered, and who waits for that.
    leaving: bool,
    left: Option<Answer<()>>,
    due: Option<Timestamp>,
}

#[derive(Debug)]
struct Registering {
    service: Service,
    endpoint: Endpoint,
    watching: watch::Receiver<Standing>,
    answer: Answer<PoolElement>,
}

impl Elements {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn add(
        &mut self,
        now: Timestamp,
        conversation: Option<&mut Conversation>,
        config: &Config,
        service: Service,
        endpoint: Endpoint,
        answer: Answer<PoolElement>,
    ) {
        let name = (service.handle.clone(), service.pe);
        if self.names.contains_key(&name) {
            let what = "this endpoint has an element of that pool and identifier";
            let _ = answer.send(Err(Error::Invalid(what.to_owned())));
            return;
        }
        let token = self.tokens;
        self.tokens += 1;
        let (standing, watching) = watch::channel(Standing::Searching);
        let mut machine = service.machine(token, config);
        self.life_unit.into_iter().for_each(|unit| machine.speak(unit));
        let registering = Some(Registering { service, endpoint, watching, answer });
        self.names.insert(name, token);
        let held = Held {
            machine,
            standing,
            registering,
            updating: Vec::new(),
            updating_next: Vec::new(),
            leaving: false,
            left: None,
            due: None,
        };
        self.held.insert(token, held);
        if let Some(conversation) = conversation {
            self.register(now, conversation, token);
        }
    }

    fn register(&mut self, now: Timestamp, conversation: &mut Conversation, token: u64) {
        let Some(held) = self.held.get_mut(&token) else { return };
        held.updating.append(&mut held.updating_next);
        // If there was no room, it is made later.
        if let Err(Full::Emit(error)) = held.machine.register(now, conversation) {
            self.refuse(token, Error::Invalid(error.to_string()));
        }
        self.schedule(token);
    }

    /// What was asked for is refused. One that was never registered is gone.
    fn refuse(&mut self, token: u64, error: Error) {
        let Some(held) = self.held.get_mut(&token) else { return };
        let code = if let Error::Refused(code, _) = error { code } else { 0 };
        if let Some(registering) = held.registering.take() {
            let _ = registering.answer.send(Err(error));
            self.forget(token);
            return;
        }
        for answer in held.updating.drain(..) {
            let _ = answer.send(Err(Error::Refused(code, rserpool_codec::CauseCode::of(code))));
        }
        if !held.machine.is_registered() {
            held.standing.send_replace(Standing::Refused(code));
        }
    }

    pub(super) fn update(
        &mut self,
        now: Timestamp,
        conversation: Option<&mut Conversation>,
        token: u64,
        policy: Policy,
        answer: Answer<()>,
    ) {
        let Some(held) = self.held.get_mut(&token).filter(|held| !held.leaving) else { return };
        held.updating_next.push(answer);
        let Some(conversation) = conversation else {
            held.machine.reconfigure(policy);
            return;
        };
        let idle = !held.machine.is_asking();
        held.machine.reconfigure(policy);
        if idle {
            self.register(now, conversation, token);
        } else {
            // If there was no room, it is made later.
            let _ = held.machine.update(now, conversation, policy);
        }
    }

    pub(super) fn report_load(
        &mut self,
        now: Timestamp,
        conversation: Option<&mut Conversation>,
        token: u64,
        load: u32,
    ) {
        let Some(held) = self.held.get_mut(&token).filter(|held| !held.leaving) else { return };
        // If there was no room, it is made later.
        let _ = held.machine.report_load(now, conversation, load);
        self.schedule(token);
    }

    pub(super) fn deregister(
        &mut self,
        now: Timestamp,
        conversation: Option<&mut Conversation>,
        token: u64,
        answer: Option<Answer<()>>,
    ) {
        let Some(held) = self.held.get_mut(&token) else { return };
        held.left = answer;
        if held.leaving {
            return;
        }
        let known = held.machine.is_registered() || held.machine.is_asking();
        let asked =
            known && conversation.is_some_and(|it| held.machine.deregister(now, it).is_ok());
        held.leaving = asked;
        if asked {
            self.schedule(token);
        } else {
            // No registrar has it, or can be told: it expires.
            self.forget(token);
        }
    }

    pub(super) fn deregister_all(
        &mut self,
        now: Timestamp,
        mut conversation: Option<&mut Conversation>,
    ) {
        let tokens: Vec<u64> = self.held.keys().copied().collect();
        for token in tokens {
            let left = self.held.get_mut(&token).and_then(|held| held.left.take());
            self.deregister(now, conversation.as_deref_mut(), token, left);
        }
    }

    /// Takes away an element, and tells so.
    fn forget(&mut self, token: u64) {
        let Some(held) = self.held.remove(&token) else { return };
        if let Some(due) = held.due {
            self.due.remove(&(due, token));
        }
        self.names.remove(&(held.machine.handle().as_bytes().to_vec(), held.machine.pe()));
        held.standing.send_replace(Standing::Over);
        if let Some(left) = held.left {
            let _ = left.send(Ok(()));
        }
    }

    /// Forgets elements whose application gave up waiting.
    pub(super) fn forget_unwanted(&mut self) {
        let unwanted = |held: &Held| {
            held.registering.as_ref().is_some_and(|waiting| waiting.answer.is_closed())
        };
        let tokens: Vec<u64> =
            self.held.iter().filter(|(_, held)| unwanted(held)).map(|(token, _)| *token).collect();
        for token in tokens {
            self.forget(token);
        }
    }

    /// There is a registrar: everything registers there.
    pub(super) fn connected(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
        life_unit: LifeUnit,
    ) {
        self.life_unit = Some(life_unit);
        self.held.values_mut().for_each(|held| held.machine.speak(life_unit));
        let tokens: Vec<u64> = self.held.keys().copied().collect();
        for token in tokens {
            self.register(now, conversation, token);
        }
    }

    /// The registrar is gone.
    pub(super) fn disconnected(&mut self) {
        self.due.clear();
        let mut left = Vec::new();
        for (token, held) in &mut self.held {
            held.machine.disconnected();
            held.due = None;
            // What was asked last was not answered.
            held.updating.append(&mut held.updating_next);
            held.updating_next.append(&mut held.updating);
            if held.leaving {
                left.push(*token);
            } else {
                held.standing.send_replace(Standing::Searching);
            }
        }
        for token in left {
            self.forget(token);
        }
    }

    pub(super) fn timed_out(&mut self, overdue: TimedOut) {
        if let Some(held) = self.held.get_mut(&overdue.token) {
            held.machine.timed_out(overdue);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp, conversation: &mut Conversation) {
        while let Some(&(at, token)) = self.due.first()
            && at <= now
        {
            self.due.remove(&(at, token));
            if let Some(held) = self.held.get_mut(&token) {
                held.due = None;
            }
            self.register(now, conversation, token);
        }
    }

    /// Keeps `due` as the machine has it.
    fn schedule(&mut self, token: u64) {
        let Some(held) = self.held.get_mut(&token) else { return };
        let next = held.machine.next_timeout();
        if next == held.due {
            return;
        }
        if let Some(before) = held.due {
            self.due.remove(&(before, token));
        }
        if let Some(next) = next {
            self.due.insert((next, token));
        }
        held.due = next;
    }

    /// An event of the conversation that is about elements.
    pub(super) fn receive(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
        url: &RegistrarUrl,
        event: &Event<'_>,
    ) {
        if let Event::Registered { token, .. } | Event::Deregistered { token, .. } = *event {
            self.progress(now, conversation, url, token, event);
        } else if let Event::Expired { handle, pe }
        | Event::KeepAlive { handle, pe: Some(pe), .. } = *event
        {
            let name = (handle.as_bytes().to_vec(), pe);
            if let Some(&token) = self.names.get(&name) {
                self.progress(now, conversation, url, token, event);
            }
        } else if let Event::KeepAlive { handle, pe: None, .. } = *event {
            for token in self.of_pool(handle) {
                self.progress(now, conversation, url, token, event);
            }
        }
    }

    fn of_pool(&self, handle: PoolHandle<'_>) -> Vec<u64> {
        let pool = handle.as_bytes();
        let from = self.names.range((pool.to_vec(), PeId::default())..);
        from.take_while(|((other, _), _)| other == pool).map(|(_, token)| *token).collect()
    }

    fn progress(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
        url: &RegistrarUrl,
        token: u64,
        event: &Event<'_>,
    ) {
        let Some(held) = self.held.get_mut(&token) else { return };
        let progress = held.machine.receive(now, conversation, event);
        let take_home = matches!(event, Event::KeepAlive { take_home: true, .. });
        match progress {
            Some(Progress::Registered) => self.registered(url, token),
            Some(Progress::Rejected(causes)) => {
                let error = Error::refused(causes.as_ref());
                let asked_again = self.asked_again(token);
                self.refuse(token, error);
                self.restore(token, asked_again);
            }
            Some(Progress::Deregistered) => self.forget(token),
            Some(Progress::NotDeregistered(causes)) => {
                let error = Error::refused(Some(&causes));
                if let Some(left) = held.left.take() {
                    let _ = left.send(Err(error));
                }
                self.forget(token);
            }
            Some(Progress::NewHome(home)) => {
                let standing = Standing::Registered { registrar: url.clone(), home: Some(home) };
                if held.machine.is_registered() {
                    held.standing.send_replace(standing);
                }
                if take_home && !held.leaving {
                    self.register(now, conversation, token);
                }
            }
            Some(_) | None => {}
        }
        self.schedule(token);
    }

    /// A registrar confirmed what was asked for.
    fn registered(&mut self, url: &RegistrarUrl, token: u64) {
        let asked_again = self.asked_again(token);
        let Some(held) = self.held.get_mut(&token) else { return };
        let home = Some(held.machine.home()).filter(|home| *home != RegistrarId::default());
        held.standing.send_if_modified(|standing| {
            let now = Standing::Registered { registrar: url.clone(), home };
            let changed = *standing != now;
            *standing = now;
            changed
        });
        for answer in held.updating.drain(..) {
            let _ = answer.send(Ok(()));
        }
        if let Some(Registering { service, endpoint, watching, answer }) = held.registering.take() {
            // Who does not wait any more drops it, which deregisters it.
            let _ = answer.send(Ok(PoolElement::new(endpoint, token, service, watching)));
        }
        self.restore(token, asked_again);
    }

    /// Who waits for what the machine asked for with the answer to the last.
    fn asked_again(&mut self, token: u64) -> Vec<Answer<()>> {
        match self.held.get_mut(&token) {
            Some(held) if held.machine.is_asking() => std::mem::take(&mut held.updating_next),
            Some(_) | None => Vec::new(),
        }
    }

    fn restore(&mut self, token: u64, updating: Vec<Answer<()>>) {
        if let Some(held) = self.held.get_mut(&token) {
            held.updating = updating;
        }
    }
}
