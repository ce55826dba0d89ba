//! What operators see over HTTP, on both hosts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use peer::{Peer, hex, options, registration, resolution};
use rserpool_registrar::{AdminAddress, Host, Options, Running, StartError, start};
use serde_json::Value;

fn with_admin(host: Host, shards: u16) -> Running {
    let admin = AdminAddress::At("127.0.0.1:0".parse().unwrap());
    start(&Options { admin, host: Some(host), ..options(shards) }).unwrap()
}

fn address(running: &Running) -> SocketAddr {
    running.bound().admin.unwrap()
}

/// Sends these bytes; the status and the body of the answer.
fn send(address: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(peer::PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = format!("Content-Length: {}\r\n", body.len());
    assert!(head.contains(&length) || body.is_empty(), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: registrar\r\n\r\n").as_bytes())
}

fn json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = ask(address, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn pools_and_elements_of_all_shards_are_listed_once_in_parts() {
    for host in [Host::IoUring, Host::Epoll] {
        let running = with_admin(host, 3);
        let mut peer = Peer::of(&running);
        for pool in 0..40_u32 {
            for pe in 1..=pool % 3 + 1 {
                peer.ask(&registration(format!("pool {pool}").as_bytes(), pe));
            }
        }
        let (mut seen, mut after) = (Vec::new(), 0);
        loop {
            let page = json(address(&running), &format!("/v1/pools?limit=7&after={after}"));
            let pools = page["pools"].as_array().unwrap();
            assert!(pools.len() <= 7);
            seen.extend(pools.iter().map(|pool| pool["handle"].as_str().unwrap().to_owned()));
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => break,
            }
        }
        seen.sort();
        let mut expected: Vec<_> = (0..40).map(|pool| format!("pool {pool}")).collect();
        expected.sort();
        assert_eq!(seen, expected);
        let page = json(address(&running), "/v1/pools/pool%2038?limit=2");
        assert_eq!(
            (page["elements"].as_u64(), page["policy"].as_str()),
            (Some(3), Some("RoundRobin"))
        );
        let listed = page["list"].as_array().unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0]["id"], "0x00000001");
        assert_eq!(listed[0]["home"], "0xaabbccdd");
        assert_eq!(listed[0]["addresses"][0], "10.0.0.1:7777");
        assert_eq!(listed[0]["life_seconds"], 90.0);
        let rest = page["next"].as_u64().unwrap();
        let page = json(address(&running), &format!("/v1/pools/pool%2038?after={rest}"));
        assert_eq!(page["list"][0]["id"], "0x00000003");
        assert!(page["next"].is_null());
    }
}

#[test]
fn what_was_counted_is_shown_as_json_and_as_metrics() {
    let running = with_admin(Host::Epoll, 2);
    let mut peer = Peer::of(&running);
    peer.ask(&registration(b"a", 1));
    for _ in 0..5 {
        peer.ask(&resolution(b"a"));
    }
    let status = json(address(&running), "/v1/status");
    assert_eq!((status["id"].as_str(), status["elements"].as_u64()), (Some("0xaabbccdd"), Some(1)));
    let (code, metrics) = ask(address(&running), "/metrics");
    assert_eq!(code, 200);
    let total = |name: &str| -> u64 {
        let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    assert_eq!(total("rserpool_resolutions_total"), 5);
    assert_eq!(total("rserpool_registrations_total"), 1);
    assert_eq!(total("rserpool_elements"), 1);
    assert!(metrics.ends_with("# EOF\n"));
    assert_eq!(ask(address(&running), "/healthz"), (200, "ok\n".to_owned()));
    assert!(ask(address(&running), "/").1.starts_with("<!doctype html>"));
}

#[test]
fn what_is_asked_wrongly_is_refused_and_harms_nobody() {
    let running = with_admin(Host::IoUring, 1);
    let at = address(&running);
    for (path, status) in [
        ("/nothing", 404),
        ("/v1/pools/nothing", 404),
        ("/v1/pools/%zz", 400),
        ("/v1/pools?limit=many", 400),
        ("/v1/pools?limit=100000", 400),
        ("/v1/pools?after=99999999999999999999999", 400),
    ] {
        let (code, body) = ask(at, path);
        assert_eq!(code, status, "{path}: {body}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"].is_string());
    }
    // A place that never was is behind the last.
    assert!(json(at, "/v1/pools?after=18446744073709551615")["next"].is_null());
    assert_eq!(send(at, b"DELETE /v1/pools HTTP/1.1\r\n\r\n").0, 405);
    assert_eq!(send(at, &hex("05000010 0009000c4563686f506f6f6c 0d0a0d0a")).0, 400);
    assert_eq!(send(at, &[b'G'; 9000]).0, 431);
    let (code, body) = send(at, b"HEAD /v1/status HTTP/1.1\r\n\r\n");
    assert_eq!((code, body.as_str()), (200, ""));
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(at).unwrap()).collect();
    drop(silent);
    peer::eventually("it serves again", || ask(at, "/healthz").0 == 200);
}

#[test]
fn clients_that_never_stop_sending_keep_no_place_and_hold_up_no_end() {
    let running = with_admin(Host::Epoll, 1);
    let (sender, pace) = mpsc::channel::<()>();
    // More than there are places.
    let mut clients: Vec<_> =
        (0..20).map(|_| TcpStream::connect(address(&running)).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    }
    let until = Instant::now() + peer::PATIENCE;
    while !clients.is_empty() {
        assert!(Instant::now() < until, "{} of them are still listened to", clients.len());
        clients.retain_mut(|client| client.write_all(b"x").is_ok());
        pace.recv_timeout(Duration::from_millis(50)).unwrap_err();
    }
    assert_eq!(ask(address(&running), "/healthz").0, 200);
    drop(sender);
}

#[test]
fn it_ends_with_its_registrar_and_its_address_is_free_then() {
    let running = with_admin(Host::Epoll, 1);
    let at = address(&running);
    let taken = Options { admin: AdminAddress::At(at), ..options(1) };
    let Err(StartError::Bind { address, .. }) = start(&taken) else { panic!("bound twice") };
    assert_eq!(address, at);
    let without = Options { admin: AdminAddress::IfFree(at), ..options(1) };
    assert_eq!(start(&without).unwrap().bound().admin, None);
    running.stop().unwrap();
    assert!(TcpStream::connect(at).is_err());
    start(&taken).unwrap().stop().unwrap();
}
