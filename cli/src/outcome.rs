//! How a command ends.

use std::fmt;
use std::process::ExitCode;

use rserpool_client::Error;

/// Why a command failed, and its exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    status: u8,
}

impl Failure {
    /// It failed, or the answer is no.
    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self { what: what.to_string(), status: 1 }
    }

    /// What was asked for makes no sense.
    pub(crate) fn usage(what: impl fmt::Display) -> Self {
        Self { what: what.to_string(), status: 2 }
    }

    /// A registrar cannot be reached, or does not answer.
    pub(crate) fn no_registrar(what: impl fmt::Display) -> Self {
        Self { what: what.to_string(), status: 3 }
    }

    /// It cannot write to stdout. If nobody reads any more, that is no failure.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { what: String::new(), status: 0 };
        }
        Self::failed(format!("cannot write to stdout: {error}"))
    }

    /// Whether the answer is no.
    pub(crate) const fn is_no(&self) -> bool {
        self.status == 1
    }

    /// Says why on stderr, if it is a failure.
    pub(crate) fn exit(&self) -> ExitCode {
        if self.status != 0 {
            crate::outlet::complain(&self.what);
        }
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NoRegistrar(_) | Error::TimedOut => 3,
            Error::Invalid(_) => 2,
            Error::Refused(..) | Error::NoElement(_) | Error::Closed | _ => 1,
        };
        Self { what: error.to_string(), status }
    }
}
