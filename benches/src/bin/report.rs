//! Makes a dated report: runs every measuring program and writes what came out
//! into one folder, `perf/YYYY-MM-DD-title/`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use clap::{Parser, ValueEnum};
use rserpool_benches::bars::{self, Footprint, Results};
use rserpool_benches::host::Host;
use rserpool_benches::matrix::Matrix;
use rserpool_benches::options::file_name;
use serde::de::DeserializeOwned;

/// Makes a dated report: runs every measuring program and writes what came out
/// into one folder.
#[derive(Parser)]
struct Options {
    /// What the report is about, in a few words.
    #[arg(long)]
    title: String,
    /// Where the folder is made.
    #[arg(long, default_value = "perf")]
    root: PathBuf,
    /// Short and small: to see that everything works, not for figures.
    #[arg(long)]
    quick: bool,
    /// The parts to measure; default all. The page is made of what is in its
    /// folder by then, so that parts can be measured one at a time.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Write the page again from the results that are in its folder.
    #[arg(long)]
    join: bool,
    /// The day of the report that is joined; default today.
    #[arg(long)]
    date: Option<String>,
}

/// A part of a report, of one to three minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The engine with up to 100,000 elements.
    Small,
    /// The engine with a million elements, policies with targets.
    Large,
    /// The same with all policies, fewer rounds.
    Others,
    /// Plain structures.
    Structures,
    /// Slowest calls.
    Worst,
    /// Memory. Times do not matter.
    Footprint,
    /// Instruction counts. Times do not matter.
    Instructions,
}

const SMALL: &str = "1x1e2,1x1e3,1x1e4,1x1e5";
const LARGE: &str = "1x1e6,1e3x1e3,1e5x10";
/// Rounds of many cells, and the milliseconds of a cell in each.
const ROUNDS: [&str; 4] = ["--rounds", "7", "--sample-ms", "3"];
/// The same of small handlespaces, all policies.
const SMALL_ROUNDS: [&str; 4] = ["--rounds", "5", "--sample-ms", "2"];
/// The same of very many cells.
const FEW_ROUNDS: [&str; 4] = ["--rounds", "3", "--sample-ms", "2"];

fn main() -> Result<(), String> {
    let options = Options::parse();
    let host = Host::here();
    let date = options.date.as_ref().unwrap_or(&host.date);
    let title = file_name(&options.title, "");
    let directory = options.root.join(format!("{date}-{}", title.trim_end_matches('.')));
    fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let parts = match &options.parts[..] {
        _ if options.join => &[],
        [] => Part::value_variants(),
        chosen => chosen,
    };
    for &part in parts {
        measure(part, options.quick, &directory)?;
    }
    let text = join(&options.title, &directory)?;
    let file = directory.join("README.md");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let _ = writeln!(io::stdout(), "{}", file.display());
    Ok(())
}

/// Runs the programs of a part one after the other, each in a process of its
/// own.
fn measure(part: Part, quick: bool, directory: &Path) -> Result<(), String> {
    let out = directory.display().to_string();
    let engine = |name: &str, policies: &str, shapes: &str, rounds: &[&str]| {
        let (shapes, rounds) = if quick { ("1x1e3", &["--quick"][..]) } else { (shapes, rounds) };
        let arguments = ["--policies", policies, "--shapes", shapes, "--out", &out, "--name", name];
        run("matrix", &[&arguments[..], rounds].concat())
    };
    match part {
        Part::Small => engine("matrix-small", "all", SMALL, &SMALL_ROUNDS),
        Part::Large => engine("matrix-large", "main", LARGE, &ROUNDS),
        Part::Others => engine("others-large", "all", LARGE, &FEW_ROUNDS),
        Part::Structures => {
            let sizes: &[&str] = if quick { &["--sizes", "100", "--quick"] } else { &ROUNDS };
            run("structures", &[&["--out", &out], sizes].concat())
        }
        Part::Worst => {
            let size: &[&str] = if quick {
                &["--shape", "1x1e4", "--quick"]
            } else {
                &["--shape", "1x1e6", "--calls", "300000", "--policies", "RoundRobin,LeastUsed"]
            };
            run("worst", &[&["--out", &out], size].concat())
        }
        Part::Footprint => {
            for policy in ["RoundRobin", "Random", "WeightedRandom", "LeastUsed"] {
                let shapes: &[&str] =
                    if quick { &["1x1e5"] } else { &["1x1e6", "1e3x1e3", "1e5x10", "1x1e7"] };
                for &shape in shapes {
                    let file = file_name(&format!("footprint {shape} {policy}"), "json");
                    let file = directory.join(file).display().to_string();
                    run("footprint", &["--shape", shape, "--policy", policy, "--out", &file])?;
                }
            }
            Ok(())
        }
        Part::Instructions => {
            // Compared without judging: a report states what is.
            let counts = output("instructions", &[])?;
            fs::write(directory.join("instructions.txt"), counts).map_err(|error| error.to_string())
        }
    }
}

fn command(program: &str, arguments: &[&str]) -> Result<Command, String> {
    let here = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(here.with_file_name(program));
    command.args(arguments);
    let _ = writeln!(io::stdout(), "{program} {}", arguments.join(" "));
    Ok(command)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = command(program, arguments)?.status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program}: {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = command(program, arguments)?.output();
    output.map(|output| output.stdout).map_err(|error| format!("{program}: {error}"))
}

/// Joins the results in a folder to one page.
fn join(title: &str, directory: &Path) -> Result<String, String> {
    let matrix = matrices(directory, "matrix-")?;
    let others = matrices(directory, "others-")?;
    let comparison = read(&directory.join("structures.json"))?;
    let worst = read(&directory.join("worst.json"))?;
    let mut footprints: Vec<Footprint> = Vec::new();
    for file in files(directory, "footprint-", ".json")? {
        footprints.extend(read(&directory.join(file))?);
    }
    for (name, plot) in matrix.iter().flat_map(Matrix::plots) {
        fs::write(directory.join(name), plot.svg()).map_err(|error| error.to_string())?;
    }
    let results = Results {
        matrix: matrix.as_ref(),
        others: others.as_ref(),
        comparison: comparison.as_ref(),
        worst: worst.as_ref(),
        footprints: &footprints,
    };
    let host = results.matrix.map_or_else(Host::here, |matrix| matrix.host.clone());
    let section = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let mut text = format!("# {title}\n\n{}\n## Promises\n\n", host.markdown());
    text.push_str(&bars::markdown(results));
    text.push_str(
        "\nWhat each number means and how it is measured: [../README.md](../README.md).\n",
    );
    let _ = write!(text, "\n## Memory\n\n{}", memory(&footprints));
    let tables =
        |matrix: &Option<Matrix>| matrix.as_ref().map_or_else(String::new, Matrix::markdown);
    let _ = write!(text, "\n## Engine\n\n{}", tables(&matrix));
    if others.is_some() {
        let _ = write!(text, "\n## All policies at a million elements\n\n{}", tables(&others));
    }
    text.push_str(&pictures(directory, "matrix-")?);
    let _ = write!(text, "\n## Structures\n\n{}", section("structures.md"));
    text.push_str(&pictures(directory, "structures-")?);
    let _ = write!(text, "\n## Slowest calls\n\n{}", section("worst.md"));
    let _ = write!(text, "\n## Instructions\n\n```text\n{}```\n", section("instructions.txt"));
    Ok(text)
}

/// The engine's results in the files whose names begin so, together.
fn matrices(directory: &Path, prefix: &str) -> Result<Option<Matrix>, String> {
    let mut joined: Option<Matrix> = None;
    for file in files(directory, prefix, ".json")?.iter().rev() {
        let Some(matrix) = read(&directory.join(file))? else { continue };
        match &mut joined {
            Some(joined) => joined.join(matrix),
            None => joined = Some(matrix),
        }
    }
    Ok(joined)
}

fn memory(footprints: &[Footprint]) -> String {
    let mut text = String::from(
        "| shape | policy | bytes an element | resident | peak | ns a registration | ns a \
         selection of 3 |\n|---|---|---:|---:|---:|---:|---:|\n",
    );
    for footprint in footprints {
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {} | {} | {:.0} | {:.0} |",
            footprint.shape,
            footprint.policy,
            footprint.bytes_per_element,
            footprint.resident,
            footprint.peak,
            footprint.registration_ns,
            footprint.selection_ns
        );
    }
    text
}

/// Links to the plots whose names begin so.
fn pictures(directory: &Path, prefix: &str) -> Result<String, String> {
    let link = |file: &String| format!("\n![{file}]({file})\n");
    Ok(files(directory, prefix, ".svg")?.iter().map(link).collect())
}

/// The names of the files that begin and end so, in order.
fn files(directory: &Path, prefix: &str, suffix: &str) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(directory).map_err(|error| error.to_string())?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with(prefix) && name.ends_with(suffix)).collect();
    names.sort_unstable();
    Ok(names)
}

/// A result, if there is one.
fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, String> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", file.display()))
}
