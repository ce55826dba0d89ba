//! Parameters that were skipped but are to be reported.

use crate::{Cause, Causes};

/// The unknown parameters of a message whose action bits say "skip and
/// report" (RFC 5354, 2), as causes for an error message: the first few of
/// them, and never more than one error message holds.
#[derive(Clone, Copy, Debug)]
pub struct Unrecognized<'a>(&'a [u8]);

impl<'a> Unrecognized<'a> {
    /// Whether there is nothing to report, which is the usual case. O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        todo!()
    }

    /// The causes.
    pub fn iter(&self) -> impl Iterator<Item = Cause<'a>> + use<'a> {
        todo!();
        #[expect(unreachable_code, reason = "signatures first")]
        core::iter::empty()
    }

    /// The causes, ready for an error message; `None` if there is nothing to
    /// report.
    #[must_use]
    pub fn causes(&self) -> Option<Causes<'a>> {
        todo!()
    }
}
