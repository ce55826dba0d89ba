//! The Pool Element parameter (RFC 5354, 3.10).

use rserpool_engine::{PeId, Policy, RegistrarId};

use crate::{DecodeError, EmitError, LengthForm, Transport};

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
        todo!()
    }

    /// Appends the parameter, padded to a multiple of 4 bytes.
    ///
    /// # Errors
    /// The element cannot be written; `out` is as it was.
    pub fn emit(&self, out: &mut Vec<u8>, form: LengthForm) -> Result<(), EmitError> {
        todo!()
    }
}

/// A sequence of pool elements. Equal if they yield equal elements.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// No elements.
    pub const EMPTY: Self = Self(&[]);

    /// The Pool Element parameters in `bytes`.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn wire(bytes: &'a [u8]) -> Result<Self, DecodeError<'a>> {
        todo!()
    }

    /// Elements to be written.
    #[must_use]
    pub const fn list(list: &'a [Element<'a>]) -> Self {
        todo!()
    }

    /// How many there are. O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in their order.
    pub fn iter(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        self.iter_raw().map(|(element, _)| element)
    }

    /// The elements with their whole parameters without trailing padding,
    /// which are empty for elements from a list.
    pub fn iter_raw(&self) -> impl Iterator<Item = (Element<'a>, &'a [u8])> + use<'a> {
        todo!();
        #[expect(unreachable_code, reason = "signatures first")]
        core::iter::empty()
    }
}

impl PartialEq for Elements<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Elements<'_> {}
