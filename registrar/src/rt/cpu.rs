//! Where a shard's thread runs.

use rserpool_engine::ShardId;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Keeps this thread on its CPU. Where that is refused it runs anywhere.
pub(super) fn pin(cpu: usize, shard: ShardId) {
    let mut set = CpuSet::new();
    set.set(cpu);
    if let Err(error) = sched_setaffinity(None, &set) {
        log::warn!("shard {}: cannot be kept on CPU {cpu}: {error}", shard.0);
    }
}
