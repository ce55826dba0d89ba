//! The invariants of a handlespace.

use super::Handlespace;
use crate::element::Flag;
use crate::order::Order;
use crate::{PeChecksum, SelectionMode};

/// What the elements of the pools add up to.
#[derive(Default)]
struct Counts {
    elements: u32,
    own: u32,
    armed: u32,
    orders: crate::order::Counts,
    /// Small blocks and nodes of rosters.
    rosters: (u32, u32),
    byte_blocks: u32,
}

impl Handlespace {
    /// Checks every invariant. O(n): for tests, fuzzing and simulation.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn assert_invariants(&self) {
        self.by_handle
            .assert_invariants(|slot| self.hash_handle(self.pools[slot].handle(&self.bytes)));
        self.by_pe.assert_invariants(|slot| self.hash_of(slot));
        let mut counts = Counts::default();
        let mut pools = 0;
        for slot in 0..self.pools.end() {
            if self.pools[slot].is_there() {
                pools += 1;
                self.assert_pool(slot, &mut counts);
            }
        }
        assert_eq!(pools, self.pools.len(), "pools are counted");
        assert_eq!(pools, self.by_handle.len(), "each pool is in the index");
        assert_eq!(counts.elements, self.elements.len(), "elements are counted");
        assert_eq!(counts.elements, self.by_pe.len(), "each element is in the index");
        assert_eq!(counts.own, self.homes.len_of(self.watch.own), "own elements are counted");
        self.orders.assert_counts(counts.orders);
        assert_eq!(counts.rosters, self.rosters.assert_invariants(), "rosters are accounted for");
        self.assert_zones();
        let bytes = self.bytes.assert_invariants();
        assert_eq!(counts.byte_blocks, bytes, "blocks of bytes are accounted for");
        for vacant in self.elements.vacant() {
            assert!(!self.elements[vacant].is_there(), "a vacant slot is nobody");
        }
        assert_eq!(
            self.wheel.assert_invariants(&self.elements),
            counts.armed,
            "deadlines are counted"
        );
        self.assert_groups();
    }

    fn assert_zones(&self) {
        let mut in_zones = 0;
        self.orders.modes.zones.assert_invariants(|number, zone, key| {
            assert!(self.is_there(key), "an element of a zone is registered");
            let element = &self.elements[key.index];
            let order = &self.pools[element.pool()].order;
            assert!(matches!(order, Order::Moded(it) if *it == number), "in the pool of the zone");
            assert_eq!(self.orders.modes.zones.zone(element, key.index), Some(zone), "its own");
            assert!(element.has(Flag::Linked), "and not drained");
            in_zones += 1;
        });
        let expected = self.pools().filter(|it| it.selection_mode() == SelectionMode::ZoneFirst);
        let expected = expected.flat_map(|it| it.elements());
        let expected = expected.filter(|it| it.zone().is_some() && !it.is_drained()).count();
        assert_eq!(in_zones, expected, "each element with a zone is in its order");
    }

    fn assert_groups(&self) {
        let (mut listed, mut sums) =
            (0, vec![PeChecksum::default(); self.elements.end() as usize + 2]);
        let mut marks = vec![0_u64; sums.len()];
        self.homes.assert_invariants(&self.elements, |group, slot| {
            assert_eq!(self.elements[slot].home(), group, "an element knows its home");
            let element = &self.elements[slot];
            let handle = self.pools[element.pool()].handle(&self.bytes);
            sums[group as usize].add(PeChecksum::of(handle, crate::PeId::new(element.pe)));
            let mark = &mut marks[group as usize];
            *mark = mark.wrapping_add(self.marks.get_or_default(slot));
            listed += 1;
        });
        for slot in (0..self.elements.end()).filter(|&slot| self.elements[slot].is_there()) {
            let home = self.elements[slot].home();
            assert_eq!(sums[home as usize], self.homes.sum(home), "a home knows its checksum");
            assert_eq!(marks[home as usize], self.homes.marks(home), "and the sum of its marks");
        }
        assert_eq!(listed, self.elements.len(), "each element has one home");
        let mut with_association = 0;
        self.associations.assert_invariants(&self.elements, |group, slot| {
            assert_eq!(self.elements[slot].association(), Some(group), "it knows its association");
            with_association += 1;
        });
        let all = (0..self.elements.end()).map(|slot| &self.elements[slot]);
        let expected = all.filter(|it| it.is_there() && it.association().is_some()).count();
        assert_eq!(with_association, expected, "an association lists its elements");
    }

    fn assert_pool(&self, slot: u32, counts: &mut Counts) {
        let pool = &self.pools[slot];
        let handle = pool.handle(&self.bytes);
        assert_eq!(self.pool_slot(self.hash_handle(handle), handle), Some(slot), "it is found");
        let (mut members, mut linked) = (0, 0);
        let (small, nodes) = pool.roster.assert_invariants(&self.rosters, |number, key| {
            assert!(self.is_there(key), "a member is registered");
            let (member, element) = (key.index, &self.elements[key.index]);
            assert_eq!((element.pool(), element.position()), (slot, number), "it knows its place");
            let found = self.element_slot(self.hash_of(member), handle, element.pe);
            assert_eq!(found, Some(member), "it is found");
            members += 1;
            linked += u32::from(element.has(Flag::Linked));
            counts.own += u32::from(self.is_own(element));
            counts.armed += u32::from(element.has(Flag::Armed));
            counts.byte_blocks += u32::from(element.is_apart());
        });
        counts.rosters.0 += small;
        counts.rosters.1 += nodes;
        assert!(members > 0, "a pool goes with its last element");
        assert_eq!(members, pool.len, "a pool counts its elements");
        counts.elements += members;
        counts.byte_blocks += u32::from(pool.is_apart());
        let mut selectable = 0;
        let mut visit = |key: crate::ElementKey| {
            assert!(self.is_there(key), "a selectable element is registered");
            let element = &self.elements[key.index];
            assert!(element.has(Flag::Linked) && element.pool() == slot, "and in this pool");
            selectable += 1;
        };
        self.orders.assert_order(&pool.order, linked, &mut counts.orders, &mut visit);
        assert_eq!(selectable, linked, "linked elements are selectable");
    }
}
