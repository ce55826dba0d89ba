//! Ordered sets under the operations of the ordered policies.

use std::hint::black_box;

use crate::measure::{Measured, Subject};
use crate::random::Random;

/// What an element is ordered by: a load or priority, then a sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The load or priority.
    pub rank: u64,
    /// Unique among all keys.
    pub sequence: u64,
}

/// A set of elements in the order of their keys.
pub trait Ordered {
    /// Its name in a report.
    const NAME: &'static str;
    /// Whether it can be searched by key at all.
    const SEARCHED: bool = true;
    /// Whether it has a way to do many changes at once.
    const BATCHED: bool = false;

    /// The elements from 0 with these keys.
    fn new(keys: &[Key]) -> Self;

    /// The element with this key.
    fn find(&self, key: Key) -> Option<u32>;

    /// Gives an element, which has the key `old`, another one.
    fn rekey(&mut self, element: u32, old: Key, new: Key);

    /// Gives elements, which have the keys of the second place, those of the
    /// third.
    fn rekey_many(&mut self, changes: &[(u32, Key, Key)]) {
        for &(element, old, new) in changes {
            self.rekey(element, old, new);
        }
    }

    /// Gives the first element the key that `change` makes of its own, and
    /// says which that was.
    fn rekey_first(&mut self, change: impl FnOnce(Key) -> Key) -> Option<(Key, u32)>;

    /// Visits the first elements in their order until `visit` says no.
    fn each(&self, visit: impl FnMut(Key, u32) -> bool);

    /// Panics if the structure does not hold what it should.
    fn assert_consistent(&self);
}

/// The operations, in the order of [`Bench::run`]'s match. Not every structure
/// has the first and the last.
pub const OPERATIONS: [&str; 9] = [
    "find",
    "rekey",
    "first reinsert",
    "first reinsert bump",
    "first to last",
    "first 10",
    "select 10",
    "walk per element",
    "rekey, batch",
];

const CHUNK: u64 = 1024;

/// One ordered structure, and the keys its elements have.
#[derive(Debug)]
pub struct Bench<S> {
    set: S,
    keys: Vec<Key>,
    random: Random,
    sequence: u64,
    script: Vec<(u32, Key, Key)>,
}

impl<S: Ordered> Bench<S> {
    /// The structure with so many elements of random rank.
    #[must_use]
    pub fn new(elements: u32) -> Self {
        let mut random = Random::new(u64::from(elements));
        let keys: Vec<Key> = (0..u64::from(elements))
            .map(|sequence| Key { rank: random.bits() >> 32, sequence })
            .collect();
        let set = S::new(&keys);
        Self { set, keys, random, sequence: u64::from(elements), script: Vec::new() }
    }

    /// Checks the structure against the keys.
    ///
    /// # Panics
    /// If they differ.
    pub fn assert_consistent(&self) {
        self.set.assert_consistent();
        let mut expected: Vec<(Key, u32)> = self.keys.iter().copied().zip(0..).collect();
        expected.sort_unstable();
        let mut walked = Vec::new();
        self.set.each(|key, element| {
            walked.push((key, element));
            true
        });
        assert_eq!(walked, expected, "{}", S::NAME);
    }

    fn fresh(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Random elements with their keys and new ones of random rank.
    fn fill(&mut self, count: u64) {
        self.script.clear();
        for _ in 0..count {
            let element = self.random.below(u32::try_from(self.keys.len()).unwrap_or(u32::MAX));
            let new = Key { rank: self.random.bits() >> 32, sequence: self.fresh() };
            if let Some(key) = self.keys.get_mut(element as usize) {
                self.script.push((element, *key, new));
                *key = new;
            }
        }
    }

    fn find(&mut self, measured: &mut Measured) {
        let elements = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.script.clear();
        for _ in 0..CHUNK {
            let element = self.random.below(elements);
            let key = self.keys.get(element as usize).copied().unwrap_or_default();
            self.script.push((element, key, key));
        }
        measured.time(CHUNK, || {
            let hits = self.script.iter().filter(|&&(element, key, _)| {
                black_box(self.set.find(key)).is_some_and(|found| found == element)
            });
            hits.count() as u64
        });
    }

    fn rekey(&mut self, measured: &mut Measured) {
        self.fill(CHUNK);
        measured.time(CHUNK, || {
            for &(element, old, new) in &self.script {
                self.set.rekey(element, old, new);
            }
            CHUNK
        });
    }

    fn rekey_batch(&mut self, measured: &mut Measured) {
        self.fill(CHUNK);
        measured.time(CHUNK, || {
            self.set.rekey_many(&self.script);
            CHUNK
        });
    }

    /// The first element gets the rank `rank` makes of its own, and a newer
    /// sequence number.
    fn reinsert(&mut self, measured: &mut Measured, rank: impl Fn(&mut Random, u64) -> u64) {
        let (set, random, keys) = (&mut self.set, &mut self.random, &mut self.keys);
        let sequence = &mut self.sequence;
        measured.time(CHUNK, || {
            for _ in 0..CHUNK {
                *sequence += 1;
                let new = |old: Key| Key { rank: rank(random, old.rank), sequence: *sequence };
                if let Some((key, element)) = set.rekey_first(new) {
                    keys[element as usize] = key;
                }
            }
            CHUNK
        });
    }

    fn first_10(&self, measured: &mut Measured) {
        let set = &self.set;
        measured.time(CHUNK, || (0..CHUNK).map(|_| sum_of_first(black_box(set), 10)).sum());
    }

    /// A selection of ten: all get a newer sequence number, as Least Used does.
    fn select_10(&mut self, measured: &mut Measured) {
        let (set, keys, sequence) = (&mut self.set, &mut self.keys, &mut self.sequence);
        measured.time(CHUNK / 8, || {
            let mut selected: Vec<(Key, u32)> = Vec::with_capacity(10);
            for _ in 0..CHUNK / 8 {
                selected.clear();
                set.each(|key, element| {
                    selected.push((key, element));
                    selected.len() < 10
                });
                for &(old, element) in &selected {
                    *sequence += 1;
                    let new = Key { rank: old.rank, sequence: *sequence };
                    set.rekey(element, old, new);
                    keys[element as usize] = new;
                }
            }
            CHUNK / 8
        });
    }

    fn walk(&self, measured: &mut Measured) {
        let set = &self.set;
        measured.time(self.keys.len() as u64, || sum_of_first(set, usize::MAX));
    }
}

fn sum_of_first<S: Ordered>(set: &S, count: usize) -> u64 {
    let (mut sum, mut left) = (0, count);
    set.each(|_, element| {
        sum += u64::from(element);
        left -= 1;
        left > 0
    });
    sum
}

impl<S: Ordered> Subject for Bench<S> {
    fn name(&self) -> String {
        S::NAME.to_owned()
    }

    fn operations(&self) -> Vec<&'static str> {
        let end = OPERATIONS.len() - usize::from(!S::BATCHED);
        OPERATIONS[usize::from(!S::SEARCHED)..end].to_vec()
    }

    fn elements(&self) -> u64 {
        self.keys.len() as u64
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        while measured.calls < calls {
            match operation + usize::from(!S::SEARCHED) {
                0 => self.find(&mut measured),
                1 => self.rekey(&mut measured),
                2 => self.reinsert(&mut measured, |_, rank| rank),
                3 => self.reinsert(&mut measured, |random, rank| rank + (random.bits() >> 39)),
                4 => self.reinsert(&mut measured, |_, rank| rank + (1 << 32)),
                5 => self.first_10(&mut measured),
                6 => self.select_10(&mut measured),
                7 => self.walk(&mut measured),
                _ => self.rekey_batch(&mut measured),
            }
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structures::{
        btree::BTree, engine_tree::EngineTree, intrusive::RedBlack, list::SortedList, treap::Treap,
    };

    const ORDER: [&str; 10] = [
        "rekey",
        "first reinsert",
        "first reinsert bump",
        "select 10",
        "rekey, batch",
        "first to last",
        "find",
        "first reinsert bump",
        "first 10",
        "walk per element",
    ];

    fn every_operation_keeps_it_consistent<S: Ordered>() {
        for elements in [10, 37, 500] {
            let mut bench = Bench::<S>::new(elements);
            let operations = bench.operations();
            for name in ORDER {
                let operation = operations.iter().position(|&listed| listed == name);
                let Some(operation) = operation else { continue };
                let measured = bench.run(operation, 3000);
                assert!(measured.calls >= 3000);
                if name == "find" {
                    assert_eq!(measured.sum, measured.calls, "{} finds every key", S::NAME);
                }
                bench.assert_consistent();
            }
        }
    }

    #[test]
    fn every_structure_holds_the_order_under_every_operation() {
        every_operation_keeps_it_consistent::<BTree>();
        every_operation_keeps_it_consistent::<EngineTree>();
        every_operation_keeps_it_consistent::<RedBlack>();
        every_operation_keeps_it_consistent::<SortedList>();
        every_operation_keeps_it_consistent::<Treap>();
    }
}
