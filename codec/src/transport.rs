//! Transport parameters (RFC 5354, 3.3 to 3.7 and 3.16).

use alloc::vec::Vec;
use core::fmt;

use rserpool_engine::{ChannelUse, TransportKind};

use crate::address::Addresses;
use crate::error::{DecodeError, EmitError, Fault};
use crate::frame::LengthForm;
use crate::parameter::kind;
use crate::reader::{self, Reader, Tlv};
use crate::writer::Writer;

/// A transport parameter. Fields its kind does not have are zero or empty
/// when read and ignored when written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport<'a> {
    /// The protocol, which is the parameter's type.
    pub kind: TransportKind,
    /// The port, not 0; not for `Opaque`.
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
        Self { channel_use, ..Self::ip(TransportKind::Sctp, port, addresses) }
    }

    /// A TCP transport (data only, RFC 5354, 3.5) with one address.
    #[must_use]
    pub const fn tcp(port: u16, addresses: Addresses<'a>) -> Self {
        Self::ip(TransportKind::Tcp, port, addresses)
    }

    /// A UDP transport with one address.
    #[must_use]
    pub const fn udp(port: u16, addresses: Addresses<'a>) -> Self {
        Self::ip(TransportKind::Udp, port, addresses)
    }

    /// A UDP-Lite transport with one address.
    #[must_use]
    pub const fn udp_lite(port: u16, addresses: Addresses<'a>) -> Self {
        Self::ip(TransportKind::UdpLite, port, addresses)
    }

    /// A DCCP transport with one address.
    #[must_use]
    pub const fn dccp(port: u16, service_code: u32, addresses: Addresses<'a>) -> Self {
        Self { service_code, ..Self::ip(TransportKind::Dccp, port, addresses) }
    }

    /// An opaque transport address.
    #[must_use]
    pub const fn opaque(opaque: &'a [u8]) -> Self {
        Self { opaque, ..Self::ip(TransportKind::Opaque, 0, Addresses::List(&[])) }
    }

    const fn ip(kind: TransportKind, port: u16, addresses: Addresses<'a>) -> Self {
        let channel_use = ChannelUse::Data;
        Self { kind, port, channel_use, service_code: 0, addresses, opaque: &[] }
    }

    /// Reads a whole transport parameter, with or without padding.
    ///
    /// # Errors
    /// What is wrong; offsets count from the parameter's start.
    pub fn parse(tlv: &'a [u8]) -> Result<Self, DecodeError<'a>> {
        reader::lone(tlv, |tlv| Self::read(tlv, &mut false))
    }

    /// Appends the parameter, padded to a multiple of 4 bytes.
    ///
    /// # Errors
    /// The transport cannot be written; `out` is as it was.
    pub fn emit(&self, out: &mut Vec<u8>, form: LengthForm) -> Result<(), EmitError> {
        Writer::append(out, form, |w| self.write(w))
    }

    /// Reads the parameter, which has to be a transport.
    #[inline]
    pub(crate) fn read(tlv: &Tlv<'a>, reportable: &mut bool) -> Result<Self, DecodeError<'a>> {
        let kind = match tlv.kind {
            kind::DCCP => TransportKind::Dccp,
            kind::SCTP => TransportKind::Sctp,
            kind::TCP => TransportKind::Tcp,
            kind::UDP => TransportKind::Udp,
            kind::UDP_LITE => TransportKind::UdpLite,
            kind::OPAQUE => return Ok(Self::opaque(tlv.value)),
            _ => return Err(tlv.invalid(Fault::Misplaced)),
        };
        let short = || tlv.invalid(Fault::Length);
        let (&[p0, p1, u0, u1], mut rest) = tlv.value.split_first_chunk().ok_or_else(short)?;
        let mut service_code = 0;
        if kind == TransportKind::Dccp {
            let (code, after) = rest.split_first_chunk().ok_or_else(short)?;
            service_code = u32::from_be_bytes(*code);
            rest = after;
        }
        let count = Addresses::count(rest, reportable)?;
        let channel_use = match (kind, u16::from_be_bytes([u0, u1])) {
            (TransportKind::Sctp, 0) => ChannelUse::Data,
            (TransportKind::Sctp, 1) => ChannelUse::DataAndControl,
            (TransportKind::Sctp, _) => return Err(tlv.invalid(Fault::Value)),
            // Reserved by the RFC; rsplib's transport use.
            (TransportKind::Tcp, bits) if bits & 1 == 1 => ChannelUse::DataAndControl,
            _ => ChannelUse::Data,
        };
        let port = u16::from_be_bytes([p0, p1]);
        if port == 0 || !allows(kind, count) {
            return Err(tlv.invalid(Fault::Value));
        }
        let addresses = Addresses::Wire(rest);
        Ok(Self { kind, port, channel_use, service_code, addresses, opaque: &[] })
    }

    /// Appends the parameter.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        let [p0, p1] = self.port.to_be_bytes();
        let [u0, u1] = u16::from(self.channel_use as u8).to_be_bytes();
        let start = match self.kind {
            TransportKind::Opaque => return w.leaf(kind::OPAQUE, self.opaque),
            TransportKind::Dccp => {
                let [s0, s1, s2, s3] = self.service_code.to_be_bytes();
                w.open(kind::DCCP, [p0, p1, 0, 0, s0, s1, s2, s3])
            }
            TransportKind::Sctp => w.open(kind::SCTP, [p0, p1, u0, u1]),
            TransportKind::Tcp => w.open(kind::TCP, [p0, p1, u0, u1]),
            TransportKind::Udp => w.open(kind::UDP, [p0, p1, 0, 0]),
            TransportKind::UdpLite => w.open(kind::UDP_LITE, [p0, p1, 0, 0]),
        };
        let count = self.addresses.write(w)?;
        if self.port == 0 || !allows(self.kind, count) {
            return Err(EmitError::Transport);
        }
        w.close(&start)
    }
}

/// Whether a transport of this kind may have so many addresses.
fn allows(kind: TransportKind, addresses: usize) -> bool {
    addresses == 1 || addresses > 1 && kind == TransportKind::Sctp
}

/// The transports of a Server Announce: SCTP and TCP. Written with the SCTP
/// transports last, because rsplib stops reading at the first. Equal if they
/// yield equal transports.
#[derive(Clone, Copy)]
pub struct Transports<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [Transport<'a>]),
}

impl<'a> Transports<'a> {
    /// No transports.
    pub const EMPTY: Self = Self::list(&[]);

    /// Transports to be written.
    #[must_use]
    pub const fn list(list: &'a [Transport<'a>]) -> Self {
        Self(Source::List(list))
    }

    /// The transports in their order.
    pub fn iter(&self) -> impl Iterator<Item = Transport<'a>> + use<'a> {
        let (wire, list) = match self.0 {
            Source::Wire(bytes) => (bytes, [].as_slice()),
            Source::List(list) => ([].as_slice(), list),
        };
        let mut rest = wire;
        let read = core::iter::from_fn(move || {
            let mut reportable = false;
            let mut reader = Reader::new(rest, &mut reportable);
            let tlv = reader.next().ok()??;
            rest = reader.rest();
            Transport::read(&tlv, &mut reportable).ok()
        });
        read.chain(list.iter().copied())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Reads all parameters that are left.
    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Result<Self, DecodeError<'a>> {
        let all = reader.rest();
        while let Some(tlv) = reader.next()? {
            if !matches!(tlv.kind, kind::SCTP | kind::TCP) {
                return Err(tlv.invalid(Fault::Misplaced));
            }
            Transport::read(&tlv, reader.reportable)?;
        }
        Ok(Self(Source::Wire(all)))
    }

    /// Appends the transports, SCTP last.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        for transport in self.iter() {
            match transport.kind {
                TransportKind::Tcp => transport.write(w)?,
                TransportKind::Sctp => {}
                TransportKind::Dccp
                | TransportKind::Udp
                | TransportKind::UdpLite
                | TransportKind::Opaque => return Err(EmitError::Transport),
            }
        }
        for transport in self.iter() {
            if transport.kind == TransportKind::Sctp {
                transport.write(w)?;
            }
        }
        Ok(())
    }
}

impl PartialEq for Transports<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Transports<'_> {}

impl fmt::Debug for Transports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
