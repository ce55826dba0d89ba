//! Messages and parameters as lengths and types see them (RFC 5354, 2 and 4).

use crate::error::{DecodeError, Fault, Reply};
use crate::frame::padded;
use crate::parameter::kind;
use crate::unrecognized::Unrecognized;

/// A message, cut out by its header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) code: u8,
    pub(crate) flags: u8,
    /// The message by its length.
    pub(crate) whole: &'a [u8],
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl<'a> Header<'a> {
    /// Cuts a message out. The length may or may not count the last padding,
    /// which may or may not be there.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError<'a>> {
        let malformed = || DecodeError::invalid(Fault::Length, bytes.get(..0).unwrap_or(bytes));
        let (&[code, flags, high, low], _) = bytes.split_first_chunk().ok_or_else(malformed)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let whole = bytes.get(..length).ok_or_else(malformed)?;
        let body = whole.get(4..).ok_or_else(malformed)?;
        if bytes.len() > padded(length) {
            return Err(malformed());
        }
        Ok(Self { code, flags, whole, body })
    }

    /// What is to be done about a message of an unknown type.
    #[cold]
    pub(crate) fn unknown(&self) -> DecodeError<'a> {
        // 10 and 11 are reserved: nobody can expect an answer to those.
        let reply = if self.code >> 6 == 0b01 { Reply::Report } else { Reply::Silent };
        DecodeError::unknown_message(reply, self.whole)
    }
}

/// Reads a whole message with `read`, which sets its second argument if a
/// parameter was skipped that is to be reported. `error_code` is the type of
/// error messages.
#[inline]
pub(crate) fn message<'a, M>(
    bytes: &'a [u8],
    error_code: u8,
    reportable: &mut bool,
    read: impl FnOnce(&Header<'a>, &mut bool) -> Result<M, DecodeError<'a>>,
) -> Result<M, DecodeError<'a>> {
    match Header::read(bytes) {
        Ok(header) => {
            read(&header, reportable).map_err(|error| error.in_message(bytes, error_code))
        }
        Err(error) => Err(error.in_message(bytes, error_code)),
    }
}

/// The parameters to report of a message that was read. `fields` is the size
/// of what comes before the parameters of a message of a type.
#[cold]
pub(crate) fn unrecognized(
    bytes: &[u8],
    error_code: u8,
    fields: impl FnOnce(u8) -> usize,
) -> Unrecognized<'_> {
    match Header::read(bytes) {
        Ok(header) if header.code != error_code => {
            Unrecognized::among(header.body.get(fields(header.code)..).unwrap_or_default())
        }
        _ => Unrecognized::default(),
    }
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'a> {
    pub(crate) kind: u16,
    /// All of it but the padding.
    pub(crate) whole: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Takes the first parameter and its padding off `rest`; the padding of
    /// the last one may be missing.
    #[inline]
    pub(crate) fn take(rest: &mut &'a [u8]) -> Result<Option<Self>, DecodeError<'a>> {
        let all = *rest;
        let Some((&[t0, t1, l0, l1], _)) = all.split_first_chunk() else {
            return if all.is_empty() {
                Ok(None)
            } else {
                Err(DecodeError::invalid(Fault::Length, all))
            };
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let whole = all.get(..length);
        let Some((whole, value)) = whole.and_then(|whole| Some((whole, whole.get(4..)?))) else {
            return Err(DecodeError::invalid(Fault::Length, all));
        };
        *rest = all.get(padded(length).min(all.len())..).unwrap_or_default();
        Ok(Some(Self { kind: u16::from_be_bytes([t0, t1]), whole, value }))
    }

    /// The value as an integer.
    pub(crate) fn word(&self) -> Result<u32, DecodeError<'a>> {
        let word = self.value.try_into().map_err(|_| self.invalid(Fault::Length))?;
        Ok(u32::from_be_bytes(word))
    }

    /// The value as a short integer.
    pub(crate) fn half(&self) -> Result<u16, DecodeError<'a>> {
        let half = self.value.try_into().map_err(|_| self.invalid(Fault::Length))?;
        Ok(u16::from_be_bytes(half))
    }

    #[cold]
    pub(crate) fn invalid(&self, fault: Fault) -> DecodeError<'a> {
        DecodeError::invalid(fault, self.whole)
    }

    /// By the action bits of a type that is not known here: `Ok(true)` is to
    /// be skipped and reported, `Ok(false)` to be skipped.
    #[cold]
    pub(crate) fn unknown(&self) -> Result<bool, DecodeError<'a>> {
        match self.kind >> 14 {
            0b00 => Err(DecodeError::unknown_parameter(Reply::Silent, self.whole)),
            0b01 => Err(DecodeError::unknown_parameter(Reply::Report, self.whole)),
            action => Ok(action == 0b11),
        }
    }
}

/// Reads one whole parameter, with or without padding.
pub(crate) fn lone<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&Tlv<'a>) -> Result<T, DecodeError<'a>>,
) -> Result<T, DecodeError<'a>> {
    let mut rest = bytes;
    let whole = Tlv::take(&mut rest).and_then(|tlv| match tlv {
        Some(_) if !rest.is_empty() => Err(DecodeError::invalid(Fault::Length, rest)),
        Some(tlv) => Ok(tlv),
        None => Err(DecodeError::invalid(Fault::Missing, bytes)),
    });
    whole.and_then(|tlv| read(&tlv)).map_err(|error| error.located_in(bytes))
}

/// Goes over the parameters of a message or of another parameter.
#[derive(Debug)]
pub(crate) struct Reader<'a, 'r> {
    rest: &'a [u8],
    /// Becomes true when a parameter was skipped that is to be reported.
    pub(crate) reportable: &'r mut bool,
}

impl<'a, 'r> Reader<'a, 'r> {
    pub(crate) const fn new(parameters: &'a [u8], reportable: &'r mut bool) -> Self {
        Self { rest: parameters, reportable }
    }

    /// The next parameter of a type in RFC 5354. Unknown ones are skipped, or
    /// an error, by their action bits.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Tlv<'a>>, DecodeError<'a>> {
        loop {
            match Tlv::take(&mut self.rest)? {
                Some(tlv) if !kind::is_known(tlv.kind) => *self.reportable |= tlv.unknown()?,
                next => return Ok(next),
            }
        }
    }

    /// The next parameter if it is of this type.
    #[inline]
    pub(crate) fn optional(&mut self, kind: u16) -> Result<Option<Tlv<'a>>, DecodeError<'a>> {
        let before = self.rest;
        match self.next()? {
            Some(tlv) if tlv.kind == kind => Ok(Some(tlv)),
            _ => {
                self.rest = before;
                Ok(None)
            }
        }
    }

    /// The next parameter, which has to be of this type.
    #[inline]
    pub(crate) fn expect(&mut self, kind: u16) -> Result<Tlv<'a>, DecodeError<'a>> {
        match self.next()? {
            Some(tlv) if tlv.kind == kind => Ok(tlv),
            Some(tlv) => Err(tlv.invalid(Fault::Misplaced)),
            None => Err(DecodeError::invalid(Fault::Missing, self.rest)),
        }
    }

    /// Nothing may follow, except what may be skipped.
    #[inline]
    pub(crate) fn finish(mut self) -> Result<(), DecodeError<'a>> {
        match self.next()? {
            Some(tlv) => Err(tlv.invalid(Fault::Misplaced)),
            None => Ok(()),
        }
    }

    /// A field of 4 bytes that comes before the parameters.
    pub(crate) fn word(&mut self) -> Result<u32, DecodeError<'a>> {
        let (word, rest) = self.rest.split_first_chunk().ok_or_else(|| {
            DecodeError::invalid(Fault::Length, self.rest.get(..0).unwrap_or_default())
        })?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*word))
    }

    /// The bytes not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
