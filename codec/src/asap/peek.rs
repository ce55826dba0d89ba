//! Fields of messages that were not read as a whole.

use rserpool_engine::{PeId, PoolHandle};

/// The type and the pool handle of a message that has one, without a look at
/// the rest. `None` if there is none or it cannot be found.
#[must_use]
pub fn peek_handle(bytes: &[u8]) -> Option<(u8, PoolHandle<'_>)> {
    todo!()
}

/// The pool handle and the PE identifier of a message that has both, without
/// a look at the rest: a registration that could not be read is rejected with
/// them. `None` if they cannot be found.
#[must_use]
pub fn peek_element(bytes: &[u8]) -> Option<(PoolHandle<'_>, PeId)> {
    todo!()
}
