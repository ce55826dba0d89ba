//! Whether every acknowledged registration is there: each pool is resolved
//! until each of its elements has shown itself.
//!
//! A pool that fits into one answer is resolved once. A larger one shows all
//! its elements in as many ways as there are policies: Round Robin by one
//! whole rotation; Least Used by raising the load of those that were seen, so
//! that the others come next; Weighted Random by resolving again and again,
//! so often that an honest registrar would have shown each with near
//! certainty. Of a group, the registrar that answers may hear a moment later
//! of a load that was raised at another one: it is asked again, as often as
//! there are elements, before one counts as lost. Drained elements are never shown, hence not audited.

use std::collections::VecDeque;

use rserpool_engine::PoolHandle;

use super::{Operation, Request, Step, Subject};
use crate::fault::Fault;
use crate::model::{Model, Status};
use crate::population::CheckedPolicy;

/// The load of elements that were seen; no other element has it.
const RAISED: u32 = u32::MAX;
/// Pools that are audited at the same time.
const POOLS_MAX: usize = 64;
/// One honest Weighted Random pool in so many is blamed wrongly.
const CERTAINTY: f64 = 1e12;

/// The audit of one client thread's pools.
#[derive(Debug)]
pub(crate) struct Audit {
    items_max: u32,
    window: usize,
    pools: u32,
    next_pool: u32,
    active: VecDeque<PoolAudit>,
}

#[derive(Debug)]
struct PoolAudit {
    pool: u32,
    first: u32,
    method: Method,
    /// By element of the pool.
    seen: Vec<bool>,
    unseen: u32,
    unanswered: u32,
    /// Resolutions still to be sent.
    resolutions: u64,
    /// There is one registrar, which knows at once what it was told.
    alone: bool,
}

#[derive(Debug)]
enum Method {
    /// Resolve a fixed number of times.
    Repeat { items: u32 },
    /// Resolve until all are seen, or no resolutions are left.
    Draw { items: u32 },
    /// Resolve, raise those seen, resolve ...
    Sweep { items: u32, raise: Vec<u32> },
}

enum Turn {
    Send(Operation, Subject),
    Wait,
    Done,
}

impl Audit {
    pub(crate) fn new(model: &Model, items_max: u32, window: usize) -> Self {
        let pools = u32::try_from(model.population().pools.len()).unwrap_or(u32::MAX);
        Self { items_max, window, pools, next_pool: 0, active: VecDeque::new() }
    }

    pub(super) fn next(&mut self, in_flight: usize, model: &mut Model) -> Step {
        while self.active.len() < POOLS_MAX && self.next_pool < self.pools {
            self.active.push_back(PoolAudit::new(self.next_pool, self.items_max, model));
            self.next_pool += 1;
        }
        if in_flight >= self.window {
            return Step::Wait;
        }
        for _ in 0..self.active.len() {
            let Some(mut pool) = self.active.pop_front() else { break };
            match pool.turn(model) {
                Turn::Send(operation, subject) => {
                    pool.unanswered += 1;
                    self.active.push_back(pool);
                    return Step::Send(Request { operation, subject, user: None, intended: None });
                }
                Turn::Wait => self.active.push_back(pool),
                Turn::Done => pool.report(model),
            }
        }
        match (self.active.is_empty(), self.next_pool < self.pools) {
            (true, false) => Step::Done,
            (true, true) => self.next(in_flight, model),
            (false, _) => Step::Wait,
        }
    }

    pub(super) fn answered(&mut self, subject: Subject, elements: &[u32]) {
        let belongs = |pool: &&mut PoolAudit| match subject {
            Subject::Resolve { pool: resolved, .. } => pool.pool == resolved,
            Subject::Register { element, .. } | Subject::Deregister { element } => {
                pool.index(element).is_some()
            }
        };
        if let Some(pool) = self.active.iter_mut().find(belongs) {
            pool.unanswered -= 1;
            if matches!(subject, Subject::Resolve { .. }) {
                pool.saw(elements);
            }
        }
    }
}

impl PoolAudit {
    fn new(number: u32, items_max: u32, model: &Model) -> Self {
        let pool = model.population().pool(number);
        let certain = model.certain(number);
        let (method, resolutions) = if certain <= items_max {
            (Method::Repeat { items: items_max }, 1)
        } else {
            match pool.policy {
                CheckedPolicy::RoundRobin => (Method::Repeat { items: 1 }, u64::from(certain)),
                CheckedPolicy::LeastUsed => {
                    let raise = Vec::new();
                    (Method::Sweep { items: items_max, raise }, u64::from(certain))
                }
                CheckedPolicy::WeightedRandom => {
                    let draws = draws(certain, model.weight_sum(number), items_max);
                    (Method::Draw { items: items_max }, draws)
                }
            }
        };
        Self {
            pool: number,
            first: pool.first,
            method,
            seen: vec![false; pool.size as usize],
            unseen: certain,
            unanswered: 0,
            resolutions,
            alone: model.is_alone(),
        }
    }

    fn index(&self, element: u32) -> Option<usize> {
        let index = element.checked_sub(self.first)? as usize;
        (index < self.seen.len()).then_some(index)
    }

    fn turn(&mut self, model: &Model) -> Turn {
        let (items, more) = match &mut self.method {
            Method::Repeat { items } => (*items, true),
            Method::Draw { items } => (*items, self.unseen > 0),
            Method::Sweep { items, raise } => {
                while let Some(element) = raise.pop() {
                    if model.status(element) != Status::Registered {
                        continue;
                    }
                    let subject = Subject::Register { element, value: RAISED };
                    return Turn::Send(Operation::REREGISTER, subject);
                }
                if self.unanswered > 0 {
                    return Turn::Wait;
                }
                (*items, self.unseen > 0)
            }
        };
        if more && self.resolutions > 0 {
            self.resolutions -= 1;
            return Turn::Send(Operation::AUDIT, Subject::Resolve { pool: self.pool, items });
        }
        if self.unanswered > 0 { Turn::Wait } else { Turn::Done }
    }

    fn saw(&mut self, elements: &[u32]) {
        let mut new = Vec::new();
        for &element in elements {
            let Some(index) = self.index(element) else { continue };
            if !std::mem::replace(&mut self.seen[index], true) {
                self.unseen = self.unseen.saturating_sub(1);
                new.push(element);
            }
        }
        if let Method::Sweep { raise, .. } = &mut self.method {
            if new.is_empty() && self.alone {
                // Nobody left comes before those that were raised.
                self.resolutions = 0;
            } else if self.unseen > 0 {
                raise.extend(new);
            }
        }
    }

    fn report(&self, model: &mut Model) {
        for (&seen, element) in self.seen.iter().zip(self.first..) {
            if !seen && model.is_certain(element) {
                let pe = model.population().pe(element);
                let handle = model.population().pool(self.pool).handle.clone();
                let handle = PoolHandle::new(&handle);
                let what = format_args!("{handle} never shows its element {pe}");
                model.faults.add(Fault::Lost, what);
            }
        }
    }
}

/// So many answers of `items` elements show each of `elements` elements with
/// near certainty, if the rarest has one share in `weight_sum`.
fn draws(elements: u32, weight_sum: u64, items: u32) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let missed_by_one_item = 1.0 - 1.0 / (weight_sum.max(2) as f64);
    let missed_by_one_answer = missed_by_one_item.ln() * f64::from(items);
    let answers = (f64::from(elements) * CERTAINTY).ln() / -missed_by_one_answer;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let answers = answers.ceil() as u64;
    answers
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::oracle::Oracle;
    use crate::model::{Answer, Answered, Rules};
    use crate::population::Layout;
    use crate::stage::Stage;

    /// A registered population in the model and in a registrar.
    fn registered(elements: u32, pools: u32) -> (Model, Oracle) {
        registered_by(Rules::ALL, elements, pools)
    }

    fn registered_by(rules: Rules, elements: u32, pools: u32) -> (Model, Oracle) {
        let policies = CheckedPolicy::ALL.to_vec();
        let layout = Layout { elements, pools, policies, seed: 3, ..Layout::default() };
        let [population] = &layout.populations(1)[..] else { panic!("one thread") };
        let mut model = Model::new(population.clone(), rules);
        let mut oracle = Oracle::new(population.clone(), 3);
        for element in 0..elements {
            let value = model.next_value(element);
            model.register_sent(element, value);
            oracle.register(element, value);
            model.registered(element);
        }
        (model, oracle)
    }

    fn answer(model: &mut Model, oracle: &mut Oracle, subject: Subject) -> Vec<u32> {
        let mut known = Vec::new();
        match subject {
            Subject::Register { element, value } => {
                model.register_sent(element, value);
                oracle.register(element, value);
                model.registered(element);
            }
            Subject::Deregister { .. } => panic!("an audit deregisters nobody"),
            Subject::Resolve { pool, items } => {
                let ticket = model.resolve_sent(pool, items);
                let policy = model.population().pool(pool).policy;
                match oracle.resolve(pool, items) {
                    None => model.check(&ticket, &Answer::Unknown, &mut known),
                    Some(elements) => {
                        let answered = |&(element, value): &(u32, u32)| {
                            Answered::right(model.population(), element, value)
                        };
                        let elements: Vec<_> = elements.iter().map(answered).collect();
                        let policy = Some(policy.kind());
                        let answer = Answer::Elements { policy, elements: &elements };
                        model.check(&ticket, &answer, &mut known);
                    }
                }
            }
        }
        known
    }

    /// Runs an audit to its end, with up to 50 requests unanswered.
    fn audit(model: &mut Model, oracle: &mut Oracle) -> usize {
        audit_with(model, oracle, answer)
    }

    fn audit_with(
        model: &mut Model,
        oracle: &mut Oracle,
        mut answer: impl FnMut(&mut Model, &mut Oracle, Subject) -> Vec<u32>,
    ) -> usize {
        let mut stage = Stage::Audit(Audit::new(model, 16, 50));
        let mut unanswered = VecDeque::new();
        let mut sent = 0;
        loop {
            match stage.next(Duration::ZERO, unanswered.len(), model) {
                Step::Send(request) => {
                    sent += 1;
                    unanswered.push_back((request, answer(model, oracle, request.subject)));
                }
                Step::Done if unanswered.is_empty() => return sent,
                Step::Done | Step::Wait | Step::At(_) => {
                    let (request, elements) = unanswered.pop_front().expect("nothing to wait for");
                    stage.answered(&request, &elements);
                }
            }
        }
    }

    #[test]
    fn a_right_registrar_passes_with_a_bounded_number_of_requests() {
        let (mut model, mut oracle) = registered(600, 12);
        let sent = audit(&mut model, &mut oracle);
        assert_eq!(model.faults.total(), 0, "{:?}", model.faults.samples());
        assert!((300..2000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_registrar_that_hears_a_moment_later_of_loads_raised_at_others_loses_nobody() {
        let rules = Rules { rotation: false, alone: false };
        let (mut model, mut oracle) = registered_by(rules, 600, 12);
        let mut late = VecDeque::new();
        let sent = audit_with(&mut model, &mut oracle, |model, oracle, subject| {
            if let Subject::Register { element, value } = subject {
                model.register_sent(element, value);
                model.registered(element);
                late.push_back((element, value));
                return Vec::new();
            }
            for (element, value) in late.drain(..late.len().min(2)) {
                oracle.register(element, value);
            }
            answer(model, oracle, subject)
        });
        assert_eq!(model.faults.total(), 0, "{:?}", model.faults.samples());
        assert!(sent < 5000, "{sent}");
    }

    #[test]
    fn each_lost_registration_is_found_in_every_policy_and_size() {
        let (model, oracle) = registered(600, 12);
        for pool in 0..12 {
            let lost = model.population().pool(pool).first;
            let (mut model, mut oracle) = (model.clone(), oracle.clone());
            oracle.deregister(lost);
            audit(&mut model, &mut oracle);
            assert!(model.faults.count(Fault::Lost) > 0, "pool {pool}");
        }
    }

    #[test]
    fn empty_pools_must_be_unknown() {
        let (mut model, mut oracle) = registered(60, 10);
        for element in 0..60 {
            model.deregister_sent(element);
            model.deregistered(element);
        }
        audit(&mut model.clone(), &mut Oracle::new(model.population().clone(), 1));
        assert_eq!(model.faults.total(), 0);
        audit(&mut model, &mut oracle);
        assert!(model.faults.count(Fault::NotRegistered) >= 60);
    }
}
