//! Shows what one process of the client library holds: ten thousand registered
//! pool elements and ten thousand sessions, all of them in use. The registrar and
//! the server of the sessions are processes of their own. Everything is on
//! loopback.
//!
//! ```sh
//! cargo run --release -p rserpool-client --example ten_thousand -- 10000 30
//! ```
//!
//! Says in the end what the process needed: memory after each step, and
//! processor time while every session asks once a second and is answered, and
//! every element is registered anew in time.
#![expect(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rserpool_client::session::{self, Event, ServerEvent, Session, SessionListener};
use rserpool_client::{Endpoint, PeId, Policy, PoolElement, RegistrarUrl, Service};
use rserpool_registrar::Options;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const POOL: &str = "TenThousand";
const ELEMENTS_A_POOL: usize = 100;
const DATA: u32 = 0;
/// Sessions that are begun at once.
const AT_ONCE: usize = 64;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// As many descriptors as the system lets a process have.
fn raise_limit(wanted: u64) -> Outcome<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    match limit.current {
        Some(granted) if granted < wanted => {
            Err(format!("{wanted} descriptors are needed, and {granted} granted").into())
        }
        _ => Ok(()),
    }
}

/// The server of the sessions: sends back what it gets, behind a cookie.
async fn serve(registrar: &str) -> Outcome<()> {
    let endpoint = Endpoint::connect([registrar.parse::<RegistrarUrl>()?]).await?;
    let listener = SessionListener::bind("127.0.0.1:0", session::Config::default()).await?;
    let service = Service::tcp(POOL, listener.local_addr()?, Policy::RoundRobin);
    let element = endpoint.register(service).await?;
    println!("{}", element.pe());
    loop {
        let mut session = listener.accept().await?;
        tokio::spawn(async move {
            while let Ok(Some(event)) = session.receive().await {
                if let ServerEvent::Message { ppid, data } = event {
                    session.send_with_cookie(ppid, &data, b"four").await?;
                }
            }
            Ok::<(), std::io::Error>(())
        });
    }
}

/// A registrar, which ends with its standard input.
fn register() -> Outcome<()> {
    let asap = vec!["tcp://127.0.0.1:0".parse()?];
    let registrar = rserpool_registrar::start(&Options { asap, ..Options::default() })?;
    println!("{}", RegistrarUrl::from(*registrar.asap_tcp().first().ok_or("no address")?));
    std::io::stdin().read_line(&mut String::new())?;
    registrar.stop()?;
    Ok(())
}

/// Starts this program in another role, and waits for its first line.
async fn start(role: &[&str]) -> Outcome<(String, Child)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().ok_or("it has no output")?;
    let line = BufReader::new(output).lines().next_line().await?.ok_or("it did not start")?;
    Ok((line, child))
}

/// What this process has of memory, in bytes.
fn memory() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib = line.split_whitespace().nth(1).ok_or("no number")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// The processor time of this process so far.
fn processor() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no name")?.1;
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|one| one.parse().unwrap_or(0)).sum();
    // Of 100 a second, on every Linux that this runs on.
    Ok(Duration::from_millis(ticks * 10))
}

/// Asks once a second until the end, and counts the answers.
async fn ask(mut session: Session, number: u64, begun: Instant, seconds: u64) -> Outcome<u64> {
    let mut answers = 0;
    for second in 0..seconds {
        // All of them spread over the second.
        let at = begun + Duration::from_secs(second) + Duration::from_micros(number * 100);
        tokio::time::sleep_until(at.into()).await;
        let question = [number.to_be_bytes(), second.to_be_bytes()].concat();
        session.send(DATA, question.clone()).await?;
        let event = session.receive().await?;
        if !matches!(&event, Event::Message { data, .. } if *data == question) {
            return Err(format!("session {number} got {event:?}").into());
        }
        answers += 1;
    }
    session.close().await;
    Ok(answers)
}

/// Registers so many elements.
async fn elements(endpoint: &Endpoint, count: usize) -> Outcome<Vec<PoolElement>> {
    let mut registering = JoinSet::new();
    for number in 0..count {
        let endpoint = endpoint.clone();
        let handle = format!("{POOL}{}", number / ELEMENTS_A_POOL);
        let address = ([127, 0, 0, 1], 7000).into();
        let policy = Policy::WeightedRoundRobin { weight: 1 };
        let service =
            Service { life: Duration::from_secs(30), ..Service::tcp(handle, address, policy) };
        registering.spawn(async move { endpoint.register(service).await });
    }
    let elements: Result<Vec<_>, _> = registering.join_all().await.into_iter().collect();
    Ok(elements?)
}

/// Begins so many sessions.
async fn sessions(endpoint: &Endpoint, count: usize) -> Outcome<Vec<Session>> {
    let mut sessions = Vec::new();
    while sessions.len() < count {
        let mut beginning = JoinSet::new();
        for _ in 0..AT_ONCE.min(count - sessions.len()) {
            let endpoint = endpoint.clone();
            beginning
                .spawn(async move { endpoint.session(POOL, session::Config::default()).await });
        }
        let begun: Result<Vec<_>, _> = beginning.join_all().await.into_iter().collect();
        sessions.extend(begun?);
    }
    Ok(sessions)
}

/// Whether the registrar has just these elements.
async fn check(url: RegistrarUrl, elements: &[PoolElement]) -> Outcome<()> {
    let other = Endpoint::connect([url]).await?;
    let mut found = Vec::new();
    for pool in 0..elements.len().div_ceil(ELEMENTS_A_POOL) {
        let resolved = other.resolve(format!("{POOL}{pool}"), 1000).await?;
        found.extend(resolved.elements.iter().map(|element| element.pe));
    }
    let mut expected: Vec<PeId> = elements.iter().map(PoolElement::pe).collect();
    found.sort_unstable();
    expected.sort_unstable();
    if found != expected {
        return Err(format!("{} elements are registered", found.len()).into());
    }
    Ok(())
}

async fn measure(count: usize, seconds: u64) -> Outcome<()> {
    raise_limit(count as u64 + 100)?;
    let (registrar, _registrar) = start(&["--registrar"]).await?;
    let (server, _server) = start(&["--server", &registrar]).await?;
    let url: RegistrarUrl = registrar.parse()?;
    let endpoint = Endpoint::connect([url.clone()]).await?;
    let empty = memory()?;

    let begun = Instant::now();
    let elements = elements(&endpoint, count).await?;
    let (registered, registered_in) = (memory()?, begun.elapsed());

    let begun = Instant::now();
    let sessions = sessions(&endpoint, count).await?;
    let (held, held_in) = (memory()?, begun.elapsed());

    let (begun, before) = (Instant::now(), processor()?);
    let mut asking = JoinSet::new();
    for (number, session) in (0..).zip(sessions) {
        asking.spawn(ask(session, number, begun, seconds));
    }
    let answers: Outcome<Vec<u64>> = asking.join_all().await.into_iter().collect();
    let answers: u64 = answers?.into_iter().sum();
    let (spent, took, most) = (processor()? - before, begun.elapsed(), memory()?);

    check(url, &elements).await?;

    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let each = |bytes: u64| bytes / count as u64;
    println!("server      {server}, sessions over TCP on loopback");
    println!("empty       {}", mib(empty));
    println!(
        "elements    {count} registered in {registered_in:.2?}: {}, {} bytes each",
        mib(registered),
        each(registered.saturating_sub(empty))
    );
    println!(
        "sessions    {count} begun in {held_in:.2?}: {}, {} bytes each",
        mib(held),
        each(held.saturating_sub(registered))
    );
    println!(
        "in use      {answers} answers in {took:.1?}, {:.2} processors, {}",
        spent.as_secs_f64() / took.as_secs_f64(),
        mib(most)
    );
    endpoint.shutdown().await;
    Ok(())
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.first() == Some(&"--registrar") {
        return register();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match words.as_slice() {
            ["--server", registrar] => {
                raise_limit(0)?;
                serve(registrar).await
            }
            [] => measure(10_000, 30).await,
            [count, seconds] => measure(count.parse()?, seconds.parse()?).await,
            _ => Err("say how many, and for how many seconds".into()),
        }
    })
}
