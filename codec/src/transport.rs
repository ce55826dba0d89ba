//! Transport parameters (RFC 5354, 3.3 to 3.7 and 3.16).

use rserpool_engine::{ChannelUse, TransportKind};

use crate::{Addresses, EmitError, LengthForm};

/// A transport parameter. Fields its kind does not have are zero or empty
/// when read and ignored when written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport<'a> {
    /// The protocol, which is the parameter's type.
    pub kind: TransportKind,
    /// The port; not for `Opaque`.
    pub port: u16,
    /// The transport use; only for `Sctp` and, as rsplib has it, `Tcp`.
    pub channel_use: ChannelUse,
    /// The service code; only for `Dccp`.
    pub service_code: u32,
    /// One address, or one or more for `Sctp`; none for `Opaque`.
    pub addresses: Addresses<'a>,
    /// The opaque address; only for `Opaque`.
    pub opaque: &'a [u8],
}

impl<'a> Transport<'a> {
    /// An SCTP transport with one or more addresses.
    #[must_use]
    pub const fn sctp(port: u16, channel_use: ChannelUse, addresses: Addresses<'a>) -> Self {
        todo!()
    }

    /// A TCP transport (data only) with one address.
    #[must_use]
    pub const fn tcp(port: u16, addresses: Addresses<'a>) -> Self {
        todo!()
    }

    /// A UDP transport with one address.
    #[must_use]
    pub const fn udp(port: u16, addresses: Addresses<'a>) -> Self {
        todo!()
    }

    /// A UDP-Lite transport with one address.
    #[must_use]
    pub const fn udp_lite(port: u16, addresses: Addresses<'a>) -> Self {
        todo!()
    }

    /// A DCCP transport with one address.
    #[must_use]
    pub const fn dccp(port: u16, service_code: u32, addresses: Addresses<'a>) -> Self {
        todo!()
    }

    /// An opaque transport address.
    #[must_use]
    pub const fn opaque(opaque: &'a [u8]) -> Self {
        todo!()
    }

    /// Appends the parameter, padded to a multiple of 4 bytes.
    ///
    /// # Errors
    /// The transport cannot be written; `out` is as it was.
    pub fn emit(&self, out: &mut Vec<u8>, form: LengthForm) -> Result<(), EmitError> {
        todo!()
    }
}

/// The transports of a Server Announce: SCTP and TCP. Written with the SCTP
/// transports last, because rsplib stops reading at the first.
#[derive(Clone, Copy, Debug)]
pub struct Transports<'a>(&'a [u8]);

impl<'a> Transports<'a> {
    /// No transports.
    pub const EMPTY: Self = Self(&[]);

    /// Transports to be written.
    #[must_use]
    pub const fn list(list: &'a [Transport<'a>]) -> Self {
        todo!()
    }

    /// The transports in their order.
    pub fn iter(&self) -> impl Iterator<Item = Transport<'a>> + use<'a> {
        todo!();
        #[expect(unreachable_code, reason = "signatures first")]
        core::iter::empty()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }
}

impl PartialEq for Transports<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Transports<'_> {}
