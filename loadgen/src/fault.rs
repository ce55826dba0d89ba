//! What a registrar did wrong: counted by kind, with the first few in words.

use std::fmt;

/// A kind of wrong answer or broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An answer has an element that was not registered at any time while the
    /// request was under way.
    NotRegistered,
    /// An answer has an element twice.
    Duplicate,
    /// An answer has more elements than were asked for.
    TooMany,
    /// An answer has fewer elements than were asked for and registered.
    TooFew,
    /// An acknowledged registration is missing where it must show.
    Lost,
    /// A pool is known to the registrar though all its elements are gone.
    LeftOver,
    /// The elements of an answer are not those the policy selects, or not in
    /// its order.
    Order,
    /// A drained element (weight 0) was selected.
    Drained,
    /// Weighted Random does not select by weight.
    Spread,
    /// An answer states another policy than the pool's.
    Policy,
    /// An element's address, port or load is not what it registered.
    Attributes,
    /// A keep-alive for an element that is not registered on its connection.
    KeepAlive,
    /// A request was refused.
    Refused,
    /// A message nobody asked for, or an answer that fits no request.
    Unexpected,
}

impl Fault {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 14] = [
        Self::NotRegistered,
        Self::Duplicate,
        Self::TooMany,
        Self::TooFew,
        Self::Lost,
        Self::LeftOver,
        Self::Order,
        Self::Drained,
        Self::Spread,
        Self::Policy,
        Self::Attributes,
        Self::KeepAlive,
        Self::Refused,
        Self::Unexpected,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotRegistered => "not-registered",
            Self::Duplicate => "duplicate",
            Self::TooMany => "too-many",
            Self::TooFew => "too-few",
            Self::Lost => "lost",
            Self::LeftOver => "left-over",
            Self::Order => "order",
            Self::Drained => "drained",
            Self::Spread => "spread",
            Self::Policy => "policy",
            Self::Attributes => "attributes",
            Self::KeepAlive => "keep-alive",
            Self::Refused => "refused",
            Self::Unexpected => "unexpected",
        }
    }
}

/// How many faults are told in words, and in how many characters.
const SAMPLES_MAX: usize = 10;
const SAMPLE_CHARACTERS_MAX: usize = 240;

/// Counted faults.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    counts: [u64; Fault::ALL.len()],
    samples: Vec<String>,
}

impl Faults {
    /// Counts a fault; `what` is told if it is among the first.
    pub fn add(&mut self, fault: Fault, what: fmt::Arguments<'_>) {
        self.counts[fault as usize] += 1;
        if self.samples.len() < SAMPLES_MAX {
            let sample = format!("{}: {what}", fault.name());
            self.samples.push(sample.chars().take(SAMPLE_CHARACTERS_MAX).collect());
        }
    }

    /// Adds those of another client thread.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        let room = SAMPLES_MAX.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.iter().take(room).cloned());
    }

    /// How many of a kind.
    #[must_use]
    pub const fn count(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// How many of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The first faults, in words.
    #[must_use]
    pub fn samples(&self) -> &[String] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_by_kind_and_the_first_are_told() {
        let mut faults = Faults::default();
        for number in 0..100 {
            faults.add(Fault::Order, format_args!("number {number}"));
        }
        let mut other = Faults::default();
        other.add(Fault::Lost, format_args!("one"));
        other.merge(&faults);
        assert_eq!((other.count(Fault::Order), other.count(Fault::Lost)), (100, 1));
        assert_eq!((other.total(), other.samples().len()), (101, SAMPLES_MAX));
        assert_eq!(other.samples()[..2], ["lost: one", "order: number 0"]);
    }

    #[test]
    fn long_names_do_not_make_long_samples() {
        let mut faults = Faults::default();
        faults.add(Fault::Lost, format_args!("{}", "\u{fc}".repeat(70_000)));
        assert_eq!(faults.samples()[0].chars().count(), SAMPLE_CHARACTERS_MAX);
    }

    #[test]
    fn kinds_are_listed_once_and_in_the_order_they_are_counted() {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
        }
    }
}
