//! The `rserpool-loadgen` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    rserpool_registrar::parse_or_exit::<rserpool_loadgen::Cli>().main()
}
