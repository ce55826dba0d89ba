//! Registrars over SCTP, and those that announce themselves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use rserpool_client::{Config, Endpoint, Policy, RegistrarUrl, Service, Standing};
use rserpool_registrar::{Options, Running, start};

/// A registrar at these addresses, with a free port for each 0.
fn registrar(asap: &[&str]) -> Running {
    let asap = asap.iter().map(|url| url.parse().unwrap()).collect();
    start(&Options { asap, shards: Some(2), ..Options::default() }).unwrap()
}

fn service(handle: &str) -> Service {
    Service::tcp(handle, SocketAddr::from(([127, 0, 0, 1], 7001)), Policy::RoundRobin)
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_registrar_is_spoken_with_over_sctp_over_udp() {
    let port = free_udp_port();
    let registrar = registrar(&[&format!("sctp-udp://127.0.0.1:{port}"), "tcp://127.0.0.1:0"]);
    let url: RegistrarUrl = format!("sctp-udp://127.0.0.1:{port}").parse().unwrap();
    let endpoint = Endpoint::connect([url.clone()]).await.unwrap();
    let element = endpoint.register(service("Pool")).await.unwrap();
    assert!(
        matches!(element.standing(), Standing::Registered { registrar, .. } if registrar == url)
    );
    let over_tcp = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    // Longer than 90 ms: its life is read in the unit it was written in.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..10 {
        ticks.tick().await;
        assert_eq!(over_tcp.resolve("Pool", 1).await.unwrap().elements[0].pe, element.pe());
        assert_eq!(endpoint.resolve("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    }
    // What is dropped is deregistered before the association ends.
    drop(element);
    endpoint.shutdown().await;
    assert!(over_tcp.resolve("Pool", 1).await.unwrap_err().is_unknown_pool());
    registrar.stop().unwrap();
}

#[tokio::test]
async fn many_requests_share_an_sctp_association() {
    let port = free_udp_port();
    let registrar = registrar(&[&format!("sctp-udp://127.0.0.1:{port}")]);
    let url: RegistrarUrl = format!("sctp-udp://127.0.0.1:{port}").parse().unwrap();
    let endpoint = Endpoint::connect([url]).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..500 {
        let endpoint = endpoint.clone();
        tasks.spawn(async move {
            let pool = format!("Pool{number}");
            let element = endpoint.register(service(&pool)).await.unwrap();
            assert_eq!(endpoint.resolve(&pool, 1).await.unwrap().elements.len(), 1);
            element.deregister().await.unwrap();
        });
    }
    tasks.join_all().await;
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_registrar_that_is_lost_over_sctp_is_looked_for_again() {
    let port = free_udp_port();
    let asap = format!("sctp-udp://127.0.0.1:{port}");
    let first = registrar(&[&asap]);
    let endpoint = Endpoint::connect([asap.parse::<RegistrarUrl>().unwrap()]).await.unwrap();
    let mut element = endpoint.register(service("Pool")).await.unwrap();
    first.stop().unwrap();
    while element.changed().await != Standing::Searching {}
    let second = registrar(&[&asap]);
    while !matches!(element.changed().await, Standing::Registered { .. }) {}
    assert_eq!(endpoint.resolve("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    second.stop().unwrap();
}

#[tokio::test]
async fn nobody_over_sctp_is_no_registrar() {
    let url: RegistrarUrl = format!("sctp-udp://127.0.0.1:{}", free_udp_port()).parse().unwrap();
    let endpoint = Endpoint::new([url], Config::default());
    let ready = tokio::time::timeout(Duration::from_millis(300), endpoint.ready()).await;
    assert!(!matches!(ready, Ok(Ok(_))));
}

#[tokio::test]
async fn a_registrar_that_announces_itself_is_used() {
    let registrar = registrar(&["tcp://127.0.0.1:0"]);
    let endpoint = Endpoint::new(Vec::<RegistrarUrl>::new(), Config::default());
    let here = SocketAddr::from(([127, 0, 0, 1], free_udp_port()));
    let _discovery = endpoint.discover(&[here], None).unwrap();
    let announcer = UdpSocket::bind("127.0.0.1:0").unwrap();
    // It is no announce, and hurts nobody.
    announcer.send_to(b"hello", here).unwrap();
    announcer.send_to(&announce(registrar.asap_tcp()[0]), here).unwrap();
    let element = endpoint.register(service("Pool")).await.unwrap();
    assert_eq!(endpoint.resolve("Pool", 1).await.unwrap().elements[0].pe, element.pe());
    registrar.stop().unwrap();
}

fn announce(asap: SocketAddr) -> Vec<u8> {
    use rserpool_codec::asap::Message;
    use rserpool_codec::{Addresses, LengthForm, Transport, Transports};
    let address: [IpAddr; 1] = [asap.ip()];
    let transports = [Transport::tcp(asap.port(), Addresses::List(&address))];
    let message = Message::ServerAnnounce {
        registrar: rserpool_client::RegistrarId::new(9),
        transports: Transports::list(&transports),
    };
    let mut bytes = Vec::new();
    message.emit(&mut bytes, LengthForm::Rfc).unwrap();
    bytes
}

#[tokio::test]
async fn changes_of_a_pool_reach_the_cache_without_being_asked_for() {
    let registrar = registrar(&["tcp://127.0.0.1:0"]);
    let servers = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let user = Endpoint::connect([registrar.asap_tcp()[0]]).await.unwrap();
    let first = servers.register(service("Pool")).await.unwrap();
    assert_eq!(user.select("Pool", 9).await.unwrap().elements.len(), 1);
    let second = servers.register(service("Pool")).await.unwrap();
    // Fresh for 5 s without a subscription.
    let begun = std::time::Instant::now();
    while user.select("Pool", 9).await.unwrap().elements.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(3), "nobody told");
        tokio::task::yield_now().await;
    }
    first.deregister().await.unwrap();
    while user.select("Pool", 9).await.unwrap().elements[0].pe != second.pe() {
        assert!(begun.elapsed() < Duration::from_secs(4), "nobody told");
        tokio::task::yield_now().await;
    }
    registrar.stop().unwrap();
}
