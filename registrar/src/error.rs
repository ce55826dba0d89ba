//! Why a registrar did not start, and what to do about it.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

/// Why a registrar did not start. The text says what is missing and what the
/// operator can do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The options contradict each other.
    Options(String),
    /// The kernel's SCTP was asked for, and there is none.
    Sctp(io::Error),
    /// The kernel, or what confines the process, refuses io_uring.
    IoUring(io::Error),
    /// The kernel's io_uring lacks operations (by their opcodes).
    IoUringTooOld(Vec<u8>),
    /// Too little memory may be locked.
    MemoryLock {
        /// The soft limit, in bytes.
        limit: u64,
        /// The least that will do, in bytes.
        needed: u64,
    },
    /// Too few files may be open to serve a connection.
    OpenFiles {
        /// The hard limit.
        limit: u64,
        /// The least that will do.
        needed: u64,
    },
    /// An address could not be bound.
    Bind {
        /// What it was to be bound for, as in the URL of an address.
        scheme: &'static str,
        /// The address. That of SCTP over UDP is the UDP one.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system gave no random bytes for seeds.
    Random(io::Error),
    /// The process's limits or CPUs could not be read.
    Host(io::Error),
    /// A shard's executor did not start.
    Shard {
        /// Which shard.
        shard: u16,
        /// What it said.
        message: String,
    },
    /// A shard did not say in time that it is ready.
    Silent {
        /// Which shard.
        shard: u16,
        /// How long it was waited for.
        waited: Duration,
    },
}

const IO_URING_ADVICE: &str = "\
  - sysctl kernel.io_uring_disabled: 0 allows it to all, 1 to the group of
    kernel.io_uring_group, 2 to nobody; set it to 0, or to 1 with this group
  - a container: its seccomp profile must allow io_uring_setup, io_uring_enter
    and io_uring_register (Docker, Podman: --security-opt seccomp=PROFILE.json;
    Kubernetes: seccompProfile of type Localhost)
  - a systemd unit: SystemCallFilter= must not exclude @io-uring
  - a kernel before 6.1, or one built without CONFIG_IO_URING, will not do";

impl StartError {
    /// Why io_uring is not to be had, in a few words.
    pub(crate) fn in_short(&self) -> String {
        match self {
            Self::IoUring(error) => format!("io_uring_setup: {error}"),
            Self::IoUringTooOld(_) => "this kernel's io_uring is older than 6.1".to_owned(),
            Self::MemoryLock { limit, needed } => format!(
                "{} KiB of memory may be locked, io_uring needs {} KiB",
                limit / 1024,
                needed / 1024
            ),
            Self::Options(_)
            | Self::Sctp(_)
            | Self::OpenFiles { .. }
            | Self::Bind { .. }
            | Self::Random(_)
            | Self::Host(_)
            | Self::Shard { .. }
            | Self::Silent { .. } => self.to_string(),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(contradiction) => f.write_str(contradiction),
            Self::Sctp(error) => write!(
                f,
                "this kernel has no SCTP to give: socket says {error}. What to do:\n  \
                 - load it: modprobe sctp (as root, on the host of a container)\n  \
                 - or take SCTP over UDP, which needs none: --asap sctp-udp://[::]:9899"
            ),
            Self::IoUring(error) => write!(
                f,
                "io_uring is not to be had here: io_uring_setup says {error}. \
                 Without --host io_uring, epoll serves instead. What to do:\n{IO_URING_ADVICE}"
            ),
            Self::IoUringTooOld(opcodes) => write!(
                f,
                "this kernel's io_uring lacks the operations {opcodes:?}; \
                 kernel 6.1 or newer has them"
            ),
            Self::MemoryLock { limit, needed } => write!(
                f,
                "only {} KiB of memory may be locked, io_uring needs {} KiB. What to do:\n  \
                 - a shell: ulimit -l {} before the start, or memlock in \
                 /etc/security/limits.conf\n  \
                 - a systemd unit: LimitMEMLOCK=8M\n  \
                 - Docker: --ulimit memlock=8388608:8388608",
                limit / 1024,
                needed / 1024,
                needed / 1024
            ),
            Self::OpenFiles { limit, needed } => write!(
                f,
                "only {limit} files may be open, at least {needed} are needed. \
                 Raise the hard limit: ulimit -Hn, LimitNOFILE= of a systemd unit"
            ),
            Self::Bind { scheme, address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                let (list, option) = match *scheme {
                    "sctp" => ("ss -San", "--asap"),
                    "sctp-udp" => ("ss -lunp", "--asap"),
                    "http" => ("ss -ltnp", "--admin"),
                    _ => ("ss -ltnp", "--asap"),
                };
                write!(
                    f,
                    "{scheme}://{address} is in use: another registrar or server listens there \
                     ({list} 'sport = :{}' names it); stop it or choose another \
                     address with {option}",
                    address.port()
                )
            }
            Self::Bind { scheme, address, source }
                if source.kind() == io::ErrorKind::AddrNotAvailable =>
            {
                write!(f, "{scheme}://{address} is no address of this host ({source})")
            }
            Self::Bind { scheme, address, source } => {
                write!(f, "cannot bind {scheme}://{address}: {source}")
            }
            Self::Random(error) => write!(f, "no random bytes for the seeds: {error}"),
            Self::Host(error) => write!(f, "cannot read this process's limits: {error}"),
            Self::Shard { shard, message } => write!(f, "shard {shard} did not start: {message}"),
            Self::Silent { shard, waited } => {
                write!(f, "shard {shard} was not ready after {} s", waited.as_secs())
            }
        }
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::IoUring(error) | Self::Sctp(error) | Self::Random(error) | Self::Host(error) => {
                Some(error)
            }
            Self::Bind { source, .. } => Some(source),
            Self::Options(_)
            | Self::IoUringTooOld(_)
            | Self::MemoryLock { .. }
            | Self::OpenFiles { .. }
            | Self::Shard { .. }
            | Self::Silent { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let refused = StartError::IoUring(io::Error::from_raw_os_error(1)).to_string();
        for part in ["kernel.io_uring_disabled", "seccomp", "io_uring_setup"] {
            assert!(refused.contains(part), "{refused}");
        }
        let locked = StartError::MemoryLock { limit: 65536, needed: 512 << 10 }.to_string();
        for part in ["64 KiB", "512 KiB", "ulimit -l 512", "LimitMEMLOCK"] {
            assert!(locked.contains(part), "{locked}");
        }
        let address = "[::]:3863".parse().unwrap();
        let source = io::Error::from(io::ErrorKind::AddrInUse);
        let bound = StartError::Bind { scheme: "tcp", address, source }.to_string();
        assert!(bound.contains("tcp://[::]:3863 is in use"), "{bound}");
    }
}
