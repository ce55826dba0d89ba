//! Where the service of a pool element is.

use core::net::IpAddr;

use rserpool_codec::{Addresses, Transport};
use rserpool_engine::{ChannelUse, TransportKind};

/// A user transport that owns its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    kind: TransportKind,
    port: u16,
    channel_use: ChannelUse,
    service_code: u32,
    addresses: Box<[IpAddr]>,
    opaque: Box<[u8]>,
}

impl Service {
    /// The same as a transport parameter.
    #[must_use]
    pub const fn transport(&self) -> Transport<'_> {
        Transport {
            kind: self.kind,
            port: self.port,
            channel_use: self.channel_use,
            service_code: self.service_code,
            addresses: Addresses::List(&self.addresses),
            opaque: &self.opaque,
        }
    }
}

impl From<&Transport<'_>> for Service {
    fn from(transport: &Transport<'_>) -> Self {
        Self {
            kind: transport.kind,
            port: transport.port,
            channel_use: transport.channel_use,
            service_code: transport.service_code,
            addresses: transport.addresses.iter().collect(),
            opaque: transport.opaque.into(),
        }
    }
}
