//! Ports that are in use at the start. The kernel closes what a ring holds a
//! moment after the process was killed, so that a registrar that is started
//! again at once may find its own ports taken.

use core::time::Duration;
use std::io::ErrorKind;
use std::thread;
use std::time::Instant;

use crate::StartError;

/// How long ports in use are tried again, all of one start together.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same of the kernel's SCTP: an association whose peer does not answer any
/// more holds its port for as long as the kernel tries to end it.
const SCTP_PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a start still waits for ports.
#[derive(Debug)]
pub(crate) struct Patience {
    since: Instant,
}

impl Patience {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// Binds, again and again while a port is in use and there is time left.
    /// Says so once in the log.
    ///
    /// # Errors
    ///
    /// What the last try said.
    pub(crate) fn bind<T>(
        &self,
        mut bind: impl FnMut() -> Result<T, StartError>,
    ) -> Result<T, StartError> {
        let mut told = false;
        loop {
            let error = match bind() {
                Err(error @ StartError::Bind { .. }) => error,
                other => return other,
            };
            let StartError::Bind { scheme, address, source } = &error else { return Err(error) };
            let limit = if *scheme == "sctp" { SCTP_PATIENCE } else { PATIENCE };
            let left = limit.saturating_sub(self.since.elapsed());
            if source.kind() != ErrorKind::AddrInUse || left.is_zero() {
                return Err(error);
            }
            if !told {
                told = true;
                log::warn!(
                    "{scheme}://{address} is in use; it is tried again for {:.1} s",
                    left.as_secs_f64()
                );
            }
            thread::sleep(PAUSE.min(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn failed(kind: ErrorKind) -> StartError {
        let address = ([127, 0, 0, 1], 1).into();
        StartError::Bind { scheme: "tcp", address, source: io::Error::from(kind) }
    }

    #[test]
    fn only_a_port_in_use_is_tried_again() {
        let patience = Patience::new();
        let mut tries = 0;
        let bound = patience.bind(|| {
            tries += 1;
            if tries < 3 { Err(failed(ErrorKind::AddrInUse)) } else { Ok(tries) }
        });
        assert_eq!(bound.unwrap(), 3);
        for error in [ErrorKind::AddrNotAvailable, ErrorKind::PermissionDenied] {
            let mut tries = 0;
            let refused = patience.bind(|| {
                tries += 1;
                Err::<(), _>(failed(error))
            });
            assert!(refused.is_err());
            assert_eq!(tries, 1);
        }
    }

    #[test]
    fn all_ports_of_a_start_share_its_patience() {
        let since = Instant::now().checked_sub(PATIENCE).unwrap();
        let patience = Patience { since };
        let mut tries = 0;
        let refused = patience.bind(|| {
            tries += 1;
            Err::<(), _>(failed(ErrorKind::AddrInUse))
        });
        assert!(refused.is_err());
        assert_eq!(tries, 1);
    }
}
