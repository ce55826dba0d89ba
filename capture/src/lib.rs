//! The ASAP and ENRP messages (RFC 5352, 5353) of a capture file: pcap or
//! pcapng, over SCTP, SCTP over UDP, TCP and UDP.
//!
//! ```
//! use rserpool_capture::{Ports, decode};
//!
//! # let file: &[u8] = &[];
//! let mut text = Vec::new();
//! let (counts, broken) = decode(file, &Ports::default(), |told| {
//!     told.write_text(&mut text).expect("there is memory");
//! });
//! println!("{} messages", counts.messages);
//! # assert!(broken.is_err());
//! ```

mod decoder;
mod fields;
mod file;
mod message;
mod network;
mod recent;
mod sctp;
mod tcp;
#[cfg(test)]
mod tests;
mod told;

pub use decoder::{Ports, decode};
pub use file::Broken;
pub use told::{Counts, Told};
