//! Makes a dated report: runs every measuring program and writes what came out
//! into one folder, `perf/YYYY-MM-DD-title/`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use clap::Parser;
use rserpool_benches::bars::{self, Footprint, Results};
use rserpool_benches::host::Host;
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
    /// Policies of the matrix: main (the four with targets), all, or names.
    #[arg(long, default_value = "all")]
    policies: String,
    /// Write the report again from the results that are in its folder.
    #[arg(long)]
    join: bool,
    /// The day of the report that is joined; default today.
    #[arg(long)]
    date: Option<String>,
}

fn main() -> Result<(), String> {
    let options = Options::parse();
    let host = Host::here();
    let date = options.date.as_ref().unwrap_or(&host.date);
    let title = file_name(&options.title, "");
    let directory = options.root.join(format!("{date}-{}", title.trim_end_matches('.')));
    fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    if !options.join {
        measure(&options, &directory)?;
    }
    let text = join(&options.title, &directory)?;
    let file = directory.join("README.md");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let _ = writeln!(io::stdout(), "{}", file.display());
    Ok(())
}

/// Runs the programs one after the other, each in a process of its own.
fn measure(options: &Options, directory: &Path) -> Result<(), String> {
    let out = directory.display().to_string();
    let quick: &[&str] = if options.quick { &["--quick"] } else { &[] };
    let (small, large): (&[&str], &[&str]) = if options.quick {
        (&["1x1e5"], &[])
    } else {
        (&["1x1e6", "1e3x1e3", "1e5x10"], &["1x1e7"])
    };
    let shapes = if options.quick { "1x100,1x1e4,1e3x10" } else { "" };
    let mut matrix = vec!["--policies", &options.policies, "--out", &out];
    matrix.extend(if shapes.is_empty() { vec![] } else { vec!["--shapes", shapes] });
    run("matrix", &[&matrix[..], quick].concat())?;
    let sizes: &[&str] = if options.quick { &["--sizes", "100,10000"] } else { &[] };
    run("structures", &[&["--out", &out], sizes, quick].concat())?;
    for policy in ["RoundRobin", "Random", "WeightedRandom", "LeastUsed"] {
        for &shape in small.iter().chain(large) {
            let file = directory.join(file_name(&format!("footprint {shape} {policy}"), "json"));
            let file = file.display().to_string();
            run("footprint", &["--shape", shape, "--policy", policy, "--out", &file])?;
        }
    }
    let shape = if options.quick { "1x1e4" } else { "1x1e6" };
    run("worst", &[&["--shape", shape, "--out", &out], quick].concat())?;
    // Compared without judging: a report states what is.
    let counts = output("instructions", &[])?;
    fs::write(directory.join("instructions.txt"), counts).map_err(|error| error.to_string())
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
    let matrix = read(&directory.join("matrix.json"))?;
    let comparison = read(&directory.join("structures.json"))?;
    let worst = read(&directory.join("worst.json"))?;
    let mut footprints: Vec<Footprint> = Vec::new();
    for file in files(directory, "footprint-", ".json")? {
        footprints.extend(read(&directory.join(file))?);
    }
    let results = Results {
        matrix: matrix.as_ref(),
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
    let _ = write!(text, "\n## Engine\n\n{}", section("matrix.md"));
    text.push_str(&pictures(directory, "matrix-")?);
    let _ = write!(text, "\n## Structures\n\n{}", section("structures.md"));
    text.push_str(&pictures(directory, "structures-")?);
    let _ = write!(text, "\n## Slowest calls\n\n{}", section("worst.md"));
    let _ = write!(text, "\n## Instructions\n\n```text\n{}```\n", section("instructions.txt"));
    Ok(text)
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
