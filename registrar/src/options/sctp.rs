//! The timers and retries of SCTP associations, of the kernel's and in user
//! space alike.

use core::time::Duration;

use rserpool_sctp::{ConfigError, Tuning};

use super::{count, milliseconds};

/// Timers and retries of SCTP associations (RFC 9260, 16).
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct SctpOptions {
    /// Milliseconds an idle path of an SCTP association is left alone before a
    /// heartbeat (HB.interval)
    #[arg(long = "sctp-heartbeat-interval", value_name = "MS", default_value = "15000",
          value_parser = milliseconds::<100, 3_600_000>)]
    pub heartbeat_interval: Duration,

    /// Milliseconds until SCTP sends again before it knows the round trip
    /// (RTO.Initial)
    #[arg(long = "sctp-rto-initial", value_name = "MS", default_value = "1000",
          value_parser = milliseconds::<10, 60_000>)]
    pub rto_initial: Duration,

    /// The shortest such time (RTO.Min); above the 200 ms that peers may delay
    /// an acknowledgement
    #[arg(long = "sctp-rto-min", value_name = "MS", default_value = "300",
          value_parser = milliseconds::<10, 60_000>)]
    pub rto_min: Duration,

    /// The longest such time (RTO.Max)
    #[arg(long = "sctp-rto-max", value_name = "MS", default_value = "5000",
          value_parser = milliseconds::<10, 600_000>)]
    pub rto_max: Duration,

    /// Unanswered retransmissions and heartbeats in a row until an SCTP peer is
    /// given up (Association.Max.Retrans)
    #[arg(long = "sctp-max-retransmissions", value_name = "N", default_value_t = 8,
          value_parser = count::<u16, 1, 100>)]
    pub max_retransmissions: u16,

    /// The same of one path of a multi-homed peer, until another is used
    /// (Path.Max.Retrans)
    #[arg(long = "sctp-path-max-retransmissions", value_name = "N", default_value_t = 3,
          value_parser = count::<u16, 0, 100>)]
    pub path_max_retransmissions: u16,
}

impl Default for SctpOptions {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(15),
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(300),
            rto_max: Duration::from_secs(5),
            max_retransmissions: 8,
            path_max_retransmissions: 3,
        }
    }
}

impl SctpOptions {
    /// What every association is given; so many of them on one shard.
    pub(crate) fn tuning(&self, associations_max: u32) -> Tuning {
        Tuning {
            rto_initial: self.rto_initial,
            rto_min: self.rto_min,
            rto_max: self.rto_max,
            heartbeat_interval: self.heartbeat_interval,
            retransmissions_max: self.max_retransmissions,
            path_retransmissions_max: self.path_max_retransmissions,
            associations_max: usize::try_from(associations_max.max(1)).unwrap_or(usize::MAX),
            ..Tuning::default()
        }
    }

    /// Whether the values make sense together.
    pub(super) fn validate(&self) -> Result<(), String> {
        self.tuning(1).check().map_err(|ConfigError { field, why }| {
            let other = match field {
                "rto_min" => " (--sctp-rto-max)",
                "rto_initial" => " (--sctp-rto-min, --sctp-rto-max)",
                _ => "",
            };
            let option = field.replace('_', "-");
            format!("--sctp-{option} {}{other}", why.replace("rto_", "--sctp-rto-"))
        })
    }
}
