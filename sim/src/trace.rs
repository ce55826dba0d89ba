//! What happened, line by line, for people. It costs nothing while it is off.

use std::collections::VecDeque;

use crate::network::Micros;

/// Lines kept, if not all are.
const TAIL: usize = 60;

/// Which lines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    Tail,
    Everything,
}

/// The lines.
#[derive(Debug)]
pub(crate) struct Trace {
    keep: Keep,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep, lines: VecDeque::new() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.keep != Keep::Nothing
    }

    pub(crate) fn note(&mut self, now: Micros, line: &str) {
        if self.keep == Keep::Tail && self.lines.len() == TAIL {
            self.lines.pop_front();
        }
        let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
        self.lines.push_back(format!("{seconds:>5}.{micros:06}  {line}"));
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// Notes a line, if anybody wants it.
macro_rules! trace {
    ($cx:expr, $($line:tt)*) => {
        if $cx.trace.is_on() {
            let line = format!($($line)*);
            $cx.trace.note($cx.net.now(), &line);
        }
    };
}
pub(crate) use trace;
