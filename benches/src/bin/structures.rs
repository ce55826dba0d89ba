//! Compares plain data structures that could carry a policy, with the pointer
//! chase of the same working set as the machine's limit.

use std::io::{self, Write};

use clap::Parser;
use rserpool_benches::comparison::{Comparison, SIZES};
use rserpool_benches::options::Measuring;

/// Compares plain data structures that could carry a policy, with the pointer
/// chase of the same working set as the machine's limit.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    measuring: Measuring,
    /// Numbers of elements.
    #[arg(long, value_delimiter = ',', default_values_t = SIZES,
          value_parser = clap::value_parser!(u32).range(10..=100_000_000))]
    sizes: Vec<u32>,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut out = io::stdout().lock();
    let comparison =
        Comparison::measure(&options.measuring, &options.sizes, |elements, entries| {
            let _ = writeln!(out, "{elements} elements");
            for entry in entries {
                let _ = writeln!(
                    out,
                    "  {:24} {:30} {:9.1} ns ({:.1} to {:.1}) [sum {:x}]",
                    entry.operation,
                    entry.structure,
                    entry.median,
                    entry.least,
                    entry.most,
                    entry.sum
                );
            }
        });
    options.measuring.write(
        "structures",
        Some(&comparison.markdown()),
        &comparison,
        &comparison.plots(),
    )
}
