//! The `rserpool-loadgen` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    rserpool_loadgen::Cli::parse().main()
}
