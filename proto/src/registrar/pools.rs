//! The pools that live on this shard: what their pool elements and pool users
//! ask, wherever their association is.
//!
//! Every change of the handlespace by a pool element goes through
//! [`Pools::registered`] or [`Pools::remove`]: that is where peers hear of it,
//! and so a Handle Update leaves before the response does.

use core::net::SocketAddr;
use std::collections::VecDeque;

use rserpool_codec::asap::{Message, Resolve, peek_element, peek_resolve};
use rserpool_codec::enrp::extension::identity_hash;
use rserpool_codec::{Cause, CauseCode, Causes, DecodeError, Fault, Reply, parameter};
use rserpool_engine::{
    AssociationId, Due, ElementKey, Handlespace, PeId, PoolHandle, Reported, Resolution, Timestamp,
};

use super::graves::Graves;
use super::journal::Journal;
use super::subscriptions::Subscriptions;
use super::suspects::{Suspects, Verdict};
use super::{Config, Dialect, Peer, Stats, association, kind};
use crate::enrp::Standing;

mod jobs;
mod partings;
mod registration;
mod replica;
mod resolution;
mod summons;

pub(super) use jobs::Job;
use partings::Partings;
use summons::Summons;

/// Where a message comes from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) association: AssociationId,
    pub(super) peer: Peer,
    /// The association may register one more element.
    pub(super) may_add: bool,
    /// There is little room for answers to its shard.
    pub(super) congested: bool,
}

/// What a message did beside its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// Its association has one element more.
    pub(super) added: bool,
    /// This association has one element less.
    pub(super) released: Option<AssociationId>,
}

/// What became due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The element's association, if it has one here. The message, if one was
    /// written, is for it.
    pub(super) association: Option<AssociationId>,
    /// The message is for an element that has no association here: it is to be
    /// called at this address.
    pub(super) call: Option<SocketAddr>,
    /// The association has one element less.
    pub(super) removed: bool,
}

/// Why an element is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    /// It deregistered, or its registration life is over.
    Left,
    /// It is not heard from any more.
    Lost,
}

/// The pools that live on this shard.
#[derive(Debug)]
pub(super) struct Pools {
    space: Handlespace,
    resolution: Resolution,
    suspects: Suspects,
    subscriptions: Subscriptions,
    graves: Graves,
    partings: Partings,
    /// What the registrar group is to hear.
    pub(super) journal: Journal,
    jobs: VecDeque<Job>,
    /// Elements of others that were suggested to this registrar and are asked
    /// to move to it, and those of them that are to be asked yet.
    courted: VecDeque<ElementKey>,
    uncalled: Vec<ElementKey>,
    summons: Summons,
    keys: Vec<ElementKey>,
    record: Vec<u8>,
    /// The parameter a cause carries.
    data: Vec<u8>,
}

/// What a call works with.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) config: &'a Config,
    /// How the one who asked, or is to be told, is spoken with.
    pub(super) dialect: Dialect,
    pub(super) stats: &'a mut Stats,
    pub(super) now: Timestamp,
}

impl Pools {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            space: Handlespace::new(config.engine.clone()),
            resolution: Resolution::default(),
            suspects: Suspects::default(),
            subscriptions: Subscriptions::default(),
            graves: Graves::default(),
            partings: Partings::default(),
            journal: Journal::default(),
            jobs: VecDeque::new(),
            courted: VecDeque::new(),
            uncalled: Vec::new(),
            summons: Summons::default(),
            keys: Vec::new(),
            record: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(super) const fn space(&self) -> &Handlespace {
        &self.space
    }

    /// Does what a message asks for and appends the answer to `out`.
    pub(super) fn receive(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Effect {
        // By far the most messages are of this kind.
        if let Some(Resolve { handle, subscribe, items }) = peek_resolve(bytes) {
            return self.resolution(turn, origin, handle, items, subscribe, out);
        }
        self.receive_any(turn, origin, bytes, out)
    }

    fn receive_any(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Effect {
        let (message, unrecognized) = match Message::parse_reporting(bytes) {
            Ok(read) => read,
            Err(error) => {
                refuse(turn, bytes, &error, out);
                return Effect::default();
            }
        };
        let effect = self.act(turn, origin, &message, out);
        if turn.dialect.reports
            && let Some(causes) = unrecognized.causes()
        {
            emit_error(turn, causes, out);
        }
        effect
    }

    fn act(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Effect {
        match *message {
            Message::Registration { handle, ref element } => {
                self.register(turn, origin, handle, element, out)
            }
            Message::Deregistration { handle, pe } => {
                self.deregister(turn, origin, handle, pe, out)
            }
            Message::HandleResolution { handle, subscribe, items } => {
                self.resolution(turn, origin, handle, items, subscribe, out)
            }
            Message::KeepAliveAck { handle, pe } => self.keep_alive_acked(turn, origin, handle, pe),
            Message::Unreachable { handle, pe } => {
                self.report(turn, origin, handle, pe);
                Effect::default()
            }
            Message::Error { .. } => {
                turn.stats.errors_received += 1;
                Effect::default()
            }
            Message::RegistrationResponse { .. }
            | Message::DeregistrationResponse { .. }
            | Message::HandleResolutionResponse { .. }
            | Message::KeepAlive { .. }
            | Message::ServerAnnounce { .. }
            | Message::Cookie { .. }
            | Message::CookieEcho { .. }
            | Message::BusinessCard { .. } => {
                turn.stats.unexpected += 1;
                Effect::default()
            }
        }
    }

    /// RFC 5352, 3.3.
    fn resolution(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        items: Option<u32>,
        subscribe: bool,
        out: &mut Vec<u8>,
    ) -> Effect {
        let subscribed = self.resolve(turn, origin, handle, items, subscribe, out);
        if !subscribed {
            self.subscriptions.remove(origin.association, handle);
        }
        Effect::default()
    }

    /// RFC 5352, 3.2. An element that is not registered is deregistered
    /// already. One that is may only be deregistered by the association that
    /// registered it (2.2.2: no deregistration by proxy); another is refused
    /// with cause 0xa, and learns nothing but that the element exists.
    fn deregister(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        pe: PeId,
        out: &mut Vec<u8>,
    ) -> Effect {
        let registered = self.space.find(handle, pe);
        let owner = registered.and_then(|key| self.owner(turn, key, origin));
        let mut effect = Effect::default();
        let mut error = None;
        match registered {
            Some(key) if owner == Some(origin.association) => {
                turn.stats.deregistrations += 1;
                effect.released = self.remove(turn, key, Departure::Left);
            }
            Some(_) => {
                turn.stats.reject(CauseCode::SecurityConsiderations);
                error = Some(CauseCode::SecurityConsiderations);
            }
            None => {
                turn.stats.deregistrations_idle += 1;
                // It was given up as silent. Who took it over learns that it
                // left when it tells of it.
                let name = identity_hash(handle, pe);
                self.graves.leave(turn.now, name, origin.association);
            }
        }
        let causes = error.map(|code| [Cause::new(code, &[])]);
        let error = causes.as_ref().map(|causes| Causes::list(causes));
        emit(turn, &Message::DeregistrationResponse { handle, pe, error }, out);
        effect
    }

    /// The association of an element that speaks, if it is right here. One that
    /// was given up and asked, and speaks over the association it came by, is.
    fn owner(
        &mut self,
        turn: &mut Turn<'_>,
        key: ElementKey,
        origin: &Origin,
    ) -> Option<AssociationId> {
        let element = self.space.get(key)?;
        let association = element.association()?;
        if element.home() == turn.config.engine.registrar {
            return Some(association);
        }
        if association != origin.association || !self.partings.end(key, association) {
            return None;
        }
        self.restore(turn, key);
        self.answered_call(turn, key);
        Some(association)
    }

    /// RFC 5352, 3.4. The acknowledgment must come from the element itself.
    fn keep_alive_acked(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        pe: PeId,
    ) -> Effect {
        let mut effect = Effect::default();
        let key = self.space.find(handle, pe);
        let owner = key.and_then(|key| self.owner(turn, key, origin));
        let key = key.filter(|&key| match owner {
            Some(owner) => owner == origin.association,
            // It was taken over, and called.
            None => self.call_address(key) == Some(origin.peer.address),
        });
        let own = key.filter(|&key| {
            let home = self.space.get(key).map(|element| element.home());
            owner.is_some()
                || home == Some(turn.config.engine.registrar)
                || self.courted.contains(&key)
                || self.summons.contains(turn.now, key)
        });
        let Some(key) = own else {
            turn.stats.keep_alive_acks_foreign += 1;
            return effect;
        };
        turn.stats.keep_alive_acks += 1;
        if owner.is_none() {
            self.answered_call(turn, key);
            let before = self.space.get(key).and_then(|element| element.association());
            if before != Some(origin.association)
                && origin.may_add
                && association::shard_of(origin.association) == turn.config.shard
            {
                self.space.attach(key, origin.association);
                effect = Effect { added: true, released: before };
            }
        } else if Standing::of_tag(self.space.tag(key)).provisional {
            self.answered_call(turn, key);
        }
        self.space.keep_alive_acked(turn.now, key);
        self.suspects.forget(key);
        effect
    }

    /// RFC 5352, 3.5: a keep-alive at once, and a count of the reports. Which
    /// count, [`super::suspects`] says.
    fn report(&mut self, turn: &mut Turn<'_>, origin: &Origin, handle: PoolHandle<'_>, pe: PeId) {
        let Some(key) = self.space.find(handle, pe) else {
            turn.stats.reports_ignored += 1;
            return;
        };
        let home = self.space.get(key).map(|element| element.home());
        if self.journal.on && home != Some(turn.config.engine.registrar) {
            // It is for its home to find out. To remove it here would only make
            // this registrar differ from the others.
            turn.stats.reports_ignored += 1;
            return;
        }
        self.space.probe(turn.now, key);
        match self.suspects.report(turn.now, key, origin.association) {
            Verdict::Ignore => turn.stats.reports_ignored += 1,
            Verdict::Count => {
                turn.stats.reports += 1;
                if self.space.report_unreachable(key) == Some(Reported::LimitReached) {
                    self.suspects.condemn(key);
                }
            }
        }
    }

    /// When [`Pools::poll_due`] has something to do.
    pub(super) fn next_deadline(&self, config: &Config) -> Option<Timestamp> {
        if !self.uncalled.is_empty() {
            return Some(Timestamp::ZERO);
        }
        let parted = self.partings.next_deadline();
        let condemned = self.suspects.next_deadline(config.report_grace);
        let all =
            [self.space.next_deadline(), condemned, parted, self.subscriptions.next_deadline()];
        all.into_iter().flatten().min()
    }

    /// The next element that something is due for. Appends the message it is
    /// to get, if any, to `out`.
    pub(super) fn poll_due(&mut self, turn: &mut Turn<'_>, out: &mut Vec<u8>) -> Option<Event> {
        if let Some(key) = self.suspects.poll_due(turn.now, turn.config.report_grace) {
            turn.stats.reported_away += 1;
            let association = self.remove(turn, key, Departure::Lost);
            return Some(Event { association, call: None, removed: true });
        }
        if let Some(key) = self.uncalled.pop() {
            return Some(self.call(turn, key, out));
        }
        let until = turn.now.after(turn.config.engine.keep_alive_timeout);
        if let Some(parting) = self.partings.poll_unasked(until) {
            self.ask(turn, parting.key, out);
            let association = Some(parting.association);
            return Some(Event { association, call: None, removed: false });
        }
        if let Some(association) = self.partings.poll_released() {
            return Some(Event { association: Some(association), call: None, removed: true });
        }
        if let Some(parting) = self.partings.poll_over(turn.now) {
            let association = self.part(turn, parting);
            return Some(Event { association, call: None, removed: association.is_some() });
        }
        let Some(due) = self.space.poll_due(turn.now) else {
            return self.tell_subscriber(turn, out);
        };
        match due {
            Due::KeepAlive(key) => {
                let element = self.space.get(key)?;
                let association = element.association();
                if association.is_none() {
                    return Some(self.call(turn, key, out));
                }
                self.ask(turn, key, out);
                Some(Event { association, call: None, removed: false })
            }
            Due::Silent(key) => {
                turn.stats.silent += 1;
                let association = self.remove(turn, key, Departure::Lost);
                Some(Event { association, call: None, removed: true })
            }
            Due::Expired(key) => {
                turn.stats.expired += 1;
                let element = self.space.get(key)?;
                // Its association's shard knows whether it wants to be told.
                let is_here = element.home() == turn.config.engine.registrar;
                if is_here && element.association().is_some() {
                    let (handle, pe) = (element.handle(), element.pe());
                    let message = Message::DeregistrationResponse { handle, pe, error: None };
                    emit(turn, &message, out);
                }
                let association = self.remove(turn, key, Departure::Left);
                Some(Event { association, call: None, removed: true })
            }
        }
    }

    /// The keep-alive for an element, over its association.
    fn ask(&self, turn: &mut Turn<'_>, key: ElementKey, out: &mut Vec<u8>) {
        let Some(element) = self.space.get(key) else { return };
        turn.stats.keep_alives += 1;
        let message = Message::KeepAlive {
            registrar: turn.config.engine.registrar,
            take_home: false,
            handle: element.handle(),
            pe: turn.dialect.keep_alive_names_element.then(|| element.pe()),
        };
        emit(turn, &message, out);
    }

    /// Asks an own element that has no association here whether it is there, and
    /// to take this registrar as its home.
    fn call(&mut self, turn: &mut Turn<'_>, key: ElementKey, out: &mut Vec<u8>) -> Event {
        let call = self.call_address(key);
        if call.is_some() {
            turn.stats.keep_alives += 1;
            if let Some(element) = self.space.get(key) {
                self.emit_call(turn, &element, out);
            }
        } else {
            self.space.keep_alive_acked(turn.now, key);
        }
        Event { association: None, call, removed: false }
    }

    /// Removes up to `batch` elements of an association that is gone; those of
    /// other homes only lose it. Returns how many; fewer than `batch`: all are
    /// gone.
    pub(super) fn orphan(
        &mut self,
        turn: &mut Turn<'_>,
        association: AssociationId,
        batch: usize,
    ) -> usize {
        self.subscriptions.forget(association);
        for count in 0..batch {
            let Some(key) = self.space.first_of_association(association) else { return count };
            let home = self.space.get(key).map(|element| element.home());
            if home == Some(turn.config.engine.registrar) {
                self.remove(turn, key, Departure::Lost);
                turn.stats.orphaned += 1;
            } else {
                self.space.detach(key);
            }
        }
        batch
    }

    /// Removes an element. Returns the association that registered it.
    fn remove(
        &mut self,
        turn: &Turn<'_>,
        key: ElementKey,
        departure: Departure,
    ) -> Option<AssociationId> {
        let element = self.space.get(key)?;
        let association = element.association();
        self.subscriptions.changed(turn.now, element.handle());
        self.tell_removal(turn, key, departure == Departure::Left);
        self.suspects.forget(key);
        self.space.remove(key);
        association
    }

    /// The Pool Handle parameter as data of a cause; nothing if it is too long.
    fn handle_data(&mut self, handle: PoolHandle<'_>) {
        self.data.clear();
        let _ = parameter::emit_pool_handle(handle, &mut self.data);
    }
}

/// Answers a message that cannot be read. A registration with a value that is
/// not allowed is rejected; the rest gets an ASAP error, or nothing where the
/// protocol wants silence, as after an ASAP error.
fn refuse(turn: &mut Turn<'_>, bytes: &[u8], error: &DecodeError<'_>, out: &mut Vec<u8>) {
    turn.stats.malformed += 1;
    if error.reply == Reply::Silent {
        return;
    }
    let causes = [error.cause];
    let causes = Causes::list(&causes);
    if bytes.first() == Some(&kind::REGISTRATION)
        && error.fault == Fault::Value
        && let Some((handle, pe)) = peek_element(bytes)
    {
        let error = Some(causes);
        let message = Message::RegistrationResponse { handle, pe, rejected: true, error };
        if message.emit(out, turn.dialect.length_form).is_ok() {
            turn.stats.reject(CauseCode::InvalidValues);
            return;
        }
    }
    emit_error(turn, causes, out);
}

fn emit_error(turn: &mut Turn<'_>, causes: Causes<'_>, out: &mut Vec<u8>) {
    turn.stats.errors_sent += 1;
    let sent = Message::Error { causes }.emit(out, turn.dialect.length_form);
    debug_assert!(sent.is_ok(), "causes are short enough for an error message");
}

/// Appends a message. One that is too long to be written, which takes a pool
/// handle of almost 64 KiB, is replaced by an ASAP error.
fn emit(turn: &mut Turn<'_>, message: &Message<'_>, out: &mut Vec<u8>) {
    if message.emit(out, turn.dialect.length_form).is_err() {
        emit_error(turn, Causes::list(&[Cause::new(CauseCode::InvalidValues, &[])]), out);
    }
}
