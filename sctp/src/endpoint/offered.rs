//! The parameters of an INIT or INIT ACK, sorted (RFC 9260 section 3.2.1).

use std::net::IpAddr;

use super::cookie::ADDRESSES_MAX;
use crate::wire::{address, parameter, parameters};

/// Unrecognized parameters that are reported.
const UNRECOGNIZED_MAX: usize = 4;

/// What an INIT or INIT ACK offers beside its fixed part.
#[derive(Debug, Default)]
pub(super) struct Offered<'a> {
    pub(super) cookie: Option<&'a [u8]>,
    /// Its first addresses; not more than a cookie carries.
    pub(super) addresses: Vec<IpAddr>,
    /// It has a name instead of an address.
    pub(super) host_name: bool,
    /// Parameters we do not know and that are to be reported, with headers.
    pub(super) unrecognized: Vec<&'a [u8]>,
}

impl<'a> Offered<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut offered = Self::default();
        for found in parameters(bytes) {
            match found.kind {
                parameter::IPV4 | parameter::IPV6 => {
                    if let Some(ip) = address(found)
                        && offered.addresses.len() < ADDRESSES_MAX
                        && !offered.addresses.contains(&ip)
                    {
                        offered.addresses.push(ip);
                    }
                }
                parameter::STATE_COOKIE => offered.cookie = offered.cookie.or(Some(found.value)),
                parameter::HOST_NAME => offered.host_name = true,
                // Of these we know that we need nothing.
                parameter::UNRECOGNIZED
                | parameter::COOKIE_PRESERVATIVE
                | parameter::SUPPORTED_ADDRESSES
                | parameter::ECN
                | parameter::PAD
                | parameter::FORWARD_TSN
                | parameter::ADAPTATION => {}
                unknown => {
                    // The upper two bits say: skip it or stop, report it or not.
                    if unknown & 0x4000 != 0 && offered.unrecognized.len() < UNRECOGNIZED_MAX {
                        offered.unrecognized.push(found.whole);
                    }
                    if unknown & 0x8000 == 0 {
                        break;
                    }
                }
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::put_parameter;

    fn bytes(found: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in found {
            put_parameter(&mut bytes, *kind, value);
        }
        bytes
    }

    #[test]
    fn the_upper_bits_of_an_unknown_parameter_say_what_to_do() {
        let read = |unknown| {
            let bytes = bytes(&[(unknown, &[1]), (parameter::STATE_COOKIE, &[2])]);
            let offered = Offered::read(&bytes);
            (offered.cookie.is_some(), offered.unrecognized.len())
        };
        assert_eq!(read(0x3fff), (false, 0));
        assert_eq!(read(0x7fff), (false, 1));
        assert_eq!(read(0xbfff), (true, 0));
        assert_eq!(read(0xffff), (true, 1));
    }

    #[test]
    fn addresses_are_distinct_and_few() {
        let mut found = vec![(parameter::IPV4, vec![192, 0, 2, 1]); 3];
        found.extend((0..20).map(|last| (parameter::IPV4, vec![192, 0, 2, last])));
        found.push((parameter::IPV4, vec![1, 2, 3]));
        let found: Vec<(u16, &[u8])> =
            found.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        assert_eq!(Offered::read(&bytes(&found)).addresses.len(), ADDRESSES_MAX);
    }
}
