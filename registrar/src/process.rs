//! What the system allows this process: open files and CPUs.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::StartError;

/// Files the process has open besides connections: the standard ones, the
/// embedder's, and what glommio leaks when a registrar stops.
const FILES_RESERVED: u64 = 64;
/// Files of a shard besides its connections: rings, event descriptors,
/// listeners, and those of two SCTP endpoints.
const FILES_PER_SHARD: u64 = 32;
/// Fewer connections than this are not worth a start.
const CONNECTIONS_MIN: u64 = 16;
/// Nothing is gained by counting further.
const CONNECTIONS_MAX: u64 = 1 << 24;

/// Raises the soft limit of open files to the hard one and returns it.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Allowed to everybody; where it is refused the soft limit stays and counts.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    current.unwrap_or(u64::MAX)
}

/// How many connections all shards together may hold: what was asked for, at
/// most what the limit of open files leaves.
pub(crate) fn connections_max(
    asked: Option<u32>,
    files: u64,
    shards: u16,
) -> Result<u32, StartError> {
    let reserved = FILES_RESERVED + FILES_PER_SHARD * u64::from(shards);
    let room = files.saturating_sub(reserved).min(CONNECTIONS_MAX);
    if room < CONNECTIONS_MIN {
        return Err(StartError::OpenFiles { limit: files, needed: reserved + CONNECTIONS_MIN });
    }
    let most = asked.map_or(room, u64::from).min(room);
    Ok(u32::try_from(most).unwrap_or(u32::MAX))
}

/// The CPUs this process may run on, in order.
pub(crate) fn cpus() -> Result<Vec<usize>, StartError> {
    let set = sched_getaffinity(None).map_err(|error| StartError::Host(error.into()))?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect();
    if cpus.is_empty() {
        return Err(StartError::Host(io::Error::other("no CPU is allowed")));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(connections_max(None, 1024, 2).unwrap(), 896);
        assert_eq!(connections_max(Some(100), 1024, 2).unwrap(), 100);
        assert_eq!(connections_max(Some(5000), 1024, 2).unwrap(), 896);
        assert_eq!(connections_max(None, u64::MAX, 2).unwrap(), 1 << 24);
        let error = connections_max(None, 100, 2).unwrap_err();
        assert!(matches!(error, StartError::OpenFiles { limit: 100, needed: 144 }), "{error}");
    }

    #[test]
    fn the_process_has_a_cpu_and_files() {
        assert!(!cpus().unwrap().is_empty());
        assert!(raise_open_files() > 0);
    }
}
