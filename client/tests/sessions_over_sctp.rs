//! Sessions over SCTP over UDP, against our elements and against one that speaks
//! the protocol by hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rserpool_client::session::{
    Config, Event, SctpCarrier, ServerEvent, ServerSession, SessionListener,
};
use rserpool_client::{Endpoint, Policy, PoolElement, Service};
use rserpool_registrar::{Options, Running, start};
use tokio::task::JoinHandle;

fn registrar() -> Running {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    start(&Options { asap, shards: Some(1), ..Options::default() }).unwrap()
}

/// A UDP port that is free at all addresses of loopback: each element has one of
/// them, for all have the same port.
fn config() -> Config {
    let port = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    Config { sctp: SctpCarrier::Udp { port }, ..Config::default() }
}

fn at(host: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0))
}

/// Counts the messages of a session, as the cookie says where it left off.
struct Counter {
    element: PoolElement,
    task: JoinHandle<()>,
}

impl Counter {
    async fn start(endpoint: &Endpoint, host: u8, config: &Config) -> Self {
        let listener = SessionListener::bind_sctp(at(host), config.clone()).await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        let service = Service::sctp("Counter", address, Policy::RoundRobin);
        let element = endpoint.register(service).await.unwrap();
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok(session) = listener.accept().await {
                sessions.spawn(count(session));
            }
        });
        Self { element, task }
    }
}

async fn count(mut session: ServerSession) {
    let mut count = 0_u32;
    while let Ok(Some(event)) = session.receive().await {
        match event {
            ServerEvent::CookieEcho(cookie) => {
                count = u32::from_be_bytes(cookie.try_into().unwrap());
            }
            ServerEvent::Message { ppid, .. } => {
                count += 1;
                let number = count.to_be_bytes();
                session.send_with_cookie(ppid, &number, &number).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_session_over_sctp_goes_on_where_the_lost_element_left_off() {
    let registrar = registrar();
    let config = config();
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let mut counters = Vec::new();
    for host in 2..5 {
        counters.push(Counter::start(&servers, host, &config).await);
    }
    let user = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let mut session = user.session("Counter", config).await.unwrap();
    let mut expected = 0_u32;
    for _ in 0..2 {
        for _ in 0..10 {
            session.send(5, *b"more").await.unwrap();
            expected += 1;
            let data = expected.to_be_bytes().to_vec();
            assert_eq!(session.receive().await.unwrap(), Event::Message { ppid: 5, data });
        }
        let at = counters.iter().position(|one| one.element.pe() == session.peer()).unwrap();
        let dead = counters.swap_remove(at);
        dead.task.abort();
        let event = session.receive().await.unwrap();
        assert!(matches!(event, Event::FailingOver { .. }), "{event:?}");
        let event = session.receive().await.unwrap();
        let Event::FailedOver { from, cookie: true, .. } = event else { panic!("{event:?}") };
        assert_eq!(from, dead.element.pe());
    }
    session.close().await;
    registrar.stop().unwrap();
}

#[tokio::test]
async fn many_sessions_share_an_endpoint_and_long_messages_arrive() {
    let registrar = registrar();
    let config = config();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let listener = SessionListener::bind_sctp(at(1), config.clone()).await.unwrap();
    let service = Service::sctp("Echo", listener.local_addr().unwrap(), Policy::RoundRobin);
    let _element = endpoint.register(service).await.unwrap();
    tokio::spawn(async move {
        while let Ok(mut session) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(Some(ServerEvent::Message { ppid, data })) = session.receive().await {
                    session.send(ppid, &data).await.unwrap();
                }
            });
        }
    });
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..50_u8 {
        let (endpoint, config) = (endpoint.clone(), config.clone());
        sessions.spawn(async move {
            let mut session = endpoint.session("Echo", config).await.unwrap();
            for length in [1, 1000, 100_000] {
                let data = vec![number; length];
                session.send(7, data.clone()).await.unwrap();
                assert_eq!(session.receive().await.unwrap(), Event::Message { ppid: 7, data });
            }
            session.close().await;
        });
    }
    sessions.join_all().await;
    registrar.stop().unwrap();
}

#[tokio::test]
async fn whoever_does_not_read_is_not_sent_without_bound() {
    let registrar = registrar();
    // Who does not read, acknowledges nothing in the end.
    let config = Config { silence_max: Duration::from_secs(60), ..config() };
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let listener = SessionListener::bind_sctp(at(1), config.clone()).await.unwrap();
    let service = Service::sctp("Flood", listener.local_addr().unwrap(), Policy::RoundRobin);
    let _element = endpoint.register(service).await.unwrap();
    let (sent, mut sending) = tokio::sync::watch::channel(0_u32);
    tokio::spawn(async move {
        let mut session = listener.accept().await.unwrap();
        for number in 0..2000_u32 {
            let mut data = vec![0; 10_000];
            data[..4].copy_from_slice(&number.to_be_bytes());
            session.send(7, &data).await.unwrap();
            sent.send_replace(number);
        }
        session.close().await;
    });
    let mut session = endpoint.session("Flood", config).await.unwrap();
    // 20 MB: what is under way fits into a part of that.
    let stalled = async {
        let mut last = 0;
        while let Ok(changed) =
            tokio::time::timeout(Duration::from_secs(2), sending.changed()).await
        {
            changed.unwrap();
            last = *sending.borrow_and_update();
        }
        last
    };
    assert!(stalled.await < 1000, "nobody held it off");
    for number in 0..2000_u32 {
        let Event::Message { data, .. } = session.receive().await.unwrap() else { panic!() };
        assert_eq!(data[..4], number.to_be_bytes());
    }
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_element_that_does_not_answer_is_passed_over() {
    let registrar = registrar();
    let config = Config { connect_timeout: Duration::from_millis(300), ..config() };
    let SctpCarrier::Udp { port } = config.sctp else { panic!("{config:?}") };
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let counter = Counter::start(&servers, 2, &config).await;
    // Packets arrive there, and nobody reads them.
    let nobody = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 9), port)).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 9], 5000));
    let _silent =
        servers.register(Service::sctp("Counter", address, Policy::RoundRobin)).await.unwrap();
    for _ in 0..2 {
        let begun = Instant::now();
        let session = servers.session("Counter", config.clone()).await.unwrap();
        assert_eq!(session.peer(), counter.element.pe());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        session.close().await;
    }
    drop(nobody);
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_empty_message_is_refused_before_it_is_sent() {
    let registrar = registrar();
    let config = config();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let _counter = Counter::start(&endpoint, 1, &config).await;
    let mut session = endpoint.session("Counter", config).await.unwrap();
    assert!(session.send(5, *b"").await.is_err());
    session.send(5, *b"more").await.unwrap();
    assert!(matches!(session.receive().await.unwrap(), Event::Message { .. }));
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_session_over_sctp_goes_on_with_whom_the_lost_element_recommended() {
    let registrar = registrar();
    let config = config();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let mut elements: Vec<(PoolElement, JoinHandle<()>)> = Vec::new();
    // The one with the highest priority recommends the one with the lowest.
    for (host, priority) in [(2, 1), (3, 2), (4, 3)] {
        let listener = SessionListener::bind_sctp(at(host), config.clone()).await.unwrap();
        let policy = Policy::Priority { priority };
        let service = Service::sctp("Card", listener.local_addr().unwrap(), policy);
        let element = endpoint.register(service).await.unwrap();
        let recommended = elements.first().map(|(element, _)| element.pe());
        let endpoint = endpoint.clone();
        let task = tokio::spawn(async move {
            while let Ok(mut session) = listener.accept().await {
                let mut all = endpoint.resolve("Card", 9).await.unwrap().elements;
                all.retain(|one| Some(one.pe) == recommended);
                if !all.is_empty() {
                    session.send_business_card("Card", &all).await.unwrap();
                }
                session.send(5, b"welcome").await.unwrap();
                while let Ok(Some(_)) = session.receive().await {}
            }
        });
        elements.push((element, task));
    }
    let mut session = endpoint.session("Card", config).await.unwrap();
    let (first, task) = elements.pop().unwrap();
    assert_eq!(session.peer(), first.pe());
    // The card came before.
    assert!(matches!(session.receive().await.unwrap(), Event::Message { .. }));
    task.abort();
    while !matches!(session.receive().await.unwrap(), Event::FailedOver { .. }) {}
    // By the pool's policy it would be the second.
    assert_eq!(session.peer(), elements[0].0.pe());
    registrar.stop().unwrap();
}
