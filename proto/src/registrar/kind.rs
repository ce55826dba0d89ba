//! The ASAP messages a registrar acts upon (RFC 5352, 2.2).

pub(super) const REGISTRATION: u8 = 0x01;
const DEREGISTRATION: u8 = 0x02;
pub(super) const DEREGISTRATION_RESPONSE: u8 = 0x04;
const HANDLE_RESOLUTION: u8 = 0x05;
const KEEP_ALIVE_ACK: u8 = 0x08;
const UNREACHABLE: u8 = 0x09;

/// Whether a message of this type is answered with one of a pool.
pub(super) const fn is_answered(kind: u8) -> bool {
    matches!(kind, REGISTRATION | DEREGISTRATION | HANDLE_RESOLUTION)
}

/// Whether a message of this type is for the shard of its pool.
pub(super) const fn is_for_pool(kind: u8) -> bool {
    is_answered(kind) || matches!(kind, KEEP_ALIVE_ACK | UNREACHABLE)
}

/// Whether a message registers a pool element.
#[must_use]
pub fn registers(message: &[u8]) -> bool {
    matches!(message, [REGISTRATION, ..])
}

/// Whether a message asks to be told of changes of a pool.
pub(super) fn is_subscription(message: &[u8]) -> bool {
    matches!(message, [HANDLE_RESOLUTION, flags, ..] if flags & 1 != 0)
}
