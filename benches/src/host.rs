//! What a report says about the machine and the build.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine, the build and the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// Model of the processor.
    pub processor: String,
    /// Number of processors.
    pub processors: usize,
    /// Sizes of the caches of one processor.
    pub caches: String,
    /// Size of the memory.
    pub memory: String,
    /// Kernel release.
    pub kernel: String,
    /// Setting of transparent huge pages.
    pub huge_pages: String,
    /// Frequency governor, if there is one.
    pub governor: String,
    /// Load average when the report began.
    pub load: String,
    /// Compiler.
    pub compiler: String,
    /// Commit, with a mark if files differ from it.
    pub commit: String,
    /// Day, UTC.
    pub date: String,
}

impl Host {
    /// Looks around.
    #[must_use]
    pub fn here() -> Self {
        let unknown = || "unknown".to_owned();
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
        let colon = |path: &str, name: &str| {
            let text = read(path)?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let commit = run("git", &["rev-parse", "--short=12", "HEAD"]).map(|commit| {
            let clean = run("git", &["status", "--porcelain", "--untracked-files=no"])
                .is_some_and(|changes| changes.is_empty());
            if clean { commit } else { format!("{commit} with local changes") }
        });
        Self {
            processor: colon("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            caches: caches().unwrap_or_else(unknown),
            memory: colon("/proc/meminfo", "MemTotal").unwrap_or_else(unknown),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_else(unknown),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .unwrap_or_else(|| "none".to_owned()),
            load: read("/proc/loadavg").unwrap_or_else(unknown),
            compiler: run("rustc", &["--version"]).unwrap_or_else(unknown),
            commit: commit.unwrap_or_else(unknown),
            date: run("date", &["--utc", "+%Y-%m-%d"]).unwrap_or_else(unknown),
        }
    }

    /// One Markdown list.
    #[must_use]
    pub fn markdown(&self) -> String {
        let lines = [
            ("date", &self.date),
            ("commit", &self.commit),
            ("compiler", &self.compiler),
            ("processor", &format!("{} x {}", self.processors, self.processor)),
            ("caches", &self.caches),
            ("memory", &self.memory),
            ("kernel", &self.kernel),
            ("transparent huge pages", &self.huge_pages),
            ("frequency governor", &self.governor),
            ("load average at the start", &self.load),
        ];
        lines.iter().map(|(name, value)| format!("- {name}: {value}\n")).collect()
    }
}

fn caches() -> Option<String> {
    let mut caches = Vec::new();
    for index in 0..8 {
        let directory = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let read = |name| fs::read_to_string(format!("{directory}/{name}")).ok();
        let Some((level, kind, size)) =
            read("level").and_then(|level| Some((level, read("type")?, read("size")?)))
        else {
            break;
        };
        caches.push(format!("L{} {} {}", level.trim(), kind.trim().to_lowercase(), size.trim()));
    }
    (!caches.is_empty()).then(|| caches.join(", "))
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
