//! Why bytes could not be read or a message not be written.

use core::fmt;

use crate::Cause;

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
    /// Whether the sender is to hear of it.
    pub reply: Reply,
    /// The cause to report. Its data is short enough for any error message.
    pub cause: Cause<'a>,
    /// Where the offending bytes start.
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

impl fmt::Display for DecodeError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl core::error::Error for DecodeError<'_> {}

/// Why a message or parameter cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// It does not fit a 16-bit length.
    TooLong,
    /// The policy has no wire format.
    Policy,
    /// A transport has a kind, a port or a number of addresses that is not
    /// allowed in its place.
    Transport,
    /// The PE identifier of an element is 0.
    PeId,
    /// An operation error has no cause, or a business card no element.
    Empty,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl core::error::Error for EmitError {}
