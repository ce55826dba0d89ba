//! Finds the slowest single calls of the engine, and tells those that are
//! slow every time from those the machine disturbed.

use std::io::{self, Write};

use clap::Parser;
use rserpool_benches::options::{Measuring, policies};
use rserpool_benches::shape::Shape;
use rserpool_benches::worst;

/// Finds the slowest single calls of the engine, and tells those that are
/// slow every time from those the machine disturbed.
#[derive(Parser)]
struct Options {
    /// Pools x elements in each.
    #[arg(long, default_value = "1x1e6", value_parser = shape)]
    shape: Shape,
    /// Policies: main (the four with targets), all, or names.
    #[arg(long, default_value = "main", value_delimiter = ',')]
    policies: Vec<String>,
    /// Calls of each kind in each replay; default ten million, or ten
    /// thousand with --quick.
    #[arg(long)]
    calls: Option<usize>,
    /// Times the same calls are made.
    #[arg(long, default_value_t = 3)]
    replays: usize,
    #[command(flatten)]
    measuring: Measuring,
}

fn shape(name: &str) -> Result<Shape, String> {
    Shape::parse(name).ok_or_else(|| "is no shape like 1000x1e3".to_owned())
}

fn main() -> Result<(), String> {
    let options = Options::parse();
    let kinds: Result<Vec<_>, String> =
        options.policies.iter().map(|name| policies(name)).collect();
    let kinds = kinds.map_err(|why| format!("--policies {why}"))?.concat();
    let usual = if options.measuring.quick { 10_000 } else { 10_000_000 };
    let calls = options.calls.unwrap_or(usual).max(1);
    let mut out = io::stdout().lock();
    let worst = worst::measure(options.shape, &kinds, calls, options.replays, |kind| {
        let _ = writeln!(
            out,
            "{:60} median {:6} ns, slowest in every replay {:9} ns, of each replay {:?}",
            kind.name,
            kind.median,
            kind.worst(),
            kind.most_by_replay
        );
    });
    let text = worst.markdown();
    options.measuring.write("worst", Some(&text), &worst, &[]).map_err(|error| error.to_string())
}
