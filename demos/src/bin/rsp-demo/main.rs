//! `rsp-demo`: services to try Reliable Server Pooling with, and their clients.

mod element;
mod options;
mod user;

use std::fmt;
use std::process::ExitCode;

use clap::Parser as _;
use rserpool_client::Endpoint;

use crate::options::{Command, Line};

/// Why it ends with another exit status than 0.
#[derive(Debug)]
pub(crate) enum Failure {
    Failed(String),
    NoRegistrar(rserpool_client::Error),
}

impl Failure {
    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

#[expect(clippy::print_stderr, reason = "this is a command")]
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let line = Line::parse();
    match run(&line).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => {
            eprintln!("rsp-demo: {why}");
            ExitCode::from(1)
        }
        Err(Failure::NoRegistrar(error)) => {
            eprintln!("rsp-demo: {error}");
            ExitCode::from(3)
        }
    }
}

async fn run(line: &Line) -> Result<(), Failure> {
    let endpoint =
        Endpoint::connect(line.registrar.iter().cloned()).await.map_err(Failure::NoRegistrar)?;
    let done = match &line.command {
        Command::Serve(serve) => element::run(line, serve, &endpoint).await,
        Command::Use(client) => user::run(line, client, &endpoint).await,
    };
    endpoint.shutdown().await;
    done
}
