//! Elements that are asked over the association they came by, although their
//! home is another registrar now. It stays theirs as long as it is open.
//!
//! - One that was given up to a claim that does not follow from the one here.
//!   The claim may be old news of the element: it registered there, then here,
//!   and the two registrars did not hear of each other.
//! - One whose home says that it is gone, or does not have it any more. Perhaps
//!   it only fell silent there, because it is here. It is doubted: if it does
//!   not answer, it goes.
//!
//! If it answers, it is right here, as it registered over that association, and that is a claim greater than the one
//! that won: it follows from it, so that an element that answers everywhere
//! does not go to and fro.

use std::collections::VecDeque;

use rserpool_engine::{AssociationId, ElementKey, Timestamp};

/// Elements asked at once. More are not asked: they come back with their next
/// re-registration.
const PARTINGS_MAX: usize = 4096;

/// Registrations remembered.
const KEPT_MAX: usize = 4096;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parting {
    pub(super) key: ElementKey,
    pub(super) association: AssociationId,
    /// It goes if it does not answer.
    pub(super) doubted: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Partings {
    unasked: VecDeque<Parting>,
    /// In the order of the times until which they have to answer.
    asked: VecDeque<(Timestamp, Parting)>,
    /// What elements registered here, before they were given up; the newest
    /// last. The new home may know of an older registration only.
    kept: VecDeque<(ElementKey, Box<[u8]>)>,
    /// Associations that have one element less.
    released: VecDeque<AssociationId>,
}

impl Partings {
    /// An element is to be asked. `false`: it is not going to be.
    pub(super) fn begin(&mut self, parting: Parting) -> bool {
        let room = self.unasked.len() + self.asked.len() < PARTINGS_MAX;
        if room {
            self.unasked.push_back(parting);
        }
        room
    }

    /// An element that is to be asked now, and has to answer until then.
    pub(super) fn poll_unasked(&mut self, until: Timestamp) -> Option<Parting> {
        let parting = self.unasked.pop_front()?;
        self.asked.push_back((until, parting));
        Some(parting)
    }

    /// An element that did not answer.
    pub(super) fn poll_over(&mut self, now: Timestamp) -> Option<Parting> {
        self.asked.front().filter(|(until, _)| *until <= now)?;
        self.asked.pop_front().map(|(_, parting)| parting)
    }

    /// The element spoke over this association. `false`: it was not asked.
    pub(super) fn end(&mut self, key: ElementKey, association: AssociationId) -> bool {
        let is_it = |(_, it): &(Timestamp, Parting)| it.key == key && it.association == association;
        let Some(at) = self.asked.iter().position(is_it) else { return false };
        self.asked.remove(at);
        true
    }

    /// An element is given up that registered so.
    pub(super) fn keep(&mut self, key: ElementKey, record: Box<[u8]>) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((key, record));
    }

    /// What an element registered here, before it was given up last.
    pub(super) fn kept(&mut self, key: ElementKey) -> Option<Box<[u8]>> {
        let at = self.kept.iter().rposition(|(kept, _)| *kept == key)?;
        self.kept.remove(at).map(|(_, record)| record)
    }

    /// An element of this association was removed; its shard is to hear so.
    pub(super) fn release(&mut self, association: AssociationId) {
        self.released.push_back(association);
    }

    /// An association that has one element less.
    pub(super) fn poll_released(&mut self) -> Option<AssociationId> {
        self.released.pop_front()
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.unasked.is_empty() && self.released.is_empty() {
            self.asked.front().map(|(until, _)| *until)
        } else {
            Some(Timestamp::ZERO)
        }
    }
}
