//! The engine against a plain model, operation by operation.

mod model;
mod run;
mod session;

pub(crate) use run::run;
pub(crate) use session::{Op, Session, Size};
