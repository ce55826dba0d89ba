//! Encoding and decoding of the ASAP and ENRP messages of RFC 5352, 5353 and 5354.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]
#![expect(
    clippy::todo,
    clippy::needless_pass_by_ref_mut,
    unused_variables,
    dead_code,
    reason = "signatures first"
)]

mod address;
pub mod asap;
mod cause;
mod element;
pub mod enrp;
mod error;
mod frame;
pub mod parameter;
mod transport;
mod unrecognized;

pub use address::Addresses;
pub use cause::{Cause, CauseCode, Causes};
pub use element::{Element, Elements};
pub use error::{DecodeError, EmitError, Fault, Reply};
pub use frame::{Frame, LengthForm, frame};
pub use transport::{Transport, Transports};
pub use unrecognized::Unrecognized;
