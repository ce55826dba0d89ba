//! What the group orders of the shards, and what news they have for it, as
//! bytes that cross the mesh.

use rserpool_codec::enrp::extension::{BUCKETS_LEN, BucketSet, Claim};
use rserpool_engine::{PeId, PoolHandle, RegistrarId};

use super::pack::{Pack, Unpack};
use super::tally::Tally;

/// Who says that an element is there, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The element's home, in a handle update.
    Home,
    /// The element's home, in the handle table of an audit.
    Audit,
    /// Any registrar, in the handle table this one starts from.
    Mentor,
}

/// An element as a peer describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Apply<'a> {
    pub(crate) from: RegistrarId,
    pub(crate) source: Source,
    /// The home is a registrar of our own kind: it tells us of the end of the
    /// registration life.
    pub(crate) kin: bool,
    pub(crate) deleted: bool,
    /// The sender suggests that this registrar takes the element over.
    pub(crate) suggested: bool,
    pub(crate) stamp: u16,
    pub(crate) claim: Option<Claim>,
    pub(crate) handle: PoolHandle<'a>,
    /// The whole Pool Element parameter.
    pub(crate) element: &'a [u8],
}

/// From the group to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order<'a> {
    /// Tell the group of every change of own elements from now on; with
    /// `renewals` of re-registrations that change nothing, too.
    Journal { renewals: bool },
    /// Apply what a peer says.
    Apply(Apply<'a>),
    /// Tell the tallies of all homes.
    Sums { token: u32 },
    /// Write a part of a handle table: of this home, or of all if it is 0.
    Page {
        token: u32,
        home: RegistrarId,
        buckets: Option<&'a BucketSet>,
        cursor: u64,
        bytes_max: u32,
        kin: bool,
    },
    /// Tell the digests of the elements of a home.
    Digest { token: u32, home: RegistrarId },
    /// Remove the elements of a home in these buckets that the audit with
    /// this stamp did not see.
    Sweep { token: u32, home: RegistrarId, buckets: &'a BucketSet, stamp: u16 },
    /// Take over the elements of a home.
    Take { token: u32, from: RegistrarId },
    /// Another registrar took over the elements of a home.
    Rehome { token: u32, from: RegistrarId, to: RegistrarId, kin: bool },
}

/// From a shard to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News<'a> {
    /// An element of this registrar was registered, changed, or removed.
    Update {
        deleted: bool,
        /// A re-registration that changed nothing.
        renewal: bool,
        claim: Claim,
        /// That of this shard's own elements from now on.
        own: Tally,
        handle: PoolHandle<'a>,
        pe: PeId,
        record: &'a [u8],
    },
    /// That of this shard's own elements is another now.
    Own { own: Tally },
    /// The answer to [`Order::Sums`]: a home and its tally, one after the other.
    Sums { token: u32, sums: &'a [u8] },
    /// The answer to [`Order::Page`]: the parameters of a response.
    Page { token: u32, cursor: u64, done: bool, parameters: &'a [u8] },
    /// The answer to [`Order::Digest`]: 8 bytes a bucket.
    Digest { token: u32, sums: &'a [u8] },
    /// What was ordered is done.
    Done { token: u32 },
}

impl Source {
    const fn code(self) -> u8 {
        match self {
            Self::Home => 0,
            Self::Audit => 1,
            Self::Mentor => 2,
        }
    }

    const fn of(code: u8) -> Self {
        match code {
            0 => Self::Home,
            1 => Self::Audit,
            _ => Self::Mentor,
        }
    }
}

const LEFT: u8 = 1;
const PROVISIONAL: u8 = 2;
const UNREACHABLE: u8 = 4;
const NO_CLAIM: u8 = 8;
const LAPSES: u8 = 16;

fn pack_claim(out: &mut Vec<u8>, claim: Option<Claim>) {
    let Claim { term, provisional, left, unreachable, lapses } = claim.unwrap_or_default();
    out.u32(term);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(left, LEFT)
        | flag(provisional, PROVISIONAL)
        | flag(unreachable, UNREACHABLE)
        | flag(lapses, LAPSES)
        | flag(claim.is_none(), NO_CLAIM);
    out.u8(flags);
}

fn unpack_claim(from: &mut Unpack<'_>) -> Option<Option<Claim>> {
    let (term, flags) = (from.u32()?, from.u8()?);
    Some((flags & NO_CLAIM == 0).then_some(Claim {
        term,
        left: flags & LEFT != 0,
        provisional: flags & PROVISIONAL != 0,
        unreachable: flags & UNREACHABLE != 0,
        lapses: flags & LAPSES != 0,
    }))
}

impl<'a> Order<'a> {
    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Journal { renewals } => {
                out.u8(0);
                out.u8(renewals.into());
            }
            Self::Apply(apply) => {
                out.u8(1);
                out.u32(apply.from.get());
                out.u8(apply.source.code());
                out.u8(u8::from(apply.kin)
                    | u8::from(apply.deleted) << 1
                    | u8::from(apply.suggested) << 2);
                out.u16(apply.stamp);
                pack_claim(out, apply.claim);
                out.block(apply.handle.as_bytes());
                out.block(apply.element);
            }
            Self::Sums { token } => {
                out.u8(2);
                out.u32(token);
            }
            Self::Page { token, home, buckets, cursor, bytes_max, kin } => {
                out.u8(3);
                out.u32(token);
                out.u32(home.get());
                out.u64(cursor);
                out.u32(bytes_max);
                out.u8(kin.into());
                out.block(buckets.map_or(&[], |it| it.as_slice()));
            }
            Self::Digest { token, home } => {
                out.u8(4);
                out.u32(token);
                out.u32(home.get());
            }
            Self::Sweep { token, home, buckets, stamp } => {
                out.u8(5);
                out.u32(token);
                out.u32(home.get());
                out.u16(stamp);
                out.block(buckets);
            }
            Self::Take { token, from } => {
                out.u8(6);
                out.u32(token);
                out.u32(from.get());
            }
            Self::Rehome { token, from, to, kin } => {
                out.u8(7);
                out.u32(token);
                out.u32(from.get());
                out.u32(to.get());
                out.u8(kin.into());
            }
        }
    }

    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Unpack(bytes);
        Some(match from.u8()? {
            0 => Self::Journal { renewals: from.flag()? },
            1 => {
                let sender = RegistrarId::new(from.u32()?);
                let source = Source::of(from.u8()?);
                let flags = from.u8()?;
                Self::Apply(Apply {
                    from: sender,
                    source,
                    kin: flags & 1 != 0,
                    deleted: flags & 2 != 0,
                    suggested: flags & 4 != 0,
                    stamp: from.u16()?,
                    claim: unpack_claim(&mut from)?,
                    handle: PoolHandle::new(from.block()?),
                    element: from.block()?,
                })
            }
            2 => Self::Sums { token: from.u32()? },
            3 => Self::Page {
                token: from.u32()?,
                home: RegistrarId::new(from.u32()?),
                cursor: from.u64()?,
                bytes_max: from.u32()?,
                kin: from.flag()?,
                buckets: from.block()?.try_into().ok(),
            },
            4 => Self::Digest { token: from.u32()?, home: RegistrarId::new(from.u32()?) },
            5 => Self::Sweep {
                token: from.u32()?,
                home: RegistrarId::new(from.u32()?),
                stamp: from.u16()?,
                buckets: from.block()?.try_into().ok()?,
            },
            6 => Self::Take { token: from.u32()?, from: RegistrarId::new(from.u32()?) },
            7 => Self::Rehome {
                token: from.u32()?,
                from: RegistrarId::new(from.u32()?),
                to: RegistrarId::new(from.u32()?),
                kin: from.flag()?,
            },
            _ => return None,
        })
    }
}

impl<'a> News<'a> {
    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Update { deleted, renewal, claim, own, handle, pe, record } => {
                out.u8(0);
                out.u8(u8::from(deleted) | u8::from(renewal) << 1);
                pack_claim(out, Some(claim));
                own.emit(out);
                out.u32(pe.get());
                out.block(handle.as_bytes());
                out.block(record);
            }
            Self::Own { own } => {
                out.u8(1);
                own.emit(out);
            }
            Self::Sums { token, sums } => {
                out.u8(2);
                out.u32(token);
                out.block(sums);
            }
            Self::Page { token, cursor, done, parameters } => {
                out.u8(3);
                out.u32(token);
                out.u64(cursor);
                out.u8(done.into());
                out.block(parameters);
            }
            Self::Digest { token, sums } => {
                out.u8(4);
                out.u32(token);
                out.block(sums);
            }
            Self::Done { token } => {
                out.u8(5);
                out.u32(token);
            }
        }
    }

    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Unpack(bytes);
        Some(match from.u8()? {
            0 => {
                let flags = from.u8()?;
                Self::Update {
                    deleted: flags & 1 != 0,
                    renewal: flags & 2 != 0,
                    claim: unpack_claim(&mut from)??,
                    own: Tally::read(&mut from)?,
                    pe: PeId::new(from.u32()?),
                    handle: PoolHandle::new(from.block()?),
                    record: from.block()?,
                }
            }
            1 => Self::Own { own: Tally::read(&mut from)? },
            2 => Self::Sums { token: from.u32()?, sums: from.block()? },
            3 => Self::Page {
                token: from.u32()?,
                cursor: from.u64()?,
                done: from.flag()?,
                parameters: from.block()?,
            },
            4 => Self::Digest { token: from.u32()?, sums: from.block()? },
            5 => Self::Done { token: from.u32()? },
            _ => return None,
        })
    }
}

/// Digests by bucket: sums of hashes, so that those of shards add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digests(Box<[u64; BUCKETS_LEN]>);

impl Digests {
    pub(crate) fn new() -> Self {
        Self(Box::new([0; BUCKETS_LEN]))
    }

    /// Adds an element's hash to its bucket.
    pub(crate) fn add(&mut self, bucket: usize, hash: u64) {
        if let Some(sum) = self.0.get_mut(bucket) {
            *sum = sum.wrapping_add(hash);
        }
    }

    /// Adds those of another shard.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        for (sum, other) in self.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*other));
        }
    }

    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        for sum in self.0.iter() {
            out.u64(*sum);
        }
    }

    /// The buckets whose sums are others.
    pub(crate) fn differing(&self, other: &Self) -> BucketSet {
        let mut set = [0; BUCKETS_LEN / 8];
        for (bucket, (a, b)) in self.0.iter().zip(other.0.iter()).enumerate() {
            if a != b {
                set[bucket / 8] |= 1 << (bucket % 8);
            }
        }
        set
    }
}

/// Whether a bucket is in a set.
pub(crate) fn has_bucket(set: &BucketSet, bucket: usize) -> bool {
    set.get(bucket / 8).is_some_and(|byte| byte >> (bucket % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use rserpool_engine::PeChecksum;

    use super::*;

    #[test]
    fn orders_and_news_are_read_as_they_were_written() {
        let id = RegistrarId::new(7);
        let claim = Claim { term: 3, provisional: true, unreachable: true, ..Claim::default() };
        let apply = Apply {
            from: id,
            source: Source::Audit,
            kin: true,
            deleted: false,
            suggested: true,
            stamp: 9,
            claim: Some(claim),
            handle: PoolHandle::new(b"pool"),
            element: b"element",
        };
        let set = [0x5a; BUCKETS_LEN / 8];
        let orders = [
            Order::Journal { renewals: true },
            Order::Apply(apply),
            Order::Apply(Apply { claim: None, deleted: true, source: Source::Home, ..apply }),
            Order::Sums { token: 1 },
            Order::Page {
                token: 2,
                home: id,
                buckets: None,
                cursor: 1 << 40,
                bytes_max: 3,
                kin: true,
            },
            Order::Page {
                token: 2,
                home: id,
                buckets: Some(&set),
                cursor: 0,
                bytes_max: 3,
                kin: false,
            },
            Order::Digest { token: 4, home: id },
            Order::Sweep { token: 5, home: id, buckets: &set, stamp: 6 },
            Order::Take { token: 7, from: id },
            Order::Rehome { token: 8, from: id, to: RegistrarId::new(9), kin: true },
        ];
        for order in orders {
            let mut bytes = Vec::new();
            order.emit(&mut bytes);
            assert_eq!(Order::read(&bytes), Some(order));
            for end in 0..bytes.len() {
                let _ = Order::read(&bytes[..end]);
            }
        }
        let own = Tally { checksum: PeChecksum::from_bits((5, 6)), values: 1 << 40 };
        let news = [
            News::Update {
                deleted: true,
                renewal: false,
                claim,
                own,
                handle: PoolHandle::new(b"pool"),
                pe: PeId::new(4),
                record: b"record",
            },
            News::Own { own },
            News::Sums { token: 1, sums: b"sums" },
            News::Page { token: 1, cursor: 2, done: true, parameters: b"page" },
            News::Digest { token: 1, sums: b"sums" },
            News::Done { token: 1 },
        ];
        for item in news {
            let mut bytes = Vec::new();
            item.emit(&mut bytes);
            assert_eq!(News::read(&bytes), Some(item));
        }
    }

    #[test]
    fn digests_of_shards_add_up() {
        let (mut all, mut one, mut two) = (Digests::new(), Digests::new(), Digests::new());
        for (bucket, hash) in [(1, u64::MAX), (1, 5), (511, 7)] {
            all.add(bucket, hash);
        }
        one.add(1, 5);
        two.add(1, u64::MAX);
        two.add(511, 7);
        let mut bytes = Vec::new();
        two.emit(&mut bytes);
        one.add_bytes(&bytes);
        assert_eq!(all, one);
        two.add(3, 1);
        let set = all.differing(&two);
        let differing: Vec<_> = (0..BUCKETS_LEN).filter(|&it| has_bucket(&set, it)).collect();
        assert_eq!(differing, [1, 3]);
    }
}
