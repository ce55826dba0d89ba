//! Lone parameters, as the data of causes holds them. A transport has
//! [`Transport::emit`](crate::Transport::emit) and
//! [`Transport::parse`](crate::Transport::parse).

use alloc::vec::Vec;

use rserpool_engine::{Policy, PoolHandle};

use crate::error::{DecodeError, EmitError, Fault};
use crate::frame::LengthForm;
use crate::policy;
use crate::reader;
use crate::writer::Writer;

/// Appends a Pool Handle parameter (RFC 5354, 3.9), padded to a multiple of
/// 4 bytes.
///
/// # Errors
/// The handle is too long; `out` is as it was.
pub fn emit_pool_handle(handle: PoolHandle<'_>, out: &mut Vec<u8>) -> Result<(), EmitError> {
    Writer::append(out, LengthForm::Rfc, |w| w.leaf(kind::POOL_HANDLE, handle.as_bytes()))
}

/// Appends a Member Selection Policy parameter (RFC 5354, 3.8).
///
/// # Errors
/// The policy has no wire format; `out` is as it was.
pub fn emit_policy(policy: Policy, out: &mut Vec<u8>) -> Result<(), EmitError> {
    Writer::append(out, LengthForm::Rfc, |w| policy::write(w, policy))
}

/// Reads a Pool Handle parameter, with or without padding.
///
/// # Errors
/// What is wrong; offsets count from the parameter's start.
pub fn parse_pool_handle(tlv: &[u8]) -> Result<PoolHandle<'_>, DecodeError<'_>> {
    reader::lone(tlv, |tlv| match tlv.kind {
        kind::POOL_HANDLE => Ok(PoolHandle::new(tlv.value)),
        _ => Err(tlv.invalid(Fault::Misplaced)),
    })
}

/// Reads a Member Selection Policy parameter, with or without padding.
///
/// # Errors
/// What is wrong; offsets count from the parameter's start.
pub fn parse_policy(tlv: &[u8]) -> Result<Policy, DecodeError<'_>> {
    reader::lone(tlv, |tlv| match tlv.kind {
        kind::POLICY => policy::read(tlv),
        _ => Err(tlv.invalid(Fault::Misplaced)),
    })
}

/// The types of parameters (RFC 5354, 5.1).
pub(crate) mod kind {
    pub(crate) const IPV4: u16 = 0x0001;
    pub(crate) const IPV6: u16 = 0x0002;
    pub(crate) const DCCP: u16 = 0x0003;
    pub(crate) const SCTP: u16 = 0x0004;
    pub(crate) const TCP: u16 = 0x0005;
    pub(crate) const UDP: u16 = 0x0006;
    pub(crate) const UDP_LITE: u16 = 0x0007;
    pub(crate) const POLICY: u16 = 0x0008;
    pub(crate) const POOL_HANDLE: u16 = 0x0009;
    pub(crate) const POOL_ELEMENT: u16 = 0x000a;
    pub(crate) const SERVER_INFORMATION: u16 = 0x000b;
    pub(crate) const OPERATION_ERROR: u16 = 0x000c;
    pub(crate) const COOKIE: u16 = 0x000d;
    pub(crate) const PE_IDENTIFIER: u16 = 0x000e;
    pub(crate) const PE_CHECKSUM: u16 = 0x000f;
    pub(crate) const OPAQUE: u16 = 0x0010;

    /// The option of the handle resolution draft. Its action bits make those
    /// who do not know it skip it, so it is known in a Handle Resolution only.
    pub(crate) const ITEMS: u16 = 0x803f;
    /// The same without action bits: rsplib takes it for the same.
    pub(crate) const ITEMS_PURE: u16 = 0x003f;

    pub(crate) const fn is_known(kind: u16) -> bool {
        matches!(kind, IPV4..=OPAQUE)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_lone_pool_handle_is_padded() {
        let mut out = vec![0xa5];
        emit_pool_handle(PoolHandle::new(b"abcde"), &mut out).unwrap();
        assert_eq!(out, b"\xa5\x00\x09\x00\x09abcde\0\0\0");
    }

    #[test]
    fn lone_parameters_are_read() {
        let handle = b"\x00\x09\x00\x09abcde\0\0\0";
        for end in 0..=handle.len() {
            let read = parse_pool_handle(&handle[..end]);
            assert_eq!(read.ok(), (end >= 9).then_some(PoolHandle::new(b"abcde")));
        }
        let policy = b"\x00\x08\x00\x0c\x00\x00\x00\x05\x00\x00\x00\x07\x00\x00\x00\x00";
        for end in 0..=policy.len() {
            let read = parse_policy(&policy[..end]);
            assert_eq!(read.ok(), (end == 12).then_some(Policy::Priority { priority: 7 }));
        }
        let error = parse_policy(handle).unwrap_err();
        assert_eq!((error.fault, error.offset), (Fault::Misplaced, 0));
        let error = parse_pool_handle(policy).unwrap_err();
        assert_eq!((error.fault, error.offset), (Fault::Length, 12));
    }

    #[test]
    fn a_policy_without_wire_format_is_refused() {
        let mut out = vec![0xa5];
        let policy = Policy::PriorityLeastUsedDpf { load: 1, degradation: 2, dpf: 3, distance: 4 };
        assert_eq!(emit_policy(policy, &mut out), Err(EmitError::Policy));
        let policy = Policy::PriorityLeastUsedDegradationDpf {
            load: 1,
            degradation: 2,
            dpf: 3,
            distance: 4,
        };
        assert_eq!(emit_policy(policy, &mut out), Err(EmitError::Policy));
        assert_eq!(out, [0xa5]);
    }
}
