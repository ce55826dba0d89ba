//! The registrar's way to write Handle Resolution Responses: elements are
//! copied as they were stored.

use rserpool_engine::{Policy, PoolHandle, RegistrarId};

use crate::{EmitError, LengthForm};

/// A Handle Resolution Response (RFC 5352, 2.2.6) being written.
#[derive(Debug)]
#[must_use = "the message has no length before `finish`"]
pub struct ResolutionResponse {
    start: usize,
}

impl ResolutionResponse {
    /// Starts a positive response at the end of `out`.
    ///
    /// # Errors
    /// The handle does not fit or the policy has no wire format; `out` is as
    /// it was.
    pub fn begin(
        out: &mut Vec<u8>,
        form: LengthForm,
        handle: PoolHandle<'_>,
        subscribed: bool,
        policy: Policy,
    ) -> Result<Self, EmitError> {
        todo!()
    }

    /// Appends a whole Pool Element parameter with this home registrar.
    /// `false`: there is no room for it in a message, or it is not a
    /// parameter; nothing was written.
    pub fn element(&mut self, out: &mut Vec<u8>, record: &[u8], home: RegistrarId) -> bool {
        todo!()
    }

    /// Ends the response.
    pub fn finish(self, out: &mut Vec<u8>) {
        todo!()
    }

    /// Appends the whole negative response for a pool that does not exist:
    /// cause 9 with the pool handle.
    ///
    /// # Errors
    /// The handle does not fit; `out` is as it was.
    pub fn unknown_pool(
        out: &mut Vec<u8>,
        form: LengthForm,
        handle: PoolHandle<'_>,
    ) -> Result<(), EmitError> {
        todo!()
    }
}
