//! The Server Information parameter (RFC 5354, 3.11).

use rserpool_engine::RegistrarId;

use crate::Transport;

/// A registrar and where it takes ENRP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server<'a> {
    /// The registrar's identifier.
    pub registrar: RegistrarId,
    /// An SCTP transport.
    pub transport: Transport<'a>,
}

/// A sequence of registrars. Equal if they yield equal registrars.
#[derive(Clone, Copy, Debug)]
pub struct Servers<'a>(&'a [u8]);

impl<'a> Servers<'a> {
    /// No registrars.
    pub const EMPTY: Self = Self(&[]);

    /// Registrars to be written.
    #[must_use]
    pub const fn list(list: &'a [Server<'a>]) -> Self {
        todo!()
    }

    /// The registrars in their order.
    pub fn iter(&self) -> impl Iterator<Item = Server<'a>> + use<'a> {
        todo!();
        #[expect(unreachable_code, reason = "signatures first")]
        core::iter::empty()
    }
}

impl PartialEq for Servers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Servers<'_> {}
