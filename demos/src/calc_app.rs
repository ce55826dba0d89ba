//! CalcApp: an element calculates jobs, as many at once as it takes, which share
//! its capacity. It leaves with each client, as a cookie, how much of its job is
//! done; the next element calculates the rest. What was calculated after the
//! last cookie is calculated again, which is at most
//! [`Settings::cookie_time`] and [`Settings::cookie_calculations`] of work.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rserpool_client::PeId;
use rserpool_client::session::{Event, ServerEvent, ServerSession, Session};
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::Error;
use crate::octets::{Reader, open, seal};

/// The usual pool handle.
pub const POOL: &str = "CalcAppPool";
/// The payload protocol identifier.
pub const PPID: u32 = 34;

/// The longest time that is waited for at once.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// How long a client waits after a rejection.
const REJECTION_PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request = 1,
    Accept = 2,
    Reject = 3,
    Complete = 5,
    KeepAlive = 6,
    KeepAliveAck = 7,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Request,
        Self::Accept,
        Self::Reject,
        Self::Complete,
        Self::KeepAlive,
        Self::KeepAliveAck,
    ];
}

/// A job: who names it, how large it is, and how much of it is done, in
/// calculations. All messages have these fields, and the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Job {
    id: u32,
    size: u64,
    done: u64,
}

impl Job {
    fn to_bytes(self) -> Vec<u8> {
        let numbers = self.size.to_be_bytes().into_iter().chain(self.done.to_be_bytes());
        self.id.to_be_bytes().into_iter().chain(numbers).collect()
    }

    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let job = Self { id: reader.u32()?, size: reader.u64()?, done: reader.u64()? };
        Some(Self { done: job.done.min(job.size), ..job })
    }

    fn message(self, kind: Kind) -> Vec<u8> {
        // 24 bytes are not too many.
        seal(kind as u8, &self.to_bytes()).unwrap_or_default()
    }
}

fn read(message: &[u8]) -> Option<(Kind, Job)> {
    let (kind, reader) = open(message)?;
    let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
    Some((kind, Job::read(reader)?))
}

/// What an element can do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calculations a second, of all jobs together; above 0.
    pub capacity: f64,
    /// Jobs at once. Others are rejected.
    pub jobs_max: usize,
    /// Time from one cookie to the next.
    pub cookie_time: Duration,
    /// Calculations from one cookie to the next.
    pub cookie_calculations: f64,
    /// Time from a sign of life of a client to the next question for one, and
    /// from that to the end of its job.
    pub keep_alive: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1_000_000.0,
            jobs_max: 10,
            cookie_time: Duration::from_secs(1),
            cookie_calculations: 1_000_000.0,
            keep_alive: Duration::from_secs(5),
        }
    }
}

/// The jobs of an element and what is done of them.
#[derive(Debug)]
struct Machine {
    capacity: f64,
    jobs_max: usize,
    /// Size and what is done of it.
    jobs: HashMap<u64, (f64, f64)>,
    next: u64,
    at: Instant,
}

impl Machine {
    /// Calculates until now: all jobs get the same.
    fn advance(&mut self, now: Instant) {
        let share = now.saturating_duration_since(self.at).as_secs_f64() * self.each();
        for (size, done) in self.jobs.values_mut() {
            *done = (*done + share).min(*size);
        }
        self.at = now;
    }

    /// Calculations a second for each job.
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 jobs")]
    fn each(&self) -> f64 {
        self.capacity / self.jobs.len().max(1) as f64
    }

    fn add(&mut self, now: Instant, size: f64, done: f64) -> Option<u64> {
        if self.jobs.len() >= self.jobs_max {
            return None;
        }
        self.advance(now);
        self.next += 1;
        self.jobs.insert(self.next, (size, done));
        Some(self.next)
    }

    fn remove(&mut self, now: Instant, number: u64) {
        self.advance(now);
        self.jobs.remove(&number);
    }

    /// How much of a job is done, and how long until all, or until so much.
    fn progress(&mut self, now: Instant, number: u64, until: f64) -> (f64, Duration, Duration) {
        self.advance(now);
        let (size, done) = self.jobs.get(&number).copied().unwrap_or_default();
        let time = |target: f64| {
            Duration::try_from_secs_f64((target - done).max(0.0) / self.each()).unwrap_or(WAIT_MAX)
        };
        (done, time(size).min(WAIT_MAX), time(until).min(WAIT_MAX))
    }
}

/// What all sessions of an element share.
#[derive(Debug)]
pub struct Calculator {
    settings: Settings,
    machine: Mutex<Machine>,
    jobs: watch::Sender<usize>,
}

impl Calculator {
    /// One that has nothing to do.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        let machine = Machine {
            capacity: settings.capacity,
            jobs_max: settings.jobs_max,
            jobs: HashMap::new(),
            next: 0,
            at: Instant::now(),
        };
        Arc::new(Self { settings, machine: Mutex::new(machine), jobs: watch::Sender::new(0) })
    }

    /// Waits until the number of jobs changes; the load of the element then,
    /// from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 jobs")]
    pub async fn changed(&self, jobs: &mut watch::Receiver<usize>) -> f64 {
        // The sender is here.
        let _ = jobs.changed().await;
        *jobs.borrow_and_update() as f64 / self.settings.jobs_max.max(1) as f64
    }

    /// The number of jobs, for [`Calculator::changed`].
    #[must_use]
    pub fn jobs(&self) -> watch::Receiver<usize> {
        self.jobs.subscribe()
    }

    fn machine<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> T {
        work(&mut self.machine.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[expect(clippy::cast_precision_loss, reason = "a job of 2^53 calculations is not done either")]
    fn begin(self: &Arc<Self>, job: Job) -> Option<Running> {
        let now = Instant::now();
        let number = self.machine(|it| it.add(now, job.size as f64, job.done as f64))?;
        self.jobs.send_modify(|jobs| *jobs += 1);
        let calculator = Arc::clone(self);
        let (cookie_at, cookie_done) = (now + self.settings.cookie_time, job.done as f64);
        let alive_by = now + self.settings.keep_alive;
        Some(Running { calculator, number, job, cookie_at, cookie_done, alive_by, asked: false })
    }
}

/// A job under way. It ends with this.
struct Running {
    calculator: Arc<Calculator>,
    number: u64,
    job: Job,
    cookie_at: Instant,
    /// How much was done at the last cookie.
    cookie_done: f64,
    /// When the client is asked for a sign of life, or has given none.
    alive_by: Instant,
    asked: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.calculator.machine(|machine| machine.remove(Instant::now(), self.number));
        self.calculator.jobs.send_modify(|jobs| *jobs -= 1);
    }
}

impl Running {
    /// Brings [`Job::done`] up to date; whether all is done, and when to look
    /// again.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 0 and the size"
    )]
    fn look(&mut self, now: Instant) -> (bool, Instant) {
        let until = self.cookie_done + self.calculator.settings.cookie_calculations;
        let (done, all, cookie) =
            self.calculator.machine(|machine| machine.progress(now, self.number, until));
        self.job.done = (done as u64).min(self.job.size);
        if cookie.is_zero() {
            self.cookie_at = now;
        }
        if all.is_zero() {
            self.job.done = self.job.size;
        }
        (all.is_zero(), (now + all.min(cookie)).min(self.cookie_at).min(self.alive_by))
    }
}

/// Serves one session, with one job at a time.
///
/// # Errors
/// The association failed, or the client does not keep to the protocol or shows
/// no sign of life, which ends the session.
pub async fn serve(mut session: ServerSession, calculator: Arc<Calculator>) -> io::Result<()> {
    let mut jobs = calculator.jobs();
    let mut running: Option<Running> = None;
    loop {
        let wake = match &mut running {
            Some(job) => match work(&mut session, job).await? {
                Some(wake) => wake,
                None => {
                    running = None;
                    continue;
                }
            },
            None => Instant::now(),
        };
        tokio::select! {
            event = session.receive() => {
                let Some(event) = event? else { return Ok(()) };
                if !obey(&mut session, &mut running, &calculator, &event).await? {
                    session.abort();
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            // There are fewer, or more, to share with.
            _ = jobs.changed(), if running.is_some() => {}
            () = sleep_until(wake.into()), if running.is_some() => {}
        }
    }
}

/// Does what is due for a job; `None`: it is complete.
async fn work(session: &mut ServerSession, running: &mut Running) -> io::Result<Option<Instant>> {
    let now = Instant::now();
    let (complete, _) = running.look(now);
    if complete {
        session.send(PPID, &running.job.message(Kind::Complete)).await?;
        return Ok(None);
    }
    let settings = &running.calculator.settings;
    if running.cookie_at <= now {
        (running.cookie_at, running.cookie_done) =
            (now + settings.cookie_time, running.cookie_done.max(precise(running.job.done)));
        session.send_cookie(&running.job.to_bytes()).await?;
    }
    if running.alive_by <= now {
        if running.asked {
            return Err(io::ErrorKind::TimedOut.into());
        }
        (running.alive_by, running.asked) = (now + settings.keep_alive, true);
        session.send(PPID, &named(running.job).message(Kind::KeepAlive)).await?;
    }
    Ok(Some(running.look(now).1))
}

/// What a client said; whether it keeps to the protocol.
async fn obey(
    session: &mut ServerSession,
    running: &mut Option<Running>,
    calculator: &Arc<Calculator>,
    event: &ServerEvent,
) -> io::Result<bool> {
    let (kind, job) = match event {
        ServerEvent::CookieEcho(echo) => match Job::read(Reader(echo)) {
            Some(job) => (Kind::Request, job),
            None => return Ok(false),
        },
        ServerEvent::Message { data, .. } => match read(data) {
            Some((Kind::Request, job)) => (Kind::Request, Job { done: 0, ..job }),
            Some(read) => read,
            None => return Ok(false),
        },
    };
    match (kind, running.as_mut()) {
        (Kind::Request, None) => {
            *running = calculator.begin(job);
            let answer = if running.is_some() { Kind::Accept } else { Kind::Reject };
            session.send(PPID, &named(job).message(answer)).await?;
        }
        (Kind::Request, Some(_)) => {
            session.send(PPID, &named(job).message(Kind::Reject)).await?;
        }
        (Kind::KeepAlive, Some(running)) if running.job.id == job.id => {
            session.send(PPID, &named(job).message(Kind::KeepAliveAck)).await?;
        }
        (Kind::KeepAliveAck, Some(running)) if running.job.id == job.id => {
            running.alive_by = Instant::now() + calculator.settings.keep_alive;
            running.asked = false;
        }
        // Of a job that has ended meanwhile.
        (Kind::KeepAlive | Kind::KeepAliveAck, _) => {}
        (Kind::Accept | Kind::Reject | Kind::Complete, _) => return Ok(false),
    }
    Ok(true)
}

/// The job with nothing but its name.
const fn named(job: Job) -> Job {
    Job { id: job.id, size: 0, done: 0 }
}

#[expect(clippy::cast_precision_loss, reason = "a job of 2^53 calculations is not done either")]
const fn precise(calculations: u64) -> f64 {
    calculations as f64
}

fn keep_alive_of(id: u32) -> Vec<u8> {
    Job { id, ..Job::default() }.message(Kind::KeepAlive)
}

/// How a job went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who completed it.
    pub pe: PeId,
    /// How many elements took it up.
    pub accepted: u32,
    /// How many had no room.
    pub rejected: u32,
    /// How often the session was failed over, by itself or because an element
    /// did not answer or had no room.
    pub failovers: u32,
    /// From the request to the end.
    pub took: Duration,
}

/// Has a job of this size calculated. An element that has no room is left, one
/// that shows no sign of life for `keep_alive` is reported.
///
/// # Errors
/// The session failed, or the service does not keep to the protocol.
pub async fn calculate(
    mut session: Session,
    id: u32,
    size: u64,
    keep_alive: Duration,
) -> Result<Outcome, Error> {
    let begun = Instant::now();
    let request = Job { id, size, done: 0 }.message(Kind::Request);
    let (mut accepted, mut rejected, mut failovers) = (0, 0, 0);
    session.send(PPID, request.clone()).await?;
    // An answer is due then; once there is one, the next question is.
    let (mut due, mut asked) = (Instant::now() + keep_alive, true);
    loop {
        let event = tokio::select! {
            event = session.receive() => event?,
            () = sleep_until(due.into()) => {
                if asked {
                    session.fail_over().await?;
                } else {
                    session.send(PPID, keep_alive_of(id)).await?;
                }
                (due, asked) = (Instant::now() + keep_alive, true);
                continue;
            }
        };
        let data = match event {
            Event::Message { data, .. } => data,
            Event::FailedOver { cookie, .. } => {
                failovers += 1;
                // rsplib's element looks at the cookie when something follows it.
                let first = if cookie { keep_alive_of(id) } else { request.clone() };
                session.send(PPID, first).await?;
                (due, asked) = (Instant::now() + keep_alive, true);
                continue;
            }
            // The session looks for another element itself.
            Event::FailingOver { .. } | _ => {
                due = Instant::now() + WAIT_MAX;
                continue;
            }
        };
        let (kind, job) = read(&data)
            .filter(|(_, job)| job.id == id)
            .ok_or_else(|| Error::Service("that is no message on our job".to_owned()))?;
        match kind {
            Kind::Accept | Kind::KeepAliveAck => {
                accepted += u32::from(kind == Kind::Accept);
                (due, asked) = (Instant::now() + keep_alive, false);
            }
            Kind::Reject => {
                rejected += 1;
                tokio::time::sleep(REJECTION_PAUSE).await;
                session.leave().await?;
                due = Instant::now() + WAIT_MAX;
            }
            Kind::KeepAlive => {
                let ack = Job { id, ..Job::default() }.message(Kind::KeepAliveAck);
                session.send(PPID, ack).await?;
            }
            Kind::Complete if job.done >= size => {
                let (pe, took) = (session.peer(), begun.elapsed());
                session.close().await;
                return Ok(Outcome { pe, accepted, rejected, failovers, took });
            }
            Kind::Complete | Kind::Request => {
                return Err(Error::Service("our job is not complete".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(jobs_max: usize) -> (Machine, Instant) {
        let at = Instant::now();
        (Machine { capacity: 100.0, jobs_max, jobs: HashMap::new(), next: 0, at }, at)
    }

    #[test]
    fn jobs_share_the_capacity() {
        let (mut machine, at) = machine(2);
        let second = |count| at + Duration::from_secs(count);
        let first = machine.add(at, 300.0, 0.0).unwrap();
        let other = machine.add(second(1), 100.0, 50.0).unwrap();
        assert_eq!(machine.add(second(1), 1.0, 0.0), None);
        // 100 alone, then 50 each a second.
        let (done, all, some) = machine.progress(second(2), first, 200.0);
        assert_eq!((done, all, some), (150.0, Duration::from_secs(3), Duration::from_secs(1)));
        assert_eq!(machine.progress(second(2), other, 0.0).1, Duration::ZERO);
        machine.remove(second(2), other);
        assert_eq!(machine.progress(second(2), first, 0.0).1, Duration::from_millis(1500));
    }

    #[test]
    fn a_job_that_never_ends_is_waited_for() {
        let (mut machine, at) = machine(1);
        let number = machine.add(at, 2.0_f64.powi(64), 0.0).unwrap();
        assert_eq!(machine.progress(at, number, f64::MAX).1, WAIT_MAX);
    }

    #[test]
    fn messages_are_those_of_the_protocol() {
        let job = Job { id: 7, size: 1000, done: 10 };
        let message = job.message(Kind::Complete);
        assert_eq!(message, b"\x05\0\0\x18\0\0\0\x07\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x0a");
        assert_eq!(read(&message), Some((Kind::Complete, job)));
        assert_eq!(read(b"\x04\0\0\x18\0\0\0\x07\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x0a"), None);
        assert_eq!(read(&message[..23]), None);
        // More than all is all.
        let cookie = Job { done: 2000, ..job }.to_bytes();
        assert_eq!(Job::read(Reader(&cookie)), Some(Job { done: 1000, ..job }));
    }
}
