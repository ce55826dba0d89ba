//! What the registrar must know: the model every answer is checked against.
//!
//! Each request and each answer gets a tick of one logical clock. An element
//! is registered *for certain* from the tick at which its registration was
//! acknowledged to the tick at which its deregistration was sent, and
//! *possibly* from the tick at which its registration was sent to the tick at
//! which its deregistration was acknowledged. A resolution is under way from
//! the tick it was sent at to the tick of its answer. An answer may have only
//! elements that were possibly registered at some tick of that interval, and
//! must not miss one that was registered for certain throughout, where the
//! policy or the number of items leaves it no choice. The same goes for the
//! values (load, weight) while a re-registration is in flight.
//!
//! All pools of a model are resolved over one association each, so that the
//! answers of a pool come in the order in which the registrar selected.

mod check;
#[cfg(test)]
pub(crate) mod oracle;
mod order;
mod spread;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub(crate) use check::{Answer, Answered};
pub(crate) use spread::Spread;

use crate::fault::Faults;
use crate::population::{CheckedPolicy, Population, WEIGHTS};
use order::Position;

/// Where an element's registration stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not registered, and no request under way.
    #[default]
    Absent,
    Registering,
    Registered,
    Reregistering,
    Deregistering,
    /// Its association is gone, and the registrar has to find out.
    Cut,
}

/// What answers are held to beside what is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The answers of a pool come in the order of selection, so that the
    /// places in its rotation are known.
    pub(crate) rotation: bool,
    /// One registrar answers. In a group, what one knows the others know a
    /// moment later.
    pub(crate) alone: bool,
}

#[cfg(test)]
impl Rules {
    /// One registrar, and one association to it for each pool.
    pub(crate) const ALL: Self = Self { rotation: true, alone: true };
}

#[derive(Clone, Copy, Debug, Default)]
struct Element {
    status: Status,
    /// Whether it counts as selectable for certain in its pool.
    counted: bool,
    /// How often its registration was sent.
    generation: u32,
    /// The value acknowledged last, the one in flight, and the one before.
    value: u32,
    next: u32,
    previous: u32,
    /// When `value` was acknowledged, and when `previous` was.
    changed: u64,
    changed_before: u64,
    /// Since when it is selectable for certain, if it is.
    since: u64,
    /// When its last deregistration was acknowledged; 0: never registered.
    gone: u64,
    /// Its place in a Round Robin pool.
    position: Position,
    /// The last answer it was in.
    seen: u64,
}

#[derive(Clone, Debug, Default)]
struct PoolState {
    /// The elements whose place is certain, in the order of the policy. Not
    /// for Weighted Random.
    sorted: BTreeSet<(u64, u64, u32)>,
    /// Elements selectable for certain, and how often one ceased to be.
    certain: u32,
    left: u64,
    /// Elements possibly registered, and when the last one went.
    possible: u32,
    last_gone: u64,
    /// Requests about its elements under way, and how many events there were.
    changing: u32,
    version: u64,
    /// Resolutions sent and answered.
    sent: u64,
    answered: u64,
    /// Certain elements by weight (Weighted Random).
    weights: [u32; WEIGHTS],
}

/// What was known when a resolution was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) pool: u32,
    pub(crate) items: u32,
    tick: u64,
    certain: u32,
    left: u64,
    version: u64,
    quiet: bool,
}

/// The model of one client thread's pools.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    population: Population,
    elements: Vec<Element>,
    pools: Vec<PoolState>,
    tick: u64,
    answers: u64,
    checked: u64,
    spread: Spread,
    rules: Rules,
    /// Resolutions that found no pool, or fewer elements than there are, where
    /// a group of registrars may.
    lagging: u64,
    /// What was wrong so far.
    pub(crate) faults: Faults,
}

impl Model {
    /// Nobody is registered.
    pub(crate) fn new(population: Population, rules: Rules) -> Self {
        Self {
            elements: vec![Element::default(); population.elements() as usize],
            pools: vec![PoolState::default(); population.pools.len()],
            population,
            tick: 0,
            answers: 0,
            checked: 0,
            spread: Spread::default(),
            rules,
            lagging: 0,
            faults: Faults::default(),
        }
    }

    pub(crate) const fn population(&self) -> &Population {
        &self.population
    }

    pub(crate) fn status(&self, element: u32) -> Status {
        self.elements[element as usize].status
    }

    /// How many elements of answers were checked.
    pub(crate) const fn checked(&self) -> u64 {
        self.checked
    }

    /// How Weighted Random selected so far.
    pub(crate) const fn spread(&self) -> &Spread {
        &self.spread
    }

    /// The value for the next registration of an element.
    pub(crate) fn next_value(&self, element: u32) -> u32 {
        let generation = self.elements[element as usize].generation;
        self.population.value(element, u64::from(generation))
    }

    /// A registration or re-registration is being sent.
    pub(crate) fn register_sent(&mut self, element: u32, value: u32) {
        let tick = self.event(element);
        let (state, pool, policy) = self.parts(element);
        state.generation += 1;
        state.next = value;
        pool.changing += 1;
        if state.status == Status::Absent {
            state.status = Status::Registering;
            state.position = Position::after_answers(pool.answered, tick);
            pool.possible += 1;
            return;
        }
        state.status = Status::Reregistering;
        match policy {
            CheckedPolicy::RoundRobin => {}
            CheckedPolicy::LeastUsed => {
                pool.sorted.remove(&(u64::from(state.value), 0, element));
            }
            CheckedPolicy::WeightedRandom => {
                pool.weights[weight_class(state.value)] -= 1;
                if value == 0 {
                    state.leave(pool);
                }
            }
        }
    }

    /// A registration or re-registration was acknowledged.
    pub(crate) fn registered(&mut self, element: u32) {
        let tick = self.event(element);
        let (state, pool, policy) = self.parts(element);
        let first = state.status == Status::Registering;
        state.status = Status::Registered;
        (state.previous, state.value) = (state.value, state.next);
        (state.changed_before, state.changed) = (state.changed, tick);
        pool.changing -= 1;
        match policy {
            CheckedPolicy::RoundRobin if first => {
                state.position.acknowledged(pool.sent, tick);
                pool.sorted.insert(state.position.latest(element));
            }
            CheckedPolicy::RoundRobin => {}
            CheckedPolicy::LeastUsed => {
                pool.sorted.insert((u64::from(state.value), 0, element));
            }
            CheckedPolicy::WeightedRandom => {
                pool.weights[weight_class(state.value)] += 1;
                if state.value == 0 {
                    return;
                }
            }
        }
        state.enter(pool, tick);
    }

    /// A registration was refused; the element is as it was before.
    pub(crate) fn register_refused(&mut self, element: u32) {
        if self.status(element) == Status::Registering {
            self.parts(element).0.status = Status::Deregistering;
            self.deregistered(element);
        } else {
            let (state, ..) = self.parts(element);
            state.next = state.value;
            self.registered(element);
        }
    }

    /// A deregistration is being sent.
    pub(crate) fn deregister_sent(&mut self, element: u32) {
        self.event(element);
        let (state, pool, policy) = self.parts(element);
        state.status = Status::Deregistering;
        pool.changing += 1;
        state.leave(pool);
        match policy {
            CheckedPolicy::RoundRobin => {
                pool.sorted.remove(&state.position.latest(element));
            }
            CheckedPolicy::LeastUsed => {
                pool.sorted.remove(&(u64::from(state.value), 0, element));
            }
            CheckedPolicy::WeightedRandom => pool.weights[weight_class(state.value)] -= 1,
        }
    }

    /// A deregistration was acknowledged.
    pub(crate) fn deregistered(&mut self, element: u32) {
        let tick = self.event(element);
        let (state, pool, _) = self.parts(element);
        state.status = Status::Absent;
        state.gone = tick;
        pool.changing -= 1;
        pool.possible -= 1;
        pool.last_gone = tick;
    }

    /// The association of an element is gone, with its requests. It may be
    /// selected until [`Self::forgotten`].
    pub(crate) fn cut(&mut self, element: u32) {
        self.event(element);
        let (state, pool, policy) = self.parts(element);
        let before = std::mem::replace(&mut state.status, Status::Cut);
        match before {
            Status::Absent | Status::Cut => {
                state.status = before;
                return;
            }
            Status::Registered => {
                pool.changing += 1;
                state.leave(pool);
            }
            Status::Reregistering => state.leave(pool),
            Status::Registering | Status::Deregistering => return,
        }
        match policy {
            CheckedPolicy::RoundRobin => {
                pool.sorted.remove(&state.position.latest(element));
            }
            CheckedPolicy::LeastUsed => {
                pool.sorted.remove(&(u64::from(state.value), 0, element));
            }
            CheckedPolicy::WeightedRandom if before == Status::Registered => {
                pool.weights[weight_class(state.value)] -= 1;
            }
            CheckedPolicy::WeightedRandom => {}
        }
    }

    /// The registrar must not select an element any more that was cut.
    pub(crate) fn forgotten(&mut self, element: u32) {
        if self.status(element) == Status::Cut {
            self.deregistered(element);
        }
    }

    /// A group of registrars had the time to tell each other everything. From
    /// now on they are held to that.
    pub(crate) const fn settle_group(&mut self) {
        if !self.rules.alone {
            self.rules = Rules { rotation: false, alone: true };
        }
    }

    /// Whether one registrar answers, not a group.
    pub(crate) const fn is_alone(&self) -> bool {
        self.rules.alone
    }

    /// The value an element is registered with.
    pub(crate) fn value(&self, element: u32) -> u32 {
        self.elements[element as usize].value
    }

    /// How many elements are registered for certain.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.elements.iter().filter(|element| element.counted).count() as u64
    }

    /// How often a group of registrars did not know what it was told.
    pub(crate) const fn lagging(&self) -> u64 {
        self.lagging
    }

    /// A resolution is being sent.
    pub(crate) fn resolve_sent(&mut self, pool: u32, items: u32) -> Ticket {
        self.tick += 1;
        let state = &mut self.pools[pool as usize];
        state.sent += 1;
        Ticket {
            pool,
            items,
            tick: self.tick,
            certain: state.certain,
            left: state.left,
            version: state.version,
            quiet: state.changing == 0,
        }
    }

    /// Whether the registrar may ask this element whether it is alive.
    pub(crate) fn may_be_kept_alive(&self, element: u32) -> bool {
        self.status(element) != Status::Absent
    }

    /// How many elements of a pool are selectable for certain.
    pub(crate) fn certain(&self, pool: u32) -> u32 {
        self.pools[pool as usize].certain
    }

    /// The weights of a pool's certain elements, added up.
    pub(crate) fn weight_sum(&self, pool: u32) -> u64 {
        let weights = self.pools[pool as usize].weights.iter().zip(0_u64..);
        weights.map(|(&count, weight)| u64::from(count) * weight).sum()
    }

    /// Whether an element is selectable for certain.
    pub(crate) fn is_certain(&self, element: u32) -> bool {
        self.elements[element as usize].counted
    }

    /// A resolution was refused for another reason than an unknown pool.
    pub(crate) fn resolve_refused(&mut self, ticket: &Ticket) {
        self.tick += 1;
        self.answers += 1;
        self.pools[ticket.pool as usize].answered += 1;
    }

    fn event(&mut self, element: u32) -> u64 {
        self.tick += 1;
        self.pools[self.population.pool_of(element) as usize].version += 1;
        self.tick
    }

    fn parts(&mut self, element: u32) -> (&mut Element, &mut PoolState, CheckedPolicy) {
        let pool = self.population.pool_of(element);
        (
            &mut self.elements[element as usize],
            &mut self.pools[pool as usize],
            self.population.pool(pool).policy,
        )
    }
}

impl Element {
    fn enter(&mut self, pool: &mut PoolState, tick: u64) {
        if !self.counted {
            self.counted = true;
            self.since = tick;
            pool.certain += 1;
        }
    }

    fn leave(&mut self, pool: &mut PoolState) {
        if self.counted {
            self.counted = false;
            pool.certain -= 1;
            pool.left += 1;
        }
    }

    /// Whether it was possibly registered at some tick since `tick`.
    fn possible_since(&self, tick: u64) -> bool {
        self.status != Status::Absent || self.gone > tick
    }

    /// Whether it was selectable for certain at every tick since `tick`.
    const fn certain_since(&self, tick: u64) -> bool {
        self.counted && self.since <= tick
    }

    /// Whether its value was possibly `value` at some tick since `tick`.
    fn value_possible_since(&self, tick: u64, value: u32) -> bool {
        let arriving = matches!(self.status, Status::Registering | Status::Reregistering);
        let before = self.status == Status::Registering && self.gone < tick;
        (arriving && value == self.next)
            || (!before && value == self.value)
            || (self.changed > tick && value == self.previous)
            // More than one change since: the history here is too short.
            || self.changed_before > tick
    }
}

fn weight_class(weight: u32) -> usize {
    (weight as usize).min(WEIGHTS - 1)
}
