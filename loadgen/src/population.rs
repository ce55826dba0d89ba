//! Who is registered: pools of mixed sizes and policies, and the identity and
//! values of each of their elements, all as a pure function of the seed.

use std::net::{IpAddr, Ipv4Addr};

use rserpool_engine::{PeId, Policy, PolicyKind};

use crate::draw::{Purpose, draw, draw_below};

/// The largest weight that a Weighted Random element has; 0 is drained.
const WEIGHT_MAX: u32 = 4;
/// How many weights there are.
pub(crate) const WEIGHTS: usize = WEIGHT_MAX as usize + 1;

/// A policy whose answers the load generator can check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedPolicy {
    /// RFC 5356, 4.1.
    RoundRobin,
    /// RFC 5356, 4.4.
    WeightedRandom,
    /// RFC 5356, 5.1.
    LeastUsed,
}

impl CheckedPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RoundRobin, Self::WeightedRandom, Self::LeastUsed];

    /// Its name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::WeightedRandom => "weighted-random",
            Self::LeastUsed => "least-used",
        }
    }

    /// Its kind on the wire.
    #[must_use]
    pub const fn kind(self) -> PolicyKind {
        match self {
            Self::RoundRobin => PolicyKind::RoundRobin,
            Self::WeightedRandom => PolicyKind::WeightedRandom,
            Self::LeastUsed => PolicyKind::LeastUsed,
        }
    }

    /// The policy with an element's value: a weight, a load, or nothing.
    #[must_use]
    pub const fn with(self, value: u32) -> Policy {
        match self {
            Self::RoundRobin => Policy::RoundRobin,
            Self::WeightedRandom => Policy::WeightedRandom { weight: value },
            Self::LeastUsed => Policy::LeastUsed { load: value },
        }
    }

    /// The value in a policy of this kind; `None` if it is of another kind.
    #[must_use]
    pub fn value_of(self, policy: Policy) -> Option<u32> {
        match (self, policy) {
            (Self::RoundRobin, Policy::RoundRobin) => Some(0),
            (Self::WeightedRandom, Policy::WeightedRandom { weight }) => Some(weight),
            (Self::LeastUsed, Policy::LeastUsed { load }) => Some(load),
            _ => None,
        }
    }
}

/// How the elements spread over the pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// A few large pools and many small ones: [`pool_sizes`].
    #[default]
    Mixed,
    /// All pools have the same size, or one element more.
    Even,
}

/// How the elements spread over pools of mixed sizes. With the canonical 100,000 elements
/// in 1,000 pools: one pool of 20,000, nine of 2,000, ninety of 300, and nine
/// hundred of 2 to 77 that share the other 35,000. Other numbers keep these
/// proportions as far as each pool has an element at least.
#[must_use]
pub fn pool_sizes(elements: u32, pools: u32) -> Vec<u32> {
    if pools == 0 {
        return Vec::new();
    }
    let tier = |per_mille: u64| u64::from(pools) * per_mille / 1000;
    let (second, third) = (tier(9), tier(90));
    let fourth = u64::from(pools).saturating_sub(1 + second + third);
    let share = |percent: u64, part: u64, of: u64| u64::from(elements) * percent * part / of / 100;
    let mut sizes = vec![share(20, 1, 1)];
    sizes.extend((0..second).map(|_| share(18, 1, second)));
    sizes.extend((0..third).map(|_| share(27, 1, third)));
    sizes.extend((1..=fourth).rev().map(|rank| share(35, 2 * rank, fourth * (fourth + 1))));
    let mut sizes: Vec<u32> =
        sizes.into_iter().map(|size| u32::try_from(size.max(1)).unwrap_or(u32::MAX)).collect();
    level(&mut sizes, elements);
    sizes
}

fn even_sizes(elements: u32, pools: u32) -> Vec<u32> {
    let (each, rest) = (elements / pools.max(1), elements % pools.max(1));
    (0..pools).map(|pool| each + u32::from(pool < rest)).collect()
}

/// Makes the sizes add up to `elements`: what is missing goes to the last
/// pools in turn, what is too much is taken from the first.
fn level(sizes: &mut [u32], elements: u32) {
    let mut sum: u64 = sizes.iter().copied().map(u64::from).sum();
    let wanted = u64::from(elements);
    for size in sizes.iter_mut() {
        let surplus = u32::try_from(sum.saturating_sub(wanted)).unwrap_or(u32::MAX);
        let taken = surplus.min(*size - 1);
        *size -= taken;
        sum -= u64::from(taken);
    }
    let missing = wanted.saturating_sub(sum);
    let pools = sizes.len() as u64;
    for (size, rank) in sizes.iter_mut().rev().zip(0_u64..) {
        let more = missing / pools + u64::from(rank < missing % pools);
        *size += u32::try_from(more).unwrap_or(u32::MAX);
    }
}

/// One pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// Its handle on the wire.
    pub(crate) handle: Box<[u8]>,
    pub(crate) policy: CheckedPolicy,
    /// Its first element; the others follow.
    pub(crate) first: u32,
    pub(crate) size: u32,
}

/// The pools and elements of one client thread, numbered from 0.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    pub(crate) pools: Vec<Pool>,
    pool_of: Vec<u32>,
    thread: usize,
    threads: usize,
    seed: u64,
    factor: u32,
    inverse: u32,
    own_address: Option<IpAddr>,
    least_weight: u32,
}

/// What a whole run registers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) elements: u32,
    pub(crate) pools: u32,
    pub(crate) shape: Shape,
    /// The pools take these in turn.
    pub(crate) policies: Vec<CheckedPolicy>,
    /// The address all elements serve at, if they have to have the same one.
    pub(crate) own_address: Option<IpAddr>,
    /// The smallest weight there is; 0 is drained.
    pub(crate) least_weight: u32,
    pub(crate) seed: u64,
    /// Distinguishes this run's pool handles from those of another run at the
    /// same registrar.
    pub(crate) run: u32,
}

impl Layout {
    /// The populations of `threads` client threads: the pools dealt in turn.
    pub(crate) fn populations(&self, threads: usize) -> Vec<Population> {
        let mut populations: Vec<_> = (0..threads as u64)
            .map(|thread| Population {
                thread: usize::try_from(thread).unwrap_or(0),
                threads,
                own_address: self.own_address,
                least_weight: self.least_weight,
                ..Population::new(draw(self.seed, Purpose::PeIds, thread))
            })
            .collect();
        let sizes = match self.shape {
            Shape::Mixed => pool_sizes(self.elements, self.pools),
            Shape::Even => even_sizes(self.elements, self.pools),
        };
        for (number, size) in sizes.into_iter().enumerate() {
            let handle = format!("load-{:08x}-{number}", self.run).into_bytes().into();
            let policy = self.policies[number % self.policies.len()];
            populations[number % threads].add(handle, policy, size);
        }
        populations
    }
}

impl Population {
    fn new(seed: u64) -> Self {
        let [a, b, c, d, ..] = seed.to_be_bytes();
        let factor = u32::from_be_bytes([a, b, c, d]) | 1;
        let inverse = inverse(factor);
        Self {
            pools: Vec::new(),
            pool_of: Vec::new(),
            thread: 0,
            threads: 1,
            seed,
            factor,
            inverse,
            own_address: None,
            least_weight: 0,
        }
    }

    fn add(&mut self, handle: Box<[u8]>, policy: CheckedPolicy, size: u32) {
        let (first, pool) = (self.elements(), u32::try_from(self.pools.len()).unwrap_or(u32::MAX));
        self.pools.push(Pool { handle, policy, first, size });
        self.pool_of.resize(self.pool_of.len() + size as usize, pool);
    }

    /// The number of elements.
    pub(crate) fn elements(&self) -> u32 {
        u32::try_from(self.pool_of.len()).unwrap_or(u32::MAX)
    }

    /// The number of the pool of an element.
    pub(crate) fn pool_of(&self, element: u32) -> u32 {
        self.pool_of[element as usize]
    }

    /// The pool with this number.
    pub(crate) fn pool(&self, pool: u32) -> &Pool {
        &self.pools[pool as usize]
    }

    /// The pool with this handle: the number at its end leads to it.
    pub(crate) fn pool_with(&self, handle: &[u8]) -> Option<u32> {
        let digits = handle.rsplit(|&byte| byte == b'-').next()?;
        let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let pool = (number % self.threads == self.thread).then_some(number / self.threads)?;
        let found = self.pools.get(pool)?;
        (*found.handle == *handle).then(|| u32::try_from(pool).ok())?
    }

    /// The PE identifier of an element: scattered, never 0, never twice.
    pub(crate) const fn pe(&self, element: u32) -> PeId {
        PeId::new((element + 1).wrapping_mul(self.factor))
    }

    /// The element of a pool with this PE identifier.
    pub(crate) fn element(&self, pool: u32, pe: PeId) -> Option<u32> {
        let element = pe.get().wrapping_mul(self.inverse).checked_sub(1)?;
        let pool = &self.pools[pool as usize];
        (element.checked_sub(pool.first)? < pool.size).then_some(element)
    }

    /// Where an element serves. Nobody listens there.
    pub(crate) fn transport(&self, element: u32) -> (IpAddr, u16) {
        let [_, a, b, c] = element.to_be_bytes();
        let [.., low, high] = self.pe(element).get().to_be_bytes();
        let own = IpAddr::V4(Ipv4Addr::new(10, a, b, c));
        (self.own_address.unwrap_or(own), u16::from_be_bytes([low, high]) | 0x400)
    }

    /// The value of an element's `generation`-th registration. Loads leave the
    /// upper half free for the audit; one weight in 64 is 0 (drained), but not
    /// that of a pool's first element, so that no pool is drained as a whole.
    pub(crate) fn value(&self, element: u32, generation: u64) -> u32 {
        let pool = self.pool(self.pool_of(element));
        let index = (u64::from(element) << 32) ^ generation;
        let number = draw_below(self.seed, Purpose::Value, index, 1 << 31);
        match pool.policy {
            CheckedPolicy::RoundRobin => 0,
            CheckedPolicy::LeastUsed => number,
            CheckedPolicy::WeightedRandom if number < 1 << 25 && element != pool.first => {
                self.least_weight
            }
            CheckedPolicy::WeightedRandom => 1 + number % WEIGHT_MAX,
        }
    }
}

/// The inverse of an odd number modulo 2^32: each Newton step doubles the
/// number of right bits, from 3.
const fn inverse(odd: u32) -> u32 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn layout(elements: u32, pools: u32) -> Layout {
        Layout {
            elements,
            pools,
            policies: CheckedPolicy::ALL.to_vec(),
            seed: 1,
            run: 7,
            ..Layout::default()
        }
    }

    #[test]
    fn the_canonical_sizes_are_those_of_the_documentation() {
        let sizes = pool_sizes(100_000, 1000);
        assert_eq!(sizes.len(), 1000);
        assert_eq!(sizes.iter().sum::<u32>(), 100_000);
        assert_eq!(sizes[0], 20_000);
        assert!(sizes[1..10].iter().all(|&size| size == 2000));
        assert!(sizes[10..100].iter().all(|&size| size == 300));
        assert_eq!((sizes[100..].iter().min(), sizes[100..].iter().max()), (Some(&2), Some(&77)));
    }

    #[test]
    fn every_mix_has_all_elements_and_no_empty_pool() {
        for (elements, pools) in [
            (1, 1),
            (5, 1),
            (2, 2),
            (7, 7),
            (1000, 10),
            (1000, 999),
            (12_345, 77),
            (50_000, 50_000),
        ] {
            let sizes = pool_sizes(elements, pools);
            assert_eq!(sizes.len(), pools as usize);
            assert_eq!(sizes.iter().sum::<u32>(), elements, "{elements} in {pools}");
            assert!(sizes.iter().all(|&size| size > 0));
        }
        assert_eq!(pool_sizes(10, 0), Vec::<u32>::new());
    }

    #[test]
    fn even_pools_differ_by_one_element_at_most() {
        assert_eq!(even_sizes(10, 4), [3, 3, 2, 2]);
        assert_eq!(even_sizes(7, 1), [7]);
        assert_eq!(even_sizes(0, 0), [0; 0]);
    }

    #[test]
    fn identities_are_unique_and_lead_back_to_the_element() {
        let [population] = &layout(5000, 50).populations(1)[..] else { panic!("one thread") };
        let mut seen = HashSet::new();
        for element in 0..population.elements() {
            let (pe, pool) = (population.pe(element), population.pool_of(element));
            assert!(!pe.is_none());
            assert!(seen.insert(pe));
            assert_eq!(population.element(pool, pe), Some(element));
            let other = (pool + 1) % 50;
            assert_eq!(population.element(other, pe), None);
        }
        assert_eq!(population.element(0, PeId::new(0)), None);
    }

    #[test]
    fn threads_share_the_pools_without_overlap() {
        let populations = layout(5000, 50).populations(3);
        let handles: HashSet<_> =
            populations.iter().flat_map(|p| p.pools.iter().map(|pool| &pool.handle)).collect();
        assert_eq!(handles.len(), 50);
        for population in &populations {
            for (pool, number) in population.pools.iter().zip(0..) {
                assert_eq!(population.pool_with(&pool.handle), Some(number));
            }
        }
        assert_eq!(populations[0].pool_with(&populations[1].pools[0].handle), None);
        for stray in [&b""[..], b"-", b"load-1", b"load-00000007-99", b"load-00000008-3", b"\xff-3"]
        {
            assert!(populations.iter().all(|p| p.pool_with(stray).is_none()), "{stray:?}");
        }
        assert_eq!(populations.iter().map(Population::elements).sum::<u32>(), 5000);
    }

    #[test]
    fn some_weights_are_drained_but_never_a_whole_pool() {
        let [population] = &layout(10_000, 100).populations(1)[..] else { panic!("one thread") };
        let weighted = |pool: &&Pool| matches!(pool.policy, CheckedPolicy::WeightedRandom);
        let values: Vec<Vec<u32>> = population
            .pools
            .iter()
            .filter(weighted)
            .map(|pool| {
                (pool.first..pool.first + pool.size).map(|e| population.value(e, 0)).collect()
            })
            .collect();
        assert!(values.iter().flatten().any(|&weight| weight == 0));
        assert!(values.iter().all(|pool| pool[0] > 0));
        assert!(values.iter().flatten().all(|&weight| (weight as usize) < WEIGHTS));
    }
}
