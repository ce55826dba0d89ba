//! Measures how long a session takes to go on when its pool element is killed:
//! from SIGKILL to the first answer of another one. Everything is on loopback;
//! the registrar is in this process, each pool element is a process.
//!
//! ```sh
//! cargo run --release -p rserpool-client --example failover -- 100
//! ```
#![expect(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rserpool_client::session::{self, Event, ServerEvent, SessionListener};
use rserpool_client::{Endpoint, Policy, RegistrarUrl, Service};
use rserpool_registrar::Options;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const ELEMENTS: usize = 3;
const DATA: u32 = 0;

/// A pool element: answers each message with itself, and leaves the number of
/// messages as cookie.
async fn serve(registrar: &str) -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::connect([registrar.parse::<RegistrarUrl>()?]).await?;
    let listener = SessionListener::bind("127.0.0.1:0", session::Config::default()).await?;
    let service = Service::tcp("Failover", listener.local_addr()?, Policy::RoundRobin);
    let element = endpoint.register(service).await?;
    println!("{}", element.pe());
    loop {
        let mut session = listener.accept().await?;
        tokio::spawn(async move {
            let mut count = 0_u64;
            while let Ok(Some(event)) = session.receive().await {
                if let ServerEvent::Message { ppid, data } = event {
                    count += 1;
                    session.send_cookie(&count.to_be_bytes()).await?;
                    session.send(ppid, &data).await?;
                }
            }
            Ok::<(), std::io::Error>(())
        });
    }
}

/// Starts a pool element, and waits until it is registered.
async fn start(registrar: &str) -> Result<(String, Child), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--element", registrar])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().ok_or("it has no output")?;
    let pe = BufReader::new(output).lines().next_line().await?.ok_or("it did not start")?;
    Ok((pe, child))
}

async fn measure(runs: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let asap = vec!["tcp://127.0.0.1:0".parse()?];
    let registrar = rserpool_registrar::start(&Options { asap, ..Options::default() })?;
    let url = RegistrarUrl::from(*registrar.asap_tcp().first().ok_or("no address")?);
    let mut elements = Vec::new();
    for _ in 0..ELEMENTS {
        elements.push(start(&url.to_string()).await?);
    }
    let endpoint = Endpoint::connect([url.clone()]).await?;
    let mut session = endpoint.session("Failover", session::Config::default()).await?;
    let mut times = Vec::new();
    for _ in 0..runs {
        session.send(DATA, *b"before").await?;
        while !matches!(session.receive().await?, Event::Message { .. }) {}
        let serving = session.peer().to_string();
        let at = elements.iter().position(|(pe, _)| *pe == serving).ok_or("who serves?")?;
        let (_, mut child) = elements.swap_remove(at);
        let killed = Instant::now();
        child.start_kill()?;
        while !matches!(session.receive().await?, Event::FailedOver { cookie: true, .. }) {}
        session.send(DATA, *b"after").await?;
        while !matches!(session.receive().await?, Event::Message { .. }) {}
        times.push(killed.elapsed());
        child.wait().await?;
        elements.push(start(&url.to_string()).await?);
    }
    session.close().await;
    registrar.stop()?;
    Ok(times)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or_else(|| "100".to_owned());
    if first == "--element" {
        return serve(&arguments.next().ok_or("where is the registrar?")?).await;
    }
    let runs: usize = first.parse()?;
    let mut times = measure(runs.max(1)).await?;
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
