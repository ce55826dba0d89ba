//! Random (RFC 5356, 4.3): every element is as likely as the others, and in an
//! answer at most once. A selection changes nothing.

use super::Standing;

pub(super) const fn standing() -> Standing {
    Standing::Weight(1)
}
