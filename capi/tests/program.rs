//! Programs in C, compiled and run. `RSERPOOL_RUN_UNDER` has the command to run
//! them under, such as valgrind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rserpool_registrar::{Options, Running, start};

fn registrar() -> Running {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    start(&Options { asap, shards: Some(1), ..Options::default() }).unwrap()
}

/// Compiles a program against the header and the shared library.
fn compile(source: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    assert!(library.join("librserpool.so").exists(), "no library in {}", library.display());
    let name = Path::new(source).file_stem().unwrap().to_str().unwrap();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g"])
        .arg(here.join(source))
        .arg("-I")
        .arg(here.join("include"))
        .arg("-L")
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args(["-lrserpool", "-o"])
        .arg(&program)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    program
}

fn run(program: &Path, registrar: &Running) -> Output {
    let under = std::env::var("RSERPOOL_RUN_UNDER").unwrap_or_default();
    let mut words = under.split_whitespace();
    let mut command = match words.next() {
        Some(word) => {
            let mut command = Command::new(word);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.arg(format!("tcp://{}", registrar.asap_tcp()[0])).output().unwrap()
}

#[test]
fn the_example_registers_finds_and_deregisters() {
    let registrar = registrar();
    let Output { status, stdout, stderr } = run(&compile("examples/basic.c"), &registrar);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let expected = "registered\nours 127.0.0.1 7\nthen: there is no pool of this handle\n";
    assert_eq!(String::from_utf8_lossy(&stdout), expected);
    registrar.stop().unwrap();
}

#[test]
fn wrong_arguments_are_refused() {
    let registrar = registrar();
    let Output { status, stdout, stderr } = run(&compile("tests/misuse.c"), &registrar);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    assert_eq!(String::from_utf8_lossy(&stdout), "refused\n");
    registrar.stop().unwrap();
}

#[test]
fn the_header_is_good_for_cpp() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiled = Command::new("cc")
        .args(["-x", "c++", "-fsyntax-only", "-Wall", "-Werror"])
        .arg(here.join("include/rserpool.h"))
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}
