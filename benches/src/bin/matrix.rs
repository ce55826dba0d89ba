//! Measures every operation of the engine with every policy and shape, and
//! compares each cell with its target.

use std::io::{self, Write};

use clap::Parser;
use rserpool_benches::matrix::{Matrix, line};
use rserpool_benches::options::{Measuring, policies};
use rserpool_benches::shape::Shape;

/// Measures every operation of the engine with every policy and shape, and
/// compares each cell with its target.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    measuring: Measuring,
    /// Policies: main (the four with targets), all, or names.
    #[arg(long, default_value = "main", value_delimiter = ',')]
    policies: Vec<String>,
    /// Shapes, pools x elements in each, as 1x1e6. Default: all seven.
    #[arg(long, value_delimiter = ',', value_parser = shape)]
    shapes: Vec<Shape>,
    /// The name of the file for the results, without its ending.
    #[arg(long, default_value = "matrix")]
    name: String,
}

fn shape(name: &str) -> Result<Shape, String> {
    Shape::parse(name).ok_or_else(|| "is no shape like 1000x1e3".to_owned())
}

fn main() -> Result<(), String> {
    let options = Options::parse();
    let kinds: Result<Vec<_>, String> =
        options.policies.iter().map(|name| policies(name)).collect();
    let kinds = kinds.map_err(|why| format!("--policies {why}"))?.concat();
    let shapes =
        if options.shapes.is_empty() { Shape::ALL.to_vec() } else { options.shapes.clone() };
    let mut out = io::stdout().lock();
    let matrix = Matrix::measure(&options.measuring, &kinds, &shapes, |shape, cells| {
        let _ = writeln!(out, "{shape}");
        for cell in cells {
            let _ = writeln!(out, "  {} [sum {:x}]", line(cell), cell.sum);
        }
    });
    if matrix.cells.is_empty() {
        return Err("--cells matches no cell".to_owned());
    }
    let (passed, judged) = matrix.passed(true);
    let (followed, compared) = matrix.passed(false);
    let _ = writeln!(
        out,
        "within their target: {passed} of {judged}; as fast as their family: {followed} of \
         {compared}"
    );
    options.measuring.write(&options.name, None, &matrix, &[]).map_err(|error| error.to_string())
}
