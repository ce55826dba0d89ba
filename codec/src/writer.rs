//! Appends messages and parameters and fills in their lengths.

use alloc::vec::Vec;

use crate::error::EmitError;
use crate::frame::{LengthForm, padded};

/// Appends to a vector. Every parameter is padded to a multiple of 4 bytes
/// from the start of the outermost one.
#[derive(Debug)]
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    form: LengthForm,
    /// How much of the end of `out` is padding: what an outer length does not
    /// count in the RFC's form.
    padding: usize,
}

/// A message or parameter whose length is not known yet.
#[derive(Debug)]
#[must_use]
pub(crate) struct Open(usize);

impl<'o> Writer<'o> {
    /// Runs `write` on the end of `out`, which it leaves as it was on failure.
    #[inline]
    pub(crate) fn append(
        out: &'o mut Vec<u8>,
        form: LengthForm,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        let start = out.len();
        let written = write(&mut Writer { out, form, padding: 0 });
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// Starts a message.
    pub(crate) fn message(&mut self, code: u8, flags: u8) -> Open {
        let start = Open(self.out.len());
        self.bytes([code, flags, 0, 0]);
        start
    }

    /// Starts a parameter of `N` bytes that other parameters follow in.
    pub(crate) fn open<const N: usize>(&mut self, kind: u16, fields: [u8; N]) -> Open {
        let start = Open(self.out.len());
        let [high, low] = kind.to_be_bytes();
        self.out.extend_from_slice(&[high, low, 0, 0]);
        self.bytes(fields);
        start
    }

    /// Ends a message, or a parameter that has others in it.
    pub(crate) fn close(&mut self, start: &Open) -> Result<(), EmitError> {
        let uncounted = match self.form {
            LengthForm::Rfc => self.padding,
            LengthForm::Padded => 0,
        };
        self.set_length(start, self.out.len() - uncounted)
    }

    /// A parameter or cause with this value and its padding.
    pub(crate) fn leaf(&mut self, kind: u16, value: &[u8]) -> Result<(), EmitError> {
        let start = self.open(kind, []);
        self.out.extend_from_slice(value);
        let end = self.out.len();
        self.set_length(&start, end)?;
        self.padding = padded(value.len()) - value.len();
        self.out.resize(end + self.padding, 0);
        Ok(())
    }

    /// Fields whose size is a multiple of 4.
    pub(crate) fn bytes<const N: usize>(&mut self, fields: [u8; N]) {
        const { assert!(N.is_multiple_of(4)) };
        self.out.extend_from_slice(&fields);
        self.padding = 0;
    }

    /// One field of 4 bytes.
    pub(crate) fn word(&mut self, word: u32) {
        self.bytes(word.to_be_bytes());
    }

    fn set_length(&mut self, start: &Open, end: usize) -> Result<(), EmitError> {
        let length = u16::try_from(end - start.0).map_err(|_| EmitError::TooLong)?;
        patch(self.out, start.0 + LENGTH_OFFSET, length.to_be_bytes());
        Ok(())
    }
}

/// Where the length is in a message or parameter.
pub(crate) const LENGTH_OFFSET: usize = 2;

/// The longest message whose length is a multiple of 4.
pub(crate) const MESSAGE_MAX: usize = 65532;

/// Overwrites bytes that were written before.
pub(crate) fn patch<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(field) = out.get_mut(at..).and_then(|tail| tail.first_chunk_mut()) {
        *field = bytes;
    } else {
        debug_assert!(false, "{at} was not written");
    }
}
