//! Makes a fixed number of calls of one operation, for an instruction counter
//! that only looks into the measured region (`perf/instructions`).

use std::io::{self, Write};

use clap::Parser;
use rserpool_benches::measure::Subject;
use rserpool_benches::options::policies;
use rserpool_benches::shape::Shape;
use rserpool_benches::space::Space;

/// Makes a fixed number of calls of one operation, for an instruction counter
/// that only looks into the measured region.
#[derive(Parser)]
struct Options {
    /// The operation, by its name in the reports.
    #[arg(long)]
    operation: String,
    /// One policy.
    #[arg(long)]
    policy: String,
    /// Elements in the one pool.
    #[arg(long, default_value_t = 1000)]
    elements: u32,
    /// At least so many calls.
    #[arg(long, default_value_t = 2000)]
    calls: u64,
}

fn main() -> Result<(), String> {
    let options = Options::parse();
    let [kind] = policies(&options.policy)?[..] else {
        return Err("--policy is more than one policy".to_owned());
    };
    let mut space = Space::new(Shape::new(1, options.elements.max(10)), kind);
    let operation = space.operations().iter().position(|&name| name == options.operation);
    let operation = operation.ok_or("--operation names none of the engine's")?;
    let measured = space.run(operation, options.calls);
    writeln!(io::stdout(), "{}", measured.calls).map_err(|error| error.to_string())
}
