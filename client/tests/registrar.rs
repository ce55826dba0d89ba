//! Pool elements and pool users against a registrar in this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_client::{
    Config, Endpoint, Error, PeId, Policy, RegistrarUrl, Service, Standing, hunt,
};
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
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let first = Service::tcp("EchoPool", at(7001), Policy::RoundRobin);
    let first = endpoint.register(first).await.unwrap();
    let second = Service::tcp("EchoPool", at(7002), Policy::RoundRobin);
    let second = endpoint.register(second).await.unwrap();

    let resolution = endpoint.resolve("EchoPool", 10).await.unwrap();
    let ports: Vec<u16> = resolution.elements.iter().map(|one| one.addresses[0].port()).collect();
    assert_eq!(ports, [7001, 7002]);
    assert_eq!(resolution.policy, Policy::RoundRobin);

    first.deregister().await.unwrap();
    let left = endpoint.resolve("EchoPool", 10).await.unwrap();
    assert_eq!(left.elements.len(), 1);
    assert_eq!(left.elements[0].pe, second.pe());
    second.deregister().await.unwrap();
    assert!(endpoint.resolve("EchoPool", 10).await.unwrap_err().is_unknown_pool());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_update_changes_the_selection_order_at_once() {
    let registrar = registrar(Duration::from_secs(5));
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let busy = Service::tcp("Pool", at(1), Policy::LeastUsed { load: 10 });
    let busy = endpoint.register(busy).await.unwrap();
    let idle = Service::tcp("Pool", at(2), Policy::LeastUsed { load: 20 });
    let idle = endpoint.register(idle).await.unwrap();
    idle.update(Policy::LeastUsed { load: 5 }).await.unwrap();
    let resolution = endpoint.resolve("Pool", 1).await.unwrap();
    assert_eq!(resolution.elements[0].pe, idle.pe());

    // Another policy than the pool's is refused, and what was stays.
    let refused = idle.update(Policy::RoundRobin).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(5, Some(_))), "{refused}");
    let resolution = endpoint.resolve("Pool", 2).await.unwrap();
    assert_eq!(resolution.elements[1].pe, busy.pe());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn keep_alives_are_answered_for_as_long_as_the_element_is_held() {
    let interval = Duration::from_millis(50);
    let registrar = registrar(interval);
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let service = Service::tcp("Pool", at(1), Policy::Random);
    let element = endpoint.register(service).await.unwrap();
    // Many times longer than an element that does not answer would stay.
    let mut ticks = tokio::time::interval(interval);
    for _ in 0..20 {
        ticks.tick().await;
        assert_eq!(endpoint.resolve("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    }
    drop(element);
    assert!(endpoint.resolve("Pool", 1).await.unwrap_err().is_unknown_pool());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_element_goes_with_its_endpoint() {
    let registrar = registrar(Duration::from_secs(5));
    let address = registrar.asap_tcp()[0];
    let user = Endpoint::connect([address]).await.unwrap();
    let (ready, registered) = tokio::sync::oneshot::channel();
    let runtime = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let own = Endpoint::connect([address]).await.unwrap();
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
async fn a_registrar_that_restarts_finds_everything_as_it_was() {
    let first = registrar(Duration::from_secs(5));
    let address = first.asap_tcp()[0];
    let endpoint = Endpoint::connect([address]).await.unwrap();
    let service = Service::tcp("Pool", at(1), Policy::LeastUsed { load: 1 });
    let mut element = endpoint.register(service).await.unwrap();
    assert!(matches!(element.standing(), Standing::Registered { .. }));
    assert_eq!(endpoint.select("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    first.stop().unwrap();
    while element.changed().await != Standing::Searching {}
    // Without a registrar, what is known goes on to be used,
    assert_eq!(endpoint.select("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    // and what is asked for waits.
    let (update, resolve, ()) = tokio::join!(
        element.update(Policy::LeastUsed { load: 2 }),
        endpoint.resolve("Pool", 1),
        async {
            let options = Options {
                asap: vec![format!("tcp://{address}").parse().unwrap()],
                shards: Some(1),
                ..Options::default()
            };
            // It stops when the test ends.
            std::mem::forget(start(&options).unwrap());
        }
    );
    update.unwrap();
    assert_eq!(resolve.unwrap().elements[0].policy, Policy::LeastUsed { load: 2 });
    assert!(matches!(element.standing(), Standing::Registered { .. }));
}

#[tokio::test]
async fn another_registrar_is_found_when_one_is_lost() {
    let (first, second) = (registrar(Duration::from_secs(5)), registrar(Duration::from_secs(5)));
    let at_first = RegistrarUrl::from(first.asap_tcp()[0]);
    let at_second = RegistrarUrl::from(second.asap_tcp()[0]);
    let endpoint = Endpoint::connect([at_first.clone(), at_second.clone()]).await.unwrap();
    let service = Service::tcp("Pool", at(1), Policy::Random);
    let mut element = endpoint.register(service).await.unwrap();
    let Standing::Registered { registrar: home, .. } = element.standing() else { panic!() };
    let (lost, left, other) =
        if home == at_first { (first, second, at_second) } else { (second, first, at_first) };
    lost.stop().unwrap();
    loop {
        if let Standing::Registered { registrar, .. } = element.changed().await
            && registrar == other
        {
            break;
        }
    }
    let user = Endpoint::connect([other]).await.unwrap();
    assert_eq!(user.resolve("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    // What is shut down has deregistered.
    endpoint.shutdown().await;
    assert!(user.resolve("Pool", 1).await.unwrap_err().is_unknown_pool());
    assert!(matches!(endpoint.resolve("Pool", 1).await, Err(Error::Closed)));
    assert_eq!(element.standing(), Standing::Over);
    left.stop().unwrap();
}

#[tokio::test]
async fn a_registration_that_nobody_waits_for_any_more_does_not_stay() {
    let registrar = registrar(Duration::from_secs(5));
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let waited_for = Service::tcp("Pool", at(1), Policy::Random);
    let given_up = Service::tcp("Other", at(1), Policy::Random);
    {
        let mut registration = Box::pin(endpoint.register(given_up));
        let once = std::future::poll_fn(|context| {
            std::task::Poll::Ready(registration.as_mut().poll(context).is_pending())
        });
        assert!(once.await);
    }
    let _element = endpoint.register(waited_for).await.unwrap();
    // The answers come in order: it was registered, and is deregistered.
    while !matches!(endpoint.resolve("Other", 1).await, Err(error) if error.is_unknown_pool()) {}
    registrar.stop().unwrap();
}

#[tokio::test]
async fn many_elements_and_requests_share_an_endpoint() {
    const ELEMENTS: u16 = 2000;
    let registrar = registrar(Duration::from_secs(5));
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let mut registrations = tokio::task::JoinSet::new();
    for port in 1..=ELEMENTS {
        let endpoint = endpoint.clone();
        let pool = format!("Pool{}", port % 10);
        registrations.spawn(async move {
            endpoint.register(Service::tcp(pool, at(port), Policy::RoundRobin)).await.unwrap()
        });
    }
    let elements = registrations.join_all().await;
    assert_eq!(elements.len(), usize::from(ELEMENTS));
    let mut resolutions = tokio::task::JoinSet::new();
    for number in 0..ELEMENTS {
        let endpoint = endpoint.clone();
        resolutions.spawn(async move {
            let pool = format!("Pool{}", number % 10);
            endpoint.resolve(pool, 128).await.unwrap().elements.len()
        });
    }
    assert!(resolutions.join_all().await.into_iter().all(|count| count == 128));
    drop(elements);
    assert!(endpoint.resolve("Pool0", 1).await.unwrap_err().is_unknown_pool());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_element_that_was_reported_is_not_selected_for_a_while() {
    let registrar = registrar(Duration::from_secs(5));
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let bad = endpoint.register(Service::tcp("Pool", at(1), Policy::RoundRobin)).await.unwrap();
    let good = endpoint.register(Service::tcp("Pool", at(2), Policy::RoundRobin)).await.unwrap();
    assert_eq!(endpoint.select("Pool", 9).await.unwrap().elements.len(), 2);
    endpoint.report_unreachable("Pool", bad.pe());
    for _ in 0..10 {
        let selected = endpoint.select("Pool", 9).await.unwrap().elements;
        assert_eq!(selected.iter().map(|one| one.pe).collect::<Vec<PeId>>(), [good.pe()]);
    }
    registrar.stop().unwrap();
}

#[tokio::test]
async fn what_does_not_listen_cannot_be_connected_to() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(Endpoint::connect([unused]).await, Err(Error::NoRegistrar(Some(_)))));
    let none: [RegistrarUrl; 0] = [];
    assert!(matches!(Endpoint::connect(none).await, Err(Error::NoRegistrar(None))));
}

#[tokio::test]
async fn a_registrar_that_does_not_answer_is_left_for_another() {
    // It accepts, by its backlog, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let registrar = registrar(Duration::from_secs(5));
    let mut config = Config::default();
    config.hunt = hunt::Config { parallel_max: 1, ..config.hunt };
    config.requests.resolution_timeout = Duration::from_millis(100);
    let both = [silent.local_addr().unwrap(), registrar.asap_tcp()[0]];
    let endpoint = Endpoint::new(both, config);
    for _ in 0..20 {
        assert!(endpoint.resolve("Pool", 1).await.unwrap_err().is_unknown_pool());
    }
    assert_eq!(endpoint.ready().await.unwrap(), RegistrarUrl::from(registrar.asap_tcp()[0]));
    registrar.stop().unwrap();
}
