//! Lone parameters, as the data of causes holds them.

use rserpool_engine::{Policy, PoolHandle};

use crate::EmitError;

/// Appends a Pool Handle parameter (RFC 5354, 3.9), padded to a multiple of
/// 4 bytes.
///
/// # Errors
/// The handle is too long; `out` is as it was.
pub fn emit_pool_handle(handle: PoolHandle<'_>, out: &mut Vec<u8>) -> Result<(), EmitError> {
    todo!()
}

/// Appends a Member Selection Policy parameter (RFC 5354, 3.8).
///
/// # Errors
/// The policy has no wire format; `out` is as it was.
pub fn emit_policy(policy: Policy, out: &mut Vec<u8>) -> Result<(), EmitError> {
    todo!()
}
