//! The program: its command line, what it prints, its signals and its exit
//! status.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use peer::{PATIENCE, Peer, registrar, registration, resolution, resolved};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rserpool-registrar"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The program, serving.
struct Served {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    block: Vec<String>,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let asap = ["--asap", "tcp://127.0.0.1:0"];
        Self::of(program().args(asap).args(arguments).spawn().unwrap())
    }

    /// Waits until it is ready.
    fn of(mut child: Child) -> Self {
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut block = Vec::new();
        while block.last().is_none_or(|line| line != "ready") {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended before it was ready");
            block.push(line.trim_end().to_owned());
        }
        Self { child, stdout, block }
    }

    fn address(&self) -> SocketAddr {
        let line = self.block.iter().find_map(|line| line.trim().strip_prefix("asap"));
        line.unwrap().trim().strip_prefix("tcp://").unwrap().parse().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it prints after it was ready, to its end.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        rest
    }

    fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may be gone, which is what a test wants.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Killed and waited for when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may be gone, which is what a test wants.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn it_says_what_it_bound_and_serves() {
    let served = Served::start(&["--id", "0xaabbccdd", "--shards", "2"]);
    let block = served.block.join("\n");
    for part in ["0xaabbccdd", "shards       2", "io_uring via glommio", "connections  at most"] {
        assert!(block.contains(part), "{part:?} is not in\n{block}");
    }
    let mut peer = Peer::connect(served.address());
    assert_eq!(peer.ask(&registration(b"a", 1))[..2], [3, 0]);
    assert_eq!(resolved(&peer.ask(&resolution(b"a"))), [1]);
}

#[test]
fn signals_stop_it_with_status_0_and_a_summary() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut served = Served::start(&["--shards", "2"]);
        let mut peer = Peer::connect(served.address());
        peer.ask(&registration(b"a", 1));
        served.signal(signal);
        assert_eq!(served.wait().code(), Some(0));
        assert_eq!(peer.until_closed(), [0_u8; 0]);
        let rest = served.rest();
        assert!(rest.starts_with("stopped after "), "{rest}");
        assert!(rest.contains("1 connections, 1 messages"), "{rest}");
        assert_eq!(rest.lines().count(), 1);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let deadline = Instant::now() + PATIENCE;
        while !ended_by_a_second_signal(signal, status) {
            assert!(Instant::now() < deadline, "always late");
        }
    }
}

/// `false`: this test was not given a processor in time to see it.
fn ended_by_a_second_signal(signal: Signal, status: i32) -> bool {
    let mut served = Served::start(&["--shards", "1"]);
    let mut peer = Peer::connect(served.address());
    peer.ask(&registration(b"a", 1));
    // It waits for this one to take its answers, for a second.
    peer.stuff(&resolution(b"a").repeat(1000));
    let told = Instant::now();
    served.signal(signal);
    // One that follows at once is the same wish to stop.
    served.signal(signal);
    if told.elapsed() > Duration::from_millis(30) {
        return false;
    }
    while told.elapsed() < Duration::from_millis(300) {
        let ended = served.child.try_wait().unwrap();
        if told.elapsed() > Duration::from_millis(700) {
            return false;
        }
        assert_eq!(ended, None, "it did not wait: {}", served.rest());
        std::thread::sleep(Duration::from_millis(2));
    }
    served.signal(signal);
    if told.elapsed() > Duration::from_millis(700) {
        return false;
    }
    assert_eq!(served.wait().code(), Some(status));
    true
}

#[test]
fn a_wrong_command_line_is_refused_with_status_2() {
    let cases: [(&[&str], &[&str]); 11] = [
        (&["--peer", "x"], &["--peer", "--help"]),
        (&["--admin", "localhost"], &["an IP address with a port", "127.0.0.1:8363"]),
        (&["--host", "kqueue"], &["--host", "io_uring, epoll"]),
        (&["--shards", "0"], &["--shards", "1 to 1024"]),
        (&["--asap", "quic://0.0.0.0:3863"], &["quic:// is no transport", "sctp-udp://ADDR:PORT"]),
        (&["--announce", "10.0.0.1"], &["no multicast group", "239.0.0.50"]),
        (&["--announce=off", "--announce=239.0.0.1"], &["--announce off"]),
        (&["--sctp-rto-min", "9000"], &["--sctp-rto-min", "--sctp-rto-max"]),
        (&["--asap=sctp://[::]:1", "--asap=sctp://[::1]:1"], &["are the same place"]),
        (&["--listen=::1", "--asap=tcp://[::1]:1"], &["--listen", "--asap", "cannot be used"]),
        (&["--log-format", "xml"], &["--log-format", "text", "json"]),
    ];
    for (arguments, parts) in cases {
        let output = run(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part:?} is not in {stderr}");
        }
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_port_in_use_is_status_1_and_a_check_says_2() {
    let running = registrar(1);
    let taken = format!("tcp://{}", running.asap_tcp()[0]);
    for (arguments, status) in
        [(["--shards=1", "--asap", &taken].as_slice(), 1), (&["--check", "--asap", &taken], 2)]
    {
        let output = run(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(&taken) && stderr.contains("in use"), "{stderr}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_port_that_becomes_free_during_the_start_is_taken() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let asap = ["--asap", "tcp://127.0.0.1:0"].as_slice();
    for (scheme, option, before) in [
        ("tcp", "--asap", &[][..]),
        ("sctp-udp", "--asap", &[]),
        ("tcp", "--enrp", asap),
        ("sctp-udp", "--enrp", asap),
        ("http", "--admin", asap),
    ] {
        // Whoever has it, until it is dropped.
        let (at, holder): (_, Box<dyn std::any::Any>) = if scheme == "sctp-udp" {
            let socket = UdpSocket::bind(any).unwrap();
            (socket.local_addr().unwrap(), Box::new(socket))
        } else {
            let socket = TcpListener::bind(any).unwrap();
            (socket.local_addr().unwrap(), Box::new(socket))
        };
        let url = format!("{scheme}://{at}");
        let value = if option == "--admin" { at.to_string() } else { url.clone() };
        let child = program().args(before).args([option, &value, "--shards", "1"]).spawn();
        let mut child = Ended(child.unwrap());
        let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let told = lines.find(|line| line.contains("in use")).unwrap();
        assert!(told.contains(&url) && told.contains("again"), "{told}");
        drop(holder);
        let mut stdout = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(stdout.any(|line| line == "ready"), "{option} {value}: it ended");
        kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
        assert_eq!(lines.find(|line| line.contains("in use")), None, "it is said once");
    }
}

#[test]
fn a_registrar_that_was_killed_is_followed_at_once() {
    let mut first = Served::start(&["--shards", "2", "--admin", "off"]);
    let address = first.address();
    let asap = format!("tcp://{address}");
    for _ in 0..5 {
        // The kernel ends the connections after the process.
        let peers: Vec<Peer> = (0..50).map(|_| Peer::connect(address)).collect();
        first.signal(Signal::KILL);
        first.wait();
        let next = program().args(["--asap", &asap, "--shards", "2", "--admin", "off"]).spawn();
        first = Served::of(next.unwrap());
        drop(peers);
    }
}

#[test]
fn a_check_prints_what_would_be_bound() {
    let output = run(&["--check", "--asap", "tcp://127.0.0.1:0", "--shards", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("would bind"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("shards       3"), "{}", text(&output.stdout));
}

#[test]
fn help_has_examples_and_the_version_is_the_crates() {
    let help = text(&run(&["--help"]).stdout);
    for part in ["Examples:", "--keep-alive-interval", "--check"] {
        assert!(help.contains(part), "{part:?} is not in\n{help}");
    }
    let version = text(&run(&["--version"]).stdout);
    assert_eq!(version.trim(), concat!("rserpool-registrar ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn too_little_locked_memory_is_explained() {
    // The limit is this process's and inherited; only root could raise it
    // again, so a shell of its own takes it down.
    let script = "ulimit -l 64 && exec \"$0\" --asap tcp://127.0.0.1:0 --host io_uring";
    let program = env!("CARGO_BIN_EXE_rserpool-registrar");
    let output = Command::new("sh").args(["-c", script, program]).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in ["64 KiB", "512 KiB", "ulimit -l", "LimitMEMLOCK"] {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
}

#[test]
fn ten_thousand_connections_that_send_one_byte_cost_others_nothing() {
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    // As many as the hard limit of open files lets this test have.
    let files = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let count = (files - 500).min(10_000);
    let served = Served::start(&["--shards", "2", "--keep-alive-interval", "0"]);
    let (mut element, mut user) =
        (Peer::connect(served.address()), Peer::connect(served.address()));
    element.ask(&registration(b"a", 1));
    let before = served.resident_kib();
    let mut worst = Duration::ZERO;
    let mut silent = Vec::with_capacity(count);
    for number in 0..count {
        let mut peer = Peer::connect(served.address());
        peer.send(&[1]);
        silent.push(peer);
        if number % 50 == 0 {
            let asked = Instant::now();
            assert_eq!(resolved(&user.ask(&resolution(b"a"))), [1]);
            worst = worst.max(asked.elapsed());
        }
    }
    assert!(worst < Duration::from_secs(2), "a resolution took {worst:?}");
    assert_eq!(resolved(&user.ask(&resolution(b"a"))), [1]);
    let each = served.resident_kib().saturating_sub(before) * 1024 / count;
    assert!(each <= 4096, "{each} bytes a connection");
    assert!(silent.iter().all(|peer| !peer.is_closed()), "there was room for all");
}
