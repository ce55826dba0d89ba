use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::mpsc;

use rserpool_proto::registrar;

use super::super::executor::EndNotice;
use super::super::watchdog::Heart;
use super::*;
use crate::connections;
use crate::shard::Config;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn plan(listener: TcpListener) -> ShardPlan {
    let (ready, _) = mpsc::sync_channel(1);
    let (ended, _) = mpsc::channel();
    ShardPlan {
        number: ShardId(0),
        cpu: 0,
        shard: Config {
            protocol: registrar::Config::default(),
            message_timeout: PATIENCE,
            unfed_bytes_max: 1 << 20,
            connections: Arc::new(connections::Connections::new(10)),
            calls: false,
            group: None,
            serving: Arc::new(core::sync::atomic::AtomicBool::new(true)),
        },
        listeners: vec![listener],
        endpoints: Vec::new(),
        inboxes: vec![Arc::new(Inbox::new(1).unwrap())],
        heart: Arc::<Heart>::default(),
        undrained: Arc::new(AtomicU32::new(1)),
        epoch: Instant::now(),
        ready,
        ended: EndNotice { shard: 0, to: ended },
    }
}

/// Cycles until `done`.
fn until(reactor: &mut Reactor, mut done: impl FnMut(&mut Reactor) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(reactor) {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        reactor.retry = true;
        reactor.cycle().unwrap();
    }
}

#[test]
fn a_panic_ends_its_connection_only() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::new(&plan(listener), Vec::new()).unwrap();
    let mut doomed = TcpStream::connect(address).unwrap();
    let mut other = TcpStream::connect(address).unwrap();
    until(&mut reactor, |reactor| reactor.connections.len() == 2);
    // The way of a panic in the turn that serves the first connection.
    let failed = reactor.guarded(|_| panic!("as if the shard had a bug"));
    assert!(matches!(failed, Err::<(), _>(Panicked)));
    reactor.fail(LinkId { index: 0, generation: 0 });
    assert_eq!(reactor.connections.len(), 1);
    assert_eq!(doomed.read(&mut [0; 1]).unwrap(), 0, "closed");
    other.write_all(&[5, 0, 0, 12, 0, 9, 0, 8, b'n', b'o', b'n', b'e']).unwrap();
    other.set_nonblocking(true).unwrap();
    let mut header = [0; 4];
    until(&mut reactor, |_| other.read(&mut header).is_ok());
    assert_eq!(header[0], 6);
    assert_eq!(reactor.stats().traffic.panics, 1);
}

/// Fails if hanging up, which epoll always reports, is not taken notice of.
#[test]
fn a_peer_that_breaks_while_it_is_not_read_from_is_noticed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::new(&plan(listener), Vec::new()).unwrap();
    let peer = TcpStream::connect(address).unwrap();
    until(&mut reactor, |reactor| reactor.connections.len() == 1);
    reactor.connections.pause(&reactor.poller, LinkId { index: 0, generation: 0 });
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    // A reset, since it may not linger.
    drop(peer);
    until(&mut reactor, |reactor| reactor.connections.len() == 0);
    assert_eq!(reactor.shard.open_links(), 0);
}

#[test]
fn a_connection_that_is_closed_is_read_until_the_peer_closes_too() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::new(&plan(listener), Vec::new()).unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    // No message: it is answered by the end.
    peer.write_all(&[1, 0, 0, 0]).unwrap();
    until(&mut reactor, |reactor| {
        reactor.connections.len() == 1 && reactor.shard.open_links() == 0
    });
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "its FIN came");
    peer.write_all(&[0; 1000]).unwrap();
    drop(peer);
    until(&mut reactor, |reactor| reactor.connections.len() == 0);
}
