//! The order of claims to an element, and what is kept of one with it.

use rserpool_codec::enrp::extension::Claim;
use rserpool_engine::RegistrarId;

/// A home's claim to an element, as kept with it in the handlespace.
///
/// A term counts how often the element changed its home with its own doing:
/// it registered, or answered a keep-alive with the H bit. A home that took
/// the element over and has not heard from it claims it provisionally, in the
/// term of the home before.
///
/// Of two claims the greater term wins; in one term a home that heard from
/// the element wins over one that did not; then the smaller identifier. All
/// registrars order all claims alike, so all come to the same home, in
/// whatever order they hear of the claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) term: u32,
    pub(crate) provisional: bool,
    /// There is no way to call the element: it came over TCP.
    pub(crate) unreachable: bool,
    /// The home is of another kind: the registration life runs here.
    pub(crate) lapses: bool,
    /// Its home says that it is gone, and it is asked whether that is so.
    pub(crate) doubted: bool,
    /// The audit that saw the element last.
    pub(crate) stamp: u16,
}

const PROVISIONAL: u64 = 1 << 32;
const UNREACHABLE: u64 = 1 << 33;
const LAPSES: u64 = 1 << 34;
const DOUBTED: u64 = 1 << 35;
const STAMP_SHIFT: u32 = 48;

impl Standing {
    /// The standing in the tag of an element.
    pub(crate) fn of_tag(tag: u64) -> Self {
        Self {
            term: u32::try_from(tag & 0xffff_ffff).unwrap_or(0),
            provisional: tag & PROVISIONAL != 0,
            unreachable: tag & UNREACHABLE != 0,
            lapses: tag & LAPSES != 0,
            doubted: tag & DOUBTED != 0,
            stamp: u16::try_from(tag >> STAMP_SHIFT).unwrap_or(0),
        }
    }

    /// The tag to keep with an element.
    pub(crate) fn tag(self) -> u64 {
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        u64::from(self.term)
            | flag(self.provisional, PROVISIONAL)
            | flag(self.unreachable, UNREACHABLE)
            | flag(self.lapses, LAPSES)
            | flag(self.doubted, DOUBTED)
            | (u64::from(self.stamp) << STAMP_SHIFT)
    }

    /// The standing a peer's claim gives an element.
    pub(crate) const fn of_claim(claim: Claim, stamp: u16) -> Self {
        let Claim { term, provisional, unreachable, lapses, left: _ } = claim;
        Self { term, provisional, unreachable, lapses, doubted: false, stamp }
    }

    /// The claim to tell peers.
    pub(crate) const fn claim(self, left: bool) -> Claim {
        let Self { term, provisional, unreachable, lapses, doubted: _, stamp: _ } = self;
        Claim { term, provisional, left, unreachable, lapses }
    }

    /// After the element was heard from: `moved` if that made this registrar
    /// its home, or confirmed it.
    pub(crate) const fn heard(self, moved: bool) -> Self {
        let up = moved || self.provisional;
        let term = self.term.saturating_add(up as u32);
        Self { term, provisional: false, lapses: false, doubted: false, ..self }
    }

    /// Whether this claim of `home` is greater than `other` of `other_home`.
    pub(crate) fn beats(self, home: RegistrarId, other: Self, other_home: RegistrarId) -> bool {
        let rank = |standing: Self| (standing.term, !standing.provisional);
        (rank(self), other_home) > (rank(other), home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RegistrarId = RegistrarId::new(1);
    const B: RegistrarId = RegistrarId::new(2);

    const fn standing(term: u32, provisional: bool) -> Standing {
        Standing { term, provisional, unreachable: false, lapses: false, doubted: false, stamp: 0 }
    }

    #[test]
    fn of_two_claims_exactly_one_is_greater() {
        for (term, provisional) in [(1, true), (1, false), (2, true), (2, false)] {
            let mine = standing(term, provisional);
            for (term, provisional) in [(1, true), (1, false), (2, true), (2, false)] {
                let other = standing(term, provisional);
                assert_ne!(mine.beats(A, other, B), other.beats(B, mine, A));
            }
            assert!(!mine.beats(A, mine, A), "no claim is greater than itself");
        }
        assert!(standing(2, true).beats(B, standing(1, false), A));
        assert!(standing(1, false).beats(B, standing(1, true), A));
        assert!(standing(1, false).beats(A, standing(1, false), B));
    }

    #[test]
    fn a_standing_survives_its_tag() {
        let it = Standing {
            term: u32::MAX,
            provisional: true,
            unreachable: true,
            lapses: true,
            doubted: true,
            stamp: u16::MAX,
        };
        assert_eq!(Standing::of_tag(it.tag()), it);
        let it = Standing { term: 7, unreachable: true, stamp: 3, ..Standing::default() };
        assert_eq!(Standing::of_tag(it.tag()), it);
        assert_eq!(it.heard(false).term, 7);
        assert_eq!(it.heard(true).term, 8);
    }
}
