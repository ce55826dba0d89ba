//! The steady state: resolutions, re-registrations and churn, each at its
//! own rate, interleaved by the times they are due.

use std::collections::VecDeque;
use std::time::Duration;

use super::{IN_FLIGHT_MAX, Operation, Request, Scatter, Step, Subject};
use crate::draw::{Purpose, draw, draw_below};
use crate::model::{Model, Status};
use crate::pacer::Pacer;
use crate::plan::Pace;

/// How many elements an arrival looks at to find one it can use.
const LOOKS: u32 = 16;

/// What one client thread does in the steady state.
#[derive(Clone, Debug)]
pub(crate) struct SteadyConfig {
    pub(crate) duration: Duration,
    pub(crate) pace: Pace,
    /// The numbers of items to ask for.
    pub(crate) items: Vec<u32>,
    /// Associations of pool users, and whether each may ask for every pool.
    pub(crate) users: usize,
    pub(crate) shares_pools: bool,
    pub(crate) resolutions: Pacer,
    pub(crate) reregistrations: Pacer,
    /// Deregistrations and registrations by turns.
    pub(crate) churn: Pacer,
    pub(crate) crowd: Option<Crowd>,
    /// A deregistered element stays away for so many arrivals of churn.
    pub(crate) absence: usize,
    pub(crate) seed: u64,
}

/// A flash crowd: resolutions of one pool, beside all others, for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// From when to when, since the stage began.
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    /// Resolutions since `from`.
    pub(crate) resolutions: Pacer,
}

impl Crowd {
    /// When an arrival is due; never if that is after its end.
    fn intended(&self, arrival: u64) -> Duration {
        let at = self.from.saturating_add(self.resolutions.intended(arrival));
        if at < self.until { at } else { Duration::MAX }
    }

    fn due(&self, elapsed: Duration) -> u64 {
        let last = self.until.saturating_sub(Duration::from_nanos(1));
        match elapsed.min(last).checked_sub(self.from) {
            Some(since) => self.resolutions.due(since),
            None => 0,
        }
    }
}

/// The steady state of one client thread.
#[derive(Debug)]
pub(crate) struct Steady {
    config: SteadyConfig,
    order: Scatter,
    resolutions: u64,
    reregistrations: u64,
    churn: u64,
    crowd: u64,
    /// Associations of pool users that have room for a resolution, in a
    /// closed loop.
    idle: VecDeque<usize>,
    /// Elements that churn deregistered, the first one first.
    absent: VecDeque<u32>,
}

/// Which stream an arrival belongs to.
#[derive(Clone, Copy, Debug)]
enum Stream {
    Resolution,
    Reregistration,
    Churn,
    Crowd,
}

impl Steady {
    pub(crate) fn new(config: SteadyConfig, model: &Model) -> Self {
        let order = Scatter::new(model.population().elements());
        let pools = model.population().pools.len();
        let mut idle = VecDeque::new();
        if let Pace::Closed(window) = config.pace {
            let users = if config.shares_pools { config.users } else { config.users.min(pools) };
            (0..window).for_each(|_| idle.extend(0..users));
        }
        let absent = VecDeque::new();
        Self { config, order, resolutions: 0, reregistrations: 0, churn: 0, crowd: 0, idle, absent }
    }

    /// How many requests were due until `elapsed` but not sent. In a closed
    /// loop none is ever due.
    pub(crate) fn unsent(&self, elapsed: Duration) -> u64 {
        if self.config.pace != Pace::Open {
            return 0;
        }
        let until = elapsed.min(self.config.duration);
        let due = |pacer: &Pacer, sent: u64| pacer.due(until).saturating_sub(sent);
        due(&self.config.resolutions, self.resolutions)
            + due(&self.config.reregistrations, self.reregistrations)
            + due(&self.config.churn, self.churn)
            + self.config.crowd.map_or(0, |crowd| crowd.due(until).saturating_sub(self.crowd))
    }

    pub(super) fn next(&mut self, elapsed: Duration, in_flight: usize, model: &Model) -> Step {
        if elapsed >= self.config.duration {
            return Step::Done;
        }
        let open = self.config.pace == Pace::Open;
        loop {
            if in_flight >= IN_FLIGHT_MAX {
                return Step::Wait;
            }
            let (stream, intended) = self.earliest();
            if open && intended > elapsed {
                return Step::At(intended.min(self.config.duration));
            }
            let mut user = None;
            if !open && matches!(stream, Stream::Resolution) {
                user = self.idle.pop_front();
                if user.is_none() {
                    return Step::Wait;
                }
            }
            if let Some((operation, subject)) = self.take(stream, user, model) {
                let intended = open.then_some(intended);
                return Step::Send(Request { operation, subject, user, intended });
            }
        }
    }

    pub(super) fn answered(&mut self, request: &Request) {
        match request.subject {
            Subject::Deregister { element } => self.absent.push_back(element),
            Subject::Resolve { .. } => self.idle.extend(request.user),
            Subject::Register { .. } => {}
        }
    }

    fn earliest(&self) -> (Stream, Duration) {
        let config = &self.config;
        let mut earliest = (Stream::Resolution, config.resolutions.intended(self.resolutions));
        for (stream, intended) in [
            (Stream::Reregistration, config.reregistrations.intended(self.reregistrations)),
            (Stream::Churn, config.churn.intended(self.churn)),
            (Stream::Crowd, config.crowd.map_or(Duration::MAX, |crowd| crowd.intended(self.crowd))),
        ] {
            if intended < earliest.1 {
                earliest = (stream, intended);
            }
        }
        earliest
    }

    /// The next arrival of a stream; `None` if nobody can do it now.
    fn take(
        &mut self,
        stream: Stream,
        user: Option<usize>,
        model: &Model,
    ) -> Option<(Operation, Subject)> {
        match stream {
            Stream::Resolution => {
                self.resolutions += 1;
                Some(self.resolution(self.resolutions - 1, user, model))
            }
            Stream::Crowd => {
                self.crowd += 1;
                let operation = Operation::crowd(self.config.items.len());
                Some((operation, Subject::Resolve { pool: 0, items: self.config.items[0] }))
            }
            Stream::Reregistration => {
                self.reregistrations += 1;
                let element = self.order.at(self.reregistrations - 1);
                (model.status(element) == Status::Registered)
                    .then(|| (Operation::REREGISTER, registration(element, model)))
            }
            Stream::Churn => {
                self.churn += 1;
                self.churned(self.churn - 1, model)
            }
        }
    }

    /// Half of the resolutions choose a pool, half choose an element and
    /// resolve its pool: large pools are asked for more often, small ones too.
    /// Where an association has pools of its own, it asks only for those.
    fn resolution(&self, arrival: u64, user: Option<usize>, model: &Model) -> (Operation, Subject) {
        let (seed, population) = (self.config.seed, model.population());
        let pools = u32::try_from(population.pools.len()).unwrap_or(u32::MAX);
        // Pools that are the user's own: this one, and every so many after it.
        let (first, every) = match user {
            Some(user) if !self.config.shares_pools => (user, self.config.users),
            Some(_) | None => (0, 1),
        };
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (first, every) = (number(first), number(every));
        let by_pool = draw(seed, Purpose::PoolOrElement, arrival) & 1 == 0;
        let by_element = (0..LOOKS).filter(|_| !by_pool).find_map(|look| {
            let index = arrival ^ u64::from(look) << 56;
            let element = draw_below(seed, Purpose::Element, index, population.elements());
            let pool = population.pool_of(element);
            (pool % every == first).then_some(pool)
        });
        let pool = by_element.unwrap_or_else(|| {
            let own = pools.saturating_sub(first).div_ceil(every);
            first + every * draw_below(seed, Purpose::Pool, arrival, own)
        });
        let choices = u32::try_from(self.config.items.len()).unwrap_or(u32::MAX);
        let choice = draw_below(seed, Purpose::Items, arrival, choices) as usize;
        let items = self.config.items[choice];
        (Operation::resolve(choice), Subject::Resolve { pool, items })
    }

    fn churned(&mut self, arrival: u64, model: &Model) -> Option<(Operation, Subject)> {
        if arrival % 2 == 1 {
            let back = (self.absent.len() > self.config.absence).then(|| self.absent.pop_front());
            return back.flatten().map(|e| (Operation::REGISTER, registration(e, model)));
        }
        let elements = model.population().elements();
        let first = draw_below(self.config.seed, Purpose::Churn, arrival, elements);
        (0..LOOKS.min(elements))
            .map(|look| (first + look) % elements)
            .find(|&element| model.status(element) == Status::Registered)
            .map(|element| (Operation::DEREGISTER, Subject::Deregister { element }))
    }
}

fn registration(element: u32, model: &Model) -> Subject {
    Subject::Register { element, value: model.next_value(element) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rules;
    use crate::model::oracle::Oracle;
    use crate::population::{CheckedPolicy, Layout};

    const SECOND: Duration = Duration::from_secs(1);

    fn steady(pace: Pace) -> (Steady, Model) {
        let policies = CheckedPolicy::ALL.to_vec();
        let layout = Layout { elements: 300, pools: 10, policies, seed: 1, ..Layout::default() };
        let [population] = &layout.populations(1)[..] else { panic!("one thread") };
        let mut model = Model::new(population.clone(), Rules::ALL);
        for element in 0..300 {
            model.register_sent(element, 1);
            model.registered(element);
        }
        let config = SteadyConfig {
            duration: SECOND * 2,
            pace,
            items: vec![1, 3, 10],
            users: 4,
            shares_pools: false,
            crowd: None,
            resolutions: Pacer::new(1000, SECOND),
            reregistrations: Pacer::new(300, SECOND * 3),
            churn: Pacer::new(40, SECOND),
            absence: 10,
            seed: 1,
        };
        (Steady::new(config, &model), model)
    }

    fn counts(requests: &[Request]) -> [usize; 4] {
        let count = |wanted: fn(&Request) -> bool| requests.iter().filter(|r| wanted(r)).count();
        [
            count(|r| r.operation.is_resolution()),
            count(|r| r.operation == Operation::REREGISTER),
            count(|r| r.operation == Operation::DEREGISTER),
            count(|r| r.operation == Operation::REGISTER),
        ]
    }

    /// Runs with answers after no time, looking every `pause`.
    fn run(pace: Pace, pause: Duration) -> Vec<Request> {
        let (mut steady, mut model) = steady(pace);
        let mut oracle = Oracle::new(model.population().clone(), 1);
        let mut requests = Vec::new();
        let mut now = Duration::ZERO;
        loop {
            match steady.next(now, 0, &model) {
                Step::Send(request) => {
                    requests.push(request);
                    match request.subject {
                        Subject::Register { element, value } => {
                            model.register_sent(element, value);
                            model.registered(element);
                        }
                        Subject::Deregister { element } => {
                            model.deregister_sent(element);
                            model.deregistered(element);
                        }
                        Subject::Resolve { .. } => {}
                    }
                    steady.answered(&request);
                    if matches!(pace, Pace::Closed(_)) {
                        now += Duration::from_micros(100 + u64::from(oracle.draw(100)));
                    }
                }
                Step::At(_) | Step::Wait => now += pause,
                Step::Done => return requests,
            }
        }
    }

    #[test]
    fn an_open_loop_sends_the_same_whenever_it_gets_to_look() {
        let often = run(Pace::Open, Duration::from_millis(1));
        let [resolutions, reregistrations, deregistrations, registrations] = counts(&often);
        assert_eq!((resolutions, deregistrations), (2000, 40));
        // Absent elements are left out, and come back.
        assert!((180..=200).contains(&reregistrations), "{reregistrations}");
        assert!((29..=31).contains(&registrations), "{registrations}");
        let rarely = run(Pace::Open, Duration::from_millis(50));
        let until = |requests: &[Request], end| {
            requests.iter().take_while(|r| r.intended < Some(end)).copied().collect::<Vec<_>>()
        };
        let end = SECOND * 2 - Duration::from_millis(51);
        assert_eq!(until(&often, end), until(&rarely, end));
        assert!(often.is_sorted_by_key(|request| request.intended));
    }

    #[test]
    fn a_closed_loop_keeps_the_mix_and_the_window() {
        let requests = run(Pace::Closed(1), Duration::ZERO);
        let [resolutions, reregistrations, ..] = counts(&requests);
        assert!(resolutions > 5000 && requests.iter().all(|r| r.intended.is_none()));
        assert!(resolutions.abs_diff(10 * reregistrations) < resolutions / 10);
    }

    #[test]
    fn a_closed_loop_fills_each_association_and_asks_it_only_for_its_own_pools() {
        let (mut steady, model) = steady(Pace::Closed(3));
        let mut sent = Vec::new();
        while let Step::Send(request) = steady.next(Duration::ZERO, sent.len(), &model) {
            sent.push(request);
        }
        let resolutions: Vec<_> = sent.iter().filter(|r| r.operation.is_resolution()).collect();
        for user in 0..4 {
            let of_user: Vec<_> = resolutions.iter().filter(|r| r.user == Some(user)).collect();
            assert_eq!(of_user.len(), 3);
            assert!(of_user.iter().all(|r| matches!(r.subject,
                Subject::Resolve { pool, .. } if pool as usize % 4 == user)));
        }
        assert_eq!(steady.next(Duration::ZERO, sent.len(), &model), Step::Wait);
        steady.answered(resolutions[5]);
        let Step::Send(next) = steady.next(Duration::ZERO, sent.len(), &model) else {
            panic!("there is room")
        };
        assert_eq!(next.user, resolutions[5].user);
    }

    #[test]
    fn a_crowd_comes_and_goes_at_the_times_it_is_due() {
        let (mut steady, model) = steady(Pace::Open);
        let (from, until) = (SECOND / 2, SECOND);
        steady.config.crowd = Some(Crowd { from, until, resolutions: Pacer::new(4000, SECOND) });
        let mut crowd = Vec::new();
        loop {
            match steady.next(SECOND * 2 - Duration::from_millis(1), 0, &model) {
                Step::Send(request) if request.operation == Operation::crowd(3) => {
                    crowd.push(request.intended.unwrap());
                }
                Step::Send(request) => steady.answered(&request),
                Step::At(_) | Step::Wait | Step::Done => break,
            }
        }
        assert_eq!(crowd.len(), 2000);
        assert_eq!(crowd[0], from);
        assert!(crowd.iter().all(|&at| at < until) && crowd.is_sorted());
        let (steady, _) = self::steady(Pace::Open);
        assert_eq!(steady.unsent(SECOND), 1001 + 101 + 41);
    }

    #[test]
    fn what_was_due_but_not_sent_is_counted() {
        let (mut steady, model) = steady(Pace::Open);
        assert_eq!(steady.next(SECOND * 3, 0, &model), Step::Done);
        assert_eq!(steady.unsent(SECOND * 3), steady.unsent(SECOND * 2));
        assert_eq!(steady.unsent(SECOND * 2), 2001 + 201 + 81);
        assert_eq!(self::steady(Pace::Closed(1)).0.unsent(SECOND * 2), 0);
    }

    #[test]
    fn every_number_of_items_and_every_pool_is_asked_for() {
        let requests = run(Pace::Open, Duration::from_millis(1));
        for wanted in [1, 3, 10] {
            let asked = |r: &&Request| matches!(r.subject, Subject::Resolve { items, .. } if items == wanted);
            assert!((550..800).contains(&requests.iter().filter(asked).count()));
        }
        for wanted in 0..10 {
            let asked =
                |r: &Request| matches!(r.subject, Subject::Resolve { pool, .. } if pool == wanted);
            assert!(requests.iter().any(asked), "pool {wanted}");
        }
    }
}
