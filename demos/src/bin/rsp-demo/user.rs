//! The clients of the services.

use std::time::Duration;

use rserpool_client::Endpoint;
use rserpool_client::session::{Config, Session};
use rserpool_demos::fractal::{Algorithm, Image, drawn, png};
use rserpool_demos::{calc_app, chargen, daytime, discard, echo, ping_pong};
use tokio::io::{BufReader, stdin, stdout};

use crate::Failure;
use crate::options::{Line, Service, Use};

/// Uses a service.
#[expect(clippy::print_stdout, reason = "this is a command")]
pub(crate) async fn run(line: &Line, client: &Use, endpoint: &Endpoint) -> Result<(), Failure> {
    match client {
        Use::Echo => {
            let session = begin(line, endpoint, Service::Echo).await?;
            let input = BufReader::new(stdin());
            echo::converse(session, input, stdout()).await.map_err(Failure::failed)
        }
        Use::Discard => {
            let session = begin(line, endpoint, Service::Discard).await?;
            let input = BufReader::new(stdin());
            discard::converse(session, input, stdout()).await.map_err(Failure::failed)
        }
        Use::Daytime => {
            let session = begin(line, endpoint, Service::Daytime).await?;
            println!("{}", daytime::ask(session).await.map_err(Failure::failed)?);
            Ok(())
        }
        Use::Chargen { bytes } => {
            let session = begin(line, endpoint, Service::Chargen).await?;
            let read = chargen::read(session, *bytes).await.map_err(Failure::failed)?;
            println!("{read} bytes");
            Ok(())
        }
        Use::PingPong { count, interval } => {
            let session = begin(line, endpoint, Service::PingPong).await?;
            play(session, *count, *interval).await
        }
        Use::CalcApp { jobs, size, keep_alive } => {
            for job in 1..=*jobs {
                let session = begin(line, endpoint, Service::CalcApp).await?;
                let done = calc_app::calculate(session, job, *size, *keep_alive);
                let done = done.await.map_err(Failure::failed)?;
                println!(
                    "job {job} completed by {} after {:?}: accepted {}, rejected {}, failovers {}",
                    done.pe, done.took, done.accepted, done.rejected, done.failovers,
                );
            }
            Ok(())
        }
        Use::Fractal { file, width, height, steps, exponent } => {
            let session = begin(line, endpoint, Service::Fractal).await?;
            let algorithm =
                if exponent.is_some() { Algorithm::MandelbrotN } else { Algorithm::Mandelbrot };
            let image = Image {
                width: *width,
                height: *height,
                steps_max: *steps,
                algorithm,
                n: exponent.unwrap_or(2.0),
                ..Image::default()
            };
            let drawing = drawn(session, image).await.map_err(Failure::failed)?;
            std::fs::write(file, png(image, &drawing.points))
                .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
            println!(
                "{} drawn: failovers {}, points again {}",
                file.display(),
                drawing.failovers,
                drawing.again
            );
            Ok(())
        }
    }
}

async fn begin(line: &Line, endpoint: &Endpoint, service: Service) -> Result<Session, Failure> {
    let handle = line.pool.as_deref().unwrap_or_else(|| service.pool());
    let config = Config { sctp: line.sctp, silence_max: line.silence, ..Config::default() };
    endpoint
        .session(handle, config)
        .await
        .map_err(|error| Failure::Failed(format!("{handle}: {error}")))
}

/// Prints each reply; in the end, or after a signal, whether all numbers came
/// once and in order.
#[expect(clippy::print_stdout, reason = "this is a command")]
async fn play(session: Session, count: Option<u64>, interval: Duration) -> Result<(), Failure> {
    let (mut replies, mut gaps, mut again, mut last) = (0_u64, 0_u64, 0_u64, 0_u64);
    let played = ping_pong::play(session, count, interval, |reply| {
        println!("message {} from {}: reply {}", reply.message, reply.pe, reply.number);
        replies += 1;
        gaps += u64::from(reply.number > last.saturating_add(1));
        again += u64::from(reply.number <= last);
        last = reply.number;
    });
    let result = tokio::select! {
        result = played => result.map_err(Failure::failed),
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    println!("{replies} replies, {gaps} gaps, {again} again");
    result
}
