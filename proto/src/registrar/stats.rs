//! What a shard counted.

use rserpool_codec::CauseCode;

/// Counts since the start of the shard. Requests are counted by the shard
/// their pool lives on, associations by theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Registrations that created a pool element.
    pub registrations: u64,
    /// Re-registrations, those by another association included.
    pub reregistrations: u64,
    /// Re-registrations by another association than before.
    pub moves: u64,
    /// Deregistrations of a registered pool element.
    pub deregistrations: u64,
    /// Deregistrations of a pool element that was not registered.
    pub deregistrations_idle: u64,
    /// Handle resolutions with a positive answer.
    pub resolutions: u64,
    /// Pool elements in those answers.
    pub resolved_elements: u64,
    /// Subscriptions accepted, again or for the first time.
    pub subscriptions: u64,
    /// Messages to those that subscribed to a pool, for it changed.
    pub notices: u64,
    /// Handle resolutions of a pool that does not exist.
    pub resolutions_unknown: u64,
    /// Handle resolutions of a pool without a pool element that may serve.
    pub resolutions_drained: u64,
    /// Refused registrations and deregistrations by the code of their cause,
    /// 0x0 to 0xa.
    pub rejected: [u64; 11],
    /// Keep-alives sent.
    pub keep_alives: u64,
    /// Keep-alives acknowledged by their pool element's association.
    pub keep_alive_acks: u64,
    /// Acknowledgments of another association, or of no pool element.
    pub keep_alive_acks_foreign: u64,
    /// Pool elements removed because they did not answer a keep-alive.
    pub silent: u64,
    /// Pool elements removed because their registration life was over.
    pub expired: u64,
    /// Pool elements removed because their association was gone.
    pub orphaned: u64,
    /// Pool elements removed because enough pool users reported them.
    pub reported_away: u64,
    /// Elements of other registrars registered or replaced here.
    pub replicated: u64,
    /// Those that could not be: too many, or not of the pool's kind.
    pub replicas_refused: u64,
    /// What peers said of elements that are another's by a greater claim.
    pub stale_updates: u64,
    /// Elements taken over from other registrars.
    pub taken_over: u64,
    /// Those of them that answered since.
    pub confirmed: u64,
    /// Elements removed because their home does not know them.
    pub swept: u64,
    /// Associations opened to elements that were taken over.
    pub called: u64,
    /// Parts of handle tables written for other registrars.
    pub pages: u64,
    /// Unreachability reports that counted.
    pub reports: u64,
    /// Unreachability reports that did not count: repeated, or of a pool
    /// element that does not exist.
    pub reports_ignored: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Messages a registrar does not take.
    pub unexpected: u64,
    /// ASAP errors received.
    pub errors_received: u64,
    /// ASAP errors sent.
    pub errors_sent: u64,
    /// Associations opened.
    pub opened: u64,
    /// Associations refused because there were too many.
    pub refused: u64,
    /// Associations that are gone.
    pub closed: u64,
    /// Associations closed because they did not take their answers.
    pub slow_readers: u64,
    /// Messages for associations that were gone.
    pub stale: u64,
    /// Messages handed to other shards.
    pub mesh_sent: u64,
    /// Messages other shards handed to this one.
    pub mesh_received: u64,
    /// Batches of other shards that could not be read to their end.
    pub mesh_malformed: u64,
}

impl Stats {
    pub(super) fn reject(&mut self, cause: CauseCode) {
        if let Some(count) = self.rejected.get_mut(usize::from(cause as u16)) {
            *count += 1;
        }
    }
}
