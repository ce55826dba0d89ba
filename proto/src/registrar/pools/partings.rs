//! Elements that this registrar gave up to a greater claim that does not follow
//! from its own, although the association they came by is open.
//!
//! The claim may be old news of the element: it registered there, then here,
//! and the two registrars did not hear of each other. So the element is asked
//! over its association. If it answers, it is right here, and that is a claim
//! greater than the one that won: it follows from it, so that an element that
//! answers everywhere does not go to and fro.

use std::collections::VecDeque;

use rserpool_engine::{AssociationId, ElementKey, Timestamp};

/// Elements asked at once. More are given up without being asked: they come
/// back with their next re-registration.
const PARTINGS_MAX: usize = 4096;

/// One of them. Its association counts the element until the parting ends.
#[derive(Clone, Copy, Debug)]
struct Parting {
    key: ElementKey,
    association: AssociationId,
    /// It has to answer until then.
    until: Timestamp,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Partings {
    unasked: VecDeque<(ElementKey, AssociationId)>,
    /// In the order of their ends.
    asked: VecDeque<Parting>,
}

impl Partings {
    /// An element is given up. `false`: it is not going to be asked.
    pub(super) fn begin(&mut self, key: ElementKey, association: AssociationId) -> bool {
        let room = self.unasked.len() + self.asked.len() < PARTINGS_MAX;
        if room {
            self.unasked.push_back((key, association));
        }
        room
    }

    /// An element that is to be asked now.
    pub(super) fn poll_unasked(&mut self, until: Timestamp) -> Option<(ElementKey, AssociationId)> {
        let (key, association) = self.unasked.pop_front()?;
        self.asked.push_back(Parting { key, association, until });
        Some((key, association))
    }

    /// The association of an element that did not answer: it has one less.
    pub(super) fn poll_over(&mut self, now: Timestamp) -> Option<AssociationId> {
        self.asked.front().filter(|parting| parting.until <= now)?;
        self.asked.pop_front().map(|parting| parting.association)
    }

    /// The element spoke over this association. `false`: it was not asked.
    pub(super) fn end(&mut self, key: ElementKey, association: AssociationId) -> bool {
        let is_it = |it: &Parting| it.key == key && it.association == association;
        let Some(at) = self.asked.iter().position(is_it) else { return false };
        self.asked.remove(at);
        true
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.unasked.is_empty() {
            self.asked.front().map(|parting| parting.until)
        } else {
            Some(Timestamp::ZERO)
        }
    }
}
