//! The addresses of a transport parameter (RFC 5354, 3.1 and 3.2).

use core::net::IpAddr;

/// One or more IP addresses, as read or to be written. An IPv4-mapped IPv6
/// address counts as the IPv4 address. Equal if they yield the same addresses.
#[derive(Clone, Copy, Debug)]
pub enum Addresses<'a> {
    /// Address parameters as read.
    Wire(&'a [u8]),
    /// Addresses to be written.
    List(&'a [IpAddr]),
}

impl<'a> Addresses<'a> {
    /// The addresses in their order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        todo!();
        #[expect(unreachable_code, reason = "signatures first")]
        core::iter::empty()
    }
}

impl PartialEq for Addresses<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Addresses<'_> {}
