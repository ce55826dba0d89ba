//! The pools and pool elements that are registered, as pure functions of a
//! number: nothing has to be kept of them to register them again.

use std::time::Duration;

use rserpool_engine::{
    AssociationId, ChannelUse, PeId, Policy, PolicyKind, PolicyParameters, PoolHandle, RegistrarId,
    Registration, RegistrationLife, TransportKind,
};

use crate::random::scramble;
use crate::shape::Shape;

/// The registrar that is measured.
pub const OWN: RegistrarId = RegistrarId::new(0x0101_0101);
/// Another one, whose elements are taken over.
pub const OTHER: RegistrarId = RegistrarId::new(0x0202_0202);
/// How long a registration is valid, in the time of the handlespace: long
/// enough that only a measurement of expiry meets its end.
pub const LIFE: Duration = Duration::from_hours(500);
/// How many elements come by one association.
const ELEMENTS_PER_ASSOCIATION: u32 = 100;
/// One thousandth of full load (RFC 5356, 3.1).
const DEGRADATION: u32 = u32::MAX / 1000;

const RECORD_BYTES_MAX: usize = 64;

/// The handle of a pool: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle([u8; 16]);

impl Handle {
    /// The handle of this pool.
    #[must_use]
    pub fn of(pool: u32) -> Self {
        let mut bytes = *b"pool-00000000-rs";
        for (digit, byte) in (0..8).zip(&mut bytes[5..13]) {
            let nibble = (pool >> (28 - 4 * digit)) & 15;
            *byte = char::from_digit(nibble, 16).map_or(b'0', |digit| {
                let mut encoded = [0; 1];
                digit.encode_utf8(&mut encoded);
                encoded[0]
            });
        }
        Self(bytes)
    }

    /// As the engine takes it.
    #[must_use]
    pub const fn get(&self) -> PoolHandle<'_> {
        PoolHandle::new(&self.0)
    }
}

/// The identifier of an element: looks random, is unique and not 0.
#[must_use]
pub const fn pe(element: u32) -> PeId {
    // Each step can be undone, so different elements stay different and only
    // 0 becomes 0.
    let mut id = element.wrapping_add(1).wrapping_mul(0x9e37_79b1);
    id ^= id >> 16;
    id = id.wrapping_mul(0x85eb_ca6b);
    PeId::new(id ^ (id >> 13))
}

/// An element's policy with parameters that change with `version`.
#[must_use]
pub fn policy(kind: PolicyKind, element: u32, version: u32) -> Policy {
    let drawn = scramble((u64::from(version) << 32) | u64::from(element));
    let high = u32::try_from(drawn >> 32).unwrap_or(0);
    let weight = 1 + high % 100;
    // Up to half, so that there is room to degrade.
    let load = high / 2;
    let (priority, degradation) = (high, DEGRADATION);
    let distance = u32::try_from(drawn & 127).unwrap_or(0);
    let dpf = u32::MAX / 1000;
    kind.with(PolicyParameters { weight, load, priority, degradation, dpf, distance })
}

/// The parameters of a policy as on the wire (RFC 5356).
fn parameters(policy: Policy) -> ([u32; 4], usize) {
    match policy {
        Policy::RoundRobin | Policy::Random => ([0; 4], 0),
        Policy::WeightedRoundRobin { weight: only }
        | Policy::WeightedRandom { weight: only }
        | Policy::Priority { priority: only }
        | Policy::LeastUsed { load: only }
        | Policy::RandomizedLeastUsed { load: only } => ([only, 0, 0, 0], 1),
        Policy::LeastUsedDegradation { load, degradation }
        | Policy::PriorityLeastUsed { load, degradation }
        | Policy::RandomizedPriorityLeastUsed { load, degradation }
        | Policy::RandomizedLeastUsedDegradation { load, degradation }
        | Policy::PriorityLeastUsedDegradation { load, degradation }
        | Policy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
            ([load, degradation, 0, 0], 2)
        }
        Policy::WeightedRandomDpf { weight: first, dpf, distance }
        | Policy::LeastUsedDpf { load: first, dpf, distance } => ([first, dpf, distance, 0], 3),
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance }
        | Policy::PriorityLeastUsedDpf { load, degradation, dpf, distance }
        | Policy::PriorityLeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            ([load, degradation, dpf, distance], 4)
        }
    }
}

/// All of one registration, ready to be handed to the engine.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The pool.
    pub handle: Handle,
    /// The element.
    pub pe: PeId,
    /// Its home.
    pub home: RegistrarId,
    /// Its registration life.
    pub life: RegistrationLife,
    association: AssociationId,
    policy: Policy,
    record: [u8; RECORD_BYTES_MAX],
    record_bytes: usize,
}

impl Prepared {
    /// The registration of an element at its own registrar. `version` says
    /// how often it changed; its record has one TCP transport of one IPv4
    /// address.
    #[must_use]
    pub fn new(shape: Shape, kind: PolicyKind, element: u32, version: u32) -> Self {
        let policy = policy(kind, element, version);
        let mut prepared = Self {
            handle: Handle::of(element % shape.pools),
            pe: pe(element),
            home: OWN,
            life: RegistrationLife::For(LIFE),
            association: AssociationId(u64::from(element / ELEMENTS_PER_ASSOCIATION)),
            policy,
            record: [0; RECORD_BYTES_MAX],
            record_bytes: 0,
        };
        prepared.write_record(element, version);
        prepared
    }

    /// As the engine takes it.
    #[must_use]
    pub fn registration(&self) -> Registration<'_> {
        Registration {
            handle: self.handle.get(),
            pe: self.pe,
            home: self.home,
            association: Some(self.association),
            life: self.life,
            policy: self.policy,
            transport: TransportKind::Tcp,
            channel_use: ChannelUse::Data,
            record: &self.record[..self.record_bytes],
        }
    }

    /// The Pool Element parameter (RFC 5354, 3.10).
    fn write_record(&mut self, element: u32, version: u32) {
        let (parameters, count) = parameters(self.policy);
        let policy_bytes = 8 + 4 * u32::try_from(count).unwrap_or(0);
        let port = 1024 + version % 60_000;
        let words = [
            0x000a_0000 | (32 + policy_bytes),
            self.pe.get(),
            self.home.get(),
            1_800_000,
            0x0005_0010,
            port << 16,
            0x0001_0008,
            0x0a00_0000 | (element & 0x00ff_ffff),
            0x0008_0000 | policy_bytes,
            self.policy.kind().code(),
        ];
        let words = words.iter().chain(&parameters[..count]);
        for (word, bytes) in words.zip(self.record.as_chunks_mut::<4>().0) {
            *bytes = word.to_be_bytes();
            self.record_bytes += 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_not_zero() {
        let mut ids: Vec<u32> = (0..200_000).map(|element| pe(element).get()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 200_000);
        assert_ne!(ids[0], 0);
    }

    #[test]
    fn handles_name_their_pool() {
        assert_eq!(Handle::of(0).get().to_string(), "pool-00000000-rs");
        assert_eq!(Handle::of(0x1234_abcd).get().to_string(), "pool-1234abcd-rs");
    }

    #[test]
    fn a_record_is_as_long_as_it_says_and_changes_with_the_version() {
        for kind in PolicyKind::ALL {
            let first = Prepared::new(Shape::new(10, 10), kind, 3, 0);
            let record = first.registration().record;
            assert_eq!(usize::from(u16::from_be_bytes([record[2], record[3]])), record.len());
            let same = Prepared::new(Shape::new(10, 10), kind, 3, 0);
            assert_eq!(record, same.registration().record);
            let changed = Prepared::new(Shape::new(10, 10), kind, 3, 1);
            assert_ne!(record, changed.registration().record);
            assert_eq!(changed.registration().policy.kind(), kind);
        }
        let smallest = Prepared::new(Shape::new(1, 1), PolicyKind::RoundRobin, 0, 0);
        assert_eq!(smallest.registration().record.len(), 40);
    }
}
