//! The associations of a shard.

use core::net::SocketAddr;

use rserpool_engine::{AssociationId, ShardId, TransportKind};

use super::answers::Answers;

const INDEX_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const GENERATION_MAX: u32 = (1 << GENERATION_BITS) - 1;

/// The other end of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// What carries its messages.
    pub transport: TransportKind,
}

/// Why an association is not read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Parked {
    /// It is.
    #[default]
    No,
    /// Too many answers are pending or not taken.
    Backlog,
    /// The batch for another shard is not taken.
    Mesh,
}

/// One association.
#[derive(Debug)]
pub(super) struct Association {
    pub(super) peer: Peer,
    /// Whole messages to send.
    pub(super) output: Vec<u8>,
    pub(super) answers: Answers,
    /// Pool elements it registered, plus its unanswered registrations.
    pub(super) elements: u32,
    /// Which other shards may hold elements of it: bit `shard % 64`.
    pub(super) owners: u64,
    /// `Output::Send` is queued or was given, and the bytes are not taken.
    pub(super) announced: bool,
    /// It is in the list of those whose output waits for other shards.
    pub(super) gathers: bool,
    /// Its output has waited long enough.
    pub(super) gathered: bool,
    pub(super) parked: Parked,
    /// It is in the list of those that wait for the mesh.
    pub(super) listed: bool,
}

impl Association {
    /// Nothing of it is anywhere, and nothing is on its way.
    pub(super) fn is_blank(&self) -> bool {
        let silent = self.answers.is_empty() && self.output.is_empty() && !self.announced;
        silent && self.elements == 0 && self.owners == 0 && self.parked == Parked::No
    }
}

/// The shard an association is on.
pub(super) fn shard_of(id: AssociationId) -> ShardId {
    ShardId(u16::try_from(id.0 >> (INDEX_BITS + GENERATION_BITS)).unwrap_or(u16::MAX))
}

/// The associations of one shard. An identifier holds the shard, the place
/// and how often the place was used before: one of a closed association names
/// nothing.
#[derive(Debug)]
pub(super) struct Associations {
    shard: ShardId,
    max: u32,
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    association: Option<Association>,
}

impl Associations {
    pub(super) fn new(shard: ShardId, max: u32) -> Self {
        Self { shard, max: max.min(1 << INDEX_BITS), places: Vec::new(), free: Vec::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Adds one; `None` if there is no room.
    pub(super) fn open(&mut self, peer: Peer) -> Option<AssociationId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.places.len()).ok().filter(|&i| i < self.max)?;
                self.places.push(Place { generation: 0, association: None });
                index
            }
        };
        let place = self.places.get_mut(index as usize)?;
        // Not 0, so that no identifier is 0.
        place.generation = place.generation % GENERATION_MAX + 1;
        place.association = Some(Association {
            peer,
            output: Vec::new(),
            answers: Answers::default(),
            elements: 0,
            owners: 0,
            announced: false,
            gathers: false,
            gathered: false,
            parked: Parked::No,
            listed: false,
        });
        let id = (u64::from(self.shard.0) << (INDEX_BITS + GENERATION_BITS))
            | (u64::from(place.generation) << INDEX_BITS)
            | u64::from(index);
        Some(AssociationId(id))
    }

    fn index_of(&self, id: AssociationId) -> Option<usize> {
        let index = usize::try_from(id.0 & INDEX_MASK).ok()?;
        let place = self.places.get(index)?;
        let generation = (id.0 >> INDEX_BITS) & u64::from(GENERATION_MAX);
        (u64::from(place.generation) == generation && shard_of(id) == self.shard).then_some(index)
    }

    /// The association with this identifier, if it is open.
    pub(super) fn get(&self, id: AssociationId) -> Option<&Association> {
        self.places.get(self.index_of(id)?)?.association.as_ref()
    }

    /// The association with this identifier, if it is open.
    pub(super) fn get_mut(&mut self, id: AssociationId) -> Option<&mut Association> {
        let index = self.index_of(id)?;
        self.places.get_mut(index)?.association.as_mut()
    }

    /// Takes it away, if it is open.
    pub(super) fn close(&mut self, id: AssociationId) -> Option<Association> {
        let index = self.index_of(id)?;
        let association = self.places.get_mut(index)?.association.take()?;
        self.free.push(u32::try_from(index).ok()?);
        Some(association)
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn peer() -> Peer {
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 3863);
        Peer { address, transport: TransportKind::Tcp }
    }

    #[test]
    fn an_identifier_of_a_closed_association_names_nothing() {
        let mut associations = Associations::new(ShardId(7), 2);
        let first = associations.open(peer()).unwrap();
        assert_eq!(shard_of(first), ShardId(7));
        assert!(associations.close(first).is_some());
        assert!(associations.close(first).is_none());
        let second = associations.open(peer()).unwrap();
        assert_ne!(first, second);
        assert!(associations.get(first).is_none());
        assert!(associations.get(second).is_some());
        let other_shard = AssociationId(second.0 ^ (1 << 48));
        assert!(associations.get(other_shard).is_none());
    }

    #[test]
    fn there_are_never_more_than_the_most() {
        let mut associations = Associations::new(ShardId(0), 2);
        let first = associations.open(peer()).unwrap();
        assert!(associations.open(peer()).is_some());
        assert!(associations.open(peer()).is_none());
        associations.close(first);
        assert_eq!(associations.len(), 1);
        assert!(associations.open(peer()).is_some());
    }

    #[test]
    fn an_idle_association_costs_little_memory() {
        assert!(size_of::<Place>() <= 192, "{}", size_of::<Place>());
    }
}
