//! What an endpoint is told when it is made.

use std::net::IpAddr;
use std::time::Duration;

use crate::tuning::{ConfigError, Tuning};

/// Configuration of an [`Endpoint`](crate::endpoint::Endpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// SCTP ports on which associations are accepted.
    pub listen: Vec<u16>,
    /// Our addresses to tell peers in INIT and INIT ACK, beside the one in the
    /// packet. Empty: the peer knows the one it talks to.
    pub addresses: Vec<IpAddr>,
    /// Which verification tags are ours: `tag % count == index`. It lets a
    /// packet filter give each packet to the shard of its association.
    pub shard: Shard,
    /// Longest SCTP packet sent, in bytes without the IP and UDP headers. 1452
    /// fits into an Ethernet frame over IPv6.
    pub packet_bytes_max: usize,
    /// Where a peer receives encapsulated packets until it is heard from
    /// (RFC 6951 section 5.1).
    pub remote_udp_port: u16,
    /// Timers and bounds of each association.
    pub tuning: Tuning,
    /// Associations a source may have accepted at once: an IPv4 address, or
    /// the upper 64 bits of an IPv6 address.
    pub associations_per_source_max: u32,
    /// INITs answered for a source.
    pub init_rate: Rate,
    /// Packets of no association that are answered (with ABORT, SHUTDOWN
    /// COMPLETE or ERROR) for a source.
    pub abort_rate: Rate,
    /// How long a State Cookie is good, at most; at least half as long.
    pub cookie_life: Duration,
    /// Bytes of all associations together that wait here to become messages.
    pub receive_memory_max: usize,
    /// How long an unfinished message may make no progress before its sender is
    /// aborted. A sender that keeps to its timers may be silent for some
    /// multiples of `rto_max`.
    pub message_timeout: Duration,
    /// Packets waiting to be sent, before further ones are dropped.
    pub transmit_queue_max: usize,
    /// What becomes of an INIT that is shorter than its answer.
    pub short_init: ShortInit,
    /// Packets that are longer than a network carries and have no checksum
    /// come from a peer on this host or an adjacent virtual one, whose kernel
    /// left both to the network card. `true` takes them.
    pub accept_unsegmented: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            addresses: Vec::new(),
            shard: Shard::default(),
            packet_bytes_max: 1452,
            remote_udp_port: 9899,
            tuning: Tuning::default(),
            associations_per_source_max: 16_384,
            init_rate: Rate { per_second: 500, burst: 2000 },
            abort_rate: Rate { per_second: 20, burst: 100 },
            cookie_life: Duration::from_secs(60),
            receive_memory_max: 256 << 20,
            message_timeout: Duration::from_secs(120),
            transmit_queue_max: 16_384,
            short_init: ShortInit::Ignore,
            accept_unsegmented: true,
        }
    }
}

impl Config {
    /// Whether the values make sense together.
    ///
    /// # Errors
    /// The first field that does not, and why.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.tuning.check()?;
        let rules = [
            (self.shard.count > 0, "shard", "must be one of at least one shard"),
            (self.shard.index < self.shard.count, "shard", "must be below the number of shards"),
            (self.shard.count <= 1 << 16, "shard", "must be one of at most 65536 shards"),
            (self.packet_bytes_max >= 508, "packet_bytes_max", "must be at least 508"),
            (self.packet_bytes_max <= 65_000, "packet_bytes_max", "must be at most 65000"),
            (self.cookie_life >= Duration::from_secs(2), "cookie_life", "must be at least 2 s"),
            (
                self.cookie_life <= Duration::from_secs(3600),
                "cookie_life",
                "must be at most an hour",
            ),
            (
                self.message_timeout >= Duration::from_secs(1),
                "message_timeout",
                "must be at least a second",
            ),
            (
                self.receive_memory_max >= self.tuning.receive_window,
                "receive_memory_max",
                "must hold one receive window",
            ),
            (self.transmit_queue_max >= 64, "transmit_queue_max", "must be at least 64"),
            (self.listen.iter().all(|port| *port != 0), "listen", "must not have port 0"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, why)) => Err(ConfigError { field, why }),
            None => Ok(()),
        }
    }
}

/// One shard of several that share a UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// The verification tag of this shard that is nearest to a random number,
    /// never 0.
    pub(super) fn tag(self, random: u32) -> u32 {
        let tag = (random - random % self.count).checked_add(self.index);
        match tag.unwrap_or(self.index) {
            0 => self.count,
            tag => tag,
        }
    }
}

/// How often something may happen: so many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// After a while without any.
    pub burst: u32,
}

/// What becomes of an INIT that is shorter than its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortInit {
    /// It is not answered: nobody can make this endpoint send more bytes than
    /// he sends himself. The shortest INIT ACK has 48 bytes, as the INIT of a
    /// Linux kernel has; only stacks that offer no extension at all send less.
    Ignore,
    /// It is answered with up to 16 bytes more than it has, so often as
    /// [`Config::init_rate`] allows.
    Answer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_is_consistent() {
        assert_eq!(Config::default().check(), Ok(()));
        let config = Config { shard: Shard { index: 3, count: 3 }, ..Config::default() };
        assert_eq!(config.check().unwrap_err().field, "shard");
        let config = Config { packet_bytes_max: 100, ..Config::default() };
        assert_eq!(config.check().unwrap_err().field, "packet_bytes_max");
    }

    #[test]
    fn every_random_number_gives_a_tag_of_the_shard() {
        for count in [1, 2, 3, 7, 64, 65_536] {
            for index in [0, 1, count / 2, count - 1] {
                let index = index.min(count - 1);
                let shard = Shard { index, count };
                for random in [0, 1, 5, 1 << 31, u32::MAX - 1, u32::MAX] {
                    let tag = shard.tag(random);
                    assert_ne!(tag, 0);
                    assert_eq!(tag % count, index, "{random} of {shard:?}");
                }
            }
        }
    }
}
