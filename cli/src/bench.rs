//! `rsp bench`: what a registrar answers one client, for a few seconds.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rserpool_client::{Endpoint, Error, Policy, PoolElement, Service};
use serde_json::json;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::access;
use crate::command_line::{Bench, Line, Operation};
use crate::outcome::Failure;
use crate::outlet;
use crate::signals::Signals;

/// Where the elements are that are registered for the measurement: in a
/// network that exists in documents only.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
/// Registrations under way at once before and after the measurement.
const PREPARED_AT_ONCE: usize = 256;
/// Requests that are due and wait for room.
const DUE_MAX: usize = 1 << 16;

pub(crate) async fn run(line: &Line, options: &Bench) -> Result<(), Failure> {
    if options.operation == Operation::Register && options.elements == 0 {
        return Err(Failure::usage("--operation register needs --elements"));
    }
    let mut signals = Signals::new()?;
    let access = access::find(line).await?;
    let (endpoint, at) = (&access.endpoint, access.endpoint.ready().await?);
    match endpoint.resolve(&options.handle, 1).await {
        Ok(_) if options.elements > 0 => {
            let pool = &options.handle;
            let what =
                format!("there is a pool {pool}: its users would get elements that lead nowhere");
            return Err(Failure::failed(what));
        }
        Err(error) if options.elements > 0 && error.is_unknown_pool() => {}
        found => drop(found?),
    }
    let elements = tokio::select! {
        elements = prepare(endpoint, options) => elements?,
        () = signals.end() => return Ok(()),
    };
    let work = Arc::new(Work {
        endpoint: endpoint.clone(),
        handle: options.handle.clone(),
        items: options.items,
        operation: options.operation,
        elements,
        turn: AtomicUsize::new(0),
    });
    let begun = Instant::now();
    let measured = tokio::select! {
        measured = measure(&work, options) => measured,
        // Without a result, but with everything taken away again.
        () = signals.end() => Measured::default(),
    };
    let took = begun.elapsed();
    tell(line, options, &at.to_string(), &measured, took)?;
    // Deregisters what was registered.
    drop(work);
    endpoint.shutdown().await;
    match measured.failure {
        None => Ok(()),
        Some(error) => Err(Failure::from(error)),
    }
}

/// Registers the elements of the measurement.
async fn prepare(endpoint: &Endpoint, options: &Bench) -> Result<Vec<PoolElement>, Failure> {
    let policy = match options.operation {
        Operation::Resolve => Policy::RoundRobin,
        Operation::Register => Policy::LeastUsed { load: 0 },
    };
    let mut elements = Vec::new();
    let mut under_way = JoinSet::new();
    let mut asked = 0;
    loop {
        while asked < options.elements && under_way.len() < PREPARED_AT_ONCE {
            asked += 1;
            let (endpoint, service) =
                (endpoint.clone(), Service::tcp(&options.handle, NOWHERE, policy));
            under_way.spawn(async move { endpoint.register(service).await });
        }
        match under_way.join_next().await {
            Some(registered) => elements.push(registered.map_err(Failure::failed)??),
            None => return Ok(elements),
        }
    }
}

/// What the workers share.
struct Work {
    endpoint: Endpoint,
    handle: String,
    items: u32,
    operation: Operation,
    elements: Vec<PoolElement>,
    /// Counts re-registrations.
    turn: AtomicUsize,
}

impl Work {
    /// One request and its answer.
    async fn once(&self) -> Result<(), Error> {
        match self.operation {
            Operation::Resolve => self.endpoint.resolve(&self.handle, self.items).await.map(drop),
            Operation::Register => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let Some(element) = self.elements.get(turn % self.elements.len().max(1)) else {
                    return Ok(());
                };
                // Never the load it has.
                let load = u32::try_from(turn % 1_000_000).unwrap_or(0);
                element.update(Policy::LeastUsed { load: load * 4 }).await
            }
        }
    }
}

/// What was found out.
#[derive(Debug, Default)]
struct Measured {
    latency: Option<Histogram<u64>>,
    errors: u64,
    /// Requests that were due and not made in time.
    late: u64,
    failure: Option<Error>,
}

/// When requests begin.
enum Pace {
    /// With the answer to the one before.
    Closed,
    /// When they are due.
    Open(Mutex<mpsc::Receiver<Instant>>),
}

async fn measure(work: &Arc<Work>, options: &Bench) -> Measured {
    let end = Instant::now() + options.duration;
    let pace = Arc::new(match options.rate {
        None => Pace::Closed,
        Some(rate) => Pace::Open(Mutex::new(ticks(rate, end))),
    });
    let mut workers = JoinSet::new();
    for _ in 0..options.concurrency {
        workers.spawn(work_until(end, Arc::clone(work), Arc::clone(&pace)));
    }
    let mut all = Measured::default();
    while let Some(one) = workers.join_next().await {
        let Ok(one) = one else { continue };
        all.errors += one.errors;
        all.failure = all.failure.or(one.failure);
        all.latency = match (all.latency, one.latency) {
            (Some(mut sum), Some(more)) => {
                // Both are of the same kind.
                let _ = sum.add(more);
                Some(sum)
            }
            (sum, more) => sum.or(more),
        };
    }
    if let Pace::Open(due) = &*pace {
        let mut due = due.lock().await;
        while due.try_recv().is_ok() {
            all.late += 1;
        }
    }
    all
}

/// The times at which requests are due. A thread of its own keeps them: the
/// runtime's clock is no finer than a millisecond.
fn ticks(rate: u32, end: Instant) -> mpsc::Receiver<Instant> {
    let (outbox, due) = mpsc::channel(DUE_MAX);
    let begun = Instant::now();
    thread::spawn(move || {
        for number in 0_u64.. {
            let next = begun + Duration::from_secs_f64(number as f64 / f64::from(rate));
            if next >= end {
                return;
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
            if outbox.blocking_send(next).is_err() {
                return;
            }
        }
    });
    due
}

async fn work_until(end: Instant, work: Arc<Work>, pace: Arc<Pace>) -> Measured {
    let mut measured = Measured::default();
    // Of microseconds, to three digits.
    let mut latency = Histogram::<u64>::new(3).ok();
    loop {
        let begun = match &*pace {
            Pace::Closed => Instant::now(),
            Pace::Open(due) => match due.lock().await.recv().await {
                Some(due) => due,
                None => break,
            },
        };
        if Instant::now() >= end {
            measured.late += u64::from(matches!(*pace, Pace::Open(_)));
            break;
        }
        match work.once().await {
            Ok(()) => {
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                if let Some(latency) = &mut latency {
                    latency.saturating_record(micros.max(1));
                }
            }
            Err(error) => {
                measured.errors += 1;
                measured.failure = Some(error);
                // A registrar that is away is not asked in a tight loop.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    measured.latency = latency;
    measured
}

fn tell(
    line: &Line,
    options: &Bench,
    at: &str,
    measured: &Measured,
    took: Duration,
) -> Result<(), Failure> {
    let Some(latency) = &measured.latency else { return Ok(()) };
    let answers = latency.len();
    let rate = answers as f64 / took.as_secs_f64();
    let millis = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1000.0;
    let (p50, p90, p99, p999) = (millis(0.5), millis(0.9), millis(0.99), millis(0.999));
    let max = latency.max() as f64 / 1000.0;
    let operation = match options.operation {
        Operation::Resolve => "resolve",
        Operation::Register => "register",
    };
    if line.json {
        return outlet::json(&json!({
            "operation": operation, "pool": options.handle, "registrar": at,
            "concurrency": options.concurrency, "rate_due": options.rate,
            "seconds": took.as_secs_f64(), "answers": answers, "errors": measured.errors,
            "late": measured.late, "answers_per_second": rate,
            "latency_ms": { "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": max },
        }));
    }
    let due = options.rate.map_or_else(String::new, |rate| format!(", {rate} due a second"));
    outlet::line(format!(
        "{operation} {} at {at}: {} under way{due}, {:.1} s\n  \
         answers  {answers}, {rate:.0} a second\n  \
         latency  p50 {p50:.3} ms  p90 {p90:.3}  p99 {p99:.3}  p99.9 {p999:.3}  max {max:.3}\n  \
         errors   {}, {} not made in time",
        options.handle,
        options.concurrency,
        took.as_secs_f64(),
        measured.errors,
        measured.late,
    ))
}
