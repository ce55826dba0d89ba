//! Faults in random order: whatever happened, once the network is whole again
//! all registrars know the same elements, all that live are among them, and
//! none that left.

use core::time::Duration;
use std::collections::BTreeMap;

use proptest::test_runner::{Config, TestRunner};
use rserpool_engine::{AssociationId, Policy};

use super::cluster::{Cluster, agent_address};

const SECOND: Duration = Duration::from_secs(1);
const NODES: usize = 3;

/// A pool element that keeps itself registered.
struct Living {
    node: usize,
    association: AssociationId,
    load: u32,
}

struct World {
    cluster: Cluster,
    living: BTreeMap<u32, Living>,
    next: u32,
    random: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let shards = if seed.is_multiple_of(3) { 2 } else { 1 };
        let mut cluster = Cluster::with(NODES, shards, |_| ());
        cluster.start_all();
        Self { cluster, living: BTreeMap::new(), next: 1, random: seed }
    }

    fn draw(&mut self, below: u32) -> u32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(self.random >> 33).unwrap() % below
    }

    fn node(&mut self) -> usize {
        self.draw(3) as usize
    }

    fn pool(pe: u32) -> String {
        format!("pool-{}", pe % 5)
    }

    fn is_up(&self, node: usize) -> bool {
        self.cluster.nodes[node].serving && !self.cluster.is_frozen(node)
    }

    /// The element registers, or registers again, where it can.
    fn register(&mut self, pe: u32, load: u32) {
        let there = self.living.get(&pe).map(|it| (it.node, it.association));
        if let Some((node, association)) = there.filter(|(node, id)| {
            self.is_up(*node) && self.cluster.nodes[*node].shards[0].peer(*id).is_some()
        }) {
            let policy = Policy::LeastUsed { load };
            self.cluster.register_over(node, association, &Self::pool(pe), pe, policy);
            self.living.get_mut(&pe).unwrap().load = load;
            return;
        }
        let first = self.node();
        let node = (0..NODES).map(|by| (first + by) % NODES).find(|node| self.is_up(*node));
        let Some(node) = node else { return };
        let policy = Policy::LeastUsed { load };
        let association = self.cluster.register_with(node, &Self::pool(pe), pe, policy);
        self.living.insert(pe, Living { node, association, load });
    }

    fn leave(&mut self, pe: u32) {
        let Some(living) = self.living.get(&pe) else { return };
        let (node, id) = (living.node, living.association);
        if !self.is_up(node) || self.cluster.nodes[node].shards[0].peer(id).is_none() {
            return;
        }
        // What its registrar acknowledges, counts.
        let home = self.cluster.nodes[node].id.get();
        if self.cluster.elements(node).get(&(Self::pool(pe), pe)) != Some(&home) {
            return;
        }
        self.living.remove(&pe);
        self.cluster.deregister(node, id, &Self::pool(pe), pe);
        self.cluster.agents.get_mut(&agent_address(pe)).unwrap().alive = false;
    }

    fn die(&mut self, pe: u32) {
        if self.living.remove(&pe).is_some() {
            self.cluster.agents.get_mut(&agent_address(pe)).unwrap().alive = false;
        }
    }

    fn renew_all(&mut self) {
        let all: Vec<_> = self.living.iter().map(|(pe, it)| (*pe, it.load)).collect();
        for (pe, load) in all {
            self.register(pe, load);
        }
    }

    fn some_element(&mut self) -> Option<u32> {
        let count = u32::try_from(self.living.len()).unwrap();
        let at = (count > 0).then(|| self.draw(count))?;
        self.living.keys().nth(at as usize).copied()
    }

    fn step(&mut self) {
        let op = self.draw(24);
        match op {
            0..=5 => {
                let pe = self.next;
                self.next += 1;
                self.register(pe, 1);
            }
            6..=8 => {
                let load = self.draw(100);
                if let Some(pe) = self.some_element() {
                    self.register(pe, load);
                }
            }
            9 => {
                // It moves.
                if let Some(pe) = self.some_element() {
                    let living = self.living.get(&pe).unwrap();
                    let (node, id) = (living.node, living.association);
                    if self.is_up(node) {
                        let now = self.cluster.now;
                        self.cluster.nodes[node].shards[0].close(now, id);
                    }
                    self.register(pe, 5);
                }
            }
            10 | 11 => {
                if let Some(pe) = self.some_element() {
                    self.leave(pe);
                }
            }
            12 => {
                if let Some(pe) = self.some_element() {
                    self.die(pe);
                }
            }
            13..=18 => self.disturb(op),
            19 => {
                let (a, b) = (self.node(), self.node());
                self.cluster.cut(a, b);
                if self.draw(2) == 0 {
                    self.cluster.disconnect(a, b);
                }
            }
            20 | 21 => self.cluster.heal(),
            22 => {
                let node = self.node();
                if !self.cluster.agents_cut.remove(&node) {
                    self.cluster.agents_cut.insert(node);
                }
            }
            _ => self.renew_all(),
        }
        let wait = Duration::from_millis(u64::from(self.draw(2500)));
        self.cluster.pass(wait);
    }

    /// Something happens to a registrar.
    fn disturb(&mut self, op: u32) {
        match op {
            13 => {
                let node = self.node();
                if (0..NODES).filter(|it| self.is_up(*it)).count() > 1 {
                    self.cluster.kill(node);
                }
            }
            14 | 15 => {
                let node = self.node();
                if self.cluster.nodes[node].shards.is_empty() {
                    self.cluster.start(node);
                }
            }
            16 => {
                let node = self.node();
                if !self.cluster.nodes[node].shards.is_empty() {
                    self.cluster.freeze(node);
                }
            }
            _ => {
                let node = self.node();
                self.cluster.thaw(node);
            }
        }
    }

    /// The network is whole, everybody runs, elements renew as they do.
    fn recover(&mut self) {
        self.cluster.heal();
        self.cluster.agents_cut.clear();
        for node in 0..NODES {
            self.cluster.thaw(node);
            if self.cluster.nodes[node].shards.is_empty() {
                self.cluster.start(node);
            }
        }
        for _ in 0..10 {
            self.cluster.pass(SECOND * 2);
            self.renew_all();
        }
        self.cluster.pass(SECOND * 20);
    }

    fn check(&self) {
        self.cluster.assert_equal();
        let found: Vec<_> = self.cluster.elements(0).into_keys().map(|(_, pe)| pe).collect();
        let mut living: Vec<_> = self.living.keys().map(|pe| (Self::pool(*pe), *pe)).collect();
        living.sort();
        let living: Vec<_> = living.into_iter().map(|(_, pe)| pe).collect();
        assert_eq!(found, living);
        for (pe, living) in &self.living {
            for node in 0..NODES {
                let load = Some(Policy::LeastUsed { load: living.load });
                assert_eq!(
                    self.cluster.policy(node, &Self::pool(*pe), *pe),
                    load,
                    "{pe} at {node}"
                );
            }
        }
    }
}

fn run(seed: u64, steps: u32) {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.recover();
    world.check();
}

#[test]
fn after_any_faults_all_registrars_know_all_that_live_and_nobody_else() {
    let cases = Config { cases: 60, ..Config::default() };
    let mut runner = TestRunner::new(cases);
    runner
        .run(&(0..u64::from(u32::MAX), 5..60_u32), |(seed, steps)| {
            run(seed, steps);
            Ok(())
        })
        .unwrap();
}

/// What a registrar refused to hear from one that was not the home, it has to
/// ask for when that becomes the home.
#[test]
fn a_home_by_takeover_is_asked_for_what_it_knew_before() {
    run(4_034_774_087, 23);
}
