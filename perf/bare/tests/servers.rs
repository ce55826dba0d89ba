//! Every bare server answers every request with as many bytes as it was told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn each_server_answers_each_request_in_whatever_pieces_it_comes() {
    for kind in ["uring", "epoll", "glommio"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rserpool-bare"))
            .args(["serve", "--kind", kind, "--request", "10", "--answer", "100"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let clients: Vec<TcpStream> =
            (0..20).map(|_| TcpStream::connect(line.trim()).expect("a connection")).collect();
        for (mut client, requests) in clients.iter().zip([1, 2, 300, 5000].into_iter().cycle()) {
            client.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
            client.write_all(&[1; 7]).expect("room");
            let sender = client.try_clone().expect("a socket");
            let rest = requests * 10 - 7;
            let sending = std::thread::spawn(move || (&sender).write_all(&vec![1; rest]));
            let mut answers = vec![0; requests * 100];
            client.read_exact(&mut answers).unwrap_or_else(|error| panic!("{kind}: {error}"));
            sending.join().expect("a thread").expect("room");
        }
        drop(child.stdin.take());
        assert!(child.wait().expect("a child").success(), "{kind}");
    }
}

#[test]
fn a_wrong_server_is_told_with_what_is_allowed() {
    let output = Command::new(env!("CARGO_BIN_EXE_rserpool-bare"))
        .args(["serve", "--kind", "apache"])
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("--kind") && told.contains("uring, epoll, glommio"), "{told}");
}
