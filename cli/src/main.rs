//! `rsp`: the command line of Reliable Server Pooling.
//!
//! | exit status | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed, or the answer is no: no such pool, refused, unhealthy |
//! | 2 | the command line is wrong |
//! | 3 | no registrar can be reached, or none answered |

mod access;
mod admin;
mod bench;
mod command_line;
mod decode;
mod doctor;
mod health;
mod load;
mod outcome;
mod outlet;
mod policy;
mod proxy;
mod register;
mod report;
mod resolve;
mod serve;
mod service;
mod signals;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::command_line::{Command, Line};
use crate::outcome::Failure;

fn main() -> ExitCode {
    let line = Line::parse();
    let result = match &line.command {
        Command::Completions { shell } => {
            let mut bytes = Vec::new();
            clap_complete::generate(*shell, &mut Line::command(), "rsp", &mut bytes);
            outlet::write(&bytes)
        }
        Command::Man { folder } => man(folder),
        Command::Doctor => doctor::run(line.json),
        Command::Decode(options) => decode::run(&line, options),
        Command::Resolve(_)
        | Command::Register(_)
        | Command::Report(_)
        | Command::Watch(_)
        | Command::Serve(_)
        | Command::Proxy(_)
        | Command::Pools(_)
        | Command::Pool(_)
        | Command::Dump(_)
        | Command::Elements(_)
        | Command::Peers(_)
        | Command::Bench(_) => in_runtime(&line),
    };
    result.map_or_else(|failure| failure.exit(), |()| ExitCode::SUCCESS)
}

/// Runs what needs a network.
fn in_runtime(line: &Line) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = if threads == 1 {
        // Nobody to be woken up.
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let result = runtime.block_on(async {
        match &line.command {
            Command::Resolve(options) => resolve::run(line, options).await,
            Command::Register(options) => register::run(line, options).await,
            Command::Report(options) => report::run(line, options).await,
            Command::Watch(options) => watch::run(line, options).await,
            Command::Serve(options) => serve::run(line, options).await,
            Command::Proxy(options) => proxy::run(line, options).await,
            Command::Pools(options) => admin::pools(line, options).await,
            Command::Pool(options) => admin::pool(line, options).await,
            Command::Dump(options) => admin::dump(line, options).await,
            Command::Elements(options) => admin::elements(line, options).await,
            Command::Peers(options) => admin::peers(line, options).await,
            Command::Bench(options) => bench::run(line, options).await,
            Command::Completions { .. }
            | Command::Man { .. }
            | Command::Doctor
            | Command::Decode(_) => Ok(()),
        }
    });
    // What is still under way is not waited for.
    runtime.shutdown_background();
    result
}

/// A man page for `rsp` and each of its commands.
fn man(folder: &std::path::Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Line::command(), folder)
        .map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))
}
