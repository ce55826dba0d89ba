//! What many associations cost, and what strangers that send from addresses
//! that are not theirs do not cost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "it reports what an association costs")]

mod peer;
mod sctp_peer;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use peer::{resolution, resolved};
use rserpool_sctp::endpoint::{Config, Endpoint};
use sctp_peer::{Host, registrar, registration};

/// A registrar in a process of its own, so that its memory is its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rserpool-registrar"))
            .args(["--asap", "sctp-udp://127.0.0.1:0", "--shards", "2", "--admin", "off"])
            .args(["--keep-alive-interval", "0", "--message-timeout", "3600000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let block: Vec<String> =
            lines.map_while(Result::ok).take_while(|it| it != "ready").collect();
        let line = block.iter().find_map(|line| line.split_once("sctp-udp://")).unwrap().1;
        let address = line.split(' ').next().unwrap().parse().unwrap();
        Self { child, address }
    }

    fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.split_whitespace().next().unwrap().parse::<usize>().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone, which a test would have noticed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is what the test is asked for")]
fn ten_thousand_associations_cost_less_than_ten_kilobytes_each() {
    const COUNT: usize = 10_000;
    let process = Process::start();
    let mut host = Host::new();
    let first = host.connect_to(process.address);
    host.ask(first, &resolution(b"a"));
    let before = process.resident();
    let mut ids = Vec::new();
    while ids.len() < COUNT {
        ids.extend((0..500).map(|_| host.begin_to(process.address)));
        host.run("associations", |host| host.ups() == 1 + ids.len());
    }
    let idle = process.resident();
    // Each is used once, in both directions.
    for (pe, id) in (1..).zip(&ids) {
        host.send(*id, &registration(b"a", pe));
    }
    for id in &ids {
        assert_eq!(host.message(*id)[..2], [3, 0]);
    }
    let used = process.resident();
    let each = |after: usize| after.saturating_sub(before) / COUNT;
    println!("bytes an association: {} idle, {} with a pool element", each(idle), each(used));
    assert!(each(used) < 10_000, "{} bytes an association", each(used));
}

#[test]
fn a_flood_of_inits_from_made_up_addresses_costs_no_state_and_shuts_nobody_out() {
    const SOURCES: u16 = 500;
    const INITS: usize = 100_000;
    let running = registrar(2);
    let to = running.asap_sctp_udp()[0];
    let now = Instant::now();
    let mut stranger = Endpoint::new(Config::default(), now, [1; 32]).unwrap();
    // What is sent does not depend on where it is sent from.
    let inits: Vec<Vec<u8>> = (0..64_u16)
        .map(|port| {
            stranger.connect(now, &[to], 3863, Some(10_000 + port)).unwrap();
            stranger.poll_transmit(now).unwrap().packet
        })
        .collect();
    let sockets: Vec<UdpSocket> = (0..SOURCES)
        .map(|source| {
            let [high, low] = source.to_be_bytes();
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 77, 1 + high, low), 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let mut host = Host::new();
    let mut buffer = [0; 2048];
    let (mut sent_bytes, mut answered_bytes, mut answers) = (0, 0, 0);
    for (number, init) in inits.iter().cycle().take(INITS).enumerate() {
        let socket = &sockets[number % sockets.len()];
        // A full buffer drops some, as a network would.
        sent_bytes += socket.send_to(init, to).unwrap_or(0);
        while let Ok(length) = socket.recv(&mut buffer) {
            answered_bytes += length;
            answers += 1;
        }
        if number % 10_000 == 5_000 {
            // In the middle of it somebody wants to be served.
            let id = host.connect(&running);
            assert!(resolved(&host.ask(id, &resolution(b"none"))).is_empty());
        }
    }
    assert!(answers > 0, "they were answered at all");
    assert!(answered_bytes <= sent_bytes, "{answered_bytes} bytes for {sent_bytes}");
    let stats = running.stats();
    assert_eq!(
        stats.connections(),
        INITS as u64 / 10_000,
        "only those who came back with a cookie"
    );
    assert_eq!(stats.traffic().refused, 0);
}
