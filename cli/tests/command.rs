//! `rsp` as its users run it, against a registrar in this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rserpool_registrar::{AdminAddress, Options, Running, start};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

fn registrar() -> (Running, String) {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let running = start(&Options { asap, shards: Some(1), ..Options::default() }).unwrap();
    let url = format!("tcp://{}", running.asap_tcp()[0]);
    (running, url)
}

fn rsp(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsp"));
    if url.is_empty() {
        command.env_remove("RSP_REGISTRAR");
    } else {
        command.env("RSP_REGISTRAR", url);
    }
    command.args(arguments);
    command
}

fn run(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = rsp(url, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A command that goes on until it is told to end.
struct Started {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Started {
    fn start(url: &str, arguments: &[&str]) -> Self {
        let mut child = rsp(url, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Reads until a line has this in it.
    fn wait_for(&mut self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal)
            .unwrap();
    }

    /// Stops it, and waits until none of its threads runs any more: kill(2)
    /// returns before.
    fn freeze(&self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), stopped).unwrap().unwrap();
    }

    /// Has it end in order.
    fn end(mut self) -> i32 {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that answers each request with its name, until it is dropped.
struct Server {
    address: SocketAddr,
}

impl Server {
    fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                std::thread::spawn(move || {
                    let mut request = [0; 4];
                    while client.read_exact(&mut request).is_ok() {
                        client.write_all(name.as_bytes()).unwrap();
                    }
                });
            }
        });
        Self { address }
    }
}

#[test]
fn what_is_registered_is_resolved_and_watched_until_it_ends() {
    let (registrar, url) = registrar();
    let arguments =
        ["register", "Pool", "--service", "127.0.0.1:7001", "--id", "0x10", "--load", "25%"];
    let mut element = Started::start(&url, &arguments);
    assert!(element.line().contains("registered at"));

    let (status, stdout, _) = run(&url, &["resolve", "Pool"]);
    assert_eq!(status, 0);
    assert!(stdout.starts_with("0x00000010  tcp://127.0.0.1:7001"), "{stdout}");
    assert!(stdout.contains("LeastUsed load 25.0%"), "{stdout}");
    let (status, stdout, _) = run(&url, &["resolve", "Pool", "--json"]);
    assert_eq!(status, 0);
    assert!(stdout.contains(r#""id":"0x00000010""#), "{stdout}");

    let mut watch = Started::start(&url, &["watch", "Pool", "--interval", "50ms"]);
    assert!(watch.line().starts_with("+ 0x00000010"));
    assert_eq!(element.end(), 0);
    assert!(watch.line().starts_with("- 0x00000010"));
    assert_eq!(watch.end(), 0);
    registrar.stop().unwrap();
}

#[test]
fn the_exit_status_tells_what_went_wrong() {
    let (registrar, url) = registrar();
    let (status, _, stderr) = run(&url, &["resolve", "Nothing"]);
    assert_eq!((status, stderr.as_str()), (1, "rsp: there is no pool of this handle\n"));
    let (status, _, stderr) = run("tcp://127.0.0.1:1", &["resolve", "Pool"]);
    assert_eq!(status, 3);
    assert!(stderr.contains("no registrar can be reached"), "{stderr}");
    for wrong in [
        vec!["resolve"],
        vec!["resolve", "Pool", "--unknown"],
        vec!["resolve", "Pool", "--timeout", "5"],
        vec!["register", "Pool"],
        vec!["register", "Pool", "--service", "0.0.0.0:80"],
        vec!["register", "Pool", "--service", "127.0.0.1:80", "--policy", "best"],
        vec!["register", "Pool", "--service", "127.0.0.1:80", "--id", "0"],
        vec!["register", "Pool", "--service", "127.0.0.1:80", "--load", "25"],
        vec!["register", "P", "--service", "127.0.0.1:80", "--policy", "rr", "--load", "25%"],
        vec!["report", "Pool", "x"],
        vec!["serve", "--pool", "Pool"],
        vec!["serve", "--pool", "Pool", "--service", "127.0.0.1:1", "--check", "ping"],
        vec![
            "serve",
            "--pool",
            "P",
            "--service",
            "127.0.0.1:1",
            "--load",
            "system",
            "--policy",
            "rr",
        ],
        vec!["serve", "--pool", "P", "--service", "udp://127.0.0.1:1"],
        vec!["proxy", "--pool", "Pool"],
        vec!["proxy", "--pool", "P", "--listen", "127.0.0.1:0", "--answer-timeout", "1s"],
        vec!["resolve", "Pool", "--discover=here"],
        vec!["resolve", "Pool", "--interface", "127.0.0.1"],
        vec!["pools", "--admin", "https://127.0.0.1"],
        vec!["bench", "Pool", "--operation", "register"],
        vec!["bench", "Pool", "--rate", "0"],
        vec!["decode"],
        vec!["decode", "file", "--asap-port", "0"],
        vec!["watch", "--interval", "0s"],
    ] {
        let (status, stdout, stderr) = run(&url, &wrong);
        assert_eq!(status, 2, "{wrong:?}");
        assert!(stdout.is_empty() && !stderr.is_empty(), "{wrong:?}");
    }
    registrar.stop().unwrap();
}

#[test]
fn a_server_is_registered_while_it_is_healthy() {
    let (registrar, url) = registrar();
    let flag = std::env::temp_dir().join(format!("rsp-health-{}", std::process::id()));
    let check = format!("command:test -e {}", flag.display());
    std::fs::write(&flag, "").unwrap();
    let server = Server::start("A");
    let address = server.address.to_string();
    let arguments = [
        "serve",
        "--pool",
        "Pool",
        "--service",
        &address,
        "--check",
        &check,
        "--interval",
        "50ms",
        "--failures",
        "2",
        "--drain",
        "1ms",
    ];
    let mut sidecar = Started::start(&url, &arguments);
    let first = sidecar.wait_for("registered at");
    assert_eq!(run(&url, &["resolve", "Pool"]).0, 0);
    std::fs::remove_file(&flag).unwrap();
    sidecar.wait_for("deregistered");
    std::fs::write(&flag, "").unwrap();
    let again = sidecar.wait_for("registered at");
    assert_eq!(first, again, "it keeps its identifier");
    assert_eq!(sidecar.end(), 0);
    assert_eq!(run(&url, &["resolve", "Pool"]).0, 1);
    std::fs::remove_file(&flag).unwrap();
    registrar.stop().unwrap();
}

#[test]
fn a_sidecar_ends_with_its_command_and_the_command_with_the_sidecar() {
    let (registrar, url) = registrar();
    let serve = ["serve", "--pool", "Pool", "--check", "none", "--drain", "1ms", "--"];
    let ended = [&serve[..], &["sh", "-c", "exit 7"]].concat();
    let (status, _, stderr) = run(&url, &ended);
    assert_eq!(status, 1);
    assert!(stderr.contains("the command ended"), "{stderr}");

    // It prints its process, its port as it was told twice, and waits.
    let script = "echo process $$ $PORT {port}; exec sleep 1000";
    let running = [&serve[..], &["sh", "-c", script]].concat();
    let mut sidecar = Started::start(&url, &running);
    let line = sidecar.wait_for("process");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[2], words[3]);
    let process = Pid::from_raw(words[1].parse().unwrap()).unwrap();
    sidecar.wait_for("registered at");
    assert_eq!(sidecar.end(), 0);
    assert!(rustix::process::test_kill_process(process).is_err(), "it still runs");
    registrar.stop().unwrap();
}

fn ask(proxy: SocketAddr) -> std::io::Result<char> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.write_all(b"who?")?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    Ok(answer[0].into())
}

fn proxy(url: &str, more: &[&str]) -> (Started, SocketAddr) {
    let arguments = [&["proxy", "--pool", "Pool", "--listen", "127.0.0.1:0"], more].concat();
    let mut proxy = Started::start(url, &arguments);
    let line = proxy.line();
    let address = line.split(' ').next().unwrap().parse().unwrap();
    (proxy, address)
}

fn register(url: &str, address: SocketAddr) -> Started {
    let service = address.to_string();
    let mut element = Started::start(url, &["register", "Pool", "--service", &service]);
    element.wait_for("registered at");
    element
}

#[test]
fn a_proxy_spreads_its_clients_and_tries_another_element_when_one_is_gone() {
    let (registrar, url) = registrar();
    let (a, b) = (Server::start("A"), Server::start("B"));
    let elements = [register(&url, a.address), register(&url, b.address)];
    let (mut proxy, address) = proxy(&url, &[]);
    let answers: String = (0..4).map(|_| ask(address).unwrap()).collect();
    assert!(answers == "ABAB" || answers == "BABA", "{answers}");
    // One that does not listen: its place in the turn is taken by others.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let third = register(&url, gone);
    let (mut second, second_address) = self::proxy(&url, &[]);
    for _ in 0..12 {
        ask(second_address).unwrap();
    }
    second.signal(Signal::TERM);
    let counts = second.line();
    assert!(counts.starts_with("12 clients, 0 open, 0 not served, 1 failed connects"), "{counts}");
    proxy.signal(Signal::TERM);
    assert!(proxy.line().starts_with("4 clients, 0 open, 0 not served, 0 failed connects"));
    drop((elements, third));
    registrar.stop().unwrap();
}

#[test]
fn what_was_not_answered_is_sent_to_another_element() {
    let (registrar, url) = registrar();
    // It accepts, reads, and ends without an answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rude = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut request = [0; 4];
            let _ = client.unwrap().read_exact(&mut request);
        }
    });
    let element = register(&url, rude);
    let (without, address) = proxy(&url, &[]);
    assert!(ask(address).is_err());
    let polite = Server::start("A");
    let other = register(&url, polite.address);
    let (mut with, address) = proxy(&url, &["--replay", "1000"]);
    for _ in 0..6 {
        assert_eq!(ask(address).unwrap(), 'A');
    }
    with.signal(Signal::TERM);
    assert!(with.line().contains("1 replayed"));
    assert_eq!(without.end(), 0);
    drop((element, other));
    registrar.stop().unwrap();
}

#[test]
fn much_data_arrives_whole_in_both_directions() {
    const BYTES: usize = 3 << 20;
    let (registrar, url) = registrar();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let element = register(&url, listener.local_addr().unwrap());
    // It sends back all that it got, after the client's end.
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            client.write_all(&all).unwrap();
        }
    });
    let data: Vec<u8> = (0..BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
    for more in [&["--replay", "1000"][..], &[]] {
        let (mut proxy, address) = proxy(&url, more);
        let mut stream = TcpStream::connect(address).unwrap();
        let mut sender = stream.try_clone().unwrap();
        let sent = data.clone();
        let sending = std::thread::spawn(move || {
            sender.write_all(&sent).unwrap();
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        sending.join().unwrap();
        assert!(back == data);
        drop(stream);
        proxy.signal(Signal::TERM);
        let counts = proxy.line();
        assert!(counts.contains(&format!("{BYTES} bytes sent, {BYTES} received")), "{counts}");
    }
    drop(element);
    registrar.stop().unwrap();
}

#[test]
fn a_proxy_that_drains_lets_its_clients_finish() {
    let (registrar, url) = registrar();
    let server = Server::start("A");
    let element = register(&url, server.address);
    let (mut proxy, address) = proxy(&url, &[]);
    let mut stream = TcpStream::connect(address).unwrap();
    let mut answer = [0];
    stream.write_all(b"who?").unwrap();
    stream.read_exact(&mut answer).unwrap();
    proxy.signal(Signal::TERM);
    // No new ones,
    while TcpStream::connect(address).is_ok() {}
    // but the open one goes on.
    stream.write_all(b"who?").unwrap();
    stream.read_exact(&mut answer).unwrap();
    drop(stream);
    let counts = proxy.line();
    assert!(counts.contains(" clients, 0 open, 0 not served"), "{counts}");
    assert!(proxy.child.wait().unwrap().success());
    drop(element);
    registrar.stop().unwrap();
}

#[test]
fn the_peers_of_a_registrar_are_listed() {
    let body = r#"{"peers":[{"identifier":"0x00000002","address":"tcp://192.0.2.2:9901",
        "state":"alive","elements":7,"last_heard_ms":120},{"identifier":"0x00000003",
        "address":null,"state":"looking","elements":0,"last_heard_ms":null}]}"#;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let lines = BufReader::new(client.try_clone().unwrap()).lines();
            let request: Vec<String> =
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            assert_eq!(request[0], "GET /v1/peers HTTP/1.1");
            let answer = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
            client.write_all(answer.as_bytes()).unwrap();
        }
    });
    let (status, stdout, _) = run("", &["peers", "--admin", &admin]);
    assert_eq!(status, 0);
    let lines: Vec<&str> = stdout.lines().collect();
    let first =
        "0x00000002  tcp://192.0.2.2:9901      alive                7 elements  heard 120 ms ago";
    assert_eq!(lines[0], first);
    assert!(lines[1].ends_with("never heard"), "{stdout}");
    let (_, stdout, _) = run("", &["peers", "--admin", &admin, "--json"]);
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
}

#[test]
fn a_registrar_that_announces_itself_is_found() {
    let (registrar, url) = registrar();
    let element = register(&url, SocketAddr::from(([127, 0, 0, 1], 7001)));
    // What a registrar sends to a group, sent to one address.
    let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
    let [high, low] = port.to_be_bytes();
    let transport = [0, 5, 0, 16, high, low, 0, 0, 0, 1, 0, 8, 127, 0, 0, 1];
    let announce = [&[0x0a, 0, 0, 24, 0, 0, 0, 9][..], &transport].concat();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let heard_at = socket.local_addr().unwrap();
    drop(socket);
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&over);
    let announcing = std::thread::spawn(move || {
        while !seen.load(std::sync::atomic::Ordering::Relaxed) {
            // Nobody may listen yet.
            let _ = sender.send_to(&announce, heard_at);
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let discover = format!("--discover={heard_at}");
    let seek = |arguments: &[&str]| {
        let (status, stdout, _) = run("", arguments);
        (status, stdout)
    };
    let (status, stdout) = seek(&["resolve", "Pool", &discover]);
    assert_eq!(status, 0);
    assert!(stdout.contains("tcp://127.0.0.1:7001"), "{stdout}");
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    announcing.join().unwrap();
    // And without any: nobody is there.
    let (status, _) = seek(&["resolve", "Pool", "--discover=127.0.0.1:1", "--timeout", "200ms"]);
    assert_eq!(status, 3);
    drop(element);
    registrar.stop().unwrap();
}

#[test]
fn a_short_measurement_tells_what_was_answered_and_leaves_nothing() {
    let (registrar, url) = registrar();
    for operation in ["resolve", "register"] {
        for pace in [&["--concurrency", "4"][..], &["--rate", "200"]] {
            let bench = ["bench", "Try", "--elements", "5", "--duration", "300ms", "--json"];
            let arguments = [&bench[..], &["--operation", operation], pace].concat();
            let (status, stdout, stderr) = run(&url, &arguments);
            assert_eq!(status, 0, "{stderr}");
            let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
            assert!(told["answers"].as_u64().unwrap() > 0, "{stdout}");
            assert_eq!(told["errors"], 0, "{stdout}");
            assert!(told["latency_ms"]["p50"].as_f64().unwrap() > 0.0, "{stdout}");
            assert_eq!(run(&url, &["resolve", "Try"]).0, 1, "elements are left");
        }
    }
    // A pool that somebody uses gets no elements that lead nowhere.
    let element = register(&url, SocketAddr::from(([127, 0, 0, 1], 7001)));
    let (status, _, stderr) = run(&url, &["bench", "Pool", "--elements", "1"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("there is a pool Pool"), "{stderr}");
    let (status, stdout, _) = run(&url, &["bench", "Pool", "--duration", "100ms"]);
    assert_eq!(status, 0);
    assert!(stdout.contains("resolve Pool at tcp://127.0.0.1"), "{stdout}");
    assert_eq!(run(&url, &["bench", "Nothing"]).0, 1);
    drop(element);
    registrar.stop().unwrap();
}

/// A capture file of one UDP datagram.
fn capture(payload: &[u8]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
    let [high, low] = u16::try_from(28 + payload.len()).unwrap().to_be_bytes();
    packet[2..4].copy_from_slice(&[high, low]);
    let [high, low] = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    packet.extend([0x9c, 0x40, 0x0f, 0x17, high, low, 0, 0]);
    packet.extend(payload);
    let header = [word(0xa1b2_c3d4), [2, 0, 4, 0], [0; 4], [0; 4], word(65_535), word(101)];
    let record = [word(1), word(0), word(packet.len()), word(packet.len())];
    [header.concat(), record.concat(), packet].concat()
}

#[test]
fn the_messages_of_a_capture_are_read() {
    let good = capture(&[0x0a, 0, 0, 8, 0, 0, 0, 9]);
    let bad = capture(&[0x0a, 0, 0, 7, 0, 0, 0, 9]);
    for (name, bytes, expected, part) in [
        ("good", good.as_slice(), 0, "udp  ASAP Server Announce  bytes 8  registrar 0x00000009"),
        ("bad", &bad, 1, "ASAP MALFORMED  what a length does not fit what it covers  offset 4"),
        ("cut", &good[..good.len() - 1], 1, "0 packets: 0 messages"),
        ("none", b"something else", 1, "0 packets: 0 messages"),
    ] {
        let file = std::env::temp_dir().join(format!("rsp-{name}-{}.pcap", std::process::id()));
        std::fs::write(&file, bytes).unwrap();
        let (status, stdout, stderr) = run("", &["decode", file.to_str().unwrap()]);
        assert_eq!(status, expected, "{name} {stdout} {stderr}");
        assert!(stdout.contains(part), "{name} {stdout}");
        let (_, stdout, _) = run("", &["decode", file.to_str().unwrap(), "--json"]);
        for line in stdout.lines() {
            let told: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(told["event"].is_string(), "{line}");
        }
        std::fs::remove_file(&file).unwrap();
    }
    assert_eq!(run("", &["decode", "/nowhere/at/all"]).0, 1);
}

/// The commands, as the help lists them.
fn commands() -> Vec<String> {
    let (status, help, _) = run("", &["--help"]);
    assert_eq!(status, 0);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn every_command_has_help_with_examples_completions_and_a_man_page() {
    let commands = commands();
    for name in [
        "resolve",
        "register",
        "report",
        "watch",
        "serve",
        "proxy",
        "pools",
        "pool",
        "dump",
        "elements",
        "peers",
        "decode",
        "bench",
        "doctor",
        "completions",
        "man",
    ] {
        assert!(commands.iter().any(|command| command == name), "{name} is missing: {commands:?}");
    }
    let folder = std::env::temp_dir().join(format!("rsp-man-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (status, _, stderr) = run("", &["man", folder.to_str().unwrap()]);
    assert_eq!(status, 0, "{stderr}");
    let completions = ["bash", "zsh", "fish"].map(|shell| {
        let (status, stdout, _) = run("", &["completions", shell]);
        assert_eq!(status, 0);
        (shell, stdout)
    });
    for command in &commands {
        let (status, help, _) = run("", &[command, "--help"]);
        assert_eq!(status, 0, "{command}");
        let example = format!("\n  rsp {command}");
        assert!(help.contains("Example") && help.contains(&example), "{command}: {help}");
        for option in ["--json", "--registrar", "--discover", "--timeout"] {
            assert!(help.contains(option), "{command} has no {option}");
        }
        let page = std::fs::read_to_string(folder.join(format!("rsp-{command}.1"))).unwrap();
        assert!(page.contains("Example"), "{command}");
        for (shell, text) in &completions {
            assert!(text.contains(command.as_str()), "{command} in {shell}");
        }
        // A wrong option is refused before anything is done.
        let (status, stdout, stderr) = run("", &[command, "--no-such-option"]);
        assert_eq!((status, stdout.as_str()), (2, ""), "{command}");
        assert!(stderr.contains("--no-such-option"), "{command}: {stderr}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_doctor_looks_at_everything() {
    let (status, stdout, _) = run("tcp://127.0.0.1:1", &["doctor", "--json"]);
    assert_eq!(status, 0);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{stdout}");
}

#[test]
fn what_a_registrar_holds_is_listed_by_its_admin_address() {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let admin = AdminAddress::At(SocketAddr::from(([127, 0, 0, 1], 0)));
    let registrar = start(&Options { asap, admin, shards: Some(2), ..Options::default() }).unwrap();
    let url = format!("tcp://{}", registrar.asap_tcp()[0]);
    let admin = format!("http://{}", registrar.bound().admin.unwrap());
    let mut elements = Vec::new();
    for (pool, port) in [("Pool", "1"), ("Pool", "2"), ("a/b ?", "3")] {
        let service = format!("127.0.0.1:{port}");
        let mut element = Started::start(&url, &["register", pool, "--service", &service]);
        element.wait_for("registered at");
        elements.push(element);
    }
    let (status, stdout, _) = run(&url, &["pools", "--admin", &admin]);
    assert_eq!(status, 0);
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert!(stdout.contains("2 elements"), "{stdout}");
    let (status, stdout, _) = run(&url, &["pool", "Pool", "--admin", &admin]);
    assert_eq!(status, 0);
    assert!(stdout.contains("127.0.0.1:1") && stdout.contains("127.0.0.1:2"), "{stdout}");
    let (status, stdout, _) = run(&url, &["pool", "a/b ?", "--admin", &admin, "--json"]);
    assert_eq!((status, stdout.lines().count()), (0, 1), "{stdout}");
    let (status, stdout, _) = run(&url, &["dump", "--admin", &admin]);
    assert_eq!((status, stdout.lines().count()), (0, 2), "{stdout}");
    assert_eq!(stdout.matches("registered_from").count(), 3, "{stdout}");
    let (status, stdout, _) = run(&url, &["elements", "--admin", &admin]);
    assert_eq!((status, stdout.lines().count()), (0, 3), "{stdout}");
    assert!(stdout.lines().filter(|line| line.starts_with("Pool  ")).count() == 2, "{stdout}");
    let (status, stdout, _) = run(&url, &["elements", "--admin", &admin, "--json"]);
    assert_eq!(status, 0);
    assert_eq!(stdout.matches(r#""pool":"a/b ?""#).count(), 1, "{stdout}");
    let lines = ["watch", "--count", "1", "--admin", &admin];
    let (status, stdout, _) = run(&url, &lines);
    assert_eq!(status, 0);
    assert!(stdout.contains("+ Pool") && stdout.contains("+ a/b ?"), "{stdout}");
    assert_eq!(run(&url, &["watch", "--count", "1", "--admin", "http://127.0.0.1:1"]).0, 3);
    assert_eq!(run(&url, &["pool", "Nothing", "--admin", &admin]).0, 1);
    assert_eq!(run(&url, &["pools", "--admin", "http://127.0.0.1:1"]).0, 3);
    drop(elements);
    registrar.stop().unwrap();
}

/// A server whose process does nothing: its system accepts, and takes bytes.
fn frozen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_request_to_an_element_that_froze_is_answered_by_another_within_the_bound() {
    let (registrar, url) = registrar();
    let (_listener, address) = frozen();
    let good = Server::start("A");
    let elements = [register(&url, good.address), register(&url, address)];
    let bound = ["--replay", "1000", "--answer-timeout", "300ms"];
    let (mut proxy, address) = proxy(&url, &bound);
    let begun = Instant::now();
    for _ in 0..6 {
        assert_eq!(ask(address).unwrap(), 'A');
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    proxy.signal(Signal::TERM);
    assert!(proxy.line().contains("1 replayed"), "it is asked once");
    drop(elements);
    registrar.stop().unwrap();
}

#[test]
fn a_process_that_is_stopped_is_left_within_the_bound() {
    let (registrar, url) = registrar();
    // A process to be stopped, in front of a server: a proxy of another pool.
    let (behind, other) = (Server::start("B"), Server::start("A"));
    let behind = {
        let service = behind.address.to_string();
        let mut element = Started::start(&url, &["register", "Behind", "--service", &service]);
        element.wait_for("registered at");
        element
    };
    let mut process =
        Started::start(&url, &["proxy", "--pool", "Behind", "--listen", "127.0.0.1:0"]);
    let inner: SocketAddr = process.line().split(' ').next().unwrap().parse().unwrap();
    let element = register(&url, inner);
    let bound = ["--replay", "1000", "--answer-timeout", "300ms"];
    let (with, address) = proxy(&url, &bound);
    assert_eq!(ask(address).unwrap(), 'B');
    let second = register(&url, other.address);
    process.freeze();
    let begun = Instant::now();
    // One of the first two is for the stopped process.
    for _ in 0..6 {
        assert_eq!(ask(address).unwrap(), 'A');
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    process.signal(Signal::CONT);
    assert_eq!(with.end(), 0);
    drop((element, second, behind, process));
    registrar.stop().unwrap();
}
