//! Sessions with a pool element whose process is stopped: its system accepts
//! connections and acknowledges what comes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rserpool_client::session::{Config, Event, ServerEvent, SessionListener};
use rserpool_client::{Endpoint, Policy, Service};
use rserpool_registrar::{Options, start};

#[tokio::test]
async fn a_session_leaves_an_element_that_does_not_answer_within_the_bound() {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let registrar = start(&Options { asap, shards: Some(1), ..Options::default() }).unwrap();
    let endpoint = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let service = |address| Service::tcp("Echo", address, Policy::RoundRobin);
    // Nobody takes its connections.
    let stopped = TcpListener::bind("127.0.0.1:0").unwrap();
    let frozen = endpoint.register(service(stopped.local_addr().unwrap())).await.unwrap();
    let bound = Duration::from_millis(300);
    let config = Config { answer_max: Some(bound), ..Config::default() };
    let mut session = endpoint.session("Echo", config).await.unwrap();
    assert_eq!(session.peer(), frozen.pe());

    let listener = SessionListener::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let alive = endpoint.register(service(listener.local_addr().unwrap())).await.unwrap();
    let echo = tokio::spawn(async move {
        let mut session = listener.accept().await.unwrap();
        while let Ok(Some(event)) = session.receive().await {
            if let ServerEvent::Message { ppid, data } = event {
                session.send(ppid, &data).await.unwrap();
            }
        }
    });
    let sent = Instant::now();
    session.send(5, *b"there?").await.unwrap();
    let event = session.receive().await.unwrap();
    let took = sent.elapsed();
    let reason = std::io::ErrorKind::TimedOut;
    assert_eq!(event, Event::FailingOver { from: frozen.pe(), reason });
    assert!(took >= bound && took < bound + Duration::from_secs(5), "{took:?}");
    let Event::FailedOver { to, .. } = session.receive().await.unwrap() else { panic!() };
    assert_eq!(to, alive.pe());
    // One that answers is not left, however long it is asked nothing.
    for pause in [Duration::ZERO, bound * 2] {
        tokio::time::sleep(pause).await;
        session.send(5, *b"there?").await.unwrap();
        let data = b"there?".to_vec();
        assert_eq!(session.receive().await.unwrap(), Event::Message { ppid: 5, data });
    }
    session.close().await;
    echo.await.unwrap();
    registrar.stop().unwrap();
}
