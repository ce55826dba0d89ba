//! Deadlines of elements: what re-arming one costs.

use std::collections::BTreeSet;

use crate::measure::{Measured, Subject};
use crate::random::Random;

const NONE: u32 = u32::MAX;

/// A deadline for each element.
pub trait Timers {
    /// Its name in a report.
    const NAME: &'static str;

    /// So many elements, all with their deadline at 0.
    fn new(elements: u32) -> Self;

    /// Gives an element another deadline.
    fn rearm(&mut self, element: u32, deadline: u64);
}

/// An ordered set of (deadline, element).
#[derive(Debug)]
pub struct BTreeTimers {
    set: BTreeSet<(u64, u32)>,
    deadlines: Vec<u64>,
}

impl Timers for BTreeTimers {
    const NAME: &'static str = "BTreeSet of deadlines";

    fn new(elements: u32) -> Self {
        let set = (0..elements).map(|element| (0, element)).collect();
        Self { set, deadlines: vec![0; elements as usize] }
    }

    fn rearm(&mut self, element: u32, deadline: u64) {
        let old = std::mem::replace(&mut self.deadlines[element as usize], deadline);
        self.set.remove(&(old, element));
        self.set.insert((deadline, element));
    }
}

/// One level of lists, one for each tick of the longest interval.
#[derive(Debug)]
pub struct Wheel {
    heads: Vec<u32>,
    nodes: Vec<WheelNode>,
}

#[derive(Clone, Copy, Debug)]
struct WheelNode {
    previous: u32,
    next: u32,
    tick: u32,
}

const TICKS: u32 = 8192;

impl Wheel {
    fn link(&mut self, element: u32, tick: u32) {
        let next = std::mem::replace(&mut self.heads[tick as usize], element);
        self.nodes[element as usize] = WheelNode { previous: NONE, next, tick };
        if let Some(next) = self.nodes.get_mut(next as usize) {
            next.previous = element;
        }
    }
}

impl Timers for Wheel {
    const NAME: &'static str = "timing wheel";

    fn new(elements: u32) -> Self {
        let blank = WheelNode { previous: NONE, next: NONE, tick: 0 };
        let mut wheel =
            Self { heads: vec![NONE; TICKS as usize], nodes: vec![blank; elements as usize] };
        for element in 0..elements {
            wheel.link(element, 0);
        }
        wheel
    }

    fn rearm(&mut self, element: u32, deadline: u64) {
        let WheelNode { previous, next, tick } = self.nodes[element as usize];
        match self.nodes.get_mut(previous as usize) {
            Some(node) => node.next = next,
            None => self.heads[tick as usize] = next,
        }
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = previous;
        }
        self.link(element, u32::try_from(deadline % u64::from(TICKS)).unwrap_or(0));
    }
}

/// Only the deadline is written down; a timer that fires too early looks it
/// up and goes to sleep again.
#[derive(Debug)]
pub struct LazyDeadlines(Vec<u64>);

impl Timers for LazyDeadlines {
    const NAME: &'static str = "lazy deadlines";

    fn new(elements: u32) -> Self {
        Self(vec![0; elements as usize])
    }

    fn rearm(&mut self, element: u32, deadline: u64) {
        self.0[element as usize] = deadline;
    }
}

/// The operations, in the order of [`Bench::run`]'s match.
pub const OPERATIONS: [&str; 2] = ["timer rearm in order", "timer rearm at random"];

const CHUNK: u64 = 1024;

/// One structure of deadlines.
#[derive(Debug)]
pub struct Bench<T> {
    timers: T,
    elements: u32,
    next: u32,
    now: u64,
    random: Random,
    script: Vec<u32>,
}

impl<T: Timers> Bench<T> {
    /// So many elements with their deadlines spread over one interval.
    #[must_use]
    pub fn new(elements: u32) -> Self {
        let mut random = Random::new(u64::from(elements));
        let mut timers = T::new(elements);
        for element in random.permutation(elements) {
            timers.rearm(element, u64::from(random.below(TICKS)));
        }
        Self { timers, elements, next: 0, now: 0, random, script: Vec::new() }
    }
}

impl<T: Timers> Subject for Bench<T> {
    fn name(&self) -> String {
        T::NAME.to_owned()
    }

    fn operations(&self) -> Vec<&'static str> {
        OPERATIONS.to_vec()
    }

    fn elements(&self) -> u64 {
        u64::from(self.elements)
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        while measured.calls < calls {
            self.script.clear();
            for _ in 0..CHUNK {
                self.next = (self.next + 1) % self.elements;
                let random = self.random.below(self.elements);
                self.script.push(if operation == 0 { self.next } else { random });
            }
            measured.time(CHUNK, || {
                for (count, &element) in self.script.iter().enumerate() {
                    self.timers.rearm(element, self.now + count as u64 / 64);
                }
                CHUNK
            });
            self.now += CHUNK / 64;
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rearmed_element_is_in_the_list_of_its_tick_alone() {
        let mut wheel = Wheel::new(20);
        let mut random = Random::new(9);
        let mut expected = vec![0; 20];
        for _ in 0..500 {
            let (element, tick) = (random.below(20), random.below(5));
            wheel.rearm(element, u64::from(tick) + 3 * u64::from(TICKS));
            expected[element as usize] = tick;
        }
        let mut found = vec![NONE; 20];
        for (tick, &head) in wheel.heads.iter().enumerate() {
            let mut at = head;
            while let Some(node) = wheel.nodes.get(at as usize) {
                assert_eq!(found[at as usize], NONE);
                found[at as usize] = u32::try_from(tick).unwrap();
                at = node.next;
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn the_set_of_deadlines_holds_each_element_once() {
        let mut bench = Bench::<BTreeTimers>::new(30);
        bench.run(1, 5000);
        assert_eq!(bench.timers.set.len(), 30);
        let timers = &bench.timers;
        assert!(timers.set.iter().all(|&(at, element)| timers.deadlines[element as usize] == at));
    }
}
