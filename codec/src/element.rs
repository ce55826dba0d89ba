//! The Pool Element parameter (RFC 5354, 3.10).

use alloc::vec::Vec;
use core::fmt;

use rserpool_engine::{ChannelUse, PeId, Policy, RegistrarId, TransportKind};

use crate::error::{DecodeError, EmitError, Fault};
use crate::frame::{LengthForm, padded};
use crate::parameter::kind;
use crate::policy;
use crate::reader::{self, Reader, Tlv};
use crate::transport::Transport;
use crate::writer::Writer;

/// A Pool Element parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The PE identifier, not 0.
    pub pe: PeId,
    /// The home registrar; 0 if it is not determined yet.
    pub home: RegistrarId,
    /// The registration life as on the wire: -1 is infinite, the unit is the
    /// caller's matter (seconds by the RFC, milliseconds with rsplib).
    pub life: i32,
    /// Where the service is.
    pub user_transport: Transport<'a>,
    /// The policy with this element's parameters.
    pub policy: Policy,
    /// Where the pool element takes ASAP: an SCTP transport, data only.
    pub asap_transport: Option<Transport<'a>>,
}

impl<'a> Element<'a> {
    /// Reads a whole Pool Element parameter, with or without padding.
    ///
    /// # Errors
    /// What is wrong; offsets count from the parameter's start.
    pub fn parse(tlv: &'a [u8]) -> Result<Self, DecodeError<'a>> {
        reader::lone(tlv, |tlv| match tlv.kind {
            kind::POOL_ELEMENT => Self::read(tlv, &mut false),
            _ => Err(tlv.invalid(Fault::Misplaced)),
        })
    }

    /// Appends the parameter, padded to a multiple of 4 bytes.
    ///
    /// # Errors
    /// The element cannot be written; `out` is as it was.
    pub fn emit(&self, out: &mut Vec<u8>, form: LengthForm) -> Result<(), EmitError> {
        Writer::append(out, form, |w| self.write(w))
    }

    /// Reads the parameter, which has to be a Pool Element.
    #[inline]
    pub(crate) fn read(tlv: &Tlv<'a>, reportable: &mut bool) -> Result<Self, DecodeError<'a>> {
        let Some((&[p0, p1, p2, p3, h0, h1, h2, h3, l0, l1, l2, l3], parameters)) =
            tlv.value.split_first_chunk()
        else {
            return Err(tlv.invalid(Fault::Length));
        };
        let pe = PeId::new(u32::from_be_bytes([p0, p1, p2, p3]));
        if pe.is_none() {
            return Err(tlv.invalid(Fault::Value));
        }
        let mut reader = Reader::new(parameters, reportable);
        let missing = || tlv.invalid(Fault::Missing);
        let transport = reader.next()?.ok_or_else(missing)?;
        let user_transport = Transport::read(&transport, reader.reportable)?;
        let policy = reader.next()?.ok_or_else(missing)?;
        if policy.kind != kind::POLICY {
            return Err(policy.invalid(Fault::Misplaced));
        }
        let policy = policy::read(&policy)?;
        let mut asap_transport = None;
        if let Some(tlv) = reader.optional(kind::SCTP)? {
            let transport = Transport::read(&tlv, reader.reportable)?;
            if transport.channel_use != ChannelUse::Data {
                return Err(tlv.invalid(Fault::Value));
            }
            asap_transport = Some(transport);
        }
        reader.finish()?;
        let home = RegistrarId::new(u32::from_be_bytes([h0, h1, h2, h3]));
        let life = i32::from_be_bytes([l0, l1, l2, l3]);
        Ok(Self { pe, home, life, user_transport, policy, asap_transport })
    }

    /// Appends the parameter.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        if self.pe.is_none() {
            return Err(EmitError::PeId);
        }
        let start = w.open(kind::POOL_ELEMENT, self.pe.get().to_be_bytes());
        w.word(self.home.get());
        w.bytes(self.life.to_be_bytes());
        self.user_transport.write(w)?;
        policy::write(w, self.policy)?;
        if let Some(transport) = &self.asap_transport {
            let allowed = (TransportKind::Sctp, ChannelUse::Data);
            if (transport.kind, transport.channel_use) != allowed {
                return Err(EmitError::Transport);
            }
            transport.write(w)?;
        }
        w.close(&start)
    }
}

/// Where the home registrar's identifier is in a Pool Element parameter.
pub(crate) const HOME_OFFSET: usize = 8;

/// Appends a stored parameter with another home registrar. `None`: it is not a
/// whole Pool Element parameter, or `out` would be longer than `end`.
#[inline]
pub(crate) fn copy(out: &mut Vec<u8>, end: usize, record: &[u8], home: RegistrarId) -> Option<()> {
    let &[t0, t1, l0, l1] = record.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let whole = record.len() == padded(length) && length >= HOME_OFFSET + 4;
    if [t0, t1] != kind::POOL_ELEMENT.to_be_bytes() || !whole || end < out.len() + record.len() {
        return None;
    }
    let start = out.len();
    out.extend_from_slice(record);
    crate::writer::patch(out, start + HOME_OFFSET, home.get().to_be_bytes());
    Some(())
}

/// A sequence of pool elements. Equal if they yield equal elements.
#[derive(Clone, Copy)]
pub struct Elements<'a> {
    source: Source<'a>,
    len: usize,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [Element<'a>]),
}

impl<'a> Elements<'a> {
    /// No elements.
    pub const EMPTY: Self = Self::list(&[]);

    /// The Pool Element parameters in `bytes`.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn wire(bytes: &'a [u8]) -> Result<Self, DecodeError<'a>> {
        let mut reportable = false;
        let mut reader = Reader::new(bytes, &mut reportable);
        let elements = Self::read(&mut reader);
        elements
            .and_then(|elements| reader.finish().map(|()| elements))
            .map_err(|error| error.located_in(bytes))
    }

    /// Elements to be written.
    #[must_use]
    pub const fn list(list: &'a [Element<'a>]) -> Self {
        Self { source: Source::List(list), len: list.len() }
    }

    /// How many there are. O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in their order.
    pub fn iter(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        self.iter_raw().map(|(element, _)| element)
    }

    /// The elements with their whole parameters without trailing padding,
    /// which are empty for elements from a list.
    pub fn iter_raw(&self) -> impl Iterator<Item = (Element<'a>, &'a [u8])> + use<'a> {
        let (mut rest, list) = match self.source {
            Source::Wire(bytes) => (bytes, [].as_slice()),
            Source::List(list) => ([].as_slice(), list),
        };
        let read = core::iter::from_fn(move || {
            let mut reportable = false;
            let mut reader = Reader::new(rest, &mut reportable);
            let tlv = reader.next().ok()??;
            rest = reader.rest();
            Some((Element::read(&tlv, &mut reportable).ok()?, tlv.whole))
        });
        read.chain(list.iter().map(|element| (*element, [].as_slice())))
    }

    /// Reads the Pool Element parameters that come next.
    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Result<Self, DecodeError<'a>> {
        let all = reader.rest();
        let mut len = 0;
        while let Some(tlv) = reader.optional(kind::POOL_ELEMENT)? {
            Element::read(&tlv, reader.reportable)?;
            len += 1;
        }
        let bytes = all.get(..all.len() - reader.rest().len()).unwrap_or_default();
        Ok(Self { source: Source::Wire(bytes), len })
    }

    /// Appends the elements.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        self.iter().try_for_each(|element| element.write(w))
    }
}

impl PartialEq for Elements<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for Elements<'_> {}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
