//! Every limit and interval of a handlespace.

use core::time::Duration;

use crate::RegistrarId;

/// The limits of one handlespace (one shard). Memory is reserved as it is
/// needed, never beyond these.
#[derive(Clone, Debug)]
pub struct Config {
    /// The registrar this handlespace belongs to. Its own elements are kept
    /// alive by it; those of other homes only expire.
    pub registrar: RegistrarId,
    /// Seed of hashing and of the random policies. Peers choose pool handles:
    /// draw it from the operating system.
    pub seed: u64,
    /// Most pools.
    pub pools_max: u32,
    /// Most pool elements.
    pub elements_max: u32,
    /// Most pool elements in one pool.
    pub elements_per_pool_max: u32,
    /// Longest pool handle, in bytes.
    pub handle_bytes_max: u16,
    /// Longest record, in bytes.
    pub record_bytes_max: u16,
    /// How many of the elements of one selection are moved behind the others
    /// (rsplib's max increment); RFC 5356 says 1.
    pub max_increment: u32,
    /// The unreachability report that removes an element: this one.
    pub bad_reports_max: u8,
    /// Time from a registration or an acknowledgment to the next keep-alive,
    /// spread by up to a quarter in both directions. Zero: no keep-alives.
    pub keep_alive_interval: Duration,
    /// Time from a keep-alive to the removal of an element that stays silent.
    pub keep_alive_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            registrar: RegistrarId::new(1),
            seed: 0,
            pools_max: 1 << 20,
            elements_max: 1 << 24,
            elements_per_pool_max: 1 << 24,
            handle_bytes_max: 4096,
            record_bytes_max: 4096,
            max_increment: 1,
            bad_reports_max: 3,
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_timeout: Duration::from_secs(5),
        }
    }
}
