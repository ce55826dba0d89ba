//! Pool elements of other registrars, and those that were theirs.
//!
//! Which of two registrars that claim an element is its home, the order of
//! claims decides ([`Standing`]). A registrar that holds the greater claim
//! answers the smaller one with its own, so that the other hears of it.

use core::net::SocketAddr;

use rserpool_codec::asap::Message;
use rserpool_codec::enrp::extension::identity_hash;
use rserpool_codec::{Element, Transport};
use rserpool_engine::{
    AssociationId, ElementKey, ElementRef, Outcome, PeChecksum, PoolHandle, RegistrarId,
    Registration, RegistrationLife,
};

use super::super::graves::Grave;
use super::super::journal::Change;
use super::partings::Parting;
use super::{Departure, Effect, Pools, Turn};
use crate::enrp::{Apply, Source, Standing, Tally, split_record};

/// Suggested elements that are asked to move at once.
const COURTED_MAX: usize = 256;

/// An element that is here, before a peer's word of it counts.
#[derive(Clone, Copy, Debug)]
struct Present {
    key: ElementKey,
    home: RegistrarId,
    association: Option<AssociationId>,
    standing: Standing,
}

impl Pools {
    /// An element as a peer describes it.
    pub(super) fn apply(&mut self, turn: &mut Turn<'_>, apply: &Apply<'_>) -> Effect {
        let Ok(element) = Element::parse(apply.element) else { return Effect::default() };
        let key = self.space.find(apply.handle, element.pe);
        let present = key.and_then(|key| self.space.get(key)).map(|element| Present {
            key: element.key(),
            home: element.home(),
            association: element.association(),
            standing: Standing::of_tag(self.space.tag(element.key())),
        });
        match (present, apply.deleted) {
            (None, true) => {
                self.bury_claimed(turn, apply, &element);
                Effect::default()
            }
            (None, false) => self.appears(turn, apply, &element),
            (Some(present), true) => self.departs(turn, apply, &element, present),
            (Some(present), false) => self.changes(turn, apply, &element, present),
        }
    }

    fn bury_claimed(&mut self, turn: &Turn<'_>, apply: &Apply<'_>, element: &Element<'_>) {
        if let Some(claim) = apply.claim {
            let name = identity_hash(apply.handle, element.pe);
            let known = self.graves.find(turn.now, name);
            if known.is_none_or(|known| known.term <= claim.term) {
                let grave = Grave { term: claim.term, left: claim.left, association: None };
                self.graves.bury(turn.now, name, grave);
            }
        }
    }

    /// An element that is not here.
    fn appears(&mut self, turn: &mut Turn<'_>, apply: &Apply<'_>, element: &Element<'_>) -> Effect {
        let me = turn.config.engine.registrar;
        if apply.from == me && apply.source != Source::Mentor {
            return Effect::default();
        }
        let name = identity_hash(apply.handle, element.pe);
        let left = self.graves.find(turn.now, name).filter(|grave| grave.left);
        let last = left.map_or(0, |grave| grave.term);
        if let Some(claim) = apply.claim.filter(|_| last > 0) {
            // It left, and the sender does not know. If it holds the element
            // nevertheless, it says so with a greater claim, or asks it.
            let left = Standing { term: last, ..Standing::default() }.claim(true);
            let own = Tally::of(&self.space, me);
            let change = Change { deleted: true, renewal: false, claim: left };
            if self.record_of(turn, element, true) {
                self.journal.update(own, change, apply.handle, element.pe, &self.record);
            }
            if claim.term <= last {
                return Effect::default();
            }
        }
        self.graves.exhume(name);
        let standing = Standing::of_claim(apply.claim.unwrap_or_default(), apply.stamp);
        let standing = Standing { term: standing.term.max(last), ..standing };
        if apply.from == me {
            self.adopt(turn, apply, element, standing);
        } else {
            self.replace(turn, apply, element, standing, None);
        }
        Effect::default()
    }

    /// A mentor says that this registrar is the element's home: it was, before
    /// it restarted.
    fn adopt(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        standing: Standing,
    ) {
        let me = turn.config.engine.registrar;
        if let Some(key) = self.replace(turn, apply, element, standing, None) {
            self.take(turn, key);
            self.journal.own(&self.space, me);
        }
    }

    /// Registers an element of another home, or of this one if a mentor says
    /// so, with all its attributes. The association it came by here stays.
    fn replace(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        standing: Standing,
        association: Option<AssociationId>,
    ) -> Option<ElementKey> {
        let standing = Standing { lapses: !apply.kin, ..standing };
        let life = turn.config.sctp.life_unit.from_wire(element.life)?;
        if !self.record_of(turn, element, !standing.unreachable) {
            return None;
        }
        let registration = Registration {
            handle: apply.handle,
            pe: element.pe,
            home: apply.from,
            association,
            // A home of our own kind says when it is over.
            life: if apply.kin { RegistrationLife::Infinite } else { life },
            policy: element.policy,
            transport: element.user_transport.kind,
            channel_use: element.user_transport.channel_use,
            record: &self.record,
        };
        match self.space.register(turn.now, &registration) {
            Ok(registered) => {
                if apply.suggested {
                    self.court(registered.key);
                }
                turn.stats.replicated += 1;
                if registered.outcome != Outcome::Renewed {
                    self.subscriptions.changed(turn.now, apply.handle);
                }
                self.suspects.forget(registered.key);
                self.stand(registered.key, standing);
                Some(registered.key)
            }
            Err(_) => {
                turn.stats.replicas_refused += 1;
                None
            }
        }
    }

    /// Asks an element that was suggested to this registrar to move to it.
    fn court(&mut self, key: ElementKey) {
        if self.call_address(key).is_none() || self.courted.contains(&key) {
            return;
        }
        if self.courted.len() >= COURTED_MAX {
            self.courted.pop_front();
        }
        self.courted.push_back(key);
        if self.uncalled.len() < COURTED_MAX {
            self.uncalled.push(key);
        }
    }

    /// Leaves the record of a peer's element in `self.record`.
    fn record_of(&mut self, turn: &Turn<'_>, element: &Element<'_>, reachable: bool) -> bool {
        let form = turn.config.sctp.length_form;
        self.record.clear();
        let kept = Element { asap_transport: None, ..*element };
        let mut written = kept.emit(&mut self.record, form);
        if let Some(asap) = element.asap_transport.filter(|_| reachable) {
            written = written.and_then(|()| asap.emit(&mut self.record, form));
        }
        written.is_ok()
    }

    /// A peer says that an element is gone.
    fn departs(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        present: Present,
    ) -> Effect {
        let me = turn.config.engine.registrar;
        let Present { key, home, association, standing } = present;
        let theirs = apply.claim.map(|claim| (claim, Standing::of_claim(claim, apply.stamp)));
        let counts = match theirs {
            // By the letter of the RFC, but only from the home.
            _ if home == apply.from => true,
            None => false,
            // A home before knows that the element left, rather than that it
            // fell silent: it was not for this home to keep.
            Some((claim, theirs)) => claim.left && theirs.beats(apply.from, standing, home),
        };
        // Who remembers that the element left, in the term it has here, believes
        // in a greater term only.
        let denied =
            theirs.is_some_and(|(claim, theirs)| claim.left && theirs.term >= standing.term);
        if home == me && association.is_some() && (counts || denied) {
            // An association that is open is not the element's word: perhaps it
            // went without ending it. Its answer is, and a greater one.
            let term = theirs.map_or(standing.term, |(_, theirs)| theirs.term);
            self.stand(key, Standing { term, provisional: true, ..standing });
            self.journal.own(&self.space, me);
            self.space.probe(turn.now, key);
            return Effect::default();
        }
        if !counts {
            let left = apply.claim.is_some_and(|claim| claim.left);
            let can_ask = association.is_some() || self.call_address(key).is_some();
            if left && home == me && standing.provisional && !can_ask {
                // Nobody heard from it since it was taken over, and nobody can
                // ask it. Who says that it left did hear from it, perhaps
                // without knowing of the term.
                let released = self.remove(turn, key, Departure::Left);
                return Effect { added: false, released };
            }
            turn.stats.stale_updates += 1;
            if left {
                // Perhaps it is right, and the element answered before it left.
                self.space.probe(turn.now, key);
            }
            return Effect::default();
        }
        if !apply.kin && home == apply.from && self.summons.contains(turn.now, key) {
            // It left that home because it was called from here.
            self.summons.remove(key);
            self.take(turn, key);
            self.journal.own(&self.space, me);
            return Effect::default();
        }
        let left = theirs.is_some_and(|(claim, _)| claim.left);
        let term = theirs.map_or(0, |(claim, _)| claim.term);
        if !left && home != me && self.doubt(key, term) {
            return Effect::default();
        }
        self.bury_claimed(turn, apply, element);
        let released = self.drop_silently(turn, key);
        if home == me {
            self.journal.own(&self.space, me);
        }
        Effect { added: false, released }
    }

    /// A peer says what an element that is here is like.
    fn changes(
        &mut self,
        turn: &mut Turn<'_>,
        apply: &Apply<'_>,
        element: &Element<'_>,
        present: Present,
    ) -> Effect {
        let me = turn.config.engine.registrar;
        let Present { key, home, association, standing } = present;
        if apply.from == me {
            // Nobody tells this registrar what is its own, but a mentor.
            return Effect::default();
        }
        let theirs = apply.claim.map(|claim| Standing::of_claim(claim, apply.stamp));
        if home == apply.from && is_old_news(apply, standing, theirs) {
            return Effect::default();
        }
        let counts = match theirs {
            _ if home == apply.from => apply.source != Source::Mentor || home != me,
            Some(theirs) => theirs.beats(apply.from, standing, home),
            // Without a claim it is a registration there, unless the element
            // is right here; what a mentor says is hearsay.
            None => apply.source != Source::Mentor && !(home == me && association.is_some()),
        };
        if !counts {
            turn.stats.stale_updates += 1;
            if home == me {
                self.assert_home(turn, key);
            }
            return Effect::default();
        }
        if let Some(theirs) = theirs.filter(|theirs| theirs.provisional)
            && home == me
            && association.is_some()
        {
            // It is right here, and they have not heard from it.
            let standing = Standing { term: theirs.term, ..standing }.heard(true);
            self.stand(key, standing);
            self.assert_home(turn, key);
            return Effect::default();
        }
        let theirs = theirs.unwrap_or(Standing {
            // Any claim of our own kind in this term is greater.
            provisional: true,
            stamp: apply.stamp,
            lapses: true,
            ..standing
        });
        let is_given_up = home == me && association.is_some();
        let record = self.space.get(key).filter(|_| is_given_up).map(|it| it.record().into());
        if self.replace(turn, apply, element, theirs, association).is_none() {
            return Effect::default();
        }
        if let Some(record) = record {
            self.partings.keep(key, record);
        }
        if home == me {
            // Our own kind has claims for this.
            if !apply.kin && standing.provisional && association.is_none() {
                let until = turn.now.after(turn.config.engine.keep_alive_timeout);
                self.summons.add(turn.now, key, until);
            }
            self.journal.own(&self.space, me);
        }
        // A claim of the next term is the element's move from here, or looks
        // like it; of others, this registrar's claim is no part.
        let follows = theirs.term == standing.term.saturating_add(1);
        if let Some(association) = association.filter(|_| home == me && !follows) {
            self.partings.begin(Parting { key, association, doubted: false });
        }
        Effect::default()
    }

    /// An element is asked over the association it came by, and answers: it is
    /// as it registered over that.
    pub(super) fn restore(&mut self, turn: &Turn<'_>, key: ElementKey) {
        let Some(record) = self.partings.kept(key) else { return };
        let Some(present) = self.space.get(key) else { return };
        let written = split_record(&record).and_then(|(it, _)| Element::parse(it).ok());
        let Some(element) = written else { return };
        let handle = present.handle().as_bytes().to_vec();
        let registration = Registration {
            handle: PoolHandle::new(&handle),
            pe: present.pe(),
            home: present.home(),
            association: present.association(),
            // It begins when the element comes back, which is next.
            life: RegistrationLife::Infinite,
            policy: element.policy,
            transport: element.user_transport.kind,
            channel_use: element.user_transport.channel_use,
            record: &record,
        };
        let restored = self.space.register(turn.now, &registration);
        if restored.is_ok_and(|restored| restored.outcome != Outcome::Renewed) {
            self.subscriptions.changed(turn.now, PoolHandle::new(&handle));
        }
    }

    /// The home of an element says that it is gone, in this term, or does not
    /// have it any more. If its association with this registrar is open, it is
    /// asked over that, and `true`: it stays until then.
    pub(super) fn doubt(&mut self, key: ElementKey, term: u32) -> bool {
        let association = self.space.get(key).and_then(|element| element.association());
        let Some(association) = association else { return false };
        let standing = Standing::of_tag(self.space.tag(key));
        let parting = Parting { key, association, doubted: true };
        let is_asked = standing.doubted || self.partings.begin(parting);
        if is_asked {
            let term = standing.term.max(term);
            self.stand(key, Standing { term, doubted: true, ..standing });
        }
        is_asked
    }

    /// An element did not answer over the association it came by. If it was
    /// doubted, and nobody spoke of it since, it goes. Returns the association
    /// that has one element less.
    pub(super) fn part(&mut self, turn: &Turn<'_>, parting: Parting) -> Option<AssociationId> {
        let element = self.space.get(parting.key)?;
        let standing = Standing::of_tag(self.space.tag(parting.key));
        let is_elsewhere = element.home() != turn.config.engine.registrar;
        if !(is_elsewhere && parting.doubted && standing.doubted) {
            return None;
        }
        let name = identity_hash(element.handle(), element.pe());
        let grave = Grave { term: standing.term, left: false, association: None };
        self.graves.bury(turn.now, name, grave);
        self.drop_silently(turn, parting.key)
    }

    /// Tells all peers that this registrar is the element's home.
    pub(super) fn assert_home(&mut self, turn: &Turn<'_>, key: ElementKey) {
        let Some(element) = self.space.get(key) else { return };
        let claim = Standing::of_tag(self.space.tag(key)).claim(false);
        let change = Change { deleted: false, renewal: false, claim };
        let own = Tally::of(&self.space, turn.config.engine.registrar);
        self.journal.update(own, change, element.handle(), element.pe(), element.record());
    }

    /// Removes an element; peers know, or need not.
    pub(super) fn drop_silently(
        &mut self,
        turn: &Turn<'_>,
        key: ElementKey,
    ) -> Option<AssociationId> {
        let element = self.space.get(key)?;
        let association = element.association();
        self.subscriptions.changed(turn.now, element.handle());
        self.suspects.forget(key);
        self.space.remove(key);
        association
    }

    /// Tells all peers that an own element is going to be removed. `left`: it
    /// deregistered, or its registration life is over.
    pub(super) fn tell_removal(&mut self, turn: &Turn<'_>, key: ElementKey, left: bool) {
        let me = turn.config.engine.registrar;
        let Some(element) = self.space.get(key) else { return };
        if !self.journal.on || element.home() != me {
            return;
        }
        let term = Standing::of_tag(self.space.tag(key)).term;
        self.graves.bury(
            turn.now,
            identity_hash(element.handle(), element.pe()),
            Grave { term, left, association: element.association() },
        );
        let claim = Standing::of_tag(self.space.tag(key)).claim(left);
        let mut own = Tally::of(&self.space, me);
        own.subtract(PeChecksum::of(element.handle(), element.pe()), self.space.mark(key));
        let change = Change { deleted: true, renewal: false, claim };
        self.journal.update(own, change, element.handle(), element.pe(), element.record());
    }

    // Elements that were taken over.

    /// The element is this registrar's now, by its own word.
    pub(super) fn take(&mut self, turn: &Turn<'_>, key: ElementKey) {
        let standing = Standing::of_tag(self.space.tag(key));
        self.space.set_home(turn.now, key, turn.config.engine.registrar);
        let standing = Standing { provisional: true, lapses: false, doubted: false, ..standing };
        self.stand(key, standing);
        self.start_life(turn, key);
        let cannot_ask = |element: ElementRef<'_>| {
            element.association().is_none() && asap_address(&element).is_none()
        };
        if self.space.get(key).is_some_and(cannot_ask) {
            // There is no way to ask it.
            self.space.keep_alive_acked(turn.now, key);
        }
    }

    /// Starts the registration life that an element registered with.
    pub(super) fn start_life(&mut self, turn: &Turn<'_>, key: ElementKey) {
        let record = self.space.get(key).map(|element| element.record());
        let wire = record.and_then(|record| record.get(12..16)?.try_into().ok());
        let life =
            wire.and_then(|wire| turn.config.sctp.life_unit.from_wire(i32::from_be_bytes(wire)));
        if let Some(life) = life {
            self.space.start_life(turn.now, key, life);
        }
    }

    /// An element without an association that this registrar called answers:
    /// it is its home for good.
    pub(super) fn answered_call(&mut self, turn: &mut Turn<'_>, key: ElementKey) {
        let me = turn.config.engine.registrar;
        let standing = Standing::of_tag(self.space.tag(key));
        let moved = self.space.get(key).is_some_and(|element| element.home() != me);
        if moved {
            self.courted.retain(|courted| *courted != key);
            self.summons.remove(key);
            self.space.set_home(turn.now, key, me);
            self.start_life(turn, key);
        }
        self.stand(key, standing.heard(moved));
        if standing.provisional || moved {
            turn.stats.confirmed += 1;
            self.assert_home(turn, key);
        }
    }

    /// Where to call an own element that has no association here; `None`: it
    /// cannot be called.
    pub(super) fn call_address(&self, key: ElementKey) -> Option<SocketAddr> {
        asap_address(&self.space.get(key)?)
    }

    /// The keep-alive that makes an element this registrar's, or keeps it so.
    pub(super) fn emit_call(
        &self,
        turn: &mut Turn<'_>,
        element: &ElementRef<'_>,
        out: &mut Vec<u8>,
    ) {
        let message = Message::KeepAlive {
            registrar: turn.config.engine.registrar,
            take_home: true,
            handle: element.handle(),
            pe: Some(element.pe()),
        };
        super::emit(turn, &message, out);
    }
}

/// Where an element takes ASAP from registrars that call it.
fn asap_address(element: &ElementRef<'_>) -> Option<SocketAddr> {
    let (_, asap) = split_record(element.record())?;
    if asap.is_empty() {
        return None;
    }
    let transport = Transport::parse(asap).ok()?;
    let address = transport.addresses.iter().find(|address| !address.is_unspecified())?;
    Some(SocketAddr::new(address, transport.port))
}

/// Whether a handle table tells what this registrar knows better. The home's
/// updates may come over another link than the table and overtake it, so an
/// element that had an update since the table was asked for is as that said;
/// what a mentor says of an element that is here already is older in any case.
fn is_old_news(apply: &Apply<'_>, standing: Standing, theirs: Option<Standing>) -> bool {
    let overtaken = match apply.source {
        Source::Home => false,
        Source::Audit => standing.stamp == apply.stamp,
        Source::Mentor => true,
    };
    let is_greater = |theirs: Standing| {
        theirs.term > standing.term
            || theirs.term == standing.term && standing.provisional && !theirs.provisional
    };
    overtaken && !theirs.is_some_and(is_greater)
}
