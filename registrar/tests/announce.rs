//! Announces by multicast on the loopback interface, as pool elements and
//! pool users hear them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use peer::{Peer, any_port, resolution, resolved};
use rserpool_codec::enrp;
use rserpool_engine::{RegistrarId, Timestamp};
use rserpool_proto::discovery::{Directory, Heard};
use rserpool_registrar::{Announce, AsapAddress, Compat, EnrpAddress, Options, Running, start};
use socket2::{Domain, Protocol, Socket, Type};

/// A group of the test's own, on a port that the system chose.
struct Group {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Group {
    fn join(last: u8) -> Self {
        Self::join_at((Ipv4Addr::new(239, 255, 77, last), 0))
    }

    fn join_at((group, port): (Ipv4Addr, u16)) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        // Registrars that listen, too, share the port.
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((group, port)).into()).unwrap();
        socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
        let socket = UdpSocket::from(socket);
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    fn next(&self) -> (SocketAddr, Vec<u8>) {
        self.within(peer::PATIENCE).expect("no announce")
    }

    /// The next datagram, if one comes in time.
    fn within(&self, patience: Duration) -> Option<(SocketAddr, Vec<u8>)> {
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 2048];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => return Some((from, buffer[..length].to_vec())),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if left.is_zero() => return None,
                Err(_) => {}
            }
        }
    }
}

fn announcing(group: &Group, change: impl FnOnce(&mut Options)) -> Running {
    let mut options =
        Options { announce: vec![Announce::Group(group.address)], ..peer::options(1) };
    change(&mut options);
    start(&options).unwrap()
}

#[test]
fn a_pool_user_finds_a_registrar_by_its_announces() {
    let group = Group::join(1);
    let running = announcing(&group, |_| {});
    assert_eq!(running.bound().announces, [group.address]);
    let (from, datagram) = group.next();
    let mut directory = Directory::new();
    let heard = directory.receive(Timestamp::ZERO, from, &datagram);
    assert_eq!(heard, Heard::New(running.bound().id));
    let found = directory.registrars().next().unwrap();
    let [place] = found.places() else { panic!("{found:?}") };
    assert_eq!(SocketAddr::new(place.addresses[0], place.port), running.asap_tcp()[0]);
    let mut user = Peer::connect(running.asap_tcp()[0]);
    assert!(resolved(&user.ask(&resolution(b"none"))).is_empty());
}

#[test]
fn announces_come_about_once_a_second_until_the_registrar_stops() {
    let group = Group::join(2);
    let running = announcing(&group, |_| {});
    group.next();
    let begin = Instant::now();
    for _ in 0..4 {
        group.next();
    }
    // What came while this test had no processor is read at once.
    let four = begin.elapsed();
    assert!(four > Duration::from_secs(2), "{four:?}");
    running.stop().unwrap();
    // What was sent before the stop.
    while group.within(Duration::ZERO).is_some() {}
    assert!(group.within(Duration::from_millis(1300)).is_none(), "it goes on");
}

#[test]
fn tcp_is_listed_before_sctp_and_the_datagram_leaves_from_the_port_of_sctp() {
    let group = Group::join(3);
    let udp = AsapAddress::SctpUdp((Ipv4Addr::LOCALHOST, 9899).into());
    let Ok(running) = std::panic::catch_unwind(|| {
        announcing(&group, |options| options.asap = vec![any_port(), udp])
    }) else {
        // Somebody has the registered port of SCTP over UDP.
        return;
    };
    let (from, datagram) = group.next();
    assert_eq!(from.port(), 3863);
    let mut directory = Directory::new();
    directory.receive(Timestamp::ZERO, from, &datagram);
    let found = directory.registrars().next().unwrap();
    let texts: Vec<String> = found.places().iter().map(ToString::to_string).collect();
    let tcp = format!("tcp://{}", running.asap_tcp()[0]);
    assert_eq!(texts, [tcp.as_str(), "sctp://127.0.0.1:3863"]);
}

#[test]
fn registrars_that_follow_the_rfc_announce_less_often_the_more_there_are() {
    let group = Group::join(4);
    let shared = |id| {
        announcing(&group, |options| {
            options.compat = Compat::Rfc;
            options.id = Some(RegistrarId::new(id));
        })
    };
    let running = [shared(1), shared(2), shared(3)];
    // They have heard each other after a period of one that is alone.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2500) {
        group.next();
    }
    let begin = Instant::now();
    let mut heard = 0;
    while begin.elapsed() < Duration::from_secs(6) {
        group.next();
        heard += 1;
    }
    // Three that share nothing are heard about 18 times.
    assert!((3..=12).contains(&heard), "{heard} in 6 s, about one a second in all");
    drop(running);
}

#[test]
fn nothing_is_announced_where_it_is_off_or_there_is_nothing_to_announce() {
    let off = Options { announce: vec![Announce::Off], ..peer::options(1) };
    assert!(start(&off).unwrap().bound().announces.is_empty());
    // A port of SCTP over UDP that nobody could guess.
    let address = AsapAddress::SctpUdp((Ipv4Addr::LOCALHOST, 0).into());
    let hidden = Options { asap: vec![address], ..peer::options(1) };
    assert!(start(&hidden).unwrap().bound().announces.is_empty());
}

#[test]
fn presences_are_multicast_to_the_group_that_compat_says() {
    let groups = [(Compat::Rsplib, [239, 0, 0, 51]), (Compat::Rfc, [224, 0, 1, 185])];
    for (compat, presences) in groups {
        let presences = Group::join_at((presences.into(), 9901));
        let id = RegistrarId::new(0x5e5e_0000 + u32::from(compat == Compat::Rfc));
        let running = announcing(&Group::join(7), |options| {
            options.compat = compat;
            options.id = Some(id);
            options.announce_interface = vec!["lo".to_owned()];
            options.group.enrp = vec![EnrpAddress::At(any_port())];
        });
        // Other registrars of this host are in the group, too.
        loop {
            let (_, datagram) = presences.next();
            let message = enrp::Message::parse(&datagram).unwrap();
            if message.sender == id {
                assert!(matches!(message.body, enrp::Body::Presence { .. }), "{message:?}");
                break;
            }
        }
        drop(running);
    }
}
