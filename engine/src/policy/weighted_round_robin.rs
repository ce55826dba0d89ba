//! Weighted Round Robin (RFC 5356, 4.2): in a round every element has as many
//! turns as its weight says, spread as evenly as possible. Weight 0 has none.
//!
//! A round is 2^32 units of virtual time. An element of weight w has its turns
//! at 1/w, 2/w ... w/w of its round; the earliest turn of all comes next, at
//! equal times the element that waited longer. The turn of a round is counted,
//! not added up, so that a round has exactly w turns, for ever. Weights 1, 2
//! and 3 give C B C A B C. A new element waits for one w-th of a round from
//! the present time. A change of weight scales what the element still has to
//! wait.

use super::{Family, Rule, Standing, Values};

pub(super) const RULE: Rule = Rule::of(Family::Turns);

const ROUND_BITS: u32 = 32;
const ROUND: u64 = 1 << ROUND_BITS;

pub(super) const fn standing(values: Values) -> Standing {
    Standing::Turns(values.first)
}

/// The next turn of an element: its time, and the turns of this round before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) time: u64,
    pub(crate) passed: u32,
}

/// How far into its round an element has its turn after `passed` others.
const fn offset(weight: u32, passed: u32) -> u64 {
    ((passed as u64 + 1) << ROUND_BITS) / weight as u64
}

impl Turn {
    /// The first turn of a new element of a weight that is not 0.
    pub(crate) const fn new(now: u64, weight: u32) -> Self {
        Self { time: now.wrapping_add(offset(weight, 0)), passed: 0 }
    }

    /// The turn after this one.
    pub(crate) const fn next(self, weight: u32) -> Self {
        let round = self.time.wrapping_sub(offset(weight, self.passed));
        let passed = self.passed + 1;
        if passed == weight {
            let time = round.wrapping_add(ROUND).wrapping_add(offset(weight, 0));
            Self { time, passed: 0 }
        } else {
            Self { time: round.wrapping_add(offset(weight, passed)), passed }
        }
    }

    /// This turn after a change of weight.
    pub(crate) fn scaled(self, now: u64, from: u32, to: u32) -> Self {
        let wait = self.time.wrapping_sub(now);
        let scaled = u128::from(wait) * u128::from(from) / u128::from(to);
        let longest = offset(to, 0);
        let wait = u64::try_from(scaled).unwrap_or(longest).min(longest);
        Self { time: now.wrapping_add(wait), passed: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_exactly_as_many_turns_as_the_weight() {
        for weight in [1, 2, 3, 7, 1000, 65_537] {
            let start = u64::MAX - 5;
            let mut turn = Turn::new(start, weight);
            for _ in 0..weight {
                turn = turn.next(weight);
            }
            assert_eq!(turn, Turn::new(start.wrapping_add(ROUND), weight));
        }
        let mut turn = Turn { time: ROUND - 1, passed: u32::MAX - 2 };
        turn = turn.next(u32::MAX);
        turn = turn.next(u32::MAX);
        assert_eq!(turn.passed, 0);
    }

    #[test]
    fn a_change_of_weight_scales_the_wait() {
        let turn = Turn::new(100, 2);
        assert_eq!(turn.scaled(100, 2, 4), Turn::new(100, 4));
        assert_eq!(turn.scaled(100, 2, 1), Turn::new(100, 1));
        assert_eq!(turn.scaled(turn.time, 2, 1).time, turn.time);
    }
}
