//! Why bytes could not be read or a message not be written.

use core::fmt;

use crate::cause::{Cause, CauseCode};
use crate::writer::MESSAGE_MAX;

/// What the protocol wants done about bytes that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Silent,
    /// Send an ASAP Error or ENRP Error with the cause.
    Report,
}

/// Why bytes could not be read. The message is to be discarded as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError<'a> {
    /// Whether the sender is to hear of it. Never for an error message.
    pub reply: Reply,
    /// The cause to report: its data is the offending parameter or message,
    /// as far as an error message has room for it, and empty if there is no
    /// such parameter.
    pub cause: Cause<'a>,
    /// Where the offending bytes start, counted from the first byte given.
    pub offset: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A length is shorter or longer than what it covers.
    Length,
    /// The message type is not known.
    UnknownMessage,
    /// The parameter type is not known and its action bits say stop.
    UnknownParameter,
    /// A parameter is where it does not belong.
    Misplaced,
    /// A mandatory parameter is missing.
    Missing,
    /// A value is not allowed.
    Value,
}

impl<'a> DecodeError<'a> {
    /// Cause 3, Invalid Values, for this parameter, or for this place if empty.
    #[cold]
    pub(crate) fn invalid(fault: Fault, parameter: &'a [u8]) -> Self {
        Self {
            reply: Reply::Report,
            cause: Cause::new(CauseCode::InvalidValues, fitting(parameter)),
            offset: 0,
            fault,
        }
    }

    /// Cause 1, Unrecognized Parameter.
    #[cold]
    pub(crate) fn unknown_parameter(reply: Reply, parameter: &'a [u8]) -> Self {
        let cause = Cause::new(CauseCode::UnrecognizedParameter, fitting(parameter));
        Self { reply, cause, offset: 0, fault: Fault::UnknownParameter }
    }

    /// Cause 2, Unrecognized Message.
    #[cold]
    pub(crate) fn unknown_message(reply: Reply, message: &'a [u8]) -> Self {
        let cause = Cause::new(CauseCode::UnrecognizedMessage, fitting(message));
        Self { reply, cause, offset: 0, fault: Fault::UnknownMessage }
    }

    /// Fills in the offset. The data of every cause above is a part of `bytes`,
    /// so that readers of nested parameters need not count.
    #[cold]
    pub(crate) fn located_in(self, bytes: &[u8]) -> Self {
        let offset = self.cause.data.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
        Self { offset: offset.min(bytes.len()), ..self }
    }

    /// Fills in the offset, and keeps silent about errors in error messages:
    /// if they were answered by error messages, two would never end.
    #[cold]
    pub(crate) fn in_message(self, bytes: &[u8], error_code: u8) -> Self {
        let answered = bytes.first().is_some_and(|code| *code != error_code);
        let reply = if answered { self.reply } else { Reply::Silent };
        Self { reply, ..self }.located_in(bytes)
    }
}

/// As much of a cause's data as the longest error message has room for.
fn fitting(data: &[u8]) -> &[u8] {
    data.get(..DATA_MAX).unwrap_or(data)
}

/// The longest data of a single cause: an ENRP Error has 20 bytes around it,
/// and its length is to be a multiple of 4.
pub(crate) const DATA_MAX: usize = MESSAGE_MAX - 20;

impl fmt::Display for DecodeError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.fault, self.offset)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a length does not fit what it covers",
            Self::UnknownMessage => "an unknown message type",
            Self::UnknownParameter => "an unknown parameter that must not be skipped",
            Self::Misplaced => "a parameter where it does not belong",
            Self::Missing => "a mandatory parameter is missing",
            Self::Value => "a value that is not allowed",
        })
    }
}

impl core::error::Error for DecodeError<'_> {}

/// Why a message or parameter cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// It does not fit a 16-bit length.
    TooLong,
    /// The policy has no wire format: Priority Least Used DPF and Priority
    /// Least Used with Degradation DPF exist in rsplib's selection only.
    Policy,
    /// A transport has a kind, a port, a use or a number of addresses that is
    /// not allowed in its place.
    Transport,
    /// The PE identifier of an element is 0.
    PeId,
    /// An operation error has no cause, a business card or a pool of a handle
    /// table no element.
    Empty,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it does not fit a 16-bit length",
            Self::Policy => "the policy has no wire format",
            Self::Transport => "a transport is not allowed in its place",
            Self::PeId => "the PE identifier is 0",
            Self::Empty => "a sequence that needs a member has none",
        })
    }
}

impl core::error::Error for EmitError {}
