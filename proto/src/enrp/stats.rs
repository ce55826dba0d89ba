//! What the group counted.

/// Counts since the registrar joined its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Presences sent, one for each peer, and one for each multicast.
    pub presences_sent: u64,
    /// Presences received.
    pub presences_received: u64,
    /// Handle updates sent, one for each peer.
    pub updates_sent: u64,
    /// Handle updates received.
    pub updates_received: u64,
    /// Handle updates that were not the sender's to send.
    pub updates_foreign: u64,
    /// Handle-table responses sent.
    pub pages_sent: u64,
    /// Handle-table responses received.
    pub pages_received: u64,
    /// Elements received in handle-table responses.
    pub page_elements: u64,
    /// Audits begun.
    pub audits: u64,
    /// Audits given up because an answer did not come or was a refusal.
    pub audits_failed: u64,
    /// Presences whose checksum was another than expected.
    pub mismatches: u64,
    /// Take-overs begun.
    pub takeovers: u64,
    /// Take-overs completed.
    pub takeovers_completed: u64,
    /// Take-overs left to another registrar.
    pub takeovers_yielded: u64,
    /// Take-overs ended because their target spoke.
    pub takeovers_aborted: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Messages that were not for this registrar to act upon: of strangers,
    /// of a sender that was another before, with this registrar's own
    /// identifier, or at a time they make no sense.
    pub refused: u64,
    /// ENRP errors received.
    pub errors_received: u64,
    /// ENRP errors sent.
    pub errors_sent: u64,
    /// Associations opened, in both directions.
    pub links_opened: u64,
    /// Associations refused because there were too many.
    pub links_refused: u64,
    /// Associations cut off because their registrar did not read.
    pub links_slow: u64,
    /// Batches of shards that could not be read.
    pub mesh_malformed: u64,
}
