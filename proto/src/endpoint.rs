//! A pool element's and pool user's side of one association with a registrar.

mod conversation;
mod event;
mod requests;

pub use conversation::{Config, Conversation, Full};
pub use event::{Event, Request, TimedOut, Unexpected};
