use std::collections::VecDeque;

use rserpool_engine::{PeId, Policy, PolicyKind};

use super::oracle::Oracle;
use super::{Answer, Answered, Model, Rules, Status, Ticket};
use crate::fault::Fault;
use crate::population::{CheckedPolicy, Layout};

/// A model of one pool of 10 elements.
fn model(policy: CheckedPolicy) -> Model {
    let layout =
        Layout { elements: 10, pools: 1, policies: vec![policy], seed: 1, ..Layout::default() };
    let [population] = &layout.populations(1)[..] else { panic!("one thread") };
    Model::new(population.clone(), Rules::ALL)
}

/// Registers elements 0 to 9, with these values.
fn registered(policy: CheckedPolicy, values: impl Fn(u32) -> u32) -> Model {
    let mut model = model(policy);
    for element in 0..10 {
        model.register_sent(element, values(element));
        model.registered(element);
    }
    model
}

fn answered(model: &Model, element: u32, value: u32) -> Answered {
    Answered::right(model.population(), element, value)
}

fn answer(model: &mut Model, ticket: &Ticket, elements: &[Answered]) {
    let policy = Some(model.population().pool(ticket.pool).policy.kind());
    model.check(ticket, &Answer::Elements { policy, elements }, &mut Vec::new());
}

/// Resolves and answers with these elements, which have value 0.
fn resolve(model: &mut Model, items: u32, elements: &[u32]) {
    let ticket = model.resolve_sent(0, items);
    let elements: Vec<_> = elements.iter().map(|&e| answered(model, e, 0)).collect();
    answer(model, &ticket, &elements);
}

#[track_caller]
fn only(model: &Model, fault: Fault, count: u64) {
    let samples = model.faults.samples();
    assert_eq!(model.faults.count(fault), count, "{samples:?}");
    assert_eq!(model.faults.total(), count, "{samples:?}");
}

#[test]
fn right_answers_have_no_fault() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    resolve(&mut model, 3, &[0, 1, 2]);
    resolve(&mut model, 3, &[1, 2, 3]);
    resolve(&mut model, 12, &[2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    assert_eq!((model.faults.total(), model.checked()), (0, 16));
}

#[test]
fn an_element_that_was_never_registered_is_a_fault() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    let ticket = model.resolve_sent(0, 1);
    let stranger = Answered { pe: PeId::new(0x1234_5678), ..answered(&model, 0, 0) };
    answer(&mut model, &ticket, &[stranger]);
    only(&model, Fault::NotRegistered, 1);
}

#[test]
fn an_element_may_be_returned_exactly_while_it_is_possibly_registered() {
    let mut model = registered(CheckedPolicy::WeightedRandom, |_| 1);
    let one = [answered(&model, 4, 1)];
    let before = model.resolve_sent(0, 1);
    model.deregister_sent(4);
    let during = model.resolve_sent(0, 1);
    model.deregistered(4);
    let after = model.resolve_sent(0, 1);
    answer(&mut model, &before, &one);
    answer(&mut model, &during, &one);
    only(&model, Fault::NotRegistered, 0);
    answer(&mut model, &after, &one);
    only(&model, Fault::NotRegistered, 1);
    let waiting = model.resolve_sent(0, 1);
    model.register_sent(4, 1);
    answer(&mut model, &waiting, &one);
    only(&model, Fault::NotRegistered, 1);
}

#[test]
fn an_element_twice_is_a_fault() {
    let mut model = registered(CheckedPolicy::WeightedRandom, |_| 0);
    for element in 0..10 {
        model.register_sent(element, 1);
        model.registered(element);
    }
    let ticket = model.resolve_sent(0, 3);
    let twice = [answered(&model, 1, 1), answered(&model, 2, 1), answered(&model, 1, 1)];
    answer(&mut model, &ticket, &twice);
    only(&model, Fault::Duplicate, 1);
}

#[test]
fn more_elements_than_asked_for_are_a_fault() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    resolve(&mut model, 2, &[0, 1, 2]);
    only(&model, Fault::TooMany, 1);
}

#[test]
fn fewer_elements_than_asked_for_and_registered_are_a_fault() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    resolve(&mut model, 3, &[0, 1]);
    only(&model, Fault::TooFew, 1);
}

#[test]
fn fewer_elements_are_right_while_some_may_be_gone() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    let ticket = model.resolve_sent(0, 10);
    model.deregister_sent(9);
    let nine: Vec<_> = (0..9).map(|element| answered(&model, element, 0)).collect();
    answer(&mut model, &ticket, &nine);
    only(&model, Fault::TooFew, 0);
}

#[test]
fn a_registered_element_missing_where_all_had_room_is_lost() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    model.deregister_sent(9);
    // Element 9 may still be there, but element 0 must be.
    resolve(&mut model, 12, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(model.faults.count(Fault::Lost), 1);
}

#[test]
fn a_pool_with_elements_that_is_said_to_be_unknown_is_lost() {
    let mut model = registered(CheckedPolicy::LeastUsed, |_| 0);
    let ticket = model.resolve_sent(0, 1);
    model.check(&ticket, &Answer::Unknown, &mut Vec::new());
    only(&model, Fault::Lost, 1);
}

#[test]
fn a_pool_without_elements_is_unknown_and_nothing_else() {
    let mut model = model(CheckedPolicy::LeastUsed);
    let ticket = model.resolve_sent(0, 1);
    model.check(&ticket, &Answer::Unknown, &mut Vec::new());
    only(&model, Fault::LeftOver, 0);
    let ticket = model.resolve_sent(0, 1);
    answer(&mut model, &ticket, &[]);
    only(&model, Fault::LeftOver, 1);
}

#[test]
fn a_broken_rotation_is_a_fault() {
    for wrong in [[1, 2, 3], [0, 2, 1], [0, 1, 3]] {
        let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
        resolve(&mut model, 3, &wrong);
        only(&model, Fault::Order, 1);
    }
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    resolve(&mut model, 3, &[0, 1, 2]);
    resolve(&mut model, 3, &[0, 1, 2]);
    only(&model, Fault::Order, 1);
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    resolve(&mut model, 3, &[0, 1, 2]);
    resolve(&mut model, 3, &[3, 4, 5]);
    only(&model, Fault::Order, 1);
}

#[test]
fn a_reregistered_element_keeps_its_place_in_the_rotation() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    resolve(&mut model, 1, &[0]);
    model.register_sent(1, 0);
    resolve(&mut model, 1, &[1]);
    model.registered(1);
    resolve(&mut model, 1, &[2]);
    model.register_sent(3, 0);
    model.registered(3);
    resolve(&mut model, 1, &[4]);
    only(&model, Fault::Order, 1);
}

#[test]
fn an_element_that_came_in_between_may_be_anywhere_it_can_be() {
    let mut model = registered(CheckedPolicy::RoundRobin, |_| 0);
    model.deregister_sent(0);
    model.deregistered(0);
    resolve(&mut model, 1, &[1]);
    model.register_sent(0, 0);
    let overlapping = model.resolve_sent(0, 1);
    model.registered(0);
    let two = [answered(&model, 2, 0)];
    answer(&mut model, &overlapping, &two);
    let mut other = model.clone();
    resolve(&mut model, 10, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 0]);
    resolve(&mut other, 10, &[3, 4, 5, 6, 7, 8, 9, 1, 0, 2]);
    only(&model, Fault::Order, 0);
    only(&other, Fault::Order, 0);
    let mut third = registered(CheckedPolicy::RoundRobin, |_| 0);
    third.deregister_sent(0);
    third.deregistered(0);
    third.register_sent(0, 0);
    third.registered(0);
    resolve(&mut third, 10, &[1, 2, 3, 0, 4, 5, 6, 7, 8, 9]);
    only(&third, Fault::Order, 1);
}

#[test]
fn loads_out_of_order_or_not_the_least_are_a_fault() {
    let load = |element: u32| 100 * (element + 1);
    let check = |elements: &[u32]| {
        let mut model = registered(CheckedPolicy::LeastUsed, load);
        let ticket = model.resolve_sent(0, 3);
        let elements: Vec<_> = elements.iter().map(|&e| answered(&model, e, load(e))).collect();
        answer(&mut model, &ticket, &elements);
        only(&model, Fault::Order, model.faults.total());
        model.faults.count(Fault::Order)
    };
    assert_eq!(check(&[0, 1, 2]), 0);
    assert_eq!(check(&[0, 2, 1]), 1);
    assert_eq!(check(&[0, 1, 3]), 1);
    assert_eq!(check(&[7, 8, 9]), 1);
}

#[test]
fn a_load_in_change_may_be_the_old_or_the_new_one() {
    let mut model = registered(CheckedPolicy::LeastUsed, |element| 100 * (element + 1));
    let ask = |model: &mut Model, element, load| {
        let ticket = model.resolve_sent(0, 1);
        let elements = [answered(model, element, load)];
        answer(model, &ticket, &elements);
    };
    model.register_sent(9, 5);
    ask(&mut model, 9, 5);
    ask(&mut model, 0, 100);
    let overlapping = model.resolve_sent(0, 1);
    model.registered(9);
    let old = [answered(&model, 0, 100)];
    answer(&mut model, &overlapping, &old);
    only(&model, Fault::Order, 0);
    ask(&mut model, 0, 100);
    only(&model, Fault::Order, 1);
    ask(&mut model, 9, 1000);
    assert_eq!(model.faults.count(Fault::Attributes), 1);
}

#[test]
fn an_address_or_load_that_was_not_registered_is_a_fault() {
    let mut model = registered(CheckedPolicy::LeastUsed, |_| 50);
    let right = answered(&model, 3, 50);
    for wrong in [
        Answered { port: right.port ^ 1, ..right },
        Answered { address: None, ..right },
        Answered { policy: Policy::LeastUsed { load: 49 }, ..right },
        Answered { policy: Policy::RoundRobin, ..right },
    ] {
        let before = model.faults.count(Fault::Attributes);
        let ticket = model.resolve_sent(0, 1);
        answer(&mut model, &ticket, &[wrong]);
        assert_eq!(model.faults.count(Fault::Attributes), before + 1, "{wrong:?}");
    }
}

#[test]
fn another_policy_than_the_pools_is_a_fault() {
    let mut model = registered(CheckedPolicy::LeastUsed, |_| 0);
    let ticket = model.resolve_sent(0, 1);
    let elements = [answered(&model, 3, 0)];
    let policy = Some(PolicyKind::Random);
    model.check(&ticket, &Answer::Elements { policy, elements: &elements }, &mut Vec::new());
    only(&model, Fault::Policy, 1);
}

#[test]
fn no_policy_stated_means_round_robin() {
    for (policy, faults) in [(CheckedPolicy::RoundRobin, 0), (CheckedPolicy::LeastUsed, 1)] {
        let mut model = registered(policy, |_| 0);
        let ticket = model.resolve_sent(0, 1);
        let elements = [answered(&model, 0, 0)];
        let answer = Answer::Elements { policy: None, elements: &elements };
        model.check(&ticket, &answer, &mut Vec::new());
        only(&model, Fault::Policy, faults);
    }
}

#[test]
fn a_drained_element_is_a_fault() {
    let mut model = registered(CheckedPolicy::WeightedRandom, |element| u32::from(element != 3));
    let ticket = model.resolve_sent(0, 1);
    let elements = [answered(&model, 3, 0)];
    answer(&mut model, &ticket, &elements);
    only(&model, Fault::Drained, 1);
}

/// The value of elements that are never drained.
fn value_of(policy: CheckedPolicy) -> u32 {
    u32::from(policy != CheckedPolicy::RoundRobin)
}

/// Resolves and answers with these elements, which have that value.
fn show(model: &mut Model, elements: &[u32]) {
    let ticket = model.resolve_sent(0, 10);
    let value = value_of(model.population().pool(0).policy);
    let elements: Vec<_> = elements.iter().map(|&e| answered(model, e, value)).collect();
    answer(model, &ticket, &elements);
}

/// Whether an answer with the element is right now.
fn may_show(model: &Model, element: u32) -> bool {
    let mut model = model.clone();
    let before = model.faults.count(Fault::NotRegistered);
    show(&mut model, &[element]);
    model.faults.count(Fault::NotRegistered) == before
}

#[test]
fn an_element_that_was_cut_may_show_until_it_is_to_be_forgotten() {
    for policy in CheckedPolicy::ALL {
        for change in 0..4 {
            let mut model = registered(policy, |_| value_of(policy));
            match change {
                0 => {}
                1 => model.register_sent(3, value_of(policy)),
                2 => model.deregister_sent(3),
                _ => {
                    model.deregister_sent(3);
                    model.deregistered(3);
                    model.register_sent(3, value_of(policy));
                }
            }
            model.cut(3);
            model.cut(3);
            assert_eq!(model.status(3), Status::Cut);
            assert!(may_show(&model, 3), "{policy:?} {change}");
            model.forgotten(3);
            assert_eq!((model.status(3), model.certain(0)), (Status::Absent, 9));
            assert!(!may_show(&model, 3), "{policy:?} {change}");
            model.register_sent(3, value_of(policy));
            model.registered(3);
            assert_eq!(model.certain(0), 10);
            let all: Vec<u32> = [0, 1, 2, 4, 5, 6, 7, 8, 9, 3].into();
            show(&mut model, &all);
            assert_eq!(model.faults.total(), 0, "{:?}", model.faults.samples());
        }
    }
}

#[test]
fn a_group_may_lag_behind_but_not_once_it_is_settled() {
    let mut model = registered(CheckedPolicy::LeastUsed, |_| 0);
    model.rules = Rules { rotation: true, alone: false };
    resolve(&mut model, 10, &[1, 2]);
    let ticket = model.resolve_sent(0, 3);
    model.check(&ticket, &Answer::Unknown, &mut Vec::new());
    assert_eq!((model.faults.total(), model.lagging()), (0, 2));
    model.settle_group();
    resolve(&mut model, 10, &[1, 2]);
    only(&model, Fault::TooFew, 1);
}

#[test]
fn a_refused_registration_leaves_the_element_as_it_was() {
    let mut model = registered(CheckedPolicy::LeastUsed, |element| 10 + element);
    model.register_sent(0, 99);
    model.register_refused(0);
    assert_eq!(model.status(0), Status::Registered);
    let ticket = model.resolve_sent(0, 1);
    let elements = [answered(&model, 0, 10)];
    answer(&mut model, &ticket, &elements);
    model.deregister_sent(1);
    model.deregistered(1);
    model.register_sent(1, 5);
    model.register_refused(1);
    assert_eq!((model.status(1), model.certain(0)), (Status::Absent, 9));
    assert_eq!(model.faults.total(), 0);
}

/// A registrar behind three associations, each with a queue of requests and
/// one of answers, to try the model against any order of events.
struct Registrar {
    model: Model,
    oracle: Oracle,
    defect: Option<Fault>,
    requests: [VecDeque<Request>; 3],
    answers: [VecDeque<Reply>; 3],
}

#[derive(Debug)]
enum Request {
    Register(u32, u32),
    Deregister(u32),
    Resolve(Ticket),
}

#[derive(Debug)]
enum Reply {
    Registered(u32),
    Deregistered(u32),
    Resolved(Ticket, Option<Vec<(u32, u32)>>),
}

impl Registrar {
    fn new(seed: u64, defect: Option<Fault>) -> Self {
        let policies = CheckedPolicy::ALL.to_vec();
        let layout = Layout { elements: 120, pools: 9, policies, seed, ..Layout::default() };
        let [population] = &layout.populations(1)[..] else { panic!("one thread") };
        Self {
            model: Model::new(population.clone(), Rules::ALL),
            oracle: Oracle::new(population.clone(), seed),
            defect,
            requests: Default::default(),
            answers: Default::default(),
        }
    }

    /// The registrar has the defect, now and then.
    fn fails(&mut self, fault: Fault) -> bool {
        self.defect == Some(fault) && self.oracle.draw(20) == 0
    }

    /// Associations 0 and 1 are those of elements, 2 resolves.
    fn send(&mut self) {
        if self.oracle.draw(3) == 0 {
            let pool = self.oracle.draw(9);
            let items = [1, 3, 10, 128][self.oracle.draw(4) as usize];
            let ticket = self.model.resolve_sent(pool, items);
            self.requests[2].push_back(Request::Resolve(ticket));
            return;
        }
        let element = self.oracle.draw(120);
        let association = element as usize % 2;
        let status = self.model.status(element);
        if status == Status::Absent || (status == Status::Registered && self.oracle.draw(3) > 0) {
            let value = self.model.next_value(element);
            self.model.register_sent(element, value);
            self.requests[association].push_back(Request::Register(element, value));
        } else if status == Status::Registered {
            self.model.deregister_sent(element);
            self.requests[association].push_back(Request::Deregister(element));
        }
    }

    fn execute(&mut self) {
        let association = self.oracle.draw(3) as usize;
        let Some(request) = self.requests[association].pop_front() else { return };
        let reply = match request {
            Request::Register(element, value) => {
                if self.oracle.knows(element) || !self.fails(Fault::Lost) {
                    self.oracle.register(element, value);
                }
                Reply::Registered(element)
            }
            Request::Deregister(element) => {
                if !self.fails(Fault::NotRegistered) {
                    self.oracle.deregister(element);
                }
                Reply::Deregistered(element)
            }
            Request::Resolve(ticket) => {
                let found = self.oracle.resolve(ticket.pool, ticket.items);
                Reply::Resolved(ticket, found.map(|elements| self.spoil(&ticket, elements)))
            }
        };
        self.answers[association].push_back(reply);
    }

    fn spoil(&mut self, ticket: &Ticket, mut elements: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
        if elements.len() > 1 && self.fails(Fault::Order) {
            elements.rotate_left(1);
        }
        if self.fails(Fault::TooFew) {
            elements.pop();
        }
        let room = elements.len() < ticket.items as usize;
        if !elements.is_empty() && room && self.fails(Fault::Duplicate) {
            elements.push(elements[0]);
        }
        elements
    }

    fn deliver(&mut self) {
        let association = self.oracle.draw(3) as usize;
        match self.answers[association].pop_front() {
            None => {}
            Some(Reply::Registered(element)) => self.model.registered(element),
            Some(Reply::Deregistered(element)) => self.model.deregistered(element),
            Some(Reply::Resolved(ticket, None)) => {
                self.model.check(&ticket, &Answer::Unknown, &mut Vec::new());
            }
            Some(Reply::Resolved(ticket, Some(elements))) => {
                let right = |&(e, value): &(u32, u32)| answered(&self.model, e, value);
                let elements: Vec<_> = elements.iter().map(right).collect();
                answer(&mut self.model, &ticket, &elements);
            }
        }
    }

    fn run(mut self, steps: usize) -> Model {
        for _ in 0..steps {
            match self.oracle.draw(3) {
                0 => self.send(),
                1 => self.execute(),
                _ => self.deliver(),
            }
        }
        self.model
    }
}

#[test]
fn a_right_registrar_is_never_blamed_whatever_the_order_of_events() {
    for seed in 0..20 {
        let model = Registrar::new(seed, None).run(30_000);
        assert_eq!(model.faults.total(), 0, "seed {seed}: {:?}", model.faults.samples());
        assert!(model.checked() > 1000);
        assert!(!model.spread().is_wrong());
    }
}

#[test]
fn a_wrong_registrar_is_found_out_whatever_the_order_of_events() {
    for defect in [Fault::NotRegistered, Fault::Lost, Fault::Order, Fault::TooFew, Fault::Duplicate]
    {
        for seed in 0..5 {
            let model = Registrar::new(seed, Some(defect)).run(30_000);
            let found = model.faults.count(defect);
            assert!(found > 0, "{defect:?}, seed {seed}: {:?}", model.faults.samples());
        }
    }
}
