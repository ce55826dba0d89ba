//! A registrar as simple as can be, to try the model and the audit against.

use crate::draw::{Purpose, draw_below};
use crate::population::{CheckedPolicy, Population};

#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    population: Population,
    /// Elements with their values, in the order of the rotation.
    pools: Vec<Vec<(u32, u32)>>,
    seed: u64,
    draws: u64,
}

impl Oracle {
    pub(crate) fn new(population: Population, seed: u64) -> Self {
        let pools = vec![Vec::new(); population.pools.len()];
        Self { population, pools, seed, draws: 0 }
    }

    pub(crate) fn draw(&mut self, bound: u32) -> u32 {
        self.draws += 1;
        draw_below(self.seed, Purpose::Element, self.draws, bound)
    }

    pub(crate) fn register(&mut self, element: u32, value: u32) {
        let pool = &mut self.pools[self.population.pool_of(element) as usize];
        match pool.iter_mut().find(|(e, _)| *e == element) {
            Some((_, old)) => *old = value,
            None => pool.push((element, value)),
        }
    }

    pub(crate) fn knows(&self, element: u32) -> bool {
        let pool = &self.pools[self.population.pool_of(element) as usize];
        pool.iter().any(|&(e, _)| e == element)
    }

    pub(crate) fn deregister(&mut self, element: u32) {
        self.pools[self.population.pool_of(element) as usize].retain(|(e, _)| *e != element);
    }

    /// The elements selected, with their values; `None`: unknown pool.
    pub(crate) fn resolve(&mut self, pool: u32, items: u32) -> Option<Vec<(u32, u32)>> {
        let mut members = self.pools[pool as usize].clone();
        if members.is_empty() {
            return None;
        }
        match self.population.pool(pool).policy {
            CheckedPolicy::RoundRobin => self.pools[pool as usize].rotate_left(1),
            CheckedPolicy::LeastUsed => members.sort_by_key(|&(_, load)| load),
            CheckedPolicy::WeightedRandom => members = self.by_weight(members, items as usize),
        }
        members.truncate(items as usize);
        Some(members)
    }

    fn by_weight(&mut self, mut members: Vec<(u32, u32)>, items: usize) -> Vec<(u32, u32)> {
        let mut selected = Vec::new();
        members.retain(|&(_, weight)| weight > 0);
        while selected.len() < items && !members.is_empty() {
            let sum: u32 = members.iter().map(|(_, weight)| weight).sum();
            let mut ballot = self.draw(sum);
            let chosen = members.iter().position(|&(_, weight)| {
                let found = ballot < weight;
                ballot = ballot.saturating_sub(weight);
                found
            });
            selected.push(members.swap_remove(chosen.unwrap()));
        }
        selected
    }
}
