//! The checks of one answer.

use std::net::IpAddr;

use rserpool_engine::{PeId, Policy, PolicyKind, PoolHandle};

use super::{Element, Model, Position, Ticket};
use crate::fault::Fault;
use crate::population::CheckedPolicy;
#[cfg(test)]
use crate::population::Population;

/// An element of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) pe: PeId,
    pub(crate) policy: Policy,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

#[cfg(test)]
impl Answered {
    /// An element as it registered, with this value.
    pub(crate) fn right(population: &Population, element: u32, value: u32) -> Self {
        let (address, port) = population.transport(element);
        let policy = population.pool(population.pool_of(element)).policy.with(value);
        Self { pe: population.pe(element), policy, address: Some(address), port }
    }
}

/// The answer to a resolution.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer<'a> {
    /// There is no such pool.
    Unknown,
    /// These elements, from a pool with this policy (none stated: Round
    /// Robin, RFC 5352, 2.2.6).
    Elements { policy: Option<PolicyKind>, elements: &'a [Answered] },
}

impl Model {
    /// Checks an answer against what was registered while its request was
    /// under way, and counts what is wrong. `scratch` is working memory.
    pub(crate) fn check(&mut self, ticket: &Ticket, answer: &Answer<'_>, scratch: &mut Vec<u32>) {
        self.tick += 1;
        self.answers += 1;
        self.pools[ticket.pool as usize].answered += 1;
        match answer {
            Answer::Unknown => self.check_unknown(ticket),
            Answer::Elements { policy, elements } => {
                self.check_policy(ticket, *policy);
                self.check_elements(ticket, elements, scratch);
                self.check_count(ticket, elements.len(), scratch);
                if !self.rules.alone {
                    return;
                }
                match self.population.pool(ticket.pool).policy {
                    CheckedPolicy::RoundRobin if !self.rules.rotation => {}
                    CheckedPolicy::RoundRobin => self.check_rotation(ticket, scratch),
                    CheckedPolicy::LeastUsed => self.check_loads(ticket, elements, scratch),
                    CheckedPolicy::WeightedRandom => self.check_weights(ticket, elements),
                }
            }
        }
    }

    /// How many elements were selectable for certain all the time since the
    /// request was sent.
    fn certain_since(&self, ticket: &Ticket) -> u64 {
        let left = self.pools[ticket.pool as usize].left - ticket.left;
        u64::from(ticket.certain).saturating_sub(left)
    }

    fn check_unknown(&mut self, ticket: &Ticket) {
        let certain = self.certain_since(ticket);
        if certain > 0 && !self.rules.alone {
            self.lagging += 1;
        } else if certain > 0 {
            let handle = PoolHandle::new(&self.population.pool(ticket.pool).handle);
            let what = format_args!("{handle} is said to be unknown, but has {certain} elements");
            self.faults.add(Fault::Lost, what);
        }
    }

    fn check_policy(&mut self, ticket: &Ticket, stated: Option<PolicyKind>) {
        let pool = self.population.pool(ticket.pool);
        let (handle, expected) = (PoolHandle::new(&pool.handle), pool.policy.kind());
        let stated = stated.unwrap_or(PolicyKind::RoundRobin);
        if stated != expected {
            let what = format_args!("{handle} is said to be {stated:?}, but is {expected:?}");
            self.faults.add(Fault::Policy, what);
        }
    }

    /// Checks each element on its own; those of the pool go to `known`.
    fn check_elements(&mut self, ticket: &Ticket, answered: &[Answered], known: &mut Vec<u32>) {
        known.clear();
        self.checked += answered.len() as u64;
        let handle = PoolHandle::new(&self.population.pool(ticket.pool).handle);
        let policy = self.population.pool(ticket.pool).policy;
        for item in answered {
            let element = self.population.element(ticket.pool, item.pe);
            let state = element.map(|element| (element, &mut self.elements[element as usize]));
            let possible = |(_, state): &(u32, &mut Element)| state.possible_since(ticket.tick);
            let Some((element, state)) = state.filter(|state| !self.rules.alone || possible(state))
            else {
                let what = format_args!("{handle} has no element {}", item.pe);
                self.faults.add(Fault::NotRegistered, what);
                continue;
            };
            if state.seen == self.answers {
                let what = format_args!("{handle} with element {} twice", item.pe);
                self.faults.add(Fault::Duplicate, what);
                continue;
            }
            state.seen = self.answers;
            known.push(element);
            let value = policy.value_of(item.policy);
            let current = |value| state.value_possible_since(ticket.tick, value);
            let (address, port) = self.population.transport(element);
            if item.address != Some(address)
                || item.port != port
                || !value.is_some_and(|value| !self.rules.alone || current(value))
            {
                let what = format_args!("{handle} with {item:?}, which registered otherwise");
                self.faults.add(Fault::Attributes, what);
            }
        }
    }

    fn check_count(&mut self, ticket: &Ticket, count: usize, known: &[u32]) {
        let handle = PoolHandle::new(&self.population.pool(ticket.pool).handle);
        let (count, items) = (count as u64, u64::from(ticket.items));
        let certain = self.certain_since(ticket);
        if count > items {
            let what = format_args!("{handle} with {count} elements for {items} items");
            self.faults.add(Fault::TooMany, what);
        } else if !self.rules.alone {
            self.lagging += u64::from(count < items.min(certain));
            return;
        } else if count < items.min(certain) {
            let what = format_args!("{handle} with {count} of {certain} for {items} items");
            self.faults.add(Fault::TooFew, what);
        } else if count < items {
            // There was room for all: none of the certain ones may be missing.
            let sure =
                |&&element: &&u32| self.elements[element as usize].certain_since(ticket.tick);
            let shown = known.iter().filter(sure).count() as u64;
            if shown < certain {
                let what = format_args!("{handle} with {shown} of {certain} known elements");
                self.faults.add(Fault::Lost, what);
            }
        }
        let pool = &self.pools[ticket.pool as usize];
        if count == 0 && pool.possible == 0 && pool.last_gone < ticket.tick {
            self.faults.add(Fault::LeftOver, format_args!("{handle} is empty, but still known"));
        }
    }

    /// Round Robin: the elements that waited longest, in that order. The
    /// first one is the last from now on.
    fn check_rotation(&mut self, ticket: &Ticket, known: &[u32]) {
        let resolution = self.pools[ticket.pool as usize].answered - 1;
        // An element that went since may have been here in its former life;
        // its place in this one says nothing then.
        let position = |&element: &u32| {
            let state = &self.elements[element as usize];
            (state.gone <= ticket.tick).then_some(state.position)
        };
        let positions = known.iter().filter_map(position);
        let mut pairs = positions.clone().zip(positions.clone().skip(1));
        let ordered = pairs.all(|(earlier, later)| !later.before(&earlier));
        let last = positions.map(|position| position.earliest()).max();
        let overdue = last.and_then(|last| {
            self.missing(ticket, |state| state.since, (last.0, last.1, 0), known.len())
        });
        self.report_order(ticket, ordered, overdue);
        if let Some(&head) = known.first() {
            let pool = &mut self.pools[ticket.pool as usize];
            let state = &mut self.elements[head as usize];
            if state.gone > ticket.tick {
                return;
            }
            let moved = Position::head(resolution);
            if pool.sorted.remove(&state.position.latest(head)) {
                pool.sorted.insert(moved.latest(head));
            }
            state.position = moved;
        }
    }

    /// Least Used: ascending loads, and none smaller left out.
    fn check_loads(&mut self, ticket: &Ticket, answered: &[Answered], known: &[u32]) {
        let loads = answered.iter().filter_map(|a| CheckedPolicy::LeastUsed.value_of(a.policy));
        let ordered = loads.clone().is_sorted();
        let overdue = loads.max().and_then(|load| {
            self.missing(ticket, |state| state.changed, (u64::from(load), 0, 0), known.len())
        });
        self.report_order(ticket, ordered, overdue);
    }

    /// An element that comes before `limit` in the order of the policy, whose
    /// place there is certain since before the request, but that is not in
    /// the answer.
    fn missing(
        &self,
        ticket: &Ticket,
        since: impl Fn(&Element) -> u64,
        limit: (u64, u64, u32),
        answered: usize,
    ) -> Option<u32> {
        /// How many elements that changed just now are passed over.
        const CHANGED_MAX: usize = 64;
        let pool = &self.pools[ticket.pool as usize];
        let first = pool.sorted.range(..limit).take(answered + CHANGED_MAX);
        first.map(|&(_, _, element)| element).find(|&element| {
            let state = &self.elements[element as usize];
            state.seen != self.answers && since(state) <= ticket.tick
        })
    }

    fn report_order(&mut self, ticket: &Ticket, ordered: bool, overdue: Option<u32>) {
        let handle = PoolHandle::new(&self.population.pool(ticket.pool).handle);
        if let Some(element) = overdue {
            let pe = self.population.pe(element);
            self.faults.add(Fault::Order, format_args!("{handle} without {pe}, whose turn it is"));
        } else if !ordered {
            self.faults.add(Fault::Order, format_args!("{handle} with elements out of order"));
        }
    }

    /// Weighted Random: nobody drained, and by weight in the long run.
    fn check_weights(&mut self, ticket: &Ticket, answered: &[Answered]) {
        let weight = |item: &Answered| CheckedPolicy::WeightedRandom.value_of(item.policy);
        if let Some(drained) = answered.iter().find(|item| weight(item) == Some(0)) {
            let handle = PoolHandle::new(&self.population.pool(ticket.pool).handle);
            let what = format_args!("{handle} with element {}, whose weight is 0", drained.pe);
            self.faults.add(Fault::Drained, what);
        }
        let pool = &self.pools[ticket.pool as usize];
        if ticket.quiet
            && pool.version == ticket.version
            && let Some(first) = answered.first().and_then(weight)
        {
            self.spread.add(&pool.weights, super::weight_class(first));
        }
    }
}
