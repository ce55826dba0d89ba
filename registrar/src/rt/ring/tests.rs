use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::event::{EventfdFlags, eventfd};

use super::*;

fn ring() -> (Ring, OwnedFd) {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    (Ring::new(event.as_fd()).unwrap(), event)
}

/// The next event, waited for.
fn next(ring: &mut Ring) -> Event {
    let began = std::time::Instant::now();
    loop {
        ring.submit().unwrap();
        if let Some(event) = ring.next() {
            return event;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::yield_now();
    }
}

fn pair(ring: &mut Ring) -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    ring.accept(&listener, 7);
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let Event::Accepted { token: 7, socket: Ok(socket), more: true } = next(ring) else {
        panic!("it accepts")
    };
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
    let Event::Accepted { token: 7, socket: Err(_), more: false } = next(ring) else {
        panic!("it accepts no more")
    };
    (socket, peer)
}

#[test]
fn what_a_peer_sends_arrives_until_it_ends() {
    let (mut ring, _event) = ring();
    let (socket, mut peer) = pair(&mut ring);
    ring.receive(&socket, 3);
    let mut expected = Vec::new();
    let mut arrived = Vec::new();
    // More than all buffers hold, so each is used again.
    for round in 0..200_u32 {
        let bytes: Vec<u8> =
            (0..65_536).map(|at: u32| (at.wrapping_mul(7) ^ round).to_le_bytes()[0]).collect();
        peer.write_all(&bytes).unwrap();
        expected.extend(bytes);
        while arrived.len() < expected.len() {
            let Event::Received { token: 3, buffer: Ok(Some(received)), more } = next(&mut ring)
            else {
                panic!("it receives")
            };
            arrived.extend_from_slice(ring.bytes(&received));
            ring.give_back(received);
            if !more {
                ring.receive(&socket, 3);
            }
        }
    }
    assert!(arrived == expected, "the same bytes in the same order");
    drop(peer);
    let end = next(&mut ring);
    assert!(matches!(end, Event::Received { token: 3, buffer: Ok(None), more: false }), "{end:?}");
}

#[test]
fn what_is_sent_comes_whole_however_slowly_the_peer_reads() {
    let (mut ring, _event) = ring();
    let (socket, mut peer) = pair(&mut ring);
    let bytes: Vec<u8> = (0..8_000_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
    ring.send(&socket, 5, bytes.clone());
    let reading = std::thread::spawn(move || {
        let mut read = vec![0; 8_000_000];
        peer.read_exact(&mut read).unwrap();
        read
    });
    let Event::Sent { token: 5, buffer, result } = next(&mut ring) else { panic!("it is sent") };
    result.unwrap();
    assert!(buffer == bytes && reading.join().unwrap() == bytes);
}

#[test]
fn a_receive_can_be_stopped_and_a_time_out_elapses() {
    let (mut ring, _event) = ring();
    let (socket, _peer) = pair(&mut ring);
    ring.receive(&socket, 3);
    ring.submit().unwrap();
    ring.stop_receiving(3);
    let Event::Received { token: 3, buffer: Err(error), more: false } = next(&mut ring) else {
        panic!("it is stopped")
    };
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    ring.elapse(Duration::from_millis(1));
    let elapsed = next(&mut ring);
    assert!(matches!(elapsed, Event::Elapsed), "{elapsed:?}");
}

#[test]
fn without_a_free_buffer_a_receive_ends_and_loses_nothing() {
    let (mut ring, _event) = ring();
    let (socket, mut peer) = pair(&mut ring);
    ring.receive(&socket, 3);
    let mut held = Vec::new();
    let refused = loop {
        peer.write_all(&[9; 4096]).unwrap();
        let Event::Received { buffer, more, .. } = next(&mut ring) else { panic!("it receives") };
        match buffer {
            Ok(Some(received)) => held.push(received),
            Ok(None) => panic!("the peer sends on"),
            Err(error) => {
                assert!(!more);
                break error;
            }
        }
    };
    assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS));
    let taken: usize = held.iter().map(|received| ring.bytes(received).len()).sum();
    let written = held.len() * 4096;
    held.drain(..).for_each(|received| ring.give_back(received));
    ring.receive(&socket, 3);
    let Event::Received { buffer: Ok(Some(received)), .. } = next(&mut ring) else {
        panic!("it goes on")
    };
    assert!(ring.bytes(&received).iter().all(|&byte| byte == 9));
    assert!(taken <= written + 4096);
    ring.give_back(received);
}

/// Sleeping without a look after `fall_asleep` would hang in the host.
#[test]
fn only_a_ring_that_fell_asleep_writes_its_event() {
    let (mut ring, event) = ring();
    let (socket, mut peer) = pair(&mut ring);
    let mut count = [0; 8];
    let _emptied = rustix::io::read(&event, &mut count);
    ring.awake();
    ring.receive(&socket, 3);
    ring.submit().unwrap();
    peer.write_all(b"a").unwrap();
    let Event::Received { buffer: Ok(Some(received)), .. } = next(&mut ring) else { panic!("a") };
    ring.give_back(received);
    assert_eq!(rustix::io::read(&event, &mut count), Err(rustix::io::Errno::AGAIN));
    ring.fall_asleep();
    ring.submit().unwrap();
    assert!(ring.next().is_none());
    peer.write_all(b"b").unwrap();
    let began = std::time::Instant::now();
    while rustix::io::read(&event, &mut count).is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "no event");
        std::thread::yield_now();
    }
}

/// Found by AddressSanitizer if the memory were freed.
#[test]
fn a_ring_that_is_dropped_at_work_frees_nothing_the_kernel_may_use() {
    let (mut ring, _event) = ring();
    let (socket, mut peer) = pair(&mut ring);
    ring.receive(&socket, 3);
    ring.send(&socket, 5, vec![1; 16 << 20]);
    ring.submit().unwrap();
    drop(ring);
    peer.write_all(&[2; 4096]).unwrap();
    drop(socket);
}

/// Fails with a ring that is left as the kernel makes it.
#[test]
fn only_a_ring_that_sleeps_writes_its_event() {
    let (mut ring, event) = ring();
    let watched = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
    let mut count = [0; 8];
    ring.poll(&watched, 4, false);
    next(&mut ring);
    assert_eq!(rustix::io::read(&event, &mut count), Err(rustix::io::Errno::AGAIN));
    ring.fall_asleep();
    ring.poll(&watched, 4, false);
    next(&mut ring);
    assert_eq!(rustix::io::read(&event, &mut count), Ok(8));
    ring.awake();
    ring.poll(&watched, 4, false);
    next(&mut ring);
    assert_eq!(rustix::io::read(&event, &mut count), Err(rustix::io::Errno::AGAIN));
}

#[test]
fn a_wait_ends_with_an_event_or_with_its_time() {
    let (mut ring, _event) = ring();
    let watched = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    ring.poll(&watched, 4, false);
    let began = std::time::Instant::now();
    ring.wait(Some(Duration::from_millis(20))).unwrap();
    assert!(ring.next().is_none() && began.elapsed() >= Duration::from_millis(20));
    rustix::io::write(&watched, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    ring.wait(None).unwrap();
    assert!(matches!(ring.next(), Some(Event::Readable { token: 4, more: false })));
}

/// Hangs with a poll that tells once, or that looks at what is left to read.
#[test]
fn each_write_to_an_event_is_told_though_nobody_reads_it() {
    let (mut ring, _event) = ring();
    let watched = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    ring.poll(&watched, 4, true);
    for _ in 0..1000 {
        rustix::io::write(&watched, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        ring.wait(None).unwrap();
        assert!(matches!(ring.next(), Some(Event::Readable { token: 4, more: true })));
        assert!(ring.next().is_none(), "one for each");
    }
}

/// Those that are left would keep sockets open after their ring is closed.
#[test]
fn all_operations_can_be_ended_at_once() {
    let (mut ring, event) = ring();
    let (socket, _peer) = pair(&mut ring);
    ring.receive(&socket, 3);
    ring.poll(&event, 4, true);
    ring.elapse(Duration::from_secs(60));
    ring.submit().unwrap();
    assert!(ring.is_at_work());
    ring.cancel_all();
    while ring.is_at_work() {
        next(&mut ring);
    }
}

/// Messages keep their bounds, and one that is longer than a buffer is cut by
/// UDP; SCTP gives the rest with the next.
#[test]
fn messages_arrive_whole_with_their_senders() {
    let (mut ring, _event) = ring();
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    peer.connect(socket.local_addr().unwrap()).unwrap();
    let port = peer.local_addr().unwrap().port();
    ring.receive_messages(&socket, 9);
    // More than there are buffers, so each is used again.
    for round in 0..700_usize {
        let length = if round == 5 { 2048 } else { 1 + round % 50 };
        peer.send(&vec![7; length]).unwrap();
        let Event::Message { token: 9, buffer: Ok(Some(received)), more: true } = next(&mut ring)
        else {
            panic!("it receives")
        };
        let message = ring.message(&received).unwrap();
        assert_eq!(message.bytes, vec![7; length.min(2048 - 16 - 28 - 128)]);
        assert_eq!(message.flags & libc::MSG_TRUNC != 0, round == 5);
        assert_eq!(message.name[2..4], port.to_be_bytes());
        assert!(message.control.is_empty());
        ring.give_back(received);
    }
    ring.cancel_all();
    let Event::Message { token: 9, buffer: Err(_), more: false } = next(&mut ring) else {
        panic!("it ends")
    };
    assert!(!ring.is_at_work());
}
