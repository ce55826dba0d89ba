//! Pool elements and pool users against a registrar in this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_client::{Association, Error, Policy, Service};
use rserpool_registrar::{Options, Running, start};

fn registrar(keep_alive: Duration) -> Running {
    let options = Options {
        asap: vec!["tcp://127.0.0.1:0".parse().unwrap()],
        shards: Some(2),
        keep_alive_interval: keep_alive,
        keep_alive_timeout: keep_alive,
        ..Options::default()
    };
    start(&options).unwrap()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[tokio::test]
async fn what_is_registered_is_resolved_until_it_is_deregistered() {
    let registrar = registrar(Duration::from_secs(5));
    let association = Association::connect(registrar.asap_tcp()[0]).await.unwrap();
    let first = Service::tcp("EchoPool", at(7001), Policy::RoundRobin);
    let first = association.register(first).await.unwrap();
    let second = Service::tcp("EchoPool", at(7002), Policy::RoundRobin);
    let second = association.register(second).await.unwrap();

    let resolution = association.resolve("EchoPool", 10).await.unwrap();
    let ports: Vec<u16> = resolution.elements.iter().map(|one| one.addresses[0].port()).collect();
    assert_eq!(ports, [7001, 7002]);
    assert_eq!(resolution.policy, Policy::RoundRobin);

    first.deregister().await.unwrap();
    let left = association.resolve("EchoPool", 10).await.unwrap();
    assert_eq!(left.elements.len(), 1);
    assert_eq!(left.elements[0].pe, second.pe());
    second.deregister().await.unwrap();
    assert!(association.resolve("EchoPool", 10).await.unwrap_err().is_unknown_pool());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_update_changes_the_selection_order_at_once() {
    let registrar = registrar(Duration::from_secs(5));
    let association = Association::connect(registrar.asap_tcp()[0]).await.unwrap();
    let busy = Service::tcp("Pool", at(1), Policy::LeastUsed { load: 10 });
    let busy = association.register(busy).await.unwrap();
    let idle = Service::tcp("Pool", at(2), Policy::LeastUsed { load: 20 });
    let idle = association.register(idle).await.unwrap();
    idle.update(Policy::LeastUsed { load: 5 }).await.unwrap();
    let resolution = association.resolve("Pool", 1).await.unwrap();
    assert_eq!(resolution.elements[0].pe, idle.pe());

    // Another policy than the pool's is refused, and what was stays.
    let refused = idle.update(Policy::RoundRobin).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(5, Some(_))), "{refused}");
    assert_eq!(idle.service().policy, Policy::LeastUsed { load: 5 });
    let resolution = association.resolve("Pool", 2).await.unwrap();
    assert_eq!(resolution.elements[1].pe, busy.pe());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn keep_alives_are_answered_for_as_long_as_the_element_is_held() {
    let interval = Duration::from_millis(50);
    let registrar = registrar(interval);
    let association = Association::connect(registrar.asap_tcp()[0]).await.unwrap();
    let service = Service::tcp("Pool", at(1), Policy::Random);
    let element = association.register(service).await.unwrap();
    // Many times longer than an element that does not answer would stay.
    let mut ticks = tokio::time::interval(interval);
    for _ in 0..20 {
        ticks.tick().await;
        assert_eq!(association.resolve("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    }
    drop(element);
    assert!(association.resolve("Pool", 1).await.unwrap_err().is_unknown_pool());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_element_goes_with_its_association() {
    let registrar = registrar(Duration::from_secs(5));
    let address = registrar.asap_tcp()[0];
    let user = Association::connect(address).await.unwrap();
    let (ready, registered) = tokio::sync::oneshot::channel();
    let runtime = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let own = Association::connect(address).await.unwrap();
            let service = Service::tcp("Pool", at(1), Policy::Random);
            let element = own.register(service).await.unwrap();
            ready.send(()).unwrap();
            std::mem::forget(element);
        });
        // The runtime ends, and with it the connection: nothing deregisters.
    });
    registered.await.unwrap();
    runtime.join().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !matches!(user.resolve("Pool", 1).await, Err(error) if error.is_unknown_pool()) {
        assert!(tokio::time::Instant::now() < deadline, "the element stayed");
        tokio::task::yield_now().await;
    }
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_lost_registrar_is_told_and_not_waited_for() {
    let registrar = registrar(Duration::from_secs(5));
    let association = Association::connect(registrar.asap_tcp()[0]).await.unwrap();
    let service = Service::tcp("Pool", at(1), Policy::Random);
    let element = association.register(service).await.unwrap();
    registrar.stop().unwrap();
    association.lost().await;
    assert!(matches!(association.resolve("Pool", 1).await, Err(Error::Lost)));
    assert!(matches!(element.deregister().await, Err(Error::Lost)));
}

#[tokio::test]
async fn what_does_not_listen_cannot_be_connected_to() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(Association::connect(unused).await, Err(Error::Connect(_))));
}
