//! Programs without a runtime.

use std::time::Duration;

use rserpool_client::blocking::Endpoint;
use rserpool_client::{Error, Policy, RegistrarUrl, Service, session};
use rserpool_registrar::{Options, start};

#[test]
fn what_is_registered_is_resolved_until_it_is_deregistered() {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let options = Options { asap, shards: Some(1), ..Options::default() };
    let registrar = start(&options).unwrap();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).unwrap();
    // It accepts by its backlog, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let service = Service::tcp("Pool", at, Policy::LeastUsed { load: 0 });
    let element = endpoint.register(service).unwrap();
    element.update(Policy::LeastUsed { load: 5 }).unwrap();
    let found = endpoint.resolve("Pool", 1).unwrap();
    assert_eq!(found.elements[0].policy, Policy::LeastUsed { load: 5 });
    let mut session = endpoint.session("Pool", session::Config::default()).unwrap();
    assert_eq!(session.peer(), element.pe());
    session.send(1, *b"hello").unwrap();
    assert_eq!(session.receive_timeout(Duration::from_millis(10)).unwrap(), None);
    session.close();
    element.deregister().unwrap();
    assert!(endpoint.resolve("Pool", 1).unwrap_err().is_unknown_pool());
    endpoint.shutdown();
    assert!(matches!(endpoint.resolve("Pool", 1), Err(Error::Closed)));
    registrar.stop().unwrap();
}

#[test]
fn without_a_registrar_there_is_no_endpoint() {
    let none: [RegistrarUrl; 0] = [];
    assert!(matches!(Endpoint::connect(none), Err(Error::NoRegistrar(None))));
}
