//! The addresses of a transport parameter (RFC 5354, 3.1 and 3.2).

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use crate::error::{DecodeError, EmitError, Fault};
use crate::parameter::kind;
use crate::reader::{Reader, Tlv};
use crate::writer::Writer;

/// IP addresses, as read or to be written. An IPv4-mapped IPv6 address counts
/// as the IPv4 address. Equal if they yield the same addresses.
#[derive(Clone, Copy)]
pub enum Addresses<'a> {
    /// Address parameters, as read.
    Wire(&'a [u8]),
    /// Addresses, to be written.
    List(&'a [IpAddr]),
}

impl<'a> Addresses<'a> {
    /// The addresses in their order. Bytes that are no address are passed over.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        let (mut wire, list) = match *self {
            Self::Wire(bytes) => (bytes, [].as_slice()),
            Self::List(list) => ([].as_slice(), list),
        };
        let read = core::iter::from_fn(move || {
            loop {
                let tlv = Tlv::take(&mut wire).ok()??;
                if let Some(address) = read(&tlv) {
                    return Some(address);
                }
            }
        });
        read.chain(list.iter().map(IpAddr::to_canonical))
    }

    /// Counts the addresses in `parameters`, and checks that there is nothing
    /// else.
    #[inline]
    pub(crate) fn count(
        parameters: &'a [u8],
        reportable: &mut bool,
    ) -> Result<usize, DecodeError<'a>> {
        // By far the most transports have one IPv4 address.
        if let [0, 1, 0, 8, _, _, _, _] = parameters {
            return Ok(1);
        }
        let mut count = 0;
        let mut reader = Reader::new(parameters, reportable);
        while let Some(tlv) = reader.next()? {
            if !matches!(tlv.kind, kind::IPV4 | kind::IPV6) {
                return Err(tlv.invalid(Fault::Misplaced));
            }
            read(&tlv).ok_or_else(|| tlv.invalid(Fault::Length))?;
            count += 1;
        }
        Ok(count)
    }

    /// Appends the addresses, and counts them.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<usize, EmitError> {
        let mut count = 0;
        for address in self.iter() {
            count += 1;
            match address {
                IpAddr::V4(address) => w.leaf(kind::IPV4, &address.octets())?,
                IpAddr::V6(address) => w.leaf(kind::IPV6, &address.octets())?,
            }
        }
        Ok(count)
    }
}

/// The address in a parameter, if it is one of the right length.
fn read(tlv: &Tlv<'_>) -> Option<IpAddr> {
    match tlv.kind {
        kind::IPV4 => <[u8; 4]>::try_from(tlv.value).ok().map(IpAddr::from),
        kind::IPV6 => {
            let octets = <[u8; 16]>::try_from(tlv.value).ok()?;
            Some(Ipv6Addr::from(octets).to_canonical())
        }
        _ => None,
    }
}

impl PartialEq for Addresses<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Addresses<'_> {}

impl fmt::Debug for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
