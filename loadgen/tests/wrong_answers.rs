//! A registrar that does one thing wrong: each kind of wrong answer is found
//! out over the wire, whatever else is right. A proxy in front of a right
//! registrar spoils messages on their way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Element, Elements, Frame, LengthForm, Transport, frame};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId};
use rserpool_loadgen::report::{Report, Verdict};
use rserpool_registrar::{Announce, AsapAddress, Options, start};

/// What the proxy does with a message: forwards it, or sends these to the
/// load generator instead.
enum Fate {
    Forward,
    Instead(Vec<u8>),
}

/// Decides over the message with this number on its connection.
type Spoil = fn(&Message<'_>, u64) -> Fate;

/// What is wrong, in requests on their way to the registrar and in its
/// messages on their way back.
#[derive(Clone, Copy)]
struct Defect {
    request: Spoil,
    response: Spoil,
    /// What becomes of the other side when one closes its connection.
    closed: fn(&TcpStream),
}

impl Defect {
    const NONE: Self = Self { request: forward, response: forward, closed: close };
}

fn close(other: &TcpStream) {
    let _ = other.shutdown(std::net::Shutdown::Both);
}

fn forward(_: &Message<'_>, _: u64) -> Fate {
    Fate::Forward
}

fn instead(message: &Message<'_>) -> Fate {
    let mut bytes = Vec::new();
    message.emit(&mut bytes, LengthForm::Rfc).expect("a message that can be written");
    Fate::Instead(bytes)
}

/// Spoils the elements of a positive answer to a resolution.
fn spoiled(message: &Message<'_>, spoil: impl Fn(&mut Vec<Element<'_>>)) -> Fate {
    let Message::HandleResolutionResponse { handle, subscribed, policy, elements, error: None } =
        *message
    else {
        return Fate::Forward;
    };
    let mut list: Vec<_> = elements.iter().collect();
    spoil(&mut list);
    let elements = Elements::list(&list);
    instead(&Message::HandleResolutionResponse {
        handle,
        subscribed,
        policy,
        elements,
        error: None,
    })
}

/// Every fifth answer without its last element.
fn short(message: &Message<'_>, number: u64) -> Fate {
    if !number.is_multiple_of(5) {
        return Fate::Forward;
    }
    spoiled(message, |elements| elements.truncate(elements.len().saturating_sub(1)))
}

/// Every fifth answer with one element in another's place.
fn repeated(message: &Message<'_>, number: u64) -> Fate {
    if !number.is_multiple_of(5) {
        return Fate::Forward;
    }
    spoiled(message, |elements| {
        if let (Some(first), Some(last)) = (elements.first().copied(), elements.last_mut()) {
            *last = first;
        }
    })
}

/// Every fifth answer backward.
fn backward(message: &Message<'_>, number: u64) -> Fate {
    if number.is_multiple_of(5) {
        spoiled(message, |elements| elements.reverse())
    } else {
        Fate::Forward
    }
}

/// Every fifth answer with one element more.
fn surplus(message: &Message<'_>, number: u64) -> Fate {
    if !number.is_multiple_of(5) {
        return Fate::Forward;
    }
    spoiled(message, |elements| {
        if let Some(&first) = elements.first() {
            elements.resize(11, Element { pe: PeId::new(12_345), ..first });
        }
    })
}

/// Every answer with another port.
fn other_port(message: &Message<'_>, _: u64) -> Fate {
    const ADDRESS: &[std::net::IpAddr] = &[std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)];
    spoiled(message, |elements| {
        for element in elements {
            element.user_transport = Transport::tcp(1, Addresses::List(ADDRESS));
        }
    })
}

/// The pool has another policy than its elements.
fn other_policy(message: &Message<'_>, _: u64) -> Fate {
    let Message::HandleResolutionResponse { handle, subscribed, elements, error: None, .. } =
        *message
    else {
        return Fate::Forward;
    };
    let policy = Some(Policy::Random);
    instead(&Message::HandleResolutionResponse {
        handle,
        subscribed,
        policy,
        elements,
        error: None,
    })
}

/// Some registrations are acknowledged and forgotten.
fn forget(message: &Message<'_>, number: u64) -> Fate {
    let Message::Registration { handle, element } = *message else { return Fate::Forward };
    if !number.is_multiple_of(20) {
        return Fate::Forward;
    }
    let pe = element.pe;
    instead(&Message::RegistrationResponse { handle, pe, rejected: false, error: None })
}

/// Some registrations are refused.
fn refuse(message: &Message<'_>, number: u64) -> Fate {
    let Message::Registration { handle, element } = *message else { return Fate::Forward };
    if !number.is_multiple_of(20) {
        return Fate::Forward;
    }
    let pe = element.pe;
    instead(&Message::RegistrationResponse { handle, pe, rejected: true, error: None })
}

/// Deregistrations are acknowledged and forgotten.
fn keep(message: &Message<'_>, _: u64) -> Fate {
    let Message::Deregistration { handle, pe } = *message else { return Fate::Forward };
    instead(&Message::DeregistrationResponse { handle, pe, error: None })
}

/// A keep-alive for nobody, before the first answer.
fn keep_alive(message: &Message<'_>, number: u64) -> Fate {
    if number > 0 {
        return Fate::Forward;
    }
    let mut bytes = Vec::new();
    let stray = Message::KeepAlive {
        registrar: RegistrarId::new(1),
        take_home: false,
        handle: PoolHandle::new(b"nobody"),
        pe: Some(PeId::new(5)),
    };
    for message in [&stray, message] {
        message.emit(&mut bytes, LengthForm::Rfc).expect("a message that can be written");
    }
    Fate::Instead(bytes)
}

/// Starts a proxy with a defect.
fn proxy(registrar: SocketAddr, defect: Defect) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(registrar).expect("the registrar");
            let (back, onward) = (client.try_clone(), server.try_clone());
            let to_client = Arc::new(Mutex::new(back.expect("a socket")));
            let to_server = Arc::new(Mutex::new(onward.expect("a socket")));
            let answers = Arc::clone(&to_client);
            thread::spawn(move || {
                relay(client, &to_server, &answers, defect.request);
                (defect.closed)(&to_server.lock().expect("a socket"));
            });
            thread::spawn(move || {
                relay(server, &to_client, &to_client, defect.response);
                (defect.closed)(&to_client.lock().expect("a socket"));
            });
        }
    });
    address
}

/// Moves whole messages on, or what comes instead of them to the client.
fn relay(mut from: TcpStream, onward: &Mutex<TcpStream>, client: &Mutex<TcpStream>, fate: Spoil) {
    let (mut input, mut chunk, mut number) = (Vec::new(), vec![0; 1 << 16], 0);
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        input.extend_from_slice(&chunk[..count]);
        while let Frame::Whole(bytes) = frame(&input) {
            let message = Message::parse(&input[..bytes]).expect("a message");
            let (to, bytes_out) = match fate(&message, number) {
                Fate::Forward => (onward, input[..bytes].to_vec()),
                Fate::Instead(spoiled) => (client, spoiled),
            };
            number += 1;
            if to.lock().expect("a socket").write_all(&bytes_out).is_err() {
                return;
            }
            input.drain(..bytes);
        }
    }
}

/// The errors that a run counts against a registrar with a defect, by kind.
fn errors(test: &str, defect: Defect, options: &[&str]) -> BTreeMap<String, u64> {
    let free = AsapAddress::Tcp("127.0.0.1:0".parse().expect("an address"));
    let settings = Options {
        asap: vec![free],
        announce: vec![Announce::Off],
        shards: Some(1),
        ..Options::default()
    };
    let registrar = start(&settings).expect("a registrar");
    let target = format!("tcp://{}", proxy(registrar.asap_tcp()[0], defect));
    let out = std::env::temp_dir().join(format!("rserpool-loadgen-{test}-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_rserpool-loadgen"))
        .args(["--target", &target, "--elements", "400", "--pools", "20", "--connections", "4"])
        .args(["--rate", "1000", "--no-progress", "--out"])
        .arg(&out)
        .args(options)
        .output()
        .expect("the program");
    let json = fs::read(out.join("report.json")).expect("a report");
    let _ = fs::remove_dir_all(&out);
    let report: Report = serde_json::from_slice(&json).expect("a report");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let right = report.checks.errors == 0;
    assert_eq!(output.status.code(), Some(i32::from(!right)), "{stdout}");
    assert_eq!(report.result, if right { Verdict::Passed } else { Verdict::Failed }, "{stdout}");
    assert!(stdout.contains(if right { "PASSED" } else { "FAILED" }), "{stdout}");
    report.checks.errors_by_kind
}

const CANONICAL: [&str; 4] = ["--duration", "1", "--churn", "40"];
const MASS_FAILURE: [&str; 6] =
    ["--workload", "mass-failure", "--duration", "6", "--forget-within", "1"];

#[test]
fn a_proxy_without_a_defect_is_right() {
    assert_eq!(errors("right", Defect::NONE, &CANONICAL), BTreeMap::new());
    assert_eq!(errors("right-failure", Defect::NONE, &MASS_FAILURE), BTreeMap::new());
}

#[test]
fn each_wrong_answer_is_found_out() {
    let responses: [(&str, Spoil); 7] = [
        ("too-few", short),
        ("duplicate", repeated),
        ("order", backward),
        ("too-many", surplus),
        ("attributes", other_port),
        ("policy", other_policy),
        ("keep-alive", keep_alive),
    ];
    let requests: [(&str, Spoil); 3] =
        [("lost", forget), ("refused", refuse), ("not-registered", keep)];
    let responses = responses.map(|(kind, response)| (kind, Defect { response, ..Defect::NONE }));
    let requests = requests.map(|(kind, request)| (kind, Defect { request, ..Defect::NONE }));
    thread::scope(|scope| {
        for (kind, defect) in responses.into_iter().chain(requests) {
            scope.spawn(move || {
                let errors = errors(kind, defect, &CANONICAL);
                assert!(errors.get(kind).is_some_and(|&count| count > 0), "{kind}: {errors:?}");
            });
        }
    });
}

#[test]
fn a_registrar_that_does_not_forget_elements_that_are_gone_is_found_out() {
    let defect = Defect { closed: |_| (), ..Defect::NONE };
    let errors = errors("unforgotten", defect, &MASS_FAILURE);
    assert!(errors.get("not-registered").is_some_and(|&count| count > 0), "{errors:?}");
}
