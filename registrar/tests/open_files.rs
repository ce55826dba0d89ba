//! What happens when no more files can be opened. Alone in its process, since
//! it opens all there may be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::fs::File;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use peer::{Peer, options, registration, resolution, resolved};
use rserpool_registrar::{Host, Options, start};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, Socket, Type};

/// The processor time of this process.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn pauses_accepting(host: Option<Host>) {
    let running = start(&Options { host, ..options(1) }).unwrap();
    let address = running.asap_tcp()[0];
    let mut early = Peer::connect(address);
    early.ask(&registration(b"a", 1));
    let late = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    late.connect(&address.into()).unwrap();
    let mut late = Peer::over(TcpStream::from(late));
    late.send(&resolution(b"a"));
    let (began, before) = (Instant::now(), used());
    while began.elapsed() < Duration::from_millis(600) {
        assert_eq!(resolved(&early.ask(&resolution(b"a"))), [1]);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!late.has_answer(), "it was accepted");
    // Spinning would take about all of it.
    let spent = used() - before;
    assert!(spent < Duration::from_millis(300), "{spent:?} of processor time in 600 ms");
    drop(files);
    assert_eq!(resolved(&late.message()), [1]);
    running.stop().unwrap();
}

#[test]
fn too_many_open_files_pause_accepting_without_spinning() {
    // Few enough to be opened quickly; the registrar keeps to a limit that it
    // finds as the hard one.
    let limit = Rlimit { current: Some(1000), maximum: Some(1000) };
    setrlimit(Resource::Nofile, limit).unwrap();
    assert_eq!(getrlimit(Resource::Nofile).maximum, Some(1000));
    pauses_accepting(None);
    pauses_accepting(Some(Host::Epoll));
}
