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

    /// How many elements have this home. O(1).
    #[must_use]
    pub fn elements_of_home(&self, home: RegistrarId) -> u32 {
        self.homes.find(home.get().into()).map_or(0, |group| self.homes.len_of(group))
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

    /// A number that the embedder keeps with an element, to compare the
    /// elements of a home by their sum; 0 until [`Handlespace::set_mark`], and
    /// if the element was removed. Memory is taken as for tags.
    #[must_use]
    pub fn mark(&self, key: ElementKey) -> u64 {
        if self.is_there(key) { self.marks.get_or_default(key.index) } else { 0 }
    }

    /// Keeps a number with an element. `false` if it was removed before.
    pub fn set_mark(&mut self, key: ElementKey, mark: u64) -> bool {
        if !self.is_there(key) {
            return false;
        }
        let before = self.marks.get_or_default(key.index);
        if mark != before {
            self.marks.reserve(key.index);
            self.marks[key.index] = mark;
            self.homes.replace_mark(self.elements[key.index].home(), before, mark);
        }
        true
    }

    /// The wrapping sum of the marks of all elements of this home. O(1).
    #[must_use]
    pub fn mark_sum(&self, home: RegistrarId) -> u64 {
        self.homes.find(home.get().into()).map_or(0, |group| self.homes.marks(group))
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

    /// The element has no association here any more. `false` if it was removed
    /// before.
    pub fn detach(&mut self, key: ElementKey) -> bool {
        if !self.is_there(key) {
            return false;
        }
        self.move_association(key.index, None);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelUse, Config, Due, PeId, Policy, PoolHandle, Registration, TransportKind};

    #[test]
    fn an_element_of_another_home_may_keep_its_association_or_lose_it() {
        let (own, other) = (RegistrarId::new(1), RegistrarId::new(2));
        let mut space = Handlespace::new(Config { registrar: own, ..Config::default() });
        let association = AssociationId(7);
        let registration = Registration {
            handle: PoolHandle::new(b"pool"),
            pe: PeId::new(1),
            home: other,
            association: Some(association),
            life: RegistrationLife::Infinite,
            policy: Policy::RoundRobin,
            transport: TransportKind::Tcp,
            channel_use: ChannelUse::Data,
            record: b"",
        };
        let (now, late) = (Timestamp::from_micros(1), Timestamp::from_micros(3_600_000_000));
        let key = space.register(now, &registration).unwrap().key;
        assert_eq!(space.first_of_association(association), Some(key));
        assert!((0..10).all(|_| space.poll_due(late).is_none()), "its home watches over it");
        assert!(space.set_home(late, key, own));
        assert!(space.get(key).unwrap().is_taken_over());
        assert_eq!(space.poll_due(late), Some(Due::KeepAlive(key)));
        assert!(space.set_home(late, key, other) && space.detach(key));
        let element = space.get(key).unwrap();
        assert!(!element.is_taken_over() && element.association().is_none());
        assert_eq!(space.first_of_association(association), None);
        space.assert_invariants();
        assert!(space.remove(key) && !space.detach(key));
    }
}
