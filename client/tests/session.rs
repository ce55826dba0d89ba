//! Sessions that survive the loss of their pool element.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use rserpool_client::session::{
    Config, CookieKey, Event, ServerEvent, ServerSession, SessionListener,
};
use rserpool_client::{Endpoint, Error, PeId, Policy, PoolElement, Service};
use rserpool_registrar::{Options, Running, start};
use tokio::task::JoinHandle;

fn registrar() -> Running {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    start(&Options { asap, shards: Some(1), ..Options::default() }).unwrap()
}

/// A server that counts the messages of a session: it answers each with the
/// count, which goes on where another server left off.
struct Counter {
    element: PoolElement,
    task: JoinHandle<()>,
}

impl Counter {
    async fn start(endpoint: &Endpoint, key: &CookieKey) -> Self {
        let listener = SessionListener::bind("127.0.0.1:0", Config::default()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service::tcp("Counter", address, Policy::RoundRobin);
        let element = endpoint.register(service).await.unwrap();
        let key = key.clone();
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok(session) = listener.accept().await {
                sessions.spawn(count(session, key.clone()));
            }
        });
        Self { element, task }
    }

    /// It dies: its sockets are closed, and nobody is told.
    fn kill(self) -> PoolElement {
        self.task.abort();
        self.element
    }
}

async fn count(mut session: ServerSession, key: CookieKey) {
    let mut count = 0_u32;
    while let Ok(Some(event)) = session.receive().await {
        match event {
            ServerEvent::CookieEcho(cookie) => {
                let state = key.open(&cookie).unwrap();
                count = u32::from_be_bytes(state.try_into().unwrap());
            }
            ServerEvent::Message { ppid, .. } => {
                count += 1;
                let cookie = key.seal(&count.to_be_bytes(), Duration::from_secs(60));
                session.send_cookie(&cookie).await.unwrap();
                session.send(ppid, &count.to_be_bytes()).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_where_the_lost_element_left_off() {
    let registrar = registrar();
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let key = CookieKey::random().unwrap();
    let mut counters = Vec::new();
    for _ in 0..3 {
        counters.push(Counter::start(&servers, &key).await);
    }
    let user = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let mut session = user.session("Counter", Config::default()).await.unwrap();
    let mut expected = 0_u32;
    for _ in 0..2 {
        for _ in 0..10 {
            session.send(5, *b"more").await.unwrap();
            expected += 1;
            let data = expected.to_be_bytes().to_vec();
            assert_eq!(session.receive().await.unwrap(), Event::Message { ppid: 5, data });
        }
        let at = counters.iter().position(|one| one.element.pe() == session.peer()).unwrap();
        let dead = counters.swap_remove(at).kill();
        let event = session.receive().await.unwrap();
        assert!(matches!(event, Event::FailingOver { from, .. } if from == dead.pe()), "{event:?}");
        let event = session.receive().await.unwrap();
        let Event::FailedOver { from, to, cookie: true, .. } = event else { panic!("{event:?}") };
        assert_eq!((from, to), (dead.pe(), session.peer()));
        assert_ne!(from, to);
    }
    session.close().await;
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_session_without_any_element_left_waits_for_one() {
    let registrar = registrar();
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let key = CookieKey::random().unwrap();
    let first = Counter::start(&servers, &key).await;
    let mut session = servers.session("Counter", Config::default()).await.unwrap();
    let dead = first.kill();
    assert!(matches!(session.receive().await.unwrap(), Event::FailingOver { .. }));
    drop(dead);
    let second = Counter::start(&servers, &key).await;
    let Event::FailedOver { to, cookie, .. } = session.receive().await.unwrap() else { panic!() };
    assert_eq!((to, cookie), (second.element.pe(), false));
    registrar.stop().unwrap();
}

#[tokio::test]
async fn what_was_sent_to_a_lost_element_is_not_sent_to_the_next() {
    let registrar = registrar();
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let key = CookieKey::random().unwrap();
    let counters = [Counter::start(&servers, &key).await, Counter::start(&servers, &key).await];
    let mut session = servers.session("Counter", Config::default()).await.unwrap();
    let [first, second] = counters;
    let (dead, alive) =
        if first.element.pe() == session.peer() { (first, second) } else { (second, first) };
    dead.kill();
    // The application does not know yet that the element is gone.
    for _ in 0..10 {
        session.send(5, *b"early").await.unwrap();
    }
    loop {
        let event = session.receive().await.unwrap();
        assert!(!matches!(event, Event::Message { .. }), "{event:?}");
        if let Event::FailedOver { to, .. } = event {
            break assert_eq!(to, alive.element.pe());
        }
    }
    session.send(5, *b"again").await.unwrap();
    let data = 1_u32.to_be_bytes().to_vec();
    assert_eq!(session.receive().await.unwrap(), Event::Message { ppid: 5, data });
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_element_that_does_not_do_what_it_should_can_be_left() {
    let registrar = registrar();
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let key = CookieKey::random().unwrap();
    let _counters = [Counter::start(&servers, &key).await, Counter::start(&servers, &key).await];
    let mut session = servers.session("Counter", Config::default()).await.unwrap();
    let before = session.peer();
    session.fail_over().await.unwrap();
    while !matches!(session.receive().await.unwrap(), Event::FailedOver { .. }) {}
    assert_ne!(session.peer(), before);
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_session_with_a_pool_that_does_not_exist_fails_at_once() {
    let registrar = registrar();
    let user = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let error = user.session("Nothing", Config::default()).await.unwrap_err();
    assert!(error.is_unknown_pool());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_session_whose_pool_stays_away_fails_in_time() {
    let registrar = registrar();
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let first = Counter::start(&servers, &CookieKey::random().unwrap()).await;
    let config = Config { failover_timeout: Duration::from_millis(200), ..Config::default() };
    let mut session = servers.session("Counter", config).await.unwrap();
    // It stays registered.
    let _element = first.kill();
    assert!(matches!(session.receive().await.unwrap(), Event::FailingOver { .. }));
    assert!(matches!(session.receive().await, Err(Error::NoElement(_))));
    assert!(matches!(session.receive().await, Err(Error::Closed)));
    registrar.stop().unwrap();
}

#[tokio::test]
async fn the_control_channel_is_not_for_data() {
    let registrar = registrar();
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let _counter = Counter::start(&servers, &CookieKey::random().unwrap()).await;
    let config = Config { message_bytes_max: 100, ..Config::default() };
    let mut session = servers.session("Counter", config).await.unwrap();
    assert!(matches!(session.send(11, *b"x").await, Err(Error::Invalid(_))));
    assert!(matches!(session.send(5, [0; 101]).await, Err(Error::Invalid(_))));
    registrar.stop().unwrap();
}

#[tokio::test]
async fn all_sessions_of_a_lost_element_may_come_at_once() {
    let registrar = registrar();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    // It accepts none of them: they wait, and none has to try again a second
    // later.
    let listener = SessionListener::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let service = Service::tcp("Busy", listener.local_addr().unwrap(), Policy::RoundRobin);
    let _element = endpoint.register(service).await.unwrap();
    let config = Config {
        connect_timeout: Duration::from_millis(900),
        failover_timeout: Duration::ZERO,
        ..Config::default()
    };
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let (endpoint, config) = (endpoint.clone(), config.clone());
        sessions.spawn(async move { endpoint.session("Busy", config).await });
    }
    for session in sessions.join_all().await {
        session.unwrap();
    }
    registrar.stop().unwrap();
}

/// An element of a pool of its own priority, which recommends others to whoever
/// it serves.
async fn recommending(endpoint: &Endpoint, priority: u32, recommended: &[PeId]) -> Counter {
    let listener = SessionListener::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let policy = Policy::Priority { priority };
    let service = Service::tcp("Card", listener.local_addr().unwrap(), policy);
    let element = endpoint.register(service).await.unwrap();
    let (endpoint, recommended) = (endpoint.clone(), recommended.to_vec());
    let task = tokio::spawn(async move {
        let mut sessions = tokio::task::JoinSet::new();
        while let Ok(mut session) = listener.accept().await {
            let (endpoint, recommended) = (endpoint.clone(), recommended.clone());
            sessions.spawn(async move {
                let mut all = endpoint.resolve("Card", 9).await.unwrap().elements;
                all.retain(|one| recommended.contains(&one.pe));
                let sent = session.send_business_card("Card", &all).await;
                assert_eq!(sent.is_err(), all.is_empty(), "{sent:?}");
                session.send(5, b"welcome").await.unwrap();
                while let Ok(Some(_)) = session.receive().await {}
            });
        }
    });
    Counter { element, task }
}

#[tokio::test]
async fn a_session_goes_on_with_whom_the_lost_element_recommended() {
    let registrar = registrar();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let least = recommending(&endpoint, 1, &[]).await;
    let second = recommending(&endpoint, 2, &[]).await;
    let first = recommending(&endpoint, 3, &[least.element.pe()]).await;
    let mut session = endpoint.session("Card", Config::default()).await.unwrap();
    assert_eq!(session.peer(), first.element.pe());
    // The card came before.
    assert!(matches!(session.receive().await.unwrap(), Event::Message { .. }));
    let _stays_registered = first.kill();
    while !matches!(session.receive().await.unwrap(), Event::FailedOver { .. }) {}
    // By the pool's policy it would be the second.
    assert_eq!(session.peer(), least.element.pe());
    assert!(matches!(session.receive().await.unwrap(), Event::Message { .. }));
    // It recommended nobody: the policy counts.
    let _stays_registered = least.kill();
    while !matches!(session.receive().await.unwrap(), Event::FailedOver { .. }) {}
    assert_eq!(session.peer(), second.element.pe());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_recommended_element_that_is_gone_too_is_passed_over() {
    let registrar = registrar();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let least = recommending(&endpoint, 1, &[]).await;
    let second = recommending(&endpoint, 2, &[]).await;
    let first = recommending(&endpoint, 3, &[least.element.pe()]).await;
    let mut session = endpoint.session("Card", Config::default()).await.unwrap();
    assert!(matches!(session.receive().await.unwrap(), Event::Message { .. }));
    let _stay_registered = [least.kill(), first.kill()];
    while !matches!(session.receive().await.unwrap(), Event::FailedOver { .. }) {}
    assert_eq!(session.peer(), second.element.pe());
    registrar.stop().unwrap();
}
