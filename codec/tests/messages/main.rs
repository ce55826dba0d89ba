//! Every message against its bytes, against the laws of reading and writing,
//! and against bytes that are no message.
#![cfg(test)]

mod acceptance;
mod captured;
mod golden;
mod laws;
mod owned;
mod resistance;
mod rules;
mod tree;
mod vectors;
