//! What the process holds in memory.

use std::fs;

/// Resident bytes of this process; 0 where the kernel does not say.
#[must_use]
pub fn resident() -> u64 {
    kilobytes("/proc/self/smaps_rollup", "Rss:") * 1024
}

/// The most bytes that were ever resident.
#[must_use]
pub fn peak() -> u64 {
    kilobytes("/proc/self/status", "VmHWM:") * 1024
}

fn kilobytes(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
