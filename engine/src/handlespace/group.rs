//! What a group of registrars needs to know of a handlespace and to do to it
//! (RFC 5353), beyond registering and removing elements.

use super::Handlespace;
use crate::{
    AssociationId, ElementKey, PeChecksum, RegistrarId, RegistrationLife, TableCursor, Timestamp,
};

impl Handlespace {
    /// The home registrars that have elements here, and the PE checksum sums
    /// of their elements.
    pub fn homes(&self) -> impl Iterator<Item = (RegistrarId, PeChecksum)> {
        self.homes.all().map(|(id, sum)| (RegistrarId::new((id & 0xffff_ffff) as u32), sum))
    }

    /// A word that the embedder keeps with an element, 0 until
    /// [`Handlespace::set_tag`]; 0 if the element was removed. Memory is taken
    /// for the elements that have one only.
    #[must_use]
    pub fn tag(&self, key: ElementKey) -> u64 {
        if self.is_there(key) { self.tags.get_or_default(key.index) } else { 0 }
    }

    /// Keeps a word with an element. `false` if it was removed before.
    pub fn set_tag(&mut self, key: ElementKey, tag: u64) -> bool {
        if !self.is_there(key) {
            return false;
        }
        if tag != 0 || self.tags.get_or_default(key.index) != 0 {
            self.tags.reserve(key.index);
            self.tags[key.index] = tag;
        }
        true
    }

    /// Names the association of an element that was given to this registrar
    /// without one. `false` if it was removed before.
    pub fn attach(&mut self, key: ElementKey, association: AssociationId) -> bool {
        if !self.is_there(key) {
            return false;
        }
        self.move_association(key.index, Some(association));
        true
    }

    /// Starts the life of an element anew, with this length. `false` if it was
    /// removed before.
    pub fn start_life(&mut self, now: Timestamp, key: ElementKey, life: RegistrationLife) -> bool {
        if !self.is_there(key) {
            return false;
        }
        let before = self.elements[key.index].deadline();
        self.elements[key.index].start_life(now, life);
        self.rearm(now, key.index, before);
        true
    }
}

impl TableCursor {
    /// The cursor as a number, to carry it somewhere else and back.
    #[must_use]
    pub const fn to_bits(&self) -> u64 {
        (self.pool as u64) << 32 | self.number as u64
    }

    /// The cursor of [`TableCursor::to_bits`]. Any number is a cursor: one that
    /// stands nowhere gives what comes after.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { pool: (bits >> 32) as u32, number: (bits & 0xffff_ffff) as u32 }
    }
}
