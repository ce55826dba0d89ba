//! What is seen while a run goes on: a bar on a terminal, lines elsewhere.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two lines where there is no terminal.
const LINES_EVERY: Duration = Duration::from_secs(5);

/// Shows progress on standard error.
#[derive(Debug)]
pub(crate) enum Progress {
    Silent,
    Lines { phase: &'static str, last: Instant },
    Bar(ProgressBar),
}

impl Progress {
    /// A bar or lines, or nothing if it is not wanted.
    pub(crate) fn new(wanted: bool) -> Self {
        if !wanted {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines { phase: "", last: Instant::now() };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{prefix:<14} [{bar:32}] {percent:>3}%  {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    /// Says something that stays.
    pub(crate) fn say(&self, what: fmt::Arguments<'_>) {
        match self {
            Self::Silent => {}
            Self::Lines { .. } => line(what),
            Self::Bar(bar) => bar.suspend(|| line(what)),
        }
    }

    /// A phase of this length begins.
    pub(crate) fn begin(&mut self, name: &'static str, length: u64) {
        match self {
            Self::Silent => {}
            Self::Lines { phase, last } => {
                *phase = name;
                *last = Instant::now();
            }
            Self::Bar(bar) => {
                bar.set_message("");
                bar.set_prefix(name);
                bar.set_length(length);
                bar.reset();
            }
        }
    }

    /// So much of the phase is done.
    pub(crate) fn update(&mut self, position: u64, told: fmt::Arguments<'_>) {
        match self {
            Self::Silent => {}
            Self::Lines { phase, last } => {
                if last.elapsed() >= LINES_EVERY {
                    *last = Instant::now();
                    line(format_args!("{phase:<14} {told}"));
                }
            }
            Self::Bar(bar) => {
                bar.set_position(position);
                bar.set_message(told.to_string());
            }
        }
    }

    /// The phase is over.
    pub(crate) fn end(&self, name: &str, told: fmt::Arguments<'_>) {
        self.say(format_args!("{name:<14} {told}"));
    }

    /// Nothing more will be shown.
    pub(crate) fn close(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(what: fmt::Arguments<'_>) {
    // Who closed standard error does not want to be told.
    let _ = writeln!(io::stderr(), "{what}");
}
