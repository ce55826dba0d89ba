//! A group of registrars of which one goes away. It is played by one
//! registrar behind two doors: what is told at one is known at the other.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rserpool_loadgen::report::{Report, Verdict};
use rserpool_registrar::{Announce, AsapAddress, Options, start};

/// A door to a registrar that can be shut, with all who are in it.
#[derive(Clone)]
struct Door {
    address: SocketAddr,
    shut: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Door {
    fn new(registrar: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let door = Self { address, shut: Arc::default(), streams: Arc::default() };
        let keeper = door.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if keeper.shut.load(Ordering::Acquire) {
                    return;
                }
                let server = TcpStream::connect(registrar).expect("the registrar");
                let copy = |stream: &TcpStream| stream.try_clone().expect("a socket");
                keeper.streams.lock().expect("streams").extend([copy(&client), copy(&server)]);
                let (back, onward) = (copy(&client), copy(&server));
                thread::spawn(move || relay(client, onward));
                thread::spawn(move || relay(server, back));
            }
        });
        door
    }

    fn shut(&self) {
        self.shut.store(true, Ordering::Release);
        for stream in self.streams.lock().expect("streams").iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

struct Out(PathBuf);

impl Drop for Out {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn report(out: &Path) -> Report {
    let json = fs::read(out.join("report.json")).expect("a report");
    serde_json::from_slice(&json).expect("a report as the schema says")
}

#[test]
fn when_a_registrar_of_a_group_goes_away_no_acknowledged_element_is_lost() {
    let free = AsapAddress::Tcp("127.0.0.1:0".parse().expect("an address"));
    let options = Options {
        asap: vec![free],
        announce: vec![Announce::Off],
        shards: Some(1),
        ..Options::default()
    };
    let registrar = start(&options).expect("a registrar");
    let doors = [0, 1].map(|_| Door::new(registrar.asap_tcp()[0]));
    let out = Out(std::env::temp_dir().join(format!("rserpool-group-{}", std::process::id())));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rserpool-loadgen"));
    for door in &doors {
        command.args(["--target", &format!("tcp://{}", door.address)]);
    }
    command.args(["--elements", "400", "--pools", "20", "--connections", "8", "--duration", "4"]);
    command.args(["--rate", "1000", "--churn", "20", "--no-progress", "--out"]).arg(&out.0);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program");
    let began = Instant::now();
    while registrar.stats().elements() < 350 {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody registers");
        thread::yield_now();
    }
    doors[0].shut();
    let output = child.wait_with_output().expect("a program");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}{errors}");
    let report = report(&out.0);
    assert_eq!(report.result, Verdict::Passed);
    let failover = report.failover.expect("a group");
    assert_eq!((failover.lost_associations, failover.moved_associations), (4, 4), "{told}");
    assert_eq!(failover.lost_elements, 0);
    assert!(failover.acknowledged_elements > 200, "{failover:?}");
    assert!(told.contains("failover") && told.contains("4 associations lost"), "{told}");
    assert_eq!((registrar.stats().pools(), registrar.stats().elements()), (0, 0));
    registrar.stop().expect("a registrar that ends");
}
