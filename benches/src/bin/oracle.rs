//! A long run of random operations against the plain model of the engine's
//! tests.

#[path = "../../../engine/tests/oracle/mod.rs"]
#[expect(clippy::unwrap_used, reason = "the model is that of a test: it fails by panicking")]
#[expect(clippy::wildcard_enum_match_arm, reason = "the model names the policies that differ")]
mod oracle;

use std::io::{self, Write};
use std::time::Instant;

use clap::Parser;

/// Does random operations on a handlespace and on a plain model of it, compares
/// all that either says, and tests whether random policies draw fairly. Ends
/// with a panic that names the session and the operation if there is any
/// difference.
#[derive(Parser)]
struct Options {
    /// At least so many operations, in sessions of 5,000.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    operations: u64,
    /// Everything follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let started = Instant::now();
    let run = oracle::run(options.seed, options.operations, |done| {
        if done % 1_000_000 == 0 {
            let seconds = started.elapsed().as_secs();
            // Who does not read on misses nothing.
            let _ = writeln!(io::stderr(), "{done} operations, {seconds} s");
        }
    });
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} operations in {} sessions from seed {}: no difference. {} elements selected, {} s.\n",
        run.operations,
        run.sessions,
        options.seed,
        run.selected,
        started.elapsed().as_secs(),
    )?;
    writeln!(out, "| drawn by | draws | chi-square, 31 degrees of freedom | of pairs, 63 |")?;
    writeln!(out, "|---|---:|---:|---:|")?;
    for (name, draws, single, pairs) in run.fairness.results() {
        writeln!(out, "| {name} | {draws} | {single:.1} | {pairs:.1} |")?;
    }
    run.fairness.assert_fair();
    Ok(())
}
