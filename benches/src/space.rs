//! A handlespace of a given shape and policy, and every operation on it.
//!
//! Inputs are prepared in chunks outside the measured time. Each chunk is
//! fresh, so no branch predictor learns it by heart.

mod batch;
mod lifecycle;
mod lookup;
mod selection;
mod table;
mod timers;
mod trace;

use std::time::Duration;

use rserpool_engine::{
    Config, Due, ElementKey, Handlespace, Outcome, PolicyKind, Resolution, TableCursor, Timestamp,
};

use crate::measure::{Measured, Subject};
use crate::population::{LIFE, OWN, Prepared};
use crate::random::Random;
use crate::shape::Shape;

pub use trace::Call;

/// Inputs prepared at a time.
const CHUNK: u32 = 1024;

const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Selections for each element before their degradations are reset.
const SELECTIONS_PER_ELEMENT_MAX: u64 = 300;

/// One handlespace full of elements.
#[derive(Debug)]
pub struct Space {
    shape: Shape,
    kind: PolicyKind,
    handlespace: Handlespace,
    /// By element.
    keys: Vec<ElementKey>,
    /// How often each element changed.
    versions: Vec<u32>,
    /// The elements at random, and how far they were used.
    order: Vec<u32>,
    used: usize,
    now: Timestamp,
    /// When all registrations were renewed.
    renewed: Timestamp,
    random: Random,
    selections: u64,
    resolution: Resolution,
    cursor: TableCursor,
    page: Vec<ElementKey>,
    /// Where the audit of the checksum stands, and how many it has seen.
    audited: TableCursor,
    audited_elements: u64,
}

impl Space {
    /// Registers all elements of the shape, in random order.
    ///
    /// # Panics
    /// If the engine refuses one.
    #[must_use]
    pub fn new(shape: Shape, kind: PolicyKind) -> Self {
        let mut random = Random::new(u64::from(shape.elements()));
        let config = Config {
            registrar: OWN,
            seed: random.bits(),
            keep_alive_interval: KEEP_ALIVE_INTERVAL,
            keep_alive_timeout: KEEP_ALIVE_INTERVAL,
            ..Config::default()
        };
        let mut handlespace = Handlespace::new(config);
        let order = random.permutation(shape.elements());
        let now = Timestamp::from_micros(1);
        let mut keys = vec![None; order.len()];
        for &element in &order {
            let prepared = Prepared::new(shape, kind, element, 0);
            let registered = handlespace.register(now, &prepared.registration());
            keys[element as usize] = registered.ok().map(|registered| registered.key);
        }
        let keys: Option<Vec<ElementKey>> = keys.into_iter().collect();
        Self {
            shape,
            kind,
            handlespace,
            keys: keys.expect("the configuration has room for every element"),
            versions: vec![0; order.len()],
            order: random.permutation(shape.elements()),
            used: 0,
            now,
            renewed: now,
            random,
            selections: 0,
            resolution: Resolution::default(),
            cursor: TableCursor::default(),
            page: Vec::new(),
            audited: TableCursor::default(),
            audited_elements: 0,
        }
    }

    /// The handlespace.
    #[must_use]
    pub const fn handlespace(&self) -> &Handlespace {
        &self.handlespace
    }

    /// The number of elements.
    fn elements(&self) -> u32 {
        self.shape.elements()
    }

    /// A different set of distinct elements each time, at random places:
    /// at most a quarter of all, so that pools do not run empty.
    fn window(&mut self) -> Vec<u32> {
        let count = (self.order.len() / 4).clamp(1, CHUNK as usize);
        if self.used + count > self.order.len() {
            self.used = 0;
        }
        let window = &self.order[self.used..self.used + count];
        self.used += count;
        window.to_vec()
    }

    /// The registration of an element as it is now.
    fn prepare(&self, element: u32) -> Prepared {
        Prepared::new(self.shape, self.kind, element, self.versions[element as usize])
    }

    /// The registration of an element with changed attributes.
    fn prepare_changed(&mut self, element: u32) -> Prepared {
        let version = &mut self.versions[element as usize];
        *version = version.wrapping_add(1);
        self.prepare(element)
    }

    /// Lets time pass. Every registration is renewed long before it ends.
    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        if self.now.since(self.renewed) > LIFE / 4 {
            self.renewed = self.now;
            let order = std::mem::take(&mut self.order);
            self.restore(&order);
            self.order = order;
        }
    }

    /// What is due next. A single poll looks at a bounded number of elements.
    fn next_due(&mut self) -> Option<Due> {
        loop {
            let due = self.handlespace.poll_due(self.now);
            let more = self.handlespace.next_deadline().is_some_and(|at| at <= self.now);
            if due.is_some() || !more {
                return due;
            }
        }
    }

    /// Answers every keep-alive that is due.
    fn answer_keep_alives(&mut self) {
        while let Some(due) = self.next_due() {
            let Due::KeepAlive(key) = due else {
                panic!("nothing but keep-alives is due: {due:?}");
            };
            self.handlespace.keep_alive_acked(self.now, key);
        }
    }

    /// Registers elements again as they are, untimed.
    fn restore(&mut self, elements: &[u32]) {
        for &element in elements {
            let prepared = self.prepare(element);
            let registered = self.handlespace.register(self.now, &prepared.registration());
            let registered = registered.expect("the element was registered before");
            self.keys[element as usize] = registered.key;
        }
    }

    /// Resets the degradation of every element once there were many
    /// selections, as re-registrations do in a real pool.
    fn selected(&mut self, selections: u64) {
        self.selections += selections;
        if self.selections > SELECTIONS_PER_ELEMENT_MAX * u64::from(self.elements()) {
            self.selections = 0;
            let order = std::mem::take(&mut self.order);
            for &element in &order {
                self.versions[element as usize] = self.versions[element as usize].wrapping_add(1);
            }
            self.restore(&order);
            self.order = order;
        }
    }
}

/// One operation on a [`Space`].
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    run: fn(&mut Space, &mut Measured),
}

/// Every operation. Each call of `run` measures one chunk.
const OPERATIONS: [Operation; 26] = [
    Operation { name: "find", run: Space::find },
    Operation { name: "find and read", run: Space::find_and_read },
    Operation { name: "register new", run: Space::register_new },
    Operation { name: "reregister unchanged", run: Space::reregister_unchanged },
    Operation { name: "reregister changed", run: Space::reregister_changed },
    Operation { name: "deregister", run: Space::deregister },
    Operation { name: "resolve 1", run: |space, measured| space.resolve(1, measured) },
    Operation { name: "resolve 3", run: |space, measured| space.resolve(3, measured) },
    Operation { name: "resolve 10", run: |space, measured| space.resolve(10, measured) },
    Operation { name: "resolve 3 and copy", run: Space::resolve_and_copy },
    Operation { name: "mix", run: Space::mix },
    Operation { name: "report unreachable", run: Space::report_unreachable },
    Operation { name: "timer rearm", run: Space::timer_rearm },
    Operation { name: "keep-alive step", run: Space::keep_alive_step },
    Operation { name: "expiry", run: Space::expiry },
    Operation { name: "takeover per element", run: Space::take_over },
    Operation { name: "walk per element", run: Space::walk },
    Operation { name: "export per element", run: Space::export },
    Operation { name: "checksum", run: Space::checksum },
    Operation { name: "checksum audit per element", run: Space::checksum_audit },
    Operation { name: "touch, dependent", run: Space::touch_dependent },
    Operation { name: "touch, batch", run: Space::touch_batch },
    Operation { name: "reregister changed, dependent", run: Space::reregister_dependent },
    Operation { name: "reregister changed, batch", run: Space::reregister_batch },
    Operation { name: "resolve 3, dependent", run: Space::resolve_dependent },
    Operation { name: "resolve 3, batch", run: Space::resolve_batch },
];

/// The name of a space of this policy and shape.
#[must_use]
pub fn name(kind: PolicyKind, shape: Shape) -> String {
    format!("{kind:?}/{shape}")
}

/// The names of all operations.
pub fn operation_names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|operation| operation.name)
}

impl Subject for Space {
    fn name(&self) -> String {
        name(self.kind, self.shape)
    }

    fn operations(&self) -> Vec<&'static str> {
        operation_names().collect()
    }

    fn elements(&self) -> u64 {
        u64::from(self.shape.elements())
    }

    fn run(&mut self, operation: usize, calls: u64) -> Measured {
        let mut measured = Measured::default();
        let Some(operation) = OPERATIONS.get(operation) else { return measured };
        while measured.calls < calls {
            (operation.run)(self, &mut measured);
            self.pass(Duration::from_millis(1));
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_leaves_the_space_as_full_as_it_was() {
        for shape in [Shape::new(1, 100), Shape::new(20, 10)] {
            for kind in PolicyKind::ALL {
                let mut space = Space::new(shape, kind);
                for (operation, name) in operation_names().enumerate() {
                    let measured = space.run(operation, 500);
                    assert!(measured.calls >= 500, "{name}");
                    assert_ne!(measured.sum, 0, "{name} leaves a trace");
                    let stats = space.handlespace.stats();
                    assert_eq!(stats.elements, shape.elements(), "{name}");
                    assert_eq!(stats.own_elements, shape.elements(), "{name}");
                    assert_eq!(stats.pools, shape.pools, "{name}");
                }
                space.handlespace.assert_invariants();
            }
        }
    }

    #[test]
    fn equal_spaces_make_equal_calls() {
        let shape = Shape::new(1, 400);
        for call in Call::ALL {
            let [mut one, mut other] = [(); 2].map(|()| Space::new(shape, PolicyKind::LeastUsed));
            let (mut times, mut others) = (Vec::new(), Vec::new());
            for _ in 0..5 {
                one.trace(call, &mut times);
                other.trace(call, &mut others);
            }
            assert!(!times.is_empty(), "{call:?}");
            assert_eq!(times.len(), others.len(), "{call:?}");
            assert_eq!(one.keys, other.keys, "{call:?}");
            assert_eq!(one.handlespace.stats().elements, 400, "{call:?}");
            one.handlespace.assert_invariants();
        }
    }
}
