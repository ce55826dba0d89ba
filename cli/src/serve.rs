//! `rsp serve`: an unmodified server as a pool element.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitStatus;
use std::time::Duration;

use rserpool_client::{Endpoint, Error, Policy, PoolElement, Service, Standing, TransportKind};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::access::config;
use crate::command_line::{Line, Serve};
use crate::health::Check;
use crate::load::{self, Source};
use crate::outcome::Failure;
use crate::outlet;
use crate::policy;
use crate::register::Teller;
use crate::service::ServiceAddress;
use crate::signals::Signals;

/// How long a server that is drained serves on at least: pool users have
/// selected it already.
const LINGER: Duration = Duration::from_secs(2);
/// How long a command has to end after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(line: &Line, options: &Serve) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let at = match options.service {
        Some(at) => at,
        None => free_address(line)?,
    };
    if at.transport != TransportKind::Tcp
        && options.check != Check::None
        && !matches!(options.check, Check::Command(_))
    {
        return Err(Failure::usage("a service that is not TCP needs --check command:CMD or none"));
    }
    let policy = policy(options)?;
    let mut child = start(options, at)?;
    let access = line.registrars.look(config(line))?;
    let mut server = Server {
        teller: Teller::new(line),
        options,
        endpoint: access.endpoint.clone(),
        service: at.service(&options.pool, &options.identity, policy),
        element: None,
        registration: None,
        failures: 0,
        complained: false,
    };
    let ended = tokio::select! {
        ended = server.run() => ended,
        status = end(&mut child) => Err(ended_by_itself(status)),
        () = signals.end() => Ok(()),
    };
    server.deregister().await;
    if ended.is_ok() {
        tokio::select! {
            () = drain(at.address.port(), options.drain) => {}
            _ = end(&mut child) => {}
            () = signals.end() => {}
        }
    }
    stop(child).await;
    server.endpoint.shutdown().await;
    ended
}

/// The policy, which has to have a load if one is told.
fn policy(options: &Serve) -> Result<Policy, Failure> {
    let policy = policy::chosen(options.policy, options.load.is_some());
    if options.load.is_some() && policy.load().is_none() {
        return Err(Failure::usage(policy::no_load(policy)));
    }
    Ok(policy)
}

/// A free port at the address that is used toward the registrar.
fn free_address(line: &Line) -> Result<ServiceAddress, Failure> {
    let local = line.registrars.local_address();
    let address = local.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let free = TcpListener::bind(SocketAddr::new(address, 0)).and_then(|it| it.local_addr());
    let address = free.map_err(|error| Failure::failed(format!("no free port: {error}")))?;
    Ok(ServiceAddress { transport: TransportKind::Tcp, address })
}

fn start(options: &Serve, at: ServiceAddress) -> Result<Option<Child>, Failure> {
    let Some((program, arguments)) = options.run.split_first() else { return Ok(None) };
    let port = at.address.port().to_string();
    let arguments = arguments.iter().map(|argument| argument.replace("{port}", &port));
    let child = Command::new(program).args(arguments).env("PORT", &port).kill_on_drop(true).spawn();
    child.map(Some).map_err(|error| Failure::failed(format!("{program}: {error}")))
}

/// Waits for the end of the command, if there is one.
async fn end(child: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

fn ended_by_itself(status: std::io::Result<ExitStatus>) -> Failure {
    match status {
        Ok(status) => Failure::failed(format!("the command ended: {status}")),
        Err(error) => Failure::failed(format!("the command is lost: {error}")),
    }
}

/// Waits until nobody uses the server any more, but not too long.
async fn drain(port: u16, longest: Duration) {
    let begun = Instant::now();
    sleep(LINGER.min(longest)).await;
    while begun.elapsed() < longest && load::connections(port).is_ok_and(|count| count > 0) {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Ends the command: SIGTERM, and later SIGKILL.
async fn stop(child: Option<Child>) {
    let Some(mut child) = child else { return };
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        if tokio::time::timeout(STOP_PATIENCE, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

/// What was seen of a server.
struct Look {
    health: Result<(), String>,
    load: Option<Result<f64, String>>,
}

/// Looks at a server again and again.
fn look(options: &Serve, server: SocketAddr) -> mpsc::Receiver<Look> {
    let (outbox, looks) = mpsc::channel(1);
    let (check, source): (Check, Option<Source>) = (options.check.clone(), options.load.clone());
    let mut ticks = interval(options.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        loop {
            ticks.tick().await;
            let health = check.look(server).await;
            let load = match &source {
                Some(source) => Some(source.look(server.port()).await),
                None => None,
            };
            if outbox.send(Look { health, load }).await.is_err() {
                return;
            }
        }
    });
    looks
}

/// A server and its registration.
struct Server<'a> {
    teller: Teller<'a>,
    options: &'a Serve,
    endpoint: Endpoint,
    service: Service,
    element: Option<PoolElement>,
    registration: Option<JoinHandle<Result<PoolElement, Error>>>,
    /// Checks in a row that failed.
    failures: u32,
    complained: bool,
}

impl Server<'_> {
    /// Keeps the server registered while it is healthy. Ends only if it is
    /// refused.
    async fn run(&mut self) -> Result<(), Failure> {
        let mut looks = look(self.options, self.service.address);
        loop {
            tokio::select! {
                Some(look) = looks.recv() => self.looked(look).await,
                registered = finished(&mut self.registration) => self.registered(registered)?,
                standing = changed(&mut self.element) => {
                    if let Some(element) = &self.element {
                        self.teller.tell(element, &standing)?;
                    }
                }
            }
        }
    }

    async fn looked(&mut self, look: Look) {
        match look.health {
            Ok(()) => {
                self.failures = 0;
                self.complained = false;
                if self.element.is_none() && self.registration.is_none() {
                    let (endpoint, service) = (self.endpoint.clone(), self.service.clone());
                    self.registration =
                        Some(tokio::spawn(async move { endpoint.register(service).await }));
                }
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                let gone = self.failures >= self.options.failures;
                if gone && !self.complained {
                    self.complained = true;
                    outlet::complain(format!("{} is not healthy: {why}", self.service.address));
                }
                if gone {
                    self.deregister().await;
                }
            }
        }
        match (look.load, &self.element) {
            (Some(Ok(load)), Some(element)) => element.report_load(load),
            (Some(Err(why)), _) if !self.complained => {
                self.complained = true;
                outlet::complain(format!("the load is not known: {why}"));
            }
            _ => {}
        }
    }

    fn registered(&mut self, registered: Result<PoolElement, Error>) -> Result<(), Failure> {
        self.registration = None;
        match registered {
            Ok(element) => {
                // It keeps its identifier when it comes back.
                self.service.pe = element.pe();
                self.teller.tell(&element, &element.standing())?;
                self.element = Some(element);
                Ok(())
            }
            // It is tried again with the next look.
            Err(Error::TimedOut | Error::NoRegistrar(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn deregister(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration.abort();
        }
        if let Some(element) = self.element.take() {
            let _ = self.teller.tell(&element, &Standing::Over);
            // Without an answer it expires.
            let _ = element.deregister().await;
        }
    }
}

/// Waits for the registration under way, if there is one.
async fn finished(
    registration: &mut Option<JoinHandle<Result<PoolElement, Error>>>,
) -> Result<PoolElement, Error> {
    match registration {
        Some(registration) => registration.await.unwrap_or(Err(Error::Closed)),
        None => std::future::pending().await,
    }
}

/// Waits until it is otherwise with the element, if there is one.
async fn changed(element: &mut Option<PoolElement>) -> Standing {
    match element {
        Some(element) => element.changed().await,
        None => std::future::pending().await,
    }
}
