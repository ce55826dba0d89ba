//! Services and pool elements as a program in C sees them.
#![expect(unsafe_code, reason = "they have pointers; docs/unsafe.md")]

use std::ffi::c_char;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_client::{PeId, Policy, ResolvedElement, Service, TransportKind};

use crate::RserpoolStatus;
use crate::arguments::{handle, text};

/// The protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum RserpoolTransport {
    /// TCP.
    Tcp = 0,
    /// UDP.
    Udp = 1,
    /// SCTP, with a control channel.
    Sctp = 2,
    /// Another one. It cannot be registered.
    Other = 3,
}

/// The policies that a service can be registered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum RserpoolPolicy {
    /// One after the other.
    RoundRobin = 0,
    /// One after the other, as often as `policy_value` says.
    WeightedRoundRobin = 1,
    /// Any.
    Random = 2,
    /// Any, as often as `policy_value` says.
    WeightedRandom = 3,
    /// The one with the largest `policy_value`.
    Priority = 4,
    /// The one with the least load; see `rserpool_report_load`.
    LeastUsed = 5,
    /// Any, the less load the more often.
    RandomizedLeastUsed = 6,
}

/// A service to be registered. Numbers stand for the enumerations, so that a
/// wrong one is refused.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RserpoolService {
    /// The pool handle.
    pub handle: *const u8,
    /// Its length in bytes.
    pub handle_length: usize,
    /// The PE identifier; 0 draws one.
    pub pe: u32,
    /// A value of `rserpool_transport`.
    pub transport: u32,
    /// The address, such as "192.0.2.1" or "2001:db8::1".
    pub host: *const c_char,
    /// The port.
    pub port: u16,
    /// A value of `rserpool_policy`.
    pub policy: u32,
    /// The weight or priority of the policies that have one.
    pub policy_value: u32,
    /// The registration life in seconds; 0 for 90.
    pub life_seconds: u32,
}

impl RserpoolService {
    /// As the client library has it.
    ///
    /// # Safety
    /// What it points to can be read.
    pub(crate) unsafe fn read(&self) -> Result<Service, RserpoolStatus> {
        // SAFETY: as the caller says.
        let handle = unsafe { handle(self.handle, self.handle_length) }?;
        // SAFETY: as the caller says.
        let host = unsafe { text(self.host) }?;
        let host: IpAddr = host.parse().map_err(|_| RserpoolStatus::Invalid)?;
        let address = SocketAddr::new(host, self.port);
        let number = self.policy_value;
        let policy = match self.policy {
            0 => Policy::RoundRobin,
            1 => Policy::WeightedRoundRobin { weight: number },
            2 => Policy::Random,
            3 => Policy::WeightedRandom { weight: number },
            4 => Policy::Priority { priority: number },
            5 => Policy::LeastUsed { load: 0 },
            6 => Policy::RandomizedLeastUsed { load: 0 },
            _ => return Err(RserpoolStatus::Invalid),
        };
        let service = match self.transport {
            0 => Service::tcp(handle, address, policy),
            1 => Service { transport: TransportKind::Udp, ..Service::tcp(handle, address, policy) },
            2 => Service::sctp(handle, address, policy),
            _ => return Err(RserpoolStatus::Invalid),
        };
        let life = match self.life_seconds {
            0 => service.life,
            seconds => Duration::from_secs(seconds.into()),
        };
        Ok(Service { pe: PeId::new(self.pe), life, ..service })
    }
}

/// An address of an element.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RserpoolAddress {
    /// The address as text, such as "192.0.2.1".
    pub host: [c_char; 46],
    /// The port.
    pub port: u16,
}

impl From<&SocketAddr> for RserpoolAddress {
    fn from(address: &SocketAddr) -> Self {
        let mut host = [0; 46];
        // 45 characters are the longest, and the last stays 0.
        for (place, byte) in host.iter_mut().take(45).zip(address.ip().to_string().bytes()) {
            *place = byte.cast_signed();
        }
        Self { host, port: address.port() }
    }
}

/// A pool element as a registrar gives it.
#[derive(Debug)]
#[repr(C)]
pub struct RserpoolElement {
    /// Its PE identifier.
    pub pe: u32,
    /// Its home registrar.
    pub home: u32,
    /// The protocol of its service.
    pub transport: RserpoolTransport,
    /// Where its service is.
    pub addresses: *mut RserpoolAddress,
    /// How many addresses it has.
    pub address_count: usize,
}

impl RserpoolElement {
    pub(crate) fn new(element: &ResolvedElement) -> Self {
        let addresses: Vec<RserpoolAddress> = element.addresses.iter().map(Into::into).collect();
        let addresses = Box::leak(addresses.into_boxed_slice());
        Self {
            pe: element.pe.get(),
            home: element.home.get(),
            transport: match element.transport {
                TransportKind::Tcp => RserpoolTransport::Tcp,
                TransportKind::Udp => RserpoolTransport::Udp,
                TransportKind::Sctp => RserpoolTransport::Sctp,
                TransportKind::UdpLite | TransportKind::Dccp | TransportKind::Opaque => {
                    RserpoolTransport::Other
                }
            },
            address_count: addresses.len(),
            addresses: addresses.as_mut_ptr(),
        }
    }

    /// Frees what it points to.
    ///
    /// # Safety
    /// It comes from [`RserpoolElement::new`], and is freed once.
    pub(crate) unsafe fn free(self) {
        let slice = std::ptr::slice_from_raw_parts_mut(self.addresses, self.address_count);
        // SAFETY: it is the boxed slice that `new` leaked.
        drop(unsafe { Box::from_raw(slice) });
    }
}
