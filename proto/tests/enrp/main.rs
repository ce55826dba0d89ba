//! The registrar group (RFC 5353), on a virtual clock and a network of the
//! test's making: each rule, each decision of `docs/design/`, and what hostile
//! or foreign registrars may say.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod cluster;
mod foreign;
mod group;
mod hostile;
mod partition;
mod random;
mod script;
mod startup;
mod takeover;
mod updates;
