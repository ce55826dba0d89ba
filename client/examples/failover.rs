//! Measures how long a session takes to go on when its pool element is killed:
//! from SIGKILL to the first answer of another one. Everything is on loopback;
//! the registrar is in this process, each pool element is a process.
//!
//! ```sh
//! cargo run --release -p rserpool-client --example failover -- 100
//! cargo run --release -p rserpool-client --example failover -- 100 --sctp-udp 1000
//! ```
//! With `--sctp-udp`, sessions are over SCTP in user space over UDP, and
//! `silence_max` is so many milliseconds. Nobody says goodbye there for a
//! process that is killed, but its host answers the next packet by ICMP. The
//! client has asked something right after the element was killed.
#![expect(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rserpool_client::session::{self, Event, SctpCarrier, ServerEvent, SessionListener};
use rserpool_client::{Endpoint, Policy, RegistrarUrl, Service};
use rserpool_registrar::Options;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const ELEMENTS: u8 = 3;
const DATA: u32 = 0;

/// What carries the sessions.
#[derive(Clone, Copy, Debug)]
enum Over {
    Tcp,
    /// With this UDP port, and this `silence_max`.
    SctpUdp(u16, Duration),
}

impl Over {
    fn config(self) -> session::Config {
        let usual = session::Config::default();
        match self {
            Self::Tcp => usual,
            Self::SctpUdp(port, silence_max) => {
                session::Config { sctp: SctpCarrier::Udp { port }, silence_max, ..usual }
            }
        }
    }
}

/// A pool element: answers each message with itself, and leaves the number of
/// messages as cookie. Over SCTP over UDP each has a host of loopback: they
/// share the UDP port.
async fn serve(registrar: &str, over: Over, host: u8) -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::connect([registrar.parse::<RegistrarUrl>()?]).await?;
    let at = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
    let (listener, service): (_, fn(_, _, _) -> Service) = match over {
        Over::Tcp => (SessionListener::bind(at, over.config()).await?, Service::tcp),
        Over::SctpUdp(..) => (SessionListener::bind_sctp(at, over.config()).await?, Service::sctp),
    };
    let service = service("Failover", listener.local_addr()?, Policy::RoundRobin);
    let element = endpoint.register(service).await?;
    println!("{}", element.pe());
    loop {
        let mut session = listener.accept().await?;
        tokio::spawn(async move {
            let mut count = 0_u64;
            while let Ok(Some(event)) = session.receive().await {
                if let ServerEvent::Message { ppid, data } = event {
                    count += 1;
                    session.send_with_cookie(ppid, &data, &count.to_be_bytes()).await?;
                }
            }
            Ok::<(), std::io::Error>(())
        });
    }
}

/// Starts a pool element, and waits until it is registered.
async fn start(
    registrar: &str,
    over: Over,
    host: u8,
) -> Result<(String, u8, Child), Box<dyn Error>> {
    let mut arguments = vec!["--element".to_owned(), registrar.to_owned(), host.to_string()];
    if let Over::SctpUdp(port, silence) = over {
        arguments.extend([port.to_string(), silence.as_millis().to_string()]);
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().ok_or("it has no output")?;
    let pe = BufReader::new(output).lines().next_line().await?.ok_or("it did not start")?;
    Ok((pe, host, child))
}

async fn measure(runs: usize, over: Over) -> Result<Vec<Duration>, Box<dyn Error>> {
    let asap = vec!["tcp://127.0.0.1:0".parse()?];
    let registrar = rserpool_registrar::start(&Options { asap, ..Options::default() })?;
    let url = RegistrarUrl::from(*registrar.asap_tcp().first().ok_or("no address")?);
    let mut elements = Vec::new();
    for host in 2..2 + ELEMENTS {
        elements.push(start(&url.to_string(), over, host).await?);
    }
    let endpoint = Endpoint::connect([url.clone()]).await?;
    let mut session = endpoint.session("Failover", over.config()).await?;
    let mut times = Vec::new();
    for _ in 0..runs {
        session.send(DATA, *b"before").await?;
        while !matches!(session.receive().await?, Event::Message { .. }) {}
        let serving = session.peer().to_string();
        let at = elements.iter().position(|(pe, ..)| *pe == serving).ok_or("who serves?")?;
        let (_, host, mut child) = elements.swap_remove(at);
        let killed = Instant::now();
        child.start_kill()?;
        if matches!(over, Over::SctpUdp(..)) {
            session.send(DATA, *b"there?").await?;
        }
        while !matches!(session.receive().await?, Event::FailedOver { cookie: true, .. }) {}
        session.send(DATA, *b"after").await?;
        while !matches!(session.receive().await?, Event::Message { .. }) {}
        times.push(killed.elapsed());
        child.wait().await?;
        elements.push(start(&url.to_string(), over, host).await?);
    }
    session.close().await;
    registrar.stop()?;
    Ok(times)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let silence = |text: &str| text.parse().map(Duration::from_millis);
    let (runs, over) = match arguments.as_slice() {
        ["--element", registrar, host, rest @ ..] => {
            let over = match rest {
                [port, millis] => Over::SctpUdp(port.parse()?, silence(millis)?),
                _ => Over::Tcp,
            };
            return serve(registrar, over, host.parse()?).await;
        }
        [runs, "--sctp-udp", millis] => {
            // Free at all hosts of loopback.
            let port = UdpSocket::bind("0.0.0.0:0")?.local_addr()?.port();
            (runs.parse::<usize>()?, Over::SctpUdp(port, silence(millis)?))
        }
        [runs] => (runs.parse()?, Over::Tcp),
        [] => (100, Over::Tcp),
        _ => return Err("usage: failover [RUNS [--sctp-udp MILLISECONDS]]".into()),
    };
    let mut times = measure(runs.max(1), over).await?;
    times.sort_unstable();
    let last = times.len() - 1;
    println!(
        "{} failovers after SIGKILL, to the first answer: median {:?}, 95 % within {:?}, longest {:?}",
        times.len(),
        times[last / 2],
        times[last * 95 / 100],
        times[last],
    );
    Ok(())
}
