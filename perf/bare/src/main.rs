//! The `rserpool-bare` program.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rserpool_bare::{
    CrossingOptions, Kind, MeasureOptions, Sizes, StallOptions, crossing, measure, serve, stall,
};

/// Measures what a registrar costs beyond a server that does nothing but
/// answer, on the same host in the same run.
#[derive(Debug, Parser)]
#[command(name = "rserpool-bare", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure all servers in turn and print a table
    Measure(MeasureOptions),
    /// Measure what it costs that requests cross between shards
    Crossing(CrossingOptions),
    /// Measure how soon a saturated shard serves what another one hands it
    Stall(StallOptions),
    /// Serve on a free loopback port, which is printed, until input ends
    Serve {
        /// uring, epoll, glommio, registrar or registrar-epoll
        #[arg(long, value_name = "KIND", value_parser = Kind::parse)]
        kind: Kind,
        /// The core to keep to
        #[arg(long, value_name = "N", default_value_t = 0)]
        core: usize,
        /// Bytes of a request
        #[arg(long, value_name = "BYTES", default_value_t = 32,
              value_parser = clap::value_parser!(u32).range(1..=2048))]
        request: u32,
        /// Bytes of an answer
        #[arg(long, value_name = "BYTES", default_value_t = 80,
              value_parser = clap::value_parser!(u32).range(1..=2048))]
        answer: u32,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Measure(options) => measure(&options),
        Command::Crossing(options) => crossing(&options),
        Command::Stall(options) => stall(&options),
        Command::Serve { kind, core, request, answer } => {
            serve(kind, core, Sizes { request: request as usize, answer: answer as usize })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it, the exit status tells.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
