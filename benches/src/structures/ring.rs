//! Queues for Round Robin: the first element becomes the last.

use std::collections::VecDeque;
use std::hint::black_box;

use crate::measure::{Measured, Subject};
use crate::random::Random;

const NONE: u32 = u32::MAX;

/// A queue of elements.
pub trait Queue {
    /// Its name in a report.
    const NAME: &'static str;

    /// These elements in this order.
    fn new(order: &[u32]) -> Self;

    /// Makes the first element the last and returns it.
    fn rotate(&mut self) -> u32;

    /// Makes the first `count` elements, in their order, the last ones.
    fn rotate_many(&mut self, count: usize, into: &mut Vec<u32>) {
        into.clear();
        into.extend((0..count).map(|_| self.rotate()));
    }
}

/// Elements in an array with a moving start: what comes next is known, so the
/// processor fetches it early.
#[derive(Debug)]
pub struct Ring(VecDeque<u32>);

impl Queue for Ring {
    const NAME: &'static str = "ring";

    fn new(order: &[u32]) -> Self {
        Self(order.iter().copied().collect())
    }

    fn rotate(&mut self) -> u32 {
        let first = self.0.pop_front().unwrap_or(NONE);
        self.0.push_back(first);
        first
    }
}

/// Elements in a doubly linked list by index: leaving it in the middle is O(1).
#[derive(Debug)]
pub struct LinkedFifo {
    links: Vec<[u32; 2]>,
    first: u32,
    last: u32,
}

impl Queue for LinkedFifo {
    const NAME: &'static str = "linked list";

    fn new(order: &[u32]) -> Self {
        let mut queue = Self { links: vec![[NONE; 2]; order.len()], first: NONE, last: NONE };
        for &element in order {
            queue.push(element);
        }
        queue
    }

    fn rotate(&mut self) -> u32 {
        let first = self.first;
        let second = self.links[first as usize][1];
        if second != NONE {
            self.first = second;
            self.links[second as usize][0] = NONE;
            self.push(first);
        }
        first
    }
}

impl LinkedFifo {
    fn push(&mut self, element: u32) {
        self.links[element as usize] = [self.last, NONE];
        match self.links.get_mut(self.last as usize) {
            Some(last) => last[1] = element,
            None => self.first = element,
        }
        self.last = element;
    }
}

/// The operations, in the order of [`Bench::run`]'s match. The first touches
/// only the queue; the others also read a line of the selected element.
pub const OPERATIONS: [&str; 3] = ["rotate", "rotate and read", "rotate 10 and read"];

/// What is kept of an element elsewhere.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(u64);

const CHUNK: u64 = 1024;

/// One queue, and a cache line for each element.
#[derive(Debug)]
pub struct Bench<Q> {
    queue: Q,
    lines: Vec<Line>,
    drawn: Vec<u32>,
}

impl<Q: Queue> Bench<Q> {
    /// The queue of so many elements in random order.
    #[must_use]
    pub fn new(elements: u32) -> Self {
        let order = Random::new(u64::from(elements)).permutation(elements);
        let lines = (0..u64::from(elements)).map(Line).collect();
        Self { queue: Q::new(&order), lines, drawn: Vec::new() }
    }
}

impl<Q: Queue> Subject for Bench<Q> {
    fn name(&self) -> String {
        Q::NAME.to_owned()
    }

    fn operations(&self) -> Vec<&'static str> {
        OPERATIONS.to_vec()
    }

    fn elements(&self) -> u64 {
        self.lines.len() as u64
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        let (queue, lines) = (&mut self.queue, &self.lines);
        let many = lines.len().min(10);
        while measured.calls < calls {
            match operation {
                0 => measured.time(CHUNK, || (0..CHUNK).map(|_| u64::from(queue.rotate())).sum()),
                1 => measured.time(CHUNK, || {
                    (0..CHUNK).map(|_| black_box(lines[queue.rotate() as usize]).0).sum()
                }),
                _ => measured.time(CHUNK, || {
                    let mut sum = 0_u64;
                    for _ in 0..CHUNK {
                        queue.rotate_many(many, &mut self.drawn);
                        for &element in &self.drawn {
                            sum = sum.wrapping_add(black_box(lines[element as usize]).0);
                        }
                    }
                    sum
                }),
            }
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_round<Q: Queue>() {
        let mut queue = Q::new(&[3, 1, 0, 2]);
        let turns: Vec<u32> = (0..9).map(|_| queue.rotate()).collect();
        assert_eq!(turns, [3, 1, 0, 2, 3, 1, 0, 2, 3], "{}", Q::NAME);
        let mut one = Q::new(&[0]);
        assert_eq!([one.rotate(), one.rotate()], [0, 0]);
    }

    #[test]
    fn queues_come_round() {
        comes_round::<Ring>();
        comes_round::<LinkedFifo>();
    }
}
