//! What a registrar tells of its elements at a glance.

use rserpool_engine::{Handlespace, PeChecksum, RegistrarId};

use super::pack::{Pack, Unpack};

/// The sums of a home's elements on one shard, or on all.
///
/// The PE checksum of RFC 5353 knows of names only. Our own kind compares the
/// digests of the elements, too: whatever made them differ, an audit follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) checksum: PeChecksum,
    /// The wrapping sum of the digests of the elements: see `digest` in
    /// `registrar::pools::jobs`.
    pub(crate) values: u64,
}

impl Tally {
    /// That of a home's elements.
    pub(crate) fn of(space: &Handlespace, home: RegistrarId) -> Self {
        Self { checksum: space.checksum(home), values: space.mark_sum(home) }
    }

    /// Adds that of another shard.
    pub(crate) fn add(&mut self, other: Self) {
        self.checksum.add(other.checksum);
        self.values = self.values.wrapping_add(other.values);
    }

    /// Takes away an element.
    pub(crate) fn subtract(&mut self, checksum: PeChecksum, digest: u64) {
        self.checksum.subtract(checksum);
        self.values = self.values.wrapping_sub(digest);
    }

    pub(crate) fn emit(self, out: &mut Vec<u8>) {
        let (words, bytes) = self.checksum.to_bits();
        out.u64(words);
        out.u32(bytes);
        out.u64(self.values);
    }

    pub(super) fn read(from: &mut Unpack<'_>) -> Option<Self> {
        let checksum = PeChecksum::from_bits((from.u64()?, from.u32()?));
        Some(Self { checksum, values: from.u64()? })
    }
}
