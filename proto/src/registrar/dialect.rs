//! What peers of one kind read differently from others.

use rserpool_codec::LengthForm;

use crate::LifeUnit;

/// How a registrar speaks with the peers of one transport. rsplib, which knows
/// SCTP only, departs from the RFCs in places; `docs/compatibility.md` has all
/// of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How lengths are written; both are read.
    pub length_form: LengthForm,
    /// The unit of the registration life on the wire.
    pub life_unit: LifeUnit,
    /// Whether a pool element whose registration life is over is told so by
    /// an unsolicited deregistration response (RFC 5352, 3.2). An rsplib pool
    /// element drops its association on one.
    pub expiry_notice: bool,
    /// Whether parameters that were skipped although their type asks for a
    /// report are reported (RFC 5354, 2) by an ASAP error beside the answer.
    /// rsplib drops its association on one.
    pub reports: bool,
    /// Whether a keep-alive names its pool element. By RFC 5352, 2.2.7, it
    /// names the pool alone; rsplib acknowledges such a one for every element
    /// it has.
    pub keep_alive_names_element: bool,
}

impl Dialect {
    /// The letter of the RFCs.
    pub const RFC: Self = Self {
        length_form: LengthForm::Rfc,
        life_unit: LifeUnit::Seconds,
        expiry_notice: true,
        reports: true,
        keep_alive_names_element: false,
    };

    /// rsplib's.
    pub const RSPLIB: Self = Self {
        length_form: LengthForm::Padded,
        life_unit: LifeUnit::Milliseconds,
        expiry_notice: false,
        reports: false,
        keep_alive_names_element: true,
    };
}
