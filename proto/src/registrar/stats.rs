//! What a shard counted.

/// Counts since the start of the shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Registrations that created a pool element.
    pub registrations: u64,
    /// Re-registrations.
    pub reregistrations: u64,
    /// Deregistrations that were answered with success.
    pub deregistrations: u64,
    /// Handle resolutions answered with at least one pool element.
    pub resolutions: u64,
    /// Handle resolutions answered negatively.
    pub resolutions_negative: u64,
    /// Refused requests by the code of their cause, 0x0 to 0xa.
    pub rejected: [u64; 11],
}
