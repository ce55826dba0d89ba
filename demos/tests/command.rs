//! `rsp-demo` as processes, some of which are killed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::UdpSocket;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rserpool_registrar::{Options, Running, start};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

fn registrar() -> Running {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    start(&Options { asap, shards: Some(1), ..Options::default() }).unwrap()
}

fn command(registrar: &Running) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsp-demo"));
    command
        .arg("--registrar")
        .arg(format!("tcp://{}", registrar.asap_tcp()[0]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A process whose output is read line by line.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("it ended")
    }

    /// What it still says until it ends, with status 0.
    async fn rest(mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push(line);
        }
        assert!(self.child.wait().await.unwrap().success(), "{rest:?}");
        rest
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }
}

/// An element that is registered, as the identifier that was given.
async fn serve(registrar: &Running, service: &str, id: u32, more: &[&str]) -> Process {
    let id = format!("{id:#010x}");
    let mut element =
        Process::start(command(registrar).args(["serve", service, "--id", &id]).args(more));
    let line = element.line().await;
    assert!(line.starts_with(&format!("{id} serves ")), "{line}");
    element
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// How the two elements are reached: where each listens, and what the client
/// says.
fn carriers() -> [([String; 2], String); 2] {
    let port = free_udp_port();
    let tcp = ["tcp://127.0.0.1:0".to_owned(), "tcp://127.0.0.1:0".to_owned()];
    let sctp = [2, 3].map(|host| format!("sctp-udp://127.0.0.{host}:{port}"));
    [(tcp, "any".to_owned()), (sctp, format!("udp:{port}"))]
}

#[tokio::test]
async fn no_reply_is_lost_or_comes_twice_when_the_element_is_killed() {
    let registrar = registrar();
    for (listen, sctp) in carriers() {
        let mut elements = Vec::new();
        for (id, listen) in (1..).zip(&listen) {
            let element = serve(&registrar, "ping-pong", id, &["--listen", listen]).await;
            elements.push((format!("{id:#010x}"), element));
        }
        let mut client = Process::start(command(&registrar).args(["--sctp", &sctp]).args([
            "ping-pong",
            "--count",
            "300",
            "--interval",
            "2",
        ]));
        let mut first = String::new();
        for _ in 0..100 {
            first = client.line().await;
        }
        let serving = elements.iter().position(|(id, _)| first.contains(id)).unwrap();
        // At any time: before, between and after a reply and its cookie.
        elements.swap_remove(serving).1.child.start_kill().unwrap();
        let rest = client.rest().await;
        assert!(rest[rest.len() - 2].contains(&elements[0].0), "{rest:?}");
        assert_eq!(rest[rest.len() - 1], "300 replies, 0 gaps, 0 again");
        elements[0].1.child.kill().await.unwrap();
    }
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_job_goes_on_where_the_killed_element_left_it() {
    let registrar = registrar();
    for (listen, sctp) in carriers() {
        let mut elements = Vec::new();
        for ((id, listen), capacity) in (1..).zip(&listen).zip(["10000000", "2000000"]) {
            let more = ["--listen", listen, "--policy", "lu", "--capacity", capacity];
            elements.push(serve(&registrar, "calc-app", id, &more).await);
        }
        let begun = Instant::now();
        let client = Process::start(
            command(&registrar)
                .args(["--sctp", &sctp, "--silence", "2000"])
                .args(["calc-app", "--size", "40000000"]),
        );
        // The first of two that have no load has it, and is half done.
        tokio::time::sleep(Duration::from_secs(2)).await;
        elements[0].child.start_kill().unwrap();
        let rest = client.rest().await;
        assert!(rest[0].contains("by 0x00000002"), "{rest:?}");
        assert!(rest[0].ends_with("accepted 2, rejected 0, failovers 1"), "{rest:?}");
        // 2 s, the silence, and half of 20 s; all over again it were 24 s.
        assert!(begun.elapsed() < Duration::from_secs(22), "{:?}", begun.elapsed());
        elements[1].child.kill().await.unwrap();
    }
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_image_is_whole_although_its_element_is_killed() {
    let registrar = registrar();
    for (listen, sctp) in carriers() {
        let mut elements = Vec::new();
        for (id, listen) in (1..).zip(&listen) {
            let more = ["--listen", listen, "--policy", "lu", "--pause", "4"];
            elements.push(serve(&registrar, "fractal", id, &more).await);
        }
        let file = std::env::temp_dir().join(format!("rsp-demo-{}.png", std::process::id()));
        let size = ["--width", "400", "--height", "300"];
        let client = Process::start(
            command(&registrar)
                .args(["--sctp", &sctp, "fractal", file.to_str().unwrap()])
                .args(size),
        );
        // 370 messages at 4 ms each.
        tokio::time::sleep(Duration::from_millis(700)).await;
        elements[0].child.start_kill().unwrap();
        let rest = client.rest().await;
        assert!(rest[0].contains("drawn: failovers 1, points again "), "{rest:?}");
        let again: u64 = rest[0].rsplit(' ').next().unwrap().parse().unwrap();
        assert!(again <= 11 * 324, "{rest:?}");
        let png = std::fs::read(&file).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 400 * 300, "{}", png.len());
        std::fs::remove_file(file).unwrap();
        elements[1].child.kill().await.unwrap();
    }
    registrar.stop().unwrap();
}

#[tokio::test]
async fn an_element_that_falls_silent_is_left_within_the_bound() {
    let registrar = registrar();
    let (listen, sctp) = carriers()[1].clone();
    let mut elements = Vec::new();
    for (id, listen) in (1..).zip(&listen) {
        elements.push(serve(&registrar, "ping-pong", id, &["--listen", listen]).await);
    }
    let mut client =
        Process::start(command(&registrar).args(["--sctp", &sctp, "--silence", "2000"]).args([
            "ping-pong",
            "--count",
            "200",
            "--interval",
            "10",
        ]));
    let first = client.line().await;
    let serving = usize::from(first.contains("0x00000002"));
    elements[serving].signal("-STOP").await;
    let frozen = Instant::now();
    while !client.line().await.contains(&format!("0x0000000{}", 2 - serving)) {}
    // 2 s until it counts as dead; the rest is for a busy machine.
    assert!(frozen.elapsed() < Duration::from_secs(10), "{:?}", frozen.elapsed());
    let rest = client.rest().await;
    assert_eq!(rest[rest.len() - 1], "200 replies, 0 gaps, 0 again");
    elements[serving].signal("-CONT").await;
    registrar.stop().unwrap();
}

#[tokio::test]
async fn the_small_services_do_what_they_are_named_after() {
    let registrar = registrar();
    let mut elements = Vec::new();
    for (id, service) in (1..).zip(["echo", "discard", "daytime", "chargen"]) {
        elements.push(serve(&registrar, service, id, &[]).await);
    }
    for (service, printed) in [("echo", "one\ntwo\n"), ("discard", "")] {
        let mut client = command(&registrar).arg(service).stdin(Stdio::piped()).spawn().unwrap();
        client.stdin.take().unwrap().write_all(b"one\ntwo\n").await.unwrap();
        let output = client.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), printed);
    }
    let time = command(&registrar).arg("daytime").output().await.unwrap();
    let time = String::from_utf8(time.stdout).unwrap();
    assert!(time.contains("day, ") && time.contains("-20") && time.ends_with('\n'), "{time}");
    let read = command(&registrar).args(["chargen", "--bytes", "3000000"]).output().await.unwrap();
    let read = String::from_utf8(read.stdout).unwrap();
    assert!(read.starts_with("300") && read.ends_with(" bytes\n"), "{read}");
    // SIGTERM has it deregistered.
    elements[0].signal("-TERM").await;
    assert!(elements[0].child.wait().await.unwrap().success());
    let output = command(&registrar).arg("echo").output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_full_element_is_left_for_one_with_room() {
    let registrar = registrar();
    let full = ["--jobs-max", "1", "--policy", "rr"];
    let _first = serve(&registrar, "calc-app", 1, &full).await;
    let long = Process::start(command(&registrar).args(["calc-app", "--size", "6000000"]));
    let second = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        serve(&registrar, "calc-app", 2, &full).await
    };
    let short = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let client = Process::start(command(&registrar).args(["calc-app", "--size", "1000"]));
        client.rest().await.remove(0)
    };
    let (_second, short) = tokio::join!(second, short);
    assert!(short.contains("by 0x00000002") && short.contains("accepted 1"), "{short}");
    assert!(!short.contains("rejected 0") && !short.contains("failovers 0"), "{short}");
    assert!(long.rest().await[0].contains("accepted 1, rejected 0"));
    registrar.stop().unwrap();
}

#[tokio::test]
async fn a_wrong_command_line_says_what_is_allowed() {
    let registrar = registrar();
    let wrong: [(&[&str], &str); 8] = [
        (&["serve", "pong"], "ping-pong"),
        (&["serve", "echo", "--listen", "127.0.0.1:0"], "allowed: tcp://ADDR:PORT"),
        (&["serve", "echo", "--listen", "tcp://0.0.0.0:0"], "clients cannot connect"),
        (&["serve", "echo", "--listen", "sctp-udp://127.0.0.1:0"], "9899"),
        (&["serve", "echo", "--policy", "best"], "allowed: rr, random, lu"),
        (&["serve", "echo", "--id", "0"], "allowed: 1 to 0xffffffff"),
        (&["--sctp", "udp:0", "echo"], "allowed: any, kernel, udp:PORT"),
        (&["fractal", "x.png", "--width", "0"], "1..=4096"),
    ];
    for (arguments, said) in wrong {
        let Output { status, stderr, .. } =
            command(&registrar).args(arguments).output().await.unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    registrar.stop().unwrap();
}
