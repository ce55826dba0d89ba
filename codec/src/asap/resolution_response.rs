//! The registrar's way to write Handle Resolution Responses: elements are
//! copied as they were stored.

use alloc::vec::Vec;

use rserpool_engine::{Policy, PoolHandle, RegistrarId};

use super::{FLAG, code, write_handle};
use crate::cause::CauseCode;
use crate::element;
use crate::error::EmitError;
use crate::frame::LengthForm;
use crate::parameter::kind;
use crate::policy;
use crate::writer::{LENGTH_OFFSET, MESSAGE_MAX, Writer, patch};

/// A Handle Resolution Response (RFC 5352, 2.2.6) being written.
///
/// ```
/// # use rserpool_codec::{LengthForm, asap::{Message, ResolutionResponse}};
/// # use rserpool_engine::{Policy, PoolHandle, RegistrarId};
/// let record = b"\x00\x0a\x00\x28\x11\x22\x33\x44\x00\x00\x00\x00\x00\x00\x00\x5a\
///     \x00\x04\x00\x10\x1e\x61\x00\x01\x00\x01\x00\x08\x0a\x00\x00\x01\
///     \x00\x08\x00\x08\x00\x00\x00\x01";
/// let handle = PoolHandle::new(b"EchoPool");
/// let mut out = Vec::new();
/// let mut response =
///     ResolutionResponse::begin(&mut out, LengthForm::Rfc, handle, false, Policy::RoundRobin)?;
/// assert!(response.element(&mut out, record, RegistrarId::new(0xaabb_ccdd)));
/// response.finish(&mut out);
/// let Ok(Message::HandleResolutionResponse { elements, .. }) = Message::parse(&out) else {
///     panic!();
/// };
/// assert_eq!(elements.iter().next().unwrap().home, RegistrarId::new(0xaabb_ccdd));
/// # Ok::<(), rserpool_codec::EmitError>(())
/// ```
#[derive(Debug)]
#[must_use = "the message has no length before `finish`"]
pub struct ResolutionResponse {
    start: usize,
}

impl ResolutionResponse {
    /// Starts a positive response at the end of `out`. Nothing else may be
    /// appended to `out` before [`finish`](Self::finish).
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
        let start = out.len();
        Writer::append(out, form, |w| {
            let start = w.message(code::HANDLE_RESOLUTION_RESPONSE, u8::from(subscribed) * FLAG);
            write_handle(w, handle)?;
            policy::write(w, policy)?;
            w.close(&start)
        })?;
        Ok(Self { start })
    }

    /// Appends a whole Pool Element parameter, padding included, with this
    /// home registrar. `false`: there is no room for it in a message, or it is
    /// not a Pool Element parameter; nothing was written.
    #[inline]
    pub fn element(&mut self, out: &mut Vec<u8>, record: &[u8], home: RegistrarId) -> bool {
        element::copy(out, self.start + MESSAGE_MAX, record, home).is_some()
    }

    /// Ends the response.
    ///
    /// # Panics
    /// In debug builds, if `out` is not the vector it was begun in.
    pub fn finish(self, out: &mut [u8]) {
        let length = u16::try_from(out.len().saturating_sub(self.start));
        debug_assert!(length.is_ok(), "`out` was appended to by others");
        patch(out, self.start + LENGTH_OFFSET, length.unwrap_or(u16::MAX).to_be_bytes());
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
        Writer::append(out, form, |w| {
            let start = w.message(code::HANDLE_RESOLUTION_RESPONSE, 0);
            write_handle(w, handle)?;
            let error = w.open(kind::OPERATION_ERROR, []);
            let cause = w.open(CauseCode::UnknownPoolHandle as u16, []);
            write_handle(w, handle)?;
            w.close(&cause)?;
            w.close(&error)?;
            w.close(&start)
        })
    }
}
