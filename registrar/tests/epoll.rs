//! What holds on io_uring holds on epoll: the same tests, on the other host.
//! `peer::options` chooses it by the name of this crate.

#![expect(clippy::duplicate_mod, reason = "each test file has its own copy of peer")]

#[path = "hostile.rs"]
mod hostile;
#[path = "lifecycle.rs"]
mod lifecycle;
#[path = "sctp.rs"]
mod sctp;
#[path = "service.rs"]
mod service;

#[path = "peer/mod.rs"]
mod peer;

#[test]
fn these_tests_run_on_epoll() {
    let running = peer::registrar(2);
    assert_eq!(running.bound().host, rserpool_registrar::Host::Epoll);
    assert_eq!(running.bound().io_uring_refused, None, "nobody asked for it");
}
