//! The registrar group (RFC 5353), on a virtual clock and a network of the
//! test's making: each rule, each decision of `docs/design/`, and what hostile
//! or foreign registrars may say.

mod cluster;
mod group;
mod partition;
mod startup;
mod takeover;
mod updates;
