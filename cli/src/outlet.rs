//! Where output goes.

use std::fmt;
use std::io::{self, Write as _};

use serde::Serialize;

use crate::outcome::Failure;

/// Writes to stdout.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}

/// A line to stdout.
pub(crate) fn line(text: impl fmt::Display) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// A JSON object as a line to stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(Failure::failed)?;
    line(text)
}

/// A line to stderr.
pub(crate) fn complain(text: impl fmt::Display) {
    // There is nowhere to say that stderr is gone.
    let _ = writeln!(io::stderr(), "rsp: {text}");
}
