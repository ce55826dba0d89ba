//! The Server Information parameter (RFC 5354, 3.11).

use core::fmt;

use rserpool_engine::{RegistrarId, TransportKind};

use crate::error::{DecodeError, EmitError, Fault};
use crate::parameter::kind;
use crate::reader::{Reader, Tlv};
use crate::transport::Transport;
use crate::writer::Writer;

/// A registrar and where it takes ENRP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server<'a> {
    /// The registrar's identifier. 0 is read, too: rsplib lists peers so that
    /// it was configured with and has not met.
    pub registrar: RegistrarId,
    /// An SCTP transport.
    pub transport: Transport<'a>,
}

impl<'a> Server<'a> {
    /// Reads the parameter, which has to be a Server Information.
    pub(crate) fn read(tlv: &Tlv<'a>, reportable: &mut bool) -> Result<Self, DecodeError<'a>> {
        let (registrar, rest) =
            tlv.value.split_first_chunk().ok_or_else(|| tlv.invalid(Fault::Length))?;
        let mut reader = Reader::new(rest, reportable);
        let transport = reader.next()?.ok_or_else(|| tlv.invalid(Fault::Missing))?;
        if transport.kind != kind::SCTP {
            return Err(transport.invalid(Fault::Misplaced));
        }
        let transport = Transport::read(&transport, reader.reportable)?;
        reader.finish()?;
        Ok(Self { registrar: RegistrarId::new(u32::from_be_bytes(*registrar)), transport })
    }

    /// Appends the parameter.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        if self.transport.kind != TransportKind::Sctp {
            return Err(EmitError::Transport);
        }
        let start = w.open(kind::SERVER_INFORMATION, self.registrar.get().to_be_bytes());
        self.transport.write(w)?;
        w.close(&start)
    }
}

/// A sequence of registrars. Equal if they yield equal registrars.
#[derive(Clone, Copy)]
pub struct Servers<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [Server<'a>]),
}

impl<'a> Servers<'a> {
    /// No registrars.
    pub const EMPTY: Self = Self::list(&[]);

    /// Registrars to be written.
    #[must_use]
    pub const fn list(list: &'a [Server<'a>]) -> Self {
        Self(Source::List(list))
    }

    /// The registrars in their order.
    pub fn iter(&self) -> impl Iterator<Item = Server<'a>> + use<'a> {
        let (mut rest, list) = match self.0 {
            Source::Wire(bytes) => (bytes, [].as_slice()),
            Source::List(list) => ([].as_slice(), list),
        };
        let read = core::iter::from_fn(move || {
            let mut reportable = false;
            let mut reader = Reader::new(rest, &mut reportable);
            let tlv = reader.next().ok()??;
            rest = reader.rest();
            Server::read(&tlv, &mut reportable).ok()
        });
        read.chain(list.iter().copied())
    }

    /// Reads all parameters that are left.
    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Result<Self, DecodeError<'a>> {
        let all = reader.rest();
        while let Some(tlv) = reader.next()? {
            if tlv.kind != kind::SERVER_INFORMATION {
                return Err(tlv.invalid(Fault::Misplaced));
            }
            Server::read(&tlv, reader.reportable)?;
        }
        Ok(Self(Source::Wire(all)))
    }

    /// Appends the registrars.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EmitError> {
        self.iter().try_for_each(|server| server.write(w))
    }
}

impl PartialEq for Servers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Servers<'_> {}

impl fmt::Debug for Servers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
