//! The stages of a run as state machines: which request is next and when.
//! They see the model and the time, and do no I/O.

mod audit;
mod burst;
mod steady;

pub(crate) use audit::Audit;
pub(crate) use burst::{Burst, BurstKind};
pub(crate) use steady::{Crowd, Steady, SteadyConfig};

use std::time::Duration;

use crate::model::Model;

/// Most unanswered requests of one client thread. Beyond, requests wait and
/// their latency shows it.
pub(crate) const IN_FLIGHT_MAX: usize = 100_000;

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Connect,
    Register,
    Steady,
    Audit,
    Deregister,
    Empty,
}

impl Phase {
    /// Those that are measured, in their order.
    pub(crate) const RUN: [Self; 5] =
        [Self::Register, Self::Steady, Self::Audit, Self::Deregister, Self::Empty];

    /// Its name in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Register => "registering",
            Self::Steady => "steady state",
            Self::Audit => "audit",
            Self::Deregister => "deregistering",
            Self::Empty => "empty check",
        }
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Register or re-register an element with a value.
    Register {
        element: u32,
        value: u32,
    },
    Deregister {
        element: u32,
    },
    Resolve {
        pool: u32,
        items: u32,
    },
}

/// A kind of request that is measured on its own: an index into the names
/// that [`operation_names`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation(pub(crate) usize);

impl Operation {
    pub(crate) const REGISTER: Self = Self(0);
    pub(crate) const REREGISTER: Self = Self(1);
    pub(crate) const DEREGISTER: Self = Self(2);
    pub(crate) const AUDIT: Self = Self(3);

    /// Resolving with the `index`-th number of items.
    pub(crate) const fn resolve(index: usize) -> Self {
        Self(4 + index)
    }

    /// Resolving one pool because everybody does, where so many numbers of
    /// items are asked for.
    pub(crate) const fn crowd(items: usize) -> Self {
        Self(4 + items)
    }

    /// Whether this resolves pool handles.
    pub(crate) const fn is_resolution(self) -> bool {
        self.0 >= Self::AUDIT.0
    }
}

/// The names of all operations where these numbers of items are asked for.
pub(crate) fn operation_names(items: &[u32]) -> Vec<String> {
    let fixed = ["register", "re-register", "deregister", "resolve (check)"];
    let resolve = items.iter().map(|items| format!("resolve {items}"));
    let crowd = std::iter::once("resolve (crowd)".to_owned());
    fixed.into_iter().map(str::to_owned).chain(resolve).chain(crowd).collect()
}

/// A request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) subject: Subject,
    /// Which association of pool users is to ask, if that matters.
    pub(crate) user: Option<usize>,
    /// When it should have been sent, since the stage began; `None`: now.
    pub(crate) intended: Option<Duration>,
}

/// What a stage wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this.
    Send(Request),
    /// Ask again at this time since the stage began, or after an answer.
    At(Duration),
    /// Ask again after an answer.
    Wait,
    /// All is sent. The stage ends with the last answer.
    Done,
}

/// The stage a client thread is in.
#[derive(Debug)]
pub(crate) enum Stage {
    Idle,
    Burst(Burst),
    Steady(Box<Steady>),
    Audit(Audit),
}

impl Stage {
    /// What to do when so much time has passed since the stage began and so
    /// many requests are unanswered.
    pub(crate) fn next(&mut self, elapsed: Duration, in_flight: usize, model: &mut Model) -> Step {
        match self {
            Self::Idle => Step::Wait,
            Self::Burst(burst) => burst.next(in_flight, model),
            Self::Steady(steady) => steady.next(elapsed, in_flight, model),
            Self::Audit(audit) => audit.next(in_flight, model),
        }
    }

    /// A request of this stage was answered, a resolution with these elements.
    pub(crate) fn answered(&mut self, request: &Request, elements: &[u32]) {
        let subject = request.subject;
        match self {
            Self::Idle | Self::Burst(_) => {}
            Self::Steady(steady) => steady.answered(request),
            Self::Audit(audit) => audit.answered(subject, elements),
        }
    }
}

/// All numbers below `count` once, scattered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scatter {
    count: u32,
    stride: u32,
}

impl Scatter {
    pub(crate) fn new(count: u32) -> Self {
        let golden = u64::from(count) * 618 / 1000;
        let mut stride = u32::try_from(golden).unwrap_or(0).max(1);
        while gcd(stride, count) > 1 {
            stride += 1;
        }
        Self { count, stride }
    }

    /// The number at `index`; it starts over after `count`.
    pub(crate) fn at(&self, index: u64) -> u32 {
        let count = u64::from(self.count.max(1));
        u32::try_from((index % count) * u64::from(self.stride) % count).unwrap_or(0)
    }
}

const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattering_visits_each_number_once_and_starts_over() {
        for count in [1, 2, 3, 10, 97, 1000, 4096] {
            let scatter = Scatter::new(count);
            let mut seen: Vec<_> = (0..u64::from(count)).map(|index| scatter.at(index)).collect();
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..count), "{count}");
            assert_eq!(scatter.at(u64::from(count) + 1), scatter.at(1));
        }
    }

    #[test]
    fn operations_have_names() {
        let names = operation_names(&[1, 3, 10]);
        assert_eq!(names[Operation::AUDIT.0], "resolve (check)");
        assert_eq!(names[Operation::resolve(2).0], "resolve 10");
        assert_eq!(names[Operation::crowd(3).0], "resolve (crowd)");
        assert!(Operation::resolve(0).is_resolution() && !Operation::DEREGISTER.is_resolution());
    }
}
