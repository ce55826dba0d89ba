use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::sync::mpsc;

use rserpool_engine::ShardMap;
use rserpool_proto::registrar;
use rustix::event::{EventfdFlags, eventfd};

use super::super::epoll::EpollSockets;
use super::super::uring::RingSockets;
use super::super::watchdog::Heart;
use super::*;
use crate::connections::Connections;
use crate::shard::Config;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn plan() -> ShardPlan {
    plan_of(0, vec![Arc::new(Inbox::new(1).unwrap())])
}

/// Of one of several shards, which have these inboxes.
fn plan_of(number: u16, inboxes: Vec<Arc<Inbox>>) -> ShardPlan {
    let (ready, _) = mpsc::sync_channel(1);
    let shards = u16::try_from(inboxes.len()).unwrap();
    ShardPlan {
        number: ShardId(number),
        cpu: 0,
        shard: Config {
            protocol: registrar::Config {
                shard: ShardId(number),
                map: ShardMap::new(shards, 1),
                gather: Duration::from_micros(500),
                ..registrar::Config::default()
            },
            message_timeout: PATIENCE,
            unfed_bytes_max: 1 << 20,
            connections: Arc::new(Connections::new(10, 1)),
            moves: true,
            calls: false,
            group: None,
            serving: Arc::new(core::sync::atomic::AtomicBool::new(true)),
        },
        listeners: Vec::new(),
        endpoints: Vec::new(),
        inboxes,
        heart: Arc::<Heart>::default(),
        undrained: Arc::new(AtomicU32::new(u32::from(shards))),
        epoch: Instant::now(),
        ready,
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn on_epoll() -> (Reactor<EpollSockets>, SocketAddr) {
    epoll_of(&plan())
}

fn epoll_of(plan: &ShardPlan) -> (Reactor<EpollSockets>, SocketAddr) {
    let (listener, address) = listener();
    let sockets = EpollSockets::new(vec![listener]).unwrap();
    (Reactor::new(plan, Vec::new(), sockets).unwrap(), address)
}

fn on_a_ring() -> (Reactor<RingSockets>, SocketAddr) {
    ring_of(&plan())
}

fn ring_of(plan: &ShardPlan) -> (Reactor<RingSockets>, SocketAddr) {
    let (listener, address) = listener();
    let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let sockets = RingSockets::new(vec![listener], event.as_fd()).unwrap();
    (Reactor::new(plan, Vec::new(), sockets).unwrap(), address)
}

/// Cycles until `done`.
fn until<S: Sockets>(reactor: &mut Reactor<S>, mut done: impl FnMut(&mut Reactor<S>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(reactor) {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        reactor.retry = true;
        let patience = reactor.patience();
        reactor.sockets.wait(patience).unwrap();
        reactor.work();
    }
}

fn panics<S: Sockets>((mut reactor, address): (Reactor<S>, SocketAddr)) {
    let mut doomed = TcpStream::connect(address).unwrap();
    let mut other = TcpStream::connect(address).unwrap();
    until(&mut reactor, |reactor| reactor.sockets.len() == 2);
    // The way of a panic in the turn that serves the first connection.
    let failed = reactor.guarded(|_| panic!("as if the shard had a bug"));
    assert!(matches!(failed, Err::<(), _>(Panicked)));
    let now = reactor.now();
    reactor.fail_if(now, LinkId { index: 0, generation: 0 }, failed);
    until(&mut reactor, |reactor| reactor.sockets.len() == 1);
    assert_eq!(doomed.read(&mut [0; 1]).unwrap(), 0, "closed");
    other.write_all(&[5, 0, 0, 12, 0, 9, 0, 8, b'n', b'o', b'n', b'e']).unwrap();
    other.set_nonblocking(true).unwrap();
    let mut header = [0; 4];
    until(&mut reactor, |_| other.read(&mut header).is_ok());
    assert_eq!(header[0], 6);
    assert_eq!(reactor.stats().traffic.panics, 1);
}

#[test]
fn a_panic_ends_its_connection_only() {
    panics(on_a_ring());
    panics(on_epoll());
}

fn breaks<S: Sockets>((mut reactor, address): (Reactor<S>, SocketAddr)) {
    let peer = TcpStream::connect(address).unwrap();
    until(&mut reactor, |reactor| reactor.sockets.len() == 1);
    reactor.sockets.pause(LinkId { index: 0, generation: 0 });
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    // A reset, since it may not linger.
    drop(peer);
    until(&mut reactor, |reactor| reactor.sockets.len() == 0);
    assert_eq!(reactor.shard.open_links(), 0);
}

/// Fails if hanging up, which epoll always reports, is not taken notice of.
#[test]
fn a_peer_that_breaks_while_it_is_not_read_from_is_noticed() {
    breaks(on_a_ring());
    breaks(on_epoll());
}

fn lingers<S: Sockets>((mut reactor, address): (Reactor<S>, SocketAddr)) {
    let mut peer = TcpStream::connect(address).unwrap();
    // No message: it is answered by the end.
    peer.write_all(&[1, 0, 0, 0]).unwrap();
    until(&mut reactor, |reactor| reactor.sockets.len() == 1 && reactor.shard.open_links() == 0);
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "its FIN came");
    peer.write_all(&[0; 1000]).unwrap();
    drop(peer);
    until(&mut reactor, |reactor| reactor.sockets.len() == 0);
}

#[test]
fn a_connection_that_is_closed_is_read_until_the_peer_closes_too() {
    lingers(on_a_ring());
    lingers(on_epoll());
}

/// A slow cycle would be left early and come back to the same sockets.
#[test]
fn all_connections_are_served_however_much_each_sends() {
    floods(on_a_ring());
    floods(on_epoll());
}

/// Nine connections send more than a cycle takes, again and again; the tenth
/// asks once.
fn floods<S: Sockets>((mut reactor, address): (Reactor<S>, SocketAddr)) {
    let request = [5, 0, 0, 12, 0, 9, 0, 8, b'n', b'o', b'n', b'e'];
    let many = request.repeat(BYTES_A_CYCLE / request.len());
    let mut flooding: Vec<TcpStream> =
        (0..9).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut one = TcpStream::connect(address).unwrap();
    until(&mut reactor, |reactor| reactor.sockets.len() == 10);
    for stream in flooding.iter_mut().chain([&mut one]) {
        stream.set_nonblocking(true).unwrap();
    }
    let mut scratch = vec![0; BYTES_A_CYCLE];
    let mut header = [0; 4];
    let mut cycles = 0;
    one.write_all(&request).unwrap();
    until(&mut reactor, |_| {
        for stream in &mut flooding {
            // Both as far as they go; a message cut in two is as good.
            let _sent = stream.write(&many);
            let _read = stream.read(&mut scratch);
        }
        cycles += 1;
        one.read(&mut header).is_ok()
    });
    assert_eq!(header[0], 6);
    assert!(cycles < 1000, "after {cycles} cycles");
}

/// Fails with a buffer, list or entry that is made anew for a message, a write
/// or a batch.
#[test]
fn what_comes_and_goes_is_not_allocated_for() {
    for shards in 1..=3 {
        let inboxes = || -> Vec<Arc<Inbox>> {
            (0..shards).map(|_| Arc::new(Inbox::new(shards).unwrap())).collect()
        };
        let (rings, epolls) = (inboxes(), inboxes());
        steady((0..shards).map(|it| ring_of(&plan_of(it, rings.clone()))).collect());
        steady((0..shards).map(|it| epoll_of(&plan_of(it, epolls.clone()))).collect());
    }
}

/// Pools of all shards, asked for over connections of each.
fn steady<S: Sockets>(shards: Vec<(Reactor<S>, SocketAddr)>) {
    const PEERS: usize = 4;
    let (mut reactors, addresses): (Vec<_>, Vec<_>) = shards.into_iter().unzip();
    let mut peers: Vec<TcpStream> = addresses
        .iter()
        .flat_map(|address| (0..PEERS).map(|_| TcpStream::connect(*address).unwrap()))
        .collect();
    for peer in &peers {
        peer.set_nonblocking(true).unwrap();
        peer.set_nodelay(true).unwrap();
    }
    // Nobody serves in these pools: the answers have 28 bytes.
    let requests: Vec<u8> =
        (0..16).flat_map(|pool| [5, 0, 0, 12, 0, 9, 0, 8, b'p', 0, 0, pool]).collect();
    let expected = requests.len() / 12 * 28;
    let mut scratch = [0; 4096];
    let mut round = |reactors: &mut Vec<Reactor<S>>| {
        for peer in &mut peers {
            assert_eq!(peer.write(&requests).unwrap(), requests.len());
        }
        let deadline = Instant::now() + PATIENCE;
        for peer in &mut peers {
            let mut answered = 0;
            while answered < expected {
                assert!(Instant::now() < deadline, "{answered} of {expected}");
                for reactor in reactors.iter_mut() {
                    if !reactor.look().unwrap() {
                        let _asleep = reactor.patience();
                        reactor.sockets.wait(Some(Duration::ZERO)).unwrap();
                    }
                    reactor.work();
                }
                answered += peer.read(&mut scratch).unwrap_or(0);
            }
            assert_eq!(answered, expected);
        }
    };
    // As many buffers as are ever used at once are made when they first are,
    // which is up to the kernel's timing; what is made for each message, write
    // or batch is made in every run.
    let mut rounds = 0;
    let mut run = || {
        rounds += 500;
        allocation_counter::measure(|| (0..500).for_each(|_| round(&mut reactors))).count_total
    };
    let counts: Vec<u64> = core::iter::repeat_with(&mut run).take(12).collect();
    assert_eq!(counts.iter().min(), Some(&0), "{counts:?}");
    let stats: Vec<_> = reactors.iter().map(Reactor::stats).collect();
    let unknown: u64 = stats.iter().map(|shard| shard.protocol.resolutions_unknown).sum();
    assert_eq!(unknown, rounds * 16 * (PEERS * reactors.len()) as u64);
    let crossed = stats.iter().any(|shard| shard.protocol.mesh_sent > 0);
    assert_eq!(crossed, reactors.len() > 1);
}
