//! Sessions between pool users and pool elements (RFC 5352, 3.8 and 3.9): a
//! data channel and a control channel over one association.
//!
//! Over SCTP the payload protocol identifier tells the channels apart: that of
//! ASAP is the control channel, all others are data. Over TCP, for which the
//! RFCs have no mapping, each message is a [frame](emit_frame):
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------------------------------+
//! |                  length of the message in bytes               |
//! +---------------------------------------------------------------+
//! |                  payload protocol identifier                  |
//! +---------------------------------------------------------------+
//! |                  message, not padded                          |
//! ```
//!
//! Both numbers are big endian. A length beyond what the receiver takes ends
//! the connection.

mod frame;
mod pool_user;

pub use frame::{FRAME_HEADER_BYTES, Framed, emit_frame, read_frame};
pub use pool_user::{Control, PoolUser};
