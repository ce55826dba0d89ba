//! Whether this host can run the shards. glommio panics where io_uring is
//! refused and then cannot be started in the process again, so this comes
//! first.

use std::io;
use std::os::fd::AsFd;

use io_uring::{IoUring, Probe, opcode};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit};

use super::ring::Ring;
use crate::StartError;

/// The locked memory below which glommio refuses to start, in bytes.
const MEMORY_LOCK_MIN: u64 = 512 << 10;

/// The operations glommio 0.9 wants; it ends the process where one is missing.
const OPERATIONS: [u8; 23] = [
    opcode::Nop::CODE,
    opcode::Readv::CODE,
    opcode::Writev::CODE,
    opcode::Fsync::CODE,
    opcode::ReadFixed::CODE,
    opcode::WriteFixed::CODE,
    opcode::PollAdd::CODE,
    opcode::PollRemove::CODE,
    opcode::SendMsg::CODE,
    opcode::RecvMsg::CODE,
    opcode::Timeout::CODE,
    opcode::TimeoutRemove::CODE,
    opcode::Accept::CODE,
    opcode::LinkTimeout::CODE,
    opcode::Connect::CODE,
    opcode::Fallocate::CODE,
    opcode::OpenAt::CODE,
    opcode::Close::CODE,
    opcode::Statx::CODE,
    opcode::Read::CODE,
    opcode::Write::CODE,
    opcode::Send::CODE,
    opcode::Recv::CODE,
];

/// Says what is missing on this host for glommio, or for the rings of the
/// shards.
pub(crate) fn probe() -> Result<(), StartError> {
    let limit = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
    enough_memory_lock(limit)?;
    let ring = IoUring::new(4).map_err(StartError::IoUring)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(StartError::IoUring)?;
    let missing: Vec<u8> =
        OPERATIONS.into_iter().filter(|&code| !probe.is_supported(code)).collect();
    if !missing.is_empty() {
        return Err(StartError::IoUringTooOld(missing));
    }
    let event = eventfd(0, EventfdFlags::CLOEXEC).map_err(io::Error::from);
    event.and_then(|event| Ring::new(event.as_fd())).map(drop).map_err(StartError::IoUring)
}

const fn enough_memory_lock(limit: u64) -> Result<(), StartError> {
    if limit < MEMORY_LOCK_MIN {
        return Err(StartError::MemoryLock { limit, needed: MEMORY_LOCK_MIN });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_lock_limits_of_old_containers_are_refused() {
        assert!(enough_memory_lock(64 << 10).is_err());
        assert!(enough_memory_lock(512 << 10).is_ok());
        assert!(enough_memory_lock(u64::MAX).is_ok());
    }
}
