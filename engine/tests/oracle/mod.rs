//! The engine against a plain model, operation by operation.

mod model;
mod session;

pub(crate) use session::{Op, Session, Size};
