//! The parameters of associations that both implementations have
//! (RFC 9260 section 16).

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Timers, retries and bounds of each association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Retransmission time-out before the round trip is known (`RTO.Initial`).
    pub rto_initial: Duration,
    /// `RTO.Min`. The RFC says one second, which suits the Internet of 2000;
    /// it has to be above the delay a peer puts on acknowledgements (200 ms).
    pub rto_min: Duration,
    /// `RTO.Max`.
    pub rto_max: Duration,
    /// How long a path is idle before it is probed (`HB.interval`).
    pub heartbeat_interval: Duration,
    /// How long data goes unacknowledged before a HEARTBEAT asks whether the
    /// peer's UDP port is still open, once. Its answer means nothing; that the
    /// port is closed is told by ICMP. `None`: the retransmission asks. Only
    /// SCTP over UDP has it.
    pub probe_after: Option<Duration>,
    /// Unanswered retransmissions and heartbeats in a row until the peer is
    /// given up (`Association.Max.Retrans`).
    pub retransmissions_max: u16,
    /// The same of one path, until another one is used (`Path.Max.Retrans`).
    pub path_retransmissions_max: u16,
    /// How often an INIT or a cookie is sent again (`Max.Init.Retransmits`).
    pub init_retransmissions_max: u16,
    /// Streams offered in each direction.
    pub streams: u16,
    /// Longest message taken from the application and from a peer, in bytes.
    pub message_bytes_max: usize,
    /// Bytes of an association that are taken and not yet acknowledged, until
    /// [`SendError::Full`](crate::SendError::Full). One message always fits.
    pub send_buffer: usize,
    /// Bytes a peer may have under way or waiting here (`a_rwnd`).
    pub receive_window: usize,
    /// Associations at once, those being set up included.
    pub associations_max: usize,
    /// How long a peer may take to close an association.
    pub shutdown_timeout: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(300),
            rto_max: Duration::from_secs(20),
            heartbeat_interval: Duration::from_secs(30),
            probe_after: None,
            retransmissions_max: 10,
            path_retransmissions_max: 5,
            init_retransmissions_max: 8,
            streams: 16,
            message_bytes_max: 65_536,
            send_buffer: 256 * 1024,
            receive_window: 128 * 1024,
            associations_max: 65_536,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl Tuning {
    /// Whether the values make sense together.
    ///
    /// # Errors
    /// The first field that does not, and why.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive = |field, value: Duration| {
            if value < Duration::from_millis(1) {
                return Err(ConfigError { field, why: "must be at least a millisecond" });
            }
            if value > Duration::from_secs(86_400) {
                return Err(ConfigError { field, why: "must be at most a day" });
            }
            Ok(())
        };
        positive("rto_initial", self.rto_initial)?;
        positive("rto_min", self.rto_min)?;
        positive("rto_max", self.rto_max)?;
        positive("heartbeat_interval", self.heartbeat_interval)?;
        positive("shutdown_timeout", self.shutdown_timeout)?;
        let rules = [
            (self.rto_min <= self.rto_max, "rto_min", "must not be above rto_max"),
            (
                (self.rto_min..=self.rto_max).contains(&self.rto_initial),
                "rto_initial",
                "must lie between rto_min and rto_max",
            ),
            (self.retransmissions_max > 0, "retransmissions_max", "must not be zero"),
            (self.streams > 0, "streams", "must not be zero"),
            (self.message_bytes_max > 0, "message_bytes_max", "must not be zero"),
            (
                self.message_bytes_max <= 1 << 20,
                "message_bytes_max",
                "must not be above a mebibyte",
            ),
            (
                self.receive_window >= self.message_bytes_max,
                "receive_window",
                "must hold at least one message",
            ),
            (self.receive_window >= 1500, "receive_window", "must be at least 1500 bytes"),
            (self.receive_window <= 1 << 28, "receive_window", "must not be above 256 MiB"),
            (self.associations_max > 0, "associations_max", "must not be zero"),
            (
                u32::try_from(self.associations_max).is_ok(),
                "associations_max",
                "must fit in 32 bits",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, why)) => Err(ConfigError { field, why }),
            None => Ok(()),
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field that is wrong.
    pub field: &'static str,
    /// What it has to be.
    pub why: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.why)
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_tuning_is_consistent() {
        assert_eq!(Tuning::default().check(), Ok(()));
    }

    #[test]
    fn a_value_that_cannot_work_is_named() {
        let wrong = |change: fn(&mut Tuning)| {
            let mut tuning = Tuning::default();
            change(&mut tuning);
            tuning.check().unwrap_err().field
        };
        assert_eq!(wrong(|tuning| tuning.rto_min = Duration::from_secs(90)), "rto_min");
        assert_eq!(wrong(|tuning| tuning.rto_initial = Duration::from_secs(90)), "rto_initial");
        assert_eq!(
            wrong(|tuning| tuning.heartbeat_interval = Duration::ZERO),
            "heartbeat_interval"
        );
        assert_eq!(wrong(|tuning| tuning.streams = 0), "streams");
        assert_eq!(wrong(|tuning| tuning.receive_window = 1), "receive_window");
        assert_eq!(wrong(|tuning| tuning.message_bytes_max = 1 << 21), "message_bytes_max");
    }
}
