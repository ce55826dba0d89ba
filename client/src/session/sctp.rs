//! What carries sessions over SCTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rserpool_sctp::{Tuning, kernel};
use tokio::sync::Mutex;

use super::Config;
use crate::registrar_url::SCTP_UDP_PORT;
use crate::sctp::{Endpoint, Role, Stack};

/// The longest message of an association.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How long a message goes unacknowledged before the port of the element is
/// asked for: long for an answer on the same host or site, short for a user.
const PROBE_AFTER: Duration = Duration::from_millis(20);
/// Silence that can be told from a delayed acknowledgement, and silence that is
/// still worth counting.
const SILENCE_MIN: Duration = Duration::from_millis(600);
const SILENCE_MAX: Duration = Duration::from_secs(3600);
const HEARTBEAT_MIN: Duration = Duration::from_millis(50);

/// What implements SCTP. A pool element registers an SCTP port and addresses,
/// whichever it is; that packets are in UDP, and at which port, is for both
/// sides to know (RFC 6951, 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SctpCarrier {
    /// The kernel where it has SCTP, else SCTP over UDP at port 9899.
    #[default]
    Any,
    /// The kernel.
    Kernel,
    /// SCTP over UDP, in user space.
    Udp {
        /// The UDP port of the pool elements: where one listens, and where pool
        /// users reach it. One process of a host can have it.
        port: u16,
    },
}

impl SctpCarrier {
    pub(super) fn stack(self) -> Stack {
        match self {
            Self::Any if kernel::is_available() => Stack::Kernel,
            Self::Any => Stack::Udp(SCTP_UDP_PORT),
            Self::Kernel => Stack::Kernel,
            Self::Udp { port } => Stack::Udp(port),
        }
    }
}

impl Config {
    /// Timers that notice silence in time: whoever is sent to and acknowledges
    /// nothing is given up after half of it, at the earliest; whoever is not
    /// sent to, and answers no heartbeat, after all of it, at the latest.
    pub(super) fn tuning(&self) -> Tuning {
        let usual = Tuning::default();
        let silence = self.silence_max.clamp(SILENCE_MIN, SILENCE_MAX);
        let rto_max = (silence / 8).clamp(usual.rto_min, usual.rto_max);
        let (mut timeouts, mut rto, mut sum) = (0_u16, usual.rto_min, Duration::ZERO);
        while sum < silence / 2 {
            (timeouts, sum) = (timeouts + 1, sum + rto);
            rto = (rto * 2).min(rto_max);
        }
        let retransmissions_max = timeouts.saturating_sub(1).max(1);
        let rest = silence.saturating_sub(sum) / u32::from(retransmissions_max + 1);
        let message_bytes_max = self.message_bytes_max.clamp(1, MESSAGE_BYTES_MAX);
        Tuning {
            rto_initial: usual.rto_initial.min(rto_max),
            rto_max,
            heartbeat_interval: rest.clamp(HEARTBEAT_MIN, usual.heartbeat_interval),
            probe_after: Some(PROBE_AFTER),
            retransmissions_max,
            path_retransmissions_max: retransmissions_max,
            message_bytes_max,
            receive_window: usual.receive_window.max(message_bytes_max),
            ..usual
        }
    }
}

/// The endpoints that the sessions of a pool user share. Sessions over the
/// kernel's SCTP have one each: it holds off a peer only for all associations of
/// a socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct SctpEndpoints(Arc<Mutex<Vec<(Stack, Tuning, Endpoint)>>>);

impl SctpEndpoints {
    pub(super) async fn of(&self, config: &Config) -> io::Result<Endpoint> {
        let (stack, tuning) = (config.sctp.stack(), config.tuning());
        if stack == Stack::Kernel {
            return Ok(Endpoint::open(stack, Role::Connect, tuning).await?.0);
        }
        let mut shared = self.0.lock().await;
        shared.retain(|(.., endpoint)| !endpoint.is_closed());
        let found = shared.iter().find(|(its, tuned, _)| *its == stack && *tuned == tuning);
        if let Some((.., endpoint)) = found {
            return Ok(endpoint.clone());
        }
        let (endpoint, ..) = Endpoint::open(stack, Role::Connect, tuning.clone()).await?;
        shared.push((stack, tuning, endpoint.clone()));
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timers_of_any_silence_work_together() {
        for millis in [0, 1, 100, 600, 1000, 5000, 60_000, 3_600_000, u64::MAX] {
            let silence_max = Duration::from_millis(millis);
            let config = Config { silence_max, ..Config::default() };
            assert_eq!(config.tuning().check(), Ok(()), "{millis} ms");
        }
        let tuning = Config::default().tuning();
        let beats = u32::from(tuning.retransmissions_max) + 1;
        // Five time-outs of 0.3, 0.6, and three times 0.625 s.
        assert_eq!((beats, tuning.rto_max), (5, Duration::from_millis(625)));
        assert_eq!(tuning.heartbeat_interval * beats, Duration::from_millis(2225));
        for message_bytes_max in [0, 1, 100_000, usize::MAX] {
            let config = Config { message_bytes_max, ..Config::default() };
            assert_eq!(config.tuning().check(), Ok(()), "{message_bytes_max} bytes");
        }
    }
}
