//! Parameters that were skipped but are to be reported.

use core::fmt;

use crate::cause::{Cause, CauseCode, Causes};
use crate::error::DATA_MAX;
use crate::frame::padded;
use crate::parameter::kind;
use crate::reader::Tlv;

/// The unknown parameters of a message whose action bits say "skip and
/// report" (RFC 5354, 2), as causes for an error message: the first
/// [`REPORTS_MAX`](Self::REPORTS_MAX) of them, and not more than one error
/// message holds.
#[derive(Clone, Copy, Default)]
pub struct Unrecognized<'a> {
    /// The parameters of the message; empty if there is nothing to report.
    parameters: &'a [u8],
}

impl<'a> Unrecognized<'a> {
    /// The most parameters that are reported of one message.
    pub const REPORTS_MAX: usize = 16;

    /// Those among the parameters of a message that was read.
    pub(crate) const fn among(parameters: &'a [u8]) -> Self {
        Self { parameters }
    }

    /// Whether there is nothing to report, which is the usual case. O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// The causes, to be sent as [`Unrecognized::causes`].
    pub fn iter(&self) -> impl Iterator<Item = Cause<'a>> + use<'a> {
        let mut walk = Walk::new(self.parameters);
        let mut room = CAUSE_HEADER + DATA_MAX;
        core::iter::from_fn(move || {
            let data = walk.next()?;
            let data = data.get(..DATA_MAX).unwrap_or(data);
            room = room.checked_sub(CAUSE_HEADER + padded(data.len()))?;
            Some(Cause::new(CauseCode::UnrecognizedParameter, data))
        })
        .take(Self::REPORTS_MAX)
    }

    /// The causes, ready for an error message; `None` if there is nothing to
    /// report.
    #[must_use]
    pub fn causes(&self) -> Option<Causes<'a>> {
        (!self.is_empty()).then(|| Causes::unrecognized(*self))
    }
}

impl PartialEq for Unrecognized<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Unrecognized<'_> {}

impl fmt::Debug for Unrecognized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Code and length of a cause.
const CAUSE_HEADER: usize = 4;

/// Goes over the parameters of a message and those inside of them.
struct Walk<'a> {
    /// What is left at each depth, the innermost last: those of the message, of
    /// a Pool Element or Server Information, of a transport.
    levels: [&'a [u8]; 3],
    depth: usize,
}

impl<'a> Walk<'a> {
    const fn new(parameters: &'a [u8]) -> Self {
        Self { levels: [parameters, &[], &[]], depth: 0 }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let level = self.levels.get_mut(self.depth)?;
            let Ok(Some(tlv)) = Tlv::take(level) else {
                self.depth = self.depth.checked_sub(1)?;
                continue;
            };
            if !kind::is_known(tlv.kind) && matches!(tlv.unknown(), Ok(true)) {
                return Some(tlv.whole);
            }
            let inside = inside(&tlv);
            if let Some(level) = self.levels.get_mut(self.depth + 1)
                && !inside.is_empty()
            {
                *level = inside;
                self.depth += 1;
            }
        }
    }
}

/// The parameters inside a parameter.
fn inside<'a>(tlv: &Tlv<'a>) -> &'a [u8] {
    let fields = match tlv.kind {
        kind::POOL_ELEMENT => 12,
        kind::SERVER_INFORMATION | kind::SCTP | kind::TCP | kind::UDP | kind::UDP_LITE => 4,
        kind::DCCP => 8,
        _ => tlv.value.len(),
    };
    tlv.value.get(fields..).unwrap_or_default()
}
