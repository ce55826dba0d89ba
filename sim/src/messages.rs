//! The messages of a chunk of bytes.

use rserpool_codec::{Frame, frame};

/// Gives whole messages, and what is not one as the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let length = match frame(self.0) {
            Frame::Whole(length) => length,
            Frame::Incomplete | Frame::Malformed => self.0.len(),
        };
        let (message, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(message)
    }
}
