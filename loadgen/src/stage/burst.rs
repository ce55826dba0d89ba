//! All elements or all pools once, as fast as a window of unanswered requests
//! allows.

use super::{Operation, Request, Scatter, Step, Subject};
use crate::model::{Model, Status};

/// What a burst does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BurstKind {
    /// Register each element that is not registered.
    Register,
    /// Deregister each element that is registered.
    Deregister,
    /// Resolve each pool.
    Resolve,
}

/// A burst.
#[derive(Debug)]
pub(crate) struct Burst {
    kind: BurstKind,
    order: Scatter,
    next: u64,
    window: usize,
}

impl Burst {
    /// A burst with so many unanswered requests at most.
    pub(crate) fn new(kind: BurstKind, model: &Model, window: usize) -> Self {
        let population = model.population();
        let count = match kind {
            BurstKind::Register | BurstKind::Deregister => population.elements(),
            BurstKind::Resolve => u32::try_from(population.pools.len()).unwrap_or(u32::MAX),
        };
        Self { kind, order: Scatter::new(count), next: 0, window }
    }

    pub(super) fn next(&mut self, in_flight: usize, model: &Model) -> Step {
        while self.next < u64::from(self.order.count) {
            if in_flight >= self.window {
                return Step::Wait;
            }
            let index = self.order.at(self.next);
            self.next += 1;
            if let Some((operation, subject)) = self.request(index, model) {
                return Step::Send(Request { operation, subject, user: None, intended: None });
            }
        }
        Step::Done
    }

    fn request(&self, index: u32, model: &Model) -> Option<(Operation, Subject)> {
        match self.kind {
            BurstKind::Register => (model.status(index) == Status::Absent).then(|| {
                let subject = Subject::Register { element: index, value: model.next_value(index) };
                (Operation::REGISTER, subject)
            }),
            BurstKind::Deregister => (model.status(index) == Status::Registered)
                .then_some((Operation::DEREGISTER, Subject::Deregister { element: index })),
            BurstKind::Resolve => {
                Some((Operation::AUDIT, Subject::Resolve { pool: index, items: 1 }))
            }
        }
    }
}
