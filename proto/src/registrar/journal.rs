//! What this shard has to tell the registrar group.

use rserpool_codec::enrp::extension::Claim;
use rserpool_engine::{Handlespace, PeId, PoolHandle, RegistrarId};

use crate::enrp::{News, Tally};

/// News for the group, each behind its length.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Whether there is a group.
    pub(super) on: bool,
    /// Whether it wants to hear of re-registrations that change nothing.
    pub(super) renewals: bool,
    bytes: Vec<u8>,
}

/// What happened to an own element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) deleted: bool,
    pub(super) renewal: bool,
    pub(super) claim: Claim,
}

impl Journal {
    pub(super) fn tell(&mut self, news: &News<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        news.emit(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Tells of a change of an own element. `own` is the tally of all own
    /// elements after it.
    pub(super) fn update(
        &mut self,
        own: Tally,
        change: Change,
        handle: PoolHandle<'_>,
        pe: PeId,
        record: &[u8],
    ) {
        if !self.on || change.renewal && !self.renewals {
            return;
        }
        let Change { deleted, renewal, claim } = change;
        self.tell(&News::Update { deleted, renewal, claim, own, handle, pe, record });
    }

    /// Tells of another tally of own elements.
    pub(super) fn own(&mut self, space: &Handlespace, own: RegistrarId) {
        if self.on {
            let own = Tally::of(space, own);
            self.tell(&News::Own { own });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All news, swapped into `into`, which is emptied first.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) {
        into.clear();
        core::mem::swap(&mut self.bytes, into);
    }
}
