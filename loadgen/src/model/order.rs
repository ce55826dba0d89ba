//! Places in the rotation of a Round Robin pool.
//!
//! The next element is the one that has waited longest since it was
//! registered or headed an answer (RFC 5356, 4.1: the list advances by one
//! with each request, whatever the number of items). That moment is known
//! exactly for a head, because the answers of a pool come in order, and
//! within an interval for a registration. A re-registration changes nothing.
//! A registrar set to advance by more than one element would be blamed.

/// A moment in the life of a pool: between which of its resolutions (the
/// `n`-th, from 0, is 2n+1; before it is 2n), and at which tick among
/// registrations between the same two.
type Moment = (u64, u64);

/// Since when an element waits: an interval of moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    earliest: Moment,
    latest: Moment,
    headed: bool,
}

impl Position {
    /// A registration sent at `tick` when so many resolutions were answered.
    pub(super) const fn after_answers(answered: u64, tick: u64) -> Self {
        Self { earliest: (2 * answered, tick), latest: (u64::MAX, u64::MAX), headed: false }
    }

    /// The registration was acknowledged at `tick`, when so many resolutions
    /// were sent.
    pub(super) const fn acknowledged(&mut self, sent: u64, tick: u64) {
        if !self.headed {
            self.latest = (2 * sent, tick);
        }
    }

    /// The element headed the answer to resolution number `resolution`.
    pub(super) const fn head(resolution: u64) -> Self {
        let moment = (2 * resolution + 1, 0);
        Self { earliest: moment, latest: moment, headed: true }
    }

    /// The key under which the element is sorted: by its latest moment.
    pub(super) const fn latest(&self, element: u32) -> (u64, u64, u32) {
        (self.latest.0, self.latest.1, element)
    }

    /// The moment before which an element must have waited already to be
    /// certainly due before this one.
    pub(super) const fn earliest(&self) -> Moment {
        self.earliest
    }

    /// Whether this element was certainly due before `other`.
    pub(super) fn before(&self, other: &Self) -> bool {
        self.latest < other.earliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_ordered_exactly() {
        assert!(Position::head(3).before(&Position::head(4)));
        assert!(!Position::head(4).before(&Position::head(3)));
        assert!(!Position::head(4).before(&Position::head(4)));
    }

    #[test]
    fn a_registration_is_ordered_only_against_what_it_did_not_overlap() {
        let mut registration = Position::after_answers(3, 10);
        assert!(Position::head(2).before(&registration));
        assert!(!Position::head(3).before(&registration));
        assert!(!registration.before(&Position::head(9)), "not acknowledged");
        registration.acknowledged(5, 20);
        assert!(!registration.before(&Position::head(4)));
        assert!(registration.before(&Position::head(5)));
        let overlapping = Position::after_answers(5, 19);
        let later = Position::after_answers(5, 21);
        assert!(!registration.before(&overlapping));
        assert!(registration.before(&later));
    }

    #[test]
    fn who_headed_an_answer_before_the_acknowledgment_keeps_that_place() {
        let mut position = Position::head(7);
        position.acknowledged(9, 30);
        assert_eq!(position, Position::head(7));
    }
}
