//! The words of a step.

use rserpool_engine::PolicyKind;

use super::{KINDS, Step};
use crate::network::Micros;

/// The words of a step that are left.
#[derive(Clone, Debug)]
pub(super) struct Words<'a>(core::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self(line.split_whitespace())
    }

    /// The next word, which is to be `what`.
    pub(super) fn next(&mut self, what: &str) -> Step<&'a str> {
        self.0.next().ok_or_else(|| what.to_owned())
    }

    /// The rest.
    pub(super) fn rest(&mut self) -> Vec<&'a str> {
        self.0.by_ref().collect()
    }

    pub(super) fn number(&mut self, what: &str) -> Step<usize> {
        self.next(what)?.parse().map_err(|_| what.to_owned())
    }

    /// Takes this word if it is the next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let mut ahead = self.0.clone();
        let found = ahead.next() == Some(word);
        if found {
            self.0 = ahead;
        }
        found
    }

    /// The next word has to be this.
    pub(super) fn expect(&mut self, word: &str) -> Step {
        if self.take(word) { Ok(()) } else { Err(format!("{word} is missing")) }
    }

    /// There has to be nothing more.
    pub(super) fn finish(&mut self) -> Step {
        self.0.next().map_or(Ok(()), |word| Err(format!("what is {word}?")))
    }
}

/// A time, as in 5s or 500ms.
pub(super) fn time(word: &str) -> Step<Micros> {
    let (number, unit) = match word.strip_suffix("ms") {
        Some(number) => (number, 1_000),
        None => (word.strip_suffix('s').unwrap_or_default(), 1_000_000),
    };
    let number = number.parse::<Micros>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "write a time as in 5s or 500ms".to_owned())
}

/// A policy by its name.
pub(super) fn kind(word: &str) -> Step<PolicyKind> {
    let found = KINDS.into_iter().find(|kind| format!("{kind:?}") == word);
    found.ok_or_else(|| format!("there is no policy {word}"))
}
