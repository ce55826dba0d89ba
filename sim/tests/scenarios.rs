//! The scenario files, each as a test.

use std::path::Path;

use rserpool_sim::scenario::run_scenario;

#[test]
fn scenarios_end_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut failures = Vec::new();
    let mut count = 0;
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        count += 1;
        if let Err(failure) = run_scenario(&text) {
            failures.push(format!("{}:\n{failure}", entry.path().display()));
        }
    }
    assert!(count >= 20, "the scenarios are there");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
