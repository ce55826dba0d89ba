//! Operation errors and their causes (RFC 5354, 3.12).

/// One cause of an operation error. The code may be any, also rsplib's
/// private ones: see [`CauseCode::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause<'a> {
    /// The cause code as on the wire.
    pub code: u16,
    /// The data, without padding; empty where the cause has none.
    pub data: &'a [u8],
}

/// The cause codes of RFC 5354, 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum CauseCode {
    /// No reason given.
    Unspecified = 0x0,
    /// Data: the parameter.
    UnrecognizedParameter = 0x1,
    /// Data: the message.
    UnrecognizedMessage = 0x2,
    /// Data: the offending parameter.
    InvalidValues = 0x3,
    /// No data.
    NonUniquePeId = 0x4,
    /// Data: the pool's policy parameter.
    InconsistentPolicy = 0x5,
    /// No data.
    LackOfResources = 0x6,
    /// Data: a transport parameter of the pool's kind.
    InconsistentTransport = 0x7,
    /// No data.
    InconsistentChannelUse = 0x8,
    /// Data: the pool handle parameter.
    UnknownPoolHandle = 0x9,
    /// No data.
    SecurityConsiderations = 0xa,
}

impl CauseCode {
    /// What a code means: one of the RFC's, or the one that comes nearest to
    /// a private code of rsplib. `None` if it is not known.
    #[must_use]
    pub const fn of(code: u16) -> Option<Self> {
        todo!()
    }
}

impl<'a> Cause<'a> {
    /// A cause.
    #[must_use]
    pub const fn new(code: CauseCode, data: &'a [u8]) -> Self {
        Self { code: code as u16, data }
    }
}

/// One or more causes: the content of an operation error.
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a>(&'a [u8]);

impl<'a> Causes<'a> {
    /// Causes to be written; the most important first.
    #[must_use]
    pub const fn list(list: &'a [Cause<'a>]) -> Self {
        todo!()
    }

    /// The causes in their order.
    pub fn iter(&self) -> impl Iterator<Item = Cause<'a>> + use<'a> {
        todo!();
        #[expect(unreachable_code, reason = "signatures first")]
        core::iter::empty()
    }

    /// The first cause, which is the most important one.
    #[must_use]
    pub fn first(&self) -> Option<Cause<'a>> {
        todo!()
    }
}

impl PartialEq for Causes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Causes<'_> {}
