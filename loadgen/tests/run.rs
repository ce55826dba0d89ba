//! Whole runs of the program, small ones.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rserpool_loadgen::report::{Report, Verdict};
use rserpool_registrar::{Announce, AsapAddress, Options, Running, start};

/// Longer than any of these runs may take, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory for the report of one test, removed at its end.
struct Out(PathBuf);

impl Out {
    fn new(test: &str) -> Self {
        Self(std::env::temp_dir().join(format!("rserpool-loadgen-{test}-{}", std::process::id())))
    }

    fn report(&self) -> Report {
        let json = fs::read(self.0.join("report.json")).expect("a report");
        serde_json::from_slice(&json).expect("a report as the schema says")
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn program(out: &Path, seconds: &str, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rserpool-loadgen"));
    command.args(["--elements", "1000", "--duration", seconds, "--rate", "2000"]);
    command.args(["--churn", "100"]);
    command.args(["--connections", "8", "--out"]).arg(out).args(options);
    command
}

/// Runs to the end, which must come in time.
fn finish(mut child: Child) -> Output {
    let began = Instant::now();
    let pipes = child.stdout.take().zip(child.stderr.take()).expect("pipes");
    let read = |mut pipe: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        })
    };
    let (stdout, stderr) = (read(Box::new(pipes.0)), read(Box::new(pipes.1)));
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill().expect("a child");
                panic!("the run does not end");
            }
        }
    };
    let bytes = |reader: thread::JoinHandle<std::io::Result<Vec<u8>>>| {
        reader.join().expect("a reader").expect("text")
    };
    Output { status, stdout: bytes(stdout), stderr: bytes(stderr) }
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program")
}

fn run(out: &Out, options: &[&str]) -> (i32, String, String) {
    told(&finish(spawn(program(&out.0, "2", options))))
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("an exit status");
    (code, text(&output.stdout), text(&output.stderr))
}

/// A registrar in this process.
fn registrar() -> (Running, String) {
    let free = AsapAddress::Tcp("127.0.0.1:0".parse().expect("an address"));
    let options = Options {
        asap: vec![free],
        announce: vec![Announce::Off],
        shards: Some(2),
        ..Options::default()
    };
    let running = start(&options).expect("a registrar");
    let target = format!("tcp://{}", running.asap_tcp()[0]);
    (running, target)
}

#[test]
fn a_run_with_the_registrar_inside_is_right() {
    let out = Out::new("inside");
    let (code, stdout, stderr) = run(&out, &["--json"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let report = out.report();
    assert_eq!(serde_json::from_str::<Report>(&stdout).unwrap(), report);
    assert_eq!((report.result, report.checks.errors), (Verdict::Passed, 0));
    assert!(report.selections.elements > 1000, "{:?}", report.selections);
    assert!(report.memory.is_some() && report.registrar.inside);
    let names: Vec<_> = report.phases.iter().map(|phase| phase.name.as_str()).collect();
    let expected = ["registering", "steady state", "audit", "deregistering", "empty check"];
    assert_eq!(names, expected);
    let count = |phase: usize, name: &str| {
        let found = report.phases[phase].operations.iter().find(|o| o.name == name);
        found.map_or(0, |operation| operation.count)
    };
    assert_eq!(count(0, "register"), 1000);
    assert!(count(1, "re-register") > 0 && count(1, "deregister") > 0 && count(1, "register") > 0);
    assert!(["resolve 1", "resolve 3", "resolve 10"].iter().all(|name| count(1, name) > 100));
    assert_eq!(count(4, "resolve (check)"), 10);
    for file in ["report.html", "latency.hlog"] {
        assert!(fs::metadata(out.0.join(file)).unwrap().len() > 1000, "{file}");
    }
    assert!(stderr.contains("steady state"), "{stderr}");
}

#[test]
fn a_run_against_a_running_registrar_is_right_and_leaves_it_empty() {
    let out = Out::new("target");
    let (registrar, target) = registrar();
    let options = ["--target", &target, "--threads", "2", "--no-progress"];
    let (code, stdout, stderr) = run(&out, &options);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("PASSED") && stdout.contains(&target), "{stdout}");
    assert_eq!((registrar.stats().pools(), registrar.stats().elements()), (0, 0));
    registrar.stop().unwrap();
}

#[test]
fn a_closed_loop_is_right_too() {
    let out = Out::new("closed");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rserpool-loadgen"));
    command
        .args([
            "--elements",
            "500",
            "--duration",
            "1",
            "--closed",
            "5",
            "--connections",
            "8",
            "--out",
        ])
        .arg(&out.0);
    let (code, stdout, stderr) = told(&finish(spawn(command)));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("closed loop, 5 resolutions unanswered each"), "{stdout}");
    let report = out.report();
    assert!(report.selections.resolutions > 500);
    assert!(report.ceiling.unwrap().per_second > 1000.0, "{stdout}");
}

/// What is on standard error until a line starts so, and the rest of it.
fn until(child: &mut Child, start: &str) -> (String, BufReader<std::process::ChildStderr>) {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut read = String::new();
    loop {
        let before = read.len();
        assert!(lines.read_line(&mut read).expect("text") > 0, "no line {start}: {read}");
        if read[before..].starts_with(start) {
            return (read, lines);
        }
    }
}

/// Waits for the end after `until`.
fn finish_after(mut child: Child, mut rest: BufReader<std::process::ChildStderr>) -> (i32, String) {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = rest.read_to_string(&mut text);
        let _ = sender.send((child.wait().expect("a child").code(), text));
    });
    let (code, text) = receiver.recv_timeout(PATIENCE).expect("the run does not end");
    (code.expect("an exit status"), text)
}

#[test]
fn a_killed_registrar_ends_the_run_with_a_message() {
    let out = Out::new("killed");
    let mut command = program(&out.0, "30", &[]);
    command.stdout(Stdio::null());
    let mut child = spawn_with_stderr(command);
    let (read, rest) = until(&mut child, "registering");
    let pid = read.lines().find_map(|line| line.split_once("process ")).expect("a process").1;
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    let (code, stderr) = finish_after(child, rest);
    assert_eq!(code, 1, "{stderr}");
    let wanted = format!("while steady state: the registrar (process {pid}) was ended by signal 9");
    assert!(stderr.contains(&wanted), "{stderr}");
    let report = out.report();
    assert_eq!(report.result, Verdict::Aborted);
    assert_eq!(report.aborted.unwrap().phase, "steady state");
    assert_eq!(report.phases[0].operations[0].count, 1000);
    assert!(out.0.join("report.html").exists());
}

fn spawn_with_stderr(mut command: Command) -> Child {
    command.stderr(Stdio::piped()).spawn().expect("the program")
}

#[test]
fn latency_counts_from_when_a_request_was_due_though_it_was_sent_late() {
    const PAUSE: Duration = Duration::from_secs(1);
    let out = Out::new("paused");
    let mut command = program(&out.0, "3", &[]);
    command.stdout(Stdio::null());
    let mut child = spawn_with_stderr(command);
    let (_, rest) = until(&mut child, "registering");
    // The load generator stands still for a third of the steady state. The
    // registrar does not, so only what was due meanwhile can be late.
    let pid = child.id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    };
    thread::sleep(PAUSE / 2);
    signal("-STOP");
    thread::sleep(PAUSE);
    signal("-CONT");
    let (code, stderr) = finish_after(child, rest);
    assert_eq!(code, 0, "{stderr}");
    let report = out.report();
    let steady = &report.phases[1];
    assert!(steady.send_lag_us.is_some_and(|lag| lag.max > 900_000.0), "{steady:?}");
    let resolutions: Vec<_> =
        steady.operations.iter().filter(|o| o.name.starts_with("resolve")).collect();
    assert_eq!(resolutions.len(), 3);
    for resolution in resolutions {
        assert!(resolution.latency_us.p90 > 300_000.0, "{resolution:?}");
        assert!(resolution.count > 1900, "none is left out: {resolution:?}");
    }
}

#[test]
fn a_registrar_that_goes_away_ends_the_run_with_a_message() {
    let out = Out::new("gone");
    let (registrar, target) = registrar();
    let mut command = program(&out.0, "30", &["--target", &target]);
    command.stdout(Stdio::null());
    let mut child = spawn_with_stderr(command);
    let (_, rest) = until(&mut child, "registering");
    registrar.stop().unwrap();
    let (code, stderr) = finish_after(child, rest);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&format!("error: {target} while steady state: the ")), "{stderr}");
    assert_eq!(out.report().result, Verdict::Aborted);
}

#[test]
fn a_target_where_nobody_listens_is_told() {
    let out = Out::new("nobody");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = format!("tcp://127.0.0.1:{port}");
    let (code, stdout, stderr) = run(&out, &["--target", &target]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains(&target) && stderr.contains("Connection refused"), "{stderr}");
    assert!(!out.0.exists(), "nothing was measured");
}

#[test]
fn wrong_options_end_with_exit_status_2() {
    for options in [&["--bogus"][..], &["--pools", "1001"], &["--closed", "1"], &["--target", "x"]]
    {
        let out = Out::new("options");
        let (code, stdout, stderr) = run(&out, options);
        assert_eq!((code, stdout.as_str()), (2, ""), "{options:?}: {stderr}");
        assert!(stderr.contains(options[0]), "{stderr}");
        assert!(!out.0.exists());
    }
}

/// A server that does this with each connection.
fn server(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = format!("tcp://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    target
}

/// Reads until the other side closes.
fn drain(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

#[test]
fn bytes_that_are_not_asap_end_the_run_with_a_message() {
    let zeros = |mut stream: TcpStream| {
        let _ = stream.write_all(&[0; 64]);
        drain(stream);
    };
    let http = |mut stream: TcpStream| {
        // A length of 0x5450 that never comes, and then the end.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    };
    for (test, serve) in [("zeros", zeros as fn(TcpStream)), ("http", http)] {
        let out = Out::new(test);
        let (code, _, stderr) = run(&out, &["--target", &server(serve)]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("error: tcp://127.0.0.1:"), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn a_registrar_that_never_answers_is_given_up() {
    let out = Out::new("silent");
    let options = ["--target", &server(drain), "--answer-timeout", "1"];
    let (code, _, stderr) = run(&out, &options);
    assert_eq!(code, 1, "{stderr}");
    let wanted = "while registering: the registrar did not answer a registration within 1 s";
    assert!(stderr.contains(wanted), "{stderr}");
}

#[test]
fn a_registrar_that_makes_us_send_without_reading_is_given_up() {
    /// An endless stream of messages that are to be answered with an error.
    fn flood(mut stream: TcpStream) {
        let message = [0x40, 0, 0xff, 0xfc].into_iter().chain(std::iter::repeat_n(0, 0xfff8));
        let message: Vec<u8> = message.collect();
        while stream.write_all(&message).is_ok() {}
    }
    let out = Out::new("flood");
    let (code, _, stderr) = run(&out, &["--target", &server(flood)]);
    assert_eq!(code, 1, "{stderr}");
    // It floods us from the start: perhaps before all connections are there.
    let wanted = "the registrar does not read what it makes us send";
    assert!(stderr.contains(wanted), "{stderr}");
}

#[test]
fn messages_that_make_no_sense_are_counted_and_do_no_harm() {
    /// Every message type with a body of no sense, and lengths that lie
    /// inside; the frame itself is right.
    fn nonsense(mut stream: TcpStream) {
        for round in 0..200_u8 {
            for kind in 0..=255_u8 {
                let mut message = vec![kind, round, 0, 24];
                message.extend((0..20).map(|at| kind.wrapping_mul(31) ^ round.wrapping_mul(at)));
                if stream.write_all(&message).is_err() {
                    return;
                }
            }
        }
        let mut byte = [0];
        let _ = stream.read(&mut byte);
    }
    let out = Out::new("nonsense");
    let (code, _, stderr) = run(&out, &["--target", &server(nonsense)]);
    assert_eq!(code, 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(out.report().checks.errors > 1000, "{:?}", out.report().checks);
}

#[test]
fn every_workload_is_right_and_has_its_findings() {
    for (workload, options, findings) in [
        ("huge-pool", &["--elements", "900", "--items", "1,5"][..], 0),
        ("tiny-pools", &["--elements", "600"], 0),
        ("churn-storm", &["--elements", "600", "--churn", "200"], 0),
        ("flash-crowd", &["--elements", "600", "--rate", "200"], 4),
        ("mass-failure", &["--elements", "600"], 4),
        ("re-registration", &["--elements", "600", "--reregister-every", "1"], 0),
    ] {
        let out = Out::new(workload);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rserpool-loadgen"));
        command.args(["--workload", workload, "--duration", "3", "--connections", "8"]);
        if workload != "flash-crowd" {
            command.args(["--rate", "500"]);
        }
        command.args(["--no-progress", "--out"]).arg(&out.0).args(options);
        let (code, stdout, stderr) = told(&finish(spawn(command)));
        assert_eq!(code, 0, "{workload}: {stdout}{stderr}");
        let report = out.report();
        assert_eq!(report.workload.name, workload);
        assert_eq!(report.findings.len(), findings, "{stdout}");
        let steady = &report.phases[1];
        let count = |name: &str| {
            let found = steady.operations.iter().find(|operation| operation.name == name);
            found.map_or(0, |operation| operation.count)
        };
        match workload {
            "flash-crowd" => assert!(count("resolve (crowd)") > 500, "{stdout}"),
            "mass-failure" => {
                assert_eq!(report.findings[0].value, Some(300.0), "{stdout}");
                assert!(report.findings[3].value.is_some(), "they come back: {stdout}");
                assert!(count("register") >= 300, "{stdout}");
            }
            "churn-storm" => assert!(count("deregister") > 200, "{stdout}"),
            "re-registration" => assert!(count("re-register") > 600, "{stdout}"),
            _ => assert!(count("resolve 1") > 100, "{stdout}"),
        }
    }
}

#[test]
fn a_registrar_on_this_host_is_measured_without_being_asked_to() {
    let out = Out::new("measured");
    let (registrar, target) = registrar();
    let (code, stdout, _) = run(&out, &["--target", &target, "--no-progress"]);
    assert_eq!(code, 0, "{stdout}");
    assert_eq!(out.report().registrar.pids, [std::process::id()]);
    assert!(stdout.contains("measured on this host"), "{stdout}");
    registrar.stop().unwrap();
}

#[test]
fn two_reports_are_compared_and_the_exit_status_tells() {
    let (a, b) = (Out::new("before"), Out::new("after"));
    for out in [&a, &b] {
        let (code, stdout, stderr) = run(out, &["--no-progress"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
    }
    let compare = |before: &Path, after: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rserpool-loadgen"));
        command.arg("compare").arg(before).arg(after).args(["--tolerance", "100"]);
        told(&finish(spawn(command)))
    };
    let json = |out: &Out| out.0.join("report.json");
    let (code, stdout, stderr) = compare(&json(&a), &json(&a));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("registrations/s") && stdout.contains("same"), "{stdout}");
    // One that is much worse in one figure.
    let mut worse = b.report();
    for second in &mut worse.series {
        for operation in &mut second.operations {
            operation.latency_us.p50 *= 1000.0;
        }
    }
    fs::write(json(&b), serde_json::to_string(&worse).unwrap()).unwrap();
    let (code, stdout, _) = compare(&json(&a), &json(&b));
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("WORSE"), "{stdout}");
    // One of another load, and one that is none.
    worse.workload.elements += 1;
    fs::write(json(&b), serde_json::to_string(&worse).unwrap()).unwrap();
    let (code, _, stderr) = compare(&json(&a), &json(&b));
    assert!(code == 2 && stderr.contains("elements 1000 and 1001"), "{stderr}");
    let (code, _, stderr) = compare(&json(&a), &a.0.join("report.html"));
    assert!(code == 2 && stderr.contains("report.html"), "{stderr}");
}

#[test]
fn a_run_over_sctp_in_udp_is_right_for_every_registration_and_selection() {
    let out = Out::new("sctp-udp");
    let (code, stdout, stderr) = run(&out, &["--transport", "sctp-udp", "--no-progress"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let report = out.report();
    assert_eq!((report.registrar.transport.as_str(), report.checks.errors), ("sctp-udp", 0));
    assert!(report.registrar.target.starts_with("sctp-udp://127.0.0.1:"), "{stdout}");
    assert_eq!(report.phases[0].operations[0].count, 1000);
    assert!(report.selections.resolutions > 100, "{stdout}");
}

#[test]
fn a_mass_failure_over_sctp_in_udp_is_noticed_and_overcome() {
    let out = Out::new("sctp-failure");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rserpool-loadgen"));
    command.args(["--workload", "mass-failure", "--transport", "sctp-udp", "--elements", "600"]);
    command.args(["--duration", "3", "--connections", "8", "--rate", "500", "--clients", "2"]);
    command.args(["--no-progress", "--out"]).arg(&out.0);
    let (code, stdout, stderr) = told(&finish(spawn(command)));
    assert_eq!(code, 0, "{stdout}{stderr}");
    let report = out.report();
    assert!(report.findings[0].value.is_some_and(|elements| elements > 100.0), "{stdout}");
    assert!(report.findings[3].value.is_some(), "{stdout}");
}

#[test]
fn over_sctp_in_udp_nobody_to_answer_is_told_as_soon() {
    let out = Out::new("sctp-nobody");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("sctp-udp://{}", socket.local_addr().unwrap());
    let (code, stdout, stderr) = run(&out, &["--target", &target]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains(&target) && stderr.contains("nobody answers within 5 s"), "{stderr}");
    assert!(!out.0.exists(), "nothing was measured");
}
