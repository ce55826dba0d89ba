//! A service as a pool element.

use std::io;
use std::time::Duration;

use rserpool_client::session::{Config, SctpCarrier, ServerSession, SessionListener};
use rserpool_client::{Endpoint, Service as Registered};
use rserpool_demos::calc_app::{Calculator, Settings};
use rserpool_demos::{calc_app, chargen, daytime, discard, echo, fractal, ping_pong};
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::options::{Line, Listen, Serve, Service};

/// How long to wait after a session could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Registers, and serves sessions until a signal.
#[expect(clippy::print_stdout, reason = "this is a command")]
pub(crate) async fn run(line: &Line, serve: &Serve, endpoint: &Endpoint) -> Result<(), Failure> {
    let (listener, scheme) = listen(line, serve.listen).await.map_err(|error| {
        Failure::Failed(format!("cannot listen at {:?}: {error}", serve.listen))
    })?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    let handle = line.pool.as_deref().unwrap_or_else(|| serve.service.pool());
    let mut service = match serve.listen {
        Listen::Tcp(_) => Registered::tcp(handle, address, serve.policy),
        Listen::Sctp(_) | Listen::SctpUdp(_) => Registered::sctp(handle, address, serve.policy),
    };
    service.pe = serve.id.unwrap_or_default();
    let settings = Settings {
        capacity: serve.capacity.into(),
        jobs_max: serve.jobs_max.into(),
        ..Settings::default()
    };
    let calculator = Calculator::new(settings);
    let mut jobs = calculator.jobs();
    let mut term = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let element = endpoint.register(service).await.map_err(Failure::failed)?;
    println!("{} serves {handle} at {scheme}://{address}", element.pe());
    loop {
        tokio::select! {
            session = listener.accept() => match session {
                Ok(session) => {
                    let calculator = calculator.clone();
                    let (which, pause) = (serve.service, serve.pause);
                    tokio::spawn(async move {
                        // How a session ends is the client's business.
                        let _ = one(which, session, calculator, pause).await;
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            load = calculator.changed(&mut jobs) => element.report_load(load),
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    element.deregister().await.map_err(Failure::failed)
}

async fn listen(line: &Line, at: Listen) -> io::Result<(SessionListener, &'static str)> {
    let config = |sctp| Config { sctp, silence_max: line.silence, ..Config::default() };
    match at {
        Listen::Tcp(address) => {
            Ok((SessionListener::bind(address, config(SctpCarrier::Any)).await?, "tcp"))
        }
        Listen::Sctp(address) => {
            let config = config(SctpCarrier::Kernel);
            Ok((SessionListener::bind_sctp(address, config).await?, "sctp"))
        }
        Listen::SctpUdp(mut address) => {
            let config = config(SctpCarrier::Udp { port: address.port() });
            address.set_port(0);
            Ok((SessionListener::bind_sctp(address, config).await?, "sctp-udp"))
        }
    }
}

async fn one(
    service: Service,
    session: ServerSession,
    calculator: std::sync::Arc<Calculator>,
    pause: Duration,
) -> io::Result<()> {
    match service {
        Service::Echo => echo::serve(session).await,
        Service::Discard => discard::serve(session).await,
        Service::Daytime => daytime::serve(session).await,
        Service::Chargen => chargen::serve(session).await,
        Service::PingPong => ping_pong::serve(session).await,
        Service::CalcApp => calc_app::serve(session, calculator).await,
        Service::Fractal => fractal::serve(session, pause).await,
    }
}
