//! What a process on this host uses, and what the host is.

use std::fs;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time of all its threads, in the kernel and out of it.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
}

/// What the process with this identifier uses; `None` if there is none.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let ticks = cpu(&stat, ticks_per_second)?;
    Some(Usage { cpu: scheduled(pid).unwrap_or(ticks), resident: resident(&status)? })
}

/// Processor time to the nanosecond, of the threads that there are: the first
/// field of `schedstat`. Ticks are counted by sampling on some kernels, which
/// misses a process that always sleeps when the sample is taken. Not every
/// kernel has it.
fn scheduled(pid: u32) -> Option<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // A thread that ended just now has nothing to read.
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        nanoseconds += text.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
    }
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

/// Fields 14 and 15 of `/proc/PID/stat`. Field 2, the program's name, may
/// have spaces and parentheses in it.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let used = ticks()? + ticks()?;
    let milliseconds = used * 1000 / ticks_per_second.max(1);
    Some(Duration::from_millis(milliseconds))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The processors this process may run on.
pub(crate) fn cores() -> u32 {
    let cores = available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

/// The name of the processor, as far as it has one.
pub(crate) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// The kernel and its version.
pub(crate) fn kernel() -> String {
    let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, version.trim())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_program_name() {
        let stat = "25638 (a ) b (c) R 25613 25613 4606 0 -1 4194304 96 0 0 0 150 75 0 0 20 0 1 0";
        assert_eq!(cpu(stat, 100), Some(Duration::from_millis(2250)));
        assert_eq!(cpu("25638 (cat) R 1", 100), None);
        assert_eq!(cpu("", 100), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        let status = "VmHWM:\t    2144 kB\nVmRSS:\t    2000 kB\nRssAnon:\t     144 kB\n";
        assert_eq!(resident(status), Some(2_048_000));
        assert_eq!(resident("Name:\tcat\n"), None);
    }

    #[test]
    fn processor_time_is_that_of_what_was_done() {
        // A process of its own: threads of other tests end in this one, and
        // take their time with them.
        let work = "n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done; echo done; read _";
        let mut child = Command::new("sh")
            .args(["-c", work])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut done = [0; 4];
        child.stdout.as_mut().unwrap().read_exact(&mut done).unwrap();
        let spent = usage(child.id()).unwrap().cpu;
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(spent > Duration::from_millis(1), "{spent:?}");
    }

    #[test]
    fn this_process_uses_memory_and_a_process_that_is_not_there_nothing() {
        assert!(usage(std::process::id()).unwrap().resident > 0);
        assert_eq!(usage(u32::MAX), None);
        assert!(cores() > 0 && !processor().is_empty() && kernel().contains(' '));
    }
}
