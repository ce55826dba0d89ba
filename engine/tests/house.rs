//! The rules of the house that no compiler checks: which crate may depend on
//! which, licences, where runtimes and `unsafe` may be named, file sizes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Dependencies among our own crates, dev-dependencies included.
const ALLOWED: &[(&str, &[&str])] = &[
    ("rserpool-engine", &[]),
    ("rserpool-codec", &["rserpool-engine"]),
    ("rserpool-proto", &["rserpool-engine", "rserpool-codec"]),
    (
        "rserpool-registrar",
        &["rserpool-engine", "rserpool-codec", "rserpool-proto", "rserpool-sctp"],
    ),
    (
        "rserpool-client",
        &[
            "rserpool-engine",
            "rserpool-codec",
            "rserpool-proto",
            "rserpool-sctp",
            "rserpool-registrar",
        ],
    ),
    ("rserpool-capture", &["rserpool-engine", "rserpool-codec"]),
    (
        "rserpool-cli",
        &[
            "rserpool-engine",
            "rserpool-codec",
            "rserpool-proto",
            "rserpool-capture",
            "rserpool-client",
            "rserpool-registrar",
        ],
    ),
    ("rserpool-demos", &["rserpool-client", "rserpool-registrar"]),
    ("rserpool-capi", &["rserpool-client", "rserpool-registrar"]),
    (
        "rserpool-loadgen",
        &[
            "rserpool-engine",
            "rserpool-codec",
            "rserpool-proto",
            "rserpool-registrar",
            "rserpool-sctp",
        ],
    ),
    ("rserpool-benches", &["rserpool-engine", "rserpool-codec", "rserpool-proto"]),
    ("rserpool-sim", &["rserpool-engine", "rserpool-codec", "rserpool-proto"]),
    ("rserpool-sctp", &[]),
    ("rserpool-bare", &["rserpool-engine", "rserpool-codec", "rserpool-registrar"]),
    ("rserpool-relay", &[]),
];

/// Edges that exist for tests only.
const DEV_ONLY: &[(&str, &str)] = &[
    ("rserpool-client", "rserpool-registrar"),
    ("rserpool-cli", "rserpool-registrar"),
    ("rserpool-demos", "rserpool-registrar"),
    ("rserpool-capi", "rserpool-registrar"),
];

/// One of these in a licence expression is enough; see `deny.toml`.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "MPL-2.0+",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The only file here that has to name what it looks for.
const THIS: &str = "engine/tests/house.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> &[Value] {
    metadata["packages"].as_array().unwrap()
}

fn ours(metadata: &Value) -> impl Iterator<Item = &Value> {
    packages(metadata).iter().filter(|package| package["source"].is_null())
}

fn dependencies(package: &Value) -> &[Value] {
    package["dependencies"].as_array().unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Every Rust source of the checkout, with its text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let relative = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((relative, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The lines of a source without their comments, numbered from 1.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    (1..).zip(lines)
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for package in ours(&metadata()) {
        let name = text(package, "name");
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} has no place in the order"));
        for dependency in dependencies(package) {
            let on = text(dependency, "name");
            if on.starts_with("rserpool-") {
                assert!(may.contains(&on), "{name} may not depend on {on}");
                let dev = text(dependency, "kind") == "dev";
                assert!(
                    dev || !DEV_ONLY.contains(&(name, on)),
                    "{name} may use {on} in tests only"
                );
            }
        }
    }
}

#[test]
fn every_dependency_has_its_reason_written_down() {
    let reasons = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    for package in ours(&metadata()) {
        for dependency in dependencies(package) {
            let name = text(dependency, "name");
            let written = name.starts_with("rserpool-") || reasons.contains(&format!("| {name} |"));
            assert!(written, "{name} has no line in docs/dependencies.md");
        }
    }
}

#[test]
fn the_whole_tree_is_licensed_as_ours_can_use() {
    for package in packages(&metadata()) {
        let (name, expression) = (text(package, "name"), text(package, "license"));
        // "OR" (or the old slash) offers a choice; every part of an "AND" must do.
        let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
        let fits = plain.split(" AND ").all(|part| {
            part.split(" OR ").any(|one| {
                LICENCES.contains(&one.split(" WITH ").next().unwrap_or_default().trim())
            })
        });
        assert!(fits, "{name} is licensed {expression:?}");
    }
}

#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    let pure = ["rserpool-engine", "rserpool-codec", "rserpool-proto"];
    let may: BTreeSet<&str> = ["smallvec"].into();
    for package in ours(&metadata()) {
        if !pure.contains(&text(package, "name")) {
            continue;
        }
        for dependency in dependencies(package) {
            let name = text(dependency, "name");
            let fine = text(dependency, "kind") == "dev"
                || name.starts_with("rserpool-")
                || may.contains(name);
            assert!(fine, "{} may not depend on {name}", text(package, "name"));
        }
    }
}

#[test]
fn only_the_host_names_its_runtime() {
    for (path, source) in sources() {
        let host = path.starts_with("registrar/src/rt/") || path.starts_with("perf/");
        for (number, line) in code(&source) {
            let epoll = path.starts_with("registrar/") && line.contains("event::epoll");
            let named = epoll || line.contains("glommio::") || line.contains("io_uring::");
            assert!(host || !named || path == THIS, "{path}:{number} names a runtime");
        }
    }
}

/// glommio 0.9 loses, cuts or hangs what goes through its sockets, channels and
/// helper threads: `docs/design/registrar-host.md` says how.
#[test]
fn the_host_uses_only_the_parts_of_its_runtime_that_are_sound() {
    let sound = ["BufferedFile", "ExecutorJoinHandle", "GlommioError", "LocalExecutorBuilder"]
        .into_iter()
        .chain(["Placement", "executor", "io", "spawn_local", "timer"]);
    let sound: Vec<&str> = sound.collect();
    let more = ["spawn_blocking", "Latency::", "create_task_queue", "Placement::Fixed"];
    for (path, source) in sources() {
        if !path.starts_with("registrar/src/rt/") {
            continue;
        }
        for (number, line) in code(&source) {
            for name in more {
                assert!(!line.contains(name), "{path}:{number} uses {name}");
            }
            let Some((_, names)) = line.split_once("glommio::") else { continue };
            let names = names.split(|c: char| !c.is_alphanumeric() && c != '_');
            // Of an expression, its path only.
            let import = line.trim_start().starts_with("use ");
            let path_length = if import { usize::MAX } else { 1 };
            for name in names.filter(|name| !name.is_empty()).take(path_length) {
                assert!(sound.contains(&name), "{path}:{number} uses {name} of glommio");
            }
        }
    }
}

#[test]
fn unsafe_code_is_only_where_it_is_listed() {
    let listed = std::fs::read_to_string(root().join("docs/unsafe.md")).unwrap();
    let forms = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    for (path, source) in sources() {
        for (number, line) in code(&source) {
            let used = forms.iter().any(|form| line.contains(form));
            let fine = !used || path == THIS || listed.contains(&format!("`{path}`"));
            assert!(fine, "{path}:{number} has unsafe code that docs/unsafe.md does not list");
        }
    }
}

#[test]
fn a_file_stays_small_enough_to_read() {
    for (path, source) in sources() {
        let lines = source.lines().count();
        assert!(lines <= 800, "{path} has {lines} lines: split it");
    }
}
