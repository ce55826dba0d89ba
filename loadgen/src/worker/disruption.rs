//! The mass failure: half of the elements' associations are lost at once, and
//! come back later.

use std::time::Duration;

use super::Worker;
use crate::connection::Standing;
use crate::stage::Phase;
use crate::workload::Workload;

/// What a mass failure did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disruption {
    step: Step,
    /// Elements whose association was cut.
    pub(crate) elements: u64,
    /// When that was, and when one of them was selected last.
    pub(crate) cut_at: Option<Duration>,
    pub(crate) selected_last: Option<Duration>,
    /// Selections of elements that were cut.
    pub(crate) selections: u64,
    /// When the associations came back, and when the last element was back.
    pub(crate) back_at: Option<Duration>,
    pub(crate) returned_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Intact,
    Cut,
    Forgotten,
    Back,
    Returned,
}

impl Disruption {
    /// Whether elements of an association that comes up were cut before.
    pub(super) fn brings_back(&self, phase: Phase) -> bool {
        phase == Phase::Steady && matches!(self.step, Step::Back)
    }
}

impl Worker {
    /// How many connections of elements fail.
    fn doomed(&self) -> usize {
        self.setup.element_connections.div_ceil(2)
    }

    /// Does what is due of the mass failure.
    pub(super) fn disrupt(&mut self) {
        if self.setup.plan.workload != Workload::MassFailure || self.phase != Phase::Steady {
            return;
        }
        let now = self.setup.clock.now();
        let elapsed = now.saturating_sub(self.phase_began);
        let third = self.setup.plan.duration / 3;
        let cut_at = self.disruption.cut_at.unwrap_or(now);
        match self.disruption.step {
            Step::Intact if elapsed >= third => self.cut(now),
            Step::Cut if now.saturating_sub(cut_at) >= self.setup.plan.forget_within => {
                for element in self.doomed_elements() {
                    self.model.forgotten(element);
                }
                self.disruption.step = Step::Forgotten;
            }
            Step::Cut | Step::Forgotten if elapsed >= 2 * third => {
                self.disruption.step = Step::Back;
                self.disruption.back_at = Some(now);
                self.to_connect.extend(0..self.doomed());
            }
            Step::Back if self.rescue.is_empty() && self.all_back() => {
                self.disruption.step = Step::Returned;
                self.disruption.returned_at = Some(now);
            }
            Step::Intact | Step::Cut | Step::Forgotten | Step::Back | Step::Returned => {}
        }
    }

    /// Whether all elements that were cut are registered again.
    fn all_back(&self) -> bool {
        let up = |connection: &super::Connection| connection.standing == Standing::Up;
        let doomed = self.doomed();
        let answered = |pending: &super::Pending| pending.connection >= doomed;
        self.connections[..doomed].iter().all(up) && self.pending.iter().flatten().all(answered)
    }

    fn doomed_elements(&self) -> Vec<u32> {
        let all = 0..self.model.population().elements();
        all.filter(|&element| self.connection_of(element) < self.doomed()).collect()
    }

    fn cut(&mut self, now: Duration) {
        for connection in &mut self.connections[..self.setup.element_connections.div_ceil(2)] {
            connection.close(self.associations.as_mut());
        }
        for index in 0..self.pending.len() {
            if self.pending[index].is_some_and(|pending| pending.connection < self.doomed()) {
                self.pending[index] = None;
                self.free.push(index);
            }
        }
        for element in self.doomed_elements() {
            self.model.cut(element);
            self.disruption.elements += 1;
        }
        self.disruption.step = Step::Cut;
        self.disruption.cut_at = Some(now);
    }

    /// Notes the elements of an answer that were cut.
    pub(super) fn note_cut_elements(&mut self, now: Duration) {
        if self.disruption.step == Step::Intact {
            return;
        }
        let doomed = self.doomed();
        let cut = |&&element: &&u32| {
            let connection = element as usize % self.setup.element_connections;
            connection < doomed && self.model.status(element) == crate::model::Status::Cut
        };
        let selections = self.known.iter().filter(cut).count();
        if selections > 0 {
            self.disruption.selections += selections as u64;
            self.disruption.selected_last = Some(now);
        }
    }
}
